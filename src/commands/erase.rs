//! `erase`: one agent's or one person's data out of MongoDB, the spool and the dead letters of this
//! host, for good: nothing that Wazuh's files still hold brings an erased alert back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Format, now};
use crate::alert::enrich::Enricher;
use crate::alert::search::Term;
use crate::alert::stored::Stored;
use crate::config::Settings;
use crate::home::Home;
use crate::store::{Grave, Store, Which, everything};

mod disk;
mod report;

use disk::Disk;
use report::Report;

const CONNECT: Duration = Duration::from_secs(10);
/// What a page may take.
const PAGE: Duration = Duration::from_secs(120);
/// The first page of a large collection that holds none of what is looked for is its end.
const FIRST_PAGE: Duration = Duration::from_secs(6 * 3600);

/// The command's arguments.
#[derive(Debug)]
pub struct Erase {
    /// Whose data.
    pub whose: Whose,
    /// Of which site; none is the settings' own.
    pub site: Option<String>,
    /// Whether anything is erased.
    pub mode: Mode,
    /// How the result is printed.
    pub format: Format,
}

/// Whose data.
#[derive(Debug)]
pub enum Whose {
    /// An agent's, by its id.
    Agent(String),
    /// A person's: what any of these is in.
    Person(Vec<Term>),
}

/// Whether anything is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Erase,
    /// Only counted.
    Dry,
}

impl Whose {
    fn terms(&self) -> Vec<Term> {
        match self {
            Self::Agent(id) => vec![Term::Field {
                path: "agent_id".to_owned(),
                value: id.clone(),
            }],
            Self::Person(terms) => terms.clone(),
        }
    }

    /// The narrowest question that MongoDB can answer; the terms decide.
    fn which<'a>(&'a self, site: &'a str) -> Which<'a> {
        match self {
            Self::Agent(agent) => Which::Agent { site, agent },
            Self::Person(_) => Which::Site(site),
        }
    }
}

impl Erase {
    /// Does it, and says what was erased and where else the data may be.
    ///
    /// # Errors
    ///
    /// Settings, a MongoDB that does not answer; the same command goes on where it stopped.
    pub fn run(&self, settings: &Settings, home: &Home) -> Result<u8> {
        home.enter()?;
        // What lies on this host is of its own site, and becomes documents by its own settings.
        let site = self.site.as_deref();
        let is_own = site.is_none_or(|site| site == settings.site());
        let disk = is_own.then(|| Disk::new(settings, home));
        let mut settings = settings.clone();
        settings.site = self.site.clone().or(settings.site);
        let store = Store::open(&settings.store, CONNECT)?;
        let begun_at = now();
        let mut report = Report::new(self, settings.site());
        let mut erasure = None;
        if self.mode == Mode::Erase {
            // First: what waits on disk is searched where it belongs.
            if let Some(disk) = &disk {
                report.drained = disk.drain(&store)?;
            }
            erasure = Some(store.begin_erasure(PAGE)?);
        }
        let mut run = Run {
            terms: self.whose.terms(),
            which: self.whose.which(settings.site()),
            site: settings.site(),
            store: &store,
            erasure: erasure.clone(),
            enricher: settings.enricher()?,
            days: BTreeSet::new(),
            report: &mut report,
        };
        run.alerts()?;
        run.inventory()?;
        if let Some(disk) = &disk {
            run.dead_letters(disk)?;
        }
        let days = std::mem::take(&mut run.days);
        report.look_at_wazuh(home.wazuh().filter(|_| is_own), days);
        report.is_agent_listed = self.is_listed(&store, settings.site())?;
        if let Some(id) = &erasure {
            if let Some(disk) = &disk {
                report.is_disk_clean = disk.forget()?;
            }
            let record = report.record(id, &self.whose);
            let written = store.finish_erasure(id, &record, begun_at, PAGE);
            written.context("the data is erased, but the record could not be completed")?;
        }
        if let Some(disk) = &disk {
            report.waiting = disk.waiting()?;
        }
        report.print(self.format);
        Ok(report.status())
    }

