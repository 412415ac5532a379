//! The newest alerts, and from then on each as it is stored: none missed and none twice where the
//! one goes over into the other.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use mongodb::bson::Bson;

use super::filter::AlertFilter;
use super::tail::rest;
use super::{Event, Fault, Page, Reader, Record, Tail};

/// How long the first list may take to pass over what the filter does not want.
const SEARCH: Duration = Duration::from_secs(10);
/// Alerts that are known again; more do not come between two looks at the list.
const KNOWN: usize = 10_000;
/// What is listed at least where the stream has lost its place.
const RELISTED: u64 = 1000;

/// What there is to say.
#[derive(Debug)]
pub enum News {
    /// An alert that was there before.
    Earlier(Record),
    /// One that was stored just now.
    New(Record),
    /// Nothing.
    Nothing,
    /// MongoDB cannot be asked, for this reason; its return is awaited.
    Away(String),
    /// The stream has lost its place: what follows as `Earlier` is the newest that was not told.
    Missed,
}

/// Alerts as they are stored.
pub struct Live {
    reader: Reader,
    filter: AlertFilter,
    tail: Tail,
    /// How many of the newest have to be listed; none if they have been.
    owed: Option<u64>,
    ready: VecDeque<News>,
    known: Known,
}

impl Reader {
    /// The `first` newest alerts of the filter, oldest first, and then those that come. The filter's
    /// times are for the former alone: an alert is new whatever time it says.
    pub fn live(&self, filter: &AlertFilter, first: u64) -> Live {
        let timeless = AlertFilter {
            since: None,
            until: None,
            ..filter.clone()
        };
        Live {
            reader: self.clone(),
            filter: filter.clone(),
            tail: self.tail_from_now(&timeless),
            owed: Some(first),
            ready: VecDeque::new(),
            known: Known::default(),
        }
    }
}

impl Live {
    /// Waits for news, a few seconds at most.
    ///
    /// # Errors
    ///
    /// All but `Unavailable`.
    pub async fn next(&mut self) -> Result<News, Fault> {
        if let Some(ready) = self.ready.pop_front() {
            return Ok(ready);
        }
        if let Some(count) = self.owed {
            match self.list(count).await {
                Ok(()) => self.owed = None,
                Err(Fault::Unavailable(why)) => {
                    rest().await;
                    return Ok(News::Away(why));
                }
                Err(fault) => return Err(fault),
            }
            return Ok(self.ready.pop_front().unwrap_or(News::Nothing));
        }
        Ok(match self.tail.next().await? {
            Event::Alert(_, record) if self.known.is_new(&record) => News::New(record),
            Event::Alert(..) => News::Nothing,
            Event::Nothing(_) => match self.tail.away() {
                Some(why) => News::Away(why.to_owned()),
                None => News::Nothing,
            },
            Event::Lost => {
                self.owed = Some(RELISTED);
                News::Missed
            }
        })
    }

    /// The stream is opened first: what is stored meanwhile is in both.
    async fn list(&mut self, count: u64) -> Result<(), Fault> {
        match self.tail.open().await {
            Ok(_) | Err(Fault::HistoryLost) => {}
            Err(fault) => return Err(fault),
        }
        let begun = Instant::now();
        let mut page = Page {
            limit: Some(count),
            ..Page::default()
        };
        let mut found = Vec::new();
        while page.limit > Some(0) && begun.elapsed() < SEARCH {
            let mut listing = self.reader.alerts(&self.filter, page.clone()).await?;
            while let Some(record) = listing.next().await? {
                found.push(record);
            }
            let got = u64::try_from(found.len()).unwrap_or(u64::MAX);
            page.limit = Some(count.saturating_sub(got));
            page.after = listing.position().await?;
            if page.after.is_none() {
                break;
            }
        }
        found.reverse();
        let new = found.into_iter().filter(|record| self.known.is_new(record));
        self.ready.extend(new.map(News::Earlier));
        Ok(())
    }
}

/// The alerts that were told, by `_id`; the oldest are forgotten.
#[derive(Default)]
struct Known {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Known {
    fn is_new(&mut self, record: &Record) -> bool {
        let id = record.raw().get("_id").ok().flatten();
        let id = id.and_then(|id| Bson::try_from(id).ok());
        let id = id.unwrap_or(Bson::Null).to_string();
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}
