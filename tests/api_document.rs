//! /openapi.json and the running service say the same: every path is there, every answer is as it is
//! described, and what the document forbids is refused with an answer that it describes.

use std::collections::BTreeSet;

use mongodb::bson::{DateTime, doc};
use mongodb::sync::Database;
use serde_json::{Value, json};

use crate::api_data::{encoded, fill, now, service};
use crate::http::Answer;
use crate::mongod;
use crate::service::Service;
use crate::wazuh::ALERTS;

const ROUTES: &str = include_str!("../src/serve/routes.rs");

struct Api {
    document: Value,
    service: Service,
}

#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let (_home, service) = service("api_document");
    let api = Api::of(service);
    let described: BTreeSet<String> = api.paths().into_iter().collect();
    let product = ROUTES.split("#[cfg(test)]").next().unwrap();
    let routed = product
        .split(".route(")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1));
    let routed: BTreeSet<String> = routed.map(str::to_owned).collect();
    assert_eq!(described, routed);
    for path in &described {
        let filled = path.replace("{id}", "001").replace("{kind}", "software");
        if path.ends_with("/stream") {
            continue;
        }
        let methods = api.document["paths"][path].as_object().unwrap();
        if methods.contains_key("get") {
            assert!(!methods.contains_key("post"), "{path}");
            let answer = api.service.get(&filled, &[]);
            assert_ne!(answer.status, 405, "{path}");
            assert!(!answer.text().contains("no such path"), "{path}");
        } else {
            assert_eq!(api.service.get(&filled, &[]).status, 405, "{path}");
            assert_ne!(api.service.post(&filled, &[], b"").status, 405, "{path}");
        }
    }
    assert_eq!(api.service.post("/api/alerts", &[], b"{}").status, 405);
}

#[test]
fn every_answer_is_as_it_is_described() {
    let (_home, service) = service("api_answers");
    let database = mongod::shared().database("api_answers");
    let all = fill(&database, 300, now());
    put_inventory(&database);
    let api = Api::of(service);
    let alert = &all[0].id;
    for (path, asked, status) in [
        ("/healthz", "/healthz", 200),
        ("/readyz", "/readyz", 200),
        ("/openapi.json", "/openapi.json", 200),
        ("/metrics", "/metrics", 200),
        ("/api/agents", "/api/agents", 200),
        ("/api/agents/{id}", "/api/agents/001", 200),
        ("/api/agents/{id}", "/api/agents/777", 404),
        (
            "/api/agents/{id}/alerts",
            "/api/agents/001/alerts?with_id=true",
            200,
        ),
        ("/api/agents/{id}/{kind}", "/api/agents/001/software", 200),
        ("/api/agents/{id}/{kind}", "/api/agents/001/osinfo", 200),
        ("/api/agents/{id}/{kind}", "/api/agents/001/none", 404),
        ("/api/alerts", "/api/alerts?count=true&q=log", 200),
        ("/api/alerts", "/api/alerts?limit=x", 400),
        ("/api/alerts/stats", "/api/alerts/stats", 200),
        ("/api/alerts/{id}", &format!("/api/alerts/{alert}"), 200),
        ("/api/alerts/{id}", "/api/alerts/none", 404),
        ("/api/collect/runs", "/api/collect/runs", 200),
        ("/api/software", "/api/software?name=bash", 200),
    ] {
        let answer = api.service.get(asked, &[]);
        assert_eq!(answer.status, status, "{asked}: {}", answer.text());
        api.check(path, asked, &answer);
        if path == "/metrics" {
            continue;
        }
        let lists = answer.json()["data"].as_array().is_some_and(Vec::is_empty);
        assert!(
            !lists || path.contains("osinfo"),
            "{asked}: nothing to check"
        );
    }
}

fn put_inventory(database: &Database) {
    let date = DateTime::now();
    for collection in ["agents", "software_inventory", "os_info"] {
        let row = doc! { "agent_id": "001", "name": "bash", "_site": "default", "_fetched_at": date, "status": "active" };
        database
            .collection(collection)
            .insert_one(row)
            .run()
            .unwrap();
    }
    let state = doc! { "_site": "default", "agent_id": "001", "kind": "software", "checked_at": date, "complete": true, "count": 1_i64 };
    database
        .collection("collect_state")
        .insert_one(state)
        .run()
        .unwrap();
    database
        .collection("collect_runs")
        .insert_one(doc! { "started_at": date, "site": "default" })
        .run()
        .unwrap();
}

