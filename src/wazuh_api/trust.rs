//! What makes a certificate good. Wazuh's own is self-signed, names only `localhost` and ends after a
//! year, so neither name nor date says anything: its SHA-256 fingerprint does, either from the
//! settings (`pin`) or from `custom-mongo check --trust`, which keeps it in the state folder, a line
//! for each `host:port`.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use super::address::Address;
use super::{Error, Settings};

/// SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// What an address is held to.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// One of these certificates.
    Pins { of: Source, pins: Vec<Fingerprint> },
    /// Whatever these have signed, for the right name and in time.
    Authorities(PathBuf, Vec<CertificateDer<'static>>),
    /// Whatever a public authority has signed.
    Public,
    /// Anything.
    Nothing,
}

/// Who named the fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Settings,
    /// `check --trust`, or the caller.
    Stored,
}

impl Fingerprint {
    pub(super) fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// With or without colons, in any case, also behind `sha256 Fingerprint=`.
    fn from_str(text: &str) -> Result<Self, String> {
        let hex = text.rsplit('=').next().unwrap_or_default();
        let hex: String = hex.chars().filter(|c| !": ".contains(*c)).collect();
        let fault = || {
            format!(
                "`{text}` is no SHA-256 fingerprint; openssl x509 -fingerprint -sha256 prints one"
            )
        };
        let digits = hex.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return Err(fault());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| fault())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| fault())?;
        }
        Ok(Self(bytes))
    }
}

impl Trust {
    /// What the settings ask for, the explicit before the stored: `pin`, `insecure`, `ca_file`, what
    /// was trusted by hand, the public authorities.
    pub(super) fn decide(
        settings: &Settings,
        given: Option<&str>,
        stored: Option<Fingerprint>,
    ) -> Result<Self, Error> {
        let pins = settings.pin.0.iter().map(|pin| pin.parse());
        let pins: Vec<Fingerprint> = pins
            .collect::<Result<_, _>>()
            .map_err(|why: String| Error::Settings(format!("wazuh_api.pin: {why}")))?;
        if !pins.is_empty() {
            let of = Source::Settings;
            return Ok(Self::Pins { of, pins });
        }
        if settings.insecure.0 {
            return Ok(Self::Nothing);
        }
        if let Some(file) = &settings.ca_file {
            return authorities(file).map(|all| Self::Authorities(file.clone(), all));
        }
        let given = given.map(str::parse).transpose().map_err(Error::Settings)?;
        Ok(match given.or(stored) {
            Some(pin) => Self::Pins {
                of: Source::Stored,
                pins: vec![pin],
            },
            None => Self::Public,
        })
    }

    /// For whoever wants to know why a certificate was taken.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Pins { of, .. } => match of {
                Source::Settings => "certificate pinned by wazuh_api.pin".to_owned(),
                Source::Stored => "certificate trusted by check --trust".to_owned(),
            },
            Self::Authorities(file, _) => format!("certificate signed as {} asks", file.display()),
            Self::Public => "certificate of a public authority".to_owned(),
            Self::Nothing => "certificate NOT verified (wazuh_api.insecure)".to_owned(),
        }
    }

    /// What to say when the server shows another certificate.
    pub(super) fn refuse(&self, address: &Address, seen: Fingerprint, why: &str) -> String {
        let host = address.name();
        match self {
            Self::Pins { of, pins } => {
                let expected: Vec<String> = pins.iter().map(ToString::to_string).collect();
                let expected = expected.join(" or ");
                let fix = match of {
                    Source::Settings => "change wazuh_api.pin",
                    Source::Stored => "run custom-mongo check --trust",
                };
                format!(
                    "the certificate of {host} has changed: expected SHA-256 {expected}, seen {seen}; \
                     if the manager says the same (openssl x509 -noout -fingerprint -sha256 -in \
                     /var/ossec/api/configuration/ssl/server.crt), {fix}"
                )
            }
            _ => format!(
                "the certificate of {host} is not trusted ({why}), SHA-256 {seen}; set \
                 wazuh_api.ca_file, or compare it with the manager's and run custom-mongo check --trust"
            ),
        }
    }
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fault =
        |why: &str| Error::Settings(format!("wazuh_api.ca_file: {}: {why}", file.display()));
    let text = fs::read(file).map_err(|error| fault(&format!("cannot be read: {error}")))?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|_| fault("it is not PEM"))?;
    if all.is_empty() {
        return Err(fault("there is no certificate in it"));
    }
    Ok(all)
}

