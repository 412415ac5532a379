//! The certificates that the servers show.

use std::path::Path;

use super::{Open, WITHIN, named};
use crate::alert::time::rfc3339;
use crate::certificate::{self, Error, Judgement, Shown};
use crate::commands::check::finding::Findings;
use crate::commands::now;
use crate::store::{Encryption, Seeds};

/// From so many days on an administrator should think of a new certificate.
const SOON: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// Looks at each server's certificate, if TLS is on.
pub(super) fn check(findings: &mut Findings, seeds: &Seeds, open: &[Open]) {
    let ca_file = match &seeds.tls {
        Encryption::Off => {
            if open.iter().any(|one| !one.address.ip().is_loopback()) {
                let detail = "off: alerts and the login cross the network in the clear";
                findings.advise(
                    "mongodb tls",
                    detail,
                    "set tls=true in store.uri, and store.ca_file",
                );
            }
            return;
        }
        Encryption::Unverified => {
            let detail = "NOT verified: whoever is between reads the alerts and the login";
            let fix = "remove tlsInsecure and tlsAllowInvalidCertificates from store.uri, and set store.ca_file";
            return findings.bad("mongodb tls", detail, fix);
        }
        Encryption::Verified(ca_file) => ca_file.as_deref(),
    };
    for one in open {
        check_one(findings, one, ca_file);
    }
}

fn check_one(findings: &mut Findings, one: &Open, ca_file: Option<&Path>) {
    let name = named(&one.server);
    let shown = match certificate::look(&one.server.0, one.address, ca_file, WITHIN) {
        Ok(shown) => shown,
        Err(Error::Authorities(why)) => {
            return findings.bad(
                "mongodb tls",
                why,
                "set store.ca_file to the PEM file of your authority",
            );
        }
        Err(error) => {
            let fix = "is TLS on at the server (net.tls.mode in /etc/mongod.conf)? else remove tls=true and store.ca_file";
            let detail = format!("{name} answers, but not with TLS: {error}");
            return findings.bad("mongodb tls", detail, fix);
        }
    };
    let detail = format!("{name} shows {}", describe(&shown));
    let Some((why, fix)) = refusal(&shown, &one.server.0, ca_file) else {
        if days_left(&shown).is_some_and(|days| days < SOON) {
            let fix = "renew it now: on its last day alerts begin to wait in the spool";
            return findings.advise("mongodb tls", detail, fix);
        }
        return findings.good("mongodb tls", detail);
    };
    findings.bad("mongodb tls", format!("{detail}: {why}"), fix);
}

fn refusal(shown: &Shown, host: &str, ca_file: Option<&Path>) -> Option<(String, String)> {
    let by = shown
        .issuer
        .as_deref()
        .unwrap_or("an authority without a name");
    Some(match &shown.judgement {
        Judgement::Good => return None,
        Judgement::Expired => (
            "its time is over".to_owned(),
            "put a new certificate on the server".to_owned(),
        ),
        Judgement::NotYet => (
            "its time has not come".to_owned(),
            "correct this host's clock (timedatectl), or the certificate".to_owned(),
        ),
        Judgement::OtherName(names) => (
            format!("it is not for {host}"),
            format!(
                "use a name that is in it in store.uri ({}), or put {host} into it",
                names.join(", ")
            ),
        ),
        Judgement::UnknownIssuer => {
            let fix = match ca_file {
                Some(file) => format!("put the PEM of {by} into {}", file.display()),
                None => format!("set store.ca_file to the PEM file of {by}"),
            };
            ("nobody who is trusted has signed it".to_owned(), fix)
        }
        Judgement::Bad(why) => (
            why.clone(),
            "put another certificate on the server".to_owned(),
        ),
    })
}

fn describe(shown: &Shown) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "no name".to_owned());
    let (subject, issuer) = (text(&shown.subject), text(&shown.issuer));
    let until = shown.not_after.map(|seconds| {
        let date = rfc3339(seconds.saturating_mul(1000));
        let date = date.split('T').next().unwrap_or_default().to_owned();
        format!(
            ", until {date} ({} days)",
            days_left(shown).unwrap_or_default()
        )
    });
    format!("{subject}, signed by {issuer}{}", until.unwrap_or_default())
}

fn days_left(shown: &Shown) -> Option<i64> {
    let until = shown.not_after?.saturating_mul(1000);
    Some(until.saturating_sub(now()).div_euclid(DAY_MS))
}

/// Whether one of them would speak if it were asked with TLS; then that is the fault.
pub(super) fn is_wanted(findings: &mut Findings, open: &[Open]) -> bool {
    let look = |one: &Open| certificate::look(&one.server.0, one.address, None, WITHIN).ok();
    let Some((one, shown)) = open.iter().find_map(|one| Some((one, look(one)?))) else {
        return false;
    };
    let name = named(&one.server);
    let detail = format!(
        "{name} wants TLS and store.uri does not say so; it shows {}",
        describe(&shown)
    );
    let fix = match shown.judgement {
        Judgement::Good => "set tls=true in store.uri".to_owned(),
        _ => "set store.ca_file to the PEM file of its authority, which turns TLS on".to_owned(),
    };
    findings.bad("mongodb tls", detail, fix);
    true
}
