//! Just enough HTTP/1.1 for one API: a request in, an answer with its length out.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;

use super::json::{Json, object, text};

/// As uvicorn has it: a longer request line is refused.
const LONGEST_LINE: u64 = 64 * 1024;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    pub authorization: String,
    pub user_agent: String,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Request {
    /// The path without the query, percent-decoded.
    pub fn path(&self) -> String {
        decode(self.target.split('?').next().unwrap_or_default())
    }

    /// Names and values of the query, percent-decoded.
    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let split = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(&value.replace('+', " ")))
        };
        pairs.map(split).collect()
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut query = self.query().into_iter();
        query.find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl Answer {
    pub fn json(body: &Json) -> Self {
        Self::raw(body.to_string())
    }

    /// JSON that is text already.
    pub fn raw(body: String) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body,
        }
    }

    /// RFC 7807, as Wazuh writes it; `error` is Wazuh's own code.
    pub fn problem(status: u16, title: &str, detail: &str, error: Option<i64>) -> Self {
        let mut body = object([("title", text(title)), ("detail", text(detail))]);
        if let Some(error) = error {
            let node = object([("error", text(detail))]);
            body.set("dapi_errors", object([("node01", node)]));
            body.set("error", Json::Int(error));
        }
        Self {
            status,
            content_type: "application/problem+json; charset=utf-8",
            body: body.to_string(),
        }
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            429 => "Too Many Requests",
            _ => "Internal Server Error",
        };
        let (status, kind, length) = (self.status, self.content_type, self.body.len());
        let mut bytes = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
             server: Wazuh\r\ncache-control: no-store\r\n\r\n"
        )
        .into_bytes();
        bytes.extend(self.body.as_bytes());
        bytes
    }

    pub fn write(&self, mut stream: &TcpStream) -> Result<()> {
        stream.write_all(&self.bytes())
    }
}

/// The next request of a connection; none when the client is gone or idle for too long.
pub fn read(reader: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let mut line = String::new();
    if reader.take(LONGEST_LINE).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(Error::other("Invalid HTTP request received."));
    };
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        authorization: String::new(),
        user_agent: String::new(),
        body: Vec::new(),
    };
    let mut length = 0;
    loop {
        line.clear();
        reader.take(LONGEST_LINE).read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(Error::other)?,
            "authorization" => value.clone_into(&mut request.authorization),
            "user-agent" => value.clone_into(&mut request.user_agent),
            _ => {}
        }
    }
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

fn decode(encoded: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, used) = match byte {
            Some(byte) if first == b'%' => (byte, 2),
            _ => (first, 0),
        };
        bytes.push(byte);
        rest = after.get(used..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
