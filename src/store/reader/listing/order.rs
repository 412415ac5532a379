//! The order of a list, and its bounds in it.

use std::cmp::Ordering;

use mongodb::bson::{Bson, Document, RawBsonRef, RawDocument, doc};

use super::{Front, Listing};

impl Listing {
    pub(super) fn bounds(&self, end: Option<&Bson>) -> Document {
        let Some(key) = &self.key else {
            return Document::new();
        };
        // In the order of reading: from the front to the far end.
        let (at, past, to) = if key.is_descending {
            ("$lte", "$lt", "$gte")
        } else {
            ("$gte", "$gt", "$lte")
        };
        let mut bounds = Document::new();
        match &self.front {
            Front::Start => {}
            Front::At(value) => drop(bounds.insert(at, value.clone())),
            Front::Past(value) => drop(bounds.insert(past, value.clone())),
        }
        if let Some(far) = end.or(self.far.as_ref()) {
            bounds.insert(to, far.clone());
        }
        // Of its type alone.
        if !bounds.contains_key("$gte") && !bounds.contains_key("$gt") {
            bounds.insert("$gte", key.least.clone());
        }
        doc! { key.field: bounds }
    }

    pub(super) fn order(&self) -> Document {
        let key = self.key.as_ref();
        key.map_or_else(Document::new, |key| doc! { key.field: self.direction() })
    }

    pub(super) fn direction(&self) -> i32 {
        if self.is_descending() { -1 } else { 1 }
    }

    pub(super) fn beyond(&self) -> &'static str {
        if self.is_descending() { "$lt" } else { "$gt" }
    }

    pub(super) fn is_descending(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.is_descending)
    }

    pub(super) fn value_of(&self, document: &RawDocument) -> Bson {
        let key = self.key.as_ref();
        key.and_then(|key| value(document, key.field))
            .unwrap_or(Bson::Null)
    }

    pub(super) fn in_order(&self, a: Option<&Bson>, b: Option<&Bson>) -> Ordering {
        let order = rank(a).cmp(&rank(b));
        if self.is_descending() {
            order.reverse()
        } else {
            order
        }
    }
}

/// Strings before MongoDB's own ids, each by its bytes, as MongoDB sorts them.
fn rank(id: Option<&Bson>) -> (u8, Vec<u8>) {
    match id {
        Some(Bson::String(text)) => (1, text.as_bytes().to_vec()),
        Some(Bson::ObjectId(id)) => (2, id.bytes().to_vec()),
        Some(other) => (3, other.to_string().into_bytes()),
        None => (0, Vec::new()),
    }
}

pub(super) fn id(document: &RawDocument) -> Option<Bson> {
    value(document, "_id")
}

pub(super) fn value(document: &RawDocument, field: &str) -> Option<Bson> {
    let value: RawBsonRef<'_> = document.get(field).ok()??;
    value.try_into().ok()
}

/// The fields that are asked for and those that the list itself needs.
pub(super) fn projection(fields: &[String], needed: &[&str]) -> Option<Document> {
    if fields.is_empty() {
        return None;
    }
    let mut all: Vec<&str> = fields
        .iter()
        .map(String::as_str)
        .chain(needed.iter().copied())
        .collect();
    all.sort_unstable();
    let mut projection = Document::new();
    for field in &all {
        // MongoDB refuses a field beside one that it lies in.
        let inside = |outer: &&&str| {
            field
                .strip_prefix(**outer)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        if all.iter().find(inside).is_none() {
            projection.insert(*field, 1);
        }
    }
    Some(projection)
}
