//! The settings file: there, readable, nobody else's, and understood.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, geteuid};

use super::finding::Findings;
use super::place::{Place, quoted};
use crate::config::{self, Fault, Loaded};
use crate::home::settings_folders;
use crate::store;

/// Beside the settings file.
const ENV_FILE: &str = ".env";
/// What a setting of the environment is called.
const VARIABLE: &str = "the variable that sets it (CUSTOM_MONGO_SECTION__KEY)";

/// Whether there is a file, or a variable that says where MongoDB is.
pub(super) fn are_there(place: &Place) -> bool {
    let layout = &place.layout;
    if !layout.is_this_host() {
        return below_root(None, place).is_some();
    }
    let found =
        |folder: PathBuf| folder.join(config::FILE).exists() || folder.join(".env").exists();
    config::is_environment_used() || settings_folders(&place.home).into_iter().any(found)
}

/// Reads them. None if they cannot be used; then a fault says why.
pub(super) fn load(
    findings: &mut Findings,
    config: Option<&Path>,
    place: &Place,
) -> Option<Loaded> {
    findings.enter("settings");
    let below = below_root(config, place);
    let file = config.or(below.as_deref());
    if !place.layout.is_this_host() && file.is_none() {
        let expected = place.layout.here(&place.layout.settings());
        let detail = format!("{} is not there", expected.display());
        findings.bad("settings", detail, place.install());
        return None;
    }
    match config::load(file, &place.home) {
        Ok(loaded) => Some(loaded),
        Err(fault) => {
            refuse(findings, &fault, file, place);
            None
        }
    }
}

/// Another host's installation has its settings there and nowhere on this host.
fn below_root(config: Option<&Path>, place: &Place) -> Option<PathBuf> {
    if config.is_some() || place.layout.is_this_host() {
        return None;
    }
    let layout = &place.layout;
    let system = Path::new("/etc/custom-mongo").join(config::FILE);
    let files = [layout.settings(), system].map(|file| layout.here(&file));
    files.into_iter().find(|file| file.exists())
}

/// A fault begins with the file that has it, or says that none has.
fn refuse(findings: &mut Findings, fault: &Fault, file: Option<&Path>, place: &Place) {
    let named = fault.0.split(": ").next().unwrap_or_default();
    let (told, named) = (fault.to_string(), Path::new(named));
    let fix = match file {
        _ if named == Path::new(config::ENVIRONMENT) => format!("correct {VARIABLE}"),
        _ if named.ends_with(ENV_FILE) => in_env_file(named, &told, place),
        other => in_file(other.unwrap_or(named), &told, place),
    };
    findings.bad("settings", told, fix);
}

fn in_file(path: &Path, fault: &str, place: &Place) -> String {
    if std::fs::File::open(path).is_err() {
        return unreadable(path, place);
    }
    let shown = path.display();
    respelled(fault, path)
        .unwrap_or_else(|| format!("correct {shown}; the sample names every setting"))
}

fn in_env_file(path: &Path, fault: &str, place: &Place) -> String {
    if std::fs::File::open(path).is_err() || fault.contains("others may write it") {
        return place.give(path, "0640");
    }
    format!("correct {}, a line of which is {VARIABLE}", path.display())
}

fn unreadable(path: &Path, place: &Place) -> String {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            format!("{}, or name another with --config", place.install())
        }
        _ => place.give(path, "0640"),
    }
}

