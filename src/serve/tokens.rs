//! Tokens: who holds one, what it allows, and where their hashes lie.
//!
//! A token is 256 random bits, so its SHA-256 is all that has to be kept: a slow hash protects what
//! people choose and reuse, and would cost each request milliseconds. Hashes are compared in
//! constant time. Tokens are wanted as soon as there is one, and from then on until the service
//! ends, even if the last one is dropped.

use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

mod file;
#[cfg(test)]
mod tests;

pub use file::{Entry, TokenFile};

use super::settings::Settings;
use crate::secret::{self, Source};
use crate::setting::Secret;

/// How soon a token that was made or dropped counts.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Bring alerts.
    Ingest,
    /// Ask for what is stored.
    Read,
    /// Everything.
    Admin,
}

/// Whoever sent a request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The token's name, for the log; none where no token is wanted.
    pub(super) name: Option<Arc<str>>,
    /// The only site that he may see and write; all of them without.
    pub(super) site: Option<Arc<str>>,
    /// What he may do.
    pub(super) scopes: Arc<[Scope]>,
}

/// What became of a request's token.
pub(super) enum Identity {
    /// Known, or none is wanted.
    Known(Caller),
    /// One is wanted, and there is none.
    Missing,
    /// Nobody knows it.
    Unknown,
}

/// A SHA-256 digest.
type Hash = [u8; 32];

/// All tokens that count.
pub(super) struct Tokens {
    fixed: Vec<(Hash, Caller)>,
    file: TokenFile,
    kept: Mutex<Kept>,
    wanted: AtomicBool,
}

/// What the file held when it was last looked at.
struct Kept {
    looked: Instant,
    mark: Option<file::Mark>,
    known: Arc<[(Hash, Caller)]>,
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ingest" => Ok(Self::Ingest),
            "read" => Ok(Self::Read),
            "admin" => Ok(Self::Admin),
            other => Err(format!("`{other}` is not ingest, read or admin")),
        }
    }
}

impl Scope {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl Caller {
    /// Whoever asks a service that wants no tokens.
    fn anybody() -> Self {
        Self {
            name: None,
            site: None,
            scopes: Arc::new([Scope::Ingest, Scope::Read]),
        }
    }

    fn named(name: &str, scopes: &[Scope], site: Option<&str>) -> Self {
        Self {
            name: Some(name.into()),
            site: site.map(Into::into),
            scopes: scopes.into(),
        }
    }

    /// Whether he may.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

impl Tokens {
    /// Those of the settings and those of the file, which is read again when it changes.
    ///
    /// # Errors
    ///
    /// Names the token or the file that cannot be read.
    pub(super) fn new(settings: &Settings, file: TokenFile) -> Result<Self, String> {
        let fixed = fixed(settings)?;
        let mark = file.mark();
        let known = known(&file.read()?)?;
        let wanted = AtomicBool::new(!fixed.is_empty() || !known.is_empty());
        Ok(Self {
            fixed,
            file,
            wanted,
            kept: Mutex::new(Kept {
                looked: Instant::now(),
                mark,
                known,
            }),
        })
    }

    /// Whether requests need a token.
    pub(super) fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Who sends these headers.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Identity {
        let kept = self.look();
        if !self.are_wanted() {
            return Identity::Known(Caller::anybody());
        }
        let Some(given) = given(headers) else {
            return Identity::Missing;
        };
        let hash = hash(given);
        let mut found = None;
        // All of them, also behind a match: how long it takes says nothing.
        for (known, caller) in self.fixed.iter().chain(kept.iter()) {
            if bool::from(known.as_slice().ct_eq(&hash)) {
                found = Some(caller);
            }
        }
        found.map_or(Identity::Unknown, |caller| Identity::Known(caller.clone()))
    }

    /// The file's tokens, read again if it changed; one that cannot be read changes nothing.
    fn look(&self) -> Arc<[(Hash, Caller)]> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.looked.elapsed() < LOOK_AGAIN {
            return Arc::clone(&kept.known);
        }
        kept.looked = Instant::now();
        let mark = self.file.mark();
        if mark != kept.mark {
            kept.mark = mark;
            match self.file.read().and_then(|entries| known(&entries)) {
                Ok(known) => kept.known = known,
                Err(why) => log::error!("{why}; the tokens stay as they were"),
            }
            if !kept.known.is_empty() {
                self.wanted.store(true, Ordering::Relaxed);
            }
        }
        Arc::clone(&kept.known)
    }
}

/// The token of a request, in any of the three ways.
fn given(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    });
    let plain = |name| headers.get(name).map(axum::http::HeaderValue::as_bytes);
    let token = plain("x-auth-token").or(plain("x-api-key")).or(bearer);
    token.map(<[u8]>::trim_ascii)
}

fn fixed(settings: &Settings) -> Result<Vec<(Hash, Caller)>, String> {
    let mut all = Vec::new();
    if let Some(token) = auth_token(settings)? {
        if token.expose().is_empty() {
            return Err("serve.auth_token: it is empty".to_owned());
        }
        // As the senders of the Python service have it: one token for all that it does.
        let caller = Caller::named("auth_token", &[Scope::Ingest, Scope::Read], None);
        all.push((hash(token.expose().as_bytes()), caller));
    }
    for (name, token) in &settings.tokens {
        let fault = |why: String| format!("serve.tokens.{name}: {why}");
        let hash = from_hex(&token.hash).ok_or_else(|| {
            fault("hash: 64 hex digits are wanted, as printf %s TOKEN | sha256sum gives".to_owned())
        })?;
        let scopes: Result<Vec<Scope>, _> = token.scope.0.iter().map(|one| one.parse()).collect();
        let scopes = scopes.map_err(|why| fault(format!("scope: {why}")))?;
        all.push((hash, Caller::named(name, &scopes, token.site.as_deref())));
    }
    Ok(all)
}

/// Read once, at the start: who wants tokens that come and go makes them.
fn auth_token(settings: &Settings) -> Result<Option<Secret>, String> {
    let source = Source {
        name: "serve.auth_token",
        text: settings.auth_token.as_ref(),
        file: settings.auth_token_file.as_deref(),
        command: None,
    };
    secret::read(&source, Duration::ZERO)
}

fn known(entries: &[Entry]) -> Result<Arc<[(Hash, Caller)]>, String> {
    let one = |entry: &Entry| {
        let why = || format!("the token {} has no hash that is one", entry.name);
        let hash = from_hex(&entry.hash).ok_or_else(why)?;
        let caller = Caller::named(&entry.name, &entry.scope, entry.site.as_deref());
        Ok((hash, caller))
    };
    entries.iter().map(one).collect()
}

fn hash(token: &[u8]) -> Hash {
    Sha256::digest(token).into()
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a text does not fail.
        write!(hex, "{byte:02x}").ok();
        hex
    })
}

fn from_hex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    let digits = text.trim().as_bytes();
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(hash)
}

/// 256 random bits that a scanner for secrets can know by their beginning.
fn fresh() -> std::io::Result<String> {
    use std::io::Read;
    let mut random = Hash::default();
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(format!("cmt_{}", to_hex(&random)))
}
