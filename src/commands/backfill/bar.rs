//! How far a run is: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::alerts_log::Archive;
use crate::commands::Format;

/// gzip makes about so much of Wazuh's JSON (measured: 8 to 14).
const COMPRESSION: u64 = 10;
const LOOK: &str = "{bar:30} {percent}%  {msg}  {elapsed} gone, {eta} left";

pub(super) struct Bar {
    shown: ProgressBar,
    /// Text behind the files that are done, by estimate.
    done: u64,
    current: u64,
}

impl Bar {
    pub(super) fn new(archives: &[Archive], format: Format) -> Self {
        let total = archives.iter().map(text).sum();
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if format != Format::Text || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template(LOOK) {
            bar.set_style(style);
        }
        Self {
            shown: bar,
            done: 0,
            current: 0,
        }
    }

    /// A file begins.
    pub(super) fn file(&mut self, archive: &Archive) {
        self.done += self.current;
        self.current = text(archive);
    }

    /// So much of the file's text has been read, and so many alerts in all.
    pub(super) fn show(&self, offset: u64, read: u64) {
        let seconds = self.shown.elapsed().as_secs().max(1);
        self.shown
            .set_position(self.done + offset.min(self.current));
        self.shown
            .set_message(format!("{read} alerts, {}/s", read / seconds));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.shown.finish_and_clear();
    }
}

fn text(archive: &Archive) -> u64 {
    if archive.compressed {
        archive.size.saturating_mul(COMPRESSION)
    } else {
        archive.size
    }
}
