//! Takes configured secrets out of a document. It works on the finished BSON, so that identity,
//! time and risk were read from what Wazuh sent.

use regex_lite::Regex;

use super::bson::{self, Element, Writer, tag};

const REPLACEMENT: &str = "[redacted]";
/// A hostile document can have millions; the document names the first.
const MAX_NAMED: usize = 100;
/// Wazuh's own description of an alert: patterns do not reach into it.
const METADATA: [&[u8]; 10] = [
    b"_id",
    b"id",
    b"timestamp",
    b"@timestamp",
    b"rule",
    b"agent",
    b"manager",
    b"cluster",
    b"decoder",
    b"location",
];

/// Which secrets to take out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redactor {
    keys: Vec<KeyPattern>,
    patterns: Vec<Regex>,
    in_text: Option<InText>,
}

/// The same keys inside of a text that holds JSON, as `full_log` often does.
#[derive(Debug, Clone)]
struct InText {
    /// `"key": value`, where the value is a text, a number or a word, and what takes its place.
    plain: Vec<(Regex, &'static str)>,
    /// `"key": {` or `[`: where such a value ends is not for a regular expression to say.
    nested: Regex,
}

/// A field's name in lower case; `*` at either end stands for anything.
#[derive(Debug, Clone)]
struct KeyPattern {
    open_start: bool,
    text: String,
    open_end: bool,
}

impl Redactor {
    /// # Errors
    ///
    /// Names the pattern that is not a regular expression.
    pub(crate) fn new(keys: &[String], patterns: &[String]) -> Result<Self, String> {
        let compile = |pattern: &String| {
            Regex::new(pattern).map_err(|error| format!("redact.patterns: `{pattern}`: {error}"))
        };
        let keys: Vec<_> = keys.iter().map(|key| KeyPattern::new(key)).collect();
        Ok(Self {
            in_text: InText::new(&keys)?,
            patterns: patterns.iter().map(compile).collect::<Result<_, _>>()?,
            keys,
        })
    }

    pub(crate) fn is_off(&self) -> bool {
        self.keys.is_empty() && self.patterns.is_empty()
    }

    /// Copies the elements of `document` to `out` without the secrets, and returns the paths of
    /// those it took out.
    pub(crate) fn copy(&self, document: &[u8], out: &mut Writer) -> Vec<String> {
        let mut copy = Copy {
            redactor: self,
            out,
            path: String::new(),
            redacted: Vec::new(),
        };
        for field in bson::elements(document) {
            copy.element(field, !METADATA.contains(&field.name));
        }
        copy.redacted
    }

    fn is_secret(&self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name).to_lowercase();
        let last = name.rsplit('.').next().unwrap_or_default();
        self.keys
            .iter()
            .any(|key| key.matches(&name) || key.matches(last))
    }

    /// The text without what keys and patterns find in it; None if they find nothing.
    fn clean(&self, text: &str) -> Option<String> {
        if self
            .in_text
            .as_ref()
            .is_some_and(|keys| keys.nested.is_match(text))
        {
            return Some(REPLACEMENT.to_owned());
        }
        let keys = self.in_text.iter().flat_map(|keys| &keys.plain);
        let keys = keys.map(|(pattern, replacement)| (pattern, *replacement));
        let patterns = self.patterns.iter().map(|pattern| (pattern, REPLACEMENT));
        let mut cleaned: Option<String> = None;
        for (pattern, replacement) in keys.chain(patterns) {
            let current = cleaned.as_deref().unwrap_or(text);
            if pattern.is_match(current) {
                cleaned = Some(pattern.replace_all(current, replacement).into_owned());
            }
        }
        cleaned
    }
}

impl InText {
    fn new(keys: &[KeyPattern]) -> Result<Option<Self>, String> {
        if keys.is_empty() {
            return Ok(None);
        }
        let names: Vec<_> = keys.iter().map(KeyPattern::as_regex).collect();
        let names = names.join("|");
        // A value may end with the text: Wazuh cuts some.
        let compile = |quote: &str, value: &str| {
            let key = format!(r#"(?i)(?<key>{quote}(?:[^"']*\.)?(?:{names}){quote}\s*[:=]\s*)"#);
            Regex::new(&format!("{key}{value}")).map_err(|error| format!("redact.keys: {error}"))
        };
        let word = r#"[^\s,\[\]{}"'\\]+"#;
        Ok(Some(Self {
            plain: vec![
                (
                    compile("\"", &format!(r#"(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|{word})"#))?,
                    "${key}\"[redacted]\"",
                ),
                (
                    compile("'", &format!(r"(?:'[^']*(?:'|$)|{word})"))?,
                    "${key}'[redacted]'",
                ),
                // JSON inside a text of JSON.
                (
                    compile(
                        r#"\\+""#,
                        &format!(r#"(?:\\+"[^"\\]*(?:\\+"|\\*$)|{word})"#),
                    )?,
                    "${key}\\\"[redacted]\\\"",
                ),
            ],
            nested: compile(r#"\\*["']"#, r"[\[{]")?,
        }))
    }
}

impl KeyPattern {
    fn new(key: &str) -> Self {
        let key = key.to_lowercase();
        Self {
            open_start: key.starts_with('*'),
            open_end: key.ends_with('*'),
            text: key.trim_matches('*').to_owned(),
        }
    }

    fn as_regex(&self) -> String {
        let any = |open: bool| if open { r#"[^"']*"# } else { "" };
        let text = regex_lite::escape(&self.text);
        format!("{}{text}{}", any(self.open_start), any(self.open_end))
    }

    fn matches(&self, name: &str) -> bool {
        match (self.open_start, self.open_end) {
            (false, false) => name == self.text,
            (true, false) => name.ends_with(&self.text),
            (false, true) => name.starts_with(&self.text),
            (true, true) => name.contains(&self.text),
        }
    }
}

struct Copy<'a> {
    redactor: &'a Redactor,
    out: &'a mut Writer,
    path: String,
    redacted: Vec<String>,
}

impl Copy<'_> {
    /// Depth is bounded by `convert::MAX_DEPTH`.
    fn element(&mut self, field: Element<'_>, with_patterns: bool) {
        let outer = self.path.len();
        if outer > 0 {
            self.path.push('.');
        }
        self.path.push_str(&String::from_utf8_lossy(field.name));
        if self.redactor.is_secret(field.name) && field.name != b"_id" {
            self.replace(field.name, REPLACEMENT);
        } else if field.is_container() {
            self.container(field, with_patterns);
        } else {
            self.scalar(field, with_patterns);
        }
        self.path.truncate(outer);
    }

    fn container(&mut self, field: Element<'_>, with_patterns: bool) {
        self.out.key(field.tag, field.name);
        let mark = self.out.open();
        for inner in bson::elements(field.value) {
            self.element(inner, with_patterns);
        }
        self.out.close(mark);
    }

    fn scalar(&mut self, field: Element<'_>, with_patterns: bool) {
        // Of Wazuh's own description only the rule's text can quote a log (`$(field)`).
        let in_reach = with_patterns || self.path == "rule.description";
        let text = field.as_str().filter(|_| in_reach);
        if let Some(clean) = text.and_then(|text| self.redactor.clean(text)) {
            return self.replace(field.name, &clean);
        }
        self.out.key(field.tag, field.name);
        self.out.raw(field.value);
    }

    fn replace(&mut self, name: &[u8], with: &str) {
        self.out.key(tag::STRING, name);
        self.out.text(with);
        if self.redacted.len() < MAX_NAMED {
            self.redacted.push(self.path.clone());
        }
    }
}
