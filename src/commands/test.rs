//! `--test`: replays alerts by hand and says what happens, step by step.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Format, now, output, status};
use crate::alert::enrich::{Enricher, Receipt, Source};
use crate::alert::{self, time};
use crate::config::Settings;
use crate::delivery::{Delivery, Error, Outcome};
use crate::filter::Filter;
use crate::home::Home;
use crate::spool::Spool;
use crate::store::{self, Store};

mod choice;

/// How long reading a document back may take.
const READ_BACK: Duration = Duration::from_secs(5);

/// Where the alerts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The built-in sample, with the time of now.
    Sample,
    /// Standard input.
    Stdin,
    /// A file: one alert, or one a line.
    File(PathBuf),
}

/// What to do with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Print the documents, touch nothing.
    Dry,
    /// Deliver and read back.
    Deliver,
}

/// Replays. Returns the exit status of the worst alert.
///
/// # Errors
///
/// What cannot be read.
pub fn run(
    input: &Input,
    run: Run,
    settings: &Settings,
    home: &Home,
    format: Format,
) -> Result<u8> {
    let text = match read(input) {
        Ok(text) => text,
        Err(error) => {
            output::error_line(&format!("custom-mongo: {error:#}"));
            return Ok(status::NO_FILE);
        }
    };
    if run == Run::Deliver {
        home.enter()?;
    }
    let source = if *input == Input::Sample {
        Source::Sample
    } else {
        Source::Test
    };
    let mut worst = status::DONE;
    let mut enricher = settings.enricher()?;
    for raw in split(&text) {
        let status = match run {
            Run::Dry => dry(raw, source, &mut enricher, &settings.filter())?,
            Run::Deliver => deliver(raw, source, settings, home, format)?,
        };
        worst = worst.max(status);
    }
    Ok(worst)
}

fn read(input: &Input) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    match input {
        Input::Sample => return Ok(sample(now()).into_bytes()),
        Input::Stdin => std::io::stdin()
            .read_to_end(&mut text)
            .context("cannot read stdin")?,
        Input::File(path) => {
            let path = Path::new(path);
            text =
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            text.len()
        }
    };
    Ok(text)
}

/// One alert, however many lines it has; else one alert a line.
fn split(text: &[u8]) -> Vec<&[u8]> {
    if !matches!(alert::validate(text), Err(alert::NotAnAlert::Syntax(_))) {
        return vec![text];
    }
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    let lines: Vec<&[u8]> = lines.collect();
    let first = lines.first().copied().unwrap_or_default();
    if lines.len() > 1 && alert::validate(first).is_ok() {
        lines
    } else {
        vec![text]
    }
}

fn dry(raw: &[u8], source: Source, enricher: &mut Enricher, filter: &Filter) -> Result<u8> {
    let receipt = Receipt {
        received_at: now(),
        source,
        options: &[],
    };
    let began = Instant::now();
    let document = enricher.document(raw, &receipt);
    let took = began.elapsed().as_nanos();
    match document {
        Ok(document) => {
            log::info!("{} bytes enriched in {took} ns", raw.len());
            if let Some(refusal) = filter.refuses(&alert::facts(document.bson)) {
                output::error_line(&format!("custom-mongo: it would not be stored: {refusal}"));
            }
            output::json(&store::to_json(document.bson)?);
            Ok(status::DONE)
        }
        Err(why) => {
            output::error_line(&format!("custom-mongo: {why}"));
            Ok(status::NO_ALERT)
        }
    }
}

/// What is told about one alert.
#[derive(Default)]
struct Story {
    format: Format,
    steps: Vec<(&'static str, String)>,
}

impl Story {
    fn tell(&mut self, step: &'static str, text: String) {
        if self.format == Format::Text {
            output::line(&format!("{step:<10} {text}"));
        }
        self.steps.push((step, text));
    }

