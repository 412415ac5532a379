//! What Wazuh, its host and the network do to a client.

use std::net::TcpListener;

use super::*;

fn took<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (work(), begun.elapsed())
}

fn agents(api: &mut Api) -> Result<u64, Error> {
    api.get("/agents", &[("limit", "1")])
        .map(|answer| answer.total)
}

/// A port where nobody is.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed() {
    let manager = Manager::with(Options {
        ttl: 2,
        ..Options::default()
    });
    let mut api = manager.api();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(4_500) {
        assert_eq!(agents(&mut api), Ok(26));
        std::thread::sleep(Duration::from_millis(100));
    }
    let logins = api.tally().logins;
    assert!((2..=5).contains(&logins), "{logins} logins");
}

#[test]
fn a_revoked_token_is_renewed_even_within_the_second_of_the_revocation() {
    let manager = Manager::new();
    let mut api = manager.api();
    assert_eq!(agents(&mut api), Ok(26));
    manager.server.state().logins.revoke();
    let (total, time) = took(|| agents(&mut api));
    assert_eq!(total, Ok(26));
    assert!((2..=3).contains(&api.tally().logins), "{:?}", api.tally());
    assert!(time < Duration::from_secs(10), "{time:?}");
}

#[test]
fn a_server_that_refuses_every_token_is_given_up() {
    let manager = Manager::new();
    let mut api = manager.api();
    manager
        .server
        .state()
        .fail("/agents", 100, Fails::unauthorized());
    let error = agents(&mut api).unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable(why) if why.contains("new tokens")),
        "{error:?}"
    );
    assert_eq!(api.tally().logins, 3);
}

#[test]
fn a_wrong_password_is_tried_once() {
    let manager = Manager::new();
    let mut settings = manager.settings();
    settings.password = Some(Secret::new("guessed"));
    let mut api = api(&settings, manager.state.path(), MINUTE);
    for _ in 0..3 {
        let error = agents(&mut api).unwrap_err();
        let said = matches!(&error, Error::BadLogin(why) if why.contains("wazuh_api.user"));
        assert!(said, "{error:?}");
    }
    assert_eq!(manager.server.state().seen.len(), 1);
}

#[test]
fn a_blocked_address_asks_no_more() {
    let manager = Manager::with(Options {
        most_failures: 0,
        ..Options::default()
    });
    let mut api = manager.api();
    for _ in 0..2 {
        let error = agents(&mut api).unwrap_err();
        assert!(
            matches!(&error, Error::BadLogin(why) if why.contains("6000")),
            "{error:?}"
        );
    }
    assert_eq!(manager.server.state().seen.len(), 1);
    // Before 4.9 a blocked address is refused everywhere, whatever its token.
    let manager = Manager::new();
    let mut api = manager.api();
    let blocked = fake::http::Answer::problem(403, "Permission Denied", "blocked", Some(6000));
    manager
        .server
        .state()
        .fail("/agents", 1, Fails::Answer(blocked));
    for _ in 0..2 {
        assert!(matches!(agents(&mut api), Err(Error::BadLogin(_))));
    }
    assert_eq!(manager.server.state().seen.len(), 2);
}

#[test]
fn a_used_up_minute_is_waited_for() {
    let manager = Manager::with(Options {
        per_minute: 5,
        window: Duration::from_secs(1),
        ..Options::default()
    });
    let until = Instant::now() + MINUTE;
    let minute = Duration::from_millis(1_020);
    let mut api = Api::with_minute(
        &manager.settings(),
        None,
        manager.state.path(),
        until,
        minute,
    )
    .unwrap();
    let ((), time) = took(|| (0..12).for_each(|_| assert_eq!(agents(&mut api), Ok(26))));
    let tally = api.tally();
    assert!((2..=9).contains(&tally.limited), "{tally:?}");
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(15)).contains(&time),
        "{time:?}"
    );
    // Somebody else has used it up, and our own window is no help.
    manager
        .server
        .state()
        .fail("/agents", 3, Fails::rate_limited());
    assert_eq!(agents(&mut api), Ok(26));
}

