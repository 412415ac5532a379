//! Stub of the client until the real room is merged.
#![allow(dead_code, missing_docs, clippy::all, clippy::pedantic, unused_variables, reason = "a stub")]
use std::path::Path;
use std::time::Instant;
use serde_json::{Map, Value};
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct Settings { pub url: crate::setting::List }
pub struct Api;
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally { pub requests: u64, pub retries: u64, pub limited: u64, pub logins: u64, pub bytes: u64 }
#[derive(Debug, Clone)]
pub struct Listing { pub path: String, pub query: Vec<(String, String)>, pub limit: u64 }
pub struct Page { pub items: Vec<Map<String, Value>>, pub total: u64, pub limit: u64 }
pub struct Failed { pub code: i64, pub message: String, pub ids: Vec<String> }
pub struct Answer { pub items: Vec<Map<String, Value>>, pub failed: Vec<Failed>, pub total: u64, pub data: Value }
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")] NoDatabase(String),
    #[error("{0}")] Forbidden(String),
    #[error("{0}")] Absent(String),
    #[error("{0}")] BadLogin(String),
    #[error("{0}")] Settings(String),
    #[error("the deadline is reached")] Deadline,
    #[error("{0}")] Refused(String),
    #[error("{0}")] Unavailable(String),
}
impl Api {
    pub fn new(settings: &Settings, trusted_pin: Option<&str>, state: &Path, until: Instant) -> Result<Api, Error> { Err(Error::Settings("stub".into())) }
    pub fn get(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Error> { Err(Error::Deadline) }
    pub fn page(&mut self, list: &Listing, offset: u64) -> Result<Page, Error> { Err(Error::Deadline) }
    pub fn tally(&self) -> Tally { Tally::default() }
}
