//! The table of kinds. Keys are those of the manager's databases (`wdb` schemas of Wazuh 4.4 to
//! 4.14); page sizes and orders were measured on a real server.

use super::kind::{Kind, Probe, Versions};

/// What most lists of `/syscollector` have in common.
const SYSCOLLECTOR: Kind = Kind {
    name: "",
    aliases: &[],
    collection: "",
    path: "",
    limit: 1000,
    sort: None,
    key: &[],
    moving: &["scan", "checksum"],
    dates: &["scan.time"],
    numbers: &[],
    category: None,
    probe: Probe::Newest("scan.time"),
    versions: Versions::Kept,
    platform: None,
    fleet: None,
};

/// The agents themselves.
pub static AGENTS: Kind = Kind {
    name: "agents",
    collection: "agents",
    path: "/agents",
    limit: 2000,
    key: &["id"],
    moving: &["lastKeepAlive"],
    dates: &["dateAdd", "lastKeepAlive", "disconnection_time"],
    probe: Probe::Read,
    ..SYSCOLLECTOR
};

/// Every kind that belongs to an agent, in the order in which an agent is read.
pub static KINDS: [Kind; 17] = [
    Kind {
        name: "osinfo",
        aliases: &["os"],
        collection: "os_info",
        path: "/syscollector/{agent}/os",
        category: Some("system_inventory"),
        probe: Probe::Agents,
        ..SYSCOLLECTOR
    },
    Kind {
        name: "software",
        aliases: &["packages"],
        collection: "software_inventory",
        path: "/syscollector/{agent}/packages",
        sort: Some("name,version"),
        key: &["name", "version", "architecture", "format", "location"],
        dates: &["scan.time", "install_time"],
        numbers: &["size"],
        category: Some("format"),
        fleet: Some("/experimental/syscollector/packages"),
        ..SYSCOLLECTOR
    },
    Kind {
        name: "hotfixes",
        collection: "hotfixes",
        path: "/syscollector/{agent}/hotfixes",
        key: &["hotfix"],
        moving: &["scan", "scan_id", "scan_time", "checksum"],
        dates: &["scan_time", "scan.time"],
        probe: Probe::Newest("scan_time"),
        platform: Some("windows"),
        fleet: Some("/experimental/syscollector/hotfixes"),
        ..SYSCOLLECTOR
    },
    Kind {
        name: "syscheck",
        aliases: &["fim"],
        collection: "syscheck",
        path: "/syscheck/{agent}",
        limit: 2000,
        sort: Some("file"),
        key: &["type", "arch", "file", "value.name"],
        moving: &["inode"],
        dates: &["date", "mtime"],
        numbers: &["size", "inode", "changes"],
        category: Some("event"),
        probe: Probe::Newest("date"),
        ..SYSCOLLECTOR
    },
    Kind {
        name: "hardware",
        collection: "hardware",
        path: "/syscollector/{agent}/hardware",
        moving: &["scan", "checksum", "ram.free", "ram.usage", "cpu.mhz"],
        probe: Probe::Read,
        ..SYSCOLLECTOR
    },
    Kind {
        name: "network_interfaces",
        aliases: &["netiface", "interfaces"],
        collection: "network_interfaces",
        path: "/syscollector/{agent}/netiface",
        key: &["name"],
        moving: &["scan", "checksum", "rx", "tx"],
        fleet: Some("/experimental/syscollector/netiface"),
        ..SYSCOLLECTOR
    },
    Kind {
        name: "network_addresses",
        aliases: &["netaddr", "addresses"],
        collection: "network_addresses",
        path: "/syscollector/{agent}/netaddr",
        key: &["iface", "proto", "address"],
        moving: &["scan", "scan_id", "checksum"],
        probe: Probe::With("network_interfaces"),
        ..SYSCOLLECTOR
    },
    Kind {
        name: "network_protocols",
        aliases: &["netproto", "protocols"],
        collection: "network_protocols",
        path: "/syscollector/{agent}/netproto",
        key: &["iface", "type"],
        moving: &["scan", "scan_id", "checksum"],
        probe: Probe::With("network_interfaces"),
        ..SYSCOLLECTOR
    },
    Kind {
        name: "users",
        collection: "users",
        path: "/syscollector/{agent}/users",
        key: &["user.name"],
        moving: &["scan", "checksum", "login", "process_pid"],
        ..SYSCOLLECTOR
    },
    Kind {
        name: "groups",
        collection: "groups",
        path: "/syscollector/{agent}/groups",
        key: &["group.name"],
        ..SYSCOLLECTOR
    },
    Kind {
        name: "services",
        collection: "services",
        path: "/syscollector/{agent}/services",
        key: &["service.id", "file.path"],
        moving: &["scan", "checksum", "process.pid"],
        ..SYSCOLLECTOR
    },
    Kind {
        name: "browser_extensions",
        collection: "browser_extensions",
        path: "/syscollector/{agent}/browser_extensions",
        key: &[
            "browser.name",
            "user.id",
            "browser.profile_path",
            "package.name",
            "package.version",
        ],
        ..SYSCOLLECTOR
    },
    Kind {
        name: "ports",
        collection: "ports",
        path: "/syscollector/{agent}/ports",
        key: &["protocol", "local.ip", "local.port", "inode"],
        moving: &["scan", "checksum", "rx_queue", "tx_queue"],
        versions: Versions::Current,
        fleet: Some("/experimental/syscollector/ports"),
        ..SYSCOLLECTOR
    },
    Kind {
        name: "processes",
        collection: "processes",
        path: "/syscollector/{agent}/processes",
        key: &["pid"],
        moving: &[
            "scan",
            "checksum",
            "stime",
            "utime",
            "resident",
            "share",
            "size",
            "vm_size",
            "processor",
            "state",
            "nlwp",
            "priority",
        ],
        numbers: &["pid"],
        versions: Versions::Current,
        fleet: Some("/experimental/syscollector/processes"),
        ..SYSCOLLECTOR
    },
    Kind {
        name: "sca_policies",
        collection: "sca_policies",
        path: "/sca/{agent}",
        limit: 500,
        key: &["policy_id"],
        moving: &["start_scan", "end_scan"],
        dates: &["start_scan", "end_scan"],
        probe: Probe::Read,
        ..SYSCOLLECTOR
    },
    Kind {
        name: "sca_checks",
        collection: "sca_checks",
        path: "/sca/{agent}/checks",
        limit: 500,
        key: &["policy_id", "id"],
        moving: &[],
        dates: &[],
        probe: Probe::Policies,
        ..SYSCOLLECTOR
    },
    Kind {
        name: "rootcheck",
        collection: "rootcheck",
        path: "/rootcheck/{agent}",
        limit: 500,
        key: &["log"],
        moving: &["date_last"],
        dates: &["date_first", "date_last"],
        probe: Probe::Newest("date_last"),
        ..SYSCOLLECTOR
    },
];

