//! One pass from an alert's text to BSON elements. What BSON or MongoDB cannot hold as it is
//! written so that nothing is lost, and noted as a defect.

use std::collections::HashSet;

use super::bson::{Mark, Writer, tag};
use super::defect::{Defects, What};
use super::json::{Container, Damage, Reader, SyntaxError, Text, Token};
use super::number::{self, Number};

/// Levels of nesting that MongoDB takes in an inserted document, the document itself included
/// (measured with 6.0.5: 181 are refused, "exceeds 180 levels of nesting").
pub(crate) const MAX_DEPTH: usize = 180;

/// From this many keys on, an object's keys are looked up in a set instead of one by one.
const MANY_KEYS: usize = 32;

/// A top-level field that was left out because its name is one of ours.
#[derive(Debug)]
pub(crate) struct Reserved<'a> {
    pub(crate) name: String,
    pub(crate) value: &'a [u8],
}

/// Writes the fields of the object that `text` begins with behind what is in `out`, without the
/// document's own beginning and end. Returns the fields whose names `is_reserved`.
pub(crate) fn fields<'a>(
    text: &'a [u8],
    out: &mut Writer,
    defects: &mut Defects,
    is_reserved: fn(&[u8]) -> bool,
) -> Result<Vec<Reserved<'a>>, SyntaxError> {
    let mut converter = Converter::new(text, 1, out, defects);
    converter.reader.next()?;
    converter.frames.push(Frame::root(Container::Object));
    converter.is_reserved = is_reserved;
    converter.run()?;
    converter.reader.finish()?;
    Ok(converter.reserved)
}

/// Writes one value of any type as the field `name`; `depth` counts the levels around it.
pub(crate) fn value(
    name: &str,
    text: &[u8],
    depth: usize,
    out: &mut Writer,
    defects: &mut Defects,
) -> Result<(), SyntaxError> {
    let mut converter = Converter::new(text, depth, out, defects);
    let mut root = Frame::root(Container::Object);
    root.element_at = converter.out.len();
    converter.out.key(tag::NULL, name.as_bytes());
    converter.frames.push(root);
    converter.run()?;
    converter.reader.finish()
}

struct Converter<'a, 'w> {
    reader: Reader<'a>,
    out: &'w mut Writer,
    defects: &'w mut Defects,
    frames: Vec<Frame>,
    keys: Vec<KeyAt>,
    reserved: Vec<Reserved<'a>>,
    is_reserved: fn(&[u8]) -> bool,
    outer_depth: usize,
}

/// An object or array that is being written.
struct Frame {
    container: Container,
    /// Where its length goes; none for the outermost, whose caller writes it.
    mark: Option<Mark>,
    /// Where the element begins that is being written in it.
    element_at: usize,
    index: usize,
    keys_from: usize,
    key_set: Option<HashSet<Box<[u8]>>>,
}

#[derive(Clone, Copy)]
struct KeyAt {
    hash: u32,
    from: usize,
    to: usize,
}

impl Frame {
    fn root(container: Container) -> Self {
        Self {
            container,
            mark: None,
            element_at: 0,
            index: 0,
            keys_from: 0,
            key_set: None,
        }
    }
}

impl<'a, 'w> Converter<'a, 'w> {
    fn new(text: &'a [u8], depth: usize, out: &'w mut Writer, defects: &'w mut Defects) -> Self {
        Self {
            reader: Reader::new(text, 0),
            out,
            defects,
            frames: Vec::with_capacity(16),
            keys: Vec::with_capacity(64),
            reserved: Vec::new(),
            is_reserved: |_| false,
            outer_depth: depth,
        }
    }

    fn run(&mut self) -> Result<(), SyntaxError> {
        loop {
            match self.reader.next()? {
                Token::End => return Ok(()),
                Token::Key(text) => self.key(text)?,
                Token::Open(container) => self.begin(container)?,
                Token::Close => self.end(),
                Token::String(text) => self.string(text),
                Token::Number(text) => self.number(text),
                Token::Bool(value) => {
                    self.element(tag::BOOL);
                    self.out.raw(&[u8::from(value)]);
                }
                Token::Null => self.element(tag::NULL),
            }
        }
    }

    fn key(&mut self, text: Text<'_>) -> Result<(), SyntaxError> {
        let at = self.out.len();
        self.out.tag(tag::NULL);
        let damage = text.unescape_into(self.out.buffer());
        let has_nul = escape_nul(self.out.buffer(), at + 1);
        let to = self.out.len();
        self.out.tag(0);
        if let Some(frame) = self.frames.last_mut() {
            frame.element_at = at;
        }
        self.note_damage(damage);
        if has_nul {
            self.note(What::NulInKey);
        }
        let name = self.out.bytes().get(at + 1..to).unwrap_or_default();
        if self.frames.len() == 1 && (self.is_reserved)(name) {
            let name = String::from_utf8_lossy(name).into_owned();
            self.out.truncate(at);
            let value = self.reader.skip_value()?;
            self.reserved.push(Reserved { name, value });
        } else if self.is_repeated(at + 1, to) {
            self.note(What::RepeatedKey);
            self.out.truncate(at);
            self.reader.skip_value()?;
        }
        Ok(())
    }

