//! The kinds of inventory that an agent's database holds: path, how Wazuh names what is in it, and
//! the fields that `sort`, `select` and `q` know.

/// What can be read of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Syscheck,
    Os,
    Hardware,
    Packages,
    Hotfixes,
    Ports,
    Processes,
    Netiface,
    Netaddr,
    Netproto,
    Users,
    Groups,
    Services,
    BrowserExtensions,
    Sca,
    ScaChecks,
    Rootcheck,
}

use Kind::{
    BrowserExtensions, Groups, Hardware, Hotfixes, Netaddr, Netiface, Netproto, Os, Packages,
    Ports, Processes, Rootcheck, Sca, ScaChecks, Services, Syscheck, Users,
};

pub const ALL: [Kind; 17] = [
    Syscheck,
    Os,
    Hardware,
    Packages,
    Hotfixes,
    Ports,
    Processes,
    Netiface,
    Netaddr,
    Netproto,
    Users,
    Groups,
    Services,
    BrowserExtensions,
    Sca,
    ScaChecks,
    Rootcheck,
];

/// Further fields that `sort`, `select` and `q` take.
const MORE: [(Kind, &str); 17] = [
    (
        Syscheck,
        "date mtime file size perm uname gname md5 sha1 sha256 inode gid uid type changes attributes arch value.name value.type",
    ),
    (
        Os,
        "os.name os.version os.platform hostname version release sysname architecture os_release",
    ),
    (
        Hardware,
        "board_serial cpu.name cpu.cores ram.total ram.free",
    ),
    (
        Packages,
        "vendor description section multiarch priority install_time size source",
    ),
    (Hotfixes, "scan_id"),
    (Ports, "pid state process remote.ip remote.port"),
    (Processes, "name ppid state cmd start_time"),
    (Netiface, "mac mtu state type"),
    (Netaddr, "netmask broadcast"),
    (Netproto, "gateway dhcp"),
    (Users, "user.id user.shell user.home"),
    (Groups, "group.id"),
    (Services, "service.name service.state process.pid"),
    (BrowserExtensions, "package.id"),
    (Sca, "name score hash_file start_scan pass fail"),
    (ScaChecks, "title result reason"),
    (Rootcheck, "status date_first"),
];

impl Kind {
    /// The last part of `/syscollector/{id}/…`, or the first of the others' paths.
    pub fn name(self) -> &'static str {
        match self {
            Syscheck => "syscheck",
            Os => "os",
            Hardware => "hardware",
            Packages => "packages",
            Hotfixes => "hotfixes",
            Ports => "ports",
            Processes => "processes",
            Netiface => "netiface",
            Netaddr => "netaddr",
            Netproto => "netproto",
            Users => "users",
            Groups => "groups",
            Services => "services",
            BrowserExtensions => "browser_extensions",
            Sca => "sca",
            ScaChecks => "sca_checks",
            Rootcheck => "rootcheck",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it is under `/syscollector`.
    pub fn is_syscollector(self) -> bool {
        !matches!(self, Syscheck | Sca | ScaChecks | Rootcheck)
    }

    /// Only these have a variant under `/experimental`.
    pub fn is_experimental(self) -> bool {
        self.is_syscollector() && !self.is_of_4_14()
    }

    /// Absent before 4.14.
    pub fn is_of_4_14(self) -> bool {
        matches!(self, Users | Groups | Services | BrowserExtensions)
    }

    /// The right that is needed.
    pub fn action(self) -> &'static str {
        match self {
            Syscheck => "syscheck:read",
            Sca | ScaChecks => "sca:read",
            Rootcheck => "rootcheck:read",
            _ => "syscollector:read",
        }
    }

    /// The field that says when a row came, if the kind has one.
    pub fn stamp(self) -> Option<&'static str> {
        match self {
            Syscheck => Some("date"),
            Hotfixes => Some("scan_time"),
            Netaddr | Netproto | ScaChecks => None,
            Sca => Some("end_scan"),
            Rootcheck => Some("date_last"),
            _ => Some("scan.time"),
        }
    }

    /// The field that `select` cannot leave out.
    pub fn always(self) -> &'static str {
        match self {
            Syscheck => "file",
            Sca | ScaChecks => "policy_id",
            Rootcheck => "log",
            _ => "agent_id",
        }
    }

    /// The fields that make a row the same row.
    pub fn key(self) -> &'static [&'static str] {
        match self {
            Syscheck => &["type", "arch", "file", "value.name"],
            Os | Hardware => &[],
            Packages => &["name", "version", "architecture", "format", "location"],
            Hotfixes => &["hotfix"],
            Ports => &["protocol", "local.ip", "local.port", "inode"],
            Processes => &["pid"],
            Netiface => &["name"],
            Netaddr => &["iface", "proto", "address"],
            Netproto => &["iface", "type"],
            Users => &["user.name"],
            Groups => &["group.name"],
            Services => &["service.id", "file.path"],
            BrowserExtensions => &[
                "browser.name",
                "user.id",
                "browser.profile_path",
                "package.name",
                "package.version",
            ],
            Sca => &["policy_id"],
            ScaChecks => &["policy_id", "id"],
            Rootcheck => &["log"],
        }
    }

    /// Whether `sort`, `select` and `q` take this field.
    pub fn knows(self, field: &str) -> bool {
        let mut more = MORE.iter().filter(|(kind, _)| *kind == self);
        let more = more.any(|(_, names)| names.split(' ').any(|name| name == field));
        let scan = self.is_syscollector() && self != Hotfixes && field == "scan.id";
        let agent = self.is_syscollector() && field == "agent_id";
        scan || agent || self.stamp() == Some(field) || self.key().contains(&field) || more
    }
}
