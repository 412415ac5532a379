//! JSON as Wazuh's API writes it: everything beyond ASCII is escaped.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

pub type Fields = Vec<(Cow<'static, str>, Json)>;

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Object(Fields),
}

/// An object from its fields.
pub fn object<const N: usize>(fields: [(&'static str, Json); N]) -> Json {
    let fields = fields.map(|(name, value)| (Cow::Borrowed(name), value));
    Json::Object(fields.into())
}

pub fn text(text: impl Into<String>) -> Json {
    Json::Text(text.into())
}

impl Json {
    /// The value at a dotted path, where a key may also be dotted itself.
    pub fn at(&self, path: &str) -> Option<&Json> {
        let Self::Object(fields) = self else {
            return None;
        };
        fields.iter().find_map(|(name, value)| {
            let rest = path.strip_prefix(&**name)?;
            match rest.strip_prefix('.') {
                Some(rest) => value.at(rest),
                None if rest.is_empty() => Some(value),
                None => None,
            }
        })
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_list(&self) -> &[Json] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// Sets a field at a dotted path; objects on the way are made.
    pub fn set(&mut self, path: &str, value: Json) {
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(Vec::new());
        }
        let Self::Object(fields) = self else {
            return;
        };
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) if !fields.iter().any(|(name, _)| name == path) => {
                (first, Some(rest))
            }
            _ => (path, None),
        };
        if !fields.iter().any(|(name, _)| name == first) {
            fields.push((Cow::Owned(first.to_owned()), Self::Null));
        }
        let field = fields.iter_mut().find(|(name, _)| name == first);
        match (field, rest) {
            (Some((_, field)), Some(rest)) => field.set(rest, value),
            (Some((_, field)), None) => *field = value,
            (None, _) => {}
        }
    }

    /// As `SQLite` orders: nothing first, numbers by value, texts by their bytes.
    pub fn order(one: Option<&Self>, other: Option<&Self>) -> Ordering {
        let rank = |value: Option<&Self>| match value {
            None | Some(Self::Null) => 0,
            Some(Self::Bool(_) | Self::Int(_) | Self::Float(_)) => 1,
            _ => 2,
        };
        rank(one)
            .cmp(&rank(other))
            .then_with(|| match (one, other) {
                (Some(Self::Int(one)), Some(Self::Int(other))) => one.cmp(other),
                (Some(Self::Float(one)), Some(Self::Float(other))) => one.total_cmp(other),
                (Some(Self::Text(one)), Some(Self::Text(other))) => one.cmp(other),
                _ => Ordering::Equal,
            })
    }

    pub fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader {
            rest: text.trim_start(),
        };
        let value = reader.value()?;
        match reader.rest.trim() {
            "" => Ok(value),
            _ => Err(reader.fault("nothing more")),
        }
    }

    fn write(&self, out: &mut String) {
        use fmt::Write;
        let written = match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Int(value) => write!(out, "{value}"),
            Self::Float(value) => write!(out, "{value:?}"),
            Self::Text(text) => return quote(text, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    item.write(out);
                }
                out.write_str("]")
            }
            Self::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    quote(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.write_str("}")
            }
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

fn quote(text: &str, out: &mut String) {
    use fmt::Write;
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            ' '..='~' => out.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let written = write!(out, "\\u{unit:04x}");
                    debug_assert!(written.is_ok(), "a String takes everything");
                }
            }
        }
    }
    out.push('"');
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn fault(&self, wanted: &str) -> String {
        let near: String = self.rest.chars().take(20).collect();
        format!("JSON: {wanted} is wanted at `{near}`")
    }

    fn take(&mut self, token: char) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Result<Json, String> {
        self.rest = self.rest.trim_start();
        for (word, value) in [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
        ] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        if self.take('[') {
            return self.items(']', Self::value).map(Json::List);
        }
        if self.take('{') {
            let pair = |reader: &mut Self| {
                let name = reader.text()?;
                if !reader.take(':') {
                    return Err(reader.fault("a colon"));
                }
                Ok((Cow::Owned(name), reader.value()?))
            };
            return self.items('}', pair).map(Json::Object);
        }
        if self.rest.starts_with('"') {
            return self.text().map(Json::Text);
        }
        self.number()
    }

    fn items<T>(
        &mut self,
        end: char,
        item: impl Fn(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let mut items = Vec::new();
        if self.take(end) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.take(end) {
                return Ok(items);
            }
            if !self.take(',') {
                return Err(self.fault("a comma"));
            }
        }
    }

    fn number(&mut self) -> Result<Json, String> {
        let end = self.rest.find(|c: char| !"+-.eE0123456789".contains(c));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let value = match number.parse() {
            Ok(whole) => Json::Int(whole),
            Err(_) => Json::Float(number.parse().map_err(|_| self.fault("a value"))?),
        };
        self.rest = rest;
        Ok(value)
    }

    fn text(&mut self) -> Result<String, String> {
        if !self.take('"') {
            return Err(self.fault("a text"));
        }
        let mut units: Vec<u16> = Vec::new();
        let mut letters = self.rest.chars();
        loop {
            match letters.next() {
                Some('"') => break,
                Some('\\') => units.push(escaped(&mut letters).ok_or("JSON: a bad escape")?),
                Some(letter) => units.extend(letter.encode_utf16(&mut [0; 2]).iter()),
                None => return Err(self.fault("the end of a text")),
            }
        }
        self.rest = letters.as_str();
        Ok(String::from_utf16_lossy(&units))
    }
}

fn escaped(letters: &mut std::str::Chars<'_>) -> Option<u16> {
    let plain = match letters.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => {
            let hex: String = letters.by_ref().take(4).collect();
            return u16::from_str_radix(&hex, 16).ok();
        }
        other => other,
    };
    u16::try_from(u32::from(plain)).ok()
}
