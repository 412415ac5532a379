//! Which file comes next: the one that a checkpoint stands in, whatever it is called by now; the one
//! behind a file that is over.

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::current::{Current, Opened};
use super::dated::Day;
use super::error::{Error, Result};
use super::listing::{self, Entry, Listing};

/// How often files are listed anew when they move while they are opened.
const ATTEMPTS: usize = 16;
/// A file's day may differ by one from its last change's day in UTC, and it may be written to until
/// shortly after its day.
const MARGIN: i64 = 2;

/// What a search found.
#[derive(Debug)]
pub(super) enum Search {
    /// The file that was looked for, from the place on.
    Same(Current),
    /// It is gone: the oldest file that is newer, from its beginning.
    Newer(Current),
    /// There is nothing to read yet.
    Nothing,
}

/// One try with one listing.
enum Try<T> {
    Found(T),
    Nothing,
    /// A listed file is no longer there: the listing is out of date.
    Stale,
}

/// Finds the place of a checkpoint.
pub(super) fn find(live: &Path, place: &Checkpoint) -> Result<Search> {
    let found = with_listing(live, place, |listing| {
        match same(listing, place)? {
            Try::Found(current) => return Ok(Try::Found(Search::Same(current))),
            Try::Stale => return Ok(Try::Stale),
            Try::Nothing => {}
        }
        let newer = listing.older.iter().filter(|entry| is_newer(entry, place));
        first(newer, listing).map(|found| found.map(Search::Newer))
    })?;
    Ok(found.unwrap_or(Search::Nothing))
}

/// Finds what follows the file of a place, which was read up to `position`: `Same` is a copy of it
/// that goes on, `Newer` the next file. `Nothing` while it is the live one, or nothing follows yet.
pub(super) fn after(live: &Path, place: &Checkpoint, position: u64) -> Result<Search> {
    let found = with_listing(live, place, |listing| {
        let is_place = |entry: &Entry| is_inode(entry, place);
        if listing.live.as_ref().is_some_and(is_place) {
            return Ok(Try::Nothing);
        }
        match fuller(listing, place, position)? {
            Try::Nothing => next(listing, place).map(|found| found.map(Search::Newer)),
            found => Ok(found.map(Search::Same)),
        }
    })?;
    Ok(found.unwrap_or(Search::Nothing))
}

/// The next file behind the place's.
fn next(listing: &Listing, place: &Checkpoint) -> Result<Try<Current>> {
    let older = &listing.older;
    if let Some(index) = position(listing, place) {
        return first_other(older.iter().skip(index + 1), listing, place);
    }
    // Also a file of the same dated name: it holds something else by now.
    let newer = |entry: &&Entry| is_newer(entry, place);
    first_other(older.iter().filter(newer), listing, place)
}

fn with_listing<T>(
    live: &Path,
    place: &Checkpoint,
    mut attempt: impl FnMut(&Listing) -> Result<Try<T>>,
) -> Result<Option<T>> {
    let changed = Day::of(place.changed());
    let since = place.key().map_or(changed, |key| key.day.min(changed));
    let since = since.plus(-MARGIN);
    for _ in 0..ATTEMPTS {
        let Some(listing) = listing::list(live, since)? else {
            return Ok(None);
        };
        match attempt(&listing)? {
            Try::Found(found) => return Ok(Some(found)),
            Try::Nothing => return Ok(None),
            Try::Stale => {}
        }
    }
    Ok(None)
}

/// The file of the place: by inode and beginning, else by beginning alone. Of a file that was empty
/// or had no more than begun nothing is known: its inode may be another file's by now.
fn same(listing: &Listing, place: &Checkpoint) -> Result<Try<Current>> {
    if place.is_unknown() {
        return Ok(Try::Nothing);
    }
    let mut entries: Vec<&Entry> = listing.older.iter().chain(&listing.live).collect();
    entries.retain(|entry| is_plausible(entry, place));
    let is_live = |entry: &Entry| entry.path == Path::new(&place.file);
    // The least is tried first. A live file that continues is better than a copy beside it.
    entries.sort_by_key(|entry| {
        let inode = is_inode(entry, place);
        (!inode, entry.gzip, !is_key(entry, place), !is_live(entry))
    });
    for entry in entries {
        let opened = match Opened::open(entry) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(Try::Stale),
            Err(error) if is_inode(entry, place) || is_key(entry, place) => return Err(error),
            Err(error) => {
                pass_over(&error);
                continue;
            }
        };
        if opened.continues(&place.beginning, place.offset) {
            return opened.at(place.offset).map(Try::Found);
        }
    }
    Ok(Try::Nothing)
}

