//! Folders and files below a root, by descriptor. `install` works as root in folders that `wazuh`
//! may write: whoever may write in a folder can put a link there at any moment. So a link counts only
//! in a folder that root alone may write, files are opened by name in a folder that is held open, and
//! what gets an owner or a mode is a descriptor.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::geteuid;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

/// No file that is read here is larger: settings, and our own binary.
const LARGEST: u64 = 256 << 20;
/// As the kernel's own limit.
const MOST_LINKS: usize = 40;

/// User and group, by number.
pub type Owner = (u32, u32);

/// A root folder.
pub struct Tree {
    root: OwnedFd,
}

/// A folder that is held open.
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// Whose a file is, and what else stands beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// User and group; None leaves them as they come.
    pub owner: Option<Owner>,
    /// Permissions.
    pub mode: u32,
    /// Extended attributes: the label of `SELinux`, an access control list.
    pub extended: Vec<(CString, Vec<u8>)>,
}

/// What lies under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Folder, file, link.
    pub kind: FileType,
    /// User and group.
    pub owner: Owner,
    /// Permissions.
    pub mode: u32,
    /// Seconds since 1970.
    pub modified: i64,
    /// Device and inode.
    pub identity: (u64, u64),
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
        let mut names = reversed(path);
        let mut open = vec![self.root.try_clone().with_context(named)?];
        let mut links = 0;
        while let (Some(name), Some(here)) = (names.pop(), open.last()) {
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
                    names.extend(reversed(&target));
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

impl Folder {
    /// What lies under this name; None if nothing does.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn entry(&self, name: &OsStr) -> Result<Option<Entry>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Entry::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error).with_context(|| self.cannot("look at", name)),
        }
    }

    /// Its own owner and mode.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn itself(&self) -> Result<Entry> {
        let stat = rustix::fs::fstat(&self.fd);
        let stat = stat.with_context(|| format!("cannot look at {}", self.path.display()))?;
        Ok(Entry::of(&stat))
    }

    /// Bytes and attributes of a plain file; None if nothing lies there.
    ///
    /// # Errors
    ///
    /// Names it; if it is a link or anything but a plain file.
    pub fn read(&self, name: &OsStr) -> Result<Option<(Vec<u8>, File)>> {
        let named = || self.cannot("read", name);
        let Some(mut file) = self.open(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut file)
            .take(LARGEST)
            .read_to_end(&mut bytes);
        if read.with_context(named)? as u64 == LARGEST {
            bail!("{}: it is too large", named());
        }
        Ok(Some((bytes, file)))
    }

    /// Opens a plain file for reading; None if nothing lies there.
    ///
    /// # Errors
    ///
    /// Names it; if it is a link or anything but a plain file.
    pub fn open(&self, name: &OsStr) -> Result<Option<File>> {
        let named = || self.cannot("read", name);
        // Opening a pipe must not wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => bail!("{}: it is a link", named()),
            Err(error) => return Err(error).with_context(named),
        };
        let file = File::from(fd);
        if !file.metadata().with_context(named)?.is_file() {
            bail!("{}: it is no plain file", named());
        }
        Ok(Some(file))
    }

    /// Puts a file into place in one step; what lay there before is gone.
    ///
    /// # Errors
    ///
    /// Names it; then nothing has changed.
    pub fn write(&self, name: &OsStr, bytes: &[u8], attributes: &Attributes) -> Result<()> {
        let named = || self.cannot("write", name);
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}", std::process::id()));
        let written = self
            .write_new(&temporary, bytes, attributes)
            .and_then(|()| Ok(rustix::fs::renameat(&self.fd, &temporary, &self.fd, name)?));
        if let Err(error) = written {
            rustix::fs::unlinkat(&self.fd, &temporary, AtFlags::empty()).ok();
            return Err(error).with_context(named);
        }
        self.flush().with_context(named)
    }

    /// Makes a folder and gives it away. Only an empty one of our own is given away: whoever may
    /// write here could have put another in its place.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn make(&self, name: &OsStr, attributes: &Attributes) -> Result<()> {
        let named = || self.cannot("make the folder", name);
        rustix::fs::mkdirat(&self.fd, name, Mode::RWXU).with_context(named)?;
        let flags = folder_flags() | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).with_context(named)?;
        let made = Entry::of(&rustix::fs::fstat(&fd).with_context(named)?);
        let is_fresh = made.owner.0 == geteuid().as_raw() && made.mode & 0o777 == 0o700;
        if !is_fresh || !is_empty(&fd) {
            bail!("{}: somebody else is at work there", named());
        }
        give(fd.as_fd(), attributes).with_context(named)
    }

    /// A second name for a file, which must still be this one.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn link(&self, name: &OsStr, second: &OsStr, identity: (u64, u64)) -> Result<()> {
        let named = || self.cannot("make a second name for", name);
        rustix::fs::linkat(&self.fd, name, &self.fd, second, AtFlags::empty())
            .with_context(named)?;
        if self
            .entry(second)?
            .is_some_and(|entry| entry.identity == identity)
        {
            return Ok(());
        }
        self.remove(second)?;
        bail!("{}: it was replaced meanwhile; try again", named())
    }

    /// Gives a file another name here; what had that name is gone.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn rename(&self, name: &OsStr, other: &OsStr) -> Result<()> {
        let named = || self.cannot("rename", name);
        rustix::fs::renameat(&self.fd, name, &self.fd, other).with_context(named)?;
        self.flush().with_context(named)
    }

    /// Takes a file or a link away.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn remove(&self, name: &OsStr) -> Result<()> {
        let removed = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
        removed.with_context(|| self.cannot("remove", name))
    }

    /// Takes a folder away if it is empty; says whether it was.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn remove_empty(&self, name: &OsStr) -> Result<bool> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(error) => Err(error).with_context(|| self.cannot("remove", name)),
        }
    }

    /// Takes a folder away with all that is in it; of a link, the link.
    ///
    /// # Errors
    ///
    /// Names it.
    pub fn remove_all(&self, name: &OsStr) -> Result<()> {
        // By the descriptor: the path could lead elsewhere.
        let descriptor = self.fd.as_fd().as_raw_fd().to_string();
        let path = Path::new("/proc/self/fd").join(descriptor).join(name);
        std::fs::remove_dir_all(path).with_context(|| self.cannot("remove", name))
    }

    /// The names in it, sorted.
    ///
    /// # Errors
    ///
    /// Names the folder.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let named = || format!("cannot list {}", self.path.display());
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).with_context(named)? {
            let name = entry.with_context(named)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    fn write_new(&self, name: &OsStr, bytes: &[u8], attributes: &Attributes) -> Result<()> {
        // Left by a run that was killed and had our number.
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()).ok();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(&self.fd, name, flags, mode)?);
        file.write_all(bytes)?;
        give(file.as_fd(), attributes)?;
        Ok(file.sync_all()?)
    }

    fn flush(&self) -> Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    fn cannot(&self, what: &str, name: &OsStr) -> String {
        format!("cannot {what} {}", self.path.join(name).display())
    }
}

