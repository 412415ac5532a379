//! The inventory as data: its kinds as a table, what makes two rows the same one, and how a row of
//! the Wazuh server API becomes a document. No clock, no disk, no network.

mod agent;
mod item;
mod kind;
mod nest;
mod table;

pub use agent::{Agent, Status};
pub use item::{Digest, Hash, Id, Item, Owner, digest, identity, item};
pub use kind::{Kind, Probe, Versions};
pub use table::{AGENTS, KINDS, find, parse};

/// A row as the API sends it.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// The text under a dotted path, whether the server sent it nested or with dots in its name: it
/// does the one or the other by how many fields of a group have a value.
pub fn text<'a>(row: &'a Row, path: &str) -> Option<&'a str> {
    nest::field(row, path)?.as_str()
}

#[cfg(test)]
mod tests;
