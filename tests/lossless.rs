//! What "kept as it was" means: a document against the JSON that Wazuh sent.

use mongodb::bson::{Bson, Document};

use crate::json::Json;

/// The fields that the product adds; everything else is the sender's.
const OURS: [&str; 20] = [
    "_id",
    "agent_id",
    "_risk_score",
    "_assessment_category",
    "_processed_at",
    "_timestamp",
    "_source",
    "_site",
    "_schema",
    "_expire_at",
    "_defects",
    "_raw",
    "_redacted",
    "_options",
    "_agent",
    "_original",
    "_completed_at",
    "_completed_from",
    "_removed_at",
    "_rule_from",
];

/// Panics with the path of the first difference.
pub(crate) fn assert_kept(alert: &Json, document: &Document) {
    let sent: Document = document
        .iter()
        .filter(|(key, _)| !OURS.contains(&key.as_str()))
        .map(pair)
        .collect();
    assert_same("", alert, &Bson::Document(sent));
}

pub(crate) fn assert_same(path: &str, json: &Json, bson: &Bson) {
    match (json, bson) {
        (Json::Object(fields), Bson::Document(document)) => {
            for (key, value) in fields {
                let kept = document
                    .get(key)
                    .unwrap_or_else(|| panic!("{path}.{key} is missing"));
                assert_same(&format!("{path}.{key}"), value, kept);
            }
            let added = document
                .keys()
                .find(|key| !fields.iter().any(|(name, _)| name == *key));
            assert_eq!(added, None, "something was added in {path}");
        }
        (Json::List(items), Bson::Array(array)) => {
            assert_eq!(items.len(), array.len(), "length of {path}");
            for (index, (item, kept)) in items.iter().zip(array).enumerate() {
                assert_same(&format!("{path}.{index}"), item, kept);
            }
        }
        (Json::Number(text), kept) => {
            assert!(is_number(text, kept), "{path}: {text} became {kept:?}");
        }
        (Json::Text(text), Bson::String(kept)) => assert_eq!(text, kept, "{path}"),
        (Json::Bool(value), Bson::Boolean(kept)) => assert_eq!(value, kept, "{path}"),
        (Json::Null, Bson::Null) => {}
        _ => panic!("{path}: {json} became {bson:?}"),
    }
}

/// Int64, else an exact double, else Decimal128, else the text (design: "without silent damage").
fn is_number(text: &str, kept: &Bson) -> bool {
    match kept {
        Bson::Int32(value) => decimal(text) == decimal(&value.to_string()),
        Bson::Int64(value) => decimal(text) == decimal(&value.to_string()),
        Bson::Double(value) => decimal(text) == decimal(&format!("{value:e}")),
        Bson::Decimal128(value) => decimal(text) == decimal(&value.to_string()),
        Bson::String(kept) => text == kept,
        _ => false,
    }
}

/// Sign, digits without zeros at either end, and the power of ten of the last digit.
fn decimal(text: &str) -> (bool, String, i64) {
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches(['-', '+']));
    let kept = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - kept.len()).expect("a short number");
    let fraction = i64::try_from(fraction.len()).expect("a short number");
    let digits = kept.trim_start_matches('0').to_owned();
    let power = power
        .trim_start_matches('+')
        .parse::<i64>()
        .expect("a power of ten");
    let power = if digits.is_empty() {
        0
    } else {
        power - fraction + zeros
    };
    (text.starts_with('-') && !digits.is_empty(), digits, power)
}

fn pair((key, value): (&String, &Bson)) -> (String, Bson) {
    (key.clone(), value.clone())
}

#[test]
fn damage_to_a_number_is_seen() {
    let kept = |text: &str, bson: Bson| is_number(text, &bson);
    assert!(kept("1.50e2", Bson::Int64(150)) && kept("0.1", Bson::Double(0.1)));
    assert!(kept("-0", Bson::Int32(0)) && kept("1e400", Bson::String("1e400".into())));
    assert!(kept("5e-324", Bson::Double(5e-324)));
    assert!(!kept(
        "9007199254740993",
        Bson::Double(9_007_199_254_740_992.0)
    ));
    assert!(!kept("18446744073709551615", Bson::Int64(-1)));
    assert!(!kept("0.30000000000000001", Bson::Double(0.3)));
}
