//! Lists: pages that stay right while alerts arrive, and what may be asked of them.

use std::collections::HashSet;

use mongodb::bson::DateTime;

use crate::api_data::{Dice, Known, ask, column, fill, insert, now, path, right, service};
use crate::mongod::{self};
use crate::service::Service;

/// All pages of a list, one field of each document.
#[track_caller]
pub(crate) fn walk(service: &Service, path: &str, field: &str) -> Vec<String> {
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let answer = ask(service, &format!("{path}{next}"));
        seen.extend(column(&answer, field));
        match answer["next"].as_str() {
            Some(position) => next = format!("&next={position}"),
            None => return seen,
        }
    }
}

#[test]
fn pages_are_right_while_alerts_arrive() {
    let (_home, service) = service("api_arriving");
    let database = mongod::shared().database("api_arriving");
    let now = now();
    let all = fill(&database, 700, now);
    let (mut seen, mut next, mut round) = (Vec::new(), String::new(), 0);
    let mut dice = Dice::new();
    loop {
        let answer = ask(&service, &format!("/api/alerts?limit=37&fields=_id{next}"));
        seen.extend(column(&answer, "_id"));
        let Some(position) = answer["next"].as_str() else {
            break;
        };
        next = format!("&next={position}");
        // Newer ones, and one in the same millisecond as the last of the page, before it in order.
        round += 1;
        let last = all.iter().find(|known| Some(&known.id) == seen.last());
        for number in 0..5 {
            let mut late = Known::made(100_000 + round * 10 + number, now, &mut dice);
            late.time = if number == 0 {
                last.map_or(now, |last| last.time)
            } else {
                now + 1000
            };
            late.id = format!("f{:031x}", round * 10 + number);
            insert(&database, &[late]);
        }
    }
    let ours: Vec<String> = seen
        .iter()
        .filter(|id| !id.starts_with('f'))
        .cloned()
        .collect();
    assert_eq!(
        ours,
        right(&all, &[]),
        "every alert that was there, once and in order"
    );
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len());
    assert!(round > 10);
}

#[test]
fn alerts_of_one_millisecond_are_told_apart() {
    let (_home, service) = service("api_ties");
    let database = mongod::shared().database("api_ties");
    let time = now();
    let mut dice = Dice::new();
    let mut all: Vec<Known> = (0..2600)
        .map(|number| Known::made(number, time, &mut dice))
        .collect();
    for (place, known) in all.iter_mut().enumerate() {
        known.time = time - i64::try_from(place / 2500).unwrap();
    }
    insert(&database, &all);
    assert_eq!(
        walk(&service, "/api/alerts?limit=97&fields=_id", "_id"),
        right(&all, &[])
    );
    assert_eq!(
        walk(&service, "/api/alerts?limit=0&fields=_id", "_id"),
        right(&all, &[])
    );
    let agent = [("agent_id", "007".to_owned())];
    assert_eq!(
        walk(
            &service,
            "/api/alerts?agent_id=007&limit=20&fields=_id",
            "_id"
        ),
        right(&all, &agent)
    );
}

#[test]
fn a_position_counts_for_its_question_alone() {
    let (_home, service) = service("api_position");
    fill(&mongod::shared().database("api_position"), 50, now());
    let answer = ask(&service, "/api/alerts?limit=3&risk_score=low");
    let next = answer["next"].as_str().unwrap().to_owned();
    ask(
        &service,
        &format!("/api/alerts?limit=9&fields=rule&risk_score=low&next={next}"),
    );
    let wrong = [
        format!("/api/alerts?limit=3&next={next}"),
        format!("/api/alerts?risk_score=low&next={}", &next[1..]),
        format!(
            "/api/alerts?risk_score=low&next={}_{}",
            &next[..30],
            &next[31..]
        ),
        format!("/api/agents/001/alerts?risk_score=low&next={next}"),
        "/api/alerts?next=AAAA".to_owned(),
    ];
    for path in wrong {
        let answer = service.get(&path, &[]);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(
            answer.json()["message"]
                .as_str()
                .unwrap()
                .starts_with("next:"),
            "{}",
            answer.text()
        );
    }
}

