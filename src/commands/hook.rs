//! The call by wazuh-integratord: one alert, nothing printed on success, one line on failure.
//! Everything it relies on is in `os_integrator/integrator.c` of Wazuh 4.4.0 and 4.14.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};

mod handover;

use super::{now, output, status};
use crate::alert::enrich::{Receipt, Source};
use crate::alert::{self, time};
use crate::config::{self, Loaded};
use crate::delivery::{self, Delivery, Error, Outcome, UNASSIGNED};
use crate::home::Home;
use crate::relay::Answer;
use crate::setting::Secret;
use crate::spool::Spool;

/// The largest `<options>` file that is read.
const MAX_OPTIONS: u64 = 1 << 20;

/// The arguments that matter, wherever a space in `api_key` or `hook_url` has moved them.
#[derive(Debug, Default)]
pub struct Call {
    file: OsString,
    uri: Option<Secret>,
    options: Option<PathBuf>,
    timeout: Option<Duration>,
    debug: bool,
}

impl Call {
    /// Reads the arguments behind argv\[0\]; never insists on a count and ignores what it does not
    /// know (4.14 sends eight, 4.4.0 four, and a long command loses its tail).
    pub fn from_arguments(arguments: &[OsString]) -> Self {
        let rest = arguments.get(1..).unwrap_or_default();
        let texts = || rest.iter().filter_map(|argument| argument.to_str());
        let is_uri =
            |text: &&str| text.starts_with("mongodb://") || text.starts_with("mongodb+srv://");
        let late = rest.iter().skip(4).filter_map(|argument| argument.to_str());
        let seconds = late
            .filter_map(|text| text.parse().ok())
            .find(|seconds| *seconds > 0);
        let is_options = |argument: &&OsString| argument.as_bytes().ends_with(b".options");
        Self {
            file: arguments.first().cloned().unwrap_or_default(),
            uri: texts().find(is_uri).map(Secret::new),
            options: rest.iter().find(is_options).map(PathBuf::from),
            timeout: seconds.map(Duration::from_secs),
            debug: texts().any(|text| text == "debug"),
        }
    }
}

/// Where the alert is now.
enum Done {
    /// As the call's own delivery found out.
    Alone(Outcome),
    /// Durable with `serve`.
    HandedOver,
    /// A filter took it at `serve`, in these words.
    FilteredThere(String),
}

/// A failure: the status and the line.
#[derive(Debug)]
struct Failure {
    status: u8,
    line: String,
}

/// Delivers the alert. Returns the exit status.
pub fn run(call: &Call, config: Option<&Path>, started: Instant) -> u8 {
    let home = Home::find();
    let received_at = now();
    // A file size limit would end us by a signal, and hook_url would go to ossec.log; blocked, it
    // is an error of the write like any other.
    let mut limits = SigSet::empty();
    limits.add(Signal::SIGXFSZ);
    limits.thread_block().ok();
    // A panic would print several lines, and the last of them would go to ossec.log.
    std::panic::set_hook(Box::new(|_| {}));
    let work = || deliver(call, config, &home, received_at, started);
    let done = std::panic::catch_unwind(work)
        .unwrap_or_else(|_| Err(keep_after_panic(call, &home, received_at)));
    match done {
        Ok(done) => {
            note(call, &home, received_at, started, &done);
            status::DONE
        }
        Err(failure) => {
            output::error_line(&format!("custom-mongo: {}", failure.line));
            log_line(
                &home,
                received_at,
                &format!("custom-mongo: ERROR: {}", failure.line),
            );
            failure.status
        }
    }
}

fn deliver(
    call: &Call,
    config: Option<&Path>,
    home: &Home,
    received_at: i64,
    started: Instant,
) -> Result<Done, Failure> {
    if let Err(error) = home.enter() {
        // MongoDB may be there all the same; if not, the spool will say what is wrong.
        log::warn!("{error}");
    }
    let raw = read_alert(&call.file)?;
    let options = read_options(call);
    let receipt = Receipt {
        received_at,
        source: Source::Hook,
        options: &options,
    };
    let mut loaded = match config::load(config, home) {
        Ok(loaded) => loaded,
        Err(fault) => return Err(keep_unassigned(home, &raw, &receipt, &fault.to_string())),
    };
    if let Some(uri) = &call.uri {
        loaded.settings.store.use_uri(uri.clone());
    }
    deliver_to(&loaded, home, &raw, &receipt, call.timeout, started)
}

