//! The door for questions: asynchronous, for whoever serves them. Every query has a limit of its own
//! in documents and in time, and is answered from an index where the indexes are there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

mod filter;
mod fleet;
mod heard;
mod inventory;
mod json;
mod listing;
mod live;
mod overview;
mod plan;
mod position;
mod site;
mod source;
mod stats;
mod tail;

pub use filter::AlertFilter;
pub use inventory::{Freshness, InventoryList, Order, Rows};
pub use json::Shape;
pub use listing::Listing;
pub use live::{Live, News};
pub use overview::Overview;
pub use position::Position;
pub use stats::{Bucket, By};
pub use tail::{Event, Tail};

use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use mongodb::error::{Error as DriverError, ErrorKind};
use tokio::sync::OnceCell;

use crate::inventory::{AGENTS, KINDS, Kind};
use source::Collection;

use super::{Error, Indexes, Settings, alerts, command, connect, indexes, refusal};

/// How long the search for a server may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a question may take that only proves that somebody answers.
const PING_TIME: Duration = Duration::from_secs(1);
/// How long the server may work on one page.
const PAGE_TIME: Duration = Duration::from_secs(10);
/// How long the server may work on a list without a limit, all its batches together.
const STREAM_TIME: Duration = Duration::from_secs(15 * 60);
/// How long one answer of the server may take on the wire: the driver has no limit of its own.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// More are not counted.
pub const COUNTED: u64 = 10_000;
/// Connections at most: each has a stack in mongod.
const POOL: u32 = 10;
/// `MaxTimeMSExpired` and what an unknown zone, or a lost position in the oplog, is answered with
/// (<https://www.mongodb.com/docs/manual/reference/error-codes/>).
const TOO_SLOW: i32 = 50;
const UNKNOWN_ZONE: i32 = 40485;
const HISTORY_LOST: [i32; 4] = [136, 260, 280, 286];
/// `listIndexes` names an index from the moment on when its build begins, and a hint to it is refused
/// until the build has ended.
const BAD_VALUE: i32 = 2;
const NOT_READY: &str = "hint provided does not correspond to an existing index";

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// MongoDB cannot be asked now, or broke off.
    #[error("{0}")]
    Unavailable(String),
    /// The settings do not lead to a MongoDB.
    #[error("{0}")]
    Settings(String),
    /// It would take longer than a question may.
    #[error("the question takes MongoDB too long; narrow it with since, until, site or agent_id")]
    TooSlow,
    /// The index that answers it is not ready.
    #[error("an index that answers this is being built; ask again in a while")]
    IndexPending,
    /// More sites than one list can be merged from.
    #[error("there are too many sites for one list; name one with site=")]
    TooManySites,
    /// MongoDB does not know the time zone.
    #[error("the time zone is not known; write for example Europe/Berlin or +02:00")]
    UnknownZone,
    /// The position to go on from is no longer in MongoDB's log.
    #[error("the position is too old")]
    HistoryLost,
}

impl From<DriverError> for Fault {
    fn from(error: DriverError) -> Self {
        if let ErrorKind::Command(command) = error.kind.as_ref() {
            match command.code {
                TOO_SLOW => return Self::TooSlow,
                UNKNOWN_ZONE => return Self::UnknownZone,
                BAD_VALUE if command.message.contains(NOT_READY) => return Self::IndexPending,
                code if HISTORY_LOST.contains(&code) => return Self::HistoryLost,
                _ => {}
            }
        }
        refusal::sort(&error).into()
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Settings(why) => Self::Settings(why),
            Error::Unavailable(why) | Error::Rejected(why) => Self::Unavailable(why),
        }
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// How many documents at most; none is all of them.
    pub limit: Option<u64>,
    /// Where the page before ended.
    pub after: Option<Position>,
    /// Only these fields (dotted); empty is all.
    pub fields: Vec<String>,
}

/// One document.
#[derive(Debug, Clone)]
pub struct Record(RawDocumentBuf);

impl Record {
    fn raw(&self) -> &RawDocument {
        &self.0
    }

    /// The document's bytes, to recognise it again.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// How many there are, up to `COUNTED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The number, at most `COUNTED`.
    pub value: u64,
    /// Whether there are more.
    pub is_capped: bool,
}

/// What is remembered for a moment: the names of each collection's indexes.
type Remembered = Mutex<HashMap<String, (Instant, Arc<HashSet<String>>)>>;

/// A client for questions; connects with the first one. Only within a runtime that drives network
/// and time.
#[derive(Clone)]
pub struct Reader {
    settings: Arc<Settings>,
    connect: Duration,
    database: Arc<OnceCell<Database>>,
    indexes: Arc<Remembered>,
}

impl Reader {
    /// Connects to nothing yet: MongoDB and even its name may be away.
    pub fn new(settings: &Settings) -> Self {
        Self::hurried(settings, CONNECT)
    }

