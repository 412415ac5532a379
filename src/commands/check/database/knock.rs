//! Names and ports: is there anybody at all?

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::WITHIN;
use crate::commands::check::finding::Findings;

/// One server at which somebody answers.
pub(super) struct Open {
    pub(super) server: (String, u16),
    pub(super) address: SocketAddr,
}

/// What came of a try.
pub(super) enum Knock {
    /// The name cannot be looked up.
    NoName(String),
    /// Nobody takes the connection.
    Closed(String),
    /// Somebody does, after so long.
    Open(SocketAddr, Duration),
}

/// Connects to each; a replica set can be reached by any of its members.
pub(super) fn knock(findings: &mut Findings, servers: &[(String, u16)]) -> Vec<Open> {
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

/// `host:port`, as MongoDB writes it.
pub(super) fn named((host, port): &(String, u16)) -> String {
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
pub(super) fn knock_all(servers: &[(String, u16)]) -> Vec<Knock> {
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
