//! New alerts as they are stored. A replica set tells of them by a change stream. A standalone server
//! is asked again and again for what lies behind the last record: by MongoDB's own numbers for
//! records, since no time in an alert says when it was stored (one from the spool is older).
//!
//! A position is given out only when everything before it has been given out, so that whoever goes
//! on from it misses nothing and sees nothing twice. While MongoDB is away, its return is awaited.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ResumeToken;
use mongodb::{Collection, Database};

use super::filter::AlertFilter;
use super::{Fault, Reader, Record, answer, site};
use crate::store::alerts;

/// How often a standalone server is asked. A record is given out one round after it was first seen:
/// two writers may become visible in another order than that of their numbers.
const ROUND: Duration = Duration::from_millis(300);
/// How long a change stream waits in the server for something new.
const AWAIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);
/// More records than this are not caught up with: 24 bytes each.
const CAUGHT_UP: usize = 50_000;
/// Documents that are fetched together.
const FETCHED: usize = 100;

/// What is new.
#[derive(Debug)]
pub enum Event {
    /// An alert, and the position behind it.
    Alert(String, Record),
    /// Nothing that the filter lets through up to this position.
    Nothing(String),
    /// The position to go on from is not there any longer: what came since cannot be told, and the
    /// list goes on with what is new from now.
    Lost,
}

/// New alerts, one after the other.
pub struct Tail {
    reader: Reader,
    filter: AlertFilter,
    position: Option<Place>,
    way: Option<Way>,
}

/// Where in the sequence of writes.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// A resume token.
    Change(String),
    /// A record's number.
    Record(i64),
}

enum Way {
    Changes(Box<ChangeStream<RawDocumentBuf>>),
    Rounds(Rounds),
}

/// What has been seen of a standalone server.
struct Rounds {
    /// The newest record of the last round: up to here nothing becomes visible later.
    settled: i64,
    last: Instant,
    /// Records that have to be fetched.
    pending: VecDeque<(i64, Bson)>,
    ready: VecDeque<Event>,
}

