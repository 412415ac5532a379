//! `check`: each precondition, and for each that fails the way to mend it. Changes nothing.

use std::path::Path;

use nix::unistd::geteuid;

use super::{Format, status};
use crate::config::{Loaded, Settings};
use crate::{secret, store};

mod database;
mod finding;
mod integration;
mod ossec_conf;
mod place;
mod schedule;
mod serve;
mod settings;
mod state;
mod wazuh_api;

use finding::Findings;
use ossec_conf::Blocks;
pub use place::Place;
use state::Usable;

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Only the settings: nothing is asked, nothing touched.
    ConfigOnly,
    /// Only Wazuh's API, and its certificate is trusted from now on.
    Trust,
    /// Everything.
    All,
}

/// Whether MongoDB takes what is sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Yes,
    No,
}

/// Checks and prints. Returns 0 if there is no fault, else 1.
pub fn run(config: Option<&Path>, place: &Place, depth: Depth, format: Format) -> u8 {
    let mut findings = Findings::default();
    // An image whose logs are not Wazuh's names nobody to become, and its settings name commands.
    if geteuid().is_root() && !place.layout.is_this_host() {
        secret::refuse_commands();
    }
    if depth == Depth::All && is_nothing_there(config, place) {
        say_not_installed(&mut findings, place);
    } else {
        check(&mut findings, config, place, depth);
    }
    findings.print(format);
    if findings.failed() {
        status::FAILED
    } else {
        status::DONE
    }
}

fn check(findings: &mut Findings, config: Option<&Path>, place: &Place, depth: Depth) {
    let mut loaded = settings::load(findings, config, place);
    if let Some(loaded) = &loaded {
        settings::check(findings, loaded, place);
    }
    if depth == Depth::All {
        check_user(findings, place);
        let blocks = check_wazuh(findings, place);
        if let Some(loaded) = &mut loaded {
            use_hook_url(findings, loaded, &blocks, place);
        }
    }
    let Some(loaded) = &loaded else {
        return;
    };
    check_uri(findings, loaded, place, depth);
    check_depth(findings, &loaded.settings, place, depth);
}

fn check_depth(findings: &mut Findings, settings: &Settings, place: &Place, depth: Depth) {
    match depth {
        Depth::ConfigOnly => {
            serve::check_settings(findings, settings, place);
            findings.enter("wazuh api");
            wazuh_api::check_settings(findings, settings, place);
        }
        Depth::Trust => {
            serve::check_settings(findings, settings, place);
            findings.enter("wazuh api");
            wazuh_api::trust(findings, settings, place);
            wazuh_api::check(findings, settings, place);
        }
        Depth::All => {
            let state = state::check_folder(findings, place);
            if state == Usable::Yes {
                serve::check_settings(findings, settings, place);
                serve::check_socket(findings, settings, place);
            }
            let reached = database::check(findings, settings, place);
            if state == Usable::Yes {
                state::check_spool(findings, settings, place, reached);
                findings.enter("wazuh api");
                wazuh_api::check(findings, settings, place);
            }
            schedule::check(findings, settings, place);
        }
    }
}

/// Neither settings nor the program in its place nor a block: nobody has installed anything yet.
fn is_nothing_there(config: Option<&Path>, place: &Place) -> bool {
    let named = config.is_some() || std::env::var_os("CUSTOM_MONGO_CONFIG").is_some();
    !named && !place.integration().exists() && !settings::are_there(place)
}

fn say_not_installed(findings: &mut Findings, place: &Place) {
    findings.enter("installation");
    let conf = place.ossec_conf();
    if conf.exists() {
        let detail = format!(
            "not installed: Wazuh is there ({}), custom-mongo is not",
            conf.display()
        );
        return findings.bad("installed", detail, place.install());
    }
    let detail = format!(
        "not installed, and there is no Wazuh manager: {} is not there",
        conf.display()
    );
    let fix = format!(
        "on a manager: {} (--home DIR if Wazuh is elsewhere); anywhere else write {} from the sample",
        place.install(),
        Path::new("/etc/custom-mongo")
            .join(crate::config::FILE)
            .display()
    );
    findings.bad("installed", detail, fix);
}

/// What somebody else sees and may do says little about the hook.
fn check_user(findings: &mut Findings, place: &Place) {
    let Some((wazuh, _)) = place.wazuh() else {
        return;
    };
    let own = geteuid();
    if own != wazuh && !own.is_root() {
        let (own, wazuh) = (place.user(own), place.user(wazuh));
        let detail =
            format!("{own} asks, and Wazuh runs as {wazuh}: some lines may be about {own} only");
        findings.advise("user", detail, format!("sudo {}", place.command("check")));
    }
}

/// The integration and its block, where there is a manager or somebody said that there is one.
fn check_wazuh(findings: &mut Findings, place: &Place) -> Blocks {
    if !place.is_named && !place.ossec_conf().exists() {
        findings.note(
            "wazuh",
            "no Wazuh manager here; alerts come by HTTP, or from files",
        );
        return Blocks::default();
    }
    let instead = schedule::alerts_by(place);
    let before = findings.faults();
    if instead.is_none() || place.integration().exists() {
        integration::check(findings, place);
    }
    let blocks = ossec_conf::check(findings, place, instead);
    if blocks.are_there && findings.faults() == before {
        ossec_conf::check_running(findings, place);
    }
    blocks
}

/// The hook takes the connection string of its block before that of the settings.
fn use_hook_url(findings: &mut Findings, loaded: &mut Loaded, blocks: &Blocks, place: &Place) {
    let Some(url) = &blocks.hook_url else {
        return;
    };
    let store = &mut loaded.settings.store;
    let mut hooks = store.clone();
    hooks.use_uri(url.clone());
    let refused = store::validate(&hooks).err().map(|error| error.to_string());
    // All other faults are the settings' own.
    if let Some(why) = refused
        .as_deref()
        .and_then(|why| why.strip_prefix("store.uri: "))
    {
        let conf = place.ossec_conf();
        let fix = format!(
            "correct <hook_url> in {}, or remove it and set store.uri",
            conf.display()
        );
        return findings.bad("ossec.conf hook_url", why, fix);
    }
    let differ = match (store.destination(), hooks.destination()) {
        (Ok(one), Ok(other)) => one != other,
        (Err(_), Ok(_)) => {
            store.use_uri(url.clone());
            false
        }
        _ => false,
    };
    if differ {
        let detail = format!(
            "<hook_url> sends alerts to {}, the settings say {}: commands and the service do not see them",
            hooks.servers(),
            store.servers()
        );
        findings.advise("ossec.conf hook_url", detail, "remove <hook_url>");
    }
}

fn check_uri(findings: &mut Findings, loaded: &Loaded, place: &Place, depth: Depth) {
    findings.enter("settings");
    if depth == Depth::ConfigOnly && loaded.settings.store.asks_command() {
        return findings.good(
            "store.uri",
            "from a command, which --config-only does not run",
        );
    }
    settings::check_uri(findings, loaded, place);
}
