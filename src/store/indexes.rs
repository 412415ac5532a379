//! The indexes of the alerts. Each begins with the site and one filter, goes on with the time, and
//! ends with the fields of the other filters: a pair of filters is then decided on the keys, and
//! only what is returned is read. `_id` is in none: it would take more than all other fields
//! together (measured on Wazuh's samples: 175 bytes an alert for all of these, 11 % of the data).

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};

use super::{Error, Indexes, alerts, refusal, runs, states};

/// Levels from here on have an index of their own, which is small because they are rare.
pub(super) const GRAVE_LEVEL: i64 = 6;

/// Everything by time; its other fields are what statistics count.
pub(super) const TIME: &str = "site_time";
pub(super) const AGENT: &str = "site_agent_time";
pub(super) const RISK: &str = "site_risk_time";
pub(super) const RULE: &str = "site_rule_time";
pub(super) const GROUP: &str = "site_group_time";
pub(super) const MITRE: &str = "site_mitre_time";
pub(super) const LEVEL: &str = "site_level_time";

/// Name and keys of each.
pub(super) fn models() -> Vec<IndexModel> {
    // Sparse: while retention is off no alert has the field, and the index stays empty.
    let expiry = IndexOptions::builder()
        .name("expire".to_owned())
        .sparse(true)
        .expire_after(Duration::ZERO)
        .build();
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
        partial(
            LEVEL,
            doc! { "_site": 1, "rule.level": 1, "_timestamp": -1 },
            doc! { "rule.level": { "$gte": GRAVE_LEVEL } },
        ),
        IndexModel::builder()
            .keys(doc! { "_expire_at": 1 })
            .options(expiry)
            .build(),
    ]
}

fn plain(name: &str, keys: Document) -> IndexModel {
    let options = IndexOptions::builder().name(name.to_owned()).build();
    IndexModel::builder().keys(keys).options(options).build()
}

fn partial(name: &str, keys: Document, only: Document) -> IndexModel {
    let options = IndexOptions::builder()
        .name(name.to_owned())
        .partial_filter_expression(only)
        .build();
    IndexModel::builder().keys(keys).options(options).build()
}

/// The indexes of a collection that `collect` fills; none for one that it does not know. `_site`
/// stands first: nobody asks across sites.
fn of_inventory(collection: &str) -> Vec<IndexModel> {
    let named = |name: &str, keys: Document| {
        let options = IndexOptions::builder().name(name.to_owned()).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    // The current rows of an agent (`_removed_at` null) in the order people read them, and its past.
    let of_agent = |sorted: Document| {
        let mut keys = doc! { "_site": 1, "agent_id": 1, "_removed_at": 1 };
        keys.extend(sorted);
        named("agent_current", keys)
    };
    match collection {
        "agents" => vec![
            named("agent", doc! { "_site": 1, "agent_id": 1 }),
            named("status", doc! { "_site": 1, "_removed_at": 1, "status": 1 }),
        ],
        "software_inventory" => vec![
            of_agent(doc! { "name": 1 }),
            // Who has this package? The version decides over a vulnerability; it stands behind the
            // agent, since people read the answer by agent.
            named(
                "agents_of_package",
                doc! { "_site": 1, "name": 1, "agent_id": 1, "version": 1, "_removed_at": 1 },
            ),
        ],
        "syscheck" => vec![of_agent(doc! { "mtime": -1 })],
        states::NAME => vec![named(
            "agent",
            doc! { "_site": 1, "agent_id": 1, "kind": 1 },
        )],
        runs::NAME => {
            let options = IndexOptions::builder()
                .name("started".to_owned())
                .expire_after(runs::KEPT)
                .build();
            let keys = doc! { "started_at": 1 };
            vec![
                IndexModel::builder().keys(keys).options(options).build(),
                named("site_started", doc! { "_site": 1, "started_at": -1 }),
            ]
        }
        _ => vec![of_agent(doc! {})],
    }
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
        let collection: Collection<Document> = database.collection(name);
        match collection.create_indexes(of_inventory(name)).await {
            Ok(_) => {}
            Err(error) if refusal::is_unauthorized(&error) => return Ok(Indexes::NotAllowed),
            Err(error) => return Err(refusal::sort(&error)),
        }
    }
    Ok(Indexes::Created)
}

pub(super) async fn create_if_empty(database: Database) -> Result<Indexes, Error> {
    let collection: Collection<Document> = database.collection(alerts::NAME);
    match collection.estimated_document_count().await {
        Ok(0) => create(database).await,
        Ok(_) => Ok(Indexes::LeftAlone),
        Err(error) => not_allowed(&error),
    }
}

/// Creates those that are missing, however large the collection is.
pub(super) async fn create(database: Database) -> Result<Indexes, Error> {
    let collection: Collection<Document> = database.collection(alerts::NAME);
    match collection.create_indexes(models()).await {
        Ok(_) => Ok(Indexes::Created),
        Err(error) => not_allowed(&error),
    }
}

/// Who may insert and no more still delivers.
fn not_allowed(error: &mongodb::error::Error) -> Result<Indexes, Error> {
    if refusal::is_unauthorized(error) {
        Ok(Indexes::NotAllowed)
    } else {
        Err(refusal::sort(error))
    }
}
