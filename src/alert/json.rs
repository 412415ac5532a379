//! Reads JSON as Wazuh really writes it: bytes that need not be UTF-8, any nesting, numbers as
//! their text. `serde_json` refuses or alters all three, hence a reader of our own. It never
//! recurses, so no input can exhaust the stack. What an alert means is not known here.

/// Why a text is not one JSON value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SyntaxError {
    /// The text ends inside a value: a full /tmp cuts alert files.
    #[error("the JSON is cut off after {0} bytes")]
    Cut(usize),
    /// Something stands where JSON's grammar does not allow it.
    #[error("not JSON at byte {0}")]
    Unexpected(usize),
    /// More text after the value.
    #[error("more text after the JSON object, at byte {0}")]
    Trailing(usize),
}

/// One step through the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    Open(Container),
    Close,
    Key(Text<'a>),
    String(Text<'a>),
    Number(&'a str),
    Bool(bool),
    Null,
    /// The value that was begun first is complete.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Object,
    Array,
}

/// What stands between two quotes, escapes not yet resolved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Text<'a> {
    pub(crate) inside: &'a [u8],
    escaped: bool,
}

/// What was wrong with a text that had to be stored as UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    None,
    Utf8,
    Surrogate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or `]` right behind `[`.
    FirstItem,
    /// A key, or `}` right behind `{`.
    FirstKey,
    Key,
    CommaOrClose,
    Nothing,
}

/// Walks over one JSON value.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    open: Vec<Container>,
    expect: Expect,
}

type Result<T> = std::result::Result<T, SyntaxError>;

impl<'a> Reader<'a> {
    /// Begins at `at`; white space before the value is passed over.
    pub(crate) fn new(text: &'a [u8], at: usize) -> Self {
        Self {
            text,
            at,
            open: Vec::with_capacity(16),
            expect: Expect::Value,
        }
    }

    /// The offset behind what has been read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn next(&mut self) -> Result<Token<'a>> {
        if self.expect == Expect::Nothing {
            return Ok(Token::End);
        }
        if self.expect == Expect::CommaOrClose {
            if self.peek()? != b',' {
                return self.close();
            }
            self.at += 1;
            self.expect = self.after_comma();
        }
        match (self.expect, self.peek()?) {
            (Expect::FirstItem, b']') | (Expect::FirstKey, b'}') => self.close(),
            (Expect::FirstKey | Expect::Key, b'"') => self.key(),
            (Expect::Value | Expect::FirstItem, first) => self.value(first),
            _ => Err(SyntaxError::Unexpected(self.at)),
        }
    }

    /// Passes over the value that comes next, whatever is in it, and returns its text.
    pub(crate) fn skip_value(&mut self) -> Result<&'a [u8]> {
        self.peek()?;
        let (from, depth) = (self.at, self.open.len());
        loop {
            self.next()?;
            if self.open.len() == depth && !matches!(self.expect, Expect::Value) {
                return Ok(self.text.get(from..self.at).unwrap_or_default());
            }
        }
    }

    /// Passes over the rest of the container that was opened last; `from` is where it begins.
    pub(crate) fn skip_container(&mut self, from: usize) -> Result<&'a [u8]> {
        let depth = self.open.len();
        while self.open.len() >= depth {
            self.next()?;
        }
        Ok(self.text.get(from..self.at).unwrap_or_default())
    }

    /// Says whether only white space is left.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.space();
        if self.at < self.text.len() {
            return Err(SyntaxError::Trailing(self.at));
        }
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Result<u8> {
        self.space();
        let byte = self.text.get(self.at).copied();
        byte.ok_or(SyntaxError::Cut(self.text.len()))
    }

    fn after_comma(&self) -> Expect {
        match self.open.last() {
            Some(Container::Object) => Expect::Key,
            _ => Expect::Value,
        }
    }

    fn after_value(&mut self) {
        self.expect = if self.open.is_empty() {
            Expect::Nothing
        } else {
            Expect::CommaOrClose
        };
    }

    fn close(&mut self) -> Result<Token<'a>> {
        let right = match self.open.last() {
            Some(Container::Object) => b'}',
            _ => b']',
        };
        if self.peek()? != right {
            return Err(SyntaxError::Unexpected(self.at));
        }
        self.at += 1;
        self.open.pop();
        self.after_value();
        Ok(Token::Close)
    }

    fn key(&mut self) -> Result<Token<'a>> {
        let text = self.string()?;
        if self.peek()? != b':' {
            return Err(SyntaxError::Unexpected(self.at));
        }
        self.at += 1;
        self.expect = Expect::Value;
        Ok(Token::Key(text))
    }

    fn value(&mut self, first: u8) -> Result<Token<'a>> {
        let token = match first {
            b'{' => return Ok(self.begin(Container::Object, Expect::FirstKey)),
            b'[' => return Ok(self.begin(Container::Array, Expect::FirstItem)),
            b'"' => Token::String(self.string()?),
            b't' => self.word(b"true", Token::Bool(true))?,
            b'f' => self.word(b"false", Token::Bool(false))?,
            b'n' => self.word(b"null", Token::Null)?,
            b'-' | b'0'..=b'9' => Token::Number(self.number()?),
            _ => return Err(SyntaxError::Unexpected(self.at)),
        };
        self.after_value();
        Ok(token)
    }

    fn begin(&mut self, container: Container, expect: Expect) -> Token<'a> {
        self.at += 1;
        self.open.push(container);
        self.expect = expect;
        Token::Open(container)
    }

    fn word(&mut self, word: &[u8], token: Token<'a>) -> Result<Token<'a>> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(token);
        }
        Err(if word.starts_with(rest) {
            SyntaxError::Cut(self.text.len())
        } else {
            SyntaxError::Unexpected(self.at)
        })
    }

    fn string(&mut self) -> Result<Text<'a>> {
        let from = self.at + 1;
        let mut to = from;
        let mut escaped = false;
        loop {
            let rest = self.text.get(to..).unwrap_or_default();
            let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            to += stop.ok_or(SyntaxError::Cut(self.text.len()))?;
            if self.text.get(to) == Some(&b'"') {
                break;
            }
            escaped = true;
            to += 2;
        }
        self.at = to + 1;
        let inside = self.text.get(from..to).unwrap_or_default();
        Ok(Text { inside, escaped })
    }

    fn number(&mut self) -> Result<&'a str> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let end = rest.iter().position(|byte| !is_part(byte));
        let digits = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let cut = end.is_none();
        let text = std::str::from_utf8(digits).unwrap_or_default();
        if !is_number(digits) {
            return Err(if cut {
                SyntaxError::Cut(self.text.len())
            } else {
                SyntaxError::Unexpected(self.at)
            });
        }
        self.at += digits.len();
        Ok(text)
    }
}