    /// Whether Wazuh has the agent still: then `collect` brings it back.
    fn is_listed(&self, store: &Store, site: &str) -> Result<bool> {
        let Whose::Agent(id) = &self.whose else {
            return Ok(false);
        };
        if self.mode == Mode::Erase {
            return Ok(false);
        }
        let known = store.known_agents(site, PAGE)?;
        Ok(known
            .iter()
            .any(|agent| agent.agent == *id && agent.removed_at.is_none()))
    }
}

struct Run<'a> {
    terms: Vec<Term>,
    which: Which<'a>,
    site: &'a str,
    store: &'a Store,
    /// None in a dry run.
    erasure: Option<String>,
    enricher: Enricher,
    /// Days of the erased alerts, as Wazuh names its files.
    days: BTreeSet<String>,
    report: &'a mut Report,
}

impl Run<'_> {
    fn is_meant(&self, document: &[u8]) -> bool {
        self.terms.iter().any(|term| term.is_in(document))
    }

    fn alerts(&mut self) -> Result<()> {
        let mut pages = self.store.pages("alerts", self.which, FIRST_PAGE)?;
        loop {
            let mut page = pages.next(FIRST_PAGE)?;
            if page.is_empty() {
                return Ok(());
            }
            self.report.searched += page.len() as u64;
            page.retain(|document| self.is_meant(document));
            self.bury(&page)?;
        }
    }

    /// Puts stones into the place of alerts. One of the Python service has another `_id` than the
    /// copy that a file may bring: the stone lies where that would.
    fn bury(&mut self, page: &[Vec<u8>]) -> Result<()> {
        let mut graves = Vec::with_capacity(page.len());
        let mut foreign = Vec::new();
        for document in page {
            let known = Stored::of(document);
            self.days.extend(known.day);
            if known.is_ours {
                graves.push(Grave {
                    id: known.id,
                    expires_at: known.expires_at,
                });
                continue;
            }
            if let Some(adopted) = self.enricher.adopt(document, now()) {
                graves.push(Grave {
                    id: adopted.id().to_owned(),
                    expires_at: adopted.expires_at,
                });
            }
            foreign.push(document.clone());
        }
        self.report.alerts += page.len() as u64;
        self.report.note_ids(&graves);
        if let Some(erasure) = &self.erasure {
            self.store.bury_alerts(&graves, self.site, erasure, PAGE)?;
            self.store.delete("alerts", &foreign, PAGE)?;
        }
        Ok(())
    }

    fn inventory(&mut self) -> Result<()> {
        for collection in everything() {
            let mut erased = 0;
            let mut pages = self.store.pages(&collection, self.which, FIRST_PAGE)?;
            loop {
                let mut page = pages.next(FIRST_PAGE)?;
                if page.is_empty() {
                    break;
                }
                page.retain(|document| self.is_meant(document));
                erased += page.len() as u64;
                if self.erasure.is_some() && !page.is_empty() {
                    self.store.delete(&collection, &page, PAGE)?;
                }
            }
            if erased > 0 {
                self.report.inventory.insert(collection, erased);
            }
        }
        Ok(())
    }

    fn dead_letters(&mut self, disk: &Disk<'_>) -> Result<()> {
        for (spool, id) in disk.dead_letters()? {
            let letter = spool.dead_show(&id)?;
            let receipt = disk::receipt(&letter);
            let Ok(document) = self.enricher.document(&letter.raw, &receipt) else {
                if self.terms.iter().any(|term| term.is_in_bytes(&letter.raw)) {
                    self.report.unclear.push(id);
                }
                continue;
            };
            if !self.terms.iter().any(|term| term.is_in(document.bson)) {
                continue;
            }
            let grave = Grave {
                id: document.id().to_owned(),
                expires_at: document.expires_at,
            };
            self.report.dead_letters += 1;
            if let Some(erasure) = &self.erasure {
                self.store.bury_alerts(&[grave], self.site, erasure, PAGE)?;
                spool.dead_drop(&id)?;
            }
        }
        Ok(())
    }
}

/// How many documents were erased, by collection.
type Counts = BTreeMap<String, u64>;
