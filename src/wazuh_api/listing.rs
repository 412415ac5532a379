//! Lists, page by page. A page is whole or it is none, and it has the size that the server manages.

use serde_json::{Map, Value};

use super::answer::{self, Answer};
use super::error::{Error, Fault};
use super::{Api, last_word};

/// A list that is read page by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Wazuh's path, `/syscollector/004/packages`.
    pub path: String,
    /// `sort`, `select`, `q`; neither `offset` nor `limit`.
    pub query: Vec<(String, String)>,
    /// Rows in a page, at most; fewer if the server cannot do as many.
    pub limit: u64,
}

/// A page of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The rows. The next page begins behind them, not behind `limit`.
    pub items: Vec<Map<String, Value>>,
    /// How many rows the list has now.
    pub total: u64,
    /// How many rows were asked for.
    pub limit: u64,
}

/// Below that a page is not the reason for being too slow.
const SMALLEST_PAGE: u64 = 10;

impl Api {
    /// One page from `offset` on. A page that the server cannot do in its time is halved, here and for
    /// all further lists of this kind in this run.
    ///
    /// # Errors
    ///
    /// Each of `Error`; also `Unavailable` where a part of the page failed: a page is whole or none.
    pub fn page(&mut self, list: &Listing, offset: u64) -> Result<Page, Error> {
        let kind = kind_of(&list.path);
        let offset = offset.to_string();
        loop {
            let known = self.sizes.get(&kind).copied().unwrap_or(list.limit);
            let limit = known.min(list.limit).max(1);
            let size = limit.to_string();
            let mut query: Vec<(&str, &str)> = pairs(&list.query).collect();
            query.extend([("offset", offset.as_str()), ("limit", size.as_str())]);
            match self.fetch(&list.path, &query) {
                Ok(answer) => return whole(&list.path, answer, limit),
                Err(Fault::TooLarge(why)) if limit > SMALLEST_PAGE => {
                    log::info!("{why}: pages of {kind} are halved");
                    self.tally.retries += 1;
                    self.sizes
                        .insert(kind.clone(), (limit / 2).max(SMALLEST_PAGE));
                }
                Err(Fault::TooLarge(why)) => return Err(Error::Unavailable(why)),
                Err(fault) => return Err(last_word(fault)),
            }
        }
    }
}

fn pairs(query: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The path without the agent in it: what is too slow for one is for all.
fn kind_of(path: &str) -> String {
    let part = |part: &str| {
        let is_id = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_id {
            "*".to_owned()
        } else {
            part.to_owned()
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A page is whole: no part failed, and each row is an object.
fn whole(path: &str, answer: Answer, limit: u64) -> Result<Page, Error> {
    if !answer.failed.is_empty() {
        let why = answer::describe(&answer.failed);
        return Err(Error::Unavailable(format!("{path}: {why}")));
    }
    if !answer.data.is_null() {
        return Err(Error::Unavailable(format!("{path}: the answer is no list")));
    }
    Ok(Page {
        items: answer.items,
        total: answer.total,
        limit,
    })
}
