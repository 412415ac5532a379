//! stub
use crate::setting::{Percent, Size};
use serde::Deserialize;
use std::path::{Path, PathBuf};
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub max_size: Size,
    pub disk_reserve: Percent,
}
impl Default for Settings {
    fn default() -> Self {
        Self {
            max_size: Size(1 << 30),
            disk_reserve: Percent(10),
        }
    }
}
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct Error;
pub type Result<T> = std::result::Result<T, Error>;
pub struct EntryRef<'a> {
    pub received_at_ms: i64,
    pub source: u8,
    pub options: &'a [u8],
    pub raw: &'a [u8],
}
pub struct Entry {
    pub received_at_ms: i64,
    pub source: u8,
    pub options: Vec<u8>,
    pub raw: Vec<u8>,
}
pub struct DeadLetter<'a> {
    pub reason: &'a str,
    pub received_at_ms: i64,
    pub source: u8,
    pub options: &'a [u8],
    pub raw: &'a [u8],
}
pub struct DeadEntry {
    pub received_at_ms: i64,
    pub source: u8,
    pub options: Vec<u8>,
    pub raw: Vec<u8>,
}
pub struct DeadSummary {
    pub id: String,
    pub reason: String,
    pub received_at_ms: i64,
    pub source: u8,
    pub bytes: u64,
}
pub struct Summary {
    pub id: u64,
    pub received_at_ms: i64,
    pub source: u8,
    pub bytes: u64,
}
pub struct Status {
    pub pending: u64,
    pub pending_bytes: u64,
    pub oldest_ms: Option<i64>,
    pub bytes_on_disk: u64,
    pub max_size: u64,
    pub disk_free: u64,
    pub dead: u64,
    pub dead_bytes: u64,
    pub damaged: u64,
}
pub struct Spool {
    folder: PathBuf,
}
pub struct Drain;
impl Spool {
    pub fn new(state: &Path, destination: &str, _s: &Settings) -> Self {
        Self {
            folder: state.join("spool").join(destination),
        }
    }
    pub fn folder(&self) -> &Path {
        &self.folder
    }
    pub fn prepare(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|_| Error)
    }
    pub fn put(&self, _e: &EntryRef<'_>) -> Result<u64> {
        Err(Error)
    }
    pub fn has_pending(&self) -> bool {
        false
    }
    pub fn status(&self) -> Result<Status> {
        Err(Error)
    }
    pub fn list(&self, _l: usize) -> Result<Vec<Summary>> {
        Err(Error)
    }
    pub fn drain(&self) -> Result<Option<Drain>> {
        Err(Error)
    }
    pub fn drainer(&self) -> Option<u32> {
        None
    }
    pub fn bury(&self, _d: &DeadLetter<'_>) -> Result<String> {
        Err(Error)
    }
    pub fn dead(&self) -> Result<Vec<DeadSummary>> {
        Ok(vec![])
    }
    pub fn dead_show(&self, _id: &str) -> Result<DeadEntry> {
        Err(Error)
    }
    pub fn dead_drop(&self, _id: &str) -> Result<()> {
        Err(Error)
    }
}
impl Drain {
    pub fn next_batch(&mut self, _r: usize, _b: usize) -> Result<Vec<(u64, Entry)>> {
        Ok(vec![])
    }
    pub fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}
pub fn destinations(_s: &Path) -> Result<Vec<String>> {
    Ok(vec![])
}