/// Values made from the document: at its edges, beyond them, and such as break parsers.
#[test]
fn whatever_is_asked_is_answered_by_the_document() {
    let (_home, service) = service("api_sweep");
    let database = mongod::shared().database("api_sweep");
    fill(&database, 200, now());
    database
        .collection("agents")
        .insert_one(doc! { "agent_id": "001", "status": "active" })
        .run()
        .unwrap();
    let api = Api::of(service);
    let (mut asked, mut good, mut bad) = (0, 0, 0);
    for path in api.paths() {
        let operation = &api.document["paths"][&path]["get"];
        if path.ends_with("/stream") || operation.is_null() {
            continue;
        }
        let parameters = api.parameters(operation);
        for parameter in &parameters {
            for value in values(&parameter["schema"]) {
                let target = target(&path, &parameters, parameter, &value);
                let answer = api.service.get(&target, &[]);
                asked += 1;
                api.check(&path, &target, &answer);
                assert!(answer.status < 500, "{target}: {}", answer.text());
                let fits = fits(
                    &parameter["schema"],
                    &Value::from(value.clone()),
                    &api.document,
                )
                .is_ok();
                let is_query = parameter["in"] == "query";
                if is_query && fits && !free(parameter) {
                    assert_eq!(answer.status, 200, "{target} is allowed: {}", answer.text());
                    good += 1;
                }
                if is_query && !fits {
                    assert_eq!(
                        answer.status,
                        400,
                        "{target} is not allowed: {}",
                        answer.text()
                    );
                    bad += 1;
                }
            }
        }
    }
    println!("{asked} questions, {good} good, {bad} bad");
    assert!(
        good > 100 && bad > 100 && asked > 500,
        "{asked} questions, {good} good, {bad} bad"
    );
}

#[test]
fn an_unknown_parameter_is_refused_everywhere() {
    let (_home, service) = service("api_unknown");
    let api = Api::of(service);
    for path in api.paths().iter().filter(|path| path.starts_with("/api/")) {
        let parameters = api.parameters(&api.document["paths"][path]["get"]);
        let target = target(path, &parameters, &json!({}), "");
        let and = if target.contains('?') { '&' } else { '?' };
        let unknown = format!("{target}{and}unknown=1");
        let answer = api.service.get(&unknown, &[]);
        api.check(path, &unknown, &answer);
        assert_eq!(answer.status, 400, "{unknown}");
    }
}