#[test]
fn a_minute_that_ends_after_the_run_ends_the_run() {
    let manager = Manager::new();
    let mut api = api(
        &manager.settings(),
        manager.state.path(),
        Duration::from_secs(5),
    );
    manager
        .server
        .state()
        .fail("/agents", 100, Fails::rate_limited());
    let (outcome, time) = took(|| agents(&mut api));
    assert_eq!(outcome, Err(Error::Deadline));
    assert!(
        time < Duration::from_secs(4),
        "it does not sleep for nothing: {time:?}"
    );
}

#[test]
fn a_connection_that_idled_too_long_costs_nothing() {
    let manager = Manager::with(Options {
        idle: Duration::from_millis(200),
        ..Options::default()
    });
    let mut api = manager.api();
    assert_eq!(agents(&mut api), Ok(26));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(agents(&mut api), Ok(26));
    manager.server.hang_up();
    assert_eq!(agents(&mut api), Ok(26));
    let state = manager.server.state();
    assert_eq!(state.seen[1].connection + 1, state.seen[2].connection);
}

#[test]
fn a_kept_connection_that_dies_under_a_request_is_replaced_at_once() {
    let manager = Manager::new();
    let mut api = manager.api();
    assert_eq!(agents(&mut api), Ok(26));
    // The fastest of some: a busy machine is slow, a wait is always slow.
    let times = (1..=5).map(|number| {
        manager.server.state().fail("/agents", 1, Fails::Close);
        let (total, time) = took(|| agents(&mut api));
        assert_eq!((total, api.tally().retries), (Ok(26), number));
        time
    });
    let fastest = times.min().unwrap();
    assert!(
        fastest < Duration::from_millis(240),
        "without a wait: {fastest:?}"
    );
    // A second death is no accident: it is waited for.
    manager.server.state().fail("/agents", 2, Fails::Close);
    let (total, time) = took(|| agents(&mut api));
    assert_eq!((total, api.tally().retries), (Ok(26), 7));
    assert!(time > Duration::from_millis(240), "{time:?}");
}

#[test]
fn a_body_that_breaks_off_is_asked_for_again() {
    let manager = Manager::new();
    let mut api = manager.api();
    assert_eq!(api.page(&packages("004", 30), 0).unwrap().items.len(), 30);
    manager.server.state().fail("packages", 1, Fails::CutBody);
    assert_eq!(api.page(&packages("004", 30), 0).unwrap().items.len(), 30);
    manager
        .server
        .state()
        .fail("packages", 1_000, Fails::CutBody);
    let error = api.page(&packages("004", 30), 0).unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}

#[test]
fn a_manager_that_restarts_is_given_a_few_seconds() {
    let manager = Manager::new();
    let mut api = manager.api();
    manager
        .server
        .state()
        .fail("/agents", 2, Fails::restarting());
    assert_eq!(agents(&mut api), Ok(26));
    manager
        .server
        .state()
        .fail("/agents", 1_000, Fails::restarting());
    let (error, time) = took(|| agents(&mut api).unwrap_err());
    assert!(
        matches!(&error, Error::Unavailable(why) if why.contains("1017")),
        "{error:?}"
    );
    assert!((1..15).contains(&time.as_secs()), "{time:?}");
    assert_eq!(manager.server.state().count("/agents"), 3 + 4);
}

#[test]
fn a_page_that_takes_too_long_is_halved_and_stays_so() {
    let manager = Manager::with(Options {
        most_rows: 12,
        ..Options::default()
    });
    let mut api = manager.api();
    let read = read_all(&mut api, &packages("004", 40)).unwrap();
    assert_eq!(read.len(), 30);
    let sizes = || -> Vec<String> {
        let state = manager.server.state();
        let seen = state
            .seen
            .iter()
            .filter_map(|seen| seen.target.split("limit=").nth(1));
        seen.map(str::to_owned).collect()
    };
    assert_eq!(sizes(), ["40", "20", "10", "10", "10"]);
    manager.server.state().seen.clear();
    // The same kind of another agent; a smaller page stays as it is.
    assert_eq!(read_all(&mut api, &packages("005", 40)).unwrap().len(), 30);
    assert_eq!(api.page(&packages("006", 5), 0).unwrap().limit, 5);
    assert_eq!(sizes(), ["10", "10", "10", "5"]);
    manager.server.state().options.most_rows = 3;
    let error = api.page(&packages("005", 40), 0).unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable(why) if why.contains("3021")),
        "{error:?}"
    );
}