/// The folder of this room below the state folder, made if it is not there.
///
/// # Errors
///
/// As the file system has them.
pub(super) fn folder(state: &Path) -> io::Result<PathBuf> {
    let folder = state.join("wazuh_api");
    match fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(&folder)
    {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(folder),
    }
}

/// What is trusted for this `host:port`.
pub(super) fn stored(state: &Path, address: &str) -> Result<Option<Fingerprint>, Error> {
    let path = state.join("wazuh_api/trusted");
    let fault = |why: &str| {
        let path = path.display();
        Error::Settings(format!(
            "{path}: {why}; remove it and run custom-mongo check --trust"
        ))
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(&format!("cannot be read: {error}"))),
    };
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let line = lines.find(|(host, _)| *host == address);
    line.map(|(_, pin)| pin.parse())
        .transpose()
        .map_err(|why: String| fault(&why))
}

/// Trusts this certificate for `host:port` from now on, in place of the one before.
///
/// # Errors
///
/// As the file system has them.
pub fn trust(state: &Path, address: &str, fingerprint: Fingerprint) -> io::Result<()> {
    let folder = folder(state)?;
    let path = folder.join("trusted");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let other = |line: &&str| line.split(' ').next() != Some(address);
    let mut lines: Vec<String> = text.lines().filter(other).map(str::to_owned).collect();
    lines.push(format!("{address} {fingerprint}\n"));
    let new = folder.join(format!("trusted.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(lines.join("\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::{List, Switch};

    const PIN: &str = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99";

    #[test]
    fn a_fingerprint_is_read_in_every_usual_form() {
        let pin: Fingerprint = PIN.parse().unwrap();
        let plain = PIN.replace(':', "").to_lowercase();
        for form in [
            plain,
            format!("sha256 Fingerprint={PIN}"),
            format!(" {PIN} "),
        ] {
            assert_eq!(form.parse(), Ok(pin), "{form}");
        }
        assert_eq!(pin.to_string(), PIN);
        for wrong in ["", "AA:BB", &PIN.replace('A', "G"), &format!("{PIN}:00")] {
            let why = wrong.parse::<Fingerprint>().unwrap_err();
            assert!(why.contains("openssl"), "{why}");
        }
    }

    #[test]
    fn what_is_trusted_is_kept_for_each_address_alone() {
        let state = tempfile::tempdir().unwrap();
        let (one, two) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
        assert_eq!(stored(state.path(), "a:55000"), Ok(None));
        trust(state.path(), "a:55000", one).unwrap();
        trust(state.path(), "a:5500", two).unwrap();
        assert_eq!(stored(state.path(), "a:55000"), Ok(Some(one)));
        trust(state.path(), "a:55000", two).unwrap();
        assert_eq!(stored(state.path(), "a:55000"), Ok(Some(two)));
        assert_eq!(stored(state.path(), "a:5500"), Ok(Some(two)));
        assert_eq!(stored(state.path(), "b:55000"), Ok(None));
        let path = state.path().join("wazuh_api/trusted");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        fs::write(path, "a:55000 what?\n").unwrap();
        assert!(
            stored(state.path(), "a:55000").is_err(),
            "never silently untrusted"
        );
    }

    #[test]
    fn the_explicit_counts_before_the_stored() {
        let kept = Some(Fingerprint([7; 32]));
        let settings = |pin: &[&str], insecure| Settings {
            pin: List(pin.iter().map(|&pin| pin.to_owned()).collect()),
            insecure: Switch(insecure),
            ..Settings::default()
        };
        let decide = |settings: &Settings| Trust::decide(settings, None, kept).unwrap().describe();
        assert!(decide(&settings(&[PIN], true)).contains("wazuh_api.pin"));
        assert!(decide(&settings(&[], true)).contains("NOT verified"));
        assert!(decide(&settings(&[], false)).contains("check --trust"));
        assert!(Trust::decide(&settings(&["x"], false), None, None).is_err());
        let none = Trust::decide(&settings(&[], false), None, None).unwrap();
        assert!(none.describe().contains("public authority"));
    }
}
