//! Agents, inventory, its age, and the runs that read it.

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::listing::Key;
use super::plan::{Pace, Plan};
use super::source::{Ask, Source};
use super::{Fault, Listing, Page, Reader, Record, heard, site};
use crate::inventory::AGENTS;

pub(super) const STATES: &str = "collect_state";
const RUNS: &str = "collect_runs";
/// An agent has one state for each kind, site and node of the manager.
const STATES_READ: u64 = 200;

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By `name`.
    Name,
    /// By `mtime`, newest first.
    Modified,
    /// By `agent_id`.
    Agent,
    /// As it lies there; pages by `_id`.
    None,
}

/// Which versions of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// What is there now.
    Current,
    /// Also what was there before.
    History,
}

/// Which rows of an inventory.
#[derive(Debug, Clone)]
pub struct InventoryList {
    /// The collection.
    pub collection: &'static str,
    /// How they are ordered.
    pub order: Order,
    /// Which versions.
    pub rows: Rows,
    /// `_site`.
    pub site: Option<String>,
    /// `agent_id`.
    pub agent_id: Option<String>,
    /// Further fields and their texts.
    pub equal: Vec<(&'static str, String)>,
}

/// How old an agent's inventory of one kind is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// Whose, where there are several.
    pub site: String,
    /// For the manager itself: which node.
    pub node: Option<String>,
    /// When it was last known to be current, in milliseconds since 1970.
    pub checked_at: Option<i64>,
    /// When the last complete read began.
    pub read_at: Option<i64>,
    /// Whether everything that the last read saw is stored.
    pub is_complete: bool,
    /// Rows at the last read.
    pub count: i64,
    /// A hash over their contents.
    pub digest: String,
}

impl Order {
    fn key(self) -> Option<Key> {
        let key = |field, least, is_descending, behind| {
            Some(Key {
                field,
                least,
                is_descending,
                behind,
            })
        };
        match self {
            Self::Name => key("name", Bson::from(""), false, "name"),
            Self::Agent => key("agent_id", Bson::from(""), false, "agent_id"),
            Self::Modified => {
                let least = DateTime::from_millis(i64::MIN);
                key("mtime", least.into(), true, "mtime")
            }
            Self::None => None,
        }
    }
}

impl Reader {
    /// The rows of an inventory.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`, `TooManySites`.
    pub async fn inventory(&self, list: &InventoryList, mut page: Page) -> Result<Listing, Fault> {
        let (sites, _) = self
            .surroundings(list.collection, list.site.as_deref())
            .await?;
        let mut prefix = site::is_one_of(&sites);
        if let Some(agent) = &list.agent_id {
            prefix.insert("agent_id", agent);
        }
        if list.rows == Rows::Current {
            prefix.insert("_removed_at", Bson::Null);
        }
        for (field, text) in &list.equal {
            prefix.insert(*field, text);
        }
        let is_heard = list.collection == AGENTS.collection && heard::prepare(&mut page);
        let collection = self.collection(list.collection).await?;
        let key = list.order.key();
        let listing = Listing::new(collection, exact(prefix), key, page);
        Ok(if is_heard {
            listing.with_times(self.heard(&sites).await?)
        } else {
            listing
        })
    }

    /// How old an agent's inventory of a kind is, by the names that `collect` gives them; one for
    /// each site and node that has it.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`.
    pub async fn freshness(
        &self,
        agent_id: &str,
        kind: &str,
        site: Option<&str>,
    ) -> Result<Vec<Freshness>, Fault> {
        let (sites, _) = self.surroundings(STATES, site).await?;
        let mut filter = site::is_one_of(&sites);
        filter.extend(doc! { "agent_id": agent_id, "kind": kind });
        let ask = Ask {
            filter,
            wanted: Some(STATES_READ),
            is_limited: true,
            ..Ask::default()
        };
        let mut source = Source::open(&self.collection(STATES).await?, ask).await?;
        let mut found = Vec::new();
        while let Some(state) = source.next().await? {
            let date = |name: &str| {
                state
                    .get_datetime(name)
                    .ok()
                    .map(mongodb::bson::DateTime::timestamp_millis)
            };
            let text = |name: &str| state.get_str(name).ok().map(str::to_owned);
            found.push(Freshness {
                site: text("_site").unwrap_or_default(),
                node: text("_node"),
                checked_at: date("checked_at"),
                read_at: date("read_at"),
                is_complete: state.get_bool("complete").unwrap_or_default(),
                count: state.get_i64("count").unwrap_or_default(),
                digest: text("digest").unwrap_or_default(),
            });
        }
        found.sort_by(|a, b| (&a.site, &a.node).cmp(&(&b.site, &b.node)));
        Ok(found)
    }

    /// The runs of `collect`, newest first.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`.
    pub async fn runs(&self, site: Option<&str>, page: Page) -> Result<Listing, Fault> {
        let prefix = site::condition(site);
        let key = Key {
            field: "started_at",
            least: DateTime::from_millis(i64::MIN).into(),
            is_descending: true,
            behind: "_id",
        };
        let collection = self.collection(RUNS).await?;
        Ok(Listing::new(collection, exact(prefix), Some(key), page))
    }

    /// A hash over everything that a list has; none if it has more than `most` documents.
    ///
    /// # Errors
    ///
    /// As `inventory`.
    pub async fn fingerprint(
        &self,
        list: &InventoryList,
        most: u64,
    ) -> Result<Option<String>, Fault> {
        use sha2::{Digest, Sha256};
        let mut listing = self.inventory(list, Page::default()).await?;
        let mut hash = Sha256::new();
        let mut count = 0;
        while let Some(record) = listing.next().await? {
            count += 1;
            if count > most {
                return Ok(None);
            }
            hash.update(Record::bytes(&record));
        }
        let digest = hash.finalize();
        let first: [u8; 16] = digest.first_chunk().copied().unwrap_or_default();
        Ok(Some(format!("{:032x}", u128::from_be_bytes(first))))
    }
}

fn exact(prefix: Document) -> Plan {
    Plan {
        prefix,
        keys: Document::new(),
        rest: Document::new(),
        index: None,
        pace: Pace::Exact,
        others: Vec::new(),
    }
}
