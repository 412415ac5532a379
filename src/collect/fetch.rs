//! Reads a list completely, or says that it did not: pages are no snapshot, and a row that slipped
//! between two of them would look like one that was removed.

use std::collections::HashSet;
use std::sync::mpsc::SyncSender;

use super::probe::{self, Sign};
use super::record::Message;
use crate::inventory::{Id, Kind, Owner, Probe, Row, identity};
use crate::wazuh_api::{Api, Error, Listing};

/// How often a list that moves while it is read is read again.
const TRIES: u32 = 3;

/// Why a read ended early.
#[derive(Debug)]
pub(super) enum Fault {
    Api(Error),
    /// The recorder has stopped, and knows why.
    Recorder,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Api(error)
    }
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Every row was sent on.
    Complete {
        sign: Sign,
        /// Nothing moved between the first page and a question after the last one.
        is_verified: bool,
    },
    /// Rows may be missing.
    Partial(String),
}

/// Whether a question after the last page proves that nothing moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verify {
    /// Something may be removed by this read.
    Always,
    /// There was nothing before: only several pages can lose a row.
    IfPaged,
}

/// What is read, and for whom.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) kind: &'static Kind,
    pub(super) owner: &'a Owner,
    /// One list; for the checks of SCA one for each policy.
    pub(super) listings: Vec<Listing>,
    pub(super) verify: Verify,
}

/// The list of an agent's kind.
pub(super) fn listing(kind: &Kind, path: String) -> Listing {
    let sort = kind.sort.map(|sort| ("sort".to_owned(), sort.to_owned()));
    Listing {
        path,
        query: sort.into_iter().collect(),
        limit: kind.limit,
    }
}

/// What one pass over the lists found.
#[derive(Default)]
struct Pass {
    keys: HashSet<Id>,
    rows: u64,
    total: u64,
    pages: u32,
    newest: Option<String>,
}

impl Reader<'_> {
    /// Reads and sends the rows on.
    pub(super) fn read(&self, api: &mut Api, to: &SyncSender<Message>) -> Result<Reading, Fault> {
        let mut why = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                to.send(Message::Again).map_err(|_| Fault::Recorder)?;
            }
            match self.pass(api, to)? {
                Ok(pass) => match self.judge(api, pass)? {
                    Ok(reading) => return Ok(reading),
                    Err(fault) => why = fault,
                },
                Err(fault) => why = fault,
            }
        }
        Ok(Reading::Partial(why))
    }

    fn pass(&self, api: &mut Api, to: &SyncSender<Message>) -> Result<Result<Pass, String>, Fault> {
        let mut pass = Pass::default();
        for listing in &self.listings {
            if let Err(why) = self.list(api, to, listing, &mut pass)? {
                return Ok(Err(why));
            }
        }
        Ok(Ok(pass))
    }

    fn list(
        &self,
        api: &mut Api,
        to: &SyncSender<Message>,
        listing: &Listing,
        pass: &mut Pass,
    ) -> Result<Result<(), String>, Fault> {
        let (mut offset, mut expected) = (0, None);
        loop {
            let page = api.page(listing, offset)?;
            pass.pages += 1;
            if expected.is_some_and(|expected| expected != page.total) {
                return Ok(Err(
                    "the number of rows changed while they were read".to_owned()
                ));
            }
            expected = Some(page.total);
            let count = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
            offset += count;
            pass.rows += count;
            let rows = self.identified(page.items, listing, pass);
            if !rows.is_empty() {
                to.send(Message::Rows(rows)).map_err(|_| Fault::Recorder)?;
            }
            if offset >= page.total {
                pass.total += page.total;
                return Ok(Ok(()));
            }
            if count == 0 {
                let total = page.total;
                return Ok(Err(format!(
                    "a page is empty after {offset} of {total} rows"
                )));
            }
        }
    }

    fn identified(&self, rows: Vec<Row>, listing: &Listing, pass: &mut Pass) -> Vec<(Id, Row)> {
        let identified = |mut row: Row| {
            if let Probe::Newest(field) = self.kind.probe {
                pass.newest = pass.newest.take().max(probe::newest(&row, field));
            }
            if self.kind.probe == Probe::Policies && !row.contains_key("policy_id") {
                let policy = listing.path.rsplit('/').next().unwrap_or_default();
                row.insert("policy_id".to_owned(), policy.into());
            }
            let id = identity(self.kind, self.owner, &row);
            pass.keys.insert(id);
            (id, row)
        };
        rows.into_iter().map(identified).collect()
    }

    /// Whether the pass saw everything; the inner error is a reason to read again.
    fn judge(&self, api: &mut Api, pass: Pass) -> Result<Result<Reading, String>, Fault> {
        let keys = u64::try_from(pass.keys.len()).unwrap_or(u64::MAX);
        if keys != pass.total || pass.rows != pass.total {
            let (rows, total) = (pass.rows, pass.total);
            return Ok(Err(format!(
                "{rows} rows with {keys} different keys came, the server counts {total}"
            )));
        }
        let sign = Sign {
            newest: pass.newest,
            total: pass.total,
        };
        let lists = u32::try_from(self.listings.len()).unwrap_or(u32::MAX);
        let is_verified = self.verify == Verify::Always || pass.pages > lists;
        if is_verified && !self.stands_still(api, &sign, &pass.keys)? {
            return Ok(Err("the list changed while it was read".to_owned()));
        }
        Ok(Ok(Reading::Complete { sign, is_verified }))
    }

    /// Asks again what the server has now.
    fn stands_still(&self, api: &mut Api, sign: &Sign, keys: &HashSet<Id>) -> Result<bool, Error> {
        if let Probe::Newest(field) = self.kind.probe
            && let Some(after) = probe::ask(api, &self.kind.path(&self.owner.agent), field)?
        {
            return Ok(after == *sign);
        }
        let mut total = 0;
        for listing in &self.listings {
            let page = api.page(listing, 0)?;
            total += page.total;
            let known = |row: &Row| keys.contains(&identity(self.kind, self.owner, row));
            // Where no time tells, at least the first page has to be the same rows.
            if self.kind.probe != Probe::Policies && !page.items.iter().all(known) {
                return Ok(false);
            }
        }
        Ok(total == sign.total)
    }
}