    /// Whether the object being written has this key already. Notes the key.
    fn is_repeated(&mut self, from: usize, to: usize) -> bool {
        let bytes = self.out.bytes();
        let name = bytes.get(from..to).unwrap_or_default();
        let Some(frame) = self.frames.last_mut() else {
            return false;
        };
        if let Some(set) = &mut frame.key_set {
            return !set.insert(name.into());
        }
        let hash = hash(name);
        let known = self.keys.get(frame.keys_from..).unwrap_or_default();
        let same = |key: &KeyAt| key.hash == hash && bytes.get(key.from..key.to) == Some(name);
        if known.iter().any(same) {
            return true;
        }
        self.keys.push(KeyAt { hash, from, to });
        if self.keys.len() - frame.keys_from > MANY_KEYS {
            let keys = self.keys.drain(frame.keys_from..);
            let names = keys.filter_map(|key| bytes.get(key.from..key.to).map(Box::from));
            frame.key_set = Some(names.collect());
        }
        false
    }

    fn begin(&mut self, container: Container) -> Result<(), SyntaxError> {
        if self.frames.len() + self.outer_depth > MAX_DEPTH {
            return self.too_deep();
        }
        self.element(match container {
            Container::Object => tag::DOCUMENT,
            Container::Array => tag::ARRAY,
        });
        self.frames.push(Frame {
            mark: Some(self.out.open()),
            keys_from: self.keys.len(),
            ..Frame::root(container)
        });
        Ok(())
    }

    fn too_deep(&mut self) -> Result<(), SyntaxError> {
        let text = self.reader.skip_container(self.reader.at() - 1)?;
        self.element(tag::STRING);
        self.out.text(&String::from_utf8_lossy(text));
        self.note(What::TooDeep);
        Ok(())
    }

    fn end(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        self.keys.truncate(frame.keys_from);
        if let Some(mark) = frame.mark {
            self.out.close(mark);
        }
    }

    fn string(&mut self, text: Text<'_>) {
        self.element(tag::STRING);
        let mark = self.out.open_text();
        let from = self.out.len();
        let escaped = text.is_escaped();
        let damage = text.unescape_into(self.out.buffer());
        if escaped
            && self
                .out
                .bytes()
                .get(from..)
                .unwrap_or_default()
                .contains(&0)
        {
            self.defects.note_brittle();
        }
        self.out.close_text(mark);
        self.note_damage(damage);
    }

    fn number(&mut self, text: &str) {
        if text.len() > number::SAFE_DIGITS {
            self.defects.note_brittle();
        }
        match number::classify(text) {
            Number::Int(value) => {
                self.element(tag::INT64);
                self.out.raw(&value.to_le_bytes());
            }
            Number::Double(value) => {
                self.element(tag::DOUBLE);
                self.out.raw(&value.to_le_bytes());
            }
            Number::Decimal(bytes) => {
                self.element(tag::DECIMAL);
                self.out.raw(&bytes);
            }
            Number::Text => {
                self.element(tag::STRING);
                self.out.text(text);
                self.note(What::HugeNumber);
            }
        }
    }

    /// Begins the value: an object's element gets its type, an array's its type and index.
    fn element(&mut self, tag: u8) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        if frame.container == Container::Object {
            self.out.retag(frame.element_at, tag);
            return;
        }
        frame.element_at = self.out.len();
        self.out.tag(tag);
        push_index(frame.index, self.out.buffer());
        frame.index += 1;
    }

    fn note_damage(&mut self, damage: Damage) {
        match damage {
            Damage::None => {}
            Damage::Utf8 => self.note(What::Utf8),
            Damage::Surrogate => self.note(What::Surrogate),
        }
    }

    fn note(&mut self, what: What) {
        let names = self.frames.iter().map(|frame| {
            let name = self.out.bytes().get(frame.element_at + 1..);
            let name = name.unwrap_or_default();
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
            String::from_utf8_lossy(name.get(..end).unwrap_or_default())
        });
        self.defects.note(names, what);
    }
}

/// BSON names end at NUL, so a NUL in a key becomes the six characters `\u0000`.
fn escape_nul(out: &mut Vec<u8>, from: usize) -> bool {
    let name = out.get(from..).unwrap_or_default();
    if !name.contains(&0) {
        return false;
    }
    let name = String::from_utf8_lossy(name).replace('\0', "\\u0000");
    out.truncate(from);
    out.extend_from_slice(name.as_bytes());
    true
}

/// FNV-1a, 32 bits: only a filter in front of the comparison.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

fn push_index(index: usize, out: &mut Vec<u8>) {
    let from = out.len();
    let mut rest = index;
    loop {
        let digit = u8::try_from(rest % 10).unwrap_or_default();
        out.push(b'0' + digit);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(from..) {
        digits.reverse();
    }
    out.push(0);
}
