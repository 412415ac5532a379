//! What the upgrade of a package brings along: the program, and the texts that go with it, where
//! `install` has put them. What was removed or changed since stays as it is; nothing new comes.

use anyhow::Result;

use super::{Host, Plan, Planner, known};
use crate::commands::install::units::{self, Service};

const SERVICES: [Service; 4] = [
    Service::Drain,
    Service::Collect,
    Service::Serve,
    Service::Follow,
];

/// Compares what is in place with what this program would put there. Nothing to do without a record.
///
/// # Errors
///
/// As `plan`.
pub fn refresh(host: &Host, binary: &[u8]) -> Result<Plan> {
    let before = known(host)?;
    let mut planner = Planner::new(host, before.clone());
    if before.is_some() {
        if planner.there(&host.layout.binary())?.is_some() {
            planner.binary(binary)?;
        }
        planner.texts()?;
    }
    planner.record_first(before.as_ref())?;
    Ok(Plan {
        changes: planner.changes,
        notes: planner.notes,
        units: Vec::new(),
    })
}

impl Planner<'_> {
    fn texts(&mut self) -> Result<()> {
        let mut texts = units::units(self.host, &SERVICES);
        texts.push(units::logrotate(self.host));
        if let Some((lines, _)) = self.there(&self.host.layout.cron())? {
            let collects = String::from_utf8_lossy(&lines).contains(" collect ");
            let services: &[_] = if collects { &[Service::Collect] } else { &[] };
            texts.push(units::cron(self.host, services));
        }
        for text in texts {
            if self.record.files.contains_key(&text.path) && self.there(&text.path)?.is_some() {
                self.shipped(text)?;
            }
        }
        Ok(())
    }
}
