//! The client against a server that speaks the API as Wazuh does, and fails as Wazuh does.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::answer::Failed;
use super::listing::Page;
use super::*;
use crate::setting::{Count, List, Span};
use fake::fleet::Status;
use fake::kind::Kind;
use fake::login::User;
use fake::{Fault as Fails, Options, Server};

mod faults;
mod foreign;

#[path = "../../packaging/wazuh-api.rs"]
#[expect(
    dead_code,
    reason = "a program of its own, of which each user takes a part"
)]
mod fake;

const PASSWORD: &str = "Secret.Fake.1";
const MINUTE: Duration = Duration::from_secs(60);

struct Manager {
    server: Server,
    state: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        Self {
            server: Server::start(options).unwrap(),
            state: tempfile::tempdir().unwrap(),
        }
    }

    fn settings(&self) -> Settings {
        settings(&[self.server.url()])
    }

    fn api(&self) -> Api {
        api(&self.settings(), self.state.path(), MINUTE)
    }
}

fn settings(urls: &[String]) -> Settings {
    Settings {
        url: List(urls.to_vec()),
        user: Some("custom-mongo".to_owned()),
        password: Some(Secret::new(PASSWORD)),
        requests_per_minute: Count(100_000),
        ..Settings::default()
    }
}

/// `until` from now on.
fn api(settings: &Settings, state: &Path, until: Duration) -> Api {
    Api::new(settings, None, state, Instant::now() + until).unwrap()
}

fn packages(agent: &str, limit: u64) -> Listing {
    Listing {
        path: format!("/syscollector/{agent}/packages"),
        query: vec![("sort".to_owned(), "name,version,architecture".to_owned())],
        limit,
    }
}

/// A whole list, as a caller reads it.
fn read_all(api: &mut Api, list: &Listing) -> Result<Vec<Map<String, Value>>, Error> {
    let mut all = Vec::new();
    loop {
        let page: Page = api.page(list, all.len() as u64)?;
        let end = page.items.is_empty();
        all.extend(page.items);
        if end || all.len() as u64 >= page.total {
            return Ok(all);
        }
    }
}

#[test]
fn a_list_is_read_page_by_page_as_it_is() {
    let manager = Manager::new();
    let mut api = manager.api();
    let read = read_all(&mut api, &packages("004", 7)).unwrap();
    let there = manager.server.state().fleet.rows("004", Kind::Packages);
    let there: Vec<Value> = there
        .iter()
        .map(|row| serde_json::from_str(&row.to_string()).unwrap())
        .collect();
    assert_eq!(there.len(), 30);
    for row in &there {
        assert!(
            read.iter().any(|one| Value::Object(one.clone()) == *row),
            "{row}"
        );
    }
    assert_eq!(read.len(), there.len());
    let names: Vec<_> = read
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted());
}

#[test]
fn a_run_is_one_login_on_one_connection() {
    let manager = Manager::new();
    let mut api = manager.api();
    for id in ["001", "002", "004"] {
        read_all(&mut api, &packages(id, 10)).unwrap();
    }
    let tally = api.tally();
    let state = manager.server.state();
    assert_eq!((tally.logins, tally.requests, tally.retries), (1, 10, 0));
    assert_eq!(state.seen.len(), 10);
    assert!(
        state
            .seen
            .iter()
            .all(|seen| seen.connection == state.seen[0].connection)
    );
    let ours = concat!("custom-mongo/", env!("CARGO_PKG_VERSION"));
    assert!(state.seen.iter().all(|seen| seen.user_agent == ours));
    assert!(
        state
            .seen
            .iter()
            .all(|seen| !seen.method.contains("DELETE")),
        "never a logout"
    );
    assert!(tally.bytes > 10_000);
}

#[test]
fn values_in_a_query_arrive_as_they_were_meant() {
    let manager = Manager::new();
    let mut api = manager.api();
    let q = [
        ("q", "id!=000;status=active"),
        ("limit", "100"),
        ("sort", "-name"),
    ];
    let agents = api.get("/agents", &q).unwrap();
    assert!(
        agents
            .items
            .iter()
            .all(|agent| agent["id"] != "000" && agent["status"] == "active")
    );
    assert_eq!(agents.total, agents.items.len() as u64);
    assert_eq!(agents.items[0]["name"], "host-00025");
}

