//! `watch agents`: a table that is made anew every few seconds, on a screen of its own; into a pipe
//! once. As with alerts, one thread asks and this one shows.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::fleet::{self, Agent, Wanted};
use super::{CONNECT, TICK, away, explain, table};
use crate::commands::screen::{self, Colours, Look, Size, fit};
use crate::commands::stop::Stop;
use crate::commands::{Format, now, output, status};
use crate::config::Settings;
use crate::store::Viewer;
use crate::store::reader::Fault;

/// How long one table may take.
const WITHIN: Duration = Duration::from_secs(25);
/// The alerts of an hour are counted so often.
const COUNT_EVERY: Duration = Duration::from_secs(30);
/// Ages move on.
const REFRESH: Duration = Duration::from_secs(1);
/// A screen of its own without a cursor, and back (`xterm`'s private modes 1049 and 25).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Which agents, and how often.
#[derive(Debug)]
pub struct Agents {
    /// Only with this status.
    pub status: Option<String>,
    /// Only of this site.
    pub site: Option<String>,
    /// How often the table is made anew.
    pub every: Duration,
}

impl Agents {
    /// Shows the table until somebody ends it; once where nobody watches.
    ///
    /// # Errors
    ///
    /// Settings; where it is shown once, also that MongoDB is away.
    pub fn run(&self, settings: &Settings, format: Format) -> Result<u8> {
        let viewer = Viewer::open(&settings.store, CONNECT).map_err(explain)?;
        let wanted = Wanted {
            status: self.status.clone(),
            site: self.site.clone(),
        };
        let mut reading = Reading {
            viewer,
            wanted,
            alerts: None,
            counted: None,
        };
        let terminal = screen::terminal();
        if format != Format::Text || terminal.is_none() {
            let agents = reading.agents().map_err(explain)?;
            print(&agents, format);
            return Ok(status::DONE);
        }
        let stop = Stop::on_signals().context("cannot watch for signals")?;
        let (to, tables) = sync_channel(1);
        let every = self.every.max(TICK);
        thread::spawn(move || reading.again_and_again(every, &to));
        watch(&tables, &stop, Colours::of(terminal), every)
    }
}

fn print(agents: &[Agent], format: Format) {
    if format == Format::Json {
        let all: Vec<Value> = agents.iter().map(Agent::to_json).collect();
        let text = serde_json::to_string_pretty(&all).unwrap_or_default();
        return output::painted(&screen::clean_json(&text));
    }
    for line in table::lines(agents, None, Colours::Off) {
        output::line(&line);
    }
}

/// What asks MongoDB.
struct Reading {
    viewer: Viewer,
    wanted: Wanted,
    alerts: Option<HashMap<(String, String), i64>>,
    counted: Option<Instant>,
}

impl Reading {
    fn agents(&mut self) -> Result<Vec<Agent>, Fault> {
        let reader = self.viewer.reader();
        if self.counted.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
            let hour = fleet::last_hour(reader, &self.wanted);
            self.alerts = self.viewer.wait(WITHIN, hour)?;
            self.counted = Some(Instant::now());
        }
        let table = fleet::read(reader, &self.wanted, self.alerts.as_ref());
        self.viewer.wait(WITHIN, table)
    }

    fn again_and_again(mut self, every: Duration, to: &SyncSender<Result<Vec<Agent>, Fault>>) {
        loop {
            if to.send(self.agents()).is_err() {
                return;
            }
            thread::sleep(every);
        }
    }
}

/// The screen of our own; the user has the one before again, however this ends.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Self> {
        screen::write(ENTER)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        screen::write(LEAVE).ok();
    }
}

/// What is on the screen.
#[derive(Default)]
struct Shown {
    agents: Vec<Agent>,
    is_read: bool,
    away: Option<String>,
}

fn watch(
    tables: &Receiver<Result<Vec<Agent>, Fault>>,
    stop: &Stop,
    colours: Colours,
    every: Duration,
) -> Result<u8> {
    let Ok(_screen) = Screen::enter() else {
        return Ok(status::DONE);
    };
    let mut shown = Shown::default();
    let mut painted: Option<(Size, Instant)> = None;
    while !stop.is_asked() && screen::is_read() {
        match tables.recv_timeout(TICK) {
            Ok(table) => {
                shown.take(table)?;
                painted = None;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the reading of MongoDB broke off"),
        }
        let Some(size) = screen::terminal() else {
            break;
        };
        let is_fresh = |(as_large, at): (Size, Instant)| as_large == size && at.elapsed() < REFRESH;
        if painted.is_some_and(is_fresh) {
            continue;
        }
        if screen::write(&shown.frame(size, colours, every)).is_err() {
            break;
        }
        painted = Some((size, Instant::now()));
    }
    Ok(status::DONE)
}

impl Shown {
    fn take(&mut self, table: Result<Vec<Agent>, Fault>) -> Result<()> {
        match table {
            Ok(agents) => {
                self.agents = agents;
                self.is_read = true;
                self.away = None;
            }
            Err(Fault::Settings(why)) => return Err(explain(Fault::Settings(why))),
            // The last table stays.
            Err(fault) => self.away = Some(away(&fault.to_string())),
        }
        Ok(())
    }

    fn frame(&self, size: Size, colours: Colours, every: Duration) -> String {
        let columns = size.columns - 1;
        let mut lines = vec![self.head(columns, colours, every), String::new()];
        lines.extend(table::lines(&self.agents, Some(columns), colours));
        let rows = size.rows - 1;
        if lines.len() > rows {
            let more = lines.len() - rows + 1;
            lines.truncate(rows - 1);
            lines.push(colours.paint(Look::Quiet, &format!("… and {more} more")));
        }
        let mut frame = String::from("\x1b[H");
        for line in lines {
            write!(frame, "{line}\x1b[K\r\n").ok();
        }
        frame + "\x1b[J"
    }

    fn head(&self, columns: usize, colours: Colours, every: Duration) -> String {
        if let Some(why) = &self.away {
            return colours.paint(Look::High, fit(why, columns).trim_end());
        }
        if !self.is_read {
            return fit("asking MongoDB", columns).trim_end().to_owned();
        }
        if self.agents.is_empty() {
            let none = "no agents; custom-mongo collect brings them in";
            return fit(none, columns).trim_end().to_owned();
        }
        let mut text = format!("{} agents", self.agents.len());
        let mut before = ":";
        for status in ["disconnected", "pending", "never_connected", "active"] {
            let count = self.agents.iter().filter(|agent| agent.status == status);
            let count = count.count();
            if count > 0 {
                write!(text, "{before} {count} {status}").ok();
                before = ",";
            }
        }
        let clock = super::alert::clock(now());
        write!(text, "   {clock} UTC   every {} s", every.as_secs_f32()).ok();
        fit(&text, columns).trim_end().to_owned()
    }
}
