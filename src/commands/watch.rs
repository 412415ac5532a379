//! `watch alerts|agents`: what is stored, live in the terminal, or as plain lines into a pipe. It
//! knows MongoDB alone: no file of Wazuh, no state folder.

mod agents;
mod alert;
mod alerts;
mod counts;
mod fleet;
mod table;
mod view;

pub use agents::Agents;
pub use alerts::Alerts;

use std::time::Duration;

use anyhow::Error;

use crate::commands::screen::clean;
use crate::config::Fault;
use crate::store::reader;

/// How often it is looked whether somebody wants the end, and whether the window has changed.
const TICK: Duration = Duration::from_millis(100);
/// How long the search for a server may take.
const CONNECT: Duration = Duration::from_secs(4);

/// A fault as what is going on: it is waited for, and seen to by nobody else.
fn away(why: &str) -> String {
    let why = clean(why);
    let why = why.trim_end_matches("; see custom-mongo check");
    format!("{why}; waiting for it")
}

/// Wrong settings have an exit status of their own.
fn explain(fault: reader::Fault) -> Error {
    match fault {
        reader::Fault::Settings(why) => Fault(why).into(),
        other => Error::msg(other.to_string()),
    }
}