#[test]
fn what_an_agent_lacks_is_told_from_what_goes_wrong() {
    let manager = Manager::new();
    let mut api = manager.api();
    let mut ask = |path: &str, query: &[(&str, &str)]| api.get(path, query).unwrap_err();
    for path in [
        "/syscollector/007/os",
        "/syscheck/007",
        "/syscheck/99999",
        "/syscollector/99999/os",
    ] {
        let error = ask(path, &[]);
        assert!(matches!(error, Error::NoDatabase(_)), "{path}: {error:?}");
    }
    for path in ["/experimental/syscollector/os", "/vulnerability/001"] {
        let error = ask(path, &[]);
        assert!(matches!(error, Error::Absent(_)), "{path}: {error:?}");
    }
    assert!(matches!(ask("/manager/info", &[]), Error::Forbidden(_)));
    for query in [("sort", "nope"), ("limit", "0"), ("foo", "1")] {
        let error = ask("/agents", &[query]);
        assert!(matches!(error, Error::Refused(_)), "{query:?}: {error:?}");
    }
    manager.server.state().fleet.version = "4.13.1".to_owned();
    let users = manager
        .api()
        .get("/syscollector/004/users", &[])
        .unwrap_err();
    assert!(matches!(users, Error::Absent(_)), "{users:?}");
}

#[test]
fn an_agent_that_vanishes_between_two_pages_is_no_empty_list() {
    let manager = Manager::new();
    let mut api = manager.api();
    assert_eq!(api.page(&packages("004", 10), 0).unwrap().items.len(), 10);
    manager.server.state().fleet.remove_agent("004");
    let gone = api.page(&packages("004", 10), 10).unwrap_err();
    assert!(matches!(gone, Error::NoDatabase(_)), "{gone:?}");
    manager
        .server
        .state()
        .fleet
        .agent_mut("005")
        .unwrap()
        .status = Status::NeverConnected;
    let gone = api.page(&packages("005", 10), 0).unwrap_err();
    assert!(matches!(gone, Error::NoDatabase(_)), "{gone:?}");
}

#[test]
fn a_page_says_what_the_total_is_now() {
    let manager = Manager::new();
    let mut api = manager.api();
    manager
        .server
        .state()
        .fail_after("packages", 1, 1, Fails::MoreInTotal(3));
    let totals = [0, 10, 20].map(|offset| api.page(&packages("004", 10), offset).unwrap().total);
    assert_eq!(totals, [30, 33, 30]);
}

#[test]
fn fleet_wide_probes_tell_which_agent_has_no_database() {
    let manager = Manager::with(Options {
        experimental: true,
        ..Options::default()
    });
    let mut api = manager.api();
    let probe = |ids: &'static str| {
        [
            ("agents_list", ids),
            ("limit", "1"),
            ("sort", "-scan.time"),
            ("select", "scan.time"),
        ]
    };
    let path = "/experimental/syscollector/packages";
    let answer = api.get(path, &probe("001,002,004")).unwrap();
    assert_eq!((answer.items.len(), answer.total), (3, 90));
    let error = api.get(path, &probe("001,007")).unwrap_err();
    assert!(
        matches!(&error, Error::NoDatabase(why) if why.contains("agent 007")),
        "{error:?}"
    );
    let partly = api.get(path, &probe("001,99999")).unwrap();
    let gone = Failed {
        code: 1701,
        message: "Agent does not exist".to_owned(),
        ids: vec!["99999".to_owned()],
    };
    assert_eq!((partly.items.len(), partly.failed), (1, vec![gone]));
}

