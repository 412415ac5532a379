//! Secrets of the store: how a login gets into a connection string and out of a message. No message
//! from here holds one.

use std::time::Duration;

use super::Error;
use crate::secret::{self, Source};
use crate::setting::Secret;

/// How long a command may take; the hook's own deadline has to hold it.
const COMMAND_LIMIT: Duration = Duration::from_millis(500);

/// The secret, if it stands anywhere; it may stand in one place only.
pub(super) fn read(source: &Source<'_>) -> Result<Option<Secret>, Error> {
    secret::read(source, COMMAND_LIMIT).map_err(Error::Settings)
}

/// `user:password` of a connection string, as it stands there: everything up to the last `@`, since
/// a password that was not percent-encoded may hold `/`, `?` and `@` itself.
pub(super) fn user_info(uri: &str) -> Option<&str> {
    let rest = uri.split_once("://")?.1;
    rest.rsplit_once('@').map(|(user, _)| user)
}

/// The connection string with the login that is set apart from it.
pub(super) fn with_login(uri: &str, username: Option<&str>, password: Option<&Secret>) -> String {
    if username.is_none() && password.is_none() {
        return uri.to_owned();
    }
    let written = user_info(uri);
    let (written_user, written_password) = match written.map(|user| user.split_once(':')) {
        Some(Some((user, password))) => (user.to_owned(), Some(password.to_owned())),
        _ => (written.unwrap_or_default().to_owned(), None),
    };
    let user = username.map_or(written_user, encode);
    let password = password
        .map(|password| encode(password.expose()))
        .or(written_password);
    let login = password.map_or(user.clone(), |password| format!("{user}:{password}"));
    let (scheme, rest) = uri.split_once("://").unwrap_or(("mongodb", uri));
    let rest = written
        .and_then(|user| rest.strip_prefix(user))
        .unwrap_or(rest);
    format!(
        "{scheme}://{login}@{}",
        rest.strip_prefix('@').unwrap_or(rest)
    )
}

/// Percent-encodes what is not unreserved (RFC 3986, section 2.3).
fn encode(text: &str) -> String {
    let encode_byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode_byte).collect()
}

/// Takes the login out of a message that the driver or the server wrote.
pub(super) fn scrub(message: &str, uri: &str, password: Option<&Secret>) -> String {
    let written = user_info(uri).unwrap_or_default();
    let secret = written
        .split_once(':')
        .map(|(_, secret)| secret)
        .unwrap_or_default();
    let decoded = decode(secret);
    let apart = password.map(Secret::expose).unwrap_or_default();
    let is_bare = uri.ends_with("://");
    let mut message = if is_bare {
        message.to_owned()
    } else {
        message.replace(uri, "(uri)")
    };
    // The user's name alone is no secret, and may well be the program's.
    let login = if secret.is_empty() { "" } else { written };
    for secret in [login, secret, &decoded, apart] {
        // A password of a letter or two would blacken the whole message and hide nothing.
        if secret.len() > 2 {
            message = message.replace(secret, "***");
        }
    }
    message
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let is_escape = first == b'%' && byte.is_some();
        out.push(byte.filter(|_| is_escape).unwrap_or(first));
        rest = after
            .get(if is_escape { 2.. } else { 0.. })
            .unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_set_apart_takes_the_place_of_the_written_one() {
        let password = Secret::new("p@ss/word");
        let with = |uri, user, password| with_login(uri, user, password);
        assert_eq!(with("mongodb://h/db", None, None), "mongodb://h/db");
        assert_eq!(
            with("mongodb://h:1/db?x=1", Some("us"), Some(&password)),
            "mongodb://us:p%40ss%2Fword@h:1/db?x=1"
        );
        assert_eq!(
            with("mongodb://a:b@h", None, Some(&password)),
            "mongodb://a:p%40ss%2Fword@h"
        );
        assert_eq!(with("mongodb://a:b@h", Some("c"), None), "mongodb://c:b@h");
    }

    #[test]
    fn a_message_keeps_no_password() {
        let uri = "mongodb://ann:s%40cret@h/";
        let message = scrub("cannot use mongodb://ann:s%40cret@h/: s@cret", uri, None);
        assert!(
            !message.contains("s%40cret") && !message.contains("s@cret"),
            "{message}"
        );
        let apart = Secret::new("hunter2");
        assert!(!scrub("bad hunter2", "mongodb://h", Some(&apart)).contains("hunter2"));
    }
}
