//! A destination is a hash; the file `name` in its folder says to people which servers and which
//! database it stands for. Nothing is decided by it.

use std::path::Path;

use super::note;
use crate::spool::Spool;
use crate::store;

const FILE: &str = "name";

/// Writes the name if it is not there yet.
pub fn write(spool: &Spool, store: &store::Settings) {
    let path = spool.folder().join(FILE);
    if !path.exists() {
        let name = format!("{}, database {}", store.servers(), store.database);
        note::write(spool, &path, &name);
    }
}

/// The servers and the database of a destination, if they were written down.
pub fn destination_name(folder: &Path) -> Option<String> {
    std::fs::read_to_string(folder.join(FILE)).ok()
}
