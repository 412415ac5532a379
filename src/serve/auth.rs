//! The guard in front of the routes: who asks, whether he may, and how often.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::connection::Peer;
use super::error::Error;
use super::limits::{Limit, neighbourhood};
use super::settings::Settings;
use super::tokens::Identity;
pub(super) use super::tokens::{Caller, Scope};

/// Wrong tokens a second that one address may try.
const WRONG: u32 = 10;

/// How often who may ask.
pub(super) struct Rates {
    address: Limit<IpAddr>,
    handshake: Limit<IpAddr>,
    token: Limit<Arc<str>>,
    wrong: Limit<IpAddr>,
}

/// What a route wants of its caller.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need {
    /// A token with this scope, where tokens are wanted.
    Scope(Scope),
    /// This machine, or a token with this scope.
    LocalOr(Scope),
}

/// The name of the token of a request, for the log.
#[derive(Debug, Clone)]
pub(super) struct TokenName(pub(super) Arc<str>);

impl Rates {
    pub(super) fn new(settings: &Settings) -> Self {
        let rate = |setting: i64| u32::try_from(setting).unwrap_or(0);
        Self {
            address: Limit::new(rate(settings.address_rate.0)),
            handshake: Limit::new(rate(settings.address_rate.0)),
            token: Limit::new(rate(settings.token_rate.0)),
            wrong: Limit::new(WRONG),
        }
    }

    /// Whether this address may have a handshake, which costs more than most requests: as often as it
    /// may ask.
    pub(super) fn may_shake(&self, address: IpAddr) -> bool {
        self.handshake.take(neighbourhood(address)).is_ok()
    }

    /// 429 if this address asks too often.
    pub(super) fn address(&self, peer: &Peer) -> Result<(), Error> {
        let asker = neighbourhood(peer.address.ip());
        self.address.take(asker).map_err(too_often)
    }
}

impl Caller {
    /// 403 unless he may.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Error> {
        if self.may(scope) {
            return Ok(());
        }
        let why = match scope {
            Scope::Ingest => "The token has not the scope ingest",
            Scope::Read => "The token has not the scope read",
            Scope::Admin => "The token has not the scope admin",
        };
        Err(Error::new(StatusCode::FORBIDDEN, why))
    }
}

/// A handler behind a guard asks for it as an argument.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Error::internal("a route without a guard asks for its caller"))
    }
}

/// In front of routes: only who has what they need comes through.
pub(super) async fn guard(
    State((app, need)): State<(Arc<App>, Need)>,
    mut request: Request,
    next: Next,
) -> Response {
    let allowed = match need {
        Need::LocalOr(_) if is_local(&request) => return next.run(request).await,
        // How this service does is a matter of its own site.
        Need::LocalOr(scope) => {
            allow(&app, &request, scope).and_then(|caller| of_site(&app, caller))
        }
        Need::Scope(scope) => allow(&app, &request, scope),
    };
    let caller = match allowed {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let name = caller.name.clone().map(TokenName);
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    if let Some(name) = name {
        response.extensions_mut().insert(name);
    }
    response
}

fn allow(app: &App, request: &Request, scope: Scope) -> Result<Caller, Error> {
    let caller = match app.tokens.identify(request.headers()) {
        Identity::Known(caller) => caller,
        Identity::Missing => return Err(unauthorized(MISSING)),
        Identity::Unknown => {
            if let Some(peer) = request.extensions().get::<Peer>() {
                let asker = neighbourhood(peer.address.ip());
                app.rates.wrong.take(asker).map_err(too_often)?;
            }
            return Err(unauthorized("The token is not known"));
        }
    };
    match &caller.name {
        Some(name) => app.rates.token.take(Arc::clone(name)).map_err(too_often)?,
        None if !app.settings.insecure_listen.0 => no_page_of_others(app, request.headers())?,
        None => {}
    }
    caller.require(scope)?;
    Ok(caller)
}

/// 403 for whoever may only see another site than this service's.
pub(super) fn of_site(app: &App, caller: Caller) -> Result<Caller, Error> {
    if caller.site.as_ref().is_none_or(|site| **site == *app.site) {
        return Ok(caller);
    }
    let why = "The token is for another site than this service's";
    Err(Error::new(StatusCode::FORBIDDEN, why))
}

const MISSING: &str = "A token is wanted: X-Auth-Token, X-API-Key or Authorization: Bearer";

fn unauthorized(why: &'static str) -> Error {
    Error::new(StatusCode::UNAUTHORIZED, why)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn too_often(wait: Duration) -> Error {
    Error::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests").retry_after(wait)
}

/// A browser on this machine reaches the service too. Where no token keeps other people's pages out,
/// the names under which they would ask do: DNS rebinding shows in Host, all else in Origin.
fn no_page_of_others(app: &App, headers: &HeaderMap) -> Result<(), Error> {
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);
    let host = text(header::HOST).unwrap_or_default();
    if !is_own_name(host) {
        let why = "Without tokens only requests to localhost or an IP address are taken; \
                   make a token (custom-mongo token new) or set serve.insecure_listen";
        return Err(Error::new(StatusCode::FORBIDDEN, why));
    }
    let Some(origin) = text(header::ORIGIN) else {
        return Ok(());
    };
    let own = origin.split(|byte| *byte == b'/').next_back() == Some(host);
    let origins = &app.settings.cors_origins.0;
    let listed = |one: &String| one == "*" || one.as_bytes() == origin;
    if own || origins.iter().any(listed) {
        return Ok(());
    }
    let why = "The page's origin is not among serve.cors_origins";
    Err(Error::new(StatusCode::FORBIDDEN, why))
}

fn is_own_name(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else {
        return host.is_empty();
    };
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether it comes from this machine itself, and not through a proxy on it.
fn is_local(request: &Request) -> bool {
    let peer = request.extensions().get::<Peer>();
    let proxied = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let proxied = proxied
        .iter()
        .any(|name| request.headers().contains_key(*name));
    let host = request.headers().get(header::HOST);
    let host = host.map(HeaderValue::as_bytes).unwrap_or_default();
    !proxied
        && is_own_name(host)
        && !request.headers().contains_key(header::ORIGIN)
        && peer.is_some_and(|peer| peer.address.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_our_own_is_localhost_or_an_address() {
        for host in [
            "localhost:5000",
            "127.0.0.1",
            "[::1]:5000",
            "10.1.2.3:80",
            "",
        ] {
            assert!(is_own_name(host.as_bytes()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:5000", "a@b"] {
            assert!(!is_own_name(host.as_bytes()), "{host}");
        }
    }
}
