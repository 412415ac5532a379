//! What a delivery comes to, and in which words.

use crate::alert::NotAnAlert;
use crate::filter::Refusal;
use crate::spool;

/// What became of an alert.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in MongoDB.
    Stored {
        /// It had been there before.
        already_there: bool,
    },
    /// It is durably on disk; the reason, if it was to go to MongoDB.
    Spooled(Option<String>),
    /// A filter took it: it is not stored, as the settings want it.
    Filtered(Refusal),
}

/// Why an alert is neither in MongoDB nor in the spool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no alert; where it was kept.
    #[error("{why}{}", kept(.dead))]
    NotAnAlert {
        /// What is wrong with it.
        why: NotAnAlert,
        /// The dead letter.
        dead: Kept,
    },
    /// MongoDB refused the document for good; where it was kept.
    #[error("MongoDB refused the alert: {why}{}", kept(.dead))]
    Rejected {
        /// In MongoDB's words.
        why: String,
        /// The dead letter.
        dead: Kept,
    },
    /// The settings are wrong; the alert is in the spool.
    #[error("{0}; the alert is in the spool")]
    Settings(String),
    /// Neither MongoDB nor the spool took it.
    #[error("the alert was refused: {spool}{}", tried(.store.as_ref()))]
    Refused {
        /// Why the spool did not.
        spool: spool::Error,
        /// Why MongoDB did not, if it was asked.
        store: Option<String>,
    },
}

/// A dead letter: its id, or why there is none.
#[derive(Debug)]
pub enum Kept {
    /// Its id.
    As(String),
    /// Nothing to keep.
    Nothing,
    /// It could not be written.
    Failed(spool::Error),
}

fn kept(dead: &Kept) -> String {
    match dead {
        Kept::As(id) => {
            format!("; kept as dead letter {id}, see custom-mongo spool dead show {id}")
        }
        Kept::Nothing => String::new(),
        Kept::Failed(error) => format!("; it could not be kept either: {error}"),
    }
}

fn tried(store: Option<&String>) -> String {
    store
        .as_ref()
        .map_or_else(String::new, |why| format!("; and MongoDB: {why}"))
}
