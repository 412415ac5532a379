//! `watch alerts`: one thread asks MongoDB, this one shows, so that a MongoDB that hangs holds up
//! neither the window nor Ctrl-C.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::view::View;
use super::{CONNECT, TICK, explain};
use crate::alert::When;
use crate::commands::stop::Stop;
use crate::commands::{Format, now, screen, status};
use crate::config::Settings;
use crate::store::Viewer;
use crate::store::reader::{AlertFilter, Fault, Live, News};

/// Shown first, unless something else is asked for.
const FIRST: u64 = 20;
const FIRST_SINCE: u64 = 1000;
/// Longer than any answer of MongoDB is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// News that wait to be shown; behind them MongoDB waits.
const QUEUE: usize = 1000;

/// What is watched.
#[derive(Debug)]
pub struct Alerts {
    /// Which alerts, whatever their time.
    pub filter: AlertFilter,
    /// Those that are there: only of this time and later.
    pub since: Option<When>,
    /// How many of those that are there.
    pub last: Option<u64>,
}

impl Alerts {
    /// Shows alerts until somebody ends it or reads no more.
    ///
    /// # Errors
    ///
    /// Settings, or a question that MongoDB refuses. That MongoDB is away is shown, and waited for.
    pub fn run(&self, settings: &Settings, format: Format) -> Result<u8> {
        let stop = Stop::on_signals().context("cannot watch for signals")?;
        let (to, news) = sync_channel(QUEUE);
        let viewer = Viewer::open(&settings.store, CONNECT).map_err(explain)?;
        let live = self.live(&viewer, settings);
        thread::spawn(move || read(&viewer, live, &to));
        let mut view = View::new(format);
        let shown = show(&news, &stop, &mut view);
        view.close();
        shown
    }

    fn live(&self, viewer: &Viewer, settings: &Settings) -> Live {
        let bands = &settings.enrich.risk;
        let words = self.filter.level_min.map(|least| bands.words_from(least));
        let filter = AlertFilter {
            level_words: words.unwrap_or_default(),
            since: self.since.map(|since| since.from(now())),
            ..self.filter.clone()
        };
        let usual = if self.since.is_some() {
            FIRST_SINCE
        } else {
            FIRST
        };
        viewer.reader().live(&filter, self.last.unwrap_or(usual))
    }
}

/// Asks until nobody takes the answers.
fn read(viewer: &Viewer, mut live: Live, to: &SyncSender<Result<News, Fault>>) {
    loop {
        let news = match viewer.wait(PATIENCE, live.next()) {
            Err(Fault::Unavailable(why)) => Ok(News::Away(why)),
            Err(fault @ Fault::IndexPending) => Ok(News::Away(fault.to_string())),
            other => other,
        };
        let is_over = news.is_err();
        if to.send(news).is_err() || is_over {
            return;
        }
    }
}

fn show(news: &Receiver<Result<News, Fault>>, stop: &Stop, view: &mut View) -> Result<u8> {
    while !stop.is_asked() && screen::is_read() {
        match news.recv_timeout(TICK) {
            Ok(first) => {
                view.take(first.map_err(explain)?);
                for more in news.try_iter().take(QUEUE) {
                    view.take(more.map_err(explain)?);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the reading of MongoDB broke off"),
        }
        // A reader that has gone away is an end like any other.
        if view.show().is_err() {
            break;
        }
    }
    Ok(status::DONE)
}
