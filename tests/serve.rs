//! The service's life: it starts whatever MongoDB does, says how it is, and ends in order.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::http::{self, connect};
use crate::mongod::{self, Mongod};
use crate::scratch;
use crate::service::Service;
use crate::wazuh::Wazuh;

#[test]
fn it_says_what_people_look_for_from_start_to_end() {
    let service = Service::start(&Wazuh::new("serve_lines"));
    assert_eq!(service.get("/healthz", &[]).status, 200);
    service.signal(Signal::SIGINT);
    let (status, log) = service.end();
    assert_eq!(status, 0, "{log}");
    let wanted = [
        "Successfully connected to MongoDB",
        "Starting webhook receiver on 127.0.0.1:",
        "Received signal 2, initiating graceful shutdown...",
        "Performing cleanup tasks...",
        "Web server stopped",
        "MongoDB connection closed",
    ];
    let mut rest = log.as_str();
    for line in wanted {
        let place = rest.find(line);
        let place = place.unwrap_or_else(|| panic!("{line:?} is not there in order: {log}"));
        rest = &rest[place + line.len()..];
    }
}

#[test]
fn it_starts_without_mongodb_and_is_ready_when_that_comes_back() {
    let server = Mongod::standalone();
    server.stop();
    let service = Service::start(&Wazuh::with_uri(&server.uri(), "serve_ready"));
    assert_eq!(service.get("/healthz", &[]).status, 200);
    let answer = service.get("/readyz", &[]);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["status"], "error");
    assert_eq!(answer.json()["reasons"][0], "MongoDB does not answer");
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .contains("MongoDB")
    );
    assert!(service.metric("custom_mongo_mongodb_up") < 0.5);

    server.start();
    let ready = service.wait_for("/readyz", |answer| answer.status == 200);
    assert_eq!(ready.json()["status"], "success");
    assert!(service.metric("custom_mongo_mongodb_up") > 0.5);
    server.freeze();
    service.wait_for("/readyz", |answer| answer.status == 503);
    server.thaw();
    service.wait_for("/readyz", |answer| answer.status == 200);
}

#[test]
fn a_spool_without_room_is_not_ready() {
    let wazuh = Wazuh::with_uri("mongodb://127.0.0.1:1/", "serve_full");
    wazuh.settings("[spool]\nmax_size = \"100 KiB\"\n");
    let big = crate::wazuh::numbered(1).with("pad", crate::json::Json::Text("x".repeat(60_000)));
    wazuh.call(big.to_string()).assert_yes();
    let service = Service::start(&wazuh);
    let answer = service.get("/readyz", &[]);
    let reasons = answer.json()["reasons"].to_string();
    assert!(reasons.contains("the spool has no room left"), "{answer:?}");
    assert!(service.metric("custom_mongo_spool_pending") > 0.5);
    assert!(service.metric("custom_mongo_spool_oldest_age_seconds") > 0.0);
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let service = Service::start(&Wazuh::new("serve_metrics"));
    service.get("/healthz", &[]);
    service.get("/nowhere", &[]);
    let answer = service.get("/metrics", &[]);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let page = answer.text();
    let mut announced = "";
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("# ") {
            announced = head.split(' ').nth(1).expect("a name");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(name.starts_with(announced), "{line} is not announced");
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
    }
    for name in [
        "custom_mongo_alerts_received_total",
        "custom_mongo_alerts_stored_total",
        "custom_mongo_alerts_spooled_total",
        "custom_mongo_alerts_dead_total",
        "custom_mongo_spool_oldest_age_seconds",
        "custom_mongo_spool_disk_free_bytes",
        "custom_mongo_queue_alerts",
        "custom_mongo_http_request_duration_seconds_bucket{route=\"/healthz\",le=\"+Inf\"} 1",
        "custom_mongo_http_requests_total{route=\"/healthz\",method=\"GET\",status=\"200\"} 1",
        "custom_mongo_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1",
    ] {
        assert!(page.contains(name), "no {name} in {page}");
    }
    let memory = service.metric("process_resident_memory_bytes");
    assert!(memory > 1e6 && memory < 1e9, "{memory}");
    assert!(service.metric("process_cpu_seconds_total") > 0.0);
}

#[test]
fn a_request_that_is_under_way_is_finished_and_later_ones_are_refused() {
    let service = Service::start(&Wazuh::with_uri("mongodb://127.0.0.1:1/", "serve_drain"));
    let address = service.address;
    // Takes a second: it waits for a MongoDB that is not there.
    std::thread::sleep(Duration::from_millis(1100));
    let slow = std::thread::spawn(move || http::get(address, "/readyz", &[]));
    let mut late = connect(address);
    late.send(b"GET /metrics HT").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    service.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(100));
    late.send(b"TP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let answer = late.answer("GET").expect("an answer");
    assert_eq!(answer.status, 503, "{answer:?}");
    let message = "Server is shutting down, request rejected";
    assert_eq!(answer.json()["message"], message);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(slow.join().unwrap().status, 503);
    let (status, log) = service.end();
    assert_eq!(status, 0, "{log}");
    assert!(log.contains("GET /readyz 503"), "{log}");
}

