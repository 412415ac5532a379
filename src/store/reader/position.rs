//! Where a page ended, as a text that its reader cannot make sense of: a version, a check sum that
//! also covers the question (a position belongs to its question), and the place as BSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mongodb::bson::{Bson, Document, doc};
use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
const SUM: usize = 8;

/// A place in a list: everything before it has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    pub(super) part: Part,
    /// The value that the list is ordered by.
    pub(super) key: Bson,
    /// The document among those with this value; none says that all of them have been read.
    pub(super) id: Option<Bson>,
}

/// Lists have two parts: what has the value that they are ordered by, and what has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Main,
    Tail,
}

impl Position {
    /// The text that stands for the place in the answer to `question`.
    pub fn to_text(&self, question: &str) -> String {
        let mut place = doc! { "t": self.part == Part::Tail, "k": self.key.clone() };
        if let Some(id) = &self.id {
            place.insert("i", id.clone());
        }
        let place = place.to_vec().unwrap_or_default();
        let mut bytes = vec![VERSION];
        bytes.extend(sum(question, &place));
        bytes.extend(place);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the text; none if it is not one that `to_text` gave for the same question.
    pub fn parse(text: &str, question: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (check, place) = rest.split_at_checked(SUM)?;
        if *version != VERSION || check != sum(question, place) {
            return None;
        }
        let place: Document = mongodb::bson::deserialize_from_slice(place).ok()?;
        let part = if place.get_bool("t").ok()? {
            Part::Tail
        } else {
            Part::Main
        };
        let key = place.get("k")?.clone();
        let id = place.get("i").cloned();
        Some(Self { part, key, id })
    }
}

fn sum(question: &str, place: &[u8]) -> [u8; SUM] {
    let mut hash = Sha256::new();
    hash.update(b"custom-mongo position\0");
    hash.update(question.len().to_le_bytes());
    hash.update(question);
    hash.update(place);
    hash.finalize().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::DateTime;

    #[test]
    fn a_position_comes_back_only_as_it_was_given() {
        let position = Position {
            part: Part::Main,
            key: DateTime::from_millis(1_748_872_043_199).into(),
            id: Some("5943a8500104d984d1b755b67b0debd1".into()),
        };
        let text = position.to_text("risk_score=high");
        assert_eq!(Position::parse(&text, "risk_score=high"), Some(position));
        assert_eq!(Position::parse(&text, "risk_score=low"), None);
        for at in 0..text.len() {
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            // The last character carries bits that say nothing.
            let read = Position::parse(&changed, "risk_score=high");
            assert!(read.is_none(), "{at}");
        }
        for text in ["", "A", "AQ", "not base64!", "AQAAAAAAAAAAAA"] {
            assert_eq!(Position::parse(text, ""), None, "{text}");
        }
    }
}
