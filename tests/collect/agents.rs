//! One document for each agent, updated in place; who is not listed has vanished only if the login
//! may see every agent.

use mongodb::bson::{Bson, Document, doc};

use super::{Site, count, quick};
use crate::api_data::wait_for_indexes;
use crate::fake::fleet::Status;
use crate::service::Service;

const KINDS: &str = "kinds = [\"osinfo\"]\n";

fn agent(site: &Site, id: &str) -> Document {
    let mut found = site.documents("agents", doc! { "agent_id": id });
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn an_agent_is_stored_typed_and_knows_when_it_was_first_seen() {
    let site = Site::usual("agents_stored", KINDS);
    site.collect(0, "");
    assert_eq!(site.documents("agents", doc! {}).len(), 26);
    let stored = agent(&site, "013");
    assert_eq!(stored.get_str("name").unwrap(), "host-00013");
    assert_eq!(stored.get_str("status").unwrap(), "active");
    assert_eq!(stored.get_str("log_type").unwrap(), "agents");
    assert_eq!(
        stored
            .get_document("os")
            .unwrap()
            .get_str("platform")
            .unwrap(),
        "windows"
    );
    let first = stored.get_datetime("_first_seen").unwrap();
    assert_eq!(Some(first), stored.get_datetime("_status_changed_at").ok());
    assert!(stored.get_datetime("dateAdd").is_ok() && stored.get_datetime("lastKeepAlive").is_ok());
    assert_eq!(
        agent(&site, "007").get_str("status").unwrap(),
        "never_connected"
    );
    assert_eq!(agent(&site, "000").get_str("_node").unwrap(), "node01");
}

#[test]
fn a_status_that_changes_is_dated_and_what_others_added_stays() {
    let site = Site::usual("agents_status", KINDS);
    site.collect(0, "");
    let before = agent(&site, "004");
    let labels = doc! { "$set": { "labels": { "owner": "ops" } } };
    let agents = site.database().collection::<Document>("agents");
    agents
        .update_one(doc! { "agent_id": "004" }, labels)
        .run()
        .unwrap();
    site.state().fleet.agent_mut("004").unwrap().status = Status::Disconnected;
    let report = site.collect(0, "");
    assert_eq!(count(&report, "agents", "changed"), 1, "{report}");
    let gone = agent(&site, "004");
    assert_eq!(gone.get_str("status").unwrap(), "disconnected");
    assert!(gone.get_datetime("disconnection_time").is_ok());
    let changed = |one: &Document| *one.get_datetime("_status_changed_at").unwrap();
    assert!(changed(&gone) > changed(&before));
    site.state().fleet.agent_mut("004").unwrap().status = Status::Active;
    site.collect(0, "");
    let back = agent(&site, "004");
    assert!(changed(&back) > changed(&gone));
    assert!(!back.contains_key("disconnection_time"), "{back}");
    assert_eq!(back.get("_first_seen"), before.get("_first_seen"));
    assert_eq!(
        back.get_document("labels").unwrap(),
        &doc! { "owner": "ops" }
    );
    assert_eq!(back.get("_id"), before.get("_id"));
}

#[test]
fn an_agent_that_vanished_is_marked_and_one_that_came_back_is_not() {
    let site = Site::usual("agents_vanished", KINDS);
    site.collect(0, "");
    let removed = site.state().fleet.agents.remove(&4).unwrap();
    let report = site.collect(0, "");
    assert_eq!(count(&report, "agents", "removed"), 1, "{report}");
    assert!(agent(&site, "004").get_datetime("_removed_at").is_ok());
    assert_eq!(
        site.current("os_info", "004").len(),
        1,
        "what it had is still what it had"
    );
    assert_eq!(count(&site.collect(0, ""), "agents", "removed"), 0);
    site.state().fleet.agents.insert(4, removed);
    site.collect(0, "");
    assert!(!agent(&site, "004").contains_key("_removed_at"));
}

#[test]
fn an_agent_that_registered_again_under_a_new_id_is_another_one() {
    let site = Site::usual("agents_again", KINDS);
    site.collect(0, "");
    site.state().fleet.remove_agent("004");
    let id = site.state().fleet.add_agent("host-00004");
    site.collect(0, "");
    assert!(agent(&site, "004").get_datetime("_removed_at").is_ok());
    assert!(!agent(&site, &id).contains_key("_removed_at"));
    let twins = site.documents("agents", doc! { "name": "host-00004" });
    assert_eq!(twins.len(), 2);
}

#[test]
fn a_login_that_may_not_see_an_agent_does_not_make_it_vanish() {
    let site = Site::new("agents_rights", quick(), KINDS);
    site.collect(0, "");
    let before = site.inventory();
    let only_windows =
        |(action, _): &mut (String, String)| (action.clone(), "agent:group:windows".to_owned());
    for user in &mut site.state().logins.users {
        user.policies = user.policies.iter_mut().map(only_windows).collect();
    }
    let report = site.collect(0, "");
    assert_eq!(report["agents"], 3, "the Windows ones: {report}");
    assert_eq!(count(&report, "agents", "removed"), 0);
    for user in &mut site.state().logins.users {
        user.policies.clear();
    }
    let report = site.collect(0, "");
    // Without its own manager in the list it is not known which node was asked.
    assert_eq!(
        (&report["agents"], count(&report, "agents", "held")),
        (&0.into(), 25)
    );
    assert_eq!(site.inventory(), before);
}

#[test]
fn when_many_agents_vanish_at_once_it_has_to_hold_first() {
    let site = Site::usual("agents_many", KINDS);
    site.collect(0, "");
    for id in ["004", "005", "006"] {
        site.state().fleet.remove_agent(id);
    }
    for _ in 0..2 {
        let report = site.collect(3, "");
        assert!(
            report["warnings"].to_string().contains("3 of 26 agents"),
            "{report}"
        );
        assert_eq!(count(&report, "agents", "removed"), 0);
    }
    site.settings(&format!("{KINDS}confirm_loss_after = \"0 s\"\n"));
    assert_eq!(count(&site.collect(0, ""), "agents", "removed"), 3);
}

#[test]
fn the_manager_is_kept_for_each_node() {
    let site = Site::usual("agents_nodes", KINDS);
    site.collect(0, "");
    // Another node becomes the master: now its own 000 is listed.
    let recorded = || {
        let state = site.state();
        let mut row = state.fleet.agents[&0].describe(state.fleet.now());
        row.set("node_name", crate::fake::json::text("node02"));
        row
    };
    let row = recorded();
    site.state().fleet.agent_mut("000").unwrap().recorded = Some(row);
    let report = site.collect(0, "");
    assert_eq!(count(&report, "agents", "removed"), 0, "{report}");
    let managers = site.documents(
        "agents",
        doc! { "agent_id": "000", "_removed_at": Bson::Null },
    );
    let nodes: Vec<_> = managers
        .iter()
        .map(|one| one.get_str("_node").unwrap())
        .collect();
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    assert_eq!(site.current("os_info", "000").len(), 2);
}

#[test]
fn the_groups_of_all_agents_lie_ready_for_the_hook() {
    let site = Site::usual("agents_roster", KINDS);
    site.collect(0, "");
    let file = site.wazuh.state().join("roster-default.json");
    let roster: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(roster["site"], "default");
    assert_eq!(
        roster["agents"]["013"],
        serde_json::json!(["default", "windows"])
    );
    assert_eq!(roster["agents"].as_object().unwrap().len(), 25);
}

/// What the service shows of an agent.
fn shown(service: &Service, path: &str, id: &str) -> String {
    let answer = service.get(path, &[]).json();
    let data = answer["data"].as_array().expect("a list");
    let one = data
        .iter()
        .find(|one| one["agent_id"] == id || data.len() == 1);
    one.expect("the agent")["lastKeepAlive"]
        .as_str()
        .expect("a time")
        .to_owned()
}

#[test]
fn when_an_agent_was_last_heard_of_is_true_without_writing_the_agent() {
    let site = Site::usual("agents_heard", KINDS);
    site.collect(0, "");
    let service = Service::start(&site.wazuh);
    wait_for_indexes(&site.database());
    let before = site.inventory();
    let paths = [
        "/api/agents",
        "/api/agents/004",
        "/api/agents?fields=agent_id,lastKeepAlive",
    ];
    let first = paths.map(|path| shown(&service, path, "004"));
    let quiet = shown(&service, "/api/agents", "020");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let report = site.collect(0, "");
    assert_eq!(count(&report, "agents", "changed"), 0, "{report}");
    assert!(
        site.inventory() == before,
        "no document of an agent is written"
    );
    for (path, first) in paths.iter().zip(&first) {
        assert!(shown(&service, path, "004") > *first, "{path}");
    }
    assert_eq!(
        shown(&service, "/api/agents", "020"),
        quiet,
        "it is disconnected"
    );
    let only = service.get("/api/agents/004?fields=name", &[]).json();
    assert_eq!(only["data"], serde_json::json!([{ "name": "host-00004" }]));
    let only = service
        .get("/api/agents/004?fields=lastKeepAlive", &[])
        .json();
    assert_eq!(only["data"][0].as_object().unwrap().len(), 1, "{only}");
    // An agent that is not listed any longer was last heard of when it was.
    let last = shown(&service, "/api/agents/004", "004");
    site.state().fleet.remove_agent("004");
    site.collect(0, "");
    site.collect(0, "");
    assert_eq!(shown(&service, "/api/agents/004?history=true", "004"), last);
    assert!(shown(&service, "/api/agents/000", "000").starts_with("9999-"));
}