/// The command that puts the nearest known key in place of an unknown one, if it stands at the
/// beginning of one line only.
fn respelled(fault: &str, path: &Path) -> Option<String> {
    let (_, told) = fault.split_once("unknown key `")?;
    let (unknown, told) = told.split_once('`')?;
    let (_, told) = told.split_once("did you mean `")?;
    let (known, _) = told.split_once('`')?;
    let text = std::fs::read_to_string(path).ok()?;
    let is_key = |line: &&str| {
        let rest = line.strip_prefix(unknown);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let is_section = |line: &&str| line.trim_end() == format!("[{unknown}]");
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let sound = unknown.chars().all(plain) && known.chars().all(plain);
    let (keys, sections) = (
        text.lines().filter(is_key).count(),
        text.lines().filter(is_section).count(),
    );
    let path = quoted(path);
    let (from, to, command) = match (sound, keys, sections) {
        (true, 1, 0) => (
            unknown.to_owned(),
            known.to_owned(),
            format!("sed -i 's/^{unknown}\\( *=\\)/{known}\\1/' {path}"),
        ),
        (true, 0, 1) => (
            format!("[{unknown}]"),
            format!("[{known}]"),
            format!("sed -i 's/^\\[{unknown}\\]/[{known}]/' {path}"),
        ),
        _ => return None,
    };
    // The known one may be there as well.
    let after = format!("\n{text}").replacen(&format!("\n{from}"), &format!("\n{to}"), 1);
    config::is_toml(&after).then_some(command)
}

/// What was read, from where, and whether others could read or write it.
pub(super) fn check(findings: &mut Findings, loaded: &Loaded, place: &Place) {
    match &loaded.file {
        Some(file) => findings.good("settings", format!("{} is read", file.display())),
        None => findings.good("settings", "no file; defaults and environment"),
    }
    let store = &loaded.settings.store;
    let has_secret = store.password.is_some()
        || loaded.settings.wazuh_api.password.is_some()
        || loaded
            .settings
            .managers()
            .iter()
            .any(|manager| manager.api.password.is_some())
        || loaded.settings.serve.auth_token.is_some()
        || (store.uri.is_some() && store.has_password_in_uri());
    for file in loaded.file.iter().chain(&loaded.env_file) {
        check_file(findings, file, has_secret, place);
    }
}

fn check_file(findings: &mut Findings, file: &Path, has_secret: bool, place: &Place) {
    let Ok(meta) = std::fs::metadata(file) else {
        return;
    };
    let (mode, shown) = (meta.mode() & 0o777, file.display());
    let fix = place.give(file, "0640");
    if has_secret && mode & 0o007 != 0 {
        let detail = format!("{mode:04o} {shown}: everyone can read the password in it");
        findings.bad("settings mode", detail, fix);
    } else if mode & 0o002 != 0 {
        let detail = format!("{mode:04o} {shown}: everyone can write it");
        findings.bad("settings mode", detail, fix);
    } else if is_strangers(&meta, place) {
        let owner = place.user(Uid::from_raw(meta.uid()));
        let detail =
            format!("{shown} belongs to {owner}, who can change it, and it may name commands");
        findings.bad("settings owner", detail, fix);
    } else if !place.wazuh_has(&meta, 4) {
        let detail = format!("{mode:04o} {shown}: the user that Wazuh runs as cannot read it");
        findings.bad("settings mode", detail, fix);
    } else {
        findings.good("settings mode", format!("{mode:04o} {shown}"));
    }
}

/// Neither root's, nor Wazuh's, nor of whoever asks.
fn is_strangers(meta: &Metadata, place: &Place) -> bool {
    let wazuh = place.wazuh().map(|(uid, _)| uid.as_raw());
    let own = Some(geteuid().as_raw());
    meta.uid() != 0 && Some(meta.uid()) != wazuh && Some(meta.uid()) != own
}

/// The connection string as far as it can be judged without asking anybody.
pub(super) fn check_uri(findings: &mut Findings, loaded: &Loaded, place: &Place) {
    let store = &loaded.settings.store;
    match store::validate(store) {
        Ok(()) => findings.good(
            "store.uri",
            format!("{}, database {}", store.servers(), store.database),
        ),
        Err(error) => {
            let why = error.to_string();
            let fix = uri_fix(&why, loaded, place);
            findings.bad("store.uri", why, fix);
        }
    }
}

fn uri_fix(why: &str, loaded: &Loaded, place: &Place) -> String {
    let store = &loaded.settings.store;
    let files = [
        &store.uri_file,
        &store.password_file,
        &store.ca_file,
        &store.client_certificate_file,
    ];
    if let Some(command) = place.mend_file(why, &files) {
        return command;
    }
    let is_environment = config::is_environment_used();
    let own = loaded.file.as_ref();
    let beside = loaded.env_file.as_ref();
    let all = [
        own.map(|file| format!("[store] in {}", file.display())),
        beside.map(|file| format!("its variable in {}", file.display())),
        is_environment.then(|| "MONGO_URI or CUSTOM_MONGO_STORE__… in the environment".to_owned()),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    if !all.is_empty() {
        return format!("correct {}", all.join(", or "));
    }
    let sample = place.layout.here(&place.layout.settings());
    let (install, sample) = (place.install(), sample.display());
    format!("{install} writes {sample}; set store.uri in it")
}
