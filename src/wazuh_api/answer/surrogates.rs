//! Halves of surrogate pairs in JSON (`"\udc80"`). Python writes them for bytes that are no UTF-8, in
//! the name of a file for example; no text can hold them. One such name must not cost the whole list.

/// What stands in their place: U+FFFD, as everywhere.
const REPLACEMENT: &[u8] = br"\ufffd";
const ESCAPE: usize = 6;

/// The same JSON without them; none if it had none.
pub(super) fn replaced(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    let (mut rest, mut found) = (json, false);
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before);
        let (length, is_half) = match (unit(escape), escape.get(ESCAPE..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (2 * ESCAPE, false),
            (Some(0xD800..=0xDFFF), _) => (ESCAPE, true),
            // The backslash and what it escapes.
            _ => (2.min(escape.len()), false),
        };
        let (escape, behind) = escape.split_at(length);
        out.extend_from_slice(if is_half { REPLACEMENT } else { escape });
        found |= is_half;
        rest = behind;
    }
    out.extend_from_slice(rest);
    found.then_some(out)
}

/// The code unit of an escape (`\u` and four hex digits), if one stands at the beginning.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halves_are_replaced() {
        let text =
            |json: &str| replaced(json.as_bytes()).map(|out| String::from_utf8(out).unwrap());
        assert_eq!(
            text(r#"["\udc80.txt"]"#).as_deref(),
            Some(r#"["\ufffd.txt"]"#)
        );
        assert_eq!(
            text(r#"["\ud83dx\ud83d"]"#).as_deref(),
            Some(r#"["\ufffdx\ufffd"]"#)
        );
        for whole in [
            r#"["\ud83e\udd80", "\\ud800", "\u00fc\n"]"#,
            "plain",
            r"\",
            r"\u12",
            r"\ud8",
            r"\u+123",
        ] {
            assert_eq!(text(whole), None, "{whole}");
        }
    }
}
