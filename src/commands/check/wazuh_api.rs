//! Wazuh's API: is it there, is it the manager, are we let in, may we read what is wanted?

use std::time::{Duration, Instant};

use super::finding::Findings;
use super::place::Place;
use super::state;
use crate::collect;
use crate::config;
use crate::wazuh_api::{self, Api, Error, Offer, Reach, Rights, Settings};

/// How long all of it may take; Wazuh itself gives up after ten seconds.
const WITHIN: Duration = Duration::from_secs(20);
/// `max_request_per_minute` of Wazuh, unless it was changed there: for all clients together.
const SERVERS_LIMIT: i64 = 300;
/// What the usual kinds are read with.
const USUAL: [&str; 3] = ["agent:read", "syscheck:read", "syscollector:read"];
/// What further kinds need, by where they are asked for.
const FURTHER: [(&str, &str); 2] = [("/sca/", "sca:read"), ("/rootcheck/", "rootcheck:read")];
const ROLE: &str =
    "integrations/wazuh-api-role.sh makes a user that may read all and change nothing";

/// What can be said without asking anybody.
pub(super) fn check_settings(findings: &mut Findings, settings: &config::Settings, place: &Place) {
    each(findings, settings, |findings, settings| {
        match settings.validate() {
            Ok(names) => findings.good("wazuh_api", names.join(", ")),
            Err(error) => refuse(findings, &error, settings, place),
        }
    });
}

/// Everything; nothing where no API is configured.
pub(super) fn check(findings: &mut Findings, settings: &config::Settings, place: &Place) {
    if !settings.managers().is_empty() && place.home.enter().is_ok() {
        let needed = needed(&settings.collect.kinds.0);
        each(findings, settings, |findings, settings| {
            check_manager(findings, settings, &needed, place);
        });
    }
}

/// The rights that these kinds want; a word that is none is the settings' own fault.
fn needed(kinds: &[String]) -> Vec<&'static str> {
    let kinds = collect::Settings::kinds(kinds).unwrap_or_default();
    let is_asked = |place: &str| kinds.iter().any(|kind| kind.path("").starts_with(place));
    let further = FURTHER.iter().filter(|(place, _)| is_asked(place));
    let further = further.map(|(_, action)| *action);
    USUAL.into_iter().chain(further).collect()
}

/// Shows each certificate and trusts it, unless the settings already say what is to be trusted.
pub(super) fn trust(findings: &mut Findings, settings: &config::Settings, place: &Place) {
    if let Err(error) = place.home.enter() {
        let fix = "run the commands it names as root";
        return findings.bad("state folder", error.to_string(), fix);
    }
    if settings.managers().is_empty() {
        // The room says what is missing.
        return trust_manager(findings, &settings.wazuh_api, place);
    }
    each(findings, settings, |findings, settings| {
        trust_manager(findings, settings, place);
    });
}

/// Does it with each manager; of several each finding says whose it is.
fn each(
    findings: &mut Findings,
    settings: &config::Settings,
    look: impl Fn(&mut Findings, &Settings),
) {
    match settings.managers().as_slice() {
        [only] => look(findings, &only.api),
        several => {
            for manager in several {
                let mut found = Findings::default();
                look(&mut found, &manager.api);
                findings.absorb(&manager.site, found);
            }
        }
    }
}

fn check_manager(findings: &mut Findings, settings: &Settings, needed: &[&str], place: &Place) {
    check_certainty(findings, settings);
    check_budget(findings, settings);
    let until = Instant::now() + WITHIN;
    let mut api = match Api::new(settings, None, place.home.state(), until) {
        Ok(api) => api,
        Err(error) => return refuse(findings, &error, settings, place),
    };
    let begun = Instant::now();
    match api.rights() {
        Ok(rights) => {
            let (name, trust) = api.describe();
            let millis = begun.elapsed().as_millis();
            findings.good(
                "wazuh_api",
                format!("{name}, {trust}, logged in in {millis} ms"),
            );
            if let Err(error) = check_rights(findings, &rights, needed, &mut api) {
                refuse(findings, &error, settings, place);
            }
        }
        Err(Error::BadLogin(why)) => {
            let (name, trust) = api.describe();
            findings.good("wazuh_api", format!("{name}, {trust}"));
            let fix = format!("correct wazuh_api.user and password; {ROLE}");
            findings.bad("wazuh login", why, fix);
        }
        Err(error) => refuse(findings, &error, settings, place),
    }
}

fn check_certainty(findings: &mut Findings, settings: &Settings) {
    if settings.insecure.0 && settings.pin.0.is_empty() {
        let detail = "NOT verified: whoever is between can read the password";
        let fix = "remove wazuh_api.insecure, then custom-mongo check --trust";
        findings.bad("certificate", detail, fix);
    }
}

fn check_budget(findings: &mut Findings, settings: &Settings) {
    let budget = settings.requests_per_minute.0;
    let detail = format!(
        "{budget} requests a minute; Wazuh takes {SERVERS_LIMIT} from all clients, unless changed"
    );
    if budget >= SERVERS_LIMIT {
        let fix =
            "lower wazuh_api.requests_per_minute (200), or the dashboard is locked out with us";
        findings.bad("wazuh budget", detail, fix);
    } else {
        findings.good("wazuh budget", detail);
    }
}

