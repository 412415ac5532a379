//! What a check finds, and how it is printed.

use serde_json::{Value, json};

use crate::commands::{Format, output};

/// One precondition.
struct Finding {
    room: &'static str,
    name: &'static str,
    level: Level,
    detail: String,
    fix: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Good,
    Note,
    Fault,
}

/// All of them, in the order in which they were made: a cause stands before what follows from it.
#[derive(Default)]
pub(super) struct Findings {
    room: &'static str,
    all: Vec<Finding>,
}

impl Findings {
    /// What follows belongs together under this heading.
    pub(super) fn enter(&mut self, room: &'static str) {
        self.room = room;
    }

    /// It holds.
    pub(super) fn good(&mut self, name: &'static str, detail: impl Into<String>) {
        self.push(name, Level::Good, detail.into(), None);
    }

    /// No fault, but an administrator should know.
    pub(super) fn note(&mut self, name: &'static str, detail: impl Into<String>) {
        self.push(name, Level::Note, detail.into(), None);
    }

    /// As `note`, with what could be done.
    pub(super) fn advise(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(name, Level::Note, detail.into(), Some(fix.into()));
    }

    /// It does not hold, and this mends it.
    pub(super) fn bad(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(name, Level::Fault, detail.into(), Some(fix.into()));
    }

    fn push(&mut self, name: &'static str, level: Level, detail: String, fix: Option<String>) {
        // Servers and files have a say in these texts; a terminal is to show them and no more.
        let plain = |text: String| text.chars().filter(|c| !c.is_control()).collect();
        self.all.push(Finding {
            room: self.room,
            name,
            level,
            detail: plain(detail),
            fix: fix.map(plain),
        });
    }

    /// Takes those of one among several, with its name in front.
    pub(super) fn absorb(&mut self, of: &str, others: Self) {
        let room = self.room;
        let named = |mut finding: Finding| {
            finding.room = room;
            finding.detail = format!("{of}: {}", finding.detail);
            finding
        };
        self.all.extend(others.all.into_iter().map(named));
    }

    /// Whether any does not hold.
    pub(super) fn failed(&self) -> bool {
        self.count(Level::Fault) > 0
    }

    /// How many faults there are so far.
    pub(super) fn faults(&self) -> usize {
        self.count(Level::Fault)
    }

    fn count(&self, level: Level) -> usize {
        self.all.iter().filter(|one| one.level == level).count()
    }

    /// Prints them.
    pub(super) fn print(&self, format: Format) {
        match format {
            Format::Json => output::json(&self.to_json()),
            Format::Text => {
                self.print_lines(Level::Good);
                output::line(&self.sum());
            }
            Format::Quiet if self.failed() => {
                self.print_lines(Level::Fault);
                output::line(&self.sum());
            }
            Format::Quiet => {}
        }
    }

    fn to_json(&self) -> Value {
        let checks: Vec<Value> = self.all.iter().map(Finding::to_json).collect();
        json!({
            "ok": !self.failed(),
            "faults": self.faults(),
            "notes": self.count(Level::Note),
            "checks": checks,
        })
    }

    /// Those of this level, or all of them, under their headings.
    fn print_lines(&self, only: Level) {
        let shown = |one: &&Finding| only == Level::Good || one.level == only;
        let widths = self.all.iter().map(|one| one.label().chars().count());
        let width = widths.max().unwrap_or(0);
        let mut room = "";
        for one in self.all.iter().filter(shown) {
            if one.room != room {
                room = one.room;
                output::line(room);
            }
            one.print(width);
        }
    }

    fn sum(&self) -> String {
        let counted = |count: usize, what: &str| match count {
            0 => format!("no {what}s"),
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        let (faults, notes) = (self.faults(), self.count(Level::Note));
        let mut sum = counted(faults, "fault");
        if notes > 0 {
            sum += ", ";
            sum += &counted(notes, "note");
        }
        match faults {
            0 => sum,
            1 => sum + "; mend it and check again",
            _ => sum + "; mend them from the top: the first may be the cause of others",
        }
    }
}

impl Finding {
    /// The name without the heading that it stands under.
    fn label(&self) -> &'static str {
        let label = self.name.strip_prefix(self.room);
        let label = label.map_or(self.name, str::trim_start);
        if label.is_empty() { self.name } else { label }
    }

    fn print(&self, width: usize) {
        let mark = match self.level {
            Level::Good => '✓',
            Level::Note => '!',
            Level::Fault => '✗',
        };
        output::line(&format!(
            "  {mark} {:<width$}  {}",
            self.label(),
            self.detail
        ));
        if let Some(fix) = &self.fix {
            output::line(&format!("    {:<width$}  → {fix}", ""));
        }
    }

    fn to_json(&self) -> Value {
        let level = match self.level {
            Level::Good => "good",
            Level::Note => "note",
            Level::Fault => "fault",
        };
        json!({
            "room": self.room,
            "name": self.name,
            "ok": self.level != Level::Fault,
            "level": level,
            "detail": self.detail,
            "fix": self.fix,
        })
    }
}
