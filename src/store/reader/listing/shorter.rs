//! When the first step has not filled the page, the question's other indexes are looked at: one of
//! them may hold next to nothing (an agent that nobody has, a level that never came), and then
//! passing over the keys of the first one would find no more, however long it took.

use super::{Listing, Pace};
use crate::store::reader::plan::{self, Plan};
use crate::store::reader::{Fault, and};

/// So many documents are read to the last one rather than passed over in another index.
const FEW: u64 = 40;

impl Listing {
    /// Goes on along the first other index that has few keys left; whether one has none, which ends
    /// the list.
    pub(super) async fn is_over_by_another_index(&mut self) -> Result<bool, Fault> {
        for other in std::mem::take(&mut self.plan.others) {
            match self.keys_left(&other).await? {
                0 => return Ok(true),
                1..=FEW => {
                    self.plan = Plan {
                        pace: Pace::Exact,
                        ..other
                    };
                    return Ok(false);
                }
                _ => {}
            }
        }
        Ok(false)
    }

    fn keys_left(&self, other: &Plan) -> impl Future<Output = Result<u64, Fault>> + Send + use<> {
        let (index, mut query) = (other.index, other.prefix.clone());
        and(&mut query, self.bounds(None));
        let database = self.collection.database.clone();
        async move { plan::keys(&database, query, index, FEW + 1).await }
    }
}
