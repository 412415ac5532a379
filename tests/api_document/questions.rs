//! Questions made from a parameter's description: at its edges, beyond them, and what breaks parsers.

use serde_json::Value;

use crate::api_data::encoded;

/// What may be well formed and still mean nothing: a position of no list, a zone of no country.
pub(crate) fn free(parameter: &Value) -> bool {
    matches!(
        parameter["name"].as_str(),
        Some("next" | "zone" | "site" | "until" | "since")
    )
}

pub(crate) fn target(path: &str, all: &[Value], wrong: &Value, value: &str) -> String {
    let mut path = path.to_owned();
    let mut query = Vec::new();
    for parameter in all {
        let name = parameter["name"].as_str().unwrap();
        let is_wrong = parameter == wrong;
        let usual = match name {
            "id" => "001",
            "kind" => "software",
            _ => "bash",
        };
        let value = encoded(if is_wrong { value } else { usual });
        match parameter["in"].as_str() {
            Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
            Some("query") if is_wrong || parameter["required"] == true => {
                query.push(format!("{name}={value}"));
            }
            _ => {}
        }
    }
    let query = query.join("&");
    if query.is_empty() {
        path
    } else {
        format!("{path}?{query}")
    }
}

/// What breaks parsers, and what is right in one place and wrong in another.
const ODD: [&str; 47] = [
    "",
    "0",
    "1",
    "-1",
    "007",
    "1e3",
    "99999999999999999999",
    "true",
    "TRUE",
    "null",
    "NaN",
    "a b",
    "%",
    "+",
    "é",
    "\u{1F600}",
    "'",
    "\"",
    "{\"$gt\":\"\"}",
    "$where",
    "[]",
    "..",
    "../../etc/passwd",
    "\0",
    "\u{1}",
    "\r\nx: y",
    "(",
    "[a-",
    ".*",
    "a,b",
    "a.b",
    ",",
    ".",
    "2026-01-01T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01",
    "24h",
    "1 fortnight",
    "hour",
    "15minute",
    "0day",
    "UTC",
    "Europe/Berlin",
    "+02:00",
    "critical",
    "software",
    "risk,time",
];

/// Values around what a schema allows, and some that nobody should send.
pub(crate) fn values(schema: &Value) -> Vec<String> {
    let mut values: Vec<String> = ODD.map(str::to_owned).into();
    values.push("x".repeat(1024));
    values.push("x".repeat(1025));
    if let Some(all) = schema["enum"].as_array() {
        values.extend(all.iter().filter_map(|one| one.as_str().map(str::to_owned)));
    }
    for (edge, beyond) in [("minimum", -1), ("maximum", 1)] {
        if let Some(edge) = schema[edge].as_i64() {
            values.extend([edge, edge + beyond].map(|number| number.to_string()));
        }
    }
    values.sort();
    values.dedup();
    values
}
