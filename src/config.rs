//! Composes the rooms' settings: defaults < file < `.env` and environment < arguments.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::alert::enrich::{self, Enricher};
use crate::filter::{self, Filter};
use crate::home::Home;
use crate::{alerts_log, collect, delivery, relay, serve, spool, store, wazuh_api};

mod environment;
mod files;
mod managers;
mod section;
mod suggestion;

pub use environment::is_used as is_environment_used;
pub use files::Files;
pub use managers::Manager;

/// What a fault begins with that stands in no file.
pub const ENVIRONMENT: &str = "environment";

/// The settings file's name.
pub const FILE: &str = "custom-mongo.toml";

/// Everything that can be set.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The name of this Wazuh installation, part of every identity; `default` unless set.
    pub site: Option<String>,
    /// Which MongoDB.
    pub store: store::Settings,
    /// How much the spool may hold.
    pub spool: spool::Settings,
    /// How long a call may take, and which way it goes.
    pub delivery: delivery::Settings,
    /// Which alerts are stored.
    pub filter: filter::Settings,
    /// Alerts.json live.
    pub follow: alerts_log::Settings,
    /// What is added to an alert.
    pub enrich: enrich::Settings,
    /// Which secrets are taken out of alerts.
    pub redact: enrich::RedactSettings,
    /// The resident service.
    pub serve: serve::Settings,
    /// Which manager's inventory is read.
    pub wazuh_api: wazuh_api::Settings,
    /// Further managers, by `[wazuh_api.managers.NAME]`.
    pub further: Vec<Manager>,
    /// What is collected, and how often.
    pub collect: collect::Settings,
}

/// Settings and where they came from.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The file that was read, if one was found.
    pub file: Option<PathBuf>,
    /// The `.env` beside it, if it is there.
    pub env_file: Option<PathBuf>,
}

/// What is wrong with the settings, with the file, the key and the fix.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Fault(pub String);

impl Settings {
    /// The name of this Wazuh installation.
    pub fn site(&self) -> &str {
        self.site.as_deref().unwrap_or("default")
    }

    /// Every manager whose inventory is read, that of this site first.
    pub fn managers(&self) -> Vec<Manager> {
        let (site, api) = (self.site().to_owned(), self.wazuh_api.clone());
        let own = api.is_configured().then_some(Manager { site, api });
        own.into_iter().chain(self.further.clone()).collect()
    }

    /// What turns alerts into documents, by these settings.
    ///
    /// # Errors
    ///
    /// Names a pattern that is not a regular expression.
    pub fn enricher(&self) -> Result<Enricher, Fault> {
        Enricher::new(self.site(), &self.enrich, &self.redact).map_err(Fault)
    }

    /// Stands for the destination and for everything that decides what becomes of an alert.
    pub fn relay_key(&self, destination: &str) -> relay::Key {
        let (site, filter, enrich, redact) = (&self.site, &self.filter, &self.enrich, &self.redact);
        relay::Key::of(&format!(
            "{destination} {site:?} {filter:?} {enrich:?} {redact:?}"
        ))
    }

    /// Whether the files alone decide where alerts go and what becomes of them, and hooks may hand
    /// them over: then who has not read the settings may rely on `serve`, which has.
    pub fn are_in_the_files(&self) -> bool {
        let is_elsewhere = self.store.uri_file.is_some() || self.store.uri_command.is_some();
        let is_overlaid = environment::is_used() || is_elsewhere;
        self.delivery.mode == delivery::Mode::Auto && !is_overlaid
    }

    /// What decides which alerts are stored, by these settings.
    pub fn filter(&self) -> Filter {
        Filter::new(&self.filter, &self.enrich.risk)
    }
}

/// Reads the settings: from `explicit`, else from `$CUSTOM_MONGO_CONFIG`, else from the first of
/// the usual folders that has a settings file or a `.env`.
///
/// # Errors
///
/// Names the file, the key and the fix.
pub fn load(explicit: Option<&Path>, home: &Home) -> Result<Loaded, Fault> {
    Files::find(explicit, home).load()
}

fn load_from(files: &Files) -> Result<Loaded, Fault> {
    let file = files.settings.clone();
    let mut table = file.as_deref().map_or(Ok(Table::new()), read_file)?;
    let env_file = files.env().filter(|file| file.exists());
    environment::apply(&mut table, env_file.as_deref())?;
    let settings =
        judge(table).map_err(|fault| located(&fault, file.as_deref(), env_file.as_deref()))?;
    Ok(Loaded {
        settings,
        file,
        env_file,
    })
}

fn judge(table: Table) -> Result<Settings, Fault> {
    let settings = compose(table).and_then(sensible)?;
    settings.enricher()?;
    Ok(settings)
}

/// A thread for each manager that is read.
const MOST_WORKERS: i64 = 1000;

