//! Every change of the disk goes through here, so that a test can kill the process before it, or in
//! the middle of a write. In the product nothing is left of that.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A point between two changes of the disk.
#[cfg(not(test))]
pub(super) const fn step() {}
#[cfg(test)]
pub(super) use super::tests::crash::step;

/// Writes at an offset.
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(test)]
    {
        super::tests::crash::fail()?;
        step();
        let (half, _) = bytes.split_at(bytes.len() / 2);
        if super::tests::crash::armed() {
            file.write_all_at(half, offset)?;
        }
    }
    step();
    file.write_all_at(bytes, offset)
}
