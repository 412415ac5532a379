//! What can be learned of the servers before anybody logs in: where the connection string leads, and
//! what a server there says of itself and its replica set.

use std::path::PathBuf;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::{ServerAddress, Tls};

use super::{Error, Settings, command, connect};

/// Where a connection string leads; `mongodb+srv` after its look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds {
    /// Host and port of each server that is named.
    pub servers: Vec<(String, u16)>,
    /// What is asked of their certificates.
    pub tls: Encryption,
    /// The replica set's name, if one is asked for.
    pub replica_set: Option<String>,
}

/// What a connection string asks of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// There is no TLS.
    Off,
    /// Signed by these authorities; without a file by a public one.
    Verified(Option<PathBuf>),
    /// Anything goes.
    Unverified,
}

/// What one server says to whoever asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The replica set that it belongs to.
    pub replica_set: Option<String>,
    /// The members, `host:port`, as the set calls them: clients go there.
    pub members: Vec<String>,
    /// The member that takes writes.
    pub primary: Option<String>,
    /// Started for a replica set that nobody has initiated.
    pub is_uninitiated: bool,
    /// The newest wire protocol it speaks; 13 is MongoDB 5.0.
    pub wire_version: i32,
}

/// Reads the connection string; only `mongodb+srv` asks the network (DNS).
///
/// # Errors
///
/// `Settings` for what the driver refuses, `Unavailable` for DNS.
pub fn seeds(settings: &Settings, within: Duration) -> Result<Seeds, Error> {
    let runtime = connect::runtime()?;
    let work = connect::options(settings, within);
    let options = connect::within(&runtime, within, settings, work);
    runtime.shutdown_background();
    let options = options?;
    let tcp = |server: &ServerAddress| match server {
        ServerAddress::Tcp { host, port } => {
            // In a connection string an IPv6 address has brackets.
            let host = host.trim_matches(['[', ']']).to_owned();
            Some((host, port.unwrap_or(27017)))
        }
        _ => None,
    };
    let tls = match options.tls {
        Some(Tls::Enabled(tls)) if tls.allow_invalid_certificates == Some(true) => {
            Encryption::Unverified
        }
        Some(Tls::Enabled(tls)) => Encryption::Verified(tls.ca_file_path),
        _ => Encryption::Off,
    };
    Ok(Seeds {
        servers: options.hosts.iter().filter_map(tcp).collect(),
        tls,
        replica_set: options.repl_set_name,
    })
}

/// Asks this server alone, without a login.
///
/// # Errors
///
/// `Unavailable`.
pub fn greet(
    settings: &Settings,
    server: &(String, u16),
    within: Duration,
) -> Result<Greeting, Error> {
    let runtime = connect::runtime()?;
    let work = async {
        let mut options = connect::options(settings, within).await?;
        let (host, port) = server.clone();
        options.hosts = vec![ServerAddress::Tcp {
            host,
            port: Some(port),
        }];
        options.direct_connection = Some(true);
        options.repl_set_name = None;
        options.credential = None;
        options.load_balanced = None;
        let refused = |error| connect::refused(&error, settings);
        let client = mongodb::Client::with_options(options).map_err(refused)?;
        let hello = command::run(&client.database("admin"), doc! { "hello": 1 }).await;
        hello.map(|hello| read(&hello)).map_err(refused)
    };
    let greeting = connect::within(&runtime, within, settings, work);
    runtime.shutdown_background();
    greeting
}

fn read(hello: &Document) -> Greeting {
    let text = |key: &str| hello.get_str(key).ok().map(str::to_owned);
    // Members that never become the primary are apart.
    let lists = ["hosts", "passives"].map(|key| hello.get_array(key));
    let members = lists.into_iter().flatten().flatten();
    let members = members.filter_map(|host| host.as_str().map(str::to_owned));
    Greeting {
        replica_set: text("setName"),
        members: members.collect(),
        primary: text("primary"),
        is_uninitiated: hello.get_bool("isreplicaset").unwrap_or(false),
        wire_version: hello.get_i32("maxWireVersion").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Secret;

    fn of(uri: &str) -> Seeds {
        let settings = Settings {
            uri: Some(Secret::new(uri)),
            ..Settings::default()
        };
        seeds(&settings, Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn a_connection_string_leads_to_its_servers() {
        let plain = of("mongodb://a,b:1,[::1]:2/?replicaSet=rs0");
        let servers = [("a", 27017), ("b", 1), ("::1", 2)];
        let servers = servers.map(|(host, port)| (host.to_owned(), port));
        assert_eq!(plain.servers, servers);
        assert_eq!(plain.replica_set.as_deref(), Some("rs0"));
        assert_eq!(plain.tls, Encryption::Off);
        assert_eq!(of("mongodb://a/?tls=true").tls, Encryption::Verified(None));
        let insecure = of("mongodb://a/?tls=true&tlsInsecure=true");
        assert_eq!(insecure.tls, Encryption::Unverified);
    }
}
