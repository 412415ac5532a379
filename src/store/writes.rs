//! Write commands: the bytes of one, and what its answer says of each document.

use mongodb::Database;
use mongodb::bson::{Document, RawDocumentBuf, serialize_to_vec};

use super::{Error, refusal};
use crate::alert::bson::{Writer, tag};

/// Documents or operations in one command; the server takes 100,000.
const ITEMS: usize = 1000;
/// Bytes in one command: the server takes a command as large as the largest document and 16 KiB.
const BYTES: usize = super::MAX_DOCUMENT;
/// What stands before each in the list: type, place, NUL.
const BEFORE_ITEM: usize = 8;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Insert,
    Update,
    Delete,
}

/// A document or an operation that the server did not take.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Its place in the command.
    pub(super) place: usize,
    pub(super) code: i32,
    /// What the server said, without the document's own text.
    pub(super) message: String,
}

impl Refusal {
    /// For people, in one line.
    pub(super) fn reason(&self) -> String {
        format!("{} ({})", refusal::one_line(&self.message), self.code)
    }
}

/// As many as one command takes; at least one.
pub(super) fn first<T: AsRef<[u8]>>(items: &[T]) -> &[T] {
    let mut bytes = 0;
    let fits = |item: &&T| {
        let is_first = bytes == 0;
        bytes += item.as_ref().len() + BEFORE_ITEM;
        is_first || bytes <= BYTES
    };
    let count = items.iter().take(ITEMS).take_while(fits).count();
    items.get(..count).unwrap_or(items)
}

/// The command, unordered, with the database's write concern.
pub(super) fn command<T: AsRef<[u8]>>(
    verb: Verb,
    database: &Database,
    collection: &str,
    items: &[T],
) -> Result<RawDocumentBuf, Error> {
    let (name, list) = match verb {
        Verb::Insert => ("insert", "documents"),
        Verb::Update => ("update", "updates"),
        Verb::Delete => ("delete", "deletes"),
    };
    let nonsense = |error: &dyn std::fmt::Display| Error::Rejected(error.to_string());
    let bytes = items.iter().map(|item| item.as_ref().len() + BEFORE_ITEM);
    let mut out = Writer::default();
    out.buffer().reserve_exact(bytes.sum::<usize>() + 512);
    let command = out.open();
    out.string(name, collection);
    out.key(tag::ARRAY, list.as_bytes());
    let array = out.open();
    for (index, item) in items.iter().enumerate() {
        out.key(tag::DOCUMENT, index.to_string().as_bytes());
        out.raw(item.as_ref());
    }
    out.close(array);
    out.key(tag::BOOL, b"ordered");
    out.raw(&[0]);
    if let Some(concern) = database.write_concern() {
        out.key(tag::DOCUMENT, b"writeConcern");
        out.raw(&serialize_to_vec(concern).map_err(|error| nonsense(&error))?);
    }
    out.close(command);
    let bytes = std::mem::take(out.buffer());
    RawDocumentBuf::from_bytes(bytes).map_err(|error| nonsense(&error))
}

/// What the server did not take.
///
/// # Errors
///
/// `Unavailable` if the rest is not known to be written for good, or one may be taken later.
pub(super) fn refusals(reply: &Document) -> Result<Vec<Refusal>, Error> {
    confirmed(reply)?;
    let Ok(errors) = reply.get_array("writeErrors") else {
        return Ok(Vec::new());
    };
    let errors = errors.iter().filter_map(|error| error.as_document());
    errors.map(refused).collect()
}

/// Whether a majority has what was written.
///
/// # Errors
///
/// `Unavailable` if not.
pub(super) fn confirmed(reply: &Document) -> Result<(), Error> {
    let Ok(error) = reply.get_document("writeConcernError") else {
        return Ok(());
    };
    let why = refusal::one_line(error.get_str("errmsg").unwrap_or_default());
    Err(Error::Unavailable(format!(
        "written, but not confirmed by a majority: {why}"
    )))
}

fn refused(error: &Document) -> Result<Refusal, Error> {
    // Behind ` dup key:` the server repeats the document's own text.
    let message = error.get_str("errmsg").unwrap_or_default();
    let message = message.split(" dup key:").next().unwrap_or_default();
    let place = error.get_i32("index").ok();
    let refusal = Refusal {
        place: place
            .and_then(|place| usize::try_from(place).ok())
            .unwrap_or_default(),
        code: error.get_i32("code").unwrap_or_default(),
        message: message.to_owned(),
    };
    if refusal::is_documents_fault(refusal.code) {
        Ok(refusal)
    } else {
        Err(Error::Unavailable(format!("MongoDB: {}", refusal.reason())))
    }
}
