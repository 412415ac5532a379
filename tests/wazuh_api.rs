//! Wazuh's API as `check` sees it: only when it is configured, each fault with its fix.

use std::fs;

use serde_json::Value;

use crate::fake::login::User;
use crate::fake::{Options, Server};
use crate::mongod;
use crate::wazuh::Wazuh;

mod role;

const PASSWORD: &str = "Secret.Fake.1";

/// `[wazuh_api]` for the fake's own user.
pub(crate) fn section(url: &str, more: &str) -> String {
    format!(
        "[wazuh_api]\nurl = {url:?}\nuser = \"custom-mongo\"\npassword = \"{PASSWORD}\"\n{more}"
    )
}

/// The detail of a finding that holds.
#[track_caller]
pub(crate) fn finding(check: &Value, name: &str) -> String {
    said(check, name, true)
}

/// The detail and the fix of a finding that does not.
#[track_caller]
pub(crate) fn fault(check: &Value, name: &str) -> String {
    said(check, name, false)
}

#[track_caller]
fn said(check: &Value, name: &str, ok: bool) -> String {
    let mut all = check["checks"].as_array().expect("findings").iter();
    let one = all.find(|one| one["name"] == name && one["ok"] == ok);
    let one = one.unwrap_or_else(|| panic!("no finding {name} that is {ok}: {check:#}"));
    format!(
        "{} {}",
        one["detail"].as_str().unwrap(),
        one["fix"].as_str().unwrap_or_default()
    )
}

fn checked(options: Options, name: &str, more: &str) -> Value {
    let server = Server::start(options).unwrap();
    let wazuh = Wazuh::new(name);
    wazuh.settings(&section(&server.url(), more));
    wazuh.json("check")
}

fn with(users: Vec<User>) -> Options {
    Options {
        users,
        ..Options::default()
    }
}

#[test]
fn an_api_that_is_not_configured_is_not_mentioned() {
    let check = Wazuh::new("api_none").json("check");
    assert!(!check.to_string().contains("wazuh_api"), "{check:#}");
    let said = Wazuh::new("api_none").json("check --trust");
    assert!(fault(&said, "wazuh_api").contains("WAZUH_API_URL"));
}

#[test]
fn a_manager_that_is_there_is_proved_to_be() {
    let check = checked(Options::default(), "api_good", "");
    assert_eq!(check["ok"], true, "{check:#}");
    assert!(finding(&check, "wazuh_api").contains("plain HTTP"));
    assert!(finding(&check, "wazuh role").contains("25 are there"));
    assert!(finding(&check, "wazuh budget").contains("200 requests"));
}

#[test]
fn a_wrong_password_is_tried_once_and_named() {
    let server = Server::start(Options::default()).unwrap();
    let wazuh = Wazuh::new("api_login");
    wazuh.settings(&section(&server.url(), "").replace(PASSWORD, "guessed"));
    let fault = fault(&wazuh.json("check"), "wazuh login");
    assert!(
        fault.contains("Invalid credentials") && !fault.contains("guessed"),
        "{fault}"
    );
    assert_eq!(server.state().seen.len(), 1);
    wazuh.settings(&section(&server.url(), ""));
    assert_eq!(wazuh.json("check")["ok"], true);
}

#[test]
fn a_manager_that_is_away_is_named_with_the_fix() {
    let url = format!("http://127.0.0.1:{}", mongod::free_port());
    let wazuh = Wazuh::new("api_away");
    wazuh.settings(&section(&url, ""));
    let fault = fault(&wazuh.json("check"), "wazuh_api");
    assert!(
        fault.contains("cannot be reached") && fault.contains("55000"),
        "{fault}"
    );
    let server = Server::start(Options::default()).unwrap();
    wazuh.settings(&section(&server.url(), ""));
    assert_eq!(wazuh.json("check")["ok"], true);
}

#[test]
fn a_budget_that_locks_out_the_dashboard_is_refused() {
    let check = checked(
        Options::default(),
        "api_budget",
        "requests_per_minute = 300\n",
    );
    let said = fault(&check, "wazuh budget");
    assert!(
        said.contains("dashboard") && said.contains("(200)"),
        "{said}"
    );
    let lower = "requests_per_minute = 200\n";
    let check = checked(Options::default(), "api_budget", lower);
    assert_eq!(check["ok"], true, "{check:#}");
}