fn deliver_to(
    loaded: &Loaded,
    home: &Home,
    raw: &[u8],
    receipt: &Receipt<'_>,
    timeout: Option<Duration>,
    started: Instant,
) -> Result<Done, Failure> {
    let settings = &loaded.settings;
    let destination = match settings.store.destination() {
        Ok(destination) => destination,
        Err(error) => return Err(keep_unassigned(home, raw, receipt, &error.to_string())),
    };
    let own = settings.delivery.deadline.0;
    let deadline = timeout.map_or(own, |timeout| own.min(timeout));
    match handover::hand_over(
        settings,
        home,
        &destination,
        raw,
        receipt,
        deadline,
        started,
    ) {
        Some(Answer::Kept) => return Ok(Done::HandedOver),
        Some(Answer::Filtered(why)) => return Ok(Done::FilteredThere(why)),
        Some(Answer::NotAnAlert(line)) => {
            return Err(Failure {
                status: status::NO_ALERT,
                line,
            });
        }
        Some(Answer::Elsewhere | Answer::Refused(_)) | None => {}
    }
    let spool = Spool::new(home.state(), &destination, &settings.spool);
    let enricher = match settings.enricher() {
        Ok(enricher) => enricher,
        Err(fault) => return Err(keep_unassigned(home, raw, receipt, &fault.to_string())),
    };
    let mut delivery = Delivery::new(
        &settings.delivery,
        &settings.store,
        &spool,
        enricher,
        started,
        timeout,
    )
    .filtered(settings.filter());
    let delivered = delivery.deliver(raw, receipt).map(Done::Alone);
    delivered.map_err(|error| Failure {
        status: match error {
            Error::NotAnAlert { .. } => status::NO_ALERT,
            Error::Settings(_) => status::CONFIG,
            Error::Rejected { .. } | Error::Refused { .. } => status::FAILED,
        },
        line: error.to_string(),
    })
}

fn read_alert(file: &OsString) -> Result<Vec<u8>, Failure> {
    let not_there = |line: String| Failure {
        status: status::NO_FILE,
        line,
    };
    if file.is_empty() {
        return Err(not_there(
            "wazuh-integratord could not write the alert file; is /tmp full or read-only?"
                .to_owned(),
        ));
    }
    let name = Path::new(file).display();
    let read = |file: File| -> io::Result<Vec<u8>> {
        let mut raw = Vec::with_capacity(16 * 1024);
        let limit = u64::try_from(alert::MAX_BYTES).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1)).read_to_end(&mut raw)?;
        Ok(raw)
    };
    let raw = match open_file(Path::new(file)).and_then(read) {
        Ok(raw) => raw,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_there(format!(
                "there is no alert file {name}; for the commands see custom-mongo --help"
            )));
        }
        Err(error) => return Err(failed(format!("cannot read {name}: {error}"))),
    };
    if raw.len() > alert::MAX_BYTES {
        let line = format!(
            "{name} has more than {} bytes, which no alert has",
            alert::MAX_BYTES
        );
        return Err(Failure {
            status: status::NO_ALERT,
            line,
        });
    }
    Ok(raw)
}

/// Opens a plain file: a pipe that nobody writes to would hold up Wazuh for ever.
fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = OFlag::O_NONBLOCK.bits();
    let file = options.read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a file"))
    }
}

/// Options are an extra: an alert does not fail because of them.
fn read_options(call: &Call) -> Vec<u8> {
    let Some(path) = &call.options else {
        return Vec::new();
    };
    let mut options = Vec::new();
    let read = open_file(path).and_then(|file| file.take(MAX_OPTIONS).read_to_end(&mut options));
    if let Err(error) = read {
        log::warn!("cannot read {}: {error}", path.display());
    }
    options
}

