//! What starts us beside wazuh-integratord: units of systemd, or cron, and what turns the log.

use std::path::PathBuf;

use super::host::Host;
use super::tree::Attributes;

/// What runs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Brings in what waits in the spool.
    Drain,
    /// Brings in the inventory, every fifteen minutes.
    Collect,
    /// The resident service.
    Serve,
    /// Tails alerts.json.
    Follow,
}

const UNITS: [(&str, Service, &str); 6] = [
    (
        "custom-mongo-drain.service",
        Service::Drain,
        include_str!("../../../packaging/systemd/custom-mongo-drain.service"),
    ),
    (
        "custom-mongo-drain.timer",
        Service::Drain,
        include_str!("../../../packaging/systemd/custom-mongo-drain.timer"),
    ),
    (
        "custom-mongo-collect.service",
        Service::Collect,
        include_str!("../../../packaging/systemd/custom-mongo-collect.service"),
    ),
    (
        "custom-mongo-collect.timer",
        Service::Collect,
        include_str!("../../../packaging/systemd/custom-mongo-collect.timer"),
    ),
    (
        "custom-mongo.service",
        Service::Serve,
        include_str!("../../../packaging/systemd/custom-mongo.service"),
    ),
    (
        "custom-mongo-follow.service",
        Service::Follow,
        include_str!("../../../packaging/systemd/custom-mongo-follow.service"),
    ),
];

/// Lines for the spool and the inventory.
const CRON: &str = include_str!("../../../packaging/cron/custom-mongo");
const LOGROTATE: &str = include_str!("../../../packaging/logrotate/custom-mongo");

/// A file that is put into place as it is.
pub struct Shipped {
    /// Where.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Its owner and mode.
    pub attributes: Attributes,
}

impl Service {
    /// What an administrator enables.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Drain => "custom-mongo-drain.timer",
            Self::Collect => "custom-mongo-collect.timer",
            Self::Serve => "custom-mongo.service",
            Self::Follow => "custom-mongo-follow.service",
        }
    }

    /// Whether cron can do it as well.
    pub fn is_periodic(self) -> bool {
        matches!(self, Self::Drain | Self::Collect)
    }
}

/// The units of these services.
pub fn units(host: &Host, services: &[Service]) -> Vec<Shipped> {
    let wanted = UNITS
        .iter()
        .filter(|(_, service, _)| services.contains(service));
    wanted
        .map(|(name, _, text)| shipped(host, host.layout.unit(name), text))
        .collect()
}

/// The names of all units that there can be, for taking them back.
pub fn is_unit(name: &str) -> bool {
    UNITS.iter().any(|(unit, _, _)| *unit == name)
}

/// The lines of cron for these services.
pub fn cron(host: &Host, services: &[Service]) -> Shipped {
    let keeps = |line: &&str| services.contains(&Service::Collect) || !line.contains(" collect ");
    let lines: String = CRON.split_inclusive('\n').filter(keeps).collect();
    shipped(host, host.layout.cron(), &lines)
}

/// How the log is turned.
pub fn logrotate(host: &Host) -> Shipped {
    shipped(host, host.layout.logrotate(), LOGROTATE)
}

/// The text as it is shipped is for the usual home and the usual user.
fn shipped(host: &Host, path: PathBuf, text: &str) -> Shipped {
    let home = host.layout.home().display().to_string();
    let text = text
        .replace("/var/ossec", &home)
        .replace("User=wazuh", &format!("User={}", host.user))
        .replace("Group=wazuh", &format!("Group={}", host.group))
        .replace(" wazuh wazuh", &format!(" {} {}", host.user, host.group))
        .replace("* wazuh ", &format!("* {} ", host.user));
    Shipped {
        path,
        text,
        attributes: Host::roots(0o644),
    }
}
