//! What has to be known of an agent to plan its reading: a few dozen bytes of its row.

use super::{Owner, Row, text};

/// The manager itself; each node of a cluster has one.
const MANAGER: &str = "000";

/// An agent's connection as Wazuh names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It reports.
    Active,
    /// It has reported, and its data is as last synchronised.
    Disconnected,
    /// It is registered and has no data.
    NeverConnected,
    /// It is on its way, or something that this version does not know.
    Other,
}

/// An agent as the planning sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Three digits or more, `007`.
    pub id: String,
    /// Its name; not unique.
    pub name: String,
    /// Its connection.
    pub status: Status,
    /// Which node it reports to.
    pub node: Option<String>,
    /// When it was last heard of; moves all the time while it is active.
    pub last_keep_alive: Option<String>,
    /// `windows`, `ubuntu`, …
    pub platform: Option<String>,
    /// The operating system as one text, to see whether it changed.
    pub os: Option<String>,
    /// Its groups.
    pub groups: Vec<String>,
}

impl Agent {
    /// Reads what is needed. None without an id, or with one that could not be put into a path.
    pub fn of(row: &Row) -> Option<Self> {
        let id = text(row, "id").filter(|id| is_id(id))?;
        let owned = |path: &str| text(row, path).map(str::to_owned);
        let os = row.get("os").filter(|os| os.is_object());
        Some(Self {
            id: id.to_owned(),
            name: owned("name").unwrap_or_default(),
            status: match text(row, "status") {
                Some("active") => Status::Active,
                Some("disconnected") => Status::Disconnected,
                Some("never_connected") => Status::NeverConnected,
                _ => Status::Other,
            },
            node: owned("node_name"),
            last_keep_alive: owned("lastKeepAlive"),
            platform: owned("os.platform"),
            os: os.map(|_| os_text(row)),
            groups: groups(row),
        })
    }

    /// Whose rows its inventory is.
    pub fn owner(&self, site: &str) -> Owner {
        Owner {
            site: site.to_owned(),
            agent: self.id.clone(),
            node: self.node.clone().filter(|_| self.is_manager()),
        }
    }

    /// Whether it is the manager's own.
    pub fn is_manager(&self) -> bool {
        self.id == MANAGER
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 16 && id.bytes().all(|byte| byte.is_ascii_digit())
}

fn os_text(row: &Row) -> String {
    let parts = [
        "os.name",
        "os.version",
        "os.platform",
        "os.arch",
        "os.uname",
        "os.build",
    ];
    let parts: Vec<_> = parts
        .iter()
        .map(|path| text(row, path).unwrap_or_default())
        .collect();
    // The Wazuh agent's own version: an update may bring fields that it did not send before.
    format!(
        "{}|{}",
        parts.join("|"),
        text(row, "version").unwrap_or_default()
    )
}

fn groups(row: &Row) -> Vec<String> {
    let Some(groups) = row.get("group").and_then(|group| group.as_array()) else {
        return Vec::new();
    };
    groups
        .iter()
        .filter_map(|group| group.as_str().map(str::to_owned))
        .collect()
}
