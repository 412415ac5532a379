//! The ways by which alerts arrive, and how each is written down.

/// By which way an alert arrived, `_source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// wazuh-integratord called us.
    Hook,
    /// A line of alerts.json, live.
    Follow,
    /// A line of alerts.json or one of its archives, after the fact.
    Backfill,
    /// Posted to `serve`.
    Webhook,
    /// Replayed by hand with `--test`.
    Test,
    /// The built-in sample of `--test`: its document expires after an hour.
    Sample,
}

impl Source {
    /// The value of `_source`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Follow => "follow",
            Self::Backfill => "backfill",
            Self::Webhook => "webhook",
            Self::Test | Self::Sample => "test",
        }
    }

    /// The byte that stands for it in the spool.
    pub fn code(self) -> u8 {
        match self {
            Self::Hook => 1,
            Self::Test => 2,
            Self::Sample => 3,
            Self::Follow => 4,
            Self::Backfill => 5,
            Self::Webhook => 6,
        }
    }

    /// The source that a byte in the spool stands for; an unknown one came by the hook's way.
    pub fn of_code(code: u8) -> Self {
        match code {
            2 => Self::Test,
            3 => Self::Sample,
            4 => Self::Follow,
            5 => Self::Backfill,
            6 => Self::Webhook,
            _ => Self::Hook,
        }
    }
}