/// A copy of the place's file that holds more: what replaced it, or what was left beside it.
fn fuller(listing: &Listing, place: &Checkpoint, position: u64) -> Result<Try<Current>> {
    let is_live = |entry: &Entry| {
        listing
            .live
            .as_ref()
            .is_some_and(|live| live.is_same_file(entry))
    };
    // How much a compressed copy holds is seen only by reading it: not while the file itself lies
    // there. A live copy that holds no more will.
    let gone = !listing.older.iter().any(|entry| is_inode(entry, place));
    let enough = |opened: &Opened, entry: &Entry| {
        is_live(entry) || (entry.gzip && gone) || opened.holds_more_than(position)
    };
    let may_be_copy = |entry: &&Entry| {
        let named_alike = is_key(entry, place) || (entry.dated.is_none() && !entry.gzip);
        !is_inode(entry, place) && (is_live(entry) || named_alike)
    };
    let all = listing.live.iter().chain(&listing.older);
    for entry in all.filter(may_be_copy) {
        match open_to_compare(entry) {
            Try::Found(opened) => {
                if enough(&opened, entry) && opened.continues(&place.beginning, place.offset) {
                    return opened.at(place.offset).map(Try::Found);
                }
            }
            Try::Stale => return Ok(Try::Stale),
            Try::Nothing => {}
        }
    }
    Ok(Try::Nothing)
}

/// Where in the listing the place's file stands, also when it was compressed meanwhile.
fn position(listing: &Listing, place: &Checkpoint) -> Option<usize> {
    let older = &listing.older;
    let known = older.iter().position(|entry| is_inode(entry, place));
    if known.is_some() {
        return known;
    }
    for (index, entry) in older.iter().enumerate() {
        if is_plausible(entry, place)
            && let Try::Found(opened) = open_to_compare(entry)
            && opened.continues(&place.beginning, 0)
        {
            return Some(index);
        }
    }
    None
}

/// The first of the files that holds anything and is no copy of the place's, the live one last.
fn first_other<'a>(
    older: impl Iterator<Item = &'a Entry>,
    listing: &'a Listing,
    place: &Checkpoint,
) -> Result<Try<Current>> {
    for entry in older {
        if entry.dated.is_none()
            && let Try::Found(opened) = open_to_compare(entry)
            && opened.continues(&place.beginning, 0)
        {
            continue;
        }
        if holds_anything(entry) {
            return from_beginning(entry);
        }
    }
    first(std::iter::empty(), listing)
}

/// The first of the files that holds anything, the live one last.
fn first<'a>(
    mut older: impl Iterator<Item = &'a Entry>,
    listing: &'a Listing,
) -> Result<Try<Current>> {
    let older = older.find(|entry| holds_anything(entry));
    // As long as the new live file is empty, a writer may still hold the old one.
    match older.or(listing.live.as_ref().filter(|live| holds_anything(live))) {
        Some(entry) => from_beginning(entry),
        None => Ok(Try::Nothing),
    }
}

fn from_beginning(entry: &Entry) -> Result<Try<Current>> {
    match Opened::open(entry)? {
        Some(opened) => opened.at(0).map(Try::Found),
        None => Ok(Try::Stale),
    }
}

/// Opens a file that is only compared. One that cannot be opened is passed over: if it should have
/// been read, its turn comes, and is an error.
fn open_to_compare(entry: &Entry) -> Try<Opened> {
    match Opened::open(entry) {
        Ok(Some(opened)) => Try::Found(opened),
        Ok(None) => Try::Stale,
        Err(error) => {
            pass_over(&error);
            Try::Nothing
        }
    }
}

fn pass_over(error: &Error) {
    log::info!("{error}; it is passed over in the search for the place reached before");
}

fn holds_anything(entry: &Entry) -> bool {
    entry.size > 0
}

/// Devices are not compared: their numbers change when a machine boots.
fn is_inode(entry: &Entry, place: &Checkpoint) -> bool {
    entry.inode == place.inode
}

fn is_key(entry: &Entry, place: &Checkpoint) -> bool {
    entry.key().is_some() && entry.key() == place.key()
}

/// May be the place's file, by its name.
fn is_plausible(entry: &Entry, place: &Checkpoint) -> bool {
    let day = Day::of(place.changed());
    let near = |key: super::dated::Key| (key.day.0 - day.0).abs() <= MARGIN;
    is_inode(entry, place) || entry.key().is_none_or(near)
}

/// Holds, by name or time, what was written after the place, or may.
fn is_newer(entry: &Entry, place: &Checkpoint) -> bool {
    match (entry.key(), place.key()) {
        (Some(key), Some(of_place)) => key >= of_place,
        (Some(key), None) if key.day > Day::of(place.changed()) => true,
        _ => entry.changed >= place.changed(),
    }
}

impl<T> Try<T> {
    fn map<U>(self, into: impl FnOnce(T) -> U) -> Try<U> {
        match self {
            Self::Found(found) => Try::Found(into(found)),
            Self::Nothing => Try::Nothing,
            Self::Stale => Try::Stale,
        }
    }
}
