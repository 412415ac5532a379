//! Whose a file is, and what else stands beside its bytes.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::BorrowedFd;

use anyhow::Result;
use nix::unistd::geteuid;
use rustix::fs::{FileType, Gid, Mode, Stat, Uid, XattrFlags};
use rustix::io::Errno;

/// User and group, by number.
pub type Owner = (u32, u32);

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

impl Entry {
    pub(super) fn of(stat: &Stat) -> Self {
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

/// Gives an open file or folder away, and its mode.
///
/// # Errors
///
/// As `fchown`, `fchmod` and `fsetxattr`.
pub(super) fn give(fd: BorrowedFd<'_>, attributes: &Attributes) -> Result<()> {
    if let Some((user, group)) = attributes.owner {
        rustix::fs::fchown(fd, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
    }
    rustix::fs::fchmod(fd, Mode::from_raw_mode(attributes.mode))?;
    for (name, value) in &attributes.extended {
        rustix::fs::fsetxattr(fd, name.as_c_str(), value, XattrFlags::empty())?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::Tree;
    use super::*;

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
