//! The call by wazuh-integratord: one alert, nothing printed on success, one line on failure.
//! Everything it relies on is in `os_integrator/integrator.c` of Wazuh 4.4.0 and 4.14.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};

mod call;
mod failure;
mod handover;
mod input;

pub use call::Call;

use super::{now, output, screen, status};
use crate::alert::enrich::{Receipt, Source};
use crate::alert::time;
use crate::config::{self, Loaded};
use crate::delivery::{Delivery, Error, Outcome};
use crate::home::Home;
use crate::spool::Spool;
use failure::{Failure, keep_after_panic, keep_unassigned};
use handover::{Decided, Handover, Unread};
use input::{read_alert, read_options};

/// Where the alert is now.
enum Done {
    /// As the call's own delivery found out.
    Alone(Outcome),
    /// Durable with `serve`.
    HandedOver,
    /// A filter took it at `serve`, in these words.
    FilteredThere(String),
}

/// Delivers the alert. Returns the exit status.
pub fn run(call: &Call, config: Option<&Path>, started: Instant) -> u8 {
    let received_at = now();
    // A file size limit would end us by a signal, and hook_url would go to ossec.log; blocked, it
    // is an error of the write like any other.
    let mut limits = SigSet::empty();
    limits.add(Signal::SIGXFSZ);
    limits.thread_block().ok();
    // A panic would print several lines, and the last of them would go to ossec.log.
    std::panic::set_hook(Box::new(|_| {}));
    let home = Home::find();
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
    if let Err(error) = home.become_owner() {
        log::warn!("{error}");
    }
    let raw = read_alert(&call.file)?;
    let options = read_options(call);
    let receipt = Receipt {
        received_at,
        source: Source::Hook,
        options: &options,
    };
    let handover = Handover {
        home,
        raw: &raw,
        receipt: &receipt,
        started,
    };
    // Another MongoDB than that of the settings is nothing that `serve` knows of.
    let is_usual = call.uri.is_none() && config.is_none();
    let unread = if is_usual {
        handover.unread()
    } else {
        Unread::Untried
    };
    if let Unread::Decided(decided) = unread {
        return as_decided(decided);
    }
    if let Err(error) = home.enter() {
        // MongoDB may be there all the same; if not, the spool will say what is wrong.
        log::warn!("{error}");
    }
    let mut loaded = match config::load(config, home) {
        Ok(loaded) => loaded,
        Err(fault) => return Err(keep_unassigned(home, &raw, &receipt, &fault.to_string())),
    };
    if let Some(uri) = &call.uri {
        loaded.settings.store.use_uri(uri.clone());
    }
    deliver_to(&loaded, &handover, unread, call.timeout)
}

/// As the call's own delivery would end.
fn as_decided(decided: Decided) -> Result<Done, Failure> {
    match decided {
        Decided::Kept => Ok(Done::HandedOver),
        Decided::Filtered(why) => Ok(Done::FilteredThere(why)),
        Decided::NotAnAlert(line) => Err(Failure {
            status: status::NO_ALERT,
            line,
        }),
    }
}

fn deliver_to(
    loaded: &Loaded,
    handover: &Handover<'_>,
    unread: Unread,
    timeout: Option<Duration>,
) -> Result<Done, Failure> {
    let Handover {
        home,
        raw,
        receipt,
        started,
    } = *handover;
    let settings = &loaded.settings;
    let destination = match settings.store.destination() {
        Ok(destination) => destination,
        Err(error) => return Err(keep_unassigned(home, raw, receipt, &error.to_string())),
    };
    let own = settings.delivery.deadline.0;
    let deadline = timeout.map_or(own, |timeout| own.min(timeout));
    let decided = match unread {
        Unread::Refused => None,
        Unread::Waits(begun) => handover.with(settings, &destination, deadline, Some(begun)),
        Unread::Untried | Unread::Decided(_) => {
            handover.with(settings, &destination, deadline, None)
        }
    };
    if let Some(decided) = decided {
        return as_decided(decided);
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
    let line = format!("{} {}\n", time::log_stamp(at), screen::clean(text));
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
