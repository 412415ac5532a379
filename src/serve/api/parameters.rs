//! The query string: known names only, each once, each with a value of its kind. What is wrong is
//! named. An empty value counts as none, as in the Python service.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::alert::time;
use crate::serve::error::Error;
use crate::setting::Span;
use crate::store::reader::{Page, Position};

/// The longest value.
const LONGEST: usize = 1024;
/// The most documents of one page; a list without a limit has no end of its own.
const MOST: u64 = 100_000;
const FIELDS: usize = 64;

/// What was asked, beside the path.
pub(super) struct Parameters {
    path: String,
    given: Vec<(String, String)>,
}

/// Names that do not change which documents a list is made of, so a position outlives them.
const FREE: [&str; 5] = ["limit", "next", "fields", "with_id", "count"];

impl Parameters {
    /// Reads a query; `known` are the names that the path has. `path` is part of the question that a
    /// position belongs to.
    pub(super) fn parse(path: &str, query: Option<&str>, known: &[&str]) -> Result<Self, Error> {
        let mut given: Vec<(String, String)> = Vec::new();
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        for (name, value) in pairs {
            if !known.contains(&name.as_ref()) {
                return Err(unknown(&name, known));
            }
            if given.iter().any(|(there, _)| *there == name) {
                return Err(Error::bad_request(format!("{name} is given twice")));
            }
            if value.chars().count() > LONGEST || value.contains('\0') {
                return Err(wrong(&name, "it is too long, or has a NUL in it"));
            }
            if !value.is_empty() {
                given.push((name.into_owned(), value.into_owned()));
            }
        }
        given.sort();
        let path = path.to_owned();
        Ok(Self { path, given })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.given.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn one_of(&self, name: &str, known: &[&str]) -> Result<Option<String>, Error> {
        match self.text(name) {
            Some(text) if !known.contains(&text) => Err(wrong(
                name,
                &format!("one of {} is wanted", known.join(", ")),
            )),
            other => Ok(other.map(str::to_owned)),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(wrong(name, "true or false is wanted")),
        }
    }

    pub(super) fn number(&self, name: &str, most: u64) -> Result<Option<u64>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| *number <= most);
        let fault = || wrong(name, &format!("a whole number from 0 to {most} is wanted"));
        number.map(Some).ok_or_else(fault)
    }

    /// A time, or a span before now; in milliseconds since 1970.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        // A `+` that nobody encoded has become a space.
        let offset = text
            .rsplit_once(' ')
            .map(|(time, offset)| format!("{time}+{offset}"));
        let time = time::parse(text).or_else(|| time::parse(offset.as_deref()?));
        let before = || {
            text.parse::<Span>()
                .ok()
                .map(|span| now().saturating_sub(span.as_millis()))
        };
        let fault = || {
            wrong(
                name,
                "a time with its zone is wanted (2026-11-20T06:00:00Z), or a span before now (24h)",
            )
        };
        time.or_else(before).map(Some).ok_or_else(fault)
    }

    /// Which part of the list; `limit` none or 0 is all of it, unless `usual` says how many.
    pub(super) fn page(&self, usual: Option<u64>) -> Result<Page, Error> {
        let limit = match self.number("limit", MOST)? {
            None => usual,
            Some(0) => None,
            limit => limit,
        };
        let after =
            match self.text("next") {
                None => None,
                Some(text) => Some(Position::parse(text, &self.question()).ok_or_else(|| {
                    wrong("next", "it is not from an answer to the same question")
                })?),
            };
        let fields = self.fields()?;
        Ok(Page {
            limit,
            after,
            fields,
        })
    }

    fn fields(&self) -> Result<Vec<String>, Error> {
        let Some(text) = self.text("fields") else {
            return Ok(Vec::new());
        };
        let fields: Vec<String> = text
            .split(',')
            .map(|field| field.trim_matches(' ').to_owned())
            .collect();
        let is_name = |field: &String| {
            let mut parts = field.split('.');
            let plain = |part: &str| {
                !part.starts_with('$') && !part.contains(|c: char| c.is_ascii_control())
            };
            parts.all(|part| !part.is_empty() && plain(part))
        };
        if fields.len() > FIELDS || !fields.iter().all(is_name) {
            let why = format!("up to {FIELDS} names with commas between them are wanted");
            return Err(wrong("fields", &why));
        }
        Ok(fields)
    }

    /// What the list is made of, in one text.
    pub(super) fn question(&self) -> String {
        let shaping = self
            .given
            .iter()
            .filter(|(name, _)| !FREE.contains(&name.as_str()));
        shaping.fold(self.path.clone(), |all, (name, value)| {
            format!("{all}\n{}:{name}={value}", value.len())
        })
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// 400, which names the parameter.
pub(super) fn wrong(name: &str, why: &str) -> Error {
    Error::bad_request(format!("{name}: {why}"))
}

fn unknown(name: &str, known: &[&str]) -> Error {
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    if known.is_empty() {
        return Error::bad_request(format!("unknown parameter `{name}`; there is none here"));
    }
    let known = known.join(", ");
    Error::bad_request(format!("unknown parameter `{name}`; there are {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parameters, Error> {
        Parameters::parse(
            "/x",
            Some(query),
            &["since", "limit", "next", "q", "fields"],
        )
    }

    #[test]
    fn a_time_has_a_zone_or_is_a_span_before_now() {
        let time = |query: &str| parse(query).and_then(|given| given.time("since"));
        let expected = Some(1_748_872_043_199);
        for text in [
            "2025-06-02T13:47:23.199Z",
            "2025-06-02T21:47:23.199%2B0800",
            "2025-06-02T21:47:23.199+08:00",
        ] {
            assert_eq!(time(&format!("since={text}")).unwrap(), expected, "{text}");
        }
        let day = now() - time("since=24h").unwrap().unwrap();
        assert!((86_400_000 - day).abs() < 60_000, "{day}");
        assert!(time("since=yesterday").is_err());
        assert!(time("since=2025-06-02T13:47:23").is_err());
    }

    #[test]
    fn a_position_belongs_to_its_question_and_not_to_its_page() {
        let question = |query| parse(query).unwrap().question();
        assert_eq!(
            question("q=a&limit=1"),
            question("limit=2&q=a&next=x&fields=a")
        );
        assert_ne!(question("q=a"), question("q=b"));
        assert!(parse("next=AQ").unwrap().page(None).is_err());
    }

    #[test]
    fn names_are_known_and_come_once() {
        assert!(parse("limt=1").is_err());
        assert!(parse("limit=1&limit=2").is_err());
        assert_eq!(
            parse("limit=").unwrap().page(Some(7)).unwrap().limit,
            Some(7)
        );
        assert_eq!(parse("limit=0").unwrap().page(Some(7)).unwrap().limit, None);
        assert!(parse("limit=-1").unwrap().page(None).is_err());
        assert!(parse("fields=a,,b").unwrap().page(None).is_err());
        assert!(parse("fields=$where").unwrap().page(None).is_err());
    }
}
