//! Several managers: each with its own site, login, budget and report, one after the other or some at
//! once, and none of them in the others' way.

use std::time::{Duration, Instant};

use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::{Value, json};

use super::{Site, quick};
use crate::certificate::{fingerprint, of_wazuh};
use crate::fake::login::User;
use crate::fake::{Options, Server};
use crate::scratch;
use crate::tls::Tls;
use crate::wazuh_api::finding;

const KINDS: &str = "kinds = [\"osinfo\"]\n";

/// Its own manager is of the site `default`; `paris` has another user and three agents less.
struct Two {
    site: Site,
    paris: Server,
}

fn options(agents: u32, user: &str, takes: Duration) -> Options {
    Options {
        agents,
        takes,
        users: vec![User::reader(user, "Secret.Fake.1")],
        ..quick()
    }
}

impl Two {
    fn new(name: &'static str, takes: Duration, collect: &str) -> Self {
        let two = Self {
            site: Site::new(name, options(8, "custom-mongo", takes), ""),
            paris: Server::start(options(5, "paris-reader", takes)).unwrap(),
        };
        two.settings("user = \"paris-reader\"\n", collect);
        two
    }

    fn settings(&self, paris: &str, collect: &str) {
        let (own, other) = (self.site.server.url(), self.paris.url());
        self.site.wazuh.settings(&format!(
            "[wazuh_api]\nurl = {own:?}\nuser = \"custom-mongo\"\npassword = \"Secret.Fake.1\"\n\
             requests_per_minute = 100000\n[wazuh_api.managers.paris]\nurl = {other:?}\n{paris}\
             [collect]\n{KINDS}{collect}"
        ));
    }

    fn agents(&self, site: &str) -> usize {
        self.site.documents("agents", doc! { "_site": site }).len()
    }

    fn runs(&self, site: &str) -> Vec<Document> {
        self.site.documents("collect_runs", doc! { "_site": site })
    }

    fn asked(&self) -> (usize, usize) {
        let asked = |server: &Server| server.state().seen.drain(..).count();
        (asked(&self.site.server), asked(&self.paris))
    }
}

fn outcomes<'a>(report: &'a Value) -> Vec<(&'a str, &'a str)> {
    let sites = report["sites"].as_array().expect("sites");
    let text = |one: &'a Value, name| one[name].as_str().expect("a text");
    let each = sites.iter();
    each.map(|one| (text(one, "_site"), text(one, "outcome")))
        .collect()
}

#[test]
fn each_manager_is_a_site_of_its_own() {
    let two = Two::new("several_sites", Duration::ZERO, "");
    let report = two.site.collect(0, "");
    assert_eq!(
        outcomes(&report),
        [("default", "complete"), ("paris", "complete")]
    );
    assert_eq!((two.agents("default"), two.agents("paris")), (9, 6));
    let first = two.site.documents("os_info", doc! { "agent_id": "001" });
    assert_eq!(first.len(), 2, "agent 001 of one is not that of the other");
    for site in ["default", "paris"] {
        assert_eq!(two.runs(site).len(), 1);
        let roster = two.site.wazuh.state().join(format!("roster-{site}.json"));
        assert!(roster.exists(), "{site}");
    }
    assert_eq!(two.site.documents("leases", doc! {}).len(), 2);
    // Nobody's agents vanish because the other manager does not list them.
    two.site.collect(0, "--full");
    let gone = doc! { "_removed_at": { "$ne": Bson::Null } };
    assert!(two.site.documents("agents", gone.clone()).is_empty());
    assert!(two.site.documents("os_info", gone).is_empty());
}

#[test]
fn one_that_fails_does_not_keep_the_others_from_their_work() {
    let two = Two::new("several_fails", Duration::ZERO, "");
    two.paris.state().logins.users[0].password = "Another.1".to_owned();
    let output = two.site.run("");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("custom-mongo: paris: ") && !said.contains("Secret.Fake.1"));
    assert_eq!((two.agents("default"), two.agents("paris")), (9, 0));
    let failed = two.runs("paris").remove(0);
    assert_eq!(failed.get_str("outcome").unwrap(), "failed");
    assert!(
        !failed.get_array("warnings").unwrap().is_empty(),
        "{failed}"
    );
    two.site.state().logins.users[0].password = "Another.1".to_owned();
    let report = two.site.collect(1, "");
    assert_eq!(
        outcomes(&report),
        [("default", "failed"), ("paris", "failed")]
    );
}

#[test]
fn one_of_them_can_be_chosen_and_has_to_be_for_an_agent() {
    let two = Two::new("several_chosen", Duration::ZERO, "");
    let report = two.site.collect(0, "--site paris --agent 2");
    assert_eq!(
        (&report["_site"], &report["agents"]),
        (&json!("paris"), &json!(6))
    );
    let (own, paris) = two.asked();
    assert!(own == 0 && paris > 0, "{own} {paris}");
    assert_eq!(two.site.documents("os_info", doc! {}).len(), 1);
    for (wrong, said) in [
        ("--site rome", "there are: default, paris"),
        ("--agent 2", "add --site"),
    ] {
        let output = two.site.run(wrong);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(said),
            "{output:?}"
        );
    }
    assert_eq!(two.asked(), (0, 0));
}