/// JSON's number grammar (RFC 8259, section 6).
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with(b"0")) {
        return false;
    }
    let mut rest = rest.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = fraction.get(count..).unwrap_or_default();
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let exponent = exponent
            .strip_prefix(b"+")
            .or_else(|| exponent.strip_prefix(b"-"))
            .unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

impl Text<'_> {
    /// Appends the text with its escapes resolved, as valid UTF-8.
    /// Whether it holds escapes; without them there is no NUL in it.
    pub(crate) fn is_escaped(&self) -> bool {
        self.escaped
    }

    pub(crate) fn unescape_into(self, out: &mut Vec<u8>) -> Damage {
        if !self.escaped {
            return append_utf8(self.inside, out);
        }
        let mut rest = self.inside;
        let mut damage = Damage::None;
        while let Some(stop) = rest.iter().position(|byte| *byte == b'\\') {
            let (plain, escape) = rest.split_at(stop);
            damage = damage.or(append_utf8(plain, out));
            let (used, found) = append_escape(escape, out);
            damage = damage.or(found);
            rest = escape.get(used..).unwrap_or_default();
        }
        damage.or(append_utf8(rest, out))
    }
}

impl Damage {
    fn or(self, other: Self) -> Self {
        if self == Self::None { other } else { self }
    }
}

fn append_utf8(bytes: &[u8], out: &mut Vec<u8>) -> Damage {
    if std::str::from_utf8(bytes).is_ok() {
        out.extend_from_slice(bytes);
        return Damage::None;
    }
    out.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes());
    Damage::Utf8
}

/// Resolves the escape that `text` begins with; returns how many bytes it took.
fn append_escape(text: &[u8], out: &mut Vec<u8>) -> (usize, Damage) {
    let plain = match text.get(1) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 0x08,
        Some(b'f') => 0x0C,
        Some(b'u') => return append_unicode(text, out),
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        // Not an escape that JSON knows: the backslash stays, and nothing is lost.
        _ => {
            out.push(b'\\');
            return (1, Damage::None);
        }
    };
    out.push(plain);
    (2, Damage::None)
}

fn append_unicode(text: &[u8], out: &mut Vec<u8>) -> (usize, Damage) {
    let Some(first) = hex4(text) else {
        out.push(b'\\');
        return (1, Damage::None);
    };
    let pair = text.get(6..).filter(|low| low.starts_with(b"\\u"));
    if let Some(low @ 0xDC00..=0xDFFF) = pair.and_then(hex4)
        && (0xD800..0xDC00).contains(&first)
    {
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00);
        push_char(char::from_u32(code), out);
        return (12, Damage::None);
    }
    (6, push_char(char::from_u32(first), out))
}

fn push_char(character: Option<char>, out: &mut Vec<u8>) -> Damage {
    let mut buffer = [0; 4];
    let known = character.unwrap_or('\u{FFFD}');
    out.extend_from_slice(known.encode_utf8(&mut buffer).as_bytes());
    if character.is_some() {
        Damage::None
    } else {
        Damage::Surrogate
    }
}

/// The four hex digits of an escape that `text` begins with.
fn hex4(text: &[u8]) -> Option<u32> {
    let digits = text.get(2..6)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
