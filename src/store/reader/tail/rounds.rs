//! A standalone server, asked again and again for what lies behind the last record.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use mongodb::Database;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

use super::{Event, Place, Tail, Way};
use crate::store::reader::{Fault, Record, answer, site};
use crate::store::{alerts, command};

/// How often a standalone server is asked. A record is given out one round after it was first seen:
/// two writers may become visible in another order than that of their numbers.
const ROUND: Duration = Duration::from_millis(300);
/// More records than this are not caught up with: 24 bytes each.
const CAUGHT_UP: usize = 50_000;
/// Documents that are fetched together.
const FETCHED: usize = 100;

/// What has been seen of a standalone server.
pub(super) struct Rounds {
    /// The newest record of the last round: up to here nothing becomes visible later.
    settled: i64,
    last: Instant,
    /// Records that have to be fetched.
    pending: VecDeque<(i64, Bson)>,
    ready: VecDeque<Event>,
}

impl Tail {
    pub(super) async fn rounds(&mut self, database: &Database) -> Result<Way, Fault> {
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

    pub(super) async fn next_record(&mut self, rounds: &mut Rounds) -> Result<Event, Fault> {
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
        // Mostly there is nothing new, and one document says so.
        if newest(database).await? <= from {
            rounds.settled = from;
            return Ok(());
        }
        let (newest, records) = behind(database, from, rounds.settled).await?;
        rounds.settled = newest;
        rounds.pending.extend(records);
        Ok(())
    }

    /// Those of the records that the filter lets through, and the position behind all of them.
    async fn fetch(&mut self, part: &[(i64, Bson)]) -> Result<Vec<Event>, Fault> {
        let database = self.reader.database().await?;
        let ids: Vec<Bson> = part.iter().map(|(_, id)| id.clone()).collect();
        let mut conditions = vec![
            doc! { "_id": { "$in": ids } },
            site::condition(self.filter.site.as_deref()),
        ];
        conditions.extend(self.filter.whole(""));
        let find = doc! { "find": alerts::NAME, "filter": { "$and": conditions } };
        let found = answer(async { Ok(command::all(database, find).await?) }).await?;
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

async fn newest(database: &Database) -> Result<i64, Fault> {
    let newest = newest_first();
    let found = answer(async { Ok(command::one(database, newest).await?) }).await?;
    Ok(found.map_or(0, |found| found.get_i64("$recordId").unwrap_or(0)))
}

fn newest_first() -> Document {
    doc! {
        "find": alerts::NAME, "sort": { "$natural": -1 }, "projection": { "_id": 1 },
        "showRecordId": true,
    }
}

/// The newest record, and those behind `from` up to `settled`, oldest first.
async fn behind(
    database: &Database,
    from: i64,
    settled: i64,
) -> Result<(i64, Vec<(i64, Bson)>), Fault> {
    let mut find = newest_first();
    find.insert("batchSize", 500);
    let mut cursor = answer(async { Ok(command::query(database, find).await?) }).await?;
    let (mut newest, mut records) = (from, Vec::new());
    while let Some(record) = answer(async { Ok(cursor.next().await?) }).await? {
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
