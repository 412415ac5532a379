//! MongoDB, step by step: the name, the port, the certificate, the replica set, the login, and then
//! what it lets us do. A step that fails is the cause, and what would follow from it is left out.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::Reached;
use super::finding::Findings;
use super::place::Place;
use crate::config::Settings;
use crate::store::{self, Encryption, Greeting, Seeds};

mod report;
mod tls;

/// How long MongoDB may take to answer.
const WITHIN: Duration = Duration::from_secs(5);
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
    match store::seeds(&settings.store, WITHIN) {
        Ok(seeds) => Some(seeds),
        // The settings' own fault was told with them.
        Err(store::Error::Settings(_)) => None,
        Err(error) => {
            let fix =
                "correct the name in store.uri, or this host's name server (/etc/resolv.conf)";
            findings.bad("mongodb name", error.to_string(), fix);
            None
        }
    }
}

/// One server at which somebody answers.
struct Open {
    server: (String, u16),
    address: SocketAddr,
}

enum Knock {
    NoName(String),
    Closed(String),
    Open(SocketAddr, Duration),
}

/// Connects to each; a replica set can be reached by any of its members.
fn knock(findings: &mut Findings, servers: &[(String, u16)]) -> Vec<Open> {
    let answers = knock_all(servers);
    let is_any_open = answers.iter().any(|one| matches!(one, Knock::Open(..)));
    let mut open = Vec::new();
    for (server, answer) in servers.iter().zip(answers) {
        let name = named(server);
        let (what, detail, fix) = match answer {
            Knock::Open(address, took) => {
                let millis = took.as_millis();
                findings.good("mongodb tcp", format!("{name} answers in {millis} ms"));
                open.push(Open {
                    server: server.clone(),
                    address,
                });
                continue;
            }
            Knock::NoName(why) => (
                "mongodb name",
                format!("{}: {why}", server.0),
                "correct the name in store.uri, or add it to DNS or /etc/hosts".to_owned(),
            ),
            Knock::Closed(why) => (
                "mongodb tcp",
                format!("{name}: {why}"),
                closed_fix(&why, server),
            ),
        };
        if is_any_open {
            findings.advise(what, detail, fix);
        } else {
            findings.bad(what, detail, fix);
        }
    }
    open
}

fn named((host, port): &(String, u16)) -> String {
    if host.contains(':') {
        return format!("[{host}]:{port}");
    }
    format!("{host}:{port}")
}

fn closed_fix(why: &str, (host, port): &(String, u16)) -> String {
    if why.contains("refused") {
        return format!(
            "start mongod on {host} (systemctl start mongod), let it listen there (net.bindIp in /etc/mongod.conf), or correct the port in store.uri"
        );
    }
    format!("let this host reach port {port} of {host} (firewall, route), or correct store.uri")
}

/// All at once, each on a thread of its own: a name server may take longer than anybody waits.
fn knock_all(servers: &[(String, u16)]) -> Vec<Knock> {
    let (sender, answers) = mpsc::channel();
    for (index, server) in servers.iter().enumerate() {
        let (sender, server) = (sender.clone(), server.clone());
        std::thread::spawn(move || sender.send((index, knock_one(&server))));
    }
    let silent = || Knock::Closed(format!("no answer within {} s", WITHIN.as_secs()));
    let mut all: Vec<Knock> = servers.iter().map(|_| silent()).collect();
    let end = Instant::now() + WITHIN + Duration::from_millis(500);
    for _ in servers {
        let left = end.saturating_duration_since(Instant::now());
        let Ok((index, answer)) = answers.recv_timeout(left) else {
            break;
        };
        if let Some(place) = all.get_mut(index) {
            *place = answer;
        }
    }
    all
}

fn knock_one((host, port): &(String, u16)) -> Knock {
    let addresses = match (host.as_str(), *port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Knock::NoName(error.to_string()),
    };
    let mut last = Knock::NoName("the name has no address".to_owned());
    for address in addresses {
        let begun = Instant::now();
        last = match TcpStream::connect_timeout(&address, WITHIN) {
            Ok(_) => return Knock::Open(address, begun.elapsed()),
            Err(error) => Knock::Closed(error.to_string()),
        };
    }
    last
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
    if seeds.tls == Encryption::Off && tls::is_wanted(findings, open) {
        return None;
    }
    let why = why.trim_end_matches("; see custom-mongo check").to_owned();
    let fix = if why.contains("wire version") {
        "MongoDB 5.0 or newer is needed"
    } else {
        "is it mongod that listens there, and does it answer mongosh? restart it, or correct store.uri"
    };
    findings.bad("mongodb", why, fix);
    None
}

/// A client goes where the set says that its members are, whatever the connection string says.
fn check_set(findings: &mut Findings, seeds: &Seeds, greeting: &Greeting) {
    if greeting.wire_version < OLDEST {
        let detail = "the server is older than MongoDB 5.0";
        let fix = "MongoDB 5.0 or newer is needed";
        return findings.bad("mongodb version", detail, fix);
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
