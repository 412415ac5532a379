//! What has to run again and again, or all the time: the collection, the drain, `follow`. Seen in
//! the files of cron and systemd, so that an image can be looked at as well.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::finding::Findings;
use super::place::{Place, quoted};
use super::serve;
use crate::config::Settings;

const COLLECT: &str = "custom-mongo-collect.timer";
const DRAIN: &str = "custom-mongo-drain.timer";
const FOLLOW: &str = "custom-mongo-follow.service";
/// Where packages put units.
const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];
/// A run so long ago shows that something starts it.
const RECENT: Duration = Duration::from_secs(24 * 3600);
/// `follow` keeps its place twice a second while alerts come.
const BEHIND: Duration = Duration::from_secs(600);

/// What systemd is told about a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Absent,
    Disabled,
    Enabled,
}

/// Looks a unit up.
pub(super) fn unit(place: &Place, name: &str) -> Unit {
    let layout = &place.layout;
    let own = layout.unit(name);
    let packaged = PACKAGED.map(|folder| Path::new(folder).join(name));
    let mut places = packaged.into_iter().chain([own.clone()]);
    if !places.any(|path| layout.here(&path).exists()) {
        return Unit::Absent;
    }
    // `systemctl enable` makes a link in the folder of what wants the unit.
    let folder = own.parent().unwrap_or(&own).to_owned();
    let wanted = [
        "multi-user.target.wants",
        "timers.target.wants",
        "wazuh-manager.service.wants",
    ];
    let mut links = wanted.iter().map(|wants| folder.join(wants).join(name));
    // The link leads to where the host sees the unit, not to where we do.
    if links.any(|link| fs::symlink_metadata(layout.here(&link)).is_ok()) {
        Unit::Enabled
    } else {
        Unit::Disabled
    }
}

/// The command that starts a unit with the host, also with one that does not run.
pub(super) fn enable(place: &Place, name: &str) -> String {
    if place.layout.is_this_host() {
        return format!("systemctl enable --now {name}");
    }
    let root = quoted(place.layout.root());
    format!("systemctl --root {root} enable {name}")
}

/// Who brings the alerts where no block in ossec.conf does.
pub(super) fn alerts_by(place: &Place) -> Option<&'static str> {
    match unit(place, FOLLOW) {
        Unit::Enabled => Some("custom-mongo-follow.service brings the alerts"),
        _ if !checkpoints(place).is_empty() => Some("`follow` brings the alerts"),
        _ => None,
    }
}

/// Everything that has to be started by somebody.
pub(super) fn check(findings: &mut Findings, settings: &Settings, place: &Place) {
    findings.enter("schedule");
    check_collect(findings, settings, place);
    check_drain(findings, settings, place);
    check_follow(findings, place);
}

fn check_collect(findings: &mut Findings, settings: &Settings, place: &Place) {
    if settings.managers().is_empty() {
        return;
    }
    let ran = last_run(place).is_some_and(|age| age < RECENT);
    let serves = settings.collect.every.is_some() && serve::is_there(settings, &place.home);
    if unit(place, COLLECT) == Unit::Enabled {
        findings.good("collect", format!("{COLLECT} is enabled"));
    } else if let Some(file) = cron_with(place, " collect") {
        findings.good("collect", format!("in {}", file.display()));
    } else if serves {
        findings.good("collect", "the service does it (collect.every)");
    } else if ran {
        findings.good("collect", "it ran within the last day");
    } else if unit(place, COLLECT) == Unit::Disabled {
        let detail = format!("{COLLECT} is installed and does not start with the host");
        findings.bad("collect", detail, enable(place, COLLECT));
    } else if place.ossec_conf().exists() {
        let detail =
            "wazuh_api.url is set, and nothing starts `collect`: the inventory never comes";
        findings.bad("collect", detail, place.install() + " --collect");
    } else {
        let detail = "nothing on this host starts `collect`; does another one?";
        findings.note("collect", detail);
    }
}

