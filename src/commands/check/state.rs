//! The state folder and what waits in it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{AccessFlags, Uid, access, geteuid};

use super::Reached;
use super::finding::Findings;
use super::place::{Place, quoted};
use crate::commands::now;
use crate::commands::spool::{age, others};
use crate::config::Settings;
use crate::delivery::{Breaker, Mode, UNASSIGNED};
use crate::spool::{Spool, Status};

/// In the mode `spool` alerts wait for the next drain, and with `serve` for its next round: only
/// older ones are a fault.
const DRAINED_WITHIN_MS: i64 = 3_600_000;
const SERVED_WITHIN_MS: i64 = 60_000;

/// Whether the hook can use its state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usable {
    Yes,
    No,
}

/// Whether the folder is there, or can be made, and is the hook's own. If not, nothing can be said of
/// what is in it.
pub(super) fn check_folder(findings: &mut Findings, place: &Place) -> Usable {
    let before = findings.faults();
    look_at_folder(findings, place);
    if findings.faults() == before {
        Usable::Yes
    } else {
        Usable::No
    }
}

fn look_at_folder(findings: &mut Findings, place: &Place) {
    findings.enter("state");
    let state = place.home.state();
    let shown = state.display();
    let meta = match fs::symlink_metadata(state) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            let detail = format!("{shown} is no folder");
            let fix = format!("rm {} && {}", quoted(state), make(place));
            return findings.bad("state folder", detail, fix);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return check_parent(findings, place),
        Err(error) => {
            return findings.bad("state folder", format!("{shown}: {error}"), open_way(place));
        }
    };
    let wazuh = place.wazuh().map(|(uid, _)| uid);
    let owner = Uid::from_raw(meta.uid());
    let fault = if wazuh.is_some_and(|wazuh| wazuh != owner) {
        let user = place.user(owner);
        format!("it belongs to {user}, and the user that Wazuh runs as is locked out")
    } else if meta.mode() & 0o022 != 0 {
        "others can write it".to_owned()
    } else if meta.mode() & 0o700 != 0o700 {
        "its owner cannot use it".to_owned()
    } else if is_closed(state, wazuh) {
        "it cannot be written: is the disk mounted read-only?".to_owned()
    } else {
        return findings.good("state folder", shown.to_string());
    };
    let (path, owner) = (quoted(state), place.user_and_group());
    let fix = format!("chown -hR {owner} {path} && chmod 0700 {path}");
    findings.bad("state folder", format!("{shown}: {fault}"), fix);
}

/// What the system says, if we are the one whom it will say it to.
fn is_closed(path: &Path, wazuh: Option<Uid>) -> bool {
    let is_us = wazuh.is_none_or(|wazuh| wazuh == geteuid());
    is_us && access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_err()
}

fn check_parent(findings: &mut Findings, place: &Place) {
    let state = place.home.state();
    let mut parents = state.ancestors().skip(1);
    let parent = parents.find(|path| path.exists()).unwrap_or(state);
    let wazuh = place.wazuh().map(|(uid, _)| uid);
    let open = fs::metadata(parent).is_ok_and(|meta| place.wazuh_has(&meta, 3));
    if open && !is_closed(parent, wazuh) {
        let detail = format!("{} is made with the first alert", state.display());
        return findings.good("state folder", detail);
    }
    let detail = format!(
        "{} is not there and cannot be made in {}",
        state.display(),
        parent.display()
    );
    findings.bad("state folder", detail, make(place));
}

/// What can be seen of the way to the state folder ends where it is closed, or at a file.
fn open_way(place: &Place) -> String {
    let mut above = place.home.state().ancestors().skip(1);
    match above.find_map(|path| Some((path, fs::symlink_metadata(path).ok()?))) {
        Some((closed, meta)) if meta.is_dir() => place.give(closed, "g+rx"),
        Some((file, _)) => format!("rm {} && {}", quoted(file), make(place)),
        None => make(place),
    }
}

/// The command that gives back whatever is in it.
pub(super) fn reopen(place: &Place) -> String {
    let (path, owner) = (quoted(place.home.state()), place.user_and_group());
    format!("chmod -R u+rwX {path} && chown -hR {owner} {path}")
}