/// The kind with exactly this name.
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The kinds that a person's word stands for; `sca` is two of them. `agents` stands for none of
/// these: the agents are always read.
///
/// # Errors
///
/// Names the nearest known word.
pub fn parse(word: &str) -> Result<Vec<&'static Kind>, String> {
    let word = word.trim().to_ascii_lowercase();
    match word.as_str() {
        "agents" => return Ok(Vec::new()),
        "sca" => {
            return Ok(KINDS
                .iter()
                .filter(|kind| kind.name.starts_with("sca_"))
                .collect());
        }
        _ => {}
    }
    let meant = |kind: &&Kind| {
        let own = [kind.name, kind.collection];
        own.contains(&word.as_str()) || kind.aliases.contains(&word.as_str())
    };
    let found = KINDS.iter().find(meant);
    found.map(|kind| vec![kind]).ok_or_else(|| unknown(&word))
}

fn unknown(word: &str) -> String {
    let names = KINDS.iter().map(|kind| kind.name).chain(["agents", "sca"]);
    let nearest = names.max_by(|a, b| {
        let near = |name| strsim::jaro_winkler(word, name);
        near(a).total_cmp(&near(b))
    });
    let nearest = nearest.unwrap_or_default();
    format!("unknown kind `{word}`; did you mean `{nearest}`?")
}
