//! The terminal: its size, its colours, and what of other people's text may reach it.

use std::io::{self, IsTerminal, Write, stdout};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use terminal_size::{Height, Width, terminal_size_of};

mod text;

pub(crate) use text::clean;
pub(super) use text::{ago, bytes, clean_json, clean_lines, fit, is_hostile, width};

/// How large a terminal is that does not say it.
pub(super) const USUAL: Size = Size {
    columns: 80,
    rows: 24,
};

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    On,
    Off,
}

/// What a text says, and so how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Critical,
    High,
    Medium,
    Low,
    Good,
    Quiet,
    Head,
}

/// The terminal that stdout is, as large as it is now; none if it is a file or a pipe, or a terminal
/// that cannot move its cursor.
pub(super) fn terminal() -> Option<Size> {
    let is_dumb = std::env::var_os("TERM").is_some_and(|kind| kind == "dumb");
    if is_dumb || !stdout().is_terminal() {
        return None;
    }
    let size = |(Width(columns), Height(rows))| Size {
        columns: usize::from(columns).max(20),
        rows: usize::from(rows).max(4),
    };
    Some(terminal_size_of(stdout()).map_or(USUAL, size))
}

/// Whether somebody still reads what is written.
pub(super) fn is_read() -> bool {
    let out = stdout();
    let mut out = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let broken = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    match poll(&mut out, PollTimeout::ZERO) {
        Ok(1..) => !out
            .iter()
            .any(|out| out.revents().is_some_and(|seen| seen.intersects(broken))),
        _ => true,
    }
}

/// Writes at once, in one piece.
pub(super) fn write(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

impl Colours {
    /// On a terminal, unless the user wants none (<https://no-color.org>).
    pub(super) fn of(terminal: Option<Size>) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if terminal.is_some() && !unwanted {
            Self::On
        } else {
            Self::Off
        }
    }

    /// The text as it looks (SGR of ECMA-48).
    pub(super) fn paint(self, look: Look, text: &str) -> String {
        if self == Self::Off || text.is_empty() {
            return text.to_owned();
        }
        let code = match look {
            Look::Critical => "1;97;41",
            Look::High => "1;31",
            Look::Medium => "33",
            Look::Low => "36",
            Look::Good => "32",
            Look::Quiet => "2",
            Look::Head => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

impl Look {
    /// How a risk looks, by its name.
    pub(super) fn of_risk(risk: &str) -> Self {
        match risk {
            "critical" => Self::Critical,
            "high" => Self::High,
            "medium" => Self::Medium,
            _ => Self::Low,
        }
    }
}