/// What each room takes by itself and what makes no sense all the same.
fn sensible(settings: Settings) -> Result<Settings, Fault> {
    let database = &settings.store.database;
    // https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
    if database.is_empty() || database.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
        let why = format!("[store] database: `{database}` is no name that MongoDB takes");
        return Err(Fault(why));
    }
    if ["admin", "local", "config"].contains(&database.as_str()) {
        let why = format!("[store] database: `{database}` is MongoDB's own; name another");
        return Err(Fault(why));
    }
    if settings.delivery.deadline.as_millis() < 100 {
        let why = "[delivery] deadline: less than 100 ms leaves MongoDB no time to answer";
        return Err(Fault(why.to_owned()));
    }
    // A call of the hook reads the settings too: a copy of one manager has no twin to look for.
    if !settings.further.is_empty() {
        managers::refuse_twins(&settings.managers())?;
    }
    if !(1..=MOST_WORKERS).contains(&settings.collect.max_workers.0) {
        let why = "[collect] max_workers: 1 to 1000 managers at once are possible";
        return Err(Fault(why.to_owned()));
    }
    if let Err(why) = collect::Settings::kinds(&settings.collect.kinds.0) {
        return Err(Fault(format!("[collect] kinds: {why}")));
    }
    let risk = &settings.enrich.risk;
    if !(risk.medium.0 <= risk.high.0 && risk.high.0 <= risk.critical.0) {
        let why = "[enrich.risk] medium, high and critical have to rise";
        return Err(Fault(why.to_owned()));
    }
    Ok(settings)
}

/// Puts in front where it is to be mended: in the settings file, in the `.env` beside it, or in the
/// environment, whichever had the fault first.
fn located(fault: &Fault, file: Option<&Path>, env_file: Option<&Path>) -> Fault {
    let has_it = |table: &Table| judge(table.clone()).is_err_and(|own| own == *fault);
    let mut table = file
        .and_then(|file| read_file(file).ok())
        .unwrap_or_default();
    let place = if has_it(&table) {
        file
    } else {
        environment::apply_file(&mut table, env_file).ok();
        env_file.filter(|_| has_it(&table))
    };
    let place = place.map_or_else(|| ENVIRONMENT.to_owned(), |file| file.display().to_string());
    Fault(format!("{place}: {fault}"))
}

/// Whether it is TOML at all.
pub fn is_toml(text: &str) -> bool {
    text.parse::<Table>().is_ok()
}

fn read_file(path: &Path) -> Result<Table, Fault> {
    let place = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault(format!("{place}: cannot be read: {error}; see --config")))?;
    text.parse().map_err(|error: toml::de::Error| {
        // Not the error's own display: it shows the line, which may hold a password.
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).unwrap_or_default().lines().count().max(1);
        let why = error
            .message()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        Fault(format!("{place}: line {line} is not TOML: {why}"))
    })
}

/// The top level: the site, and a section for each room.
const SECTIONS: [&str; 11] = [
    "site",
    "store",
    "spool",
    "delivery",
    "filter",
    "follow",
    "enrich",
    "redact",
    "wazuh_api",
    "collect",
    "serve",
];

/// Reads each room's section.
fn compose(mut table: Table) -> Result<Settings, Fault> {
    let settings = Settings {
        further: managers::take(&mut table)?,
        site: site(&mut table)?,
        store: section::take(&mut table, "store")?,
        spool: section::take(&mut table, "spool")?,
        delivery: section::take(&mut table, "delivery")?,
        filter: section::take(&mut table, "filter")?,
        follow: section::take(&mut table, "follow")?,
        enrich: section::take(&mut table, "enrich")?,
        redact: section::take(&mut table, "redact")?,
        serve: section::take(&mut table, "serve")?,
        wazuh_api: section::take(&mut table, "wazuh_api")?,
        collect: section::take(&mut table, "collect")?,
    };
    match table.keys().next() {
        None => Ok(settings),
        Some(unknown) => Err(Fault(suggestion::unknown(unknown, SECTIONS.into_iter()))),
    }
}

fn site(table: &mut Table) -> Result<Option<String>, Fault> {
    match table.remove("site") {
        None => Ok(None),
        Some(Value::String(site)) if is_name(&site) => Ok(Some(site)),
        Some(_) => Err(Fault(
            "site: a name is wanted, up to 64 characters".to_owned(),
        )),
    }
}

fn is_name(site: &str) -> bool {
    !site.is_empty() && site.len() <= 64 && !site.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../packaging/config/custom-mongo.toml");

    fn parse(text: &str) -> Result<Settings, Fault> {
        compose(text.parse().expect("TOML"))
    }

    #[test]
    fn the_sample_parses_and_changes_nothing() {
        let sample = parse(SAMPLE).expect("the sample");
        assert_eq!(format!("{sample:?}"), format!("{:?}", Settings::default()));
    }

    /// Each commented setting of the sample, switched on, is one that the rooms know.
    #[test]
    fn every_setting_in_the_sample_is_known() {
        let uncommented: String = SAMPLE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .fold(String::new(), |all, line| all + line + "\n");
        let settings = parse(&uncommented).expect("the sample with all settings on");
        settings.enricher().expect("patterns");
        assert!(settings.site.is_some());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let fault = parse("[store]\ndatabse = \"x\"").unwrap_err();
        assert_eq!(
            fault.0,
            "[store] unknown key `databse`; did you mean `database`?"
        );
        let fault = parse("[stor]\nuri = \"x\"").unwrap_err();
        assert!(fault.0.contains("did you mean `store`?"), "{fault}");
    }

    #[test]
    fn a_secret_is_not_in_the_error() {
        let fault = parse("[store]\npassword = [\"hunter2\"]").unwrap_err();
        assert!(!fault.0.contains("hunter2"), "{fault}");
    }
}
