//! One alert, seen twice: the hook's copy may be poorer than the line in alerts.json, since
//! wazuh-integratord passes numbers through a double, ends texts at NUL and may cut `full_log`.
//! What is provably poorer is taken from the line; everything else stays, also what people added.

use super::bson::{self, Element, Writer, tag};
use super::enrich::Source;

/// Fields that tell how the text was read: they go with the copy whose text is kept.
const OF_THE_TEXT: [&[u8]; 2] = [b"_defects", b"_raw"];
/// `DBL_DIG` digits leave a number this near, relatively (cJSON prints `%.15g`).
const NEAR: f64 = 1e-14;

/// The stored document (BSON) completed from the line's document, with `_completed_at`
/// (milliseconds since 1970) and `_completed_from`; none if nothing in it is poorer.
pub fn complete(stored: &[u8], line: &[u8], source: Source, at: i64) -> Option<Vec<u8>> {
    let mut out = Writer::default();
    let whole = out.open();
    let mut richer = false;
    for field in bson::elements(stored) {
        if OF_THE_TEXT.contains(&field.name) {
            continue;
        }
        let better = bson::elements(line).find(|better| better.name == field.name);
        richer |= write(field, better, Level::Top, &mut out);
    }
    if !richer {
        return None;
    }
    let text = |field: &Element<'_>| OF_THE_TEXT.contains(&field.name);
    for field in bson::elements(line).filter(text) {
        keep(field, &mut out);
    }
    out.date("_completed_at", at);
    out.string("_completed_from", source.name());
    out.close(whole);
    Some(out.bytes().to_vec())
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Top,
    Inside,
}

/// Writes the richer of the two; says whether that was the line's.
fn write(stored: Element<'_>, line: Option<Element<'_>>, level: Level, out: &mut Writer) -> bool {
    match line {
        Some(line) if can_merge(stored, line) => merge(stored, line, out),
        Some(line) if is_poorer(stored, line, level) => {
            keep(line, out);
            true
        }
        _ => {
            keep(stored, out);
            false
        }
    }
}

fn can_merge(stored: Element<'_>, line: Element<'_>) -> bool {
    let same = stored.is_container() && stored.tag == line.tag;
    // Of two lists of other lengths one was changed by a person.
    let count = |list: Element<'_>| bson::elements(list.value).count();
    same && (stored.tag == tag::DOCUMENT || count(stored) == count(line))
}

fn merge(stored: Element<'_>, line: Element<'_>, out: &mut Writer) -> bool {
    out.key(stored.tag, stored.name);
    let mark = out.open();
    let mut richer = false;
    for field in bson::elements(stored.value) {
        let better = bson::elements(line.value).find(|better| better.name == field.name);
        richer |= write(field, better, Level::Inside, out);
    }
    out.close(mark);
    richer
}

fn keep(field: Element<'_>, out: &mut Writer) {
    out.key(field.tag, field.name);
    out.raw(field.value);
}

fn is_poorer(stored: Element<'_>, line: Element<'_>, level: Level) -> bool {
    if stored.tag == line.tag && stored.value == line.value {
        return false;
    }
    match (stored.as_str(), line.as_str()) {
        (Some(cut), Some(whole)) => {
            ends_at_nul(cut, whole)
                || level == Level::Top && stored.name == b"full_log" && is_cut(cut, whole)
        }
        (None, _) => is_rounded(stored, line),
        (Some(_), None) => false,
    }
}

fn ends_at_nul(cut: &str, whole: &str) -> bool {
    whole
        .split_once('\0')
        .is_some_and(|(before, _)| before == cut)
}

/// A longer log of the same beginning; the cut one may end in dots.
fn is_cut(cut: &str, whole: &str) -> bool {
    cut.len() < whole.len() && whole.starts_with(cut.trim_end_matches('.'))
}

/// What a double makes of a number that it cannot hold: a near one, or null for an infinite one.
fn is_rounded(stored: Element<'_>, line: Element<'_>) -> bool {
    let Some(exact) = line.number() else {
        return false;
    };
    match stored.number() {
        Some(rounded) => rounded == exact || (rounded - exact).abs() <= exact.abs() * NEAR,
        None => stored.tag == tag::NULL && exact.is_infinite(),
    }
}

impl Element<'_> {
    /// The value as a double makes it; also of a number that was kept as text or as a decimal.
    fn number(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "the loss is what is looked for")]
        let int = |value: i64| value as f64;
        match self.tag {
            tag::STRING => self.as_str()?.parse().ok(),
            tag::DECIMAL => super::number::decimal_text(self.value)?.parse().ok(),
            _ => self.as_f64().or_else(|| self.as_i64().map(int)),
        }
    }
}