#[test]
fn as_many_are_read_at_once_as_max_workers_says() {
    let mut two = Two::new("several_workers", Duration::from_millis(15), "");
    let date = |run: &Document, name: &str| *run.get_datetime(name).unwrap();
    for (workers, overlap) in [("1", false), ("2", true)] {
        two.site.wazuh.environment = vec![("MAX_WORKERS", workers.to_owned())];
        two.site.collect(0, "--full");
        let newest = |site| {
            let mut runs = two.runs(site);
            runs.sort_by_key(|run| date(run, "started_at"));
            runs.pop().unwrap()
        };
        let (own, paris) = (newest("default"), newest("paris"));
        let is_at_once = date(&own, "started_at") < date(&paris, "finished_at")
            && date(&paris, "started_at") < date(&own, "finished_at");
        assert_eq!(is_at_once, overlap, "{workers}: {own} {paris}");
    }
}

#[test]
fn a_slow_one_leaves_the_others_their_share_of_the_time() {
    let two = Two::new("several_share", Duration::ZERO, "deadline = \"12 s\"\n");
    two.site.state().options.takes = Duration::from_millis(900);
    let begun = Instant::now();
    let report = two.site.collect(3, "");
    assert_eq!(
        outcomes(&report),
        [("default", "partial"), ("paris", "complete")]
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_lease_of_one_site_keeps_only_that_site_waiting() {
    let two = Two::new("several_lease", Duration::ZERO, "");
    two.site.collect(0, "");
    let end = DateTime::from_millis(DateTime::now().timestamp_millis() + 3_600_000);
    let set = doc! { "$set": { "expires_at": end, "place": "elsewhere", "holder": "db7" } };
    let leases = two.site.database().collection::<Document>("leases");
    leases
        .update_one(doc! { "_id": "collect/paris" }, set)
        .run()
        .unwrap();
    assert_eq!(
        outcomes(&two.site.collect(0, "")),
        [("default", "complete"), ("paris", "busy")]
    );
}

#[test]
fn check_and_its_trust_look_at_each() {
    let folder = scratch::fresh("certificates");
    let certificates = [of_wazuh(&folder, "own"), of_wazuh(&folder, "paris")];
    let two = Two::new("several_check", Duration::ZERO, "");
    let fronts = [
        Tls::to(two.site.server.port(), &certificates[0]),
        Tls::to(two.paris.port(), &certificates[1]),
    ];
    let (own, paris) = (fronts[0].url(), fronts[1].url());
    two.site.wazuh.settings(&format!(
        "[wazuh_api]\nurl = {own:?}\nuser = \"custom-mongo\"\npassword = \"Secret.Fake.1\"\n\
         [wazuh_api.managers.paris]\nurl = {paris:?}\nuser = \"paris-reader\"\n"
    ));
    let both = two.site.wazuh.json("check");
    assert_eq!(both["ok"], false, "{both:#}");
    assert_eq!(two.asked(), (0, 0), "no password for unknown certificates");
    let said = two.site.wazuh.json("check --trust");
    assert_eq!(said["ok"], true, "{said:#}");
    for (site, certificate) in ["default", "paris"].iter().zip(&certificates) {
        let shown = said["checks"].as_array().unwrap().iter().any(|one| {
            let detail = one["detail"].as_str().unwrap();
            detail.starts_with(&format!("{site}: ")) && detail.contains(&fingerprint(certificate))
        });
        assert!(shown, "{site}: {said:#}");
    }
    assert_eq!(two.site.wazuh.json("check")["ok"], true);
    two.paris.state().logins.users.clear();
    let faulty = two.site.wazuh.json("check");
    assert!(finding(&faulty, "wazuh role").starts_with("default: "));
    assert!(crate::wazuh_api::fault(&faulty, "wazuh login").starts_with("paris: "));
}

#[test]
fn a_manager_may_come_from_the_environment_and_two_of_one_site_are_refused() {
    let mut two = Two::new("several_environment", Duration::ZERO, "");
    let (own, paris) = (two.site.server.url(), two.paris.url());
    two.site.wazuh.settings(&format!("[collect]\n{KINDS}"));
    let variable = |name, value: &str| (name, value.to_owned());
    two.site.wazuh.environment = vec![
        variable("WAZUH_API_URL", &own),
        variable("WAZUH_USER", "custom-mongo"),
        variable("WAZUH_PASS", "Secret.Fake.1"),
        variable("CUSTOM_MONGO_WAZUH_API__MANAGERS__PARIS__URL", &paris),
        variable(
            "CUSTOM_MONGO_WAZUH_API__MANAGERS__PARIS__USER",
            "paris-reader",
        ),
    ];
    two.site.collect(0, "");
    assert_eq!((two.agents("default"), two.agents("paris")), (9, 6));
    two.site.wazuh.environment.push((
        "CUSTOM_MONGO_WAZUH_API__MANAGERS__PARIS__SITE",
        "default".to_owned(),
    ));
    two.asked();
    let output = two.site.run("");
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("`default`"),
        "{output:?}"
    );
    assert_eq!(two.asked(), (0, 0));
}
