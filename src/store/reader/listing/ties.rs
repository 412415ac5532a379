//! Documents of one value: few are put into the order of `_id` here, many by MongoDB.

use mongodb::bson::{Bson, RawDocumentBuf, doc};

use super::order::id;
use super::{Front, Listing, Stage};
use crate::store::reader::Fault;
use crate::store::reader::position::Part;
use crate::store::reader::source::{Ask, Source};

impl Listing {
    pub(super) fn take(&mut self, mut ties: Vec<RawDocumentBuf>, of: &Bson) {
        ties.sort_by(|a, b| self.in_order(id(a).as_ref(), id(b).as_ref()));
        let after = self.after_in(Part::Main, of);
        let is_new = |document: &RawDocumentBuf| match (&after, id(document)) {
            (Some(after), Some(id)) => self.in_order(Some(&id), Some(after)).is_gt(),
            _ => true,
        };
        let new: Vec<_> = ties.into_iter().filter(is_new).collect();
        self.ready.extend(new);
    }

    /// The document that the page before ended with, if it has this value.
    pub(super) fn after_in(&self, part: Part, of: &Bson) -> Option<Bson> {
        let after = self.after.as_ref();
        let after = after.filter(|after| after.part == part && after.key == *of)?;
        after.id.clone()
    }

    pub(super) async fn open_ties(&mut self, of: Bson, end: Option<Bson>) -> Result<(), Fault> {
        let Some(key) = &self.key else { return Ok(()) };
        let mut filter = self.plan.all();
        filter.insert(key.field, of.clone());
        if let Some(id) = self.after_in(Part::Main, &of) {
            filter.insert(
                "$expr",
                doc! { self.beyond(): ["$_id", { "$literal": id }] },
            );
        }
        let ask = Ask {
            filter,
            sort: doc! { "_id": self.direction() },
            projection: self.projection.clone(),
            index: self.plan.index,
            wanted: self.left().map(|left| left.saturating_add(1)),
            is_limited: true,
            ..Ask::default()
        };
        let source = Source::open(&self.collection, ask).await?;
        self.stage = Stage::Ties(source, of, end);
        Ok(())
    }

    pub(super) async fn read_ties(
        &mut self,
        mut source: Source,
        of: Bson,
        end: Option<Bson>,
    ) -> Result<(), Fault> {
        if let Some(next) = source.next().await? {
            self.ready.push_back(next);
            self.stage = Stage::Ties(source, of, end);
        } else if end.as_ref() == Some(&of) {
            self.ended(end);
        } else {
            self.front = Front::Past(of);
            self.stage = Stage::Between;
        }
        Ok(())
    }
}
