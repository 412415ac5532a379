//! /openapi.json and the running service say the same: every path is there, every answer is as it is
//! described, and what the document forbids is refused with an answer that it describes.

use std::collections::BTreeSet;

mod questions;
mod schema;

use mongodb::bson::{DateTime, doc};
use mongodb::sync::Database;
use serde_json::{Value, json};

use crate::api_data::{fill, now, service};
use crate::http::Answer;
use crate::mongod;
use crate::service::Service;
use crate::wazuh::ALERTS;
use questions::{free, target, values};
use schema::{fits, resolve};

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
    let empty = format!("[{alert},{{}}]");
    let bodies: [(&[u8], u16); 20] = [
        (b"[{}]", 400),
        (empty.as_bytes(), 207),
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
