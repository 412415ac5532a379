//! `serve`: the resident service, made from the settings.

use std::path::Path;

use anyhow::Result;

use super::collect::{self, Wanted};
use super::{Format, status};
use crate::config::{Fault, Files, Settings};
use crate::home::Home;
use crate::serve::{self, Parts, Periodic};
use crate::store;

/// Serves until it is asked to stop; `listen` counts before the settings.
///
/// # Errors
///
/// Settings, a port that is taken, a file that cannot be read.
pub fn run(listen: Option<&str>, config: Option<&Path>, home: &Home) -> Result<u8> {
    let files = Files::find(config, home);
    // Before they are read: whoever changes them afterwards has files with another key.
    let key = files.settled_key();
    let settings = &files.load()?.settings;
    let key = key.filter(|_| settings.are_in_the_files());
    home.enter()?;
    let mut serve = settings.serve.clone();
    if let Some(address) = listen {
        serve
            .listen_on(address)
            .map_err(|why| Fault(format!("--listen: {why}")))?;
    }
    let destination = settings.store.destination();
    let destination = destination.map_err(|error| fault(&error))?;
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
        relay_keys: [settings.relay_key(&destination)]
            .into_iter()
            .chain(key)
            .collect(),
        periodic: periodic(settings, home)?,
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

/// The collection inside the service, if `collect.every` asks for it.
fn periodic(settings: &Settings, home: &Home) -> Result<Option<Periodic>, Fault> {
    let Some(every) = settings.collect.every else {
        return Ok(None);
    };
    if settings.managers().is_empty() {
        let why = "collect.every is set, but not wazuh_api.url: whose inventory?";
        return Err(Fault(why.to_owned()));
    }
    let (settings, home) = (settings.clone(), home.clone());
    let work = move || {
        // What is missing it has said itself, and the next run goes on with it.
        if let Err(error) = collect::run(&Wanted::usual(), &settings, &home, Format::Quiet) {
            log::error!("the inventory is not collected: {error:#}; it is tried again");
        }
    };
    Ok(Some(Periodic {
        every: every.0,
        work: Box::new(work),
    }))
}
