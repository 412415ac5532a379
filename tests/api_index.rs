//! Every question is answered from an index, whatever filters meet: counted by mongod's own profiler
//! over what the running service asked, and compared with a plain filter in memory.

use std::io::Write as _;

use mongodb::bson::{Bson, doc};
use mongodb::sync::Database;

use crate::api_data::{
    Dice, Known, ask, column, examined, fill, insert, now, path, reads, rfc3339, right, service,
};
use crate::json::Json;
use crate::mongod;
use crate::service::Service;
use crate::wazuh::{ALERTS, Wazuh};
use crate::webhook::until;

/// How many alerts lie there; a million shows that it makes no difference.
fn count() -> usize {
    let set = std::env::var("CUSTOM_MONGO_TEST_ALERTS").ok();
    set.map_or(30_000, |count| count.parse().expect("a number"))
}

struct Watched {
    database: Database,
    service: Service,
    all: Vec<Known>,
    _home: Wazuh,
}

#[test]
fn every_filter_and_pair_of_filters_reads_little_more_than_it_returns() {
    let (home, service) = service("api_pairs");
    let database = mongod::shared().database("api_pairs");
    let now = now();
    let all = fill(&database, count(), now);
    let watched = Watched {
        database,
        service,
        all,
        _home: home,
    };
    let filters: Vec<(&str, String)> = vec![
        ("site", "north".into()),
        ("risk_score", "critical".into()),
        ("agent_id", "007".into()),
        ("rule_id", "550".into()),
        ("group", "web".into()),
        ("mitre", "T1110".into()),
        ("level_min", "10".into()),
        ("level_min", "5".into()),
        ("since", rfc3339(now - 3_600_000)),
        ("until", rfc3339(now - 1_800_000)),
        // Nobody has these.
        ("agent_id", "999".into()),
        ("rule_id", "1".into()),
        ("site", "south".into()),
        ("mitre", "T9999".into()),
        ("level_min", "16".into()),
    ];
    watched.check(&[]);
    for (place, first) in filters.iter().enumerate() {
        watched.check(std::slice::from_ref(first));
        for second in &filters[place + 1..] {
            if first.0 != second.0 {
                watched.check(&[first.clone(), second.clone()]);
            }
        }
    }
    let three = [
        ("group", "web".into()),
        ("mitre", "T1110".into()),
        ("agent_id", "007".into()),
    ];
    watched.check(&three);
    watched.check_agent();
    // A text reads documents, but only those of its window and its filter.
    let since = ("since", rfc3339(now - 365 * 86_400_000));
    let text = ("q", "alpha17".to_owned());
    watched.compare(&[text.clone(), since.clone()], 1000);
    watched.compare(&[text, since, ("agent_id", "007".into())], 1000);
}

/// Beside a filter that lets much through, one that lets next to nothing through decides.
#[test]
fn a_rare_filter_costs_no_long_search() {
    let (_home, service) = service("api_rare");
    let database = mongod::shared().database("api_rare");
    let now = now();
    let all = fill(&database, 12_000, now);
    let rare: Vec<Known> = (0..3)
        .map(|number| Known {
            agent: "rare".to_owned(),
            groups: vec!["web", "syslog"],
            mitre: Some("T1110"),
            site: "default",
            ..Known::made(20_000 + number, now, &mut Dice::new())
        })
        .collect();
    insert(&database, &rare);
    let found = right(&rare, &[]);
    assert!(
        all.iter()
            .filter(|known| known.groups.contains(&"web"))
            .count()
            > 4000
    );
    for (question, expected) in [
        ("group=web&agent_id=rare", &found[..]),
        ("group=web&mitre=T1110&agent_id=rare", &found[..]),
        ("group=web&agent_id=999", &[]),
        ("group=web&rule_id=1", &[]),
        ("group=web&level_min=16", &[]),
        ("rule_id=550&agent_id=999&since=30d", &[]),
        ("risk_score=low&level_min=16", &[]),
        ("mitre=T1110&group=nobody", &[]),
    ] {
        let (read, answer) = examined(&database, || {
            ask(
                &service,
                &format!("/api/alerts?{question}&limit=10&fields=_id"),
            )
        });
        assert_eq!(column(&answer, "_id"), expected, "{question}");
        assert!(answer["next"].is_null(), "{question}: {}", answer["next"]);
        assert!(
            read.documents <= 120,
            "{question}: {} documents",
            read.documents
        );
        assert!(read.keys < 3500, "{question}: {} keys", read.keys);
    }
}

