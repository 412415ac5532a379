//! The filters of the API, on the command line.

use mongodb::bson::{Document, doc};

use super::Watcher;
use crate::api_data::{Known, fill, insert, now, right};
use crate::mongod;
use crate::wazuh::Wazuh;

/// What is typed, and what asks the same of the API.
type Case = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
);

const CASES: [Case; 9] = [
    (&["--risk", "high"], &[("risk_score", "high")]),
    (&["--agent", "3"], &[("agent_id", "003")]),
    (&["--rule", "5710"], &[("rule_id", "5710")]),
    (&["--group", "sshd"], &[("group", "sshd")]),
    (&["--mitre", "T1110"], &[("mitre", "T1110")]),
    (&["--level-min", "9"], &[("level_min", "9")]),
    (&["--site", "north"], &[("site", "north")]),
    (&["--text", "ALPHA7"], &[("q", "alpha7")]),
    (
        &["--agent-id", "003", "--risk-score", "low"],
        &[("agent_id", "003"), ("risk_score", "low")],
    ),
];

#[test]
fn every_filter_of_the_api_counts_for_what_is_there_and_for_what_comes() {
    let name = "watch_filters";
    let wazuh = Wazuh::new(name);
    let database = mongod::shared().database(name);
    let all = fill(&database, 400, now());
    for (place, (arguments, question)) in CASES.into_iter().enumerate() {
        let question: Vec<_> = question
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let mut expected = right(&all, &question);
        expected.reverse();
        assert!(expected.len() > 1, "{question:?}");
        let mut words = vec!["--last", "10000", "--format", "json"];
        words.extend(arguments);
        let watcher = Watcher::start(&wazuh, &words);
        let id = |line: String| -> String {
            let document: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            document["_id"].as_str().unwrap().to_owned()
        };
        for wanted in &expected {
            assert_eq!(id(watcher.line()), *wanted, "{arguments:?}");
        }
        let of = |is_in: bool, id: String| {
            let known = all.iter().find(|known| known.is_in(&question) == is_in);
            Known {
                id,
                ..known.unwrap().clone()
            }
        };
        let (no, yes) = (
            of(false, format!("no{place}")),
            of(true, format!("yes{place}")),
        );
        insert(&database, &[no]);
        insert(&database, std::slice::from_ref(&yes));
        assert_eq!(id(watcher.line()), yes.id, "{arguments:?}");
        let both = [format!("no{place}"), yes.id];
        let alerts = database.collection::<Document>("alerts");
        alerts
            .delete_many(doc! { "_id": { "$in": both.to_vec() } })
            .run()
            .unwrap();
    }
}
