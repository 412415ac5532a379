//! Which documents speak of somebody: by the value of a field, or by a text anywhere in them.

use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::bson::{self, Element, tag};

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// The field (dotted path, also through lists) is this text, or the number that is written so.
    Field {
        /// The path.
        path: String,
        /// The text.
        value: String,
    },
    /// The text, in small letters, is part of a text, of the name of a field, or of binary data, in
    /// whatever case and however deep.
    Anywhere(String),
}

impl FromStr for Term {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = "write FIELD=VALUE (data.srcuser=alice), or *=TEXT for a text anywhere";
        let (path, value) = text.split_once('=').ok_or(fault)?;
        if path.is_empty() || value.is_empty() {
            return Err(fault.to_owned());
        }
        Ok(match path {
            "*" => Self::Anywhere(value.to_lowercase()),
            _ => Self::Field {
                path: path.to_owned(),
                value: value.to_owned(),
            },
        })
    }
}

impl Term {
    /// Whether the document (BSON) speaks of it.
    pub fn is_in(&self, document: &[u8]) -> bool {
        match self {
            Self::Field { path, value } => has_field(document, path, value),
            Self::Anywhere(text) => has_text(document, text),
        }
    }

    /// Whether bytes that are no document hold the text; where a field ends nobody knows there.
    pub fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        let (Self::Field { value: text, .. } | Self::Anywhere(text)) = self;
        let bytes = String::from_utf8_lossy(bytes).to_lowercase();
        bytes.contains(&text.to_lowercase())
    }

    /// What was looked for without saying it: the field, and a SHA-256 (hex) over `salt` and text.
    pub fn record(&self, salt: &str) -> (&str, String) {
        let (path, text) = match self {
            Self::Field { path, value } => (path.as_str(), value),
            Self::Anywhere(text) => ("*", text),
        };
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(format!("{salt}\0{text}")) {
            for digit in [byte >> 4, byte & 15] {
                hex.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        (path, hex)
    }
}

fn has_field(container: &[u8], path: &str, value: &str) -> bool {
    bson::elements(container).any(|field| {
        let name = std::str::from_utf8(field.name).unwrap_or_default();
        // A name may itself have dots.
        let below = path
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'));
        path == name && is_value(field, value)
            || below.is_some_and(|rest| reaches(field, rest, value))
    })
}

fn reaches(field: Element<'_>, path: &str, value: &str) -> bool {
    let items = || bson::elements(field.value);
    match field.tag {
        tag::DOCUMENT => has_field(field.value, path, value),
        tag::ARRAY => items().any(|item| reaches(item, path, value)),
        _ => false,
    }
}

fn is_value(field: Element<'_>, value: &str) -> bool {
    match field.tag {
        tag::ARRAY => bson::elements(field.value).any(|item| is_value(item, value)),
        tag::STRING => field.as_str() == Some(value),
        _ => field.number_text().is_some_and(|text| text == value),
    }
}

fn has_text(container: &[u8], text: &str) -> bool {
    bson::elements(container).any(|field| {
        let in_name = || {
            String::from_utf8_lossy(field.name)
                .to_lowercase()
                .contains(text)
        };
        match field.tag {
            tag::DOCUMENT | tag::ARRAY if has_text(field.value, text) => true,
            tag::STRING | tag::BINARY if is_part(field.value, text) => true,
            _ => in_name() || field.number_text().is_some_and(|number| number == text),
        }
    })
}

fn is_part(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).to_lowercase().contains(text)
}

impl Element<'_> {
    /// A number as JSON writes it.
    fn number_text(&self) -> Option<String> {
        match self.tag {
            tag::INT32 => {
                let bytes = self.value.try_into().ok()?;
                Some(i32::from_le_bytes(bytes).to_string())
            }
            tag::DECIMAL => super::number::decimal_text(self.value),
            tag::DOUBLE => self.as_f64().map(|number| number.to_string()),
            _ => self.as_i64().map(|number| number.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ::bson::{Document, doc};

    use super::*;

    fn finds(term: &str, document: &Document) -> bool {
        let term: Term = term.parse().unwrap();
        term.is_in(&document.to_vec().unwrap())
    }

    #[test]
    fn a_field_is_its_whole_value_through_documents_and_lists() {
        let alert = doc! {
            "data": { "srcuser": "alice", "uid": 1001_i64, "a.b": "dotted" },
            "who": [{ "mail": "alice@example.org" }, { "mail": "bob@example.org" }],
            "names": ["alice", "ana"],
        };
        for term in [
            "data.srcuser=alice",
            "data.uid=1001",
            "data.a.b=dotted",
            "who.mail=bob@example.org",
            "names=ana",
        ] {
            assert!(finds(term, &alert), "{term}");
        }
        for term in [
            "data.srcuser=ali",
            "data.srcuser=Alice",
            "srcuser=alice",
            "data=alice",
            "names.0=alice2",
            "data.uid=100",
        ] {
            assert!(!finds(term, &alert), "{term}");
        }
    }

    #[test]
    fn anywhere_is_every_text_every_name_and_what_was_kept_raw() {
        let alert = doc! {
            "full_log": "login of ALICE@example.org failed", "deep": [[{ "x": ["é-Zoë"] }]],
            "by": { "bob@example.org": 1 },
            "_raw": ::bson::Binary { subtype: ::bson::spec::BinarySubtype::Generic, bytes: b"\xffcarol".to_vec() },
        };
        for term in ["*=alice@EXAMPLE.org", "*=zoë", "*=bob@", "*=Carol"] {
            assert!(finds(term, &alert), "{term}");
        }
        assert!(!finds("*=alice@example.com", &alert));
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for text in ["", "alice", "=alice", "data.srcuser=", "*="] {
            assert!(text.parse::<Term>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_record_says_the_field_and_not_the_person() {
        let term: Term = "data.srcuser=alice".parse().unwrap();
        let (field, hash) = term.record("salt");
        assert_eq!((field, hash.len()), ("data.srcuser", 64));
        assert_ne!(term.record("other").1, hash);
    }
}