fn make(place: &Place) -> String {
    let (path, owner) = (quoted(place.home.state()), place.user_and_group());
    format!("mkdir -p {path} && chown -h {owner} {path} && chmod 0700 {path}")
}

/// What waits, for whom and for how long. Where MongoDB cannot be reached that is a consequence.
pub(super) fn check_spool(
    findings: &mut Findings,
    settings: &Settings,
    place: &Place,
    mongodb: Reached,
) {
    findings.enter("spool");
    let Ok(destination) = settings.store.destination() else {
        return;
    };
    let spool = Spool::new(place.home.state(), &destination, &settings.spool);
    for spool in [&spool, &spool.sibling(UNASSIGNED)] {
        match spool.status() {
            Ok(status) => check_pending(findings, settings, place, spool, &status, mongodb),
            Err(error) => {
                findings.bad("spool", error.to_string(), reopen(place));
            }
        }
    }
    match others(&settings.spool, &place.home, Some(&destination)) {
        Ok(others) => {
            for other in others {
                let fix = place.command(&format!("spool drain --from {}", other.destination()));
                findings.bad("spool", other.describe(), fix);
            }
        }
        Err(error) => findings.bad("spool", error.to_string(), reopen(place)),
    }
    let breaker = Breaker::of(spool.folder());
    if breaker.is_open() && mongodb == Reached::Yes {
        let reason = breaker.reason().unwrap_or_default();
        let detail =
            format!("still open, {reason}; it closes with the next call that asks MongoDB");
        findings.note("breaker", detail);
    }
}

fn check_pending(
    findings: &mut Findings,
    settings: &Settings,
    place: &Place,
    spool: &Spool,
    status: &Status,
    mongodb: Reached,
) {
    let is_own = !spool.folder().ends_with(UNASSIGNED);
    if is_own {
        check_room(findings, settings, place, spool, status);
    }
    let oldest = status.oldest_ms.unwrap_or_else(now);
    let (pending, waiting) = (status.pending, now() - oldest);
    let detail = format!("{pending} alerts wait, the oldest for {}", age(oldest));
    let patience = match settings.delivery.mode {
        Mode::Spool => DRAINED_WITHIN_MS,
        _ if super::serve::is_there(settings, &place.home) => SERVED_WITHIN_MS,
        _ => 0,
    };
    if pending == 0 {
        if is_own {
            findings.good("spool", "empty");
        }
    } else if mongodb == Reached::No {
        findings.note("spool", format!("{detail}; they go when MongoDB is there"));
    } else if waiting >= patience {
        findings.bad("spool", detail, place.command("spool drain"));
    } else {
        findings.good("spool", detail);
    }
    if status.dead > 0 {
        let detail = format!(
            "{} alerts that MongoDB does not take, or that are none",
            status.dead
        );
        findings.advise("dead letters", detail, place.command("spool dead list"));
    }
}

/// A full spool refuses alerts, and they are lost.
fn check_room(
    findings: &mut Findings,
    settings: &Settings,
    place: &Place,
    spool: &Spool,
    status: &Status,
) {
    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    let room = mebibytes(status.room);
    if !spool.is_full(status) {
        return findings.good("spool room", format!("{room} before it is full"));
    }
    let state = place.home.state();
    let free = mebibytes(status.disk_free);
    let by_size = status.bytes_on_disk.saturating_add(status.max_size / 4) >= status.max_size;
    if by_size && status.pending > 0 {
        let detail = format!("full: {room} left of {}", mebibytes(status.max_size));
        findings.bad("spool room", detail, place.command("spool drain"));
    } else if by_size {
        let detail = format!("full: {} hold {room}", mebibytes(status.max_size));
        findings.bad("spool room", detail, "raise spool.max_size");
    } else {
        let reserve = settings.spool.disk_reserve.0;
        let detail = format!(
            "full: {free} are free on the disk of {}, and {reserve} % of it stay for others",
            state.display()
        );
        let fix = "make room on that disk, or lower spool.disk_reserve";
        findings.bad("spool room", detail, fix);
    }
}
