//! Section `delivery`: which way, and how long.

use std::time::Duration;

use serde::Deserialize;

use crate::setting::Span;

/// Section `delivery`: how long a call may take, and which way it goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which way alerts go.
    pub mode: Mode,
    /// What one alert may take at most, the spool included.
    pub deadline: Span,
    /// While MongoDB is away, how often one call tries it again.
    pub probe_every: Span,
    /// For how long such a try may last.
    pub probe_timeout: Span,
    /// With `auto`, how long `serve` may take over an alert before the call goes its own way; at least
    /// 20 ms, and at most two fifths of the deadline.
    pub relay_timeout: Span,
}

/// Which way alerts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// To a `serve` that runs on this host with the same settings, else as `direct`.
    Auto,
    /// Straight to MongoDB, into the spool when that fails.
    Direct,
    /// Always into the spool; something else drains it.
    Spool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            deadline: Span(Duration::from_secs(2)),
            probe_every: Span(Duration::from_secs(10)),
            probe_timeout: Span(Duration::from_millis(250)),
            relay_timeout: Span(Duration::from_millis(500)),
        }
    }
}