    fn end(self) {
        if self.format == Format::Json {
            let steps = self
                .steps
                .into_iter()
                .map(|(step, text)| (step.to_owned(), json!(text)));
            output::json(&Value::Object(steps.collect()));
        }
    }
}

fn deliver(
    raw: &[u8],
    source: Source,
    settings: &Settings,
    home: &Home,
    format: Format,
) -> Result<u8> {
    let mut story = Story {
        format,
        ..Story::default()
    };
    story.tell("read", format!("{} bytes", raw.len()));
    let receipt = Receipt {
        received_at: now(),
        source,
        options: &[],
    };
    let mut enricher = settings.enricher()?;
    let began = Instant::now();
    let id = match enricher.document(raw, &receipt) {
        Ok(document) => {
            let took = began.elapsed().as_micros();
            story.tell(
                "enriched",
                format!(
                    "_id {}, {} bytes of BSON, {took} µs",
                    document.id(),
                    document.bson.len()
                ),
            );
            choice::tell(&mut story, home, &settings.filter(), document.bson);
            Some(document.id().to_owned())
        }
        Err(_) => None,
    };
    let destination = settings.store.destination()?;
    let spool = Spool::new(home.state(), &destination, &settings.spool);
    let began = Instant::now();
    let mut delivery = Delivery::new(
        &settings.delivery,
        &settings.store,
        &spool,
        enricher,
        began,
        None,
    )
    .filtered(settings.filter())
    .by_hand();
    let outcome = delivery.deliver(raw, &receipt);
    let status = tell_outcome(&mut story, &outcome, began.elapsed());
    if let (Ok(Outcome::Stored { .. }), Some(id)) = (&outcome, id) {
        read_back(&mut story, settings, &id);
    }
    story.end();
    Ok(status)
}

fn tell_outcome(story: &mut Story, outcome: &Result<Outcome, Error>, took: Duration) -> u8 {
    let took = format!("{:.1} ms", took.as_secs_f64() * 1000.0);
    match outcome {
        Ok(Outcome::Stored {
            already_there: false,
        }) => story.tell("stored", format!("in MongoDB, {took}")),
        Ok(Outcome::Stored {
            already_there: true,
        }) => {
            story.tell("stored", format!("was in MongoDB already, {took}"));
        }
        Ok(Outcome::Spooled(Some(why))) => {
            story.tell("spooled", format!("on disk, {took}, because {why}"));
        }
        Ok(Outcome::Spooled(None)) => story.tell(
            "spooled",
            format!("on disk, {took}; see custom-mongo spool status"),
        ),
        Ok(Outcome::Filtered(refusal)) => {
            story.tell("filtered", format!("{refusal}; it is not stored"));
        }
        Err(error) => {
            story.tell("failed", error.to_string());
            return match error {
                Error::NotAnAlert { .. } => status::NO_ALERT,
                Error::Settings(_) => status::CONFIG,
                _ => status::FAILED,
            };
        }
    }
    status::DONE
}

fn read_back(story: &mut Story, settings: &Settings, id: &str) {
    let began = Instant::now();
    let found = Store::open(&settings.store, READ_BACK).and_then(|store| store.find(id, READ_BACK));
    let took = began.elapsed().as_micros();
    match found {
        Ok(Some(document)) => {
            story.tell("read back", format!("{took} µs"));
            story.tell("document", document.to_string());
        }
        Ok(None) => story.tell(
            "read back",
            "it is not there; has a TTL index removed it?".to_owned(),
        ),
        Err(error) => story.tell("read back", format!("failed: {error}")),
    }
}

/// An alert as sshd's rule 5710 writes it, with a time and an id of its own.
fn sample(now: i64) -> String {
    let timestamp = time::rfc3339(now).replace('Z', "+0000");
    json!({
        "timestamp": timestamp,
        "rule": {
            "level": 5, "id": "5710", "firedtimes": 1, "mail": false,
            "description": "sshd: Attempt to login using a non-existent user",
            "groups": ["syslog", "sshd", "authentication_failed", "invalid_login"],
            "mitre": { "id": ["T1110"], "tactic": ["Credential Access"], "technique": ["Brute Force"] },
        },
        "agent": { "id": "000", "name": "custom-mongo-test" },
        "manager": { "name": "custom-mongo-test" },
        "id": format!("{}.{}", now / 1000, now % 1000),
        "full_log": "sshd[1]: Invalid user test from 192.0.2.1 port 40000 (sample of custom-mongo --test)",
        "decoder": { "parent": "sshd", "name": "sshd" },
        "data": { "srcip": "192.0.2.1", "srcport": "40000", "srcuser": "test" },
        "location": "custom-mongo --test",
    })
    .to_string()
}