/// The settings are wrong: the raw bytes go into the spool, so that a typo loses nothing.
fn keep_unassigned(home: &Home, raw: &[u8], receipt: &Receipt<'_>, why: &str) -> Failure {
    let spool = Spool::new(home.state(), UNASSIGNED, &crate::spool::Settings::default());
    if let Err(fault) = alert::validate(raw) {
        let dead = delivery::bury(&spool, raw, receipt, &fault.to_string());
        let line = Error::NotAnAlert { why: fault, dead }.to_string();
        return Failure {
            status: status::NO_ALERT,
            line,
        };
    }
    let line = match spool.put(&delivery::entry(raw, receipt)) {
        Ok(_) => {
            format!("{why}; the alert is in the spool, run custom-mongo spool drain afterwards")
        }
        Err(error) => return failed(format!("{why}; and the alert was refused: {error}")),
    };
    Failure {
        status: status::CONFIG,
        line,
    }
}

/// A fault of ours: the alert is kept where a person will look at it.
fn keep_after_panic(call: &Call, home: &Home, received_at: i64) -> Failure {
    let raw = read_alert(&call.file).unwrap_or_default();
    let receipt = Receipt {
        received_at,
        source: Source::Hook,
        options: &[],
    };
    let spool = Spool::new(home.state(), UNASSIGNED, &crate::spool::Settings::default());
    let reason = "internal error in custom-mongo; please report it";
    if alert::validate(&raw).is_ok() && spool.put(&delivery::entry(&raw, &receipt)).is_ok() {
        return failed(format!("{reason}; the alert is in the spool"));
    }
    let kept = delivery::bury(&spool, &raw, &receipt, reason);
    failed(format!(
        "{reason}{}",
        match kept {
            delivery::Kept::As(id) => format!("; the alert is dead letter {id}"),
            _ => String::new(),
        }
    ))
}

fn failed(line: String) -> Failure {
    Failure {
        status: status::FAILED,
        line,
    }
}

/// What an administrator may want to find later; nothing of it is printed.
fn note(call: &Call, home: &Home, received_at: i64, started: Instant, done: &Done) {
    let took = started.elapsed().as_millis();
    let text = match done {
        Done::Alone(Outcome::Spooled(Some(why))) => {
            format!("WARNING: {why}; alerts go into the spool until MongoDB is back")
        }
        _ if !call.debug => return,
        Done::HandedOver => format!("handed over to serve in {took} ms"),
        Done::FilteredThere(why) => format!("not stored, {why}"),
        Done::Alone(Outcome::Spooled(None)) => format!("spooled in {took} ms"),
        Done::Alone(Outcome::Stored {
            already_there: false,
        }) => format!("stored in {took} ms"),
        Done::Alone(Outcome::Stored {
            already_there: true,
        }) => format!("was there already, {took} ms"),
        Done::Alone(Outcome::Filtered(refusal)) => format!("not stored, {refusal}"),
    };
    log_line(home, received_at, &format!("custom-mongo: {text}"));
}

/// Appends to logs/integrations.log as the stock integrations do: the date, then the text.
fn log_line(home: &Home, at: i64, text: &str) {
    let Some(path) = home.integrations_log() else {
        return;
    };
    let line = format!("{} {text}\n", time::log_stamp(at));
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(flags.bits())
        .open(path);
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        log::warn!("cannot write logs/integrations.log: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &[&str]) -> Call {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        Call::from_arguments(&arguments)
    }

    #[test]
    fn the_call_of_4_14() {
        let call = call(&[
            "/tmp/a.alert",
            "",
            "mongodb://h/",
            "",
            "/tmp/a.options",
            "10",
            "3",
            "> /dev/null 2>&1",
        ]);
        assert_eq!(call.file, "/tmp/a.alert");
        assert_eq!(call.uri, Some(Secret::new("mongodb://h/")));
        assert_eq!(call.options, Some("/tmp/a.options".into()));
        assert_eq!(call.timeout, Some(Duration::from_secs(10)));
        assert!(!call.debug);
    }

    #[test]
    fn the_call_of_4_4_and_one_with_a_key_of_two_words() {
        let old = call(&["/tmp/a.alert", "key", "", " > /dev/null 2>&1"]);
        assert!(old.uri.is_none() && old.options.is_none() && old.timeout.is_none());
        let shifted = call(&[
            "/tmp/a.alert",
            "two",
            "words",
            "mongodb://h/",
            "debug",
            "/tmp/a.options",
            "1",
            "3",
        ]);
        assert_eq!(shifted.timeout, Some(Duration::from_secs(1)));
        assert!(shifted.debug && shifted.uri.is_some() && shifted.options.is_some());
    }
}
