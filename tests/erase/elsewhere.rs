//! What is of another site, or waits for another MongoDB, is not what an erasure here is about.

use mongodb::bson::doc;

use super::{erase, with_something_on_disk};
use crate::analysisd::line;
use crate::mongod;
use crate::python_service::put;
use crate::wazuh::{Wazuh, stored, text};

#[test]
fn of_another_site_nothing_lies_on_this_hosts_disk() {
    let wazuh = with_something_on_disk("erase_site");
    let database = mongod::shared().database("erase_site");
    let of_paris = |agent: &str| doc! { "_id": format!("paris{agent}"), "_site": "paris", "_schema": 1_i64, "agent_id": agent };
    // The agents of what waits, and of what MongoDB refused.
    put(&database, "alerts", &[of_paris("002"), of_paris("008")]);
    for agent in ["002", "008"] {
        let (status, report) = erase(&wazuh, &["--agent", agent, "--site", "paris"]);
        let counts = ["alerts", "drained", "dead_letters", "waiting"];
        let counts = counts.map(|name| report[name].as_u64().unwrap());
        assert_eq!((status, counts), (0, [1, 0, 0, 0]), "{report:#}");
    }
    let letters = wazuh.json("spool dead list");
    assert_eq!(letters.as_array().unwrap().len(), 2, "{letters}");
    assert_eq!(wazuh.drain()["stored"], 1);
    let stored = stored("erase_site");
    let of_here = stored.iter().find(|one| one.contains_key("agent_id"));
    assert_eq!(text(of_here.expect("what waited"), "_site"), "default");
}

#[test]
fn what_waits_for_another_mongodb_stays_there_and_is_told() {
    let wazuh = Wazuh::new("erase_here");
    let uri = mongod::shared().uri();
    let settings = |database: &str, delivery: &str| {
        let store = format!("[store]\nuri = {uri:?}\ndatabase = {database:?}\n");
        wazuh.raw_settings(&format!(
            "{store}[spool]\ndisk_reserve = \"0 %\"\n{delivery}"
        ));
    };
    settings("erase_there", "[delivery]\nmode = \"spool\"\n");
    wazuh.call(line(1)).assert_yes();
    settings("erase_here", "");
    let (status, report) = erase(&wazuh, &["--agent", "002"]);
    let counts = ["drained", "waiting"].map(|name| report[name].as_u64().unwrap());
    assert_eq!((status, counts), (3, [0, 1]), "{report:#}");
    assert!(stored("erase_here").is_empty());
    settings("erase_there", "");
    assert_eq!(wazuh.drain()["stored"], 1);
}
