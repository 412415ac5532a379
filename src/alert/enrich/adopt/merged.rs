//! Two documents of one alert become one: ours stays, and nothing that the other one had is lost.

use super::super::is_ours;
use super::keep;
use crate::alert::bson::{self, Writer, tag};

/// Where a copy of an alert leaves what the copy that stays says differently.
const OTHER_COPY: &str = "_before_migration";

/// The stored document of an alert (ours) with what the adopted copy of the same alert has beyond it;
/// none if it has nothing. What the two say differently is kept beside, for people to decide.
pub fn merged(stored: &[u8], adopted: &[u8]) -> Option<Vec<u8>> {
    let mut added = Writer::default();
    let mut other = Writer::default();
    let differing = other.open();
    for field in bson::elements(adopted) {
        if is_ours(field.name) && field.name != b"_original" {
            continue;
        }
        match bson::elements(stored).find(|there| there.name == field.name) {
            None => keep(field, &mut added),
            Some(there) if there.value == field.value && there.tag == field.tag => {}
            Some(_) => keep(field, &mut other),
        }
    }
    other.close(differing);
    let earlier = bson::find(stored, &[OTHER_COPY]).filter(|list| list.tag == tag::ARRAY);
    let copies = || {
        earlier
            .into_iter()
            .flat_map(|list| bson::elements(list.value))
    };
    let is_empty = bson::elements(other.bytes()).next().is_none();
    let is_known = is_empty || copies().any(|copy| copy.value == other.bytes());
    if added.len() == 0 && is_known {
        return None;
    }
    let mut out = Writer::default();
    let whole = out.open();
    for field in bson::elements(stored).filter(|field| field.name != OTHER_COPY.as_bytes()) {
        keep(field, &mut out);
    }
    out.raw(added.bytes());
    let new = (!is_known).then_some(other.bytes());
    let all: Vec<&[u8]> = copies().map(|copy| copy.value).chain(new).collect();
    if !all.is_empty() {
        out.key(tag::ARRAY, OTHER_COPY.as_bytes());
        let list = out.open();
        for (index, copy) in all.into_iter().enumerate() {
            out.key(tag::DOCUMENT, index.to_string().as_bytes());
            out.raw(copy);
        }
        out.close(list);
    }
    out.close(whole);
    Some(out.bytes().to_vec())
}
