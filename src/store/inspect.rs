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
    /// Whether the login may insert alerts; true where nobody needs to log in.
    pub may_insert: bool,
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
    let runtime = connect::runtime()?;
    let options = connect::within(
        &runtime,
        within,
        settings,
        connect::options(settings, within),
    );
    runtime.shutdown_background();
    let options = options?;
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
        may_insert: may_insert(database)?,
        missing_indexes: missing_indexes(database),
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

/// Not in `alerts`: a hook that may delete alerts may do too much.
const CHECKED: &str = "custom_mongo_check";

fn round_trip(database: &Database) -> mongodb::error::Result<Duration> {
    let collection = database.collection::<Document>(CHECKED);
    let now = mongodb::bson::DateTime::now();
    let id = format!("check-{}-{}", std::process::id(), now.timestamp_millis());
    let started = Instant::now();
    collection
        .insert_one(doc! { "_id": &id, "at": now })
        .run()?;
    collection.find_one(doc! { "_id": &id }).run()?;
    collection.delete_one(doc! { "_id": &id }).run()?;
    let took = started.elapsed();
    // An empty collection that stays behind harms nobody.
    collection.drop().run().ok();
    Ok(took)
}

/// From `connectionStatus`, so that nothing has to be written.
fn may_insert(database: &Database) -> mongodb::error::Result<bool> {
    let ask = doc! { "connectionStatus": 1, "showPrivileges": true };
    let status = database.run_command(ask).run()?;
    let Ok(login) = status.get_document("authInfo") else {
        return Ok(true);
    };
    let nobody = login
        .get_array("authenticatedUsers")
        .is_ok_and(Vec::is_empty);
    let privileges = login.get_array("authenticatedUserPrivileges");
    let granted = privileges.is_ok_and(|all| {
        let all = all.iter().filter_map(|privilege| privilege.as_document());
        all.into_iter()
            .any(|privilege| grants_insert(privilege, database.name()))
    });
    // Without access control the server lists neither users nor privileges.
    Ok(nobody || granted)
}

fn grants_insert(privilege: &Document, database: &str) -> bool {
    let inserts = privilege.get_array("actions").is_ok_and(|actions| {
        actions
            .iter()
            .any(|action| action.as_str() == Some("insert"))
    });
    let Ok(resource) = privilege.get_document("resource") else {
        return false;
    };
    // An empty name stands for any.
    let covers = |key: &str, name: &str| {
        resource
            .get_str(key)
            .is_ok_and(|granted| granted.is_empty() || granted == name)
    };
    let any = resource.get_bool("anyResource").unwrap_or(false);
    inserts && (any || covers("db", database) && covers("collection", alerts::NAME))
}

fn missing_indexes(database: &Database) -> Vec<String> {
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
    missing.filter_map(name).collect()
}