#[test]
fn a_small_page_reads_little_too() {
    let (home, service) = service("api_small_pages");
    let database = mongod::shared().database("api_small_pages");
    let all = fill(&database, 5000, now());
    let watched = Watched {
        database,
        service,
        all,
        _home: home,
    };
    for question in [
        vec![],
        vec![("group", "web".to_owned()), ("mitre", "T1110".to_owned())],
    ] {
        let (read, ()) = reads(&watched.database, || {
            let mut question = question.clone();
            question.push(("limit", "1".into()));
            ask(&watched.service, &path("/api/alerts", &question));
        });
        assert!(read <= 102, "{question:?} read {read} documents");
    }
}

#[test]
fn counting_reads_no_document() {
    let (home, service) = service("api_counts");
    let database = mongod::shared().database("api_counts");
    let all = fill(&database, 12_000, now());
    let watched = Watched {
        database,
        service,
        all,
        _home: home,
    };
    let question = vec![("group", "web".to_owned()), ("agent_id", "007".to_owned())];
    let expected = right(&watched.all, &question).len();
    let (read, ()) = reads(&watched.database, || {
        let mut question = question.clone();
        question.extend([("count", "true".to_owned()), ("limit", "1".to_owned())]);
        let answer = ask(&watched.service, &path("/api/alerts", &question));
        assert_eq!(
            (&answer["count"], &answer["count_capped"]),
            (&expected.into(), &false.into())
        );
        let answer = ask(&watched.service, "/api/alerts?count=1&limit=1");
        assert_eq!(
            (&answer["count"], &answer["count_capped"]),
            (&10_000.into(), &true.into())
        );
        let answer = ask(&watched.service, "/api/alerts/stats");
        assert_eq!(answer["total"], 12_000);
    });
    assert!(read <= 10, "{read} documents were read");
}

#[test]
fn the_indexes_stay_under_a_quarter_of_the_data() {
    let wazuh = Wazuh::new("api_index_size");
    let file = wazuh.home.join("alerts.json");
    let mut out = std::fs::File::create(&file).unwrap();
    let lines: Vec<Json> = ALERTS.lines().map(Json::read).collect();
    for round in 0..200 {
        for (place, alert) in lines.iter().enumerate() {
            let second = 1_748_872_000 + round * 60 + place;
            let alert = alert
                .clone()
                .with("id", Json::Text(format!("{second}.{round}{place}")));
            let time = rfc3339(i64::try_from(second * 1000 + place).unwrap());
            writeln!(out, "{}", alert.with("timestamp", Json::Text(time))).unwrap();
        }
    }
    let stored = wazuh.run(&["backfill", &file.display().to_string()]);
    assert!(stored.status.success(), "{stored:?}");
    let database = mongod::shared().database("api_index_size");
    mongod::shared().admin(doc! { "fsync": 1 });
    let stats = database
        .run_command(doc! { "collStats": "alerts" })
        .run()
        .unwrap();
    let data = number(stats.get("size"));
    let indexes = number(stats.get("totalIndexSize"));
    println!(
        "{} alerts, indexes {:.1} % of the data",
        stats.get("count").unwrap(),
        100.0 * indexes / data
    );
    assert!(indexes < data / 4.0, "{indexes} of {data}: {stats}");
}

