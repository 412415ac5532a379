//! The file of the tokens that `custom-mongo token new` made: names, scopes and hashes, mode 0600 in
//! the state folder, replaced as a whole, so that a reader sees the old one or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{Scope, fresh, hash, to_hex};
use crate::setting::Secret;

const LONGEST_NAME: usize = 64;

/// One token, without itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What people call it; it stands in the access log.
    pub name: String,
    /// What it may do.
    pub scope: Vec<Scope>,
    /// The only site that it may see and write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// SHA-256 of the token, in hex.
    pub(super) hash: String,
}

/// Changes when the file does.
pub(super) type Mark = (u64, u64, i64, i64);

/// The file itself.
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The file in this state folder, whether it is there or not.
    pub fn of(state: &Path) -> Self {
        let path = state.join("tokens.json");
        Self { path }
    }

    /// All tokens; none if there is no file.
    ///
    /// # Errors
    ///
    /// Names the file.
    pub fn read(&self) -> Result<Vec<Entry>, String> {
        let fault = |why: String| format!("cannot read {}: {why}", self.path.display());
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fault(error.to_string())),
        };
        serde_json::from_str(&text).map_err(|error| fault(error.to_string()))
    }

    /// Makes a token and keeps its hash. The token itself is nowhere but in the answer.
    ///
    /// # Errors
    ///
    /// A name that is taken or none, no scope, or a file that cannot be written.
    pub fn add(
        &self,
        name: &str,
        scope: &[Scope],
        site: Option<&str>,
        now_ms: i64,
    ) -> Result<Secret, String> {
        if !is_name(name) {
            return Err(format!(
                "`{name}` is no name for a token; letters, digits and .-_ are wanted, up to {LONGEST_NAME}"
            ));
        }
        let _lock = self.lock()?;
        let mut entries = self.read()?;
        if entries.iter().any(|entry| entry.name == name) {
            return Err(format!(
                "there is a token {name} already; custom-mongo token drop {name} takes it away"
            ));
        }
        let token = fresh().map_err(|error| format!("no random bits: {error}"))?;
        entries.push(Entry {
            name: name.to_owned(),
            scope: scope.to_vec(),
            site: site.map(str::to_owned),
            created_ms: now_ms,
            hash: to_hex(&hash(token.as_bytes())),
        });
        self.write(&entries)?;
        Ok(Secret::new(token))
    }

    /// Takes a token away.
    ///
    /// # Errors
    ///
    /// There is none of this name, or the file cannot be written.
    pub fn remove(&self, name: &str) -> Result<(), String> {
        let _lock = self.lock()?;
        let mut entries = self.read()?;
        let before = entries.len();
        entries.retain(|entry| entry.name != name);
        if entries.len() == before {
            return Err(format!(
                "there is no token {name}; see custom-mongo token list"
            ));
        }
        self.write(&entries)
    }

    /// None if there is no file.
    pub(super) fn mark(&self) -> Option<Mark> {
        let meta = fs::metadata(&self.path).ok()?;
        Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    }

    fn write(&self, entries: &[Entry]) -> Result<(), String> {
        let new = self.path.with_extension("json.new");
        let written = serde_json::to_vec_pretty(entries)
            .map_err(Into::into)
            .and_then(|text| replace(&new, &self.path, &text));
        written.map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }

    fn lock(&self) -> Result<Flock<File>, String> {
        let path = self.path.with_extension("lock");
        let fault = |why: &dyn std::fmt::Display| format!("cannot lock {}: {why}", path.display());
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(|error| fault(&error))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| fault(&error))
    }
}

fn replace(new: &Path, path: &Path, text: &[u8]) -> std::io::Result<()> {
    // What an earlier try left could have another mode.
    match fs::remove_file(new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_once_and_kept_as_a_hash() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::of(folder.path());
        let token = file.add("one", &[Scope::Read], Some("paris"), 7).unwrap();
        assert_eq!(token.expose().len(), 4 + 64);
        let text = fs::read_to_string(folder.path().join("tokens.json")).unwrap();
        assert!(!text.contains(token.expose()), "{text}");
        assert!(
            text.contains(&to_hex(&hash(token.expose().as_bytes()))),
            "{text}"
        );
        let mode = fs::metadata(folder.path().join("tokens.json"))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(file.add("one", &[Scope::Read], None, 7).is_err());
        file.remove("one").unwrap();
        assert!(file.remove("one").is_err());
        assert_eq!(file.read().unwrap(), []);
    }

    #[test]
    fn a_name_is_plain() {
        assert!(is_name("soc-1.front_end"));
        assert!(!is_name("") && !is_name("a b") && !is_name("a\nb"));
    }
}
