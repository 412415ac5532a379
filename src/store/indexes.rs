//! The indexes of the alerts. Each begins with the site and one filter, goes on with the time, and
//! ends with the fields of the other filters: a pair of filters is then decided on the keys, and
//! only what is returned is read. `_id` is in none: it would take more than all other fields
//! together (measured on Wazuh's samples: 175 bytes an alert for all of these, 11 % of the data).

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};

use super::{Error, Indexes, alerts, refusal};

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