#[test]
fn a_silent_server_is_not_asked_for_the_same_again() {
    let manager = Manager::new();
    let mut settings = manager.settings();
    settings.read_timeout = Span(Duration::from_millis(300));
    let mut api = api(&settings, manager.state.path(), MINUTE);
    manager
        .server
        .state()
        .fail("limit=30", 100, Fails::Delay(Duration::from_millis(900)));
    let page = api.page(&packages("004", 30), 0).unwrap();
    assert_eq!((page.items.len(), page.limit), (15, 15));
    assert_eq!(manager.server.state().count("limit=30"), 1);
}

#[test]
fn the_end_of_the_run_ends_a_request_too() {
    let manager = Manager::new();
    let mut api = api(
        &manager.settings(),
        manager.state.path(),
        Duration::from_millis(700),
    );
    manager
        .server
        .state()
        .fail("/agents", 100, Fails::Delay(Duration::from_secs(3)));
    let (outcome, time) = took(|| agents(&mut api));
    assert_eq!(outcome, Err(Error::Deadline));
    assert!(time < Duration::from_millis(2_500), "{time:?}");
    let sent = api.tally().requests;
    assert_eq!(agents(&mut api), Err(Error::Deadline));
    assert_eq!(api.tally().requests, sent, "nothing is sent after the end");
}

#[test]
fn another_address_of_the_manager_is_asked_when_one_is_away() {
    let manager = Manager::new();
    let other = Server::start(Options::default()).unwrap();
    let urls = [dead(), manager.server.url(), other.url()];
    let mut api = api(&settings(&urls), manager.state.path(), MINUTE);
    assert_eq!(agents(&mut api), Ok(26));
    assert_eq!(
        api.describe().0,
        manager.server.url().trim_start_matches("http://")
    );
    manager.server.stop();
    assert_eq!(agents(&mut api), Ok(26), "with a login of its own");
    assert_eq!(api.describe().0, other.url().trim_start_matches("http://"));
    other.stop();
    let (error, time) = took(|| agents(&mut api).unwrap_err());
    assert!(
        matches!(&error, Error::Unavailable(why) if why.contains("cannot be reached")),
        "{error:?}"
    );
    assert!(time < Duration::from_secs(20), "{time:?}");
}

#[test]
fn a_part_that_failed_makes_no_page() {
    let manager = Manager::new();
    let mut api = manager.api();
    let body = r#"{"data":{"affected_items":[],"total_affected_items":0,"total_failed_items":1,"failed_items":[{"error":{"code":3022,"message":"Worker down"},"id":["004"]}]},"message":"m","error":1}"#;
    let answer = fake::http::Answer::raw(body.to_owned());
    manager
        .server
        .state()
        .fail("packages", 1, Fails::Answer(answer));
    let error = api.page(&packages("004", 10), 0).unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable(why) if why.contains("Worker down")),
        "{error:?}"
    );
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    let manager = Manager::new();
    let mut api = manager.api();
    let answer = fake::http::Answer::raw(" ".repeat(65 << 20));
    manager
        .server
        .state()
        .fail("/agents", 1, Fails::Answer(answer));
    let error = agents(&mut api).unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable(why) if why.contains("bytes")),
        "{error:?}"
    );
    assert_eq!(
        agents(&mut api),
        Ok(26),
        "and the connection is not used for anything else"
    );
}

#[test]
fn a_handshake_that_nobody_answers_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let manager = Manager::new();
    let mut settings = settings(&[url, manager.server.url()]);
    settings.connect_timeout = Span(Duration::from_millis(300));
    let mut api = api(&settings, manager.state.path(), MINUTE);
    let (total, time) = took(|| agents(&mut api));
    assert_eq!(total, Ok(26), "the other address is asked");
    assert!((300..4_500).contains(&time.as_millis()), "{time:?}");
}
