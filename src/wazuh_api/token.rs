//! The token of a login and how long it is good: its `exp` minus its `nbf`, counted from when it came,
//! so that the clocks of the two hosts need not agree.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::setting::Secret;

/// Renewed so long before it ends: a request may wait in the server's queue.
const MARGIN: Duration = Duration::from_secs(20);
/// Wazuh's default (`auth_token_exp_timeout`), for a token that cannot be read.
const DEFAULT_LIFE: Duration = Duration::from_secs(900);
const MOST_LIFE: Duration = Duration::from_secs(86_400);

/// A token that was good when it came.
#[derive(Debug)]
pub(super) struct Token {
    text: Secret,
    renew_at: Instant,
}

#[derive(serde::Deserialize)]
struct Claims {
    nbf: u64,
    exp: u64,
}

impl Token {
    /// A token that has come just now.
    pub(super) fn new(text: &str, now: Instant) -> Self {
        // A day at most: whatever the server says, the sum below is a time.
        let life = life(text).unwrap_or(DEFAULT_LIFE).min(MOST_LIFE);
        // A token may live for as little as 30 s.
        let margin = MARGIN.min(life / 4);
        Self {
            text: Secret::new(text),
            renew_at: now + life.saturating_sub(margin),
        }
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now < self.renew_at
    }

    /// For the header alone.
    pub(super) fn expose(&self) -> &str {
        self.text.expose()
    }
}

/// From the payload of the JSON web token (RFC 7519, section 3); the signature is the server's affair.
fn life(token: &str) -> Option<Duration> {
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Some(Duration::from_secs(claims.exp.checked_sub(claims.nbf)?))
}

/// The value of the header for a login (RFC 7617).
pub(super) fn basic(user: &str, password: &Secret) -> Secret {
    let pair = format!("{user}:{}", password.expose());
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    Secret::new(format!("Basic {encoded}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The claims that a real 4.14.7 sent.
    fn token(nbf: u64, exp: u64) -> String {
        let claims = format!(
            r#"{{"iss":"wazuh","aud":"Wazuh API REST","nbf":{nbf},"exp":{exp},"sub":"wazuh"}}"#
        );
        format!(
            "eyJhbGciOiJFUzUxMiJ9.{}.SIG",
            URL_SAFE_NO_PAD.encode(claims)
        )
    }

    #[test]
    fn a_token_is_renewed_before_it_ends_whatever_the_clocks_say() {
        let now = Instant::now();
        let after = |token: &Token, seconds| token.is_fresh(now + Duration::from_secs(seconds));
        let usual = Token::new(&token(1_795_234_290, 1_795_235_190), now);
        assert!(after(&usual, 879) && !after(&usual, 881));
        let short = Token::new(&token(5, 35), now);
        assert!(after(&short, 22) && !after(&short, 23));
        let eternal = Token::new(&token(0, u64::MAX), now);
        assert!(!after(&eternal, 86_400));
        let odd = Token::new("not.a-token", now);
        assert!(after(&odd, 879) && !after(&odd, 881));
    }

    #[test]
    fn a_token_does_not_print_itself() {
        let token = Token::new("hush", Instant::now());
        assert!(!format!("{token:?}").contains("hush"));
        let basic = basic("ann", &Secret::new("hush"));
        assert_eq!(basic.expose(), "Basic YW5uOmh1c2g=");
        assert_eq!(format!("{basic:?}"), "(secret)");
    }
}