#[test]
fn the_budget_is_counted_across_processes() {
    let server = Server::start(Options::default()).unwrap();
    let wazuh = Wazuh::new("api_shared");
    wazuh.settings(&section(&server.url(), "requests_per_minute = 4\n"));
    // Login, rights, agents: the second run has one left, and no time to wait for a minute.
    assert_eq!(wazuh.json("check")["ok"], true);
    let fault = fault(&wazuh.json("check"), "wazuh_api");
    assert!(fault.contains("no answer within"), "{fault}");
    assert!(fault.ends_with("try again in a minute"), "{fault}");
    assert_eq!(server.state().seen.len(), 4);
    a_minute_passes(&wazuh);
    assert_eq!(wazuh.json("check")["ok"], true);
}

/// For the count of the requests: behind three numbers it has the time of each, in microseconds.
fn a_minute_passes(wazuh: &Wazuh) {
    let folder = fs::read_dir(wazuh.state().join("wazuh_api")).unwrap();
    let mut files = folder.map(|entry| entry.unwrap().path());
    let count = files.find(|file| file.extension().is_some_and(|end| end == "requests"));
    let count = count.unwrap();
    let bytes = fs::read(&count).unwrap();
    let numbers = bytes
        .chunks(8)
        .map(|eight| u64::from_le_bytes(eight.try_into().unwrap()));
    let earlier = numbers.enumerate().map(|(place, number)| match place {
        0 | 1 => number,
        _ => number.saturating_sub(61_000_000),
    });
    let earlier: Vec<u8> = earlier.flat_map(u64::to_le_bytes).collect();
    fs::write(&count, earlier).unwrap();
}

#[test]
fn settings_may_come_from_the_environment_of_the_python_service() {
    let server = Server::start(Options::default()).unwrap();
    let mut wazuh = Wazuh::new("api_environment");
    wazuh.settings("[wazuh_api]\nurl = \"http://127.0.0.1:1\"\npassword_file = \"/nonexistent\"\n");
    let plain = [
        ("WAZUH_API_URL", server.url()),
        ("WAZUH_USER", "custom-mongo".into()),
        ("WAZUH_PASS", PASSWORD.into()),
    ];
    wazuh.environment.extend(plain);
    wazuh
        .environment
        .push(("CUSTOM_MONGO_WAZUH_API__REQUESTS_PER_MINUTE", "150".into()));
    let check = wazuh.json("check");
    assert_eq!(check["ok"], true, "{check:#}");
    assert!(finding(&check, "wazuh budget").contains("150 requests"));
    let alone = wazuh.json("check --config-only");
    assert!(
        finding(&alone, "wazuh_api").contains("127.0.0.1"),
        "{alone:#}"
    );
}

#[test]
fn settings_that_cannot_work_are_found_without_asking_anybody() {
    let wazuh = Wazuh::new("api_settings");
    for (settings, named) in [
        ("url = \"wazuh.example\"\n", "wazuh_api.url"),
        ("url = \"http://wazuh.example:55000\"\n", "https://"),
        (
            "url = \"https://ann:hush@wazuh.example\"\n",
            "user and password",
        ),
        ("url = \"https://wazuh.example\"\n", "WAZUH_USER"),
        (
            "url = \"https://wazuh.example\"\npin = \"x\"\n",
            "wazuh_api.pin",
        ),
        (
            "url = \"https://wazuh.example\"\nca_file = \"/nonexistent.pem\"\n",
            "/nonexistent.pem",
        ),
    ] {
        wazuh.settings(&format!("[wazuh_api]\n{settings}"));
        let fault = fault(&wazuh.json("check --config-only"), "wazuh_api");
        assert!(fault.contains(named) && !fault.contains("hush"), "{fault}");
    }
}

#[test]
fn no_secret_of_the_api_is_in_any_output() {
    let server = Server::start(Options::default()).unwrap();
    let mut wazuh = Wazuh::new("api_secrets");
    wazuh.environment.push(("RUST_LOG", "trace".into()));
    let mut printed = String::new();
    for (target, password) in [
        ("", PASSWORD),
        ("", "hush-hush"),
        ("/me/policies", PASSWORD),
    ] {
        server.state().fail(
            if target.is_empty() { "nothing" } else { target },
            9,
            crate::fake::Fault::unauthorized(),
        );
        wazuh.settings(&section(&server.url(), "").replace(PASSWORD, password));
        let output = wazuh.run(&["check", "-vv"]);
        printed += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
    }
    assert!(printed.contains("custom_mongo"), "the log is on: {printed}");
    // Base64 of what a login says, and of what every token begins with.
    for secret in [
        PASSWORD,
        "hush-hush",
        "Y3VzdG9tLW1vbmdvO",
        "eyJhbGciOiJ",
        "SIGNATURE",
    ] {
        let at = printed.find(secret);
        assert!(
            at.is_none(),
            "{secret} is in {}",
            &printed[at.unwrap_or(0).saturating_sub(300)..]
        );
    }
}
