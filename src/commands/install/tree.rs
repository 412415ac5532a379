//! Folders and files below a root, by descriptor. `install` works as root in folders that `wazuh`
//! may write: whoever may write in a folder can put a link there at any moment. So a link counts only
//! in a folder that root alone may write, files are opened by name in a folder that is held open, and
//! what gets an owner or a mode is a descriptor.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

mod attributes;
mod folder;

pub use attributes::{Attributes, Entry, Owner};
pub use folder::Folder;

use folder::folder_flags;

/// As the kernel's own limit.
const MOST_LINKS: usize = 40;

/// A root folder.
pub struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// Opens the root folder.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn open(root: &Path) -> Result<Self> {
        let root = rustix::fs::open(root, folder_flags(), Mode::empty())
            .with_context(|| format!("cannot open the folder {}", root.display()))?;
        Ok(Self { root })
    }

    /// Opens a folder, named as the host below the root sees it; None if it is not there.
    ///
    /// # Errors
    ///
    /// Names the folder, and the link that leads there from where others than root may write.
    pub fn folder(&self, path: &Path) -> Result<Option<Folder>> {
        let named = || format!("cannot open the folder {}", path.display());
        let mut ahead = reversed(path);
        let mut open = vec![self.root.try_clone().with_context(named)?];
        let mut links = 0;
        while let (Some(name), Some(here)) = (ahead.pop(), open.last()) {
            if name == ".." {
                open.truncate(open.len().saturating_sub(1).max(1));
                continue;
            }
            let flags = folder_flags() | OFlags::NOFOLLOW;
            match rustix::fs::openat(here, name.as_os_str(), flags, Mode::empty()) {
                Ok(fd) => open.push(fd),
                Err(Errno::NOENT) => return Ok(None),
                // A link, or a file.
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let target = link(here, &name).with_context(named)?;
                    links += 1;
                    if links > MOST_LINKS {
                        bail!("{}: too many links", named());
                    }
                    if target.is_absolute() {
                        open.truncate(1);
                    }
                    ahead.extend(reversed(&target));
                }
                Err(error) => return Err(error).with_context(named),
            }
        }
        let fd = open.pop().with_context(named)?;
        let path = path.to_owned();
        Ok(Some(Folder { fd, path }))
    }

    /// The folder that a file lies in, and the file's name there; None if there is no such folder.
    ///
    /// # Errors
    ///
    /// As `folder`.
    pub fn place<'p>(&self, path: &'p Path) -> Result<Option<(Folder, &'p OsStr)>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            bail!("{} names no file", path.display());
        };
        Ok(self.folder(parent)?.map(|folder| (folder, name)))
    }

    /// What lies at a path; None if nothing does.
    ///
    /// # Errors
    ///
    /// As `folder`.
    pub fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        match self.place(path)? {
            Some((folder, name)) => folder.entry(name),
            None => Ok(None),
        }
    }

    /// The bytes of the file at a path; None if there is none.
    ///
    /// # Errors
    ///
    /// As `folder`; if it is no plain file.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match self.place(path)? {
            Some((folder, name)) => Ok(folder.read(name)?.map(|(bytes, _)| bytes)),
            None => Ok(None),
        }
    }
}

/// The names of a path, the last one first. What is relative begins where the reader stands.
fn reversed(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<_> = names.collect();
    names.reverse();
    names
}

/// Where a link leads, if root alone can have put it there.
fn link(folder: &OwnedFd, name: &OsStr) -> Result<PathBuf> {
    let target = match rustix::fs::readlinkat(folder, name, Vec::new()) {
        Ok(target) => target,
        Err(Errno::INVAL) => return Err(anyhow!("{} is no folder", name.display())),
        Err(error) => return Err(error.into()),
    };
    if !Entry::of(&rustix::fs::fstat(folder)?).is_safe() {
        bail!(
            "{} is a link that others than root may have put there",
            name.display()
        );
    }
    Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn links_lead_inside_the_root_and_only_from_where_root_alone_writes() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("data/ossec/etc")).unwrap();
        fs::create_dir(at("var")).unwrap();
        for folder in ["var", "data", "data/ossec"] {
            mode(&at(folder), 0o755);
        }
        symlink("/data/ossec", at("var/ossec")).unwrap();
        symlink("../../var/./ossec/etc", at("data/ossec/again")).unwrap();
        symlink("../../../../../../../data", at("data/out")).unwrap();
        let tree = Tree::open(root.path()).unwrap();
        for path in ["/var/ossec/etc", "/var/ossec/again", "/data/out/ossec/etc"] {
            let folder = tree.folder(Path::new(path)).unwrap().unwrap();
            let there = Entry::of(&rustix::fs::stat(at("data/ossec/etc")).unwrap());
            assert_eq!(folder.itself().unwrap().identity, there.identity, "{path}");
        }
        assert!(
            tree.folder(Path::new("/var/nothing/etc"))
                .unwrap()
                .is_none()
        );
        mode(&at("var"), 0o770);
        let error = tree.folder(Path::new("/var/ossec/etc")).err().unwrap();
        assert!(
            format!("{error:#}").contains("others than root"),
            "{error:#}"
        );
        symlink("loop", at("data/loop")).unwrap();
        assert!(tree.folder(Path::new("/data/loop")).is_err());
    }

    #[test]
    fn a_link_in_place_of_a_file_is_neither_read_nor_written_through() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::write(at("secret"), "kept").unwrap();
        symlink("secret", at("settings")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let tree = Tree::open(root.path()).unwrap();
        assert!(tree.read(Path::new("/settings")).is_err());
        assert!(tree.read(Path::new("/pipe")).is_err());
        let (folder, name) = tree.place(Path::new("/settings")).unwrap().unwrap();
        let attributes = Attributes {
            mode: 0o640,
            ..Attributes::default()
        };
        folder.write(name, b"new", &attributes).unwrap();
        assert_eq!(fs::read_to_string(at("secret")).unwrap(), "kept");
        assert_eq!(fs::read_to_string(at("settings")).unwrap(), "new");
        assert_eq!(folder.entry(name).unwrap().unwrap().mode, 0o640);
        assert_eq!(folder.names().unwrap().len(), 3);
    }
}
