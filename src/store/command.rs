//! Commands as MongoDB takes them. Every kind of call that the driver has brings its own copy of the
//! driver's machinery into the binary (about 40 kB); these share one. What the typed calls do beside
//! sending is done here, for all alike: the read preference and the concerns of the connection
//! string, and one more try after an election or a broken connection.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc, serialize_to_document};
use mongodb::error::{Error as DriverError, ErrorKind, Result};

use super::cursor::Cursor;

/// Codes after which the same command may succeed at once, on another server
/// (<https://github.com/mongodb/specifications/blob/master/source/retryable-reads/retryable-reads.md>).
const PASSING: [i32; 13] = [
    6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
];

/// What a command answers that asks a collection (`count`, `distinct`).
pub(super) async fn ask(database: &Database, command: Document) -> Result<Document> {
    let command = raw(&with_read_concern(database, command)?)?;
    let send = || {
        let sent = database.run_raw_command(command.clone());
        match database.selection_criteria() {
            Some(criteria) => sent.selection_criteria(criteria.clone()),
            None => sent,
        }
    };
    let first = send().await;
    match first {
        Err(first) if is_passing(&first) => better(first, send().await),
        other => other,
    }
}

/// What a command answers that asks the server itself, or changes what may be changed twice (its
/// write concern is in it).
pub(super) async fn run(database: &Database, command: Document) -> Result<Document> {
    run_raw(database, raw(&command)?).await
}

/// As `run`.
pub(super) async fn run_raw(database: &Database, command: RawDocumentBuf) -> Result<Document> {
    let first = database.run_raw_command(command.clone()).await;
    match first {
        Err(first) if is_passing(&first) => better(first, database.run_raw_command(command).await),
        Ok(first) if is_unconfirmed(&first) => database.run_raw_command(command).await,
        other => other,
    }
}

/// The documents that a `find` or an `aggregate` finds.
pub(super) async fn query(database: &Database, command: Document) -> Result<Cursor> {
    open(database, command, None).await
}

/// The events of a change stream; the server waits for so long before it answers that there is none.
pub(super) async fn watch(
    database: &Database,
    command: Document,
    wait: Duration,
) -> Result<Cursor> {
    open(database, command, Some(wait)).await
}

async fn open(database: &Database, command: Document, wait: Option<Duration>) -> Result<Cursor> {
    let command = with_read_concern(database, command)?;
    let batch = batch_size(&command);
    let command = raw(&command)?;
    let send = || {
        let mut sent = database.run_raw_cursor_command(command.clone());
        if let Some(criteria) = database.selection_criteria() {
            sent = sent.selection_criteria(criteria.clone());
        }
        if let Some(size) = batch {
            sent = sent.batch_size(size);
        }
        if let Some(wait) = wait {
            sent = sent.max_time(wait);
        }
        // Not in every caller: the driver's future takes 16 KiB.
        Box::pin(sent.batch())
    };
    let first = send().await;
    let answer = match first {
        Err(first) if is_passing(&first) => better(first, send().await),
        other => other,
    };
    answer.map(Cursor::new)
}

/// Everything that a query finds.
pub(super) async fn all(database: &Database, command: Document) -> Result<Vec<RawDocumentBuf>> {
    let mut cursor = query(database, command).await?;
    let mut found = Vec::new();
    while let Some(document) = cursor.next().await? {
        found.push(document);
    }
    Ok(found)
}

/// The first document that a `find` finds.
pub(super) async fn one(
    database: &Database,
    mut command: Document,
) -> Result<Option<RawDocumentBuf>> {
    command.extend(doc! { "limit": 1, "singleBatch": true });
    query(database, command).await?.next().await
}

/// How many documents a collection has, estimated.
pub(super) async fn count(database: &Database, collection: &str) -> Result<u64> {
    let reply = ask(database, doc! { "count": collection }).await?;
    Ok(number(&reply, "n"))
}

/// A number in an answer, which may come narrow or wide; zero if it is not there.
pub(super) fn number(reply: &Document, name: &str) -> u64 {
    let number = match reply.get(name) {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        _ => 0,
    };
    u64::try_from(number).unwrap_or_default()
}

/// What a command lists about the database itself (`listIndexes`, `listCollections`).
pub(super) async fn list(database: &Database, command: Document) -> Result<Vec<Document>> {
    let reply = run(database, command).await?;
    // What is asked for is few: it comes in one batch.
    let Ok(cursor) = reply.get_document("cursor") else {
        return Ok(Vec::new());
    };
    let first = cursor.get_array("firstBatch").ok();
    let listed = first.into_iter().flatten().filter_map(Bson::as_document);
    Ok(listed.cloned().collect())
}

/// The database's write concern as a command wants it.
pub(super) fn write_concern(database: &Database) -> Result<Document> {
    let concern = database.write_concern().cloned().unwrap_or_default();
    Ok(serialize_to_document(&concern)?)
}

/// The code of a command that has failed.
pub(super) fn code(error: &DriverError) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

fn raw(command: &Document) -> Result<RawDocumentBuf> {
    Ok(RawDocumentBuf::try_from(command)?)
}

fn with_read_concern(database: &Database, mut command: Document) -> Result<Document> {
    if let Some(concern) = database.read_concern() {
        command.insert("readConcern", serialize_to_document(concern)?);
    }
    Ok(command)
}

/// Later batches are to be as large as the first.
fn batch_size(command: &Document) -> Option<u32> {
    let cursor = command.get_document("cursor").unwrap_or(command);
    let size = cursor.get_i32("batchSize").ok()?;
    u32::try_from(size).ok()
}

fn is_passing(error: &DriverError) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => true,
        ErrorKind::Command(command) => PASSING.contains(&command.code),
        _ => false,
    }
}

/// Written on a server that stepped down before the others had it.
fn is_unconfirmed(reply: &Document) -> bool {
    let error = reply.get_document("writeConcernError");
    error.is_ok_and(|error| {
        error
            .get_i32("code")
            .is_ok_and(|code| PASSING.contains(&code))
    })
}

/// The second answer; if no server was found for it, the first one's error says more.
fn better<T>(first: DriverError, second: Result<T>) -> Result<T> {
    match second {
        Err(second) if matches!(second.kind.as_ref(), ErrorKind::ServerSelection { .. }) => {
            Err(first)
        }
        other => other,
    }
}
