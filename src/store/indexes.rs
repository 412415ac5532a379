//! The indexes of the alerts. Each begins with the site and one filter, goes on with the time, and
//! ends with the fields of the other filters: a pair of filters is then decided on the keys, and
//! only what is returned is read. `_id` is in none: it would take more than all other fields
//! together (measured on Wazuh's samples: 175 bytes an alert for all of these, 11 % of the data).

use mongodb::Database;
use mongodb::bson::{Document, doc};

use super::{Error, Indexes, alerts, command, refusal, runs, states, writes};

/// Levels from here on are rare enough to be worth merging, each from its own part of the index.
pub(super) const GRAVE_LEVEL: i64 = 6;

/// Everything by time; its other fields are what statistics count.
pub(super) const TIME: &str = "site_time";
pub(super) const AGENT: &str = "site_agent_time";
pub(super) const RISK: &str = "site_risk_time";
pub(super) const RULE: &str = "site_rule_time";
pub(super) const GROUP: &str = "site_group_time";
pub(super) const MITRE: &str = "site_mitre_time";
/// Numbers, and the words of Wazuh 5.
pub(super) const LEVEL: &str = "site_levels_time";

/// Each as `createIndexes` wants it: `key`, `name` and options.
pub(super) fn models() -> Vec<Document> {
    // Sparse: while retention is off no alert has the field, and the index stays empty.
    let expiry = doc! { "sparse": true, "expireAfterSeconds": 0 };
    vec![
        plain(
            TIME,
            doc! { "_site": 1, "_timestamp": -1, "rule.level": 1, "_risk_score": 1, "agent_id": 1, "rule.id": 1 },
        ),
        plain(
            AGENT,
            doc! { "_site": 1, "agent_id": 1, "_timestamp": -1, "rule.level": 1, "_risk_score": 1 },
        ),
        plain(
            RISK,
            doc! { "_site": 1, "_risk_score": 1, "_timestamp": -1, "rule.level": 1 },
        ),
        plain(
            RULE,
            doc! { "_site": 1, "rule.id": 1, "_timestamp": -1, "agent_id": 1, "rule.level": 1, "_risk_score": 1 },
        ),
        plain(
            GROUP,
            doc! { "_site": 1, "rule.groups": 1, "_timestamp": -1, "agent_id": 1, "rule.id": 1, "rule.level": 1, "_risk_score": 1 },
        ),
        partial(
            MITRE,
            doc! { "_site": 1, "rule.mitre.id": 1, "_timestamp": -1, "agent_id": 1, "rule.id": 1, "rule.level": 1, "_risk_score": 1 },
            doc! { "rule.mitre.id": { "$exists": true } },
        ),
        plain(
            LEVEL,
            doc! { "_site": 1, "rule.level": 1, "_timestamp": -1 },
        ),
        special("expire", doc! { "_expire_at": 1 }, expiry),
    ]
}

fn plain(name: &str, keys: Document) -> Document {
    doc! { "key": keys, "name": name }
}

fn partial(name: &str, keys: Document, only: Document) -> Document {
    special(name, keys, doc! { "partialFilterExpression": only })
}

fn special(name: &str, keys: Document, options: Document) -> Document {
    let mut index = plain(name, keys);
    index.extend(options);
    index
}

/// The indexes of a collection that `collect` fills; none for one that it does not know. `_site`
/// stands first: nobody asks across sites.
fn of_inventory(collection: &str) -> Vec<Document> {
    // The current rows of an agent (`_removed_at` null) in the order people read them, and its past.
    let of_agent = |sorted: Document| {
        let mut keys = doc! { "_site": 1, "agent_id": 1, "_removed_at": 1 };
        keys.extend(sorted);
        plain("agent_current", keys)
    };
    match collection {
        "agents" => vec![
            plain("agent", doc! { "_site": 1, "agent_id": 1 }),
            plain("status", doc! { "_site": 1, "_removed_at": 1, "status": 1 }),
        ],
        "software_inventory" => vec![
            of_agent(doc! { "name": 1 }),
            // Who has this package? The version decides over a vulnerability; it stands behind the
            // agent, since people read the answer by agent.
            plain(
                "agents_of_package",
                doc! { "_site": 1, "name": 1, "agent_id": 1, "version": 1, "_removed_at": 1 },
            ),
        ],
        "syscheck" => vec![of_agent(doc! { "mtime": -1 })],
        states::NAME => vec![plain(
            "agent",
            doc! { "_site": 1, "agent_id": 1, "kind": 1 },
        )],
        runs::NAME => {
            let expiry = doc! { "expireAfterSeconds": runs::KEPT_SECONDS };
            vec![
                special("started", doc! { "started_at": 1 }, expiry),
                plain("site_started", doc! { "_site": 1, "started_at": -1 }),
            ]
        }
        _ => vec![of_agent(doc! {})],
    }
}

/// The indexes that this version wants on a collection: `name` and `key` of each, and more.
pub(super) fn wanted(collection: &str) -> Vec<Document> {
    if collection == alerts::NAME {
        models()
    } else {
        of_inventory(collection)
    }
}

/// Creates those of a collection's indexes that have these names.
pub(super) async fn create_named(
    database: &Database,
    collection: &str,
    names: &[&str],
) -> Result<Indexes, Error> {
    let mut models = wanted(collection);
    models.retain(|index| {
        let name = index.get_str("name");
        name.is_ok_and(|name| names.contains(&name))
    });
    create_in(database, collection, models).await
}

pub(super) async fn create_for_inventory(
    database: Database,
    collections: &[&str],
) -> Result<Indexes, Error> {
    let ours = collections
        .iter()
        .copied()
        .chain([states::NAME, runs::NAME]);
    for name in ours {
        if let Indexes::NotAllowed = create_in(&database, name, of_inventory(name)).await? {
            return Ok(Indexes::NotAllowed);
        }
    }
    Ok(Indexes::Created)
}

pub(super) async fn create_if_empty(database: Database) -> Result<Indexes, Error> {
    match command::count(&database, alerts::NAME).await {
        Ok(0) => create(database).await,
        Ok(_) => Ok(Indexes::LeftAlone),
        Err(error) => not_allowed(&error),
    }
}

/// Creates those that are missing, however large the collection is.
pub(super) async fn create(database: Database) -> Result<Indexes, Error> {
    create_in(&database, alerts::NAME, models()).await
}

async fn create_in(
    database: &Database,
    collection: &str,
    indexes: Vec<Document>,
) -> Result<Indexes, Error> {
    let concern = command::write_concern(database).map_err(|error| refusal::sort(&error))?;
    let create = doc! { "createIndexes": collection, "indexes": indexes, "writeConcern": concern };
    match command::run(database, create).await {
        Ok(reply) => writes::confirmed(&reply).map(|()| Indexes::Created),
        Err(error) => not_allowed(&error),
    }
}

/// Lets MongoDB remove what has `_expire_at`; the index holds nothing else.
pub(super) async fn create_expiry(database: Database, collection: &str) -> Result<Indexes, Error> {
    let options = doc! { "expireAfterSeconds": 0, "sparse": true };
    let expiry = special("expire", doc! { "_expire_at": 1 }, options);
    create_in(&database, collection, vec![expiry]).await
}

/// Who may insert and no more still delivers.
fn not_allowed(error: &mongodb::error::Error) -> Result<Indexes, Error> {
    if refusal::is_unauthorized(error) {
        Ok(Indexes::NotAllowed)
    } else {
        Err(refusal::sort(error))
    }
}
