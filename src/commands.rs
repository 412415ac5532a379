//! What a user or wazuh-integratord asks for, one file each.

use std::time::{SystemTime, UNIX_EPOCH};

pub mod check;
pub mod collect;
pub mod hook;
mod output;
pub mod spool;
pub mod test;

pub use output::{Format, error_line};

/// Exit statuses; people script against them.
pub mod status {
    /// Stored, safely spooled, or done.
    pub const DONE: u8 = 0;
    /// Failed: a dead letter, a full spool.
    pub const FAILED: u8 = 1;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// `collect` finished, and some parts are missing.
    pub const PARTIAL: u8 = 3;
    /// The alert file is not there (the stock integrations' code).
    pub const NO_FILE: u8 = 6;
    /// The file holds no alert (the stock integrations' code).
    pub const NO_ALERT: u8 = 7;
    /// The settings are wrong (`EX_CONFIG` of sysexits.h).
    pub const CONFIG: u8 = 78;
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