fn refuse(findings: &mut Findings, error: &Error, settings: &Settings, place: &Place) {
    let fix = match error {
        Error::Settings(why) => settings_fix(why, settings, place),
        Error::Deadline => {
            "is somebody else using up Wazuh's requests? try again in a minute".to_owned()
        }
        _ => {
            "is wazuh-manager running there, is wazuh_api.url right (port 55000), may this host reach it?".to_owned()
        }
    };
    let why = match error {
        Error::Deadline => format!("no answer within {} s", WITHIN.as_secs()),
        error => error.to_string(),
    };
    findings.bad("wazuh_api", why, fix);
}

fn settings_fix(why: &str, settings: &Settings, place: &Place) -> String {
    if let Some(command) = place.mend_file(why, &[&settings.password_file, &settings.ca_file]) {
        return command;
    }
    let state_folder = place.home.state().display().to_string();
    let is_closed = why.contains(&state_folder) && why.contains("Permission denied");
    match () {
        () if is_closed || why.contains("in the state folder") => state::reopen(place),
        () if why.contains("check --trust") => place.command("check --trust"),
        () if why.contains("change wazuh_api.pin") => {
            "compare it with the manager's own, then change wazuh_api.pin".to_owned()
        }
        () => "see [wazuh_api] in the sample settings".to_owned(),
    }
}

/// Wazuh does not say no to who may not see an agent: the list is shorter, and the agent looks gone.
fn check_rights(
    findings: &mut Findings,
    rights: &Rights,
    needed: &[&str],
    api: &mut Api,
) -> Result<(), Error> {
    let mut lacking = Vec::new();
    for action in needed {
        match rights.reach(action) {
            Reach::All => {}
            Reach::Some(resources) => {
                lacking.push(format!("{action} only on {}", resources.join(", ")));
            }
            Reach::None => lacking.push(format!("no {action}")),
        }
    }
    if !lacking.is_empty() {
        let actions = needed.join(" ");
        let fix = format!("{ROLE}: ACTIONS=\"{actions}\"");
        findings.bad("wazuh role", lacking.join("; "), fix);
        return Ok(());
    }
    let answer = api.get("/agents", &[("limit", "1"), ("q", "id!=000")])?;
    let agents = answer.total;
    let excess = rights.excess();
    let more = match excess.first() {
        Some(first) => format!(
            "; may also do {} other things ({first}): {ROLE}",
            excess.len()
        ),
        None => String::new(),
    };
    findings.good(
        "wazuh role",
        format!("reads every agent, {agents} are there{more}"),
    );
    Ok(())
}

fn trust_manager(findings: &mut Findings, settings: &Settings, place: &Place) {
    match wazuh_api::offers(settings, place.home.state()) {
        Ok(offers) if offers.is_empty() => {
            findings.good("certificate", "none: http:// has nothing to trust");
        }
        Ok(offers) => offers
            .iter()
            .for_each(|offer| trust_one(findings, offer, settings, place)),
        Err(error) => refuse(findings, &error, settings, place),
    }
}

fn trust_one(findings: &mut Findings, offer: &Offer, settings: &Settings, place: &Place) {
    let offered = match &offer.offered {
        Ok(offered) => offered,
        Err(error) => return refuse(findings, error, settings, place),
    };
    let name = offered.name.as_deref().unwrap_or("no name");
    let what = format!(
        "{} shows {name}, SHA-256 {}",
        offer.address, offered.fingerprint
    );
    match &offer.ruled_by {
        Some(rule) if offered.is_taken => {
            return findings.good("certificate", format!("{what}: {rule}; nothing is stored"));
        }
        Some(rule) => {
            let fix = "correct wazuh_api.pin or ca_file, or remove it and run this again";
            return findings.bad("certificate", format!("{what}: not so ({rule})"), fix);
        }
        None if offered.is_taken => {
            let why =
                "a public authority vouches for it; nothing is stored, so that it can be renewed";
            return findings.good("certificate", format!("{what}: {why}"));
        }
        None => {}
    }
    if let Err(error) = wazuh_api::trust(place.home.state(), &offer.address, offered.fingerprint) {
        let detail = format!(
            "cannot keep it in {}: {error}",
            place.home.state().display()
        );
        let fix = "let the user that Wazuh runs as write there, and into wazuh_api in it";
        return findings.bad("certificate", detail, fix);
    }
    let said = match offer.trusted {
        Some(before) if before == offered.fingerprint => "as before".to_owned(),
        Some(before) => format!("trusted from now on, in place of {before}"),
        None => "trusted from now on".to_owned(),
    };
    let compare =
        "openssl x509 -noout -fingerprint -sha256 -in /var/ossec/api/configuration/ssl/server.crt";
    findings.good(
        "certificate",
        format!("{what}: {said}; compare it on the manager: {compare}"),
    );
}
