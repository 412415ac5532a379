//! A replica set, which tells of what is new by a change stream.

use std::time::Duration;

use mongodb::Database;
use mongodb::bson::{Document, RawDocument, doc};

use super::{Event, Place, Tail, Way};
use crate::store::cursor::Cursor;
use crate::store::reader::{Fault, Record, answer, site};
use crate::store::{alerts, command};

/// How long the server waits for something new.
const AWAIT: Duration = Duration::from_secs(2);

impl Tail {
    pub(super) async fn changes(&mut self, database: &Database) -> Result<Way, Fault> {
        let from = match &self.position {
            Some(Place::Change(token)) => doc! { "resumeAfter": { "_data": token } },
            // The server was a standalone one when the position was given.
            Some(Place::Record(_)) => return Err(Fault::HistoryLost),
            None => Document::new(),
        };
        let watch = doc! {
            "aggregate": alerts::NAME, "cursor": {},
            "pipeline": [{ "$changeStream": from }, { "$match": { "$and": self.wanted() } }],
        };
        let opened = async {
            let mut stream = command::watch(database, watch, AWAIT).await?;
            stream.fetch().await?;
            Ok(stream)
        };
        let stream = answer(opened).await?;
        if stream.is_empty() {
            self.moves_to(stream.token());
        }
        Ok(Way::Changes(Box::new(stream)))
    }

    /// As conditions on the events.
    fn wanted(&self) -> Vec<Document> {
        let mut wanted = vec![doc! { "operationType": "insert" }];
        let site = site::condition(self.filter.site.as_deref());
        wanted.extend(
            site.into_iter()
                .map(|(name, condition)| doc! { format!("fullDocument.{name}"): condition }),
        );
        wanted.extend(self.filter.whole("fullDocument."));
        wanted
    }

    pub(super) async fn next_change(&mut self, stream: &mut Cursor) -> Result<Event, Fault> {
        let mut event = stream.pop();
        if event.is_none() {
            let is_alive = answer(async { Ok(stream.fetch().await?) }).await?;
            if !is_alive {
                // The collection was dropped: the stream begins anew, at the same position.
                return Err(Fault::HistoryLost);
            }
            event = stream.pop();
        }
        let Some(event) = event else {
            self.moves_to(stream.token());
            return Ok(Event::Nothing(self.place()));
        };
        self.moves_to(token(&event));
        Ok(match event.get_document("fullDocument") {
            Ok(alert) => Event::Alert(self.place(), Record(alert.to_owned())),
            Err(_) => Event::Nothing(self.place()),
        })
    }

    fn moves_to(&mut self, token: Option<&str>) {
        if let Some(token) = token {
            self.position = Some(Place::Change(token.to_owned()));
        }
    }
}

fn token(event: &RawDocument) -> Option<&str> {
    event.get_document("_id").ok()?.get_str("_data").ok()
}
