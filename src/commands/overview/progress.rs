//! How far `follow` and `backfill` have come, from what they keep. Nothing of it is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::{field, locks};
use crate::alert::time::{parse, rfc3339};
use crate::alerts_log::{Checkpoint, Piece, Start, Tail};
use crate::commands::{feeding, now};
use crate::config::Settings;
use crate::home::Home;

/// A run writes its place every second.
const STILL_RUNNING: Duration = Duration::from_secs(10);

/// Each file that is followed into this MongoDB.
pub(super) fn follow(settings: &Settings, home: &Home) -> Vec<Value> {
    let Ok(destination) = settings.store.destination() else {
        return Vec::new();
    };
    let folder = feeding::folder(home, "follow", &destination);
    let live = settings.follow.file.clone();
    let live = live.or_else(|| feeding::alerts_json(home));
    kept(&folder)
        .iter()
        .map(|file| of_file(file, live.as_deref()))
        .collect()
}

fn of_file(kept: &Path, live: Option<&Path>) -> Value {
    let is_running = locks::is_held(&kept.with_extension("lock"));
    let checkpoint = match Checkpoint::load(kept) {
        Ok(Some(checkpoint)) => checkpoint,
        Ok(None) => return json!({ "file": null, "running": is_running, "error": null }),
        Err(error) => {
            let error = error.to_string();
            return json!({ "file": null, "running": is_running, "error": error });
        }
    };
    let named = live.filter(|live| is_of(kept, live));
    let file = named.map_or_else(|| PathBuf::from(&checkpoint.file), Path::to_owned);
    let written = fs::metadata(kept).and_then(|meta| meta.modified()).ok();
    let written = written.and_then(|at| at.elapsed().ok());
    let written = written.map(|age| now() - i64::try_from(age.as_millis()).unwrap_or(0));
    let (reading, offset) = (checkpoint.file.clone(), checkpoint.offset);
    let (bytes, seconds, error) = match behind(&file, checkpoint) {
        Ok((bytes, seconds)) => (Some(bytes), seconds, None),
        Err(error) => (None, None, Some(error)),
    };
    json!({
        "file": file.display().to_string(),
        "running": is_running,
        "reading": reading,
        "offset": offset,
        "kept_at": written.map(rfc3339),
        "behind_bytes": bytes,
        "behind_seconds": seconds,
        "error": error,
    })
}

/// The name of a checkpoint stands for the file that is followed.
fn is_of(kept: &Path, live: &Path) -> bool {
    let folder = live.parent().and_then(|folder| folder.canonicalize().ok());
    let live = match (folder, live.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => live.to_owned(),
    };
    let name = feeding::short_hash(live.as_os_str().as_encoded_bytes());
    kept.file_stem().is_some_and(|stem| stem == name.as_str())
}

/// Bytes that are not read, and how old the first alert among them is. The latter is not looked for
/// in a compressed file, which would have to be read from its beginning.
fn behind(live: &Path, checkpoint: Checkpoint) -> Result<(u64, Option<i64>), String> {
    let kind = Path::new(&checkpoint.file).extension();
    let is_packed = kind.is_some_and(|kind| kind == "gz");
    let offset = checkpoint.offset;
    let is_live = Path::new(&checkpoint.file) == live;
    let size = fs::metadata(live).map(|meta| meta.len());
    if is_packed {
        return Ok((size.unwrap_or(0), None));
    }
    let mut tail = Tail::open(live, Start::At(checkpoint)).map_err(|error| error.to_string())?;
    let first = match tail.next() {
        Ok(Some((Piece::Line(alert), _))) => time_of(alert),
        Ok(_) => None,
        Err(error) => return Err(error.to_string()),
    };
    // Before the first piece was given out: that one counts as not read.
    let bytes = match (size, is_live) {
        (Ok(size), true) if size >= offset => size - offset,
        _ => tail.lag().map_or(0, |lag| lag.bytes),
    };
    let seconds = match first {
        Some(at) => Some(now().saturating_sub(at).max(0) / 1000),
        None if bytes == 0 => Some(0),
        None => None,
    };
    Ok((bytes, seconds))
}

fn time_of(line: &[u8]) -> Option<i64> {
    let alert: Value = serde_json::from_slice(line).ok()?;
    parse(alert.get("timestamp")?.as_str()?)
}

/// Runs of `backfill` that are under way, or were stopped and can be gone on with.
pub(super) fn backfill(settings: &Settings, home: &Home) -> Vec<Value> {
    let Ok(destination) = settings.store.destination() else {
        return Vec::new();
    };
    let folder = feeding::folder(home, "backfill", &destination);
    let row = |file: &PathBuf| {
        let text = fs::read(file).ok()?;
        let progress: Value = serde_json::from_slice(&text).ok()?;
        let age = fs::metadata(file).and_then(|meta| meta.modified()).ok()?;
        let age = age.elapsed().unwrap_or_default();
        let at = now() - i64::try_from(age.as_millis()).unwrap_or(0);
        Some(json!({
            "running": age < STILL_RUNNING,
            "files_done": field(&progress, "done").as_array().map_or(0, Vec::len),
            "file": field(field(&progress, "current"), "path"),
            "offset": field(&progress, "offset"),
            "kept_at": rfc3339(at),
        }))
    };
    kept(&folder).iter().filter_map(row).collect()
}

fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .collect();
    files.sort();
    files
}
