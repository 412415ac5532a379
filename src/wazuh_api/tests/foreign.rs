//! What stands between us and Wazuh, and what is not Wazuh at all: proxies, redirects, other HTTP.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Answers each request on a connection of its own with what `answer` says to its path; gives the
/// heads of the requests.
fn server(
    address: &str,
    answer: impl Fn(&str) -> Vec<u8> + Send + 'static,
) -> (String, Receiver<String>) {
    let listener = TcpListener::bind(address).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let path = head.first().and_then(|line| line.split(' ').nth(1));
            let answer = answer(path.unwrap_or_default());
            if tell.send(head.join("\n")).is_err() {
                return;
            }
            (&stream).write_all(&answer).ok();
        }
    });
    (url, told)
}

/// A login, and a list of one agent; without a length, as HTTP/1.0 has it.
fn old(path: &str) -> Vec<u8> {
    let body = if path.contains("authenticate") {
        r#"{"data":{"token":"a.b.c"},"error":0}"#
    } else {
        r#"{"data":{"affected_items":[{"id":"001","name":"\udc80"}],"total_affected_items":1,"total_failed_items":0,"failed_items":[]},"message":"m","error":0}"#
    };
    format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}").into_bytes()
}

fn ask(url: &str) -> Result<Answer, Error> {
    let state = tempfile::tempdir().unwrap();
    let mut api = api(&settings(&[url.to_owned()]), state.path(), MINUTE);
    api.get("/agents", &[("limit", "1")])
}

#[test]
fn a_proxy_with_a_path_and_old_http_is_a_way_to_wazuh() {
    let (url, told) = server("127.0.0.1:0", old);
    let answer = ask(&format!("{url}/wazuh/api/")).unwrap();
    assert_eq!(answer.total, 1);
    let heads: Vec<String> = told.try_iter().collect();
    assert!(
        heads[0].starts_with("POST /wazuh/api/security/user/authenticate"),
        "{heads:?}"
    );
    assert!(
        heads[1].starts_with("GET /wazuh/api/agents?limit=1 "),
        "{heads:?}"
    );
    // Nobody may take it for granted that we can unpack.
    assert!(
        !heads
            .join("\n")
            .to_lowercase()
            .contains("accept-encoding: gzip"),
        "{heads:?}"
    );
}

#[test]
fn half_a_character_does_not_cost_the_list() {
    let (url, _told) = server("127.0.0.1:0", old);
    let answer = ask(&url).unwrap();
    assert_eq!(answer.items[0]["name"], "\u{fffd}");
}

#[test]
fn an_address_may_be_one_of_version_6() {
    let (url, _told) = server("[::1]:0", old);
    assert_eq!(ask(&url).unwrap().total, 1);
}

#[test]
fn nobody_is_followed_elsewhere_with_a_password_or_a_token() {
    let (elsewhere, visited) = server("127.0.0.1:0", old);
    for at in ["authenticate", "agents"] {
        let target = elsewhere.clone();
        let (url, _told) = server("127.0.0.1:0", move |path| {
            if path.contains(at) {
                let head = format!("HTTP/1.1 307 Go\r\nLocation: {target}{path}\r\n");
                format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
            } else {
                old(path)
            }
        });
        let error = ask(&url).unwrap_err();
        assert!(
            matches!(&error, Error::Settings(why) if why.contains("wazuh_api.url")),
            "{at}: {error:?}"
        );
    }
    assert!(visited.try_iter().next().is_none());
}

#[test]
fn what_answers_in_another_language_is_told_from_wazuh() {
    let pages: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\x1f\x8b\x08\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>Login</html>\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for page in pages {
        let (url, told) = server("127.0.0.1:0", move |_| page.to_vec());
        let state = tempfile::tempdir().unwrap();
        let mut api = api(&settings(&[url]), state.path(), Duration::from_secs(4));
        let error = api.get("/agents", &[]).unwrap_err();
        assert!(
            matches!(error, Error::Unavailable(_) | Error::Deadline),
            "{error:?}"
        );
        assert!(!error.to_string().contains(PASSWORD), "{error}");
        assert!(
            told.try_iter().count() < 20,
            "it is not asked again and again"
        );
    }
}
