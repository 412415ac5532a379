//! A second, independent reader of JSON: it keeps every number as its text and every duplicate key,
//! so that the tests can say what "lossless" means without the product's own reader.

use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn read(text: &str) -> Self {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value();
        assert_eq!(text[reader.at..].trim(), "", "something follows the JSON");
        value
    }

    /// The value under a dotted path; the tests' paths have no dots in their keys.
    pub(crate) fn at(&self, path: &str) -> Option<&Json> {
        path.split('.').try_fold(self, |value, key| match value {
            Self::Object(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, v)| v),
            _ => None,
        })
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        match self.at(path)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same object with one top-level field set.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: Json) -> Self {
        let Self::Object(fields) = &mut self else {
            panic!("not an object")
        };
        fields.retain(|(key, _)| key != name);
        fields.push((name.into(), value));
        self
    }
}

impl fmt::Display for Json {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &String| serde_json::to_string(text).expect("text is JSON");
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Number(text) => out.write_str(text),
            Self::Text(text) => out.write_str(&quoted(text)),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                write!(out, "[{}]", items.join(","))
            }
            Self::Object(fields) => {
                let pair = |(key, value): &(String, Json)| format!("{}:{value}", quoted(key));
                write!(
                    out,
                    "{{{}}}",
                    fields.iter().map(pair).collect::<Vec<_>>().join(",")
                )
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Json {
        match self.peek() {
            b'{' => Json::Object(self.items(b'}', |reader| {
                let key = reader.string();
                reader.expect(b':');
                (key, reader.value())
            })),
            b'[' => Json::List(self.items(b']', Self::value)),
            b'"' => Json::Text(self.string()),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => Json::Number(self.take(|byte| !b"0123456789+-.eE".contains(&byte))),
        }
    }

    fn items<T>(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        self.at += 1;
        while self.peek() != end {
            items.push(item(self));
            if self.peek() == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        items
    }

    fn string(&mut self) -> String {
        self.expect(b'"');
        let (begin, bytes) = (self.at, self.text.as_bytes());
        while bytes[self.at] != b'"' {
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_str(&self.text[begin - 1..self.at]).expect("a JSON string")
    }

    fn take(&mut self, end: impl Fn(u8) -> bool) -> String {
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(end).unwrap_or(rest.len());
        assert!(length > 0, "not JSON at {}", self.at);
        self.at += length;
        rest[..length].into()
    }

    fn word(&mut self, word: &str, value: Json) -> Json {
        assert!(
            self.text[self.at..].starts_with(word),
            "not JSON at {}",
            self.at
        );
        self.at += word.len();
        value
    }

    fn expect(&mut self, byte: u8) {
        assert_eq!(self.peek(), byte, "not JSON at {}", self.at);
        self.at += 1;
    }

    fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while bytes[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
        bytes[self.at]
    }
}