#[test]
fn a_stop_waits_no_longer_than_its_limit() {
    let wazuh = Wazuh::new("serve_limit");
    wazuh.settings("[serve]\nshutdown_timeout = \"1 s\"\n");
    let service = Service::start(&wazuh);
    let mut stuck = connect(service.address);
    // An idle one is closed at once, and does not count.
    let mut idle = connect(service.address);
    assert_eq!(idle.ask("GET", "/healthz", &[], b"").unwrap().status, 200);
    keep_busy(&mut stuck, &service);
    let begun = Instant::now();
    let (status, log) = service.stop();
    let took = begun.elapsed();
    assert_eq!(status, 0, "{log}");
    assert!(
        log.contains("1 connections were not finished within 1s"),
        "{log}"
    );
    assert!(
        took > Duration::from_millis(900) && took < Duration::from_secs(8),
        "{took:?}"
    );
    assert!(idle.is_closed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let service = Service::start(&Wazuh::new("serve_second"));
    let mut stuck = connect(service.address);
    keep_busy(&mut stuck, &service);
    service.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    let (status, _) = service.end();
    assert_eq!(status, 128 + 15);
    assert!(begun.elapsed() < Duration::from_secs(6));
}

/// Asks for more than the kernel keeps, and reads nothing: the answers are never out.
fn keep_busy(connection: &mut http::Connection<std::net::TcpStream>, service: &Service) {
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1000);
    let pause = Duration::from_millis(500);
    connection.stream.set_write_timeout(Some(pause)).unwrap();
    while connection.stream.write_all(&request).is_ok() {}
    assert_eq!(service.get("/healthz", &[]).status, 200);
}

#[test]
fn systemd_is_told_that_it_is_ready_alive_and_stopping() {
    let path = scratch::fresh("notify").join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut wazuh = Wazuh::new("serve_notify");
    wazuh
        .environment
        .push(("NOTIFY_SOCKET", path.display().to_string()));
    wazuh
        .environment
        .push(("WATCHDOG_USEC", "200000".to_owned()));
    let service = Service::start(&wazuh);
    let next = || {
        let mut text = [0; 100];
        let length = socket.recv(&mut text).expect("a word to systemd");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    assert_eq!(next(), "READY=1");
    let begun = Instant::now();
    for _ in 0..6 {
        assert_eq!(next(), "WATCHDOG=1");
    }
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(200) && took < Duration::from_secs(10),
        "{took:?}"
    );
    service.stop();
    let rest: Vec<_> = std::iter::repeat_with(next)
        .take_while(|word| word != "STOPPING=1")
        .collect();
    assert!(rest.iter().all(|word| word == "WATCHDOG=1"), "{rest:?}");
}

#[test]
fn a_watchdog_of_another_process_gets_no_sign_of_life() {
    let path = scratch::fresh("notify").join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut wazuh = Wazuh::new("serve_watchdog");
    wazuh
        .environment
        .push(("NOTIFY_SOCKET", path.display().to_string()));
    wazuh
        .environment
        .push(("WATCHDOG_USEC", "200000".to_owned()));
    wazuh.environment.push(("WATCHDOG_PID", "1".to_owned()));
    let _service = Service::start(&wazuh);
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut text = [0; 100];
    assert_eq!(socket.recv(&mut text).unwrap(), "READY=1".len());
    assert!(socket.recv(&mut text).is_err());
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut wazuh = Wazuh::new("serve_taken");
    wazuh
        .environment
        .push(("WEBHOOK_HOST", "127.0.0.1".to_owned()));
    wazuh.environment.push(("WEBHOOK_PORT", port.clone()));
    let output = wazuh.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{said}"
    );
}

#[test]
fn wrong_settings_are_78_and_named() {
    let cases = [
        ("port = 70000", "serve.port"),
        ("host = \"\"", "serve.host"),
        ("certificate_file = \"/nonexistent.pem\"", "serve.key_file"),
        (
            "tokens.one = { hash = \"ab\", scope = \"read\" }",
            "serve.tokens.one",
        ),
        ("prot = 1", "`port`"),
    ];
    for (setting, named) in cases {
        let wazuh = Wazuh::new("serve_wrong");
        wazuh.settings(&format!("[serve]\n{setting}\n"));
        let output = wazuh.run(&["serve"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{setting}: {said}");
        assert!(said.contains(named), "{setting}: {said}");
        let check = wazuh.json("check --config-only");
        assert!(check.to_string().contains(named), "{check}");
        assert_eq!(check["ok"], false, "{check}");
    }
    // Nothing of it keeps the hook from its work.
    let wazuh = Wazuh::with_uri(&mongod::shared().uri(), "serve_wrong_hook");
    wazuh.settings("[serve]\nport = 70000\n");
    wazuh
        .call(crate::wazuh::numbered(1).to_string())
        .assert_yes();
}

#[test]
fn the_inventory_is_collected_inside_at_the_start_and_again() {
    let site = crate::collect::Site::usual("serve_collects", "every = \"1 s\"\n");
    let mut service = Service::start(&site.wazuh);
    service.line_with("Starting periodic data collection");
    service.line_with("Fetching agents...");
    service.line_with("active agents");
    let agents = mongod::shared().database("serve_collects");
    let agents = agents.collection::<mongodb::bson::Document>("agents");
    let begun = Instant::now();
    let rounds = |log: String| log.matches("Fetching agents...").count();
    while rounds(service.log()) < 2
        || agents
            .count_documents(mongodb::bson::doc! {})
            .run()
            .unwrap()
            == 0
    {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{}",
            service.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let begun = Instant::now();
    let (status, log) = service.stop();
    assert_eq!(status, 0, "{log}");
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn collecting_without_an_address_is_refused_at_the_start() {
    let wazuh = Wazuh::new("serve_collects_nothing");
    wazuh.settings("[collect]\nevery = \"15 min\"\n");
    let output = wazuh.run(&["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("wazuh_api.url"), "{said}");
}
