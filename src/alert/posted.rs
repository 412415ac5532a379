//! The alerts in the body of a request: one object, a list, one a line, or documents inside a list as
//! Wazuh 5 and the monitors of `OpenSearch` notify. Only divided here: each part may yet be no alert.

use super::json::{Container, Reader, SyntaxError, Text, Token};
use super::{BYTE_ORDER_MARK, validate};

/// What a body holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Posted<'a> {
    /// One alert.
    One(&'a [u8]),
    /// Many, in their order.
    Many(Vec<&'a [u8]>),
}

/// Why a body cannot be divided.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Undivided {
    /// It holds nothing.
    #[error("Empty payload")]
    Empty,
    /// It holds more alerts than may come together.
    #[error("more than {0} alerts at once; send them in parts")]
    TooMany(usize),
    /// The list around the alerts is no JSON.
    #[error("{0}")]
    Syntax(#[from] SyntaxError),
}

/// Names under which notifications hold their list of documents, when nothing else is in them.
const ENVELOPES: [&[u8]; 5] = [b"alerts", b"documents", b"events", b"hits", b"results"];

/// How a body was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// One alert a line.
    Lines,
    /// Anything, or nothing was said.
    Anything,
}

/// Divides a body; at most `most` alerts.
///
/// # Errors
///
/// It is empty, holds too many, or the list around the alerts cannot be read.
pub fn divide(body: &[u8], announced: Announced, most: usize) -> Result<Posted<'_>, Undivided> {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let text = text.trim_ascii();
    match text.first() {
        None => Err(Undivided::Empty),
        Some(b'[') => list(&mut Reader::new(text, 0), text, most, End::Whole).map(Posted::Many),
        Some(_) if announced == Announced::Lines || has_lines(text) => {
            lines(text, most).map(Posted::Many)
        }
        Some(b'{') => Ok(match envelope(text, most)? {
            Some(alerts) => Posted::Many(alerts),
            None => Posted::One(text),
        }),
        Some(_) => Ok(Posted::One(text)),
    }
}

/// Whether the first line is an object of its own: then a cut one further down is one bad alert, and
/// not a bad body.
fn has_lines(text: &[u8]) -> bool {
    let end = text.iter().position(|byte| *byte == b'\n');
    end.and_then(|end| text.get(..end))
        .is_some_and(|first| validate(first) == Ok(()))
}

fn lines(text: &[u8], most: usize) -> Result<Vec<&[u8]>, Undivided> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    bounded(lines.filter(|line| !line.is_empty()), most)
}

fn bounded<'a>(
    items: impl Iterator<Item = &'a [u8]>,
    most: usize,
) -> Result<Vec<&'a [u8]>, Undivided> {
    let mut all = Vec::new();
    for item in items {
        if all.len() == most {
            return Err(Undivided::TooMany(most));
        }
        all.push(item);
    }
    Ok(all)
}

/// What has to follow behind a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing.
    Whole,
    /// The rest of what is around it.
    Inner,
}

fn list<'a>(
    reader: &mut Reader<'a>,
    text: &'a [u8],
    most: usize,
    end: End,
) -> Result<Vec<&'a [u8]>, Undivided> {
    reader.next()?;
    let mut all = Vec::new();
    loop {
        let before = reader.at();
        let item = match reader.next()? {
            Token::Close => break,
            Token::Open(_) => document(reader.skip_container(reader.at() - 1)?),
            _ => {
                let item = text.get(before..reader.at()).unwrap_or_default();
                let item = item.trim_ascii_start();
                item.strip_prefix(b",").unwrap_or(item).trim_ascii()
            }
        };
        if all.len() == most {
            return Err(Undivided::TooMany(most));
        }
        all.push(item);
    }
    if end == End::Whole {
        reader.finish()?;
    }
    if all.is_empty() {
        return Err(Undivided::Empty);
    }
    Ok(all)
}

/// The list in an object that has one key, and that a known one.
fn envelope(text: &[u8], most: usize) -> Result<Option<Vec<&[u8]>>, Undivided> {
    let mut reader = Reader::new(text, 0);
    if reader.next().is_err() || !matches!(reader.next(), Ok(Token::Key(key)) if is_envelope(key)) {
        return Ok(None);
    }
    let rest = text.get(reader.at()..).unwrap_or_default();
    if rest.trim_ascii_start().first() != Some(&b'[') {
        return Ok(None);
    }
    let all = list(&mut reader, text, most, End::Inner)?;
    let alone = matches!(reader.next(), Ok(Token::Close)) && reader.finish().is_ok();
    Ok(alone.then_some(all))
}