/// Since the last run of `collect` for any site, which takes a lock first.
fn last_run(place: &Place) -> Option<Duration> {
    let files = fs::read_dir(place.home.state()).into_iter().flatten();
    let files = files.filter_map(|entry| Some(entry.ok()?.path()));
    let is_lock = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("collect") && name.ends_with(".lock")
    };
    files.filter(is_lock).filter_map(|path| age(&path)).min()
}

fn check_drain(findings: &mut Findings, settings: &Settings, place: &Place) {
    if let Some(file) = cron_with(place, " spool drain") {
        findings.good("drain", format!("in {}", file.display()));
    } else if unit(place, DRAIN) == Unit::Enabled {
        findings.good("drain", format!("{DRAIN} is enabled"));
    } else if !serve::is_there(settings, &place.home) {
        let detail = "neither cron nor a service drains the spool; after an outage each call brings some of it in";
        findings.note("drain", detail);
    }
}

/// A file of cron with a line of ours. The tables of single users are root's to read.
fn cron_with(place: &Place, words: &str) -> Option<PathBuf> {
    let here = |path: &str| place.layout.here(Path::new(path));
    let folder = fs::read_dir(here("/etc/cron.d")).into_iter().flatten();
    let files = folder.filter_map(|entry| Some(entry.ok()?.path()));
    let has_line = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let ours = |line: &str| {
            let line = line.trim_start();
            !line.starts_with('#') && line.contains("custom-mongo") && line.contains(words)
        };
        text.lines().any(ours)
    };
    files.chain([here("/etc/crontab")]).find(has_line)
}

/// Where `follow` keeps its places, for whatever destination: the newest first.
fn checkpoints(place: &Place) -> Vec<PathBuf> {
    let folder = place.home.state().join("follow");
    let inside = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path()))
    };
    let files = inside(folder).flat_map(inside);
    let is_place = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "json");
    let mut found: Vec<PathBuf> = files.filter(is_place).collect();
    found.sort_by_key(|path| age(path).unwrap_or(Duration::MAX));
    found
}

fn check_follow(findings: &mut Findings, place: &Place) {
    let wanted = unit(place, FOLLOW);
    let Some(newest) = checkpoints(place).into_iter().next() else {
        if wanted == Unit::Enabled {
            let detail = format!("{FOLLOW} is enabled and has never kept a place");
            findings.bad("follow", detail, format!("systemctl restart {FOLLOW}"));
        }
        return;
    };
    let runs = is_locked(&newest.with_extension("lock"));
    let place_age = age(&newest).unwrap_or_default();
    let alerts = place
        .home
        .wazuh()
        .map(|home| home.join("logs/alerts/alerts.json"));
    let alerts_age = alerts.and_then(|file| age(&file));
    let is_behind = alerts_age.is_some_and(|alerts| place_age > alerts + BEHIND);
    let minutes = place_age.as_secs() / 60;
    match (runs, wanted) {
        (true, _) if is_behind => {
            let detail =
                format!("it runs, and its place has not moved for {minutes} min while alerts came");
            findings.bad(
                "follow",
                detail,
                format!("journalctl -u {FOLLOW} says why; systemctl restart {FOLLOW}"),
            );
        }
        (true, _) => findings.good("follow", format!("runs, its place is {minutes} min old")),
        (false, Unit::Enabled) => {
            let detail =
                format!("{FOLLOW} is enabled and does not run; its place is {minutes} min old");
            findings.bad("follow", detail, format!("systemctl restart {FOLLOW}"));
        }
        (false, _) => {
            let detail = format!("does not run; its place is {minutes} min old");
            findings.advise("follow", detail, place.command("follow"));
        }
    }
}

/// Whether a process holds the lock.
fn is_locked(path: &Path) -> bool {
    let file = File::open(path);
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn age(path: &Path) -> Option<Duration> {
    let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
    Some(
        SystemTime::now()
            .duration_since(modified)
            .unwrap_or_default(),
    )
}
