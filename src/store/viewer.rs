//! The reader for a program that waits: a command asks one question after the other.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::reader::{Fault, no_answer};
use super::{Reader, Settings, connect};

/// A reader with a runtime of its own. The driver rests between two questions.
pub struct Viewer {
    /// Always there until the drop.
    runtime: Option<Runtime>,
    reader: Reader,
}

impl Viewer {
    /// Connects to nothing yet; later the search for a server takes at most so long.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the system gives no runtime.
    pub fn open(settings: &Settings, connect: Duration) -> Result<Self, Fault> {
        Ok(Self {
            runtime: Some(connect::runtime()?),
            reader: Reader::hurried(settings, connect),
        })
    }

    /// What questions are asked of.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Waits for the answer, at most for so long.
    ///
    /// # Errors
    ///
    /// The question's, and `Unavailable` when the time is over.
    pub fn wait<T>(
        &self,
        within: Duration,
        question: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let limited = async { tokio::time::timeout(within, question).await };
        match &self.runtime {
            Some(runtime) => runtime
                .block_on(limited)
                .unwrap_or_else(|_| Err(no_answer(within))),
            None => Err(Fault::Unavailable("the connection is closed".to_owned())),
        }
    }
}

impl Drop for Viewer {
    /// Does not wait for a name server that may still be asked on a thread of its own.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
