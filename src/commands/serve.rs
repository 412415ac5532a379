//! `serve`: the resident service, made from the settings.

use anyhow::Result;

use super::status;
use crate::config::{Fault, Settings};
use crate::home::Home;
use crate::serve::{self, Parts};
use crate::store;

/// Serves until it is asked to stop; `listen` counts before the settings.
///
/// # Errors
///
/// Settings, a port that is taken, a file that cannot be read.
pub fn run(listen: Option<&str>, settings: &Settings, home: &Home) -> Result<u8> {
    home.enter()?;
    let mut serve = settings.serve.clone();
    if let Some(address) = listen {
        serve
            .listen_on(address)
            .map_err(|why| Fault(format!("--listen: {why}")))?;
    }
    let parts = Parts {
        serve,
        site: settings
            .site
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        store: settings.store.clone(),
        spool: settings.spool.clone(),
        delivery: settings.delivery.clone(),
        enricher: settings.enricher()?,
        filter: settings.filter(),
        home: home.clone(),
        relay_key: settings.relay_key(
            &settings
                .store
                .destination()
                .map_err(|error| fault(&error))?,
        ),
        periodic: None,
    };
    match serve::run(parts) {
        Ok(()) => Ok(status::DONE),
        Err(serve::Fault::Settings(why)) => Err(Fault(why).into()),
        Err(error @ serve::Fault::Start(_)) => Err(error.into()),
    }
}

fn fault(error: &store::Error) -> Fault {
    Fault(error.to_string())
}
