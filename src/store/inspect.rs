//! What an administrator wants to know about the MongoDB behind the settings.

use std::time::{Duration, Instant};

use mongodb::Database;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error as DriverError, Result as Answer};
use mongodb::options::ClientOptions;

use super::operations::Operations;
use super::{Error, Retries, Settings, Written, alerts, command, connect, indexes, refusal};

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
    let report = connect::within(&runtime, within, settings, async {
        connect::options(settings, within).await
    });
    // Each of its questions has the driver's own limit, but a server that freezes between them has none.
    let report = report.and_then(|options| {
        let asking = ask(options, settings);
        connect::within(&runtime, within * 3, settings, asking)
    });
    runtime.shutdown_background();
    report
}

async fn ask(options: ClientOptions, settings: &Settings) -> Result<Report, Error> {
    let refused = |error: DriverError| connect::refused(&error, settings);
    let started = Instant::now();
    let client = mongodb::Client::with_options(options).map_err(refused)?;
    let database = client.database(&settings.database);
    report(&database, started).await.map_err(refused)
}

async fn report(database: &Database, started: Instant) -> Answer<Report> {
    let hello = command::run(database, doc! { "hello": 1 }).await?;
    let connected_in = started.elapsed();
    let build = command::run(database, doc! { "buildInfo": 1 }).await?;
    let round_trip = round_trip(database).await;
    Ok(Report {
        version: build.get_str("version").unwrap_or("unknown").to_owned(),
        replica_set: hello.get_str("setName").ok().map(str::to_owned),
        connected_in,
        round_trip: round_trip.map_err(|error| error.to_string()),
        may_insert: may_insert(database).await?,
        missing_indexes: missing_indexes(database).await,
        alerts: command::count(database, alerts::NAME).await?,
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

async fn round_trip(database: &Database) -> Result<Duration, Error> {
    let sorted = |error: DriverError| refusal::sort(&error);
    let now = mongodb::bson::DateTime::now();
    let id = format!("check-{}-{}", std::process::id(), now.timestamp_millis());
    let document = doc! { "_id": &id, "at": now };
    let document = document.to_vec().map_err(|error| sorted(error.into()))?;
    let started = Instant::now();
    let written = alerts::insert(database, CHECKED, &[&document], Retries::Here).await?;
    if let Some(Written::Rejected(why)) = written.into_iter().next() {
        return Err(Error::Rejected(why));
    }
    let find = doc! { "find": CHECKED, "filter": { "_id": &id } };
    command::one(database, find).await.map_err(sorted)?;
    let mut delete = Operations::deletes();
    delete.delete(&id);
    if let Some((_, why)) = delete.run(database, CHECKED).await?.into_iter().next() {
        return Err(Error::Rejected(why));
    }
    let took = started.elapsed();
    let concern = command::write_concern(database).map_err(sorted)?;
    // An empty collection that stays behind harms nobody.
    drop(command::run(database, doc! { "drop": CHECKED, "writeConcern": concern }).await);
    Ok(took)
}

/// From `connectionStatus`, so that nothing has to be written.
async fn may_insert(database: &Database) -> Answer<bool> {
    let ask = doc! { "connectionStatus": 1, "showPrivileges": true };
    let status = command::run(database, ask).await?;
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

async fn missing_indexes(database: &Database) -> Vec<String> {
    let list = command::list(database, doc! { "listIndexes": alerts::NAME }).await;
    // NamespaceNotFound: nothing has been written yet.
    let there = list.unwrap_or_default();
    let key = |index: &Document| index.get_document("key").cloned().ok();
    let there: Vec<_> = there.iter().map(key).collect();
    let wanted = indexes::models().into_iter();
    let missing = wanted.filter(|index| !there.contains(&key(index)));
    let name = |index: Document| index.get_str("name").ok().map(str::to_owned);
    missing.filter_map(name).collect()
}
