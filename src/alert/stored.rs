//! What has to be known of a document that is stored, whoever wrote it.

use super::bson::{self, tag};

/// A stored document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// `_id`, if it is text.
    pub id: String,
    /// Whether a version of this program wrote it.
    pub is_ours: bool,
    /// When MongoDB will delete it, in milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// The day in `timestamp` as Wazuh names its files by it, `2025-06-02`.
    pub day: Option<String>,
}

impl Stored {
    /// Reads a document (BSON).
    pub fn of(document: &[u8]) -> Self {
        let text = |name: &str| bson::find(document, &[name])?.as_str();
        let expires = bson::find(document, &["_expire_at"]);
        let expires = expires.filter(|at| at.tag == tag::DATE);
        Self {
            id: text("_id").unwrap_or_default().to_owned(),
            is_ours: bson::find(document, &["_schema"]).is_some(),
            expires_at: expires.and_then(|at| Some(i64::from_le_bytes(at.value.try_into().ok()?))),
            day: text("timestamp").and_then(day),
        }
    }
}

fn day(timestamp: &str) -> Option<String> {
    let day = timestamp.get(..10)?;
    let is_day = day.bytes().enumerate().all(|(place, byte)| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    is_day.then(|| day.to_owned())
}
