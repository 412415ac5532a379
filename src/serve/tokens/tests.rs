//! Tokens of the settings, in each of the three headers.

use super::*;
use crate::serve::settings::TokenSettings;
use crate::setting::List;

fn with(settings: &Settings) -> (tempfile::TempDir, Tokens) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(settings, TokenFile::of(folder.path())).unwrap();
    (folder, tokens)
}

fn headers(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(
        axum::http::HeaderName::from_static(name),
        value.parse().unwrap(),
    )])
}

fn scopes(tokens: &Tokens, name: &'static str, value: &str) -> Option<Vec<Scope>> {
    match tokens.identify(&headers(name, value)) {
        Identity::Known(caller) => Some(caller.scopes.to_vec()),
        Identity::Missing | Identity::Unknown => None,
    }
}

#[test]
fn a_token_is_known_by_its_hash_in_each_of_the_three_headers() {
    let token = TokenSettings {
        hash: to_hex(&hash(b"abc")),
        scope: List(vec!["read".to_owned()]),
        site: None,
    };
    let settings = Settings {
        tokens: [("one".to_owned(), token)].into(),
        auth_token: Some(Secret::new("plain")),
        ..Settings::default()
    };
    let (_folder, tokens) = with(&settings);
    let read = Some(vec![Scope::Read]);
    assert_eq!(scopes(&tokens, "x-auth-token", "abc"), read);
    assert_eq!(scopes(&tokens, "x-api-key", "abc"), read);
    assert_eq!(scopes(&tokens, "authorization", "bearer abc"), read);
    assert_eq!(scopes(&tokens, "authorization", "Basic abc"), None);
    assert_eq!(scopes(&tokens, "x-api-key", "abcd"), None);
    let both = Some(vec![Scope::Ingest, Scope::Read]);
    assert_eq!(scopes(&tokens, "x-auth-token", "plain"), both);
}

#[test]
fn without_tokens_anybody_may_send_and_read() {
    let (_folder, tokens) = with(&Settings::default());
    let both = Some(vec![Scope::Ingest, Scope::Read]);
    assert_eq!(scopes(&tokens, "accept", "*/*"), both);
}

#[test]
fn a_hash_that_is_none_is_refused_with_its_name() {
    let token = TokenSettings {
        hash: "12".to_owned(),
        scope: List::default(),
        site: None,
    };
    let settings = Settings {
        tokens: [("ours".to_owned(), token)].into(),
        ..Settings::default()
    };
    let why = fixed(&settings).unwrap_err();
    assert!(why.contains("serve.tokens.ours"), "{why}");
}
