//! What `watch alerts` shows: on a terminal lines that scroll above one that stays, with the counts
//! and how MongoDB is; elsewhere the lines alone.

use std::io;
use std::time::{Duration, Instant};

use super::alert::{self, Alert};
use super::counts::{Counts, RISKS, Tally};
use crate::commands::screen::{self, Colours, Look, Size, clean, clean_json, fit, width};
use crate::commands::{Format, now, output};
use crate::store::reader::{News, Record};

/// The line that stays is written anew so often.
const REFRESH: Duration = Duration::from_secs(1);

/// What is shown and what has been.
pub(super) struct View {
    form: Form,
    /// Whole lines that are not written yet.
    lines: String,
    counts: Counts,
    link: Link,
    began: Instant,
    /// The line that stays, as it was written, and when.
    staying: Option<(usize, Instant)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// On a terminal, with a line that stays.
    Painted(Colours),
    /// With tabs.
    Plain,
    /// A document a line.
    Json,
}

/// How MongoDB is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Link {
    Asked,
    There,
    Away(String),
}

impl View {
    pub(super) fn new(format: Format) -> Self {
        let terminal = screen::terminal();
        let form = match (format, terminal) {
            (Format::Json, _) => Form::Json,
            (Format::Text, Some(_)) => Form::Painted(Colours::of(terminal)),
            (Format::Text | Format::Quiet, _) => Form::Plain,
        };
        Self {
            form,
            lines: String::new(),
            counts: Counts::default(),
            link: Link::Asked,
            began: Instant::now(),
            staying: None,
        }
    }

    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Earlier(record) => {
                self.link(Link::There);
                self.line(&record);
            }
            News::New(record) => {
                self.link(Link::There);
                let risk = self.line(&record);
                self.counts.add(&risk, self.began.elapsed().as_secs());
            }
            News::Nothing => self.link(Link::There),
            News::Away(why) => self.link(Link::Away(clean(&why))),
            News::Missed => self
                .say("MongoDB's log does not reach back to the last alert: these are the newest"),
        }
    }

    /// Writes what is new.
    pub(super) fn show(&mut self) -> io::Result<()> {
        let Form::Painted(colours) = self.form else {
            let lines = std::mem::take(&mut self.lines);
            return screen::write(&lines);
        };
        let is_old = |(_, at): (usize, Instant)| at.elapsed() >= REFRESH;
        let size = screen::terminal().unwrap_or(Size {
            columns: 80,
            rows: 24,
        });
        if self.lines.is_empty() && !self.staying.is_none_or(is_old) {
            return Ok(());
        }
        let staying = self.status(size, colours);
        let text = format!(
            "{}{}{staying}",
            self.erase(size),
            std::mem::take(&mut self.lines)
        );
        // Nothing that stays reaches the last column: no terminal wraps it.
        let taken = width(&uncoloured(&staying));
        self.staying = Some((taken, Instant::now()));
        screen::write(&text)
    }

    /// Leaves the terminal with whole lines on it.
    pub(super) fn close(&mut self) {
        if let Form::Painted(_) = self.form
            && let Some(size) = screen::terminal()
        {
            // Nobody may be there to see it.
            screen::write(&self.erase(size)).ok();
        }
    }

    /// Takes the line that stays away. A window that has become narrower has wrapped it.
    fn erase(&self, size: Size) -> String {
        let taken = self.staying.map_or(0, |(taken, _)| taken);
        let above = taken.saturating_sub(1) / size.columns;
        let up = if above > 0 {
            format!("\x1b[{above}A")
        } else {
            String::new()
        };
        format!("\r{up}\x1b[J")
    }

    /// Adds an alert; gives its risk.
    fn line(&mut self, record: &Record) -> String {
        let json = alert::json(record);
        let alert = Alert::read(&json);
        let line = match self.form {
            Form::Json => clean_json(&json),
            Form::Plain => alert.plain(),
            Form::Painted(colours) => {
                let size = screen::terminal().unwrap_or(Size {
                    columns: 80,
                    rows: 24,
                });
                alert.painted(size, colours)
            }
        };
        self.lines.push_str(&line);
        self.lines.push('\n');
        alert.risk
    }

    /// A change is told at once: on the line that stays, or to stderr.
    fn link(&mut self, link: Link) {
        if self.link == link {
            return;
        }
        let before = std::mem::replace(&mut self.link, link);
        if let Form::Painted(_) = self.form {
            if let Some((_, at)) = &mut self.staying {
                *at = at.checked_sub(REFRESH).unwrap_or(*at);
            }
            return;
        }
        match (&before, &self.link) {
            (Link::Asked | Link::There, Link::Away(why)) => {
                output::error_line(&format!(
                    "custom-mongo: MongoDB is away: {why}; waiting for it"
                ));
            }
            (Link::Away(_), Link::There) => {
                output::error_line("custom-mongo: MongoDB is back");
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        match self.form {
            Form::Painted(colours) => {
                self.lines.push_str(&colours.paint(Look::Medium, text));
                self.lines.push('\n');
            }
            Form::Plain | Form::Json => output::error_line(&format!("custom-mongo: {text}")),
        }
    }

    /// How MongoDB is, what came in the last minute, what came in all.
    fn status(&self, size: Size, colours: Colours) -> String {
        let (look, link) = match &self.link {
            Link::Asked => (Look::Quiet, "asking MongoDB".to_owned()),
            Link::There => (Look::Good, "live".to_owned()),
            Link::Away(why) => (Look::High, format!("MongoDB is away: {why}; waiting")),
        };
        let minute = self.counts.last_minute(self.began.elapsed().as_secs());
        let rest = format!(
            "  {} UTC  last minute {}  in all {}",
            alert::clock(now()),
            tally(&minute),
            tally(&self.counts.total)
        );
        let room = size.columns.saturating_sub(1);
        let link = match width(&link) {
            long if long > room => fit(&link, room),
            _ => link,
        };
        let left = room.saturating_sub(width(&link));
        let rest = if width(&rest) > left {
            fit(&rest, left)
        } else {
            rest
        };
        format!(
            "{}{}",
            colours.paint(look, &link),
            colours.paint(Look::Quiet, &rest)
        )
    }
}

/// `38: 2 critical, 5 high, 31 low`.
fn tally(tally: &Tally) -> String {
    let sum: u64 = tally.iter().sum();
    let parts = RISKS.iter().zip(tally).filter(|(_, count)| **count > 0);
    let parts: Vec<_> = parts
        .map(|(risk, count)| format!("{count} {risk}"))
        .collect();
    if parts.is_empty() {
        return sum.to_string();
    }
    format!("{sum}: {}", parts.join(", "))
}

/// The text without our own colours.
fn uncoloured(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_stays_fits_whatever_it_says() {
        let mut view = View::new(Format::Text);
        for risk in RISKS {
            view.counts.add(risk, 0);
        }
        for link in [Link::There, Link::Away("no answer ".repeat(30))] {
            view.link = link;
            for columns in 20..200 {
                let size = Size { columns, rows: 24 };
                let line = view.status(size, Colours::On);
                assert!(width(&uncoloured(&line)) < columns, "{line}");
            }
        }
    }

    #[test]
    fn a_line_that_was_wrapped_is_taken_away_whole() {
        let mut view = View::new(Format::Text);
        view.staying = Some((99, Instant::now()));
        assert_eq!(
            view.erase(Size {
                columns: 100,
                rows: 24
            }),
            "\r\x1b[J"
        );
        assert_eq!(
            view.erase(Size {
                columns: 40,
                rows: 24
            }),
            "\r\x1b[2A\x1b[J"
        );
    }
}
