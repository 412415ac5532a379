//! New alerts as they are stored. A replica set tells of them by a change stream. A standalone server
//! is asked again and again for what lies behind the last record: by MongoDB's own numbers for
//! records, since no time in an alert says when it was stored (one from the spool is older).
//!
//! A position is given out only when everything before it has been given out, so that whoever goes
//! on from it misses nothing and sees nothing twice. While MongoDB is away, its return is awaited.

mod changes;
mod rounds;

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::doc;

use super::filter::AlertFilter;
use super::{Fault, Reader, Record, answer};
use crate::store::command;
use crate::store::cursor::Cursor;
use rounds::Rounds;

const PAUSE: Duration = Duration::from_secs(1);

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
    away: Option<String>,
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
    Changes(Box<Cursor>),
    Rounds(Rounds),
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
            position,
            ..self.tail_from_now(filter)
        })
    }

    pub(super) fn tail_from_now(&self, filter: &AlertFilter) -> Tail {
        Tail {
            reader: self.clone(),
            filter: filter.clone(),
            position: None,
            way: None,
            away: None,
        }
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
            let way = if is_replicated(&database).await? {
                self.changes(&database).await?
            } else {
                self.rounds(&database).await?
            };
            self.way = Some(way);
        }
        Ok(self.place())
    }

    /// Waits for something new, a few seconds at most. Waits for MongoDB's return, too.
    ///
    /// # Errors
    ///
    /// `Settings`.
    pub async fn next(&mut self) -> Result<Event, Fault> {
        let next = self.try_next().await;
        self.away = match &next {
            Err(Fault::Unavailable(why)) => Some(why.clone()),
            _ => None,
        };
        match next {
            Err(Fault::HistoryLost) => {
                self.way = None;
                self.position = None;
                Ok(Event::Lost)
            }
            Err(Fault::Unavailable(why)) => {
                log::warn!("stream: {why}");
                self.way = None;
                rest().await;
                Ok(Event::Nothing(self.place()))
            }
            other => other,
        }
    }

    /// Why MongoDB could not be asked the last time; none if it was.
    pub fn away(&self) -> Option<&str> {
        self.away.as_deref()
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
}

/// The pause before MongoDB is asked again.
pub(super) async fn rest() {
    tokio::time::sleep(PAUSE).await;
}

async fn is_replicated(database: &Database) -> Result<bool, Fault> {
    let hello = doc! { "hello": 1 };
    let hello = answer(async { Ok(command::run(database, hello).await?) }).await?;
    Ok(hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"))
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
