//! Who may come in, what he may, and what nobody gets to see.

use crate::serve_tokens::{FROM_AFAR, metrics, new_token};
use crate::service::Service;
use crate::wazuh::Wazuh;

#[test]
fn other_machines_get_in_only_by_tls_and_token_or_by_a_clear_word() {
    let wazuh = Wazuh::new("serve_beyond");
    let refused = |missing: &[&str]| {
        let output = wazuh.run(&["serve", "--listen", "0.0.0.0:0"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("insecure_listen"), "{said}");
        assert!(missing.iter().all(|word| said.contains(word)), "{said}");
    };
    refused(&["TLS", "token"]);
    new_token(&wazuh, "one", "read");
    refused(&["TLS"]);
    wazuh.settings("[serve]\ninsecure_listen = true\n");
    let service = Service::start_on(&wazuh, "0.0.0.0:0");
    let port = service.address.port();
    let answer = crate::http::get(([127, 0, 0, 1], port).into(), "/healthz", &[]);
    assert_eq!(answer.status, 200);
}

#[test]
fn without_tokens_a_page_in_a_browser_here_gets_nothing() {
    let service = Service::start(&Wazuh::new("serve_pages"));
    let status = |headers: &[(&str, &str)]| service.get("/metrics", headers).status;
    assert_eq!(status(&[("host", "rebound.example:5000")]), 403);
    assert_eq!(status(&[("origin", "https://evil.example")]), 403);
    assert_eq!(
        status(&[
            ("host", "127.0.0.1:5000"),
            ("origin", "http://127.0.0.1:5000")
        ]),
        200
    );
}

#[test]
fn pages_of_configured_origins_may_ask() {
    let wazuh = Wazuh::new("serve_cors");
    let off = Service::start(&wazuh);
    let page = [("origin", "https://soc.example")];
    assert_eq!(
        off.get("/healthz", &page)
            .header("access-control-allow-origin"),
        None
    );
    drop(off);
    wazuh.settings("[serve]\ncors_origins = [\"https://soc.example\"]\n");
    let service = Service::start(&wazuh);
    let answer = service.get("/healthz", &page);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://soc.example")
    );
    let other = service.get("/healthz", &[("origin", "https://evil.example")]);
    assert_eq!(other.header("access-control-allow-origin"), None);
    let mut connection = crate::http::connect(service.address);
    let asks = [
        page[0],
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "x-auth-token"),
    ];
    let preflight = connection
        .ask("OPTIONS", "/api/agents", &asks, b"")
        .unwrap();
    assert_eq!(preflight.status, 200);
    assert!(
        preflight
            .header("access-control-allow-headers")
            .unwrap()
            .contains("x-auth-token")
    );
    assert_eq!(service.get("/metrics", &page).status, 200);
}

#[test]
fn every_answer_has_its_id_and_the_headers_that_protect() {
    let service = Service::start(&Wazuh::new("serve_headers"));
    let named = service.get("/healthz", &[("x-request-id", "trace-7.a_b")]);
    assert_eq!(named.header("x-request-id"), Some("trace-7.a_b"));
    for bad in ["two words", "\"quoted\"", &"x".repeat(65)] {
        let answer = service.get("/healthz", &[("x-request-id", bad)]);
        assert_ne!(answer.header("x-request-id"), Some(bad));
    }
    let mut ids = Vec::new();
    for path in ["/healthz", "/readyz", "/metrics", "/nowhere"] {
        let answer = service.get(path, &[]);
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(
            answer
                .header("content-security-policy")
                .unwrap()
                .contains("default-src 'none'")
        );
        assert_eq!(answer.header("server"), None);
        ids.push(answer.header("x-request-id").unwrap().to_owned());
    }
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all);
    let log = service.stop().1;
    for id in &ids {
        assert!(log.contains(&format!("id={id}")), "{id} is not in {log}");
    }
}

#[test]
fn wrong_paths_and_methods_get_json() {
    let service = Service::start(&Wazuh::new("serve_unknown"));
    for path in ["/", "/nowhere", "/api", "/..%2f..%2fetc/passwd", "/%00"] {
        let answer = service.get(path, &[]);
        assert_eq!(
            (answer.status, &answer.json()["status"]),
            (404, &"error".into()),
            "{path}"
        );
    }
    let wrong = service.post("/healthz", &[], b"{}");
    assert_eq!(
        (wrong.status, wrong.header("allow")),
        (405, Some("GET,HEAD"))
    );
    assert_eq!(wrong.json()["status"], "error");
}

