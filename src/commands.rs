//! What a user or wazuh-integratord asks for, one file each.

pub mod backfill;
pub mod check;
pub mod collect;
pub mod erase;
mod feeding;
pub mod follow;
pub mod hook;
pub mod install;
pub mod migrate;
mod output;
pub mod overview;
mod screen;
pub mod serve;
pub mod spool;
mod stop;
pub mod test;
pub mod token;
pub mod watch;

pub use output::{Format, bytes as print, error_line};
pub(crate) use screen::clean;

/// Exit statuses; people script against them.
pub mod status {
    /// Stored, safely spooled, or done.
    pub const DONE: u8 = 0;
    /// Failed: a dead letter, a full spool.
    pub const FAILED: u8 = 1;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// Finished, with some parts missing.
    pub const PARTIAL: u8 = 3;
    /// The alert file is not there (the stock integrations' code).
    pub const NO_FILE: u8 = 6;
    /// The file holds no alert (the stock integrations' code).
    pub const NO_ALERT: u8 = 7;
    /// The settings are wrong (`EX_CONFIG` of sysexits.h).
    pub const CONFIG: u8 = 78;
}

use crate::delivery::now;
