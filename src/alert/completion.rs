//! One alert, seen twice: the hook's copy may be poorer than the line in alerts.json, since
//! wazuh-integratord passes numbers through a double, ends texts at NUL and may cut `full_log`.
//! What is provably poorer is taken from the line; everything else stays, also what people added.

use super::bson::{self, Element, Writer, tag};
use super::enrich::{CUT_FULL_LOG, Source};

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

/// A longer log of the same beginning. The cut one may end in dots, and before them with a part of
/// a character, as it was read. A shorter one than a cut leaves was shortened by a person.
fn is_cut(cut: &str, whole: &str) -> bool {
    let kept = cut.trim_end_matches('.');
    let kept = kept.trim_end_matches(char::REPLACEMENT_CHARACTER);
    cut.len() >= CUT_FULL_LOG && kept.len() < whole.len() && whole.starts_with(kept)
}

/// What a double makes of a number that it cannot hold: a near one, or null for an infinite one.
fn is_rounded(stored: Element<'_>, line: Element<'_>) -> bool {
    let Some(exact) = line.number() else {
        return false;
    };
    match stored.number() {
        Some(rounded) => (rounded - exact).abs() <= exact.abs() * NEAR,
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

#[cfg(test)]
mod tests {
    use ::bson::{Bson, Document, RawDocument};

    use super::*;
    use crate::alert::enrich::{Enricher, Receipt, RedactSettings, Settings};

    fn bytes(text: &str, source: Source) -> Vec<u8> {
        let mut enricher =
            Enricher::new("default", &Settings::default(), &RedactSettings::default()).unwrap();
        let receipt = Receipt {
            received_at: 1,
            source,
            options: &[],
        };
        let document = enricher.document(text.as_bytes(), &receipt).unwrap();
        document.bson.to_vec()
    }

    fn read(bytes: &[u8]) -> Document {
        Document::try_from(RawDocument::from_bytes(bytes).unwrap()).unwrap()
    }

    /// What becomes of the hook's copy when the line is met.
    fn completed(hook: &str, line: &str) -> Option<Document> {
        let stored = bytes(hook, Source::Hook);
        let line = bytes(line, Source::Follow);
        complete(&stored, &line, Source::Follow, 7).map(|bytes| read(&bytes))
    }

    fn field(hook: &str, line: &str) -> Option<Bson> {
        let wrap = |value: &str| format!(r#"{{"id":"1.2","data":{{"list":[{{"x":{value}}}]}}}}"#);
        let done = completed(&wrap(hook), &wrap(line))?;
        let list = done.get_document("data").unwrap().get_array("list");
        list.unwrap()[0].as_document().unwrap().get("x").cloned()
    }

    #[test]
    fn a_number_that_went_through_a_double_is_made_exact() {
        assert_eq!(
            field("9.00719925474099e+15", "9007199254740993"),
            Some(Bson::Int64(9_007_199_254_740_993))
        );
        assert_eq!(
            field("1.84467440737096e+19", "18446744073709551615").map(|exact| exact.to_string()),
            Some("18446744073709551615".to_owned())
        );
        assert_eq!(
            field("0.123456789012346", "0.1234567890123456"),
            Some(Bson::Double(0.123_456_789_012_345_6))
        );
        assert!(matches!(field("null", "1e400"), Some(Bson::Decimal128(_))));
    }

    #[test]
    fn a_text_that_ended_at_nul_gets_the_rest() {
        assert_eq!(
            field(r#""a""#, r#""a\u0000b""#),
            Some(Bson::String("a\0b".to_owned()))
        );
    }

    fn log(text: &str) -> String {
        format!(r#"{{"full_log":"{text}"}}"#)
    }

    #[test]
    fn a_cut_full_log_gets_the_rest() {
        let whole = "é".repeat(100);
        for cut in [&whole[..164], &(whole[..160].to_owned() + "\u{fffd}...")] {
            let done = completed(&log(cut), &log(&whole)).unwrap();
            assert_eq!(done.get_str("full_log").unwrap(), whole);
            assert_eq!(done.get_str("_source").unwrap(), "hook");
            assert_eq!(done.get_str("_completed_from").unwrap(), "follow");
            let at = done.get_datetime("_completed_at").unwrap();
            assert_eq!(at.timestamp_millis(), 7);
        }
    }

    #[test]
    fn a_full_log_that_a_person_shortened_stays() {
        let whole = "a".repeat(300);
        for short in ["", "...", &whole[..100]] {
            assert_eq!(completed(&log(short), &log(&whole)), None, "{short}");
        }
    }

    #[test]
    fn what_is_not_provably_poorer_stays() {
        for (hook, line) in [
            (r#""a""#, r#""ab""#),
            (r#""x""#, r#""a\u0000b""#),
            ("1", "2"),
            ("12345678901234567", "12345678901234567"),
            ("null", r#""text""#),
            ("null", "9007199254740993"),
            ("[1]", "[9007199254740993,2]"),
            ("{}", r#"{"more":9007199254740993}"#),
        ] {
            assert_eq!(field(hook, line), None, "{hook} {line}");
        }
        assert_eq!(
            completed(r#"{"full_log":"other"}"#, r#"{"full_log":"abcdefgh"}"#),
            None
        );
    }

    #[test]
    fn what_people_added_stays() {
        let hook = r#"{"note":"seen","data":{"n":9.00719925474099e+15,"by":"me"}}"#;
        let line = r#"{"data":{"n":9007199254740993}}"#;
        let done = completed(hook, line).unwrap();
        assert_eq!(done.get_str("note").unwrap(), "seen");
        let data = done.get_document("data").unwrap();
        assert_eq!(data.get_str("by").unwrap(), "me");
        assert_eq!(data.get_i64("n").unwrap(), 9_007_199_254_740_993);
    }

    #[test]
    fn the_original_text_is_that_of_the_richer_copy() {
        let hook = "{\"n\":9.00719925474099e+15,\"t\":\"\u{1}\",\"t\":1}";
        let line = r#"{"n":9007199254740993,"t":"\u0001","t":1}"#;
        let done = completed(hook, line).unwrap();
        assert_eq!(done.get_str("_raw").unwrap(), line);
    }
}
