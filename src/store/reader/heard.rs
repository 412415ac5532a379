//! When an agent was last heard of, as the last run of `collect` saw it: put over what stands in its
//! document, which is only written when something else has changed.

use std::collections::HashMap;

use mongodb::bson::{Bson, RawDocument, RawDocumentBuf, doc};

use super::inventory::STATES;
use super::source::{Ask, Source};
use super::{Fault, Page, Reader, site};
use crate::alert::bson::{Writer, elements};
use crate::store::keep_alives::{self, KeepAlives};

const FIELD: &str = "lastKeepAlive";
/// What has to be known of an agent to find its time.
const NEEDED: [&str; 2] = ["_site", "agent_id"];

/// The times of some sites' agents.
#[derive(Debug, Default)]
pub(super) struct Heard(HashMap<String, KeepAlives>);

/// Whether the page shows it; then it has what is needed for it.
pub(super) fn prepare(page: &mut Page) -> bool {
    let is_shown = page.fields.is_empty() || page.fields.iter().any(|field| field == FIELD);
    if is_shown && !page.fields.is_empty() {
        page.fields.extend(NEEDED.map(str::to_owned));
    }
    is_shown
}

impl Reader {
    pub(super) async fn heard(&self, sites: &[Bson]) -> Result<Heard, Fault> {
        let mut filter = site::is_one_of(sites);
        filter.extend(doc! { "agent_id": "*", "kind": keep_alives::KIND });
        let ask = Ask {
            filter,
            ..Ask::default()
        };
        let mut source = Source::open(&self.collection(STATES).await?, ask).await?;
        let mut heard = Heard::default();
        while let Some(document) = source.next().await? {
            let known = keep_alives::parse(&document);
            heard.0.insert(site_of(&document).to_owned(), known);
        }
        Ok(heard)
    }
}

impl Heard {
    /// The document with its time, or as it is.
    pub(super) fn put_into(&self, document: RawDocumentBuf) -> RawDocumentBuf {
        let agents = self.0.get(site_of(&document));
        let at = document.get_str("agent_id").ok();
        let at = at.and_then(|agent| agents?.get(agent));
        let fresh = at.and_then(|at| with(&document, *at));
        fresh.unwrap_or(document)
    }
}

fn with(document: &RawDocument, at: i64) -> Option<RawDocumentBuf> {
    let mut out = Writer::default();
    let mark = out.open();
    for field in elements(document.as_bytes()).filter(|field| field.name != FIELD.as_bytes()) {
        out.key(field.tag, field.name);
        out.raw(field.value);
    }
    out.date(FIELD, at);
    out.close(mark);
    RawDocumentBuf::from_bytes(out.bytes().to_vec()).ok()
}

/// Documents without a site are those of the time before there were sites.
fn site_of(document: &RawDocument) -> &str {
    document.get_str("_site").unwrap_or("default")
}
