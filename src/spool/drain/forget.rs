//! Removes from the disk what is delivered. Otherwise the bytes of delivered alerts stay in the newest
//! segment and in the spare one until others are written over them.

use super::Drain;
use crate::spool::error::Result;
use crate::spool::sectors::Kind;
use crate::spool::segment::{Lock, Segment};
use crate::spool::{file, folder};

impl Drain {
    /// Removes every segment that holds nothing to be delivered, and the spare one. Says whether
    /// none is left that holds bytes of delivered alerts: one that waits, or is being written to,
    /// stays.
    pub fn forget(self) -> Result<bool> {
        let folder = self.spool.folder();
        let mut is_clean = true;
        for number in folder::list(folder)?.unwrap_or_default().numbers {
            let Lock::Held(segment) = Segment::lock(folder, number)? else {
                is_clean = false;
                continue;
            };
            if segment.foreign() || !segment.ends_at(segment.cursor())? {
                is_clean = false;
                continue;
            }
            // Who has it open already finds it sealed, and makes another.
            segment.write(Kind::Seal, segment.cursor())?;
            file::remove(&segment.path)?;
        }
        Ok(self.forget_spare()? && is_clean)
    }

    fn forget_spare(&self) -> Result<bool> {
        let folder = self.spool.folder();
        if let Some(spare) = folder::take_spare(folder)? {
            file::remove(&spare.path)?;
        }
        Ok(!folder::list(folder)?.unwrap_or_default().spare)
    }
}