/// Alerts, and what somebody may take for some.
#[test]
fn whatever_is_sent_is_answered_by_the_document() {
    let (_home, service) = service("api_sent");
    let api = Api::of(service);
    let alert = ALERTS.lines().next().unwrap();
    let nested = "[".repeat(100_000);
    let deep = format!("{}1{}", "{\"a\":".repeat(170), "}".repeat(170));
    let pair = format!("[{alert},{alert}]");
    let half = format!("[{alert},7]");
    let bodies: [(&[u8], u16); 18] = [
        (alert.as_bytes(), 200),
        (ALERTS.as_bytes(), 200),
        (pair.as_bytes(), 200),
        (half.as_bytes(), 207),
        (b"", 400),
        (b"{}", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"7", 400),
        (b"\"alert\"", 400),
        (b"{\"a\":", 400),
        (b"{\"a\":1}}", 400),
        (b"\0\0\0", 400),
        (b"\xff\xfe{", 400),
        (b"<alert/>", 400),
        (nested.as_bytes(), 400),
        (b"[1,2]", 400),
        (deep.as_bytes(), 200),
    ];
    for (body, status) in bodies {
        let answer = api.service.post("/wazuh-alert", &[], body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        api.check_method("post", "/wazuh-alert", &shown, &answer);
    }
    for (header, value, status) in [
        ("content-encoding", "br", 415),
        ("content-encoding", "gzip", 400),
    ] {
        let answer = api
            .service
            .post("/wazuh-alert", &[(header, value)], alert.as_bytes());
        assert_eq!(answer.status, status, "{value}: {}", answer.text());
        api.check_method("post", "/wazuh-alert", value, &answer);
    }
}

#[test]
fn a_body_that_is_too_long_is_answered_by_the_document() {
    let (_home, service) = service("api_too_long");
    let api = Api::of(service);
    let huge = vec![b' '; 11_000_000];
    let mut connection = crate::http::connect(api.service.address);
    let answer = connection.ask("POST", "/wazuh-alert", &[], &huge);
    if let Ok(answer) = answer {
        assert_eq!(answer.status, 413, "{}", answer.text());
        api.check_method("post", "/wazuh-alert", "huge", &answer);
    }
}

/// What may be well formed and still mean nothing: a position of no list, a zone of no country.
fn free(parameter: &Value) -> bool {
    matches!(
        parameter["name"].as_str(),
        Some("next" | "zone" | "site" | "until" | "since")
    )
}

fn target(path: &str, all: &[Value], wrong: &Value, value: &str) -> String {
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
fn values(schema: &Value) -> Vec<String> {
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

impl Api {
    fn of(service: Service) -> Self {
        let document = service.get("/openapi.json", &[]).json();
        assert_eq!(document["openapi"], "3.1.0");
        Self { document, service }
    }

    fn paths(&self) -> Vec<String> {
        self.document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    }

    fn parameters(&self, operation: &Value) -> Vec<Value> {
        let all = operation["parameters"].as_array().into_iter().flatten();
        all.map(|one| self.resolve(one)).collect()
    }

    fn resolve(&self, value: &Value) -> Value {
        resolve(value, &self.document).clone()
    }

    /// The answer is one that the document has for this path.
    #[track_caller]
    fn check(&self, path: &str, asked: &str, answer: &Answer) {
        self.check_method("get", path, asked, answer);
    }

    #[track_caller]
    fn check_method(&self, method: &str, path: &str, asked: &str, answer: &Answer) {
        let status = answer.status.to_string();
        let responses = &self.document["paths"][path][method]["responses"];
        let described = self.resolve(&responses[&status]);
        assert!(
            described.is_object(),
            "{asked}: {status} is not described: {}",
            answer.text()
        );
        let Some(content) = described["content"].as_object() else {
            assert!(answer.body.is_empty(), "{asked}: {}", answer.text());
            return;
        };
        let kind = answer.header("content-type").unwrap_or_default();
        let schema = content
            .get(kind)
            .unwrap_or_else(|| panic!("{asked}: {kind} is not described"));
        if kind == "application/json" {
            fits(&schema["schema"], &answer.json(), &self.document)
                .unwrap_or_else(|why| panic!("{asked}: {why}: {}", answer.text()));
        }
    }
}

fn resolve<'a>(value: &'a Value, document: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

/// As much of JSON Schema as the document uses. A text is a number if it reads as one, since a query
/// has only texts.
fn fits(schema: &Value, value: &Value, document: &Value) -> Result<(), String> {
    let schema = resolve(schema, document);
    let fault = |what: &str| Err(format!("{value} is not as {what} says: {schema}"));
    if let Some(wanted) = schema.get("const")
        && wanted != value
    {
        return fault("const");
    }
    if let Some(all) = schema["enum"].as_array()
        && !all.contains(value)
    {
        return fault("enum");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let number = value.as_i64().or_else(|| {
        value
            .as_str()
            .filter(|text| !text.starts_with('+'))?
            .parse()
            .ok()
    });
    let is = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        // An empty value counts as none.
        "integer" => number.is_some() || value == "",
        other => panic!("type {other}"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        return fault("type");
    }
    if let Some(number) = number.filter(|_| types.contains(&"integer")) {
        let low = schema["minimum"]
            .as_i64()
            .is_some_and(|least| number < least);
        let high = schema["maximum"].as_i64().is_some_and(|most| number > most);
        if low || high {
            return fault("minimum or maximum");
        }
    }
    if let Some(text) = value.as_str() {
        fits_text(schema, text)?;
    }
    fits_inside(schema, value, document)
}

fn fits_text(schema: &Value, text: &str) -> Result<(), String> {
    let length = u64::try_from(text.chars().count()).unwrap();
    let long = schema["maxLength"]
        .as_u64()
        .is_some_and(|most| length > most);
    let short = schema["minLength"]
        .as_u64()
        .is_some_and(|least| length < least);
    let pattern = schema["pattern"].as_str();
    let other =
        pattern.is_some_and(|pattern| !regex_lite::Regex::new(pattern).unwrap().is_match(text));
    if long || short || other || text.contains('\0') {
        return Err(format!("{text:?} is not as {schema} says"));
    }
    Ok(())
}

fn fits_inside(schema: &Value, value: &Value, document: &Value) -> Result<(), String> {
    let fault = |what: &str| Err(format!("{value}: {what} in {schema}"));
    let named = schema["properties"].as_object();
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return fault(&format!("required {name}"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        match named.and_then(|named| named.get(name)) {
            Some(schema) => fits(schema, inner, document)?,
            None if schema["additionalProperties"] == false => return fault(&format!("no {name}")),
            None => {}
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        if schema.get("items").is_some() {
            fits(&schema["items"], inner, document)?;
        }
    }
    Ok(())
}
