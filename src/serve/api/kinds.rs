//! The kinds of inventory as paths: the last word of `/api/agents/{id}/{kind}`, and its collection.

use crate::store::reader::Order;

/// A kind of inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its name in paths, settings and on the command line.
    pub(super) name: &'static str,
    pub(super) collection: &'static str,
    pub(super) order: Order,
}

/// The agents themselves.
pub(super) const AGENTS: Kind = kind("agents", "agents", Order::Agent);
/// What is installed.
pub(super) const SOFTWARE: Kind = kind("software", "software_inventory", Order::Name);

/// All that an agent has.
pub(super) const KINDS: [Kind; 17] = [
    kind("osinfo", "os_info", Order::None),
    SOFTWARE,
    kind("hotfixes", "hotfixes", Order::None),
    kind("syscheck", "syscheck", Order::Modified),
    kind("hardware", "hardware", Order::None),
    kind("network_interfaces", "network_interfaces", Order::None),
    kind("network_addresses", "network_addresses", Order::None),
    kind("network_protocols", "network_protocols", Order::None),
    kind("users", "users", Order::None),
    kind("groups", "groups", Order::None),
    kind("services", "services", Order::None),
    kind("browser_extensions", "browser_extensions", Order::None),
    kind("ports", "ports", Order::None),
    kind("processes", "processes", Order::None),
    kind("sca_policies", "sca_policies", Order::None),
    kind("sca_checks", "sca_checks", Order::None),
    kind("rootcheck", "rootcheck", Order::None),
];

const fn kind(name: &'static str, collection: &'static str, order: Order) -> Kind {
    Kind {
        name,
        collection,
        order,
    }
}

/// The kind with this name in a path.
pub(super) fn find(name: &str) -> Option<Kind> {
    KINDS.into_iter().find(|kind| kind.name == name)
}

/// All names, for messages.
pub(super) fn names() -> String {
    KINDS.map(|kind| kind.name).join(", ")
}
