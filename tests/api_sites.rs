//! Sites in one database: a token of one sees that one alone.

use mongodb::sync::Database;

use crate::api_data::{column, fill, now, right};
use crate::api_inventory::{put, row, state};
use crate::mongod;
use crate::service::Service;
use crate::wazuh::Wazuh;

fn put_two_sites(database: &Database) {
    put(
        database,
        "software_inventory",
        &[
            row("north", "001", "bash", "5.2"),
            row("default", "001", "bash", "5.1"),
        ],
    );
    put(
        database,
        "agents",
        &[
            row("north", "001", "x", "1"),
            row("default", "001", "y", "1"),
        ],
    );
    put(
        database,
        "collect_state",
        &[
            state("north", "001", "software", "ab"),
            state("default", "001", "software", "cd"),
        ],
    );
}

fn token(wazuh: &Wazuh, name: &str, site: &[&str]) -> String {
    let mut words = vec!["token", "new", "--name", name, "--scope", "read"];
    words.extend(site);
    let output = wazuh.run(&words);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How many alerts the service of another site takes in is not for everybody.
#[test]
fn a_token_of_another_site_does_not_see_how_the_service_does() {
    let wazuh = Wazuh::new("api_sites_metrics");
    let tokens = [
        ("north", &["--site", "north"][..], 403),
        ("own", &["--site", "default"], 200),
        ("everywhere", &[], 200),
    ];
    let tokens = tokens.map(|(name, site, status)| (token(&wazuh, name, site), status));
    let service = Service::start(&wazuh);
    for (token, status) in tokens {
        assert_eq!(crate::serve_tokens::metrics(&service, &token), status);
    }
}

#[test]
fn a_token_of_a_site_sees_that_site_alone() {
    let wazuh = Wazuh::new("api_sites");
    let north = token(&wazuh, "north", &["--site", "north"]);
    let everywhere = token(&wazuh, "everywhere", &[]);
    let database = mongod::shared().database("api_sites");
    let service = Service::start(&wazuh);
    crate::api_data::wait_for_indexes(&database);
    let all = fill(&database, 400, now());
    put_two_sites(&database);
    let get = |path: &str, token: &str| {
        service.get(path, &[("authorization", &format!("Bearer {token}"))])
    };
    let own = [("site", "north".to_owned())];
    let seen = get("/api/alerts?limit=0&fields=_id", &north).json();
    assert_eq!(column(&seen, "_id"), right(&all, &own));
    let seen = get("/api/alerts?limit=0&fields=_id", &everywhere).json();
    assert_eq!(column(&seen, "_id"), right(&all, &[]));
    assert_eq!(get("/api/alerts?site=default", &north).status, 403);
    assert_eq!(get("/api/alerts?site=north", &north).status, 200);
    assert_eq!(get("/api/alerts", "wrong").status, 401);
    let foreign = right(&all, &[("site", "default".to_owned())])[0];
    assert_eq!(get(&format!("/api/alerts/{foreign}"), &north).status, 404);
    assert_eq!(
        get(&format!("/api/alerts/{foreign}"), &everywhere).status,
        200
    );
    for path in [
        "/api/agents/001/software",
        "/api/software?name=bash",
        "/api/agents",
        "/api/agents/001",
    ] {
        assert_eq!(
            column(&get(path, &north).json(), "_site"),
            ["north"],
            "{path}"
        );
        assert_eq!(
            get(path, &everywhere).json()["data"]
                .as_array()
                .unwrap()
                .len(),
            2,
            "{path}"
        );
    }
    let fresh = get("/api/agents/001/software", &north).json();
    assert_eq!(fresh["freshness"].as_array().unwrap().len(), 1, "{fresh}");
    let total = get("/api/alerts/stats", &north).json()["total"].clone();
    assert_eq!(total, right(&all, &own).len());
}
