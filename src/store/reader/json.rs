//! Documents as plain JSON, written straight from BSON: dates as RFC 3339 in UTC, 64-bit integers as
//! numbers (exact in the text, also beyond 2^53), Decimal128 and MongoDB's ids as text, binary as
//! base64, numbers that JSON does not have as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mongodb::bson::raw::RawElement;
use mongodb::bson::{Bson, RawArray, RawBsonRef, RawDocument};

use super::Record;
use crate::alert::time;

/// What of a document is shown.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Whether `_id` is shown.
    pub with_id: bool,
    /// The fields at the top that were asked for; empty is all.
    pub only: Vec<String>,
}

impl Shape {
    /// All fields, without `_id` unless it is among those that are asked for.
    pub fn of(fields: &[String]) -> Self {
        let top = |field: &String| field.split('.').next().unwrap_or_default().to_owned();
        Self {
            with_id: fields.iter().any(|field| field == "_id"),
            only: fields.iter().map(top).collect(),
        }
    }

    fn shows(&self, name: &str) -> bool {
        if name == "_id" {
            return self.with_id;
        }
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

impl Record {
    /// Appends the document as JSON.
    pub fn write_json(&self, shape: &Shape, out: &mut Vec<u8>) {
        out.push(b'{');
        fields(self.raw(), |name| shape.shows(name), out);
        out.push(b'}');
    }
}

fn fields(document: &RawDocument, shows: impl Fn(&str) -> bool, out: &mut Vec<u8>) {
    let mut is_first = true;
    for element in document.iter_elements() {
        // A document that is damaged here has no further fields.
        let Ok(element) = element else { return };
        let name = element.key().as_str();
        if !shows(name) {
            continue;
        }
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        text(name, out);
        out.push(b':');
        value_of(&element, out);
    }
}

fn value_of(element: &RawElement<'_>, out: &mut Vec<u8>) {
    match element.value() {
        Ok(found) => value(found, out),
        // Text that is no UTF-8: another program's.
        Err(_) => match element.value_utf8_lossy() {
            Ok(lossy) => value(lossy.as_raw_bson_ref(), out),
            Err(_) => out.extend_from_slice(b"null"),
        },
    }
}

fn list(items: &RawArray, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match item {
            Ok(item) => value(item, out),
            Err(_) => out.extend_from_slice(b"null"),
        }
    }
    out.push(b']');
}

fn value(found: RawBsonRef<'_>, out: &mut Vec<u8>) {
    match found {
        RawBsonRef::String(found) | RawBsonRef::Symbol(found) => text(found, out),
        RawBsonRef::Document(inner) => {
            out.push(b'{');
            fields(inner, |_| true, out);
            out.push(b'}');
        }
        RawBsonRef::Array(items) => list(items, out),
        RawBsonRef::Boolean(is) => out.extend_from_slice(if is { b"true" } else { b"false" }),
        RawBsonRef::Int32(number) => out.extend_from_slice(number.to_string().as_bytes()),
        RawBsonRef::Int64(number) => out.extend_from_slice(number.to_string().as_bytes()),
        RawBsonRef::Double(number) => double(number, out),
        RawBsonRef::DateTime(date) => text(&time::rfc3339(date.timestamp_millis()), out),
        RawBsonRef::ObjectId(id) => text(&id.to_hex(), out),
        RawBsonRef::Decimal128(number) => text(&number.to_string(), out),
        RawBsonRef::Binary(binary) => text(&STANDARD.encode(binary.bytes), out),
        RawBsonRef::Null | RawBsonRef::Undefined => out.extend_from_slice(b"null"),
        // Nothing of ours: as MongoDB's own Extended JSON.
        other => extended(other, out),
    }
}

fn double(number: f64, out: &mut Vec<u8>) {
    match serde_json::Number::from_f64(number) {
        Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
        None => text(&number.to_string(), out),
    }
}

fn extended(found: RawBsonRef<'_>, out: &mut Vec<u8>) {
    let plain = Bson::try_from(found).ok();
    let plain = plain.map(|plain| plain.into_relaxed_extjson().to_string());
    out.extend_from_slice(plain.as_deref().unwrap_or("null").as_bytes());
}

fn text(text: &str, out: &mut Vec<u8>) {
    // Writing a text into memory does not fail.
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.extend_from_slice(b"\"\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::oid::ObjectId;
    use mongodb::bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
    use mongodb::bson::{RawDocumentBuf, serialize_to_raw_document_buf};

    fn json(document: &Document, shape: &Shape) -> String {
        let raw: RawDocumentBuf = serialize_to_raw_document_buf(document).unwrap();
        let mut out = Vec::new();
        Record(raw).write_json(shape, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_type_is_plain_json() {
        let bytes = Binary {
            subtype: BinarySubtype::Generic,
            bytes: vec![1, 2, 255],
        };
        let id = ObjectId::parse_str("0123456789abcdef01234567").unwrap();
        let document = doc! {
            "_id": id, "text": "a \"b\" \u{1}é", "whole": 9_007_199_254_740_993_i64, "small": 7,
            "real": 1.5, "nan": f64::NAN, "date": DateTime::from_millis(1_748_872_043_199),
            "decimal": "1E+400".parse::<mongodb::bson::Decimal128>().unwrap(), "bytes": bytes,
            "none": Bson::Null, "list": [1, { "a.b": true, "$date": [] }], "in": { "_id": 1 },
        };
        let shape = Shape {
            with_id: true,
            only: Vec::new(),
        };
        let expected = concat!(
            r#"{"_id":"0123456789abcdef01234567","text":"a \"b\" \u0001é","#,
            r#""whole":9007199254740993,"small":7,"real":1.5,"nan":"NaN","#,
            r#""date":"2025-06-02T13:47:23.199Z","decimal":"1E+400","bytes":"AQL/","#,
            r#""none":null,"list":[1,{"a.b":true,"$date":[]}],"in":{"_id":1}}"#
        );
        assert_eq!(json(&document, &shape), expected);
    }

    #[test]
    fn the_id_is_shown_only_when_it_is_asked_for() {
        let document = doc! { "_id": 1, "a": { "b": 2 }, "c": 3 };
        assert_eq!(json(&document, &Shape::default()), r#"{"a":{"b":2},"c":3}"#);
        let fields = ["_id", "a.b"].map(str::to_owned);
        assert_eq!(
            json(&document, &Shape::of(&fields)),
            r#"{"_id":1,"a":{"b":2}}"#
        );
    }
}
