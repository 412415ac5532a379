//! What an administrator wants to know about the MongoDB behind the settings. It has time, so it
//! uses the driver's `sync` API.

use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use mongodb::sync::{Client, Database};

use super::{Error, Settings, alerts, connect, indexes, refusal};

/// The findings, in the order they were made.
#[derive(Debug)]
pub struct Report {
    /// As the server says it, `6.0.5`.
    pub version: String,
    /// The replica set's name; none on a standalone server.
    pub replica_set: Option<String>,
    /// From the first packet to the answer of `hello`.
    pub connected_in: Duration,
    /// Write, read back and delete of one document with the product's write concern.
    pub round_trip: Result<Duration, String>,
    /// Names of the alerts' indexes that are missing.
    pub missing_indexes: Vec<String>,
    /// Alerts there, estimated.
    pub alerts: u64,
    /// Our clock minus the server's, in milliseconds.
    pub clock_skew_ms: i64,
}

/// Asks the server.
///
/// # Errors
///
/// As `Store::open`.
pub fn inspect(settings: &Settings, within: Duration) -> Result<Report, Error> {
    let options = connect::runtime()?.block_on(connect::options(settings, within))?;
    let started = Instant::now();
    let client =
        Client::with_options(options).map_err(|error| connect::refused(&error, settings))?;
    let database = client.database(&settings.database);
    ask(&database, started).map_err(|error| connect::refused(&error, settings))
}

fn ask(database: &Database, started: Instant) -> mongodb::error::Result<Report> {
    let hello = database.run_command(doc! { "hello": 1 }).run()?;
    let connected_in = started.elapsed();
    let build = database.run_command(doc! { "buildInfo": 1 }).run()?;
    let collection = database.collection::<Document>(alerts::NAME);
    Ok(Report {
        version: build.get_str("version").unwrap_or("unknown").to_owned(),
        replica_set: hello.get_str("setName").ok().map(str::to_owned),
        connected_in,
        round_trip: round_trip(database).map_err(|error| refusal::sort(&error).to_string()),
        missing_indexes: missing_indexes(database)?,
        alerts: collection.estimated_document_count().run()?,
        clock_skew_ms: clock_skew(&hello),
    })
}

fn clock_skew(hello: &Document) -> i64 {
    let now = mongodb::bson::DateTime::now().timestamp_millis();
    hello
        .get_datetime("localTime")
        .map_or(0, |server| now - server.timestamp_millis())
}

/// In `alerts` itself: a role may be bound to that collection. The document says what it is and
/// expires by itself should the delete fail.
fn round_trip(database: &Database) -> mongodb::error::Result<Duration> {
    let collection = database.collection::<Document>(alerts::NAME);
    let now = mongodb::bson::DateTime::now();
    let id = format!("check-{}-{}", std::process::id(), now.timestamp_millis());
    let started = Instant::now();
    collection
        .insert_one(doc! { "_id": &id, "_source": "check", "_expire_at": now })
        .run()?;
    collection.find_one(doc! { "_id": &id }).run()?;
    collection.delete_one(doc! { "_id": &id }).run()?;
    Ok(started.elapsed())
}

fn missing_indexes(database: &Database) -> mongodb::error::Result<Vec<String>> {
    let collection = database.collection::<Document>(alerts::NAME);
    let there: Vec<Document> = match collection.list_indexes().run() {
        Ok(cursor) => cursor
            .filter_map(Result::ok)
            .map(|index| index.keys)
            .collect(),
        // NamespaceNotFound: nothing has been written yet.
        Err(_) => Vec::new(),
    };
    let wanted = indexes::models();
    let missing = wanted
        .into_iter()
        .filter(|index| !there.contains(&index.keys));
    let name = |index: mongodb::IndexModel| index.options.and_then(|options| options.name);
    Ok(missing.filter_map(name).collect())
}
