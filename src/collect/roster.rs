//! `roster-SITE.json` in the state folder: which groups an agent is in, for the hook, which asks nobody.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;

use super::holder::file_name;
use crate::alert::time::rfc3339;
use crate::inventory::Agent;

/// Writes the file anew: `{"site", "refreshed_at", "agents": {"001": ["default", …], …}}`. Readers
/// see the old one or the new one.
pub(super) fn write(state: &Path, site: &str, agents: &[Agent], now: i64) -> io::Result<()> {
    let groups = agents.iter().filter(|agent| !agent.is_manager());
    let groups: BTreeMap<_, _> = groups
        .map(|agent| (agent.id.as_str(), &agent.groups))
        .collect();
    let content = json!({ "site": site, "refreshed_at": rfc3339(now), "agents": groups });
    let path = state.join(format!("roster-{}.json", file_name(site)));
    let fresh = path.with_extension("json.new");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(content.to_string().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}