#[test]
fn a_wrong_parameter_is_named() {
    let (_home, service) = service("api_wrong");
    for (path, name) in [
        ("/api/alerts?limit=ten", "limit"),
        ("/api/alerts?limit=-1", "limit"),
        ("/api/alerts?risk_score=huge", "risk_score"),
        ("/api/alerts?level_min=17", "level_min"),
        ("/api/alerts?since=yesterday", "since"),
        ("/api/alerts?since=2026-01-01T00:00:00", "since"),
        ("/api/alerts?since=1h&until=2h", "since"),
        ("/api/alerts?fields=a,,b", "fields"),
        ("/api/alerts?fields=$where", "fields"),
        ("/api/alerts?with_id=maybe", "with_id"),
        ("/api/alerts?limt=1", "limt"),
        ("/api/alerts?limit=1&limit=2", "limit"),
        ("/api/alerts?agent_id=%00", "agent_id"),
        ("/api/alerts/stats?by=colour", "by"),
        ("/api/alerts/stats?bucket=0hour", "bucket"),
        ("/api/alerts/stats?bucket=minute&since=365d", "bucket"),
        ("/api/alerts/stats?zone=Atlantis", "zone"),
        ("/api/software?version=1", "name"),
        ("/api/agents?agent_id=1", "agent_id"),
        ("/api/alerts/stream?since=1h", "since"),
        ("/api/alerts/stream?last_event_id=x", "last_event_id"),
    ] {
        let answer = service.get(path, &[]);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(name), "{path}: {message}");
    }
    for path in [
        "/api/alerts/none",
        "/api/agents/none",
        "/api/agents/001/colours",
        "/api/colours",
    ] {
        let answer = service.get(path, &[]);
        assert_eq!(
            (answer.status, answer.json()["status"].as_str()),
            (404, Some("error")),
            "{path}"
        );
    }
}

#[test]
fn fields_are_those_that_were_asked_for() {
    let (_home, service) = service("api_fields");
    let database = mongod::shared().database("api_fields");
    let all = fill(&database, 5, now());
    let first = |question: &str| {
        ask(&service, &format!("/api/alerts?limit=1&{question}"))["data"][0].clone()
    };
    let names = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        names(&first("fields=rule.id,agent_id")),
        ["rule", "agent_id"]
    );
    assert_eq!(names(&first("fields=rule.id,agent_id")["rule"]), ["id"]);
    assert!(names(&first("fields=rule.id,rule")["rule"]).len() > 2);
    assert_eq!(names(&first("fields=_id")), ["_id"]);
    assert_eq!(names(&first("fields=none")), Vec::<String>::new());
    assert!(names(&first("with_id=true")).contains(&"_id".to_owned()));
    assert!(!names(&first("")).contains(&"_id".to_owned()));
    let newest = right(&all, &[])[0].to_owned();
    let one = ask(&service, &format!("/api/alerts/{newest}"));
    assert_eq!(one["data"]["_id"], newest);
}

#[test]
fn statistics_name_their_window_and_zone() {
    let (_home, service) = service("api_stats");
    let database = mongod::shared().database("api_stats");
    let all = around_the_change_of_clocks();
    insert(&database, &all);
    let question = [
        ("since", "2026-03-28T22:00:00Z".to_owned()),
        ("until", "2026-03-30T23:00:00Z".to_owned()),
        ("zone", "Europe/Berlin".to_owned()),
        ("bucket", "day".to_owned()),
    ];
    let answer = ask(&service, &path("/api/alerts/stats", &question));
    let inside = right(&all, &question[..2]).len();
    assert_eq!(answer["total"], inside);
    assert_eq!(
        (&answer["zone"], &answer["bucket"]),
        (&"Europe/Berlin".into(), &"1 day".into())
    );
    let days = column_of(&answer["data"]["time"], "value");
    assert_eq!(
        days,
        [
            "2026-03-27T23:00:00.000Z",
            "2026-03-28T23:00:00.000Z",
            "2026-03-29T22:00:00.000Z",
            "2026-03-30T22:00:00.000Z"
        ]
    );
    // 23 hours of twelve alerts.
    assert_eq!(answer["data"]["time"][1]["count"], 23 * 12);
    for (by, field) in [
        ("risk", "risk_score"),
        ("rule", "rule_id"),
        ("agent", "agent_id"),
    ] {
        for one in answer["data"][by].as_array().unwrap() {
            let wanted = [
                question[0].clone(),
                question[1].clone(),
                (field, one["value"].as_str().unwrap().to_owned()),
            ];
            assert_eq!(one["count"], right(&all, &wanted).len(), "{by} {one}");
        }
    }
    let filtered = [
        question[0].clone(),
        question[1].clone(),
        ("group", "web".to_owned()),
        ("by", "risk".to_owned()),
    ];
    let answer = ask(&service, &path("/api/alerts/stats", &filtered));
    assert_eq!(answer["total"], right(&all, &filtered[..3]).len());
    assert!(answer["data"].get("rule").is_none());
    let today = ask(&service, "/api/alerts/stats");
    assert_eq!(today["total"], 0, "the last day");
}

/// Two hours before the night when clocks change in Berlin, and two days on.
fn around_the_change_of_clocks() -> Vec<Known> {
    let night = DateTime::parse_rfc3339_str("2026-03-28T22:00:00Z")
        .unwrap()
        .timestamp_millis();
    let mut dice = Dice::new();
    let make = |number: usize| {
        let mut known = Known::made(number, night, &mut dice);
        known.time = night + i64::try_from(number).unwrap() * 300_000;
        known
    };
    (0..600).map(make).collect()
}

fn column_of(list: &serde_json::Value, field: &str) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|one| one[field].as_str().unwrap().to_owned())
        .collect()
}
