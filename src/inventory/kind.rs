//! What is to be known of a kind of inventory.

/// A kind of inventory: where it comes from, what identifies a row, where it goes.
#[derive(Debug)]
pub struct Kind {
    /// As on the command line, in settings and in the API's paths.
    pub name: &'static str,
    /// Other names that are understood: Wazuh's own.
    pub(super) aliases: &'static [&'static str],
    /// The collection, and `log_type` of its documents.
    pub collection: &'static str,
    /// Path of the list; `{agent}` stands for the agent's id.
    pub(super) path: &'static str,
    /// Rows a page: `merge()` of the server is quadratic in them for syscollector.
    pub limit: u64,
    /// The order in which pages are cheap and stable.
    pub sort: Option<&'static str>,
    /// The primary key of the agent's database on the manager, without the agent.
    pub key: &'static [&'static str],
    /// Dotted paths (or whole branches) that move by themselves and make no new version.
    pub(super) moving: &'static [&'static str],
    /// Dotted paths that hold a time as text.
    pub(super) dates: &'static [&'static str],
    /// Dotted paths that hold a whole number, which some versions send as text.
    pub(super) numbers: &'static [&'static str],
    /// The field that says `_category`; none: `default`.
    pub(super) category: Option<&'static str>,
    /// How to learn whether something changed.
    pub probe: Probe,
    /// Whether older versions are kept.
    pub versions: Versions,
    /// The only `os.platform` that has rows of this kind.
    pub platform: Option<&'static str>,
    /// Path that asks many agents at once, where the server has experimental features on.
    pub fleet: Option<&'static str>,
}

/// The cheap way to learn whether an agent's rows changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The newest value of this field, and the total.
    Newest(&'static str),
    /// The rows themselves carry no time; they change together with another kind's.
    With(&'static str),
    /// Reading costs no more than asking.
    Read,
    /// The list of agents already says it.
    Agents,
    /// The policies, by which the checks are read.
    Policies,
}

/// What becomes of a version that is no longer current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// It is kept, with `_removed_at`.
    Kept,
    /// It is forgotten: what moves all the time has no history.
    Current,
}

impl Kind {
    /// The path of one agent's list.
    pub fn path(&self, agent: &str) -> String {
        self.path.replace("{agent}", agent)
    }

    /// Whether the path, or a branch above it, moves by itself.
    pub(super) fn moves(&self, path: &str) -> bool {
        self.moving.iter().any(|moving| {
            path.strip_prefix(moving)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}
