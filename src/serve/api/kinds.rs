//! The kinds of inventory as paths: the last word of `/api/agents/{id}/{kind}`.

use crate::inventory::{AGENTS as AGENT_KIND, KINDS, Kind, find as find_kind};
use crate::store::reader::Order;

/// The agents themselves.
pub(super) const AGENTS: &Kind = &AGENT_KIND;
/// What is installed, as a path names it.
pub(super) const SOFTWARE: &str = "software";

/// The kind with this name in a path.
pub(super) fn find(name: &str) -> Option<&'static Kind> {
    find_kind(name)
}

/// In which order people read it; that of the Python service where it had one.
pub(super) fn order(kind: &Kind) -> Order {
    match kind.name {
        "agents" => Order::Agent,
        SOFTWARE => Order::Name,
        "syscheck" => Order::Modified,
        _ => Order::None,
    }
}

/// All names, for messages.
pub(super) fn names() -> String {
    KINDS.each_ref().map(|kind| kind.name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_of_the_api_names_every_kind() {
        let document: serde_json::Value =
            serde_json::from_str(include_str!("openapi.json")).unwrap();
        let named = &document["components"]["parameters"]["kind"]["schema"]["enum"];
        let all: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(*named, serde_json::json!(all));
    }
}
