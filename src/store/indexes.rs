//! The indexes of the alerts: what the API asks for by time, agent, risk and rule, and the TTL.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};

use super::{Error, Indexes, alerts, refusal, runs, states};

/// Name and keys of each.
pub(super) fn models() -> Vec<IndexModel> {
    let plain = |name: &str, keys: Document| {
        let options = IndexOptions::builder().name(name.to_owned()).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    // Sparse: while retention is off no alert has the field, and the index stays empty.
    let expiry = IndexOptions::builder()
        .name("expire".to_owned())
        .sparse(true)
        .expire_after(Duration::ZERO)
        .build();
    vec![
        plain("time", doc! { "_timestamp": -1, "_id": -1 }),
        plain(
            "agent_time",
            doc! { "agent_id": 1, "_timestamp": -1, "_id": -1 },
        ),
        plain(
            "risk_time",
            doc! { "_risk_score": 1, "_timestamp": -1, "_id": -1 },
        ),
        plain(
            "rule_time",
            doc! { "rule.id": 1, "_timestamp": -1, "_id": -1 },
        ),
        IndexModel::builder()
            .keys(doc! { "_expire_at": 1 })
            .options(expiry)
            .build(),
    ]
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
            // Who has this package? The version decides over a vulnerability.
            named(
                "package",
                doc! { "_site": 1, "name": 1, "version": 1, "_removed_at": 1 },
            ),
        ],
        "syscheck" => vec![of_agent(doc! { "mtime": -1 })],
        "hotfixes" => vec![
            of_agent(doc! {}),
            named("hotfix", doc! { "_site": 1, "hotfix": 1, "_removed_at": 1 }),
        ],
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
            vec![IndexModel::builder().keys(keys).options(options).build()]
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