    /// As `new`; the search for a server takes at most so long.
    pub fn hurried(settings: &Settings, connect: Duration) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            connect,
            database: Arc::default(),
            indexes: Arc::default(),
        }
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`.
    pub async fn ping(&self) -> Result<(), Fault> {
        let ping = async {
            let database = self.database().await?;
            let ping = command::run(database, doc! { "ping": 1 }).await;
            ping.map(drop).map_err(Fault::from)
        };
        let ping = tokio::time::timeout(PING_TIME, ping).await;
        ping.unwrap_or_else(|_| Err(no_answer(PING_TIME)))
    }

    /// Closes the connections.
    pub async fn close(&self) {
        if let Some(database) = self.database.get() {
            database.client().clone().shutdown().immediate(true).await;
        }
    }

    /// Creates missing indexes of the inventory that is there; the Python service left it without.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`.
    pub async fn create_inventory_indexes(&self) -> Result<Indexes, Fault> {
        let database = self.database().await?;
        let kinds: Vec<&str> = inventory_kinds().map(|kind| kind.collection).collect();
        let ours = doc! { "name": { "$in": &kinds } };
        let list = doc! { "listCollections": 1, "nameOnly": true, "filter": ours };
        let there = command::list(database, list).await?;
        let is_there = |name: &str| {
            there
                .iter()
                .any(|there| there.get_str("name").ok() == Some(name))
        };
        let there: Vec<&str> = kinds.into_iter().filter(|name| is_there(name)).collect();
        if there.is_empty() {
            return Ok(Indexes::LeftAlone);
        }
        Ok(indexes::create_for_inventory(database.clone(), &there).await?)
    }

    /// The alerts that a filter lets through, newest first.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`, `TooManySites`.
    pub async fn alerts(&self, filter: &AlertFilter, page: Page) -> Result<Listing, Fault> {
        let (sites, there) = self
            .surroundings(alerts::NAME, filter.site.as_deref())
            .await?;
        let plan = plan::of(filter, &sites, &there);
        Ok(Listing::of_alerts(
            self.collection(alerts::NAME).await?,
            plan,
            filter,
            page,
        ))
    }

    /// How many alerts a filter lets through.
    ///
    /// # Errors
    ///
    /// As `alerts`, and `TooSlow`.
    pub async fn count(&self, filter: &AlertFilter) -> Result<Count, Fault> {
        let (sites, there) = self
            .surroundings(alerts::NAME, filter.site.as_deref())
            .await?;
        let plan = plan::of(filter, &sites, &there);
        plan::count(self.database().await?, &plan, filter).await
    }

    /// The alert with this `_id`, if it is of the site.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`.
    pub async fn alert(&self, id: &str, site: Option<&str>) -> Result<Option<Record>, Fault> {
        let mut ids = vec![Bson::from(id)];
        // The Python service's documents may have MongoDB's own.
        ids.extend(ObjectId::parse_str(id).ok().map(Bson::from));
        let mut filter = doc! { "_id": { "$in": ids } };
        filter.extend(site::condition(site));
        let find = doc! { "find": alerts::NAME, "filter": filter, "maxTimeMS": millis(PAGE_TIME) };
        let found = async { Ok(command::one(self.database().await?, find).await?) };
        Ok(answer(found).await?.map(Record))
    }

    async fn database(&self) -> Result<&Database, Fault> {
        let open = || async {
            let mut options = connect::options(&self.settings, self.connect).await?;
            options.max_pool_size = Some(POOL);
            options.max_idle_time = Some(Duration::from_secs(120));
            let client = mongodb::Client::with_options(options)
                .map_err(|error| connect::refused(&error, &self.settings))?;
            Ok::<_, Error>(client.database(&self.settings.database))
        };
        Ok(self.database.get_or_try_init(open).await?)
    }

    /// One exchange of a command.
    async fn command(&self, command: Document) -> Result<Document, Fault> {
        let database = self.database().await?;
        answer(async { Ok(command::run(database, command).await?) }).await
    }

    /// Everything that a pipeline gives; the server works on it for so long at most.
    async fn aggregated(
        &self,
        collection: &str,
        pipeline: Vec<Document>,
        index: Option<&str>,
        time: Duration,
    ) -> Result<Vec<Document>, Fault> {
        let database = self.database().await?;
        let mut aggregate = doc! {
            "aggregate": collection, "pipeline": pipeline, "cursor": {}, "maxTimeMS": millis(time),
        };
        if let Some(index) = index {
            aggregate.insert("hint", index);
        }
        let found = answer(async { Ok(command::all(database, aggregate).await?) }).await?;
        let read = |found: RawDocumentBuf| Document::try_from(found).ok();
        Ok(found.into_iter().filter_map(read).collect())
    }

    async fn collection(&self, name: &'static str) -> Result<Collection, Fault> {
        let database = self.database().await?.clone();
        Ok(Collection { database, name })
    }
}

/// The condition of one site's documents; what was erased is of none.
pub(super) fn of_site(name: &str) -> Document {
    site::condition(Some(name))
}

fn inventory_kinds() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().chain([&AGENTS])
}

/// As a command wants a time.
fn millis(time: Duration) -> i64 {
    whole(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// As a command wants a number.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn no_answer(within: Duration) -> Fault {
    let within = within.as_millis();
    Fault::Unavailable(format!("MongoDB gave no answer within {within} ms"))
}

/// One exchange with the server, which may freeze after connecting.
async fn answer<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let answer = tokio::time::timeout(ANSWER_TIME, work).await;
    answer.unwrap_or_else(|_| Err(no_answer(ANSWER_TIME)))
}

/// Adds conditions; those on one field count together.
fn and(into: &mut Document, more: Document) {
    for (name, condition) in more {
        let both = match into.remove(&name) {
            None => condition,
            Some(there) => {
                let mut both = operators(there);
                both.extend(operators(condition));
                both.into()
            }
        };
        into.insert(name, both);
    }
}

/// `x` is short for `{$eq: x}`; none of our values is a document itself.
fn operators(condition: Bson) -> Document {
    match condition {
        Bson::Document(operators) => operators,
        value => doc! { "$eq": value },
    }
}
