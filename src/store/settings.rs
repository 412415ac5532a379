//! Section `store`: which MongoDB, and how to log in.

use std::path::PathBuf;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Error;
use super::credentials;
use crate::secret::Source;
use crate::setting::Secret;

/// Where the alerts go. Each secret may also come from a file or from a command.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Connection string, `mongodb://…` or `mongodb+srv://…`.
    pub uri: Option<Secret>,
    /// A file that holds the connection string; not readable for everyone.
    pub uri_file: Option<PathBuf>,
    /// A command (`/bin/sh -c`) that prints the connection string.
    pub uri_command: Option<String>,
    /// The database.
    pub database: String,
    /// The user, if the connection string names none.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// A file that holds the password; not readable for everyone.
    pub password_file: Option<PathBuf>,
    /// A command (`/bin/sh -c`) that prints the password.
    pub password_command: Option<String>,
    /// PEM file with the authorities that may have signed the server's certificate; turns TLS on.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate and its key, for servers that ask for one; turns TLS on.
    pub client_certificate_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uri: None,
            uri_file: None,
            uri_command: None,
            database: "wazuh_config_assessment".to_owned(),
            username: None,
            password: None,
            password_file: None,
            password_command: None,
            ca_file: None,
            client_certificate_file: None,
        }
    }
}

impl Settings {
    /// The connection string as it is written, from wherever it comes.
    ///
    /// # Errors
    ///
    /// `Settings` if there is none or its source cannot be read.
    pub fn uri(&self) -> Result<Secret, Error> {
        let source = Source {
            name: "store.uri",
            text: self.uri.as_ref(),
            file: self.uri_file.as_deref(),
            command: self.uri_command.as_deref(),
        };
        let uri = credentials::read(&source)?.ok_or_else(|| {
            Error::Settings(
                "no MongoDB is configured; set store.uri in custom-mongo.toml, MONGO_URI, or <hook_url>".to_owned(),
            )
        })?;
        let schemes = ["mongodb://", "mongodb+srv://"];
        if schemes
            .iter()
            .any(|scheme| uri.expose().starts_with(scheme))
        {
            return Ok(uri);
        }
        let why = "store.uri: it has to begin with mongodb:// or mongodb+srv://";
        Err(Error::Settings(why.to_owned()))
    }

    /// The password that is set apart from the connection string.
    ///
    /// # Errors
    ///
    /// `Settings` if its source cannot be read.
    pub(super) fn password(&self) -> Result<Option<Secret>, Error> {
        credentials::read(&Source {
            name: "store.password",
            text: self.password.as_ref(),
            file: self.password_file.as_deref(),
            command: self.password_command.as_deref(),
        })
    }

    /// Takes another connection string in place of the configured one.
    pub fn use_uri(&mut self, uri: Secret) {
        self.uri = Some(uri);
        self.uri_file = None;
        self.uri_command = None;
    }

    /// The name of the destination: a hash of the servers and the database. Login and options do
    /// not count, so that a new password or a longer timeout finds the same spool.
    ///
    /// # Errors
    ///
    /// `Settings`, as for `uri`.
    pub fn destination(&self) -> Result<String, Error> {
        let uri = self.uri()?;
        let mut hosts: Vec<_> = hosts(uri.expose())
            .split(',')
            .map(str::to_lowercase)
            .collect();
        hosts.sort();
        let text = format!("{}/{}", hosts.join(","), self.database);
        let digest = Sha256::digest(text.as_bytes());
        let first: [u8; 8] = digest.first_chunk().copied().unwrap_or_default();
        Ok(format!("{:016x}", u64::from_be_bytes(first)))
    }

    /// The servers as the connection string names them, for messages.
    pub fn servers(&self) -> String {
        let uri = self.uri().ok();
        let hosts = uri
            .as_ref()
            .map(|uri| hosts(uri.expose()))
            .unwrap_or_default();
        if hosts.split(',').all(is_server) {
            hosts.to_owned()
        } else {
            "the configured server".to_owned()
        }
    }

    /// Whether a command has to be run for a secret.
    pub fn asks_command(&self) -> bool {
        let uri = self.uri.is_none() && self.uri_file.is_none() && self.uri_command.is_some();
        let password = self.password.is_none() && self.password_file.is_none();
        uri || password && self.password_command.is_some()
    }

    /// Whether the connection string carries a password.
    pub fn has_password_in_uri(&self) -> bool {
        let uri = self.uri();
        uri.is_ok_and(|uri| {
            credentials::user_info(uri.expose()).is_some_and(|user| user.contains(':'))
        })
    }
}

fn hosts(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let rest = rest.rsplit('@').next().unwrap_or_default();
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// Whether it is `host`, `host:port` or `[address]:port`, and not a login that lost its host.
fn is_server(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, port),
        _ => (text, "0"),
    };
    let is_address = host.starts_with('[') && host.ends_with(']');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let named = !host.is_empty() && (is_address || host.chars().all(plain));
    named && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(uri: &str) -> String {
        let settings = Settings {
            uri: Some(Secret::new(uri)),
            ..Settings::default()
        };
        settings.destination().unwrap()
    }

    #[test]
    fn a_destination_is_its_servers_and_database() {
        let plain = destination("mongodb://A:27017,b:27018");
        assert_eq!(plain.len(), 16);
        assert_eq!(
            plain,
            destination("mongodb://u:p@b:27018,a:27017/admin?tls=true")
        );
        assert_ne!(plain, destination("mongodb://a:27017"));
    }

    #[test]
    fn servers_are_named_without_the_login() {
        let uri = Some(Secret::new(
            "mongodb://u:p%40ss@db.example:27017/x?authSource=admin",
        ));
        let settings = Settings {
            uri,
            ..Settings::default()
        };
        assert_eq!(settings.servers(), "db.example:27017");
        assert!(settings.has_password_in_uri());
        for uri in [
            "mongodb://u:AA/BB@db/x",
            "mongodb://u:AA?BB@db",
            "mongodb://u:AA@BB@db",
        ] {
            let uri = Some(Secret::new(uri));
            assert_eq!(
                Settings {
                    uri,
                    ..Settings::default()
                }
                .servers(),
                "db"
            );
        }
        let uri = Some(Secret::new("mongodb://user:secret"));
        assert_eq!(
            Settings {
                uri,
                ..Settings::default()
            }
            .servers(),
            "the configured server"
        );
    }
}
