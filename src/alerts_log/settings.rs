//! Section `follow`.

use std::path::PathBuf;

use serde::Deserialize;

/// Section `follow`: alerts.json live.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The live file; `logs/alerts/alerts.json` under the Wazuh home unless set.
    pub file: Option<PathBuf>,
}
