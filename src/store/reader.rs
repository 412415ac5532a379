//! The way to read, for a runtime that lives longer than one question: made without a connection,
//! connects when it is first asked, and every question has a limit.

use std::future::Future;
use std::time::Duration;

use mongodb::bson::doc;
use mongodb::{Client, Database};
use tokio::sync::OnceCell;

use super::{Error, Settings, connect};

/// How long the driver may look for a server.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a question may take that only proves that somebody answers.
const PING: Duration = Duration::from_secs(1);

/// Reads what is stored. Only within a runtime that drives network and time.
pub struct Reader {
    settings: Settings,
    client: OnceCell<Client>,
}

impl Reader {
    /// Connects to nothing yet: MongoDB and even its name may be away.
    pub fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            client: OnceCell::new(),
        }
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    ///
    /// As `Store::open`.
    pub async fn ping(&self) -> Result<(), Error> {
        let question = async {
            let database = self.database().await?;
            let answer = database.run_command(doc! { "ping": 1 }).await;
            answer
                .map(drop)
                .map_err(|error| connect::refused(&error, &self.settings))
        };
        within(PING, question).await
    }

    /// Closes the connections.
    pub async fn close(&self) {
        if let Some(client) = self.client.get() {
            client.clone().shutdown().immediate(true).await;
        }
    }

    async fn database(&self) -> Result<Database, Error> {
        let client = self.client.get_or_try_init(|| async {
            let options = connect::options(&self.settings, CONNECT).await?;
            Client::with_options(options).map_err(|error| connect::refused(&error, &self.settings))
        });
        Ok(client.await?.database(&self.settings.database))
    }
}

/// At most so long: the driver itself waits for a frozen server without an end.
async fn within<T>(
    limit: Duration,
    question: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let limited = tokio::time::timeout(limit, question).await;
    limited.unwrap_or_else(|_| {
        let limit = limit.as_millis();
        let why = format!("MongoDB gave no answer within {limit} ms");
        Err(Error::Unavailable(why))
    })
}
