//! What `watch alerts` shows: on a terminal lines that scroll above one that stays, with the counts
//! and how MongoDB is; elsewhere the lines alone.

use std::io;
use std::time::{Duration, Instant};

use super::alert::{self, Alert};
use super::away;
use super::counts::{Counts, RISKS, Tally};
use crate::commands::screen::{self, Colours, Look, Size, clean_json, fit, width};
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
    staying: Option<Staying>,
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

/// The line that stays, as it was written.
#[derive(Debug, Clone, Copy)]
struct Staying {
    columns: usize,
    window: Size,
    at: Instant,
    is_true: bool,
}

/// How MongoDB is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Link {
    Asked,
    There,
    Away(String),
}

impl Staying {
    /// Whether it need not be written anew.
    fn stands(&self, size: Size) -> bool {
        self.is_true && self.window == size && self.at.elapsed() < REFRESH
    }
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
            News::Away(why) => self.link(Link::Away(away(&why))),
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
        let size = window();
        if self.lines.is_empty() && self.staying.is_some_and(|staying| staying.stands(size)) {
            return Ok(());
        }
        let staying = self.status(size, colours);
        let lines = std::mem::take(&mut self.lines);
        let text = format!("{}{lines}{staying}", self.erase(size));
        self.staying = Some(Staying {
            // Nothing that stays reaches the last column: no terminal wraps it.
            columns: width(&uncoloured(&staying)),
            window: size,
            at: Instant::now(),
            is_true: true,
        });
        screen::write(&text)
    }

    /// Leaves the terminal with whole lines on it.
    pub(super) fn close(&mut self) {
        if let Form::Painted(_) = self.form {
            // Nobody may be there to see it.
            screen::write(&self.erase(window())).ok();
        }
    }

    /// Takes the line that stays away. A window that has become narrower has wrapped it.
    fn erase(&self, size: Size) -> String {
        let taken = self.staying.map_or(0, |staying| staying.columns);
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
            Form::Painted(colours) => alert.painted(window(), colours),
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
            if let Some(staying) = &mut self.staying {
                staying.is_true = false;
            }
            return;
        }
        match (&before, &self.link) {
            (Link::Asked | Link::There, Link::Away(why)) => {
                output::error_line(&format!("custom-mongo: {why}"));
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
            Link::Away(why) => (Look::High, why.clone()),
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

/// As large as it is now.
fn window() -> Size {
    screen::terminal().unwrap_or(screen::USUAL)
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
        let window = Size {
            columns: 100,
            rows: 24,
        };
        view.staying = Some(Staying {
            columns: 99,
            window,
            at: Instant::now(),
            is_true: true,
        });
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
