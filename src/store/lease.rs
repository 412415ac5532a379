//! The collection `leases`: who collects for a site. A lease ends by itself, by the server's clock,
//! so that a holder that died keeps nobody waiting for long.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};

use super::{Error, Store, command, refusal, writes};

const NAME: &str = "leases";
/// The code of a duplicate key (<https://www.mongodb.com/docs/manual/reference/error-codes/>).
const DUPLICATE_KEY: i32 = 11000;

/// A lease that is ours until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    id: String,
    token: ObjectId,
}

/// Who asks for a lease.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What is leased, `collect/default`.
    pub name: String,
    /// For people: host and process.
    pub holder: String,
    /// The place (a host's state folder) whose own lock proves that an earlier holder there is dead.
    pub place: String,
    /// How long the lease holds without being renewed.
    pub lasts: Duration,
}

impl Store {
    /// Takes the lease, or says who has it: `Err` of the inner result, for people.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn lease(&self, claim: &Claim, within: Duration) -> Result<Result<Lease, String>, Error> {
        self.limit(within, acquire(self.database(), claim))
    }

    /// Holds the lease for longer. False if somebody else has it by now.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub fn renew(&self, lease: &Lease, lasts: Duration, within: Duration) -> Result<bool, Error> {
        self.limit(within, extend(self.database(), lease, lasts))
    }

    /// Gives the lease back; a failure only means that it ends by itself.
    pub fn release(&self, lease: &Lease, within: Duration) {
        drop(self.limit(within, extend(self.database(), lease, Duration::ZERO)));
    }
}

/// `$$NOW` plus so long, by the server's clock.
fn ends(lasts: Duration) -> Document {
    let millis = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
    doc! { "$add": ["$$NOW", millis] }
}

async fn acquire(database: Database, claim: &Claim) -> Result<Result<Lease, String>, Error> {
    let token = ObjectId::new();
    let mut found = take(&database, claim, token).await;
    // Two that ask for a lease that never was may both try to insert it.
    if found.as_ref().is_err_and(is_duplicate) {
        found = take(&database, claim, token).await;
    }
    let reply = found.map_err(|error| refusal::sort(&error))?;
    writes::confirmed(&reply)?;
    let found = reply.get_document("value").cloned().unwrap_or_default();
    if found
        .get_object_id("token")
        .is_ok_and(|holder| holder == token)
    {
        let id = claim.name.clone();
        return Ok(Ok(Lease { id, token }));
    }
    Ok(Err(describe(&found)))
}

/// Takes the lease if it is free, and gives it as it is then. One step on the server: each field is
/// either ours now or what it was. Ours stays ours when the step is made twice.
async fn take(
    database: &Database,
    claim: &Claim,
    token: ObjectId,
) -> mongodb::error::Result<Document> {
    let ended = doc! { "$lte": [{ "$ifNull": ["$expires_at", DateTime::MIN] }, "$$NOW"] };
    // Literals: a name that begins with `$` is a text all the same.
    let place = doc! { "$literal": &claim.place };
    let is_free = doc! { "$or": [ended, { "$eq": ["$place", &place] }] };
    let or_kept = |ours: Bson, field: &str| {
        doc! { "$cond": [&is_free, ours, format!("${field}")] }
    };
    let update = doc! { "$set": {
        "holder": or_kept(doc! { "$literal": &claim.holder }.into(), "holder"),
        "place": or_kept(place.clone().into(), "place"),
        "token": or_kept(token.into(), "token"),
        "acquired_at": or_kept("$$NOW".into(), "acquired_at"),
        "expires_at": or_kept(ends(claim.lasts).into(), "expires_at"),
    } };
    let command = doc! {
        "findAndModify": NAME, "query": { "_id": &claim.name }, "update": [update],
        "upsert": true, "new": true, "writeConcern": command::write_concern(database)?,
    };
    command::run(database, command).await
}

fn is_duplicate(error: &mongodb::error::Error) -> bool {
    command::code(error) == Some(DUPLICATE_KEY)
}

fn describe(lease: &Document) -> String {
    let holder = lease.get_str("holder").unwrap_or("another process");
    let date = |name: &str| {
        let date = lease.get_datetime(name).ok();
        date.and_then(|date| date.try_to_rfc3339_string().ok())
            .unwrap_or_default()
    };
    let (since, until) = (date("acquired_at"), date("expires_at"));
    format!("{holder} holds the lease since {since}, until {until} unless it renews it")
}

async fn extend(database: Database, lease: &Lease, lasts: Duration) -> Result<bool, Error> {
    let sorted = |error: mongodb::error::Error| refusal::sort(&error);
    let ours = doc! { "_id": &lease.id, "token": lease.token };
    let later = doc! { "$set": { "expires_at": ends(lasts) } };
    let concern = command::write_concern(&database).map_err(sorted)?;
    let command = doc! {
        "update": NAME, "updates": [{ "q": ours, "u": [later] }], "writeConcern": concern,
    };
    let reply = command::run(&database, command).await.map_err(sorted)?;
    if let Some(refusal) = writes::refusals(&reply)?.first() {
        return Err(Error::Unavailable(refusal.reason()));
    }
    Ok(reply.get_i32("n").is_ok_and(|count| count == 1))
}
