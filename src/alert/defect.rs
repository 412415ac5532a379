//! What is odd about an alert and was stored another way than it came: `_defects`.

use std::borrow::Cow;

use super::bson::{Writer, tag};

/// A hostile text can have millions; the document names the first.
const MAX_NAMED: usize = 100;
/// A path of 180 long names would be larger than the alert.
const MAX_PATH: usize = 512;

/// One kind of oddity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Utf8,
    Surrogate,
    NulInKey,
    RepeatedKey,
    TooDeep,
    HugeNumber,
    ByteOrderMark,
    Timestamp,
    Options,
}

impl What {
    fn text(self) -> &'static str {
        match self {
            Self::Utf8 => "bytes that are not UTF-8 were replaced by U+FFFD",
            Self::Surrogate => "half of a surrogate pair was replaced by U+FFFD",
            Self::NulInKey => "NUL in a key was written as \\u0000",
            Self::RepeatedKey => "the key is there more than once, the first was kept",
            Self::TooDeep => "nested deeper than MongoDB takes, kept as text",
            Self::HugeNumber => "a number beyond Decimal128, kept as text",
            Self::ByteOrderMark => "a byte order mark stood before the text",
            Self::Timestamp => "not a time that could be read",
            Self::Options => "not JSON, kept as text",
        }
    }

    /// Whether the original text is needed to know what was sent.
    fn loses(self) -> bool {
        matches!(
            self,
            Self::Utf8 | Self::Surrogate | Self::NulInKey | Self::RepeatedKey | Self::TooDeep
        )
    }
}

/// The defects of one alert, in the order they were met.
#[derive(Debug, Default)]
pub(crate) struct Defects {
    named: Vec<(String, What)>,
    more: usize,
    lossy: bool,
    brittle: bool,
}

impl Defects {
    pub(crate) fn note<'a>(&mut self, path: impl Iterator<Item = Cow<'a, str>>, what: What) {
        self.lossy |= what.loses();
        if self.named.len() == MAX_NAMED {
            self.more += 1;
            return;
        }
        let mut whole = String::new();
        for (index, name) in path.enumerate() {
            if index > 0 {
                whole.push('.');
            }
            if whole.len() + name.len() > MAX_PATH {
                whole.push('…');
                break;
            }
            whole.push_str(&name.replace('\0', "\\u0000"));
        }
        self.named.push((whole, what));
    }

    pub(crate) fn note_field(&mut self, name: &str, what: What) {
        self.note(std::iter::once(Cow::Borrowed(name)), what);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Whether something was lost that only the original text still has.
    pub(crate) fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// Notes a value that does not survive the way through wazuh-integratord.
    pub(crate) fn note_brittle(&mut self) {
        self.brittle = true;
    }

    /// Whether the hook's copy of this alert may be poorer than the line in alerts.json.
    pub(crate) fn is_brittle(&self) -> bool {
        self.brittle
    }

    /// Writes the field `_defects`: a list of {path, what}.
    pub(crate) fn write(&self, out: &mut Writer) {
        out.key(tag::ARRAY, b"_defects");
        let list = out.open();
        for (index, (path, what)) in self.named.iter().enumerate() {
            write_item(index, path, what.text(), out);
        }
        if self.more > 0 {
            let more = format!("{} more were not listed", self.more);
            write_item(self.named.len(), "", &more, out);
        }
        out.close(list);
    }
}

fn write_item(index: usize, path: &str, what: &str, out: &mut Writer) {
    out.key(tag::DOCUMENT, index.to_string().as_bytes());
    let item = out.open();
    out.string("path", path);
    out.string("what", what);
    out.close(item);
}
