//! The indexes of the alerts: what the API asks for by time, agent, risk and rule, and the TTL.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};

use super::{Error, Indexes, alerts, refusal};

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
