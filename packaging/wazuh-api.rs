//! Wazuh's server API, as far as an inventory is read through it, over a fleet that is made up: the
//! tests', the demo's and the bench's manager. One program without a crate:
//! `rustc -O --edition 2024 packaging/wazuh-api.rs`, then `wazuh-api --help`. Plain HTTP, loopback only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[path = "wazuh-api/answers.rs"]
mod answers;
#[path = "wazuh-api/control.rs"]
mod control;
#[path = "wazuh-api/fleet.rs"]
pub mod fleet;
#[path = "wazuh-api/http.rs"]
pub mod http;
#[path = "wazuh-api/json.rs"]
pub mod json;
#[path = "wazuh-api/kind.rs"]
pub mod kind;
#[path = "wazuh-api/login.rs"]
pub mod login;
#[path = "wazuh-api/query.rs"]
mod query;
#[path = "wazuh-api/recorded.rs"]
mod recorded;
#[path = "wazuh-api/rows.rs"]
pub mod rows;
#[path = "wazuh-api/security.rs"]
mod security;
#[path = "wazuh-api/server.rs"]
mod server;
#[path = "wazuh-api/state.rs"]
mod state;

pub use server::Server;
pub use state::{Fault, Options};

use login::User;

const HELP: &str = "\
wazuh-api [--port N] [--agents N] [--packages N] [--files N] [--user NAME:PASSWORD]
          [--ttl SECONDS] [--per-minute N] [--experimental] [--most-rows N] [--takes MILLIS]
          [--version 4.14.7] [--recorded FOLDER]

Prints its address and serves until its standard input ends. While it runs:

POST /fake/drift?percent=2&round=1                          new versions for 2 % of all packages
POST /fake/change?agent=004&kind=packages&field=name&is=PyYAML&set=version&to=7.0
POST /fake/remove?agent=004&kind=packages&field=name&is=PyYAML
POST /fake/put?agent=004&kind=packages                      a row as JSON in the body
POST /fake/wipe?agent=004[&kind=packages]                   the database is empty, as after an upgrade
POST /fake/agents/add?name=new    /fake/agents/remove?agent=004    /fake/version?version=4.15.0
POST /fake/fail?fault=F[&target=/syscheck][&times=1][&after=0]     or delay=MILLIS for fault=F
     F: restarting, timeout, unauthorized, limited, cut, close, revoke
POST /fake/heal    /fake/revoke    /fake/forget
GET  /fake/stats                                            requests, 429s, logins, peak_per_minute";

/// Seconds since 1970.
fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((options, version)) = options(&words) else {
        println!("{HELP}");
        std::process::exit(2);
    };
    match Server::start(options) {
        Ok(server) => {
            if let Some(version) = version {
                server.state().fleet.version = version;
            }
            println!("{}", server.url());
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok();
        }
        Err(why) => {
            eprintln!("wazuh-api: {why}");
            std::process::exit(1);
        }
    }
}

/// The options, and the version if one is named.
fn options(words: &[String]) -> Option<(Options, Option<String>)> {
    let mut options = Options::default();
    let mut version = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--experimental" {
            options.experimental = true;
            continue;
        }
        let value = words.next()?;
        match word.as_str() {
            "--port" => options.port = value.parse().ok()?,
            "--agents" => options.agents = value.parse().ok()?,
            "--packages" => options.shape.packages = value.parse().ok()?,
            "--files" => options.shape.files = value.parse().ok()?,
            "--ttl" => options.ttl = value.parse().ok()?,
            "--per-minute" => options.per_minute = value.parse().ok()?,
            "--most-rows" => options.most_rows = value.parse().ok()?,
            "--takes" => options.takes = Duration::from_millis(value.parse().ok()?),
            "--recorded" => options.recorded = Some(value.into()),
            "--version" => version = Some(value.clone()),
            "--user" => {
                let (name, password) = value.split_once(':')?;
                options.users = vec![User::reader(name, password)];
            }
            _ => return None,
        }
    }
    Some((options, version))
}
