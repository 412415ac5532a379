//! Tokens: what each opens, how it is kept, and how soon it counts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::service::Service;
use crate::wazuh::Wazuh;

/// A header that says that a request came through a proxy: /metrics then wants a token.
pub(crate) const FROM_AFAR: (&str, &str) = ("x-forwarded-for", "192.0.2.1");

pub(crate) fn new_token(wazuh: &Wazuh, name: &str, scope: &str) -> String {
    let output = wazuh.run(&["token", "new", "--name", name, "--scope", scope]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The status of /metrics from afar with this token.
pub(crate) fn metrics(service: &Service, token: &str) -> u16 {
    service
        .get("/metrics", &[FROM_AFAR, ("x-auth-token", token)])
        .status
}

#[test]
fn a_token_opens_what_its_scope_says() {
    let wazuh = Wazuh::new("serve_scopes");
    let read = new_token(&wazuh, "reader", "read");
    let ingest = new_token(&wazuh, "sender", "ingest");
    let admin = new_token(&wazuh, "boss", "admin");
    let service = Service::start(&wazuh);
    for (token, status) in [(&read, 200), (&admin, 200), (&ingest, 403)] {
        assert_eq!(metrics(&service, token), status);
    }
    let missing = service.get("/metrics", &[FROM_AFAR]);
    assert_eq!(
        (missing.status, missing.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    assert_eq!(missing.json()["status"], "error");
    let bearer = format!("Bearer {read}");
    for header in [
        ("x-api-key", read.as_str()),
        ("authorization", bearer.as_str()),
    ] {
        assert_eq!(service.get("/metrics", &[FROM_AFAR, header]).status, 200);
    }
    assert_eq!(metrics(&service, &read[..read.len() - 1]), 401);
    assert_eq!(metrics(&service, ""), 401);
    // In an address it would be in logs: it does not count there.
    let path = format!("/metrics?token={read}&x-auth-token={read}");
    assert_eq!(service.get(&path, &[FROM_AFAR]).status, 401);
    // This machine may see how things are, and everybody whether it lives.
    assert_eq!(service.get("/metrics", &[]).status, 200);
    assert_eq!(service.get("/healthz", &[FROM_AFAR]).status, 200);
    let log = service.stop().1;
    assert!(
        log.contains("token=reader") && log.contains("token=boss"),
        "{log}"
    );
    assert!(
        ![&read, &ingest, &admin]
            .iter()
            .any(|token| log.contains(*token)),
        "{log}"
    );
}

#[test]
fn tokens_count_and_end_while_the_service_runs() {
    let wazuh = Wazuh::new("serve_live_tokens");
    let first = new_token(&wazuh, "first", "read");
    let service = Service::start(&wazuh);
    let second = new_token(&wazuh, "second", "read");
    becomes(&service, &second, 200);
    let listed = wazuh.json("token list");
    let names: Vec<_> = listed["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["first", "second"]);
    assert!(!listed.to_string().contains(&first) && !listed.to_string().contains("hash"));
    for name in ["first", "second"] {
        assert!(wazuh.run(&["token", "drop", name]).status.success());
    }
    becomes(&service, &first, 401);
    // The last one is gone, and the door stays shut.
    assert_eq!(metrics(&service, &second), 401);
    assert_eq!(service.get("/metrics", &[FROM_AFAR]).status, 401);
    fs::write(wazuh.state().join("tokens.json"), "{").unwrap();
    service.get("/metrics", &[FROM_AFAR]);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(service.get("/metrics", &[FROM_AFAR]).status, 401);
}

fn becomes(service: &Service, token: &str, status: u16) {
    let begun = Instant::now();
    while metrics(service, token) != status {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it stays another"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_token_is_kept_as_a_hash_that_only_its_owner_reads() {
    let wazuh = Wazuh::new("serve_hashes");
    let token = new_token(&wazuh, "one", "read");
    let path = wazuh.state().join("tokens.json");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(!fs::read_to_string(&path).unwrap().contains(&token[4..]));
    let again = wazuh.run(&["token", "new", "--name", "one", "--scope", "read"]);
    assert_eq!(again.status.code(), Some(1));
    let unknown = wazuh.run(&["token", "drop", "two"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("token list"));
    let scope = wazuh.run(&["token", "new", "--name", "x", "--scope", "all"]);
    assert_eq!(scope.status.code(), Some(2));
}

#[test]
fn tokens_of_the_settings_count_too() {
    let mut wazuh = Wazuh::new("serve_settings_tokens");
    // printf %s abc | sha256sum
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    wazuh.settings(&format!(
        "[serve.tokens.abc]\nhash = \"{hash}\"\nscope = [\"read\"]\n"
    ));
    wazuh
        .environment
        .push(("WEBHOOK_AUTH_TOKEN", "as-before".to_owned()));
    let service = Service::start(&wazuh);
    assert_eq!(metrics(&service, "abc"), 200);
    assert_eq!(metrics(&service, "as-before"), 200);
    assert_eq!(metrics(&service, "as-befor"), 401);
    assert!(!service.stop().1.contains("as-before"));

    wazuh.environment.clear();
    let path = wazuh.home.join("etc/token");
    fs::write(&path, "from-a-file\n").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    wazuh.settings(&format!("[serve]\nauth_token_file = {path:?}\n"));
    assert_eq!(metrics(&Service::start(&wazuh), "from-a-file"), 200);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let output = wazuh.run(&["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("chmod 640") && !said.contains("from-a-file"),
        "{said}"
    );
}

#[test]
fn bringing_and_asking_are_two_scopes_and_a_site_is_a_wall() {
    let wazuh = Wazuh::new("serve_two_scopes");
    let read = new_token(&wazuh, "reader", "read");
    let ingest = new_token(&wazuh, "sender", "ingest");
    let output = wazuh.run(&[
        "token", "new", "--name", "paris", "--scope", "admin", "--site", "paris",
    ]);
    let paris = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let service = Service::start(&wazuh);
    let alert = crate::wazuh::numbered(1).to_string();
    let bring = |token: &str| {
        let token = [("x-auth-token", token)];
        service
            .post("/wazuh-alert", &token, alert.as_bytes())
            .status
    };
    let ask = |token: &str| service.get("/api/alerts", &[("x-api-key", token)]);
    assert_eq!((bring(&read), bring(&ingest), bring("no")), (403, 200, 401));
    assert_eq!((ask(&read).status, ask(&ingest).status), (200, 403));
    assert_eq!(ask(&read).json()["data"].as_array().unwrap().len(), 1);
    // Nothing of another site comes in or out by a token that is bound to one.
    assert_eq!(bring(&paris), 403);
    assert_eq!(ask(&paris).json()["data"].as_array().unwrap().len(), 0);
}
