//! When a loss is believed. A manager's upgrade or a worker's failover empties databases that fill
//! again with the next scan: "had N, now 0" says nothing by itself.

use crate::alert::time;
use crate::setting::{Percent, Span};
use crate::store::Held;

/// What a complete read says about the rows that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Some went, most stayed: that is what happens every day.
    Ordinary,
    /// Most or all went; not believed yet.
    Suspicious(Held),
    /// Most or all went, and everything speaks for it.
    Confirmed(Held),
}

/// What is known when a complete read has ended.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    /// Rows there were.
    pub(super) had: u64,
    /// Rows there are.
    pub(super) now: u64,
    /// The newest time among the rows there were.
    pub(super) newest_before: Option<&'a str>,
    /// When the agent scanned last, as far as known.
    pub(super) scanned: Option<&'a str>,
    /// The loss as it was seen before.
    pub(super) held: Option<&'a Held>,
    /// Whether the agent reports.
    pub(super) is_active: bool,
    /// The manager's version.
    pub(super) version: &'a str,
    /// When the read began.
    pub(super) at: i64,
}

/// Judges a complete read.
pub(super) fn judge(evidence: &Evidence<'_>, confirm_after: Span) -> Verdict {
    let had = evidence
        .held
        .map_or(evidence.had, |held| held.had.max(evidence.had));
    if had == 0 || evidence.now * 2 >= had {
        return Verdict::Ordinary;
    }
    let same = evidence
        .held
        .filter(|held| held.version == evidence.version);
    let newest = evidence
        .held
        .map_or(evidence.newest_before, |held| held.newest.as_deref());
    let held = same.cloned().unwrap_or_else(|| Held {
        since: evidence.at,
        had,
        newest: newest.map(str::to_owned),
        version: evidence.version.to_owned(),
    });
    let has_held = is_due(&held, confirm_after, evidence.at);
    if has_held && evidence.is_active && proves_scan(&held, evidence.scanned) {
        Verdict::Confirmed(held)
    } else {
        Verdict::Suspicious(held)
    }
}

/// Whether the loss has held long enough to be looked at again.
pub(super) fn is_due(held: &Held, confirm_after: Span, at: i64) -> bool {
    at.saturating_sub(held.since) >= confirm_after.as_millis()
}

/// Whether the agent has scanned since.
fn proves_scan(held: &Held, scanned: Option<&str>) -> bool {
    let before = held.newest.as_deref().and_then(time::parse);
    scanned
        .and_then(time::parse)
        .is_some_and(|scanned| scanned > before.unwrap_or(held.since))
}

/// How many of a site's agents may lose a kind in one run; one always may.
pub(super) fn allowed(agents: u64, max_loss: Percent) -> u64 {
    (agents.saturating_mul(max_loss.0.into()) / 100).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn held(since: i64) -> Held {
        Held {
            since,
            had: 100,
            newest: Some("2026-01-01T00:00:00+00:00".to_owned()),
            version: "4.14.7".to_owned(),
        }
    }

    fn evidence<'a>(now: u64, held: Option<&'a Held>, scanned: Option<&'a str>) -> Evidence<'a> {
        Evidence {
            had: 100,
            now,
            newest_before: Some("2026-01-01T00:00:00+00:00"),
            scanned,
            held,
            is_active: true,
            version: "4.14.7",
            at: 10 * DAY,
        }
    }

    fn verdict(evidence: &Evidence<'_>) -> &'static str {
        match judge(evidence, Span(std::time::Duration::from_secs(86_400))) {
            Verdict::Ordinary => "ordinary",
            Verdict::Suspicious(_) => "suspicious",
            Verdict::Confirmed(_) => "confirmed",
        }
    }

    const NEWER: Option<&str> = Some("2026-01-03T00:00:00+00:00");

    #[test]
    fn half_of_the_rows_is_the_line() {
        assert_eq!(verdict(&evidence(50, None, NEWER)), "ordinary");
        assert_eq!(verdict(&evidence(49, None, NEWER)), "suspicious");
        let nothing = Evidence {
            had: 0,
            ..evidence(0, None, NEWER)
        };
        assert_eq!(verdict(&nothing), "ordinary");
    }

    #[test]
    fn a_loss_needs_all_of_its_evidence() {
        let (old, young) = (held(8 * DAY), held(10 * DAY - 1));
        assert_eq!(verdict(&evidence(0, Some(&old), NEWER)), "confirmed");
        assert_eq!(verdict(&evidence(0, Some(&young), NEWER)), "suspicious");
        assert_eq!(verdict(&evidence(0, Some(&old), None)), "suspicious");
        let same = Some("2026-01-01T00:00:00+00:00");
        assert_eq!(verdict(&evidence(0, Some(&old), same)), "suspicious");
        let quiet = Evidence {
            is_active: false,
            ..evidence(0, Some(&old), NEWER)
        };
        assert_eq!(verdict(&quiet), "suspicious");
        let upgraded = Evidence {
            version: "4.15.0",
            ..evidence(0, Some(&old), NEWER)
        };
        assert_eq!(verdict(&upgraded), "suspicious");
    }

    #[test]
    fn rows_that_trickle_back_do_not_hide_what_there_was() {
        // It had 100 when the loss began; 40 of them are back, and 40 are not ordinary.
        let old = held(10 * DAY - 1);
        let trickle = Evidence {
            had: 60,
            ..evidence(40, Some(&old), NEWER)
        };
        assert_eq!(verdict(&trickle), "suspicious");
    }

    #[test]
    fn one_agent_may_always_lose_a_kind() {
        assert_eq!(allowed(3, Percent(5)), 1);
        assert_eq!(allowed(40, Percent(5)), 2);
        assert_eq!(allowed(2940, Percent(5)), 147);
    }
}
