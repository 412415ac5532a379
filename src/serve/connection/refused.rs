//! The answers to what is no request: hyper's own are a head without a body, and whoever gets no
//! connection or takes too long for a head meets no route. They look like every other error.

use axum::http::{HeaderMap, StatusCode, header};

use super::{MAX_HEAD, MAX_HEADERS};
use crate::serve::access;

/// A whole answer that ends the connection; whoever found no room may come again soon.
pub(in crate::serve) fn answer(status: StatusCode, message: &str) -> Vec<u8> {
    let wait = match status {
        StatusCode::SERVICE_UNAVAILABLE => "retry-after: 1\r\n",
        _ => "",
    };
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{wait}");
    whole(&head, message)
}

/// What goes out in place of an error that hyper answers by a head alone. No route answers 400, 414
/// or 431 without a body.
pub(super) fn in_place_of(written: &[u8]) -> Option<Vec<u8>> {
    let rest = written.strip_prefix(b"HTTP/1.1 4")?;
    let head = std::str::from_utf8(written)
        .ok()?
        .strip_suffix("\r\n\r\n")?;
    let message = match rest.get(..2)? {
        b"00" => "This is no HTTP/1.1 request".to_owned(),
        b"14" => "The address is too long".to_owned(),
        b"31" => {
            format!("The head is longer than {MAX_HEAD} bytes or has over {MAX_HEADERS} fields")
        }
        _ => return None,
    };
    let length = format!("{}: 0", header::CONTENT_LENGTH);
    let mut lines: Vec<&str> = head.split("\r\n").collect();
    let place = lines.iter().position(|line| *line == length)?;
    lines.remove(place);
    // A text with an empty line in it is more than a head.
    (!lines.contains(&"")).then(|| whole(&format!("{}\r\n", lines.join("\r\n")), &message))
}

fn whole(head: &str, message: &str) -> Vec<u8> {
    let body = serde_json::json!({ "status": "error", "message": message }).to_string();
    let mut headers = HeaderMap::new();
    access::protect(&mut headers);
    let mut out = head.as_bytes().to_vec();
    for (name, value) in &headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let length = body.len();
    let rest = format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
    out.extend_from_slice(rest.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_without_a_body_is_replaced() {
        let bare =
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let instead = String::from_utf8(in_place_of(bare).unwrap()).unwrap();
        assert!(instead.starts_with("HTTP/1.1 431 "), "{instead}");
        assert!(instead.contains("\r\ndate: x\r\n"), "{instead}");
        assert_eq!(instead.matches("content-length").count(), 1, "{instead}");
        assert!(
            instead.contains("x-content-type-options: nosniff"),
            "{instead}"
        );
        assert!(instead.ends_with("64 fields\"}"), "{instead}");
        for other in [
            &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 7\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"{\"a\": \"HTTP/1.1 400 \"}",
        ] {
            assert_eq!(in_place_of(other), None);
        }
    }
}
