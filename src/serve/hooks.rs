//! The door for hooks on this host: opened when the service starts, closed before it stops.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Fault;
use super::app::App;
use super::relay_socket::RelaySocket;

/// The door for hooks, open.
pub(super) struct Hooks {
    socket: Arc<RelaySocket>,
    listening: JoinHandle<()>,
}

impl Hooks {
    /// Without the folder of the default place there is no Wazuh here, and nobody to listen to.
    pub(super) fn listen(app: &Arc<App>) -> Result<Option<Self>, Fault> {
        let Some(path) = &app.relay_path else {
            return Ok(None);
        };
        let is_here = path.parent().is_some_and(Path::is_dir);
        if app.settings.relay_socket.is_none() && !is_here {
            return Ok(None);
        }
        let socket = RelaySocket::bind(path).map_err(|error| Fault::Start(error.to_string()))?;
        let socket = Arc::new(socket);
        let (serving, app) = (Arc::clone(&socket), Arc::clone(app));
        let listening =
            tokio::spawn(async move { serving.serve(&app.ingest, app.relay_key).await });
        Ok(Some(Self { socket, listening }))
    }

    /// New hooks find nobody; those that have begun get their answers.
    pub(super) async fn close(self) {
        self.listening.abort();
        self.socket.remove();
        self.socket.finish().await;
    }
}
