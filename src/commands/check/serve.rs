//! The resident service: could it start, and do hooks find it?

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use super::finding::Findings;
use super::place::{Place, quoted};
use super::schedule::{Unit, enable, unit};
use super::state;
use crate::config::Settings;
use crate::delivery::Mode;
use crate::home::Home;
use crate::relay::{self, NoAnswer, Terms};
use crate::serve;

const UNIT: &str = "custom-mongo.service";
/// Longer than a service that is well takes.
const WITHIN: Duration = Duration::from_secs(3);

/// What the settings say about it; asks nobody.
pub(super) fn check_settings(findings: &mut Findings, settings: &Settings, place: &Place) {
    findings.enter("serve");
    match serve::validate(&settings.serve, &place.home) {
        Ok(where_and_how) => findings.good("serve", where_and_how),
        Err(why) => {
            let fix = settings_fix(&why, &settings.serve, place);
            findings.bad("serve", why, fix);
        }
    }
}

fn settings_fix(why: &str, settings: &serve::Settings, place: &Place) -> String {
    let files = [
        &settings.auth_token_file,
        &settings.certificate_file,
        &settings.key_file,
        &settings.client_ca_file,
    ];
    if let Some(fix) = place.mend_file(why, &files) {
        return fix;
    }
    let are_tokens = why.contains(&place.home.state().display().to_string());
    let bad_hash = why.strip_prefix("the token ");
    let bad_hash = bad_hash.and_then(|why| why.split_once(" has no hash"));
    match bad_hash {
        Some((name, _)) => place.command(&format!("token drop {name}")),
        None if are_tokens && why.contains("Permission denied") => state::reopen(place),
        None if are_tokens => {
            let anew = place.command("token new");
            format!("put it back from a backup, or remove it and make the tokens anew: {anew}")
        }
        None => "see [serve] in the sample settings".to_owned(),
    }
}

/// Whether a service has its socket here.
pub(super) fn is_there(settings: &Settings, home: &Home) -> bool {
    let socket = settings.serve.relay_socket(home);
    socket.is_some_and(|socket| {
        fs::symlink_metadata(socket).is_ok_and(|meta| meta.file_type().is_socket())
    })
}

/// The socket at which hooks hand their alerts over.
pub(super) fn check_socket(findings: &mut Findings, settings: &Settings, place: &Place) {
    let Some(socket) = settings.serve.relay_socket(&place.home) else {
        return;
    };
    if settings.delivery.mode != Mode::Auto {
        let detail = "hooks go their own way: delivery.mode is not auto";
        return findings.note("serve socket", detail);
    }
    let expected = unit(place, UNIT);
    let shown = socket.display();
    let meta = match fs::symlink_metadata(&socket) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return say_absent(findings, expected, &socket, place);
        }
        Err(error) => {
            let fix = "let the user that Wazuh runs as look into that folder";
            return findings.bad("serve socket", format!("{shown}: {error}"), fix);
        }
    };
    if !meta.file_type().is_socket() {
        let detail = format!("{shown} is no socket, and is in the service's way");
        return findings.bad("serve socket", detail, format!("rm {}", quoted(&socket)));
    }
    if !place.wazuh_has(&meta, 6) || meta.mode() & 0o002 != 0 {
        let detail = format!(
            "{:04o} {shown}: 0660 is right, for Wazuh's group",
            meta.mode() & 0o777
        );
        let (owner, path) = (place.user_and_group(), quoted(&socket));
        let fix = format!("chown -h {owner} {path} && chmod 0660 {path}");
        return findings.bad("serve socket", detail, fix);
    }
    ask(findings, settings, &socket, place);
}

fn say_absent(findings: &mut Findings, expected: Unit, socket: &Path, place: &Place) {
    match expected {
        Unit::Enabled if place.layout.is_this_host() => {
            let detail = format!("{UNIT} is enabled, and nobody is at {}", socket.display());
            findings.bad("serve socket", detail, format!("systemctl restart {UNIT}"));
        }
        Unit::Disabled => {
            let detail = format!("{UNIT} is installed and does not start with the host");
            findings.advise("serve socket", detail, enable(place, UNIT));
        }
        _ => findings.note(
            "serve socket",
            "no service runs here; each call does its work alone",
        ),
    }
}

fn ask(findings: &mut Findings, settings: &Settings, socket: &Path, place: &Place) {
    let Ok(destination) = settings.store.destination() else {
        return;
    };
    let restart = match unit(place, UNIT) {
        Unit::Absent => "start `custom-mongo serve` again".to_owned(),
        _ => format!("systemctl restart {UNIT}"),
    };
    let shown = socket.display();
    let (detail, fix) = match relay::ask(socket, settings.relay_key(&destination), WITHIN) {
        Ok(Terms::Same) => {
            return findings.good(
                "serve socket",
                format!("{shown} answers, with these settings"),
            );
        }
        Ok(Terms::Others) => (
            format!(
                "{shown} answers, but was started with other settings, and hooks go their own way"
            ),
            restart,
        ),
        Err(NoAnswer::Absent) => (
            format!("{shown} was left by a service that is gone"),
            restart,
        ),
        Err(error) => (format!("{shown}: {error}"), restart),
    };
    findings.bad("serve socket", detail, fix);
}
