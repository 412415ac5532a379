//! How far a list reads at a time: to its end where everything that is read is returned, in growing
//! steps where keys are passed over, in small ones where documents are.

use std::time::Duration;

use mongodb::bson::{Bson, doc};

use super::order::value;
use super::{Front, Listing, Stage};
use crate::store::reader::plan::Pace;
use crate::store::reader::position::Part;
use crate::store::reader::source::{Ask, Source};
use crate::store::reader::{Fault, Position, and};

/// How long one page may pass over keys, or look for a text.
const SEARCH: Duration = Duration::from_millis(1500);

/// How far the next step goes.
enum Step {
    /// To the far end.
    All,
    /// So many keys.
    Keys(u64),
    /// The page has read enough.
    None,
}

impl Listing {
    /// Opens the next step, or ends the page if it has read enough.
    pub(super) async fn step(&mut self) -> Result<(), Fault> {
        if self.steps == 1 && self.is_over_by_another_index().await? {
            self.stage = Stage::BeforeTail;
            return Ok(());
        }
        let end = match self.size_of_step() {
            Step::All => None,
            Step::Keys(size) => self.end_of_step(size).await?,
            Step::None => {
                self.stage = Stage::Paused;
                return Ok(());
            }
        };
        self.steps += 1;
        let mut filter = self.plan.all();
        and(&mut filter, self.bounds(end.as_ref()));
        let ask = Ask {
            filter,
            sort: self.order(),
            projection: self.projection.clone(),
            index: self.plan.index,
            wanted: self.left(),
            ..Ask::default()
        };
        let source = Source::open(&self.collection, ask).await?;
        self.stage = Stage::Reading(source, end);
        Ok(())
    }

    fn size_of_step(&mut self) -> Step {
        // A list without a limit is read to its end in one go.
        if self.limit.is_none() {
            return Step::All;
        }
        let late = self.steps > 0 && self.started.elapsed() > SEARCH;
        let growing = |first: u64, most: u64| (first << (2 * self.steps).min(16)).min(most);
        match self.plan.pace {
            Pace::Exact => Step::All,
            Pace::Keys | Pace::Text if late => Step::None,
            Pace::Keys => Step::Keys(growing(1000, 50_000)),
            Pace::Text => Step::Keys(growing(500, 4000)),
            Pace::Documents => {
                let left = (2 * self.given + 90).saturating_sub(self.passed);
                let size = left.min(90);
                self.passed += size;
                if size < 10 {
                    Step::None
                } else {
                    Step::Keys(size)
                }
            }
        }
    }

    /// The value so many keys from the front: read from the index alone.
    async fn end_of_step(&mut self, size: u64) -> Result<Option<Bson>, Fault> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let mut filter = self.plan.prefix.clone();
        and(&mut filter, self.bounds(None));
        let ask = Ask {
            filter,
            sort: self.order(),
            projection: Some(doc! { "_id": 0, key.field: 1 }),
            index: self.plan.index,
            wanted: Some(1),
            skip: size - 1,
            is_limited: true,
        };
        let found = Source::open(&self.collection, ask).await?.next().await?;
        Ok(found.and_then(|found| value(&found, key.field)))
    }

    /// A step is over: the next one, or the documents without the key.
    pub(super) fn ended(&mut self, end: Option<Bson>) {
        self.stage = match end {
            Some(end) => {
                self.position = Some(Position {
                    part: Part::Main,
                    key: end.clone(),
                    id: None,
                });
                self.front = Front::Past(end);
                Stage::Between
            }
            None => Stage::BeforeTail,
        };
    }
}
