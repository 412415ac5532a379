//! How many alerts wait in the spool of that host.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::commands::install::host::Host;

/// Alerts that wait in the spool, for whatever destination; None if that cannot be told. Asked as the
/// user who may write there, since what lies there is his.
pub(super) fn waiting(host: &Host) -> Option<u64> {
    let mut command = Command::new("/proc/self/exe");
    command
        .args([
            "--config",
            "/dev/null",
            "spool",
            "status",
            "--format",
            "json",
        ])
        .env_clear()
        .env(
            "CUSTOM_MONGO_STATE_DIR",
            host.layout.here(&host.layout.state()),
        )
        .current_dir("/");
    if let Some((user, group)) = host.wazuhs(0).owner {
        command.uid(user).gid(group);
    }
    let output = command.stdin(Stdio::null()).output().ok()?;
    let status: Value = serde_json::from_slice(&output.stdout).ok()?;
    let destinations = status.get("destinations")?.as_array()?;
    let pending = |one: &Value| one.get("pending").and_then(Value::as_u64);
    Some(destinations.iter().filter_map(pending).sum())
}
