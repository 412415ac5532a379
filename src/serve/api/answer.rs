//! A list on its way out: written while it is read, so that its length costs no memory. Whoever
//! takes it slowly slows the reading. If it breaks off in the middle, so does the connection: a
//! short list never looks like a whole one.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;

use crate::serve::error::Error;
use crate::serve::etag::Tag;
use crate::store::reader::{Fault, Listing, Record, Shape};

/// How much is written at a time, about.
const PIECE: usize = 16 * 1024;

/// What is said beside the documents.
pub(super) struct Envelope {
    /// Fields before `data`.
    pub(super) beside: Vec<(&'static str, Value)>,
    /// What of each document is shown.
    pub(super) shape: Shape,
    /// What a position belongs to.
    pub(super) question: String,
    /// The list's version.
    pub(super) tag: Option<Tag>,
}

struct Writing {
    listing: Listing,
    envelope: Envelope,
    out: Vec<u8>,
    next: Option<Record>,
    is_first: bool,
    is_over: bool,
}

/// `{"status":"success","data":[…],"next":…}`. The first document is read before the answer begins,
/// so that a question that fails at once is answered by an error.
pub(super) async fn list(mut listing: Listing, envelope: Envelope) -> Result<Response, Error> {
    let next = listing.next().await?;
    let mut out = br#"{"status":"success","#.to_vec();
    for (name, value) in &envelope.beside {
        out.extend_from_slice(format!("{}:{value},", Value::from(*name)).as_bytes());
    }
    out.extend_from_slice(br#""data":["#);
    let tag = envelope.tag.clone();
    let writing = Writing {
        listing,
        envelope,
        out,
        next,
        is_first: true,
        is_over: false,
    };
    let body = Body::from_stream(stream::try_unfold(writing, Writing::piece));
    let response = json(body);
    Ok(match tag {
        Some(tag) => tag.mark(response),
        None => response,
    })
}

/// `{"status":"success","data":{…}}`.
pub(super) fn one(record: &Record, shape: &Shape) -> Response {
    let mut out = br#"{"status":"success","data":"#.to_vec();
    record.write_json(shape, &mut out);
    out.push(b'}');
    json(Body::from(out))
}

/// A good answer.
pub(super) fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

impl Writing {
    async fn piece(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.is_over {
            return Ok(None);
        }
        while self.out.len() < PIECE {
            let Some(record) = self.next.take() else {
                self.end().await?;
                break;
            };
            if !std::mem::take(&mut self.is_first) {
                self.out.push(b',');
            }
            record.write_json(&self.envelope.shape, &mut self.out);
            self.next = self.listing.next().await.map_err(broken)?;
        }
        let piece = Bytes::from(std::mem::take(&mut self.out));
        Ok(Some((piece, self)))
    }

    async fn end(&mut self) -> io::Result<()> {
        let position = self.listing.position().await.map_err(broken)?;
        let next = position.map(|position| position.to_text(&self.envelope.question));
        self.out.extend_from_slice(br#"],"next":"#);
        self.out
            .extend_from_slice(Value::from(next).to_string().as_bytes());
        self.out.push(b'}');
        self.is_over = true;
        Ok(())
    }
}

/// What breaks the connection off.
#[expect(clippy::needless_pass_by_value, reason = "it stands behind map_err")]
fn broken(fault: Fault) -> io::Error {
    log::error!("a list broke off: {fault}");
    io::Error::other("a list broke off")
}
