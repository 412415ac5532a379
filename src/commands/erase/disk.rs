//! What this host keeps beside MongoDB: the spool, dead letters, and Wazuh's own files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::alert::enrich::{Receipt, Source};
use crate::config::Settings;
use crate::delivery::{self, DrainError, Limits, UNASSIGNED};
use crate::home::Home;
use crate::spool::{self, DeadEntry, Drain, Spool, destinations};
use crate::store::Store;

/// How long others may work on the spool, and how often that is looked at.
const OTHERS: Duration = Duration::from_secs(15);
const GLANCE: Duration = Duration::from_millis(100);

/// What lies on this host's disk.
pub(super) struct Disk<'a> {
    settings: &'a Settings,
    home: &'a Home,
}

/// How a dead letter arrived.
pub(super) fn receipt(letter: &DeadEntry) -> Receipt<'_> {
    Receipt {
        received_at: letter.received_at_ms,
        source: Source::of_code(letter.source),
        options: &letter.options,
    }
}

impl<'a> Disk<'a> {
    pub(super) fn new(settings: &'a Settings, home: &'a Home) -> Self {
        Self { settings, home }
    }

    fn spool(&self, destination: &str) -> Spool {
        Spool::new(self.home.state(), destination, &self.settings.spool)
    }

    fn ours(&self) -> Result<Vec<Spool>> {
        let current = self.settings.store.destination()?;
        let there = destinations(self.home.state())?;
        let ours = [current.as_str(), UNASSIGNED].into_iter();
        let ours = ours.filter(|name| there.iter().any(|there| there == name));
        Ok(ours.map(|name| self.spool(name)).collect())
    }

    /// Brings what waits for this MongoDB into it; says how many alerts that were.
    pub(super) fn drain(&self, store: &Store) -> Result<u64> {
        let mut enricher = self.settings.enricher()?;
        let filter = self.settings.filter();
        let mut count = 0;
        let begun = Instant::now();
        for spool in self.ours()? {
            loop {
                let limits = Limits::unhurried();
                match delivery::drain_all(&spool, store, &mut enricher, &filter, &limits) {
                    Ok(drained) => {
                        count += drained.stored + drained.already_there;
                        break;
                    }
                    // `serve` does the same.
                    Err(DrainError::Busy(_)) if begun.elapsed() < OTHERS => {
                        std::thread::sleep(GLANCE);
                    }
                    Err(error) => bail!(
                        "the spool has to be empty first, since it may hold what shall be erased: {error}"
                    ),
                }
            }
        }
        Ok(count)
    }

    /// Takes the bytes of delivered alerts off the disk. False if somebody writes there now.
    pub(super) fn forget(&self) -> Result<bool> {
        let begun = Instant::now();
        for spool in self.ours()? {
            loop {
                let drain = spool.drain()?;
                if drain.map_or(Ok(false), Drain::forget)? {
                    break;
                }
                if begun.elapsed() > OTHERS {
                    return Ok(false);
                }
                std::thread::sleep(GLANCE);
            }
        }
        Ok(true)
    }

    /// All dead letters of this host.
    pub(super) fn dead_letters(&self) -> Result<Vec<(Spool, String)>> {
        let mut letters = Vec::new();
        for destination in destinations(self.home.state())? {
            let spool = self.spool(&destination);
            let found = spool.dead()?;
            letters.extend(found.into_iter().map(|letter| (spool.clone(), letter.id)));
        }
        Ok(letters)
    }

    /// How many alerts wait, in whichever spool: they have not been searched.
    pub(super) fn waiting(&self) -> Result<u64, spool::Error> {
        let mut waiting = 0;
        for destination in destinations(self.home.state())? {
            waiting += self.spool(&destination).status()?.pending;
        }
        Ok(waiting)
    }
}

/// Files of Wazuh's that hold the alerts of these days (`2025-06-02`).
pub(super) fn wazuh_files(wazuh: &Path, days: &BTreeSet<String>) -> Vec<PathBuf> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut files = Vec::new();
    for day in days {
        let mut parts = day.split('-');
        let (Some(year), Some(month), Some(day)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let month = month
            .parse::<usize>()
            .ok()
            .and_then(|month| MONTHS.get(month.checked_sub(1)?));
        let Some(month) = month else { continue };
        for (folder, name) in [("alerts", "ossec-alerts"), ("archives", "ossec-archive")] {
            let folder = wazuh.join("logs").join(folder).join(year).join(month);
            let begin = format!("{name}-{day}");
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let named =
                entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&begin));
            files.extend(named.map(|entry| entry.path()));
        }
    }
    files.sort_unstable();
    files
}
