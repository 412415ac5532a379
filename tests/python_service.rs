//! Documents as the Python service left them: its ids, dates as text, numbers as pymongo writes them.

use mongodb::bson::{Bson, Document, doc, oid::ObjectId};
use mongodb::sync::Database;

/// What it made of an alert: the whole of it under Wazuh's own id, and four fields beside.
pub(crate) fn alert(line: &str) -> Document {
    let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let Ok(Bson::Document(alert)) = Bson::try_from(value) else {
        panic!("{line} is no object");
    };
    let id = alert.get_str("id").expect("an id").to_owned();
    let agent = alert.get_document("agent").expect("an agent");
    let agent = agent.get_str("id").expect("its id").to_owned();
    let mut document = doc! { "_id": id };
    document.extend(alert);
    document.extend(doc! {
        "_risk_score": "high", "_assessment_category": "configuration", "agent_id": agent,
        "_processed_at": "2025-06-02T13:47:25.104223",
    });
    document
}

/// An agent as it collected it, again and again.
pub(crate) fn agent(id: &str, hash: &str) -> Document {
    doc! {
        "_id": ObjectId::new(), "id": id, "name": format!("host-{id}"), "status": "active", "agent_id": id,
        "log_type": "agents", "_category": "default", "_fetched_at": "2025-06-02T13:00:00",
        "_log_hash": hash,
    }
}

/// A package.
pub(crate) fn package(agent: &str, name: &str, version: &str) -> Document {
    doc! {
        "_id": ObjectId::new(), "name": name, "version": version, "format": "deb", "agent_id": agent,
        "log_type": "software_inventory", "_category": "deb", "_fetched_at": "2025-06-02T13:00:00",
    }
}

pub(crate) fn put(database: &Database, collection: &str, documents: &[Document]) {
    let collection = database.collection::<Document>(collection);
    collection.insert_many(documents).run().expect("an insert");
}

/// All documents of a collection, in the order of their ids.
pub(crate) fn all(database: &Database, collection: &str) -> Vec<Document> {
    let collection = database.collection::<Document>(collection);
    let found = collection.find(doc! {}).sort(doc! { "_id": 1 }).run();
    found.expect("a cursor").map(Result::unwrap).collect()
}
