//! `migrate`: indexes and documents of older versions, and a database that the Python service filled,
//! become what this version reads and writes. It may be stopped anywhere and run again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::stop::Stop;
use super::{Format, now, output};
use crate::alert::enrich::Enricher;
use crate::config::Settings;
use crate::store::{Adoption, ITS_INVENTORY, Pages, Store, Which, shown_id};

mod report;

use report::{Inventory, Report};

const CONNECT: Duration = Duration::from_secs(10);
/// What a page may take.
const PAGE: Duration = Duration::from_secs(120);
/// The first page of a large collection that holds none of what is looked for is its end.
const FIRST_PAGE: Duration = Duration::from_secs(6 * 3600);
/// What all index builds may take.
const BUILD: Duration = Duration::from_secs(7 * 86_400);

/// The command's arguments.
#[derive(Debug)]
pub struct Migrate {
    /// The site that documents of the Python service belong to; none is the settings' own.
    pub site: Option<String>,
    /// Documents a second, at most.
    pub rate: Option<u32>,
    /// Whether anything is written.
    pub mode: Mode,
    /// How the result is printed.
    pub format: Format,
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Write,
    /// Only counted.
    Dry,
}

impl Migrate {
    /// Does it, and says in the end what was done.
    ///
    /// # Errors
    ///
    /// Settings, a MongoDB that does not answer; what was done stays done.
    pub fn run(&self, settings: &Settings) -> Result<u8> {
        let mut settings = settings.clone();
        settings.site = self.site.clone().or(settings.site);
        let store = Store::open(&settings.store, CONNECT)?;
        let mut run = Run {
            order: self,
            store: &store,
            enricher: settings.enricher()?,
            stop: Stop::on_signals().context("cannot watch for signals")?,
            report: Report::new(self.mode, settings.site()),
            begun: Instant::now(),
            seen: 0,
        };
        run.report.indexes = store.index_plan(PAGE)?;
        run.report.later = store.of_later_versions("alerts", FIRST_PAGE)?;
        run.documents()?;
        run.indexes()?;
        run.report.print(self.format);
        if run.report.is_stopped {
            output::error_line("custom-mongo: stopped; run the same command again to go on");
        }
        Ok(run.report.status())
    }
}

struct Run<'a> {
    order: &'a Migrate,
    store: &'a Store,
    enricher: Enricher,
    stop: Stop,
    report: Report,
    begun: Instant,
    seen: u64,
}

impl Run<'_> {
    /// Documents first: until the indexes are there, each costs less to write.
    fn documents(&mut self) -> Result<()> {
        let mut pages = self.store.pages("alerts", Which::Foreign, FIRST_PAGE)?;
        while let Some(page) = self.next(&mut pages)? {
            self.alerts(page)?;
        }
        for collection in ITS_INVENTORY {
            let mut pages = self.store.pages(collection, Which::Foreign, FIRST_PAGE)?;
            let mut found = Inventory::of(collection);
            while let Some(page) = self.next(&mut pages)? {
                found.documents += page.len() as u64;
                found.example.get_or_insert_with(|| first_id(&page));
                if self.order.mode == Mode::Write {
                    found.moved += self.store.set_aside(collection, &page, PAGE)?;
                }
            }
            if found.documents > 0 {
                found.is_empty_now =
                    self.order.mode == Mode::Write && self.store.is_empty(collection, PAGE)?;
                self.report.inventory.push(found);
            }
        }
        Ok(())
    }

    /// The next page, at the pace that was asked for; none at the end, or when a signal came.
    fn next(&mut self, pages: &mut Pages<'_>) -> Result<Option<Vec<Vec<u8>>>> {
        if let Some(rate) = self.order.rate {
            let due = Duration::from_secs(self.seen) / rate;
            self.stop.sleep(due.saturating_sub(self.begun.elapsed()));
        }
        if self.stop.is_asked() {
            self.report.is_stopped = true;
            return Ok(None);
        }
        let page = pages.next(FIRST_PAGE)?;
        self.seen += page.len() as u64;
        if self.seen > 0 && !page.is_empty() {
            log::info!("{} documents read", self.seen);
        }
        Ok(Some(page).filter(|page| !page.is_empty()))
    }

    fn alerts(&mut self, page: Vec<Vec<u8>>) -> Result<()> {
        let now = now();
        let alerts = &mut self.report.alerts;
        alerts.found += page.len() as u64;
        let mut batch = Vec::with_capacity(page.len());
        for old in page {
            let Some(new) = self.enricher.adopt(&old, now) else {
                alerts.keep(shown_id(&old), "it is no alert");
                continue;
            };
            alerts.expiring += u64::from(new.expires_at.is_some_and(|at| at <= now));
            let new = new.bson.to_vec();
            alerts.example(&old);
            batch.push(Adoption { old, new });
        }
        if batch.is_empty() {
            return Ok(());
        }
        if self.order.mode == Mode::Dry {
            let new: Vec<&[u8]> = batch.iter().map(|one| one.new.as_slice()).collect();
            alerts.already_there += self.store.count_there(&new, PAGE)?;
            alerts.converted += batch.len() as u64;
        } else {
            alerts.add(self.store.adopt(&batch, PAGE)?);
        }
        Ok(())
    }

    fn indexes(&mut self) -> Result<()> {
        if self.order.mode == Mode::Dry || self.report.is_stopped {
            return Ok(());
        }
        // Documents were moved: what has to be read is another number now.
        self.report.indexes = self.store.index_plan(PAGE)?;
        if self.order.format == Format::Text {
            self.report.announce_indexes();
        }
        self.store.carry_out(&self.report.indexes, BUILD)?;
        Ok(())
    }
}

fn first_id(page: &[Vec<u8>]) -> String {
    page.first()
        .map_or_else(String::new, |first| shown_id(first))
}
