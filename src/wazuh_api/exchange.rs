//! One request on the wire: paid for, in time, its answer bounded.

use std::time::Instant;

use ureq::{Body, Timeout, http};

use super::answer::Reply;
use super::connect::Line;
use super::error::{Error, Fault};
use super::verifier::Distrusted;
use super::{Api, budget};
use crate::setting::Secret;

/// 100,000 rows, the most that Wazuh gives at once, are less.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What is asked.
#[derive(Debug)]
pub(super) struct Question<'a> {
    method: Method,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Post,
}

impl<'a> Question<'a> {
    pub(super) fn get(path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        let method = Method::Get;
        Self {
            method,
            path,
            query,
        }
    }

    /// Without a body.
    pub(super) fn post(path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        let method = Method::Post;
        Self {
            method,
            path,
            query,
        }
    }
}

impl Api {
    /// Sends it as soon as the budget allows; the answer, whatever its status.
    pub(super) fn send(&mut self, question: &Question<'_>, proof: &Secret) -> Result<Reply, Fault> {
        self.pay()?;
        let now = Instant::now();
        if now >= self.until {
            return Err(Error::Deadline.into());
        }
        // Wazuh's own window is a minute, without the second that we add.
        if self.window.is_none_or(|begun| now - begun >= self.minute) {
            self.window = Some(now);
        }
        self.tally.requests += 1;
        let Some(line) = self.lines.get(self.current) else {
            return Err(Error::Settings("no address".to_owned()).into());
        };
        let before = line.connections();
        let reply = ask(line, question, proof, self.until);
        let mut reply = reply
            .map_err(|error| sort(line, question.path, error, before == line.connections()))?;
        self.tally.bytes += reply.body.len() as u64;
        let (path, status, millis) = (question.path, reply.status, now.elapsed().as_millis());
        log::debug!("{path}: {status}, {} bytes, {millis} ms", reply.body.len());
        if reply.status != 200 {
            reply.body = self.without_secrets(&reply.body, proof);
        }
        Ok(reply)
    }

    /// Waits for the budget.
    fn pay(&self) -> Result<(), Fault> {
        loop {
            match self
                .budget
                .take()
                .map_err(|error| budget::uncounted(&error))?
            {
                Ok(()) => return Ok(()),
                Err(wait) => self.sleep(wait)?,
            }
        }
    }

    /// What a server or a proxy says may end in a message: not with what we sent.
    fn without_secrets(&self, body: &[u8], proof: &Secret) -> Vec<u8> {
        let mut text = String::from_utf8_lossy(body).into_owned();
        let proof = proof.expose();
        let bare = proof.split_once(' ').map_or(proof, |(_, bare)| bare);
        for secret in [bare, self.login.password.expose()] {
            if secret.len() > 2 {
                text = text.replace(secret, "***");
            }
        }
        text.into_bytes()
    }
}

fn ask(
    line: &Line,
    question: &Question<'_>,
    proof: &Secret,
    until: Instant,
) -> Result<Reply, ureq::Error> {
    let url = line.address.url(question.path);
    let left = Some(until.saturating_duration_since(Instant::now()));
    let query = || question.query.iter().copied();
    let answer = match question.method {
        Method::Get => {
            let request = line
                .agent
                .get(url)
                .header(http::header::AUTHORIZATION, proof.expose());
            let request = request.query_pairs(query());
            request.config().timeout_global(left).build().call()
        }
        Method::Post => {
            let request = line
                .agent
                .post(url)
                .header(http::header::AUTHORIZATION, proof.expose());
            let request = request.query_pairs(query());
            request.config().timeout_global(left).build().send_empty()
        }
    };
    read(answer?)
}

fn read(mut answer: http::Response<Body>) -> Result<Reply, ureq::Error> {
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(MOST_BYTES);
    Ok(Reply {
        status,
        body: body.read_to_vec()?,
    })
}

fn sort(line: &Line, path: &str, error: ureq::Error, reused: bool) -> Fault {
    let name = line.address.name();
    let broken = |why: String| Fault::Broken {
        why: format!("{name} cannot be reached: {why}"),
        reused,
    };
    match error {
        ureq::Error::Timeout(Timeout::Global) => Error::Deadline.into(),
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            broken("no answer within wazuh_api.connect_timeout".to_owned())
        }
        ureq::Error::Timeout(_) => {
            Fault::TooLarge(format!("{path}: no answer within wazuh_api.read_timeout"))
        }
        ureq::Error::BodyExceedsLimit(_) => Fault::TooLarge(format!(
            "{path}: the answer has more than {MOST_BYTES} bytes"
        )),
        ureq::Error::HostNotFound => broken("the name is not known".to_owned()),
        ureq::Error::Io(error) => broken(error.to_string()),
        ureq::Error::Other(cause) => match cause.downcast_ref::<rustls::Error>() {
            Some(cause) => sort_tls(line, cause, reused),
            None => broken(cause.to_string()),
        },
        other => broken(other.to_string()),
    }
}

fn sort_tls(line: &Line, cause: &rustls::Error, reused: bool) -> Fault {
    if let Some(distrusted) = Distrusted::find(cause) {
        let why = line
            .trust
            .refuse(&line.address, distrusted.seen, &distrusted.why);
        return Error::Settings(why).into();
    }
    let name = line.address.name();
    let hint = match cause {
        rustls::Error::InvalidMessage(_) => "; is this an http:// address?",
        _ => "",
    };
    Fault::Broken {
        why: format!("{name}: TLS failed: {cause}{hint}"),
        reused,
    }
}
