//! A client of HTTP/1.1 that does what it is told, also what a decent one never would.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("no JSON ({why}): {self:?}"))
    }

    /// Head and body as one text, to look for what must not be in it.
    pub(crate) fn whole(&self) -> String {
        format!("{:?} {}", self.headers, self.text())
    }
}

/// A connection that stays open from one request to the next.
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

/// Connects.
pub(crate) fn connect(address: SocketAddr) -> Connection<TcpStream> {
    let stream = TcpStream::connect(address).expect("the service listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    Connection::over(stream)
}

/// One request on a connection of its own.
#[track_caller]
pub(crate) fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut connection = connect(address);
    connection
        .ask("GET", path, headers, b"")
        .expect("an answer")
}

/// One request with a body on a connection of its own.
#[track_caller]
pub(crate) fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut connection = connect(address);
    connection
        .ask("POST", path, headers, body)
        .expect("an answer")
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        let read = Vec::new();
        Self { stream, read }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            request += "host: localhost\r\n";
        }
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        if method == "POST" {
            let length = body.len().to_string();
            request.extend(["content-length: ", &length, "\r\n"]);
        }
        self.send(&[request.as_bytes(), b"\r\n", body].concat())?;
        self.answer(method)
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads the answer to a request with this method.
    pub(crate) fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let head = self.until(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {head}")))?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let mut answer = Answer {
            status,
            headers: headers.collect(),
            body: Vec::new(),
        };
        answer.body = self.body(&answer, method)?;
        Ok(answer)
    }

    /// Whether the other side has closed the connection, once everything before that was read.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut piece = [0; 1024];
        matches!(self.stream.read(&mut piece), Ok(0))
    }

    fn body(&mut self, answer: &Answer, method: &str) -> io::Result<Vec<u8>> {
        if method == "HEAD" || matches!(answer.status, 100..=199 | 204 | 304) {
            return Ok(Vec::new());
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            return self.chunks();
        }
        if let Some(length) = answer.header("content-length") {
            return self.exactly(length.parse().map_err(io::Error::other)?);
        }
        while self.more()? {}
        Ok(std::mem::take(&mut self.read))
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n")?;
            let line = String::from_utf8_lossy(&line);
            let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            let chunk = self.exactly(length + 2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend(&chunk[..length]);
        }
    }

    /// What comes before `end`, which is taken too.
    fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let place = self.read.windows(end.len()).position(|part| part == end);
            if let Some(place) = place {
                let rest = self.read.split_off(place + end.len());
                let mut found = std::mem::replace(&mut self.read, rest);
                found.truncate(place);
                return Ok(found);
            }
            if !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < length {
            if !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.read.split_off(length);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    fn more(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        let count = self.stream.read(&mut piece)?;
        self.read.extend(&piece[..count]);
        Ok(count > 0)
    }
}