#[test]
fn rights_are_read_as_wazuh_tells_them() {
    let mut group = User::reader("custom-mongo", PASSWORD);
    for policy in &mut group.policies {
        policy.1 = "agent:group:windows".to_owned();
    }
    let of = |users: Vec<User>| {
        let manager = Manager::with(Options {
            users,
            ..Options::default()
        });
        let mut api = manager.api();
        let agents = api.get("/agents", &[]).unwrap().total;
        (api.rights().unwrap().reach("syscheck:read"), agents)
    };
    assert_eq!(
        of(vec![User::reader("custom-mongo", PASSWORD)]),
        (Reach::All, 26)
    );
    let windows = Reach::Some(vec!["agent:group:windows".to_owned()]);
    assert_eq!(of(vec![group.clone()]), (windows, 3));
    group.policies.clear();
    assert_eq!(of(vec![group]), (Reach::None, 0));
}

#[test]
fn the_budget_holds_for_two_processes_as_the_server_sees_it() {
    let manager = Manager::with(Options {
        per_minute: 0,
        ..Options::default()
    });
    let mut settings = manager.settings();
    settings.requests_per_minute = Count(20);
    // A busy machine holds requests up on their way: half a second of margin to the second looked at.
    let (minute, until) = (
        Duration::from_millis(1_500),
        Instant::now() + Duration::from_millis(4_800),
    );
    let run = || {
        let mut api =
            Api::with_minute(&settings, None, manager.state.path(), until, minute).unwrap();
        while api.get("/agents", &[("limit", "1")]).is_ok() {}
        assert_eq!(api.get("/agents", &[]), Err(Error::Deadline));
    };
    std::thread::scope(|scope| {
        scope.spawn(run);
        scope.spawn(run);
    });
    let state = manager.server.state();
    let peak = state.peak(Duration::from_secs(1));
    assert!(peak <= 20, "{peak} in a second");
    assert!(
        state.seen.len() >= 55,
        "{} in all: the budget is used",
        state.seen.len()
    );
}

#[test]
fn neither_password_nor_token_is_in_what_is_printed() {
    let manager = Manager::new();
    let mut api = manager.api();
    api.get("/agents", &[]).unwrap();
    let token = api.login.token.as_ref().unwrap().expose().to_owned();
    // A proxy that echoes what it got.
    let echo = format!("{{\"detail\":\"you sent Bearer {token} and {PASSWORD}\"}}");
    let answer = fake::http::Answer {
        status: 418,
        content_type: "application/json",
        body: echo,
    };
    manager
        .server
        .state()
        .fail("/agents", 1, Fails::Answer(answer));
    let error = api.get("/agents", &[]).unwrap_err();
    let printed = format!("{error} {error:?} {api:?} {:?}", manager.settings());
    assert!(printed.contains("you sent Bearer ***"), "{printed}");
    assert!(
        !printed.contains(&token) && !printed.contains(PASSWORD),
        "{printed}"
    );
    let basic = token::basic("custom-mongo", &Secret::new(PASSWORD));
    assert!(!printed.contains(basic.expose().trim_start_matches("Basic ")));
}

#[test]
fn settings_that_cannot_work_are_named() {
    let state = tempfile::tempdir().unwrap();
    let good = settings(&["http://127.0.0.1:1".to_owned()]);
    let fault = |change: &dyn Fn(&mut Settings)| {
        let mut settings = good.clone();
        change(&mut settings);
        let api = Api::new(&settings, None, state.path(), Instant::now() + MINUTE);
        match api.map(|_| ()) {
            Err(Error::Settings(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(fault(&|settings| settings.url.0.clear()).contains("wazuh_api.url"));
    assert!(fault(&|settings| settings.user = None).contains("WAZUH_USER"));
    assert!(fault(&|settings| settings.password = None).contains("WAZUH_PASS"));
    assert!(
        fault(&|settings| settings.requests_per_minute = Count(0)).contains("requests_per_minute")
    );
    assert!(fault(&|settings| settings.pin = List(vec!["AA".into()])).contains("wazuh_api.pin"));
    assert!(
        fault(&|settings| settings.ca_file = Some("/nonexistent".into())).contains("/nonexistent")
    );
    assert!(
        fault(&|settings| settings.url = List(vec!["http://192.0.2.1".into()]))
            .contains("https://")
    );
}