impl Place {
    fn to_text(&self) -> String {
        match self {
            Self::Change(token) => format!("c{token}"),
            Self::Record(number) => format!("r{number}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        let is_token = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
        match kind {
            "c" if is_token && rest.len() <= 1024 => Some(Self::Change(rest.to_owned())),
            "r" => rest
                .parse()
                .ok()
                .filter(|number| *number >= 0)
                .map(Self::Record),
            _ => None,
        }
    }
}

impl Reader {
    /// New alerts from now on, or from the position that an event before has carried.
    pub fn tail(&self, filter: &AlertFilter, from: Option<&str>) -> Result<Tail, InvalidPosition> {
        let position = match from {
            Some(text) => Some(Place::parse(text).ok_or(InvalidPosition)?),
            None => None,
        };
        Ok(Tail {
            reader: self.clone(),
            filter: filter.clone(),
            position,
            way: None,
        })
    }
}

/// The text is no position of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidPosition;

impl Tail {
    /// Connects, so that nothing is missed from now on; gives the position.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Settings`; `HistoryLost` if the position is too old.
    pub async fn open(&mut self) -> Result<String, Fault> {
        if self.way.is_none() {
            let database = self.reader.database().await?.clone();
            self.way = Some(match is_replicated(&database).await? {
                true => self.changes(&database).await?,
                false => self.rounds(&database).await?,
            });
        }
        Ok(self.place())
    }

    /// Waits for something new, a few seconds at most. Waits for MongoDB's return, too.
    ///
    /// # Errors
    ///
    /// `Settings`.
    pub async fn next(&mut self) -> Result<Event, Fault> {
        match self.try_next().await {
            Err(Fault::HistoryLost) => {
                self.way = None;
                self.position = None;
                Ok(Event::Lost)
            }
            Err(Fault::Unavailable(why)) => {
                log::warn!("stream: {why}");
                self.way = None;
                tokio::time::sleep(PAUSE).await;
                Ok(Event::Nothing(self.place()))
            }
            other => other,
        }
    }

    async fn try_next(&mut self) -> Result<Event, Fault> {
        self.open().await?;
        match self.way.take() {
            // It is put back only if all went well: a broken one is opened again.
            Some(Way::Changes(mut stream)) => {
                let event = self.next_change(&mut stream).await?;
                self.way = Some(Way::Changes(stream));
                Ok(event)
            }
            Some(Way::Rounds(mut rounds)) => {
                let event = self.next_record(&mut rounds).await?;
                self.way = Some(Way::Rounds(rounds));
                Ok(event)
            }
            None => Ok(Event::Nothing(self.place())),
        }
    }

    /// Empty before the first exchange with MongoDB.
    fn place(&self) -> String {
        self.position
            .as_ref()
            .map(Place::to_text)
            .unwrap_or_default()
    }

    async fn changes(&mut self, database: &Database) -> Result<Way, Fault> {
        let collection: Collection<RawDocumentBuf> = database.collection(alerts::NAME);
        let mut matched = vec![doc! { "operationType": "insert" }];
        let site = site::condition(self.filter.site.as_deref());
        matched.extend(
            site.into_iter()
                .map(|(name, condition)| doc! { format!("fullDocument.{name}"): condition }),
        );
        matched.extend(self.filter.whole("fullDocument."));
        let mut watch = collection
            .watch()
            .pipeline([doc! { "$match": { "$and": matched } }])
            .max_await_time(AWAIT);
        match &self.position {
            Some(Place::Change(token)) => watch = watch.resume_after(resume(token)?),
            // The server was a standalone one when the position was given.
            Some(Place::Record(_)) => return Err(Fault::HistoryLost),
            None => {}
        }
        let stream = answer(async { Ok(watch.await?) }).await?;
        let stream = stream.with_type::<RawDocumentBuf>();
        if let Some(token) = stream.resume_token().as_ref().and_then(token) {
            self.position = Some(Place::Change(token));
        }
        Ok(Way::Changes(Box::new(stream)))
    }

    async fn next_change(
        &mut self,
        stream: &mut ChangeStream<RawDocumentBuf>,
    ) -> Result<Event, Fault> {
        let next = async { Ok(stream.next_if_any().await?) };
        let event = answer(next).await?;
        if !stream.is_alive() {
            // The collection was dropped: the stream begins anew, at the same position.
            return Err(Fault::HistoryLost);
        }
        let position = match &event {
            Some(event) => event
                .get_document("_id")
                .ok()
                .and_then(|id| Some(id.get_str("_data").ok()?.to_owned())),
            None => stream.resume_token().as_ref().and_then(token),
        };
        if let Some(position) = position {
            self.position = Some(Place::Change(position));
        }
        let alert = event
            .as_ref()
            .and_then(|event| event.get_document("fullDocument").ok());
        Ok(match alert {
            Some(alert) => Event::Alert(self.place(), Record(alert.to_owned())),
            None => Event::Nothing(self.place()),
        })
    }

    async fn rounds(&mut self, database: &Database) -> Result<Way, Fault> {
        let newest = newest(database).await?;
        let settled = match self.position {
            Some(Place::Record(number)) if number > newest => return Err(Fault::HistoryLost),
            Some(Place::Record(_)) => newest,
            Some(Place::Change(_)) => return Err(Fault::HistoryLost),
            None => {
                self.position = Some(Place::Record(newest));
                newest
            }
        };
        Ok(Way::Rounds(Rounds {
            settled,
            last: Instant::now(),
            pending: VecDeque::new(),
            ready: VecDeque::new(),
        }))
    }

    async fn next_record(&mut self, rounds: &mut Rounds) -> Result<Event, Fault> {
        if rounds.ready.is_empty() && rounds.pending.is_empty() {
            tokio::time::sleep(ROUND.saturating_sub(rounds.last.elapsed())).await;
            rounds.last = Instant::now();
            self.round(rounds).await?;
        }
        if rounds.ready.is_empty() && !rounds.pending.is_empty() {
            let count = rounds.pending.len().min(FETCHED);
            let part: Vec<_> = rounds.pending.drain(..count).collect();
            let events = self.fetch(&part).await?;
            rounds.ready.extend(events);
        }
        let event = rounds.ready.pop_front();
        if let Some(Event::Alert(place, _) | Event::Nothing(place)) = &event {
            self.position = Place::parse(place);
        }
        Ok(event.unwrap_or_else(|| Event::Nothing(self.place())))
    }

    async fn round(&mut self, rounds: &mut Rounds) -> Result<(), Fault> {
        let Some(Place::Record(from)) = self.position else {
            return Err(Fault::HistoryLost);
        };
        let database = self.reader.database().await?;
        let (newest, records) = behind(database, from, rounds.settled).await?;
        rounds.settled = newest;
        rounds.pending.extend(records);
        Ok(())
    }

    /// Those of the records that the filter lets through, and the position behind all of them.
    async fn fetch(&mut self, part: &[(i64, Bson)]) -> Result<Vec<Event>, Fault> {
        let collection = self.reader.collection(alerts::NAME).await?;
        let ids: Vec<Bson> = part.iter().map(|(_, id)| id.clone()).collect();
        let mut conditions = vec![
            doc! { "_id": { "$in": ids } },
            site::condition(self.filter.site.as_deref()),
        ];
        conditions.extend(self.filter.whole(""));
        let find = collection.find(doc! { "$and": conditions });
        let found = answer(async { Ok(alerts::all(find).await?) }).await?;
        let mut by_id: HashMap<String, RawDocumentBuf> = HashMap::new();
        for document in found {
            let id: Option<Bson> = document
                .get("_id")
                .ok()
                .flatten()
                .and_then(|id| id.try_into().ok());
            by_id.insert(id.unwrap_or(Bson::Null).to_string(), document);
        }
        let mut events = Vec::new();
        for (number, id) in part {
            if let Some(document) = by_id.remove(&id.to_string()) {
                events.push(Event::Alert(
                    Place::Record(*number).to_text(),
                    Record(document),
                ));
            }
        }
        if let Some((number, _)) = part.last() {
            events.push(Event::Nothing(Place::Record(*number).to_text()));
        }
        Ok(events)
    }
}

async fn is_replicated(database: &Database) -> Result<bool, Fault> {
    let hello = answer(async { Ok(database.run_command(doc! { "hello": 1 }).await?) }).await?;
    Ok(hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"))
}

async fn newest(database: &Database) -> Result<i64, Fault> {
    let collection: Collection<Document> = database.collection(alerts::NAME);
    let find = collection
        .find_one(doc! {})
        .sort(doc! { "$natural": -1 })
        .projection(doc! { "_id": 1 })
        .show_record_id(true);
    let found = answer(async { Ok(find.await?) }).await?;
    Ok(found.map_or(0, |found| found.get_i64("$recordId").unwrap_or(0)))
}

/// The newest record, and those behind `from` up to `settled`, oldest first.
async fn behind(
    database: &Database,
    from: i64,
    settled: i64,
) -> Result<(i64, Vec<(i64, Bson)>), Fault> {
    let collection: Collection<RawDocumentBuf> = database.collection(alerts::NAME);
    let find = collection
        .find(doc! {})
        .sort(doc! { "$natural": -1 })
        .projection(doc! { "_id": 1 })
        .show_record_id(true)
        .batch_size(500);
    let mut cursor = answer(async { Ok(find.await?) }).await?;
    let (mut newest, mut records) = (from, Vec::new());
    while answer(async { Ok(cursor.advance().await?) }).await? {
        let record = cursor.current();
        let number = record.get_i64("$recordId").unwrap_or(0);
        newest = newest.max(number);
        if number <= from {
            break;
        }
        if number <= settled
            && let Ok(Some(id)) = record.get("_id")
            && let Ok(id) = Bson::try_from(id)
        {
            records.push((number, id));
        }
        if records.len() > CAUGHT_UP {
            return Err(Fault::HistoryLost);
        }
    }
    records.reverse();
    Ok((newest, records))
}

fn token(token: &ResumeToken) -> Option<String> {
    let token = mongodb::bson::serialize_to_document(token).ok()?;
    token.get_str("_data").ok().map(str::to_owned)
}

fn resume(token: &str) -> Result<ResumeToken, Fault> {
    let token = doc! { "_data": token };
    mongodb::bson::deserialize_from_document(token).map_err(|_| Fault::HistoryLost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_as_it_was_given() {
        for place in [Place::Change("82A0".to_owned()), Place::Record(17)] {
            assert_eq!(Place::parse(&place.to_text()), Some(place));
        }
        for text in ["", "c", "r", "r-1", "x1", "cXY", "é"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
