//! Wazuh's simplest pattern, `OSMatch` or `sregex` (`os_regex/os_match_compile.c` and
//! `os_match_execute.c` of Wazuh 4.4 to 4.14): texts joined by `|`, each with an optional `^` in
//! front and `$` behind; a `!` before all of it turns the answer round. ASCII letters match in any
//! case, and nothing can be escaped: a backslash is a backslash.

/// `OS_PATTERN_MAXSIZE`.
const MAX_BYTES: usize = 20_480;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OsMatch {
    text: String,
    negated: bool,
    alternatives: Vec<Alternative>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Alternative {
    at_start: bool,
    at_end: bool,
    text: Vec<u8>,
}

impl OsMatch {
    /// # Errors
    ///
    /// It is longer than Wazuh takes.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_BYTES {
            return Err(format!("a pattern may have {MAX_BYTES} bytes at most"));
        }
        let stripped = pattern.strip_prefix('!');
        let alternatives = stripped.unwrap_or(pattern).split('|');
        Ok(Self {
            text: pattern.to_owned(),
            negated: stripped.is_some(),
            alternatives: alternatives.map(Alternative::new).collect(),
        })
    }

    /// The pattern as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        // A C string ends at NUL, and a JSON string of Wazuh's is one.
        let text = text.split('\0').next().unwrap_or_default().as_bytes();
        self.negated != self.alternatives.iter().any(|one| one.is_match(text))
    }

    /// Whether some alternative is empty and so matches whatever comes: `a|`, `^`, `$`.
    pub(super) fn has_empty_alternative(&self) -> bool {
        let is_empty = |one: &Alternative| one.text.is_empty() && !(one.at_start && one.at_end);
        self.alternatives.iter().any(is_empty)
    }
}

impl Alternative {
    fn new(text: &str) -> Self {
        let after_start = text.strip_prefix('^');
        let rest = after_start.unwrap_or(text);
        let before_end = rest.strip_suffix('$');
        Self {
            at_start: after_start.is_some(),
            at_end: before_end.is_some(),
            text: before_end.unwrap_or(rest).as_bytes().to_vec(),
        }
    }

    fn is_match(&self, text: &[u8]) -> bool {
        let wanted = self.text.as_slice();
        let is_same =
            |part: Option<&[u8]>| part.is_some_and(|part| part.eq_ignore_ascii_case(wanted));
        let from_end = text.len().checked_sub(wanted.len());
        match (self.at_start, self.at_end) {
            (true, true) => is_same(Some(text)),
            (true, false) => is_same(text.get(..wanted.len())),
            (false, true) => is_same(from_end.and_then(|from| text.get(from..))),
            (false, false) => {
                wanted.is_empty() || text.windows(wanted.len()).any(|part| is_same(Some(part)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let compiled = OsMatch::new(pattern).unwrap();
        for text in matching {
            assert!(compiled.is_match(text), "`{pattern}` has to match `{text}`");
        }
        for text in others {
            assert!(
                !compiled.is_match(text),
                "`{pattern}` must not match `{text}`"
            );
        }
    }

    #[test]
    fn a_plain_text_is_looked_for_anywhere() {
        check(
            "auth.log",
            &["/var/log/auth.log", "auth.log.1", "auth.log"],
            &["auth-log", "auth.lo", ""],
        );
        check("aab", &["aaab", "xaab"], &["aa", "abab"]);
    }

    #[test]
    fn anchors_bind_to_the_start_and_the_end_of_the_whole_text() {
        check("^/var", &["/var/log", "/var"], &["x/var", "/va", ""]);
        check("log$", &["a.log", "log"], &["logs", "lo", "log "]);
        check("^web$", &["web"], &["web1", "aweb", ""]);
    }

    #[test]
    fn anchors_bind_to_their_alternative_only() {
        check("^a|b$|c", &["ax", "xb", "xcx"], &["xa", "bx", "d"]);
        check(
            "^bin$|^shell$",
            &["bin", "shell"],
            &["bina", "ashell", "bin|shell"],
        );
    }

    #[test]
    fn an_anchor_elsewhere_is_a_plain_character() {
        check("a^b", &["xa^bx"], &["ab"]);
        check("a$b", &["xa$bx"], &["a", "ab"]);
        check("^^a", &["^ab"], &["a"]);
        check("a$$", &["xa$"], &["a"]);
    }

    #[test]
    fn ascii_letters_match_in_any_case_and_others_do_not() {
        check("^WinEvtLog$", &["winevtlog", "WINEVTLOG"], &[]);
        check("ü", &["Grün"], &["GRÜN"]);
        check("[a]", &["[A]"], &["{a}"]);
    }

    #[test]
    fn an_exclamation_mark_in_front_turns_all_alternatives_round() {
        check("!a|b", &["c", ""], &["a", "xb"]);
        check("!^a", &["ba"], &["ab"]);
        check("a!", &["xa!"], &["a"]);
        check("a|!b", &["a", "x!b"], &["b", "c"]);
        check("!!a", &["a"], &["!a"]);
    }

    #[test]
    fn an_empty_alternative_matches_whatever_comes() {
        for pattern in ["", "^", "$", "a|", "|a", "a||b"] {
            check(pattern, &["", "anything"], &[]);
            assert!(
                OsMatch::new(pattern).unwrap().has_empty_alternative(),
                "{pattern}"
            );
        }
        check("!", &[], &["", "anything"]);
        check("^$", &[""], &["a"]);
        for pattern in ["a", "^$", "^a|b$"] {
            assert!(
                !OsMatch::new(pattern).unwrap().has_empty_alternative(),
                "{pattern}"
            );
        }
    }

    #[test]
    fn nothing_can_be_escaped() {
        check(r"a\|b", &[r"xa\", "b"], &["a|"]);
        check(r"a\$", &[r"xa\"], &["a$"]);
        check("a.b*", &["xa.b*"], &["aab", "a.bb"]);
    }

    #[test]
    fn a_text_ends_at_nul_as_for_wazuh() {
        check("a$", &["xa\0b"], &["b\0a"]);
    }

    #[test]
    fn a_pattern_longer_than_wazuh_takes_is_refused() {
        assert!(OsMatch::new(&"a".repeat(MAX_BYTES)).is_ok());
        assert!(OsMatch::new(&"a".repeat(MAX_BYTES + 1)).is_err());
    }
}
