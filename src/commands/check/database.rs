//! MongoDB, step by step: the name, the port, the certificate, the replica set, the login, and then
//! what it lets us do. A step that fails is the cause, and what would follow from it is left out.

use std::time::Duration;

use super::Reached;
use super::finding::Findings;
use super::place::Place;
use crate::config::Settings;
use crate::store::{self, Encryption, Greeting, Seeds};

mod knock;
mod report;
mod tls;

use knock::{Knock, Open, knock, knock_all, named};

/// How long MongoDB may take to answer.
const WITHIN: Duration = Duration::from_secs(8);
/// MongoDB 5.0 (`maxWireVersion`,
/// <https://github.com/mongodb/specifications/blob/master/source/wireversion-featurelist/wireversion-featurelist.md>).
const OLDEST: i32 = 13;
const ROLE: &str = "run integrations/mongodb-role.js in mongosh as an administrator";

/// Asks the configured MongoDB, and says whether it can be written to.
pub(super) fn check(findings: &mut Findings, settings: &Settings, place: &Place) -> Reached {
    findings.enter("mongodb");
    let before = findings.faults();
    let Some(seeds) = seeds(findings, settings) else {
        return Reached::No;
    };
    let open = knock(findings, &seeds.servers);
    if open.is_empty() {
        return Reached::No;
    }
    tls::check(findings, &seeds, &open);
    if findings.faults() > before {
        return Reached::No;
    }
    let Some(greeting) = greet(findings, settings, &seeds, &open) else {
        return Reached::No;
    };
    check_set(findings, &seeds, &greeting);
    if findings.faults() > before {
        return Reached::No;
    }
    report::check(findings, settings, place)
}

fn seeds(findings: &mut Findings, settings: &Settings) -> Option<Seeds> {
    // The settings' own fault was told with them.
    store::validate(&settings.store).ok()?;
    match store::seeds(&settings.store, WITHIN) {
        Ok(seeds) => Some(seeds),
        Err(error) => {
            let fix =
                "correct the name in store.uri, or this host's name server (/etc/resolv.conf)";
            findings.bad("mongodb name", error.to_string(), fix);
            None
        }
    }
}

/// The first that says anything.
fn greet(
    findings: &mut Findings,
    settings: &Settings,
    seeds: &Seeds,
    open: &[Open],
) -> Option<Greeting> {
    let mut why = String::new();
    for one in open {
        match store::greet(&settings.store, &one.server, WITHIN) {
            Ok(greeting) => return Some(greeting),
            Err(error) => why = format!("{}: {error}", named(&one.server)),
        }
    }
    if why.contains("older than MongoDB") {
        refuse_release(findings);
        return None;
    }
    if seeds.tls == Encryption::Off && tls::is_wanted(findings, open) {
        return None;
    }
    let why = why.trim_end_matches("; see custom-mongo check").to_owned();
    let fix = match &seeds.tls {
        Encryption::Off => {
            "is it mongod that listens there, and does it answer mongosh? restart it, or correct store.uri"
        }
        _ => {
            "does it want a certificate of ours? set store.client_certificate_file; else restart it if it does not answer mongosh either"
        }
    };
    findings.bad("mongodb", why, fix);
    None
}

/// From 4.4 on the server tells its release itself; older ones the driver refuses.
fn refuse_release(findings: &mut Findings) {
    let detail = "the server is older than MongoDB 5.0";
    let fix = "MongoDB 5.0 or newer is needed";
    findings.bad("mongodb version", detail, fix);
}

/// A client goes where the set says that its members are, whatever the connection string says.
fn check_set(findings: &mut Findings, seeds: &Seeds, greeting: &Greeting) {
    if greeting.wire_version < OLDEST {
        return refuse_release(findings);
    }
    if greeting.is_uninitiated {
        let detail = "mongod was started for a replica set that nobody has initiated";
        return findings.bad("mongodb set", detail, "mongosh --eval 'rs.initiate()'");
    }
    let (wanted, found) = (&seeds.replica_set, &greeting.replica_set);
    match (wanted, found) {
        (Some(wanted), Some(found)) if wanted != found => {
            let detail = format!("store.uri says {wanted}, the set is called {found}");
            let fix = format!("write replicaSet={found} into store.uri");
            return findings.bad("mongodb set", detail, fix);
        }
        (Some(wanted), None) => {
            let detail =
                format!("store.uri says {wanted}, and the server belongs to no replica set");
            let fix = format!("remove replicaSet={wanted} from store.uri");
            return findings.bad("mongodb set", detail, fix);
        }
        _ => {}
    }
    check_members(findings, seeds, greeting);
}

fn check_members(findings: &mut Findings, seeds: &Seeds, greeting: &Greeting) {
    if seeds.replica_set.is_none() && seeds.servers.len() < 2 {
        // The driver stays with the one server that is named.
        return;
    }
    let known: Vec<String> = seeds.servers.iter().map(named).collect();
    let others = greeting.members.iter().filter(|one| !known.contains(*one));
    let others: Vec<(String, u16)> = others.filter_map(|one| server(one)).collect();
    for (member, answer) in others.iter().zip(knock_all(&others)) {
        let name = named(member);
        let why = match answer {
            Knock::Open(..) => continue,
            Knock::NoName(why) | Knock::Closed(why) => why,
        };
        let detail =
            format!("the set calls a member {name}, and that cannot be reached here: {why}");
        let fix = format!(
            "let this host resolve and reach {name} (DNS or /etc/hosts, firewall), or change the name with rs.reconfig()"
        );
        if greeting.primary.as_ref() == Some(&name) {
            findings.bad("mongodb member", detail, fix);
        } else {
            findings.advise("mongodb member", detail, fix);
        }
    }
    if greeting.primary.is_none() {
        let detail = "the set has no primary: nothing can be written";
        findings.bad(
            "mongodb set",
            detail,
            "mongosh --eval 'rs.status()' says which members are down; start them",
        );
    }
}

fn server(name: &str) -> Option<(String, u16)> {
    let (host, port) = name.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}