#[test]
fn inventory_is_read_from_its_indexes() {
    let wazuh = Wazuh::new("api_inventory_index");
    let database = mongod::shared().database("api_inventory_index");
    let packages = database.collection::<mongodb::bson::Document>("software_inventory");
    for agent in 0..10 {
        let row = |number: usize| {
            let mut row = doc! {
                "_site": "default", "agent_id": format!("{agent:03}"), "name": format!("package{number:04}"), "version": "1",
                "size": i64::try_from(number).unwrap(),
            };
            if number.is_multiple_of(3) {
                row.insert("_removed_at", mongodb::bson::DateTime::now());
            }
            row
        };
        packages.insert_many((0..1500).map(row)).run().unwrap();
        let agent =
            doc! { "_site": "default", "agent_id": format!("{agent:03}"), "status": "active" };
        database
            .collection("agents")
            .insert_one(agent)
            .run()
            .unwrap();
    }
    let service = Service::start(&wazuh);
    // The last ones that it makes.
    let runs = database.collection::<mongodb::bson::Document>("collect_runs");
    until("the indexes are there", || {
        let names = runs.list_index_names().run();
        names.is_ok_and(|names| names.len() > 1)
    });
    for (path, expected) in [
        ("/api/agents/003/software?limit=50", 50),
        ("/api/agents/003/software?limit=0", 1000),
        ("/api/software?name=package0001&limit=3", 3),
        ("/api/software?name=package0001&version=2", 0),
        ("/api/software?name=package0003&history=1", 10),
        ("/api/agents?status=active&limit=5", 5),
        ("/api/agents/003", 1),
    ] {
        let (read, found) = reads(&database, || {
            ask(&service, path)["data"].as_array().unwrap().len()
        });
        assert_eq!(found, expected, "{path}");
        assert!(read <= 2 * found + 100, "{path} read {read} documents");
    }
}

fn number(value: Option<&Bson>) -> f64 {
    value.unwrap().to_string().parse().unwrap()
}

/// Two lists in one question: the only count that reads what it counts.
fn reads_what_it_counts(question: &[(&str, String)]) -> bool {
    let has = |name: &str| question.iter().any(|(one, _)| *one == name);
    has("group") && has("mitre")
}

impl Watched {
    /// Reads a few pages, and counts: right, and with little reading.
    fn check(&self, question: &[(&str, String)]) {
        self.check_pages(question);
        let expected = right(&self.all, question).len().min(10_000);
        let (read, answer) = reads(&self.database, || {
            let mut given = question.to_vec();
            given.extend([("count", "true".to_owned()), ("limit", "1".to_owned())]);
            ask(&self.service, &path("/api/alerts", &given))
        });
        assert_eq!(answer["count"], expected, "{question:?}");
        assert!(
            read <= 102 || reads_what_it_counts(question),
            "{question:?}: {read} documents read to count"
        );
    }

    /// The same by the path of an agent.
    fn check_agent(&self) {
        let question = [("group", "web".to_owned()), ("agent_id", "007".to_owned())];
        let right = right(&self.all, &question);
        let (read, answer) = reads(&self.database, || {
            ask(
                &self.service,
                "/api/agents/007/alerts?group=web&limit=50&fields=_id",
            )
        });
        assert_eq!(column(&answer, "_id"), right[..50]);
        assert!(read <= 200, "{read} documents read");
    }

    fn check_pages(&self, question: &[(&str, String)]) {
        let (read, (returned, pages)) = reads(&self.database, || self.compare(question, 3));
        let most = 2 * returned + 100 * pages;
        assert!(
            read <= most,
            "{question:?}: {read} documents read, {returned} returned on {pages} pages"
        );
    }

    /// Compares so many pages with the right answer; how many documents on how many pages.
    fn compare(&self, question: &[(&str, String)], pages: usize) -> (usize, usize) {
        let right = right(&self.all, question);
        let (mut seen, mut next, mut asked) = (Vec::new(), String::new(), 0);
        while asked < pages {
            let mut given = question.to_vec();
            given.extend([("fields", "_id".to_owned()), ("limit", "100".to_owned())]);
            if !next.is_empty() {
                given.push(("next", next.clone()));
            }
            let answer = ask(&self.service, &path("/api/alerts", &given));
            asked += 1;
            seen.extend(column(&answer, "_id"));
            answer["next"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut next);
            if next.is_empty() {
                assert_eq!(seen, right, "{question:?}: the end");
                return (seen.len(), asked);
            }
        }
        assert_eq!(seen, right[..seen.len()], "{question:?}: {asked} pages");
        (seen.len(), asked)
    }
}

/// `listIndexes` names it already, and mongod refuses a hint to it: as with one that is taken away.
#[test]
fn an_index_that_is_not_ready_is_told_as_that() {
    let (_home, service) = service("api_not_ready");
    let database = mongod::shared().database("api_not_ready");
    fill(&database, 20, now());
    let asked = path("/api/alerts", &[("group", "web".to_owned())]);
    ask(&service, &asked);
    let alerts = database.collection::<mongodb::bson::Document>("alerts");
    alerts.drop_index("site_group_time").run().unwrap();
    let answer = service.get(&asked, &[]);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("being built"), "{}", answer.text());
}
