//! Many updates or deletes in one command: the driver's own bulk write needs MongoDB 8. Every
//! operation is by `_id` and may be repeated, so that a lost answer is asked for again.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Document, RawDocumentBuf};

use super::writes::{self, Verb};
use super::{Error, refusal};
use crate::alert::bson::{Writer, elements, tag};

/// Tries of a command whose answer was lost; the driver itself only repeats its own writes.
const TRIES: u32 = 3;
/// Between them, for an election.
const PAUSE: Duration = Duration::from_secs(1);

/// The operations of one command, in the order they were added.
#[derive(Debug)]
pub(super) struct Operations {
    verb: Verb,
    list: Vec<Vec<u8>>,
}

/// What became of the operations that did not work: place and reason.
pub(super) type Refused = Vec<(usize, String)>;

impl Operations {
    pub(super) fn updates() -> Self {
        Self {
            verb: Verb::Update,
            list: Vec::new(),
        }
    }

    pub(super) fn deletes() -> Self {
        Self {
            verb: Verb::Delete,
            list: Vec::new(),
        }
    }

    /// Replaces the document with this `_id`, or inserts it.
    pub(super) fn replace(&mut self, id: &str, document: &[u8]) {
        self.update(id, document, Missing::Insert);
    }

    /// Replaces the document with the same `_id`, of whatever type, or inserts it.
    pub(super) fn put(&mut self, document: &[u8]) {
        let mut out = Writer::default();
        let operation = out.open();
        query_of(&mut out, document);
        out.key(tag::DOCUMENT, b"u");
        out.raw(document);
        out.key(tag::BOOL, b"upsert");
        out.raw(&[Missing::Insert as u8]);
        out.close(operation);
        self.list.push(out.bytes().to_vec());
    }

    /// Deletes the document with the same `_id`, of whatever type.
    pub(super) fn delete_like(&mut self, document: &[u8]) {
        let mut out = Writer::default();
        let operation = out.open();
        query_of(&mut out, document);
        out.int("limit", 1);
        out.close(operation);
        self.list.push(out.bytes().to_vec());
    }

    /// Deletes this document if it still is what it was when it was read.
    pub(super) fn delete_unchanged(&mut self, document: &[u8]) {
        let mut out = Writer::default();
        let operation = out.open();
        out.key(tag::DOCUMENT, b"q");
        let query = out.open();
        id_of(&mut out, document);
        out.key(tag::DOCUMENT, b"$expr");
        let expression = out.open();
        out.key(tag::ARRAY, b"$eq");
        let both = out.open();
        out.string("0", "$$ROOT");
        out.key(tag::DOCUMENT, b"1");
        let literal = out.open();
        out.key(tag::DOCUMENT, b"$literal");
        out.raw(document);
        for mark in [literal, both, expression, query] {
            out.close(mark);
        }
        out.int("limit", 1);
        out.close(operation);
        self.list.push(out.bytes().to_vec());
    }

    /// Updates the document with this `_id` by operators (`{$set: …}`, BSON), if it is there.
    pub(super) fn change(&mut self, id: &str, operators: &[u8]) {
        self.update(id, operators, Missing::Skip);
    }

    /// As `change`; inserts it if it is not there.
    pub(super) fn upsert(&mut self, id: &str, operators: &[u8]) {
        self.update(id, operators, Missing::Insert);
    }

    /// Deletes the document with this `_id`.
    pub(super) fn delete(&mut self, id: &str) {
        let mut out = Writer::default();
        let operation = out.open();
        query(&mut out, id);
        out.int("limit", 1);
        out.close(operation);
        self.list.push(out.bytes().to_vec());
    }

    fn update(&mut self, id: &str, change: &[u8], missing: Missing) {
        let mut out = Writer::default();
        let operation = out.open();
        query(&mut out, id);
        out.key(tag::DOCUMENT, b"u");
        out.raw(change);
        out.key(tag::BOOL, b"upsert");
        out.raw(&[missing as u8]);
        out.close(operation);
        self.list.push(out.bytes().to_vec());
    }

    /// Sends them, unordered, with the client's write concern.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it is not known that all were decided.
    pub(super) async fn run(self, database: &Database, collection: &str) -> Result<Refused, Error> {
        Ok(self.run_counted(database, collection).await?.0)
    }

    /// As `run`; also says how many documents were found (`n` of the answers).
    ///
    /// # Errors
    ///
    /// As `run`.
    pub(super) async fn run_counted(
        self,
        database: &Database,
        collection: &str,
    ) -> Result<(Refused, usize), Error> {
        let mut refused = Refused::new();
        let mut from = 0;
        let mut found = 0;
        while let Some(rest) = self.list.get(from..).filter(|rest| !rest.is_empty()) {
            let batch = writes::first(rest);
            let command = writes::command(self.verb, database, collection, batch)?;
            let answer = patiently(database, &command).await?;
            let refusals = writes::refusals(&answer)?.into_iter();
            refused.extend(refusals.map(|refusal| (from + refusal.place, refusal.reason())));
            found += usize::try_from(answer.get_i32("n").unwrap_or_default()).unwrap_or_default();
            from += batch.len();
        }
        Ok((refused, found))
    }
}

/// What to do when there is no document with the `_id`.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Missing {
    Skip = 0,
    Insert = 1,
}

fn query(out: &mut Writer, id: &str) {
    out.key(tag::DOCUMENT, b"q");
    let query = out.open();
    out.string("_id", id);
    out.close(query);
}

fn query_of(out: &mut Writer, document: &[u8]) {
    out.key(tag::DOCUMENT, b"q");
    let query = out.open();
    id_of(out, document);
    out.close(query);
}

/// Copies `_id`.
fn id_of(out: &mut Writer, document: &[u8]) {
    for id in elements(document).filter(|field| field.name == b"_id") {
        out.key(id.tag, id.name);
        out.raw(id.value);
    }
}

async fn patiently(database: &Database, command: &RawDocumentBuf) -> Result<Document, Error> {
    let mut tried = 1;
    loop {
        match database.run_raw_command(command.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => match refusal::sort(&error) {
                Error::Unavailable(_) if tried < TRIES => tried += 1,
                other => return Err(other),
            },
        }
        tokio::time::sleep(PAUSE).await;
    }
}
