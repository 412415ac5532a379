//! Batches of alerts into MongoDB from an async program that goes on for long: one connection pool,
//! made anew after a failure, since a password may have changed and a server moved.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Batch, Error, Indexes, Retries, Settings, Written, alerts, connect, indexes};

/// Writes batches; every call has a limit that holds whatever the server does.
#[derive(Debug)]
pub struct Writer {
    settings: Settings,
    within: Duration,
    client: Mutex<Option<mongodb::Client>>,
}

impl Writer {
    /// Asks nothing and connects nowhere; a batch has `within` from its first byte to the answer.
    #[must_use]
    pub fn new(settings: &Settings, within: Duration) -> Self {
        Self {
            settings: settings.clone(),
            within,
            client: Mutex::new(None),
        }
    }

    /// Inserts the batch, unordered, with write concern majority and journal. One answer for each
    /// document, in their order.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it is not known that all were decided; then any of them may be there.
    /// `Settings` if no connection can be made of them.
    pub async fn write(&self, batch: &Batch) -> Result<Vec<Written>, Error> {
        self.limited(async |database| {
            let all: Vec<usize> = (0..batch.len()).collect();
            let mut written = vec![Written::New; batch.len()];
            alerts::insert_batch(&database, batch, &all, &mut written, Retries::Here).await?;
            Ok(written)
        })
        .await
    }

    /// Creates the alerts' indexes that are missing; on a large collection MongoDB goes on with that
    /// when the limit is over.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub async fn create_indexes(&self) -> Result<Indexes, Error> {
        self.limited(indexes::create).await
    }

    async fn limited<T>(
        &self,
        work: impl AsyncFnOnce(mongodb::Database) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let whole = async { work(self.client().await?.database(&self.settings.database)).await };
        let done = tokio::time::timeout(self.within, whole).await;
        let done = done.unwrap_or_else(|_| {
            let millis = self.within.as_millis();
            let why = format!("MongoDB gave no answer within {millis} ms");
            Err(Error::Unavailable(why))
        });
        if matches!(done, Err(Error::Unavailable(_))) {
            *self.lock() = None;
        }
        done
    }

    async fn client(&self) -> Result<mongodb::Client, Error> {
        if let Some(client) = self.lock().clone() {
            return Ok(client);
        }
        let client = connect::client(&self.settings, self.within).await?;
        *self.lock() = Some(client.clone());
        Ok(client)
    }

    fn lock(&self) -> MutexGuard<'_, Option<mongodb::Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