#[test]
fn large_answers_are_compressed_for_whoever_wants_it() {
    let service = Service::start(&Wazuh::new("serve_gzip"));
    let gzip = [("accept-encoding", "gzip")];
    let answer = service.get("/metrics", &gzip);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut page = String::new();
    let mut reader = flate2::read::GzDecoder::new(answer.body.as_slice());
    std::io::Read::read_to_string(&mut reader, &mut page).unwrap();
    assert!(page.contains("custom_mongo_mongodb_up 1"), "{page}");
    assert_eq!(
        service.get("/metrics", &[]).header("content-encoding"),
        None
    );
    assert_eq!(
        service.get("/healthz", &gzip).header("content-encoding"),
        None
    );
}

#[test]
fn who_asks_too_often_waits() {
    let wazuh = Wazuh::new("serve_rates");
    let token = new_token(&wazuh, "busy", "read");
    let other = new_token(&wazuh, "calm", "read");
    wazuh.settings("[serve]\ntoken_rate = 5\n");
    let service = Service::start(&wazuh);
    let ask = |_| service.get("/metrics", &[FROM_AFAR, ("x-auth-token", &token)]);
    let all: Vec<_> = (0..40).map(ask).collect();
    let of = |status| all.iter().find(|answer| answer.status == status);
    assert!(of(200).is_some(), "{all:?}");
    assert_eq!(of(429).unwrap().header("retry-after"), Some("1"));
    assert_eq!(metrics(&service, &other), 200);
    // Guessing ends soon, whatever the rates are.
    let guesses: Vec<_> = (0..40)
        .map(|guess| metrics(&service, &format!("guess{guess}")))
        .collect();
    assert!(
        guesses.contains(&401) && guesses.contains(&429),
        "{guesses:?}"
    );
    drop(service);

    wazuh.settings("[serve]\naddress_rate = 5\n");
    let service = Service::start(&wazuh);
    let all: Vec<_> = (0..40).map(|_| metrics(&service, &token)).collect();
    assert!(all.contains(&200) && all.contains(&429), "{all:?}");
    assert_eq!(service.get("/healthz", &[]).status, 200);
}

#[test]
fn no_secret_is_in_an_answer_or_in_the_log() {
    let uri = "mongodb://admin:hush-uri@127.0.0.1:1/";
    let mut wazuh = Wazuh::with_uri(uri, "serve_secrets");
    wazuh
        .environment
        .push(("WEBHOOK_AUTH_TOKEN", "hush-token".to_owned()));
    wazuh.environment.push(("RUST_LOG", "trace".to_owned()));
    let service = Service::start(&wazuh);
    let mut said = String::new();
    let token = ("x-auth-token", "hush-token");
    let wrong = ("x-auth-token", "hush-wrong");
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/nowhere?token=hush-query",
    ] {
        said += &service.get(path, &[token]).whole();
        said += &service.get(path, &[wrong, FROM_AFAR]).whole();
    }
    said += &service.stop().1;
    assert!(said.contains("/readyz"), "{said}");
    assert!(!said.contains("hush"), "{said}");
    assert!(!said.contains("mongodb://"), "{said}");
}

#[test]
fn the_access_log_can_be_narrowed() {
    let wazuh = Wazuh::new("serve_access_log");
    let asked = |setting: &str| {
        wazuh.settings(&format!("[serve]\naccess_log = {setting:?}\n"));
        let service = Service::start(&wazuh);
        service.get("/healthz", &[]);
        service.get("/nowhere", &[]);
        let log = service.stop().1;
        (
            log.contains("GET /healthz 200"),
            log.contains("GET /nowhere 404"),
        )
    };
    assert_eq!(asked("all"), (true, true));
    assert_eq!(asked("errors"), (false, true));
    assert_eq!(asked("off"), (false, false));
}

/// What a client calls a path stands in the log, which people read on terminals.
#[test]
fn a_path_commands_no_terminal_from_the_log() {
    let wazuh = Wazuh::new("serve_path");
    wazuh.settings("[serve]\naccess_log = \"all\"\n");
    let service = Service::start(&wazuh);
    let mut connection = crate::http::connect(service.address);
    let path = "/\u{9b}2Jx\u{202e}y";
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    connection.send(request.as_bytes()).unwrap();
    assert_eq!(connection.answer("GET").unwrap().status, 404);
    let log = service.stop().1;
    assert!(log.contains("GET /?2Jx?y 404"), "{log:?}");
    assert!(!log.contains(['\u{9b}', '\u{202e}']), "{log:?}");
}