impl Entry {
    fn of(stat: &Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            owner: (stat.st_uid, stat.st_gid),
            mode: stat.st_mode & 0o7777,
            #[expect(clippy::useless_conversion, reason = "its width differs by platform")]
            modified: i64::from(stat.st_mtime),
            identity: (stat.st_dev, stat.st_ino),
        }
    }

    /// Whether nobody but root, or we ourselves, can change it.
    pub fn is_safe(&self) -> bool {
        let ours = self.owner.0 == 0 || self.owner.0 == geteuid().as_raw();
        ours && self.mode & 0o022 == 0
    }
}

impl Attributes {
    /// Those of an open file.
    ///
    /// # Errors
    ///
    /// As `fstat`.
    pub fn of(file: &File) -> Result<Self> {
        let entry = Entry::of(&rustix::fs::fstat(file)?);
        Ok(Self {
            owner: Some(entry.owner),
            mode: entry.mode,
            extended: extended(file)?,
        })
    }
}

/// What a file system has that knows extended attributes.
fn extended(file: &File) -> Result<Vec<(CString, Vec<u8>)>> {
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::flistxattr(file, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    names.truncate(length);
    let mut found = Vec::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = CString::new(name)?;
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::fgetxattr(file, name.as_c_str(), value.as_mut_slice())?;
        value.truncate(length);
        found.push((name, value));
    }
    Ok(found)
}

fn give(fd: std::os::fd::BorrowedFd<'_>, attributes: &Attributes) -> Result<()> {
    if let Some((user, group)) = attributes.owner {
        rustix::fs::fchown(fd, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
    }
    rustix::fs::fchmod(fd, Mode::from_raw_mode(attributes.mode))?;
    for (name, value) in &attributes.extended {
        rustix::fs::fsetxattr(fd, name.as_c_str(), value, XattrFlags::empty())?;
    }
    Ok(())
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
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

fn is_empty(folder: &OwnedFd) -> bool {
    let entries = rustix::fs::Dir::read_from(folder).ok();
    entries.is_some_and(|entries| {
        let mut names =
            entries.map(|entry| entry.map(|entry| entry.file_name().to_bytes().to_vec()));
        names.all(|name| name.is_ok_and(|name| name == b"." || name == b".."))
    })
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

    #[test]
    fn extended_attributes_come_along() {
        // Not every file system has them; the one below target/ does wherever it was tried.
        let root = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        fs::write(root.path().join("a"), "x").unwrap();
        let file = File::open(root.path().join("a")).unwrap();
        let set = rustix::fs::fsetxattr(&file, c"user.note", b"kept", XattrFlags::empty());
        if set == Err(Errno::NOTSUP) {
            return;
        }
        set.unwrap();
        let tree = Tree::open(root.path()).unwrap();
        let (folder, name) = tree.place(Path::new("/b")).unwrap().unwrap();
        folder
            .write(name, b"y", &Attributes::of(&file).unwrap())
            .unwrap();
        let (_, copy) = folder.read(name).unwrap().unwrap();
        assert!(
            extended(&copy)
                .unwrap()
                .contains(&(c"user.note".to_owned(), b"kept".to_vec()))
        );
    }
}