fn is_envelope(key: Text<'_>) -> bool {
    ENVELOPES.contains(&key.inside)
}

/// What a hit of `OpenSearch` carries, or the document as it is.
fn document(item: &[u8]) -> &[u8] {
    source(item).ok().flatten().unwrap_or(item)
}

fn source(item: &[u8]) -> Result<Option<&[u8]>, SyntaxError> {
    let mut reader = Reader::new(item, 0);
    if reader.next()? != Token::Open(Container::Object) {
        return Ok(None);
    }
    let (mut source, mut is_hit) = (None, false);
    while let Token::Key(key) = reader.next()? {
        if !key.inside.starts_with(b"_") && !matches!(key.inside, b"sort" | b"fields") {
            return Ok(None);
        }
        let value = reader.skip_value()?;
        is_hit |= key.inside == b"_index";
        if key.inside == b"_source" && value.starts_with(b"{") {
            source = Some(value);
        }
    }
    Ok(source.filter(|_| is_hit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(body: &str) -> Result<Vec<String>, Undivided> {
        let owned = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
        divide(body.as_bytes(), Announced::Anything, 4).map(|posted| match posted {
            Posted::One(one) => vec!["one".to_owned(), owned(one)],
            Posted::Many(many) => many.into_iter().map(owned).collect(),
        })
    }

    #[test]
    fn one_alert_is_one_also_over_several_lines() {
        assert_eq!(divided(" {\"a\":\n1} ").unwrap(), ["one", "{\"a\":\n1}"]);
        assert_eq!(divided("\u{feff}{}").unwrap(), ["one", "{}"]);
        assert_eq!(divided("nonsense").unwrap(), ["one", "nonsense"]);
        assert_eq!(divided(" \n"), Err(Undivided::Empty));
    }

    #[test]
    fn a_list_is_divided_whatever_is_in_it() {
        let found = divided(r#"[ {"a":[1,{"b":2}]} , 5,"x" ,{}]"#).unwrap();
        assert_eq!(found, [r#"{"a":[1,{"b":2}]}"#, "5", "\"x\"", "{}"]);
        assert_eq!(divided("[]"), Err(Undivided::Empty));
        assert_eq!(divided("[1,2,3,4,5]"), Err(Undivided::TooMany(4)));
        assert!(matches!(divided("[{}"), Err(Undivided::Syntax(_))));
        assert!(matches!(divided("[{}] x"), Err(Undivided::Syntax(_))));
    }

    #[test]
    fn a_bad_line_is_one_bad_alert() {
        let found = divided("{\"a\":1}\r\n\n{\"cut\":\n{\"b\":2}").unwrap();
        assert_eq!(found, ["{\"a\":1}", "{\"cut\":", "{\"b\":2}"]);
        assert_eq!(divided("{}\n{}\n{}\n{}\n{}"), Err(Undivided::TooMany(4)));
        let announced = divide(b"bad\n{}", Announced::Lines, 4).unwrap();
        assert_eq!(announced, Posted::Many(vec![b"bad", b"{}"]));
    }

    #[test]
    fn documents_inside_a_list_are_taken_out_and_hits_opened() {
        let found = divided(r#"{"documents":[{"id":"1"},{"id":"2"}]}"#).unwrap();
        assert_eq!(found, [r#"{"id":"1"}"#, r#"{"id":"2"}"#]);
        let found = divided(r#"{"hits":[{"_index":"w","_id":"x","_source":{"id":"1"}}]}"#).unwrap();
        assert_eq!(found, [r#"{"id":"1"}"#]);
        let whole = r#"{"alerts":[{"id":"1"}],"rule":{}}"#;
        assert_eq!(divided(whole).unwrap(), ["one", whole]);
        let whole = r#"{"results":"none"}"#;
        assert_eq!(divided(whole).unwrap(), ["one", whole]);
        let whole = r#"[{"_source":{"id":"1"},"id":"2","_index":"w"}]"#;
        assert_eq!(divided(whole).unwrap(), [&whole[1..whole.len() - 1]]);
    }
}
