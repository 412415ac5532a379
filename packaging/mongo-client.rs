//! A MongoDB client in one file, without a crate: `rustc -O packaging/mongo-client.rs`.
//!
//! `run PORT DATABASE COMMAND` sends a command written as JSON and prints the answer as JSON: the
//! demo's way to look into a mongod where there is no mongosh. `insert PORT DATABASE FILE` stores one
//! alert and says nothing: the least that a direct write can cost, and so the yardstick of the bench.
//! `packaging/bench/yardstick.rs` builds on it.

use std::fmt::Write as _;
use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;

const OP_MSG: i32 = 2013;

/// Keys keep their order: MongoDB takes the first one for the command's name.
pub(crate) type Fields = Vec<(String, Value)>;

pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    /// Milliseconds since 1970.
    Date(i64),
    List(Vec<Value>),
    Document(Fields),
    /// A type that JSON does not have, printed already.
    Shown(String),
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["run", port, database, command] => run(port, database, command),
        ["insert", port, database, file] => insert(port, database, file),
        _ => Err(Error::other(
            "usage: run PORT DATABASE COMMAND | insert PORT DATABASE FILE",
        )),
    };
    if let Err(why) = outcome {
        eprintln!("mongo-client: {why}");
        std::process::exit(1);
    }
}

fn run(port: &str, database: &str, command: &str) -> Result<()> {
    let Value::Document(command) = parse(command.as_bytes())? else {
        return Err(Error::other("a command is a JSON object"));
    };
    let answer = ask(&mut connect(port)?, database, command)?;
    let mut shown = String::new();
    show(&answer, &mut shown);
    println!("{shown}");
    succeeded(&answer)
}

/// Connect, hello, insert: the three round trips that nobody can leave out.
fn insert(port: &str, database: &str, file: &str) -> Result<()> {
    let Value::Document(mut alert) = parse(&std::fs::read(file)?)? else {
        return Err(Error::other("an alert is a JSON object"));
    };
    let id = alert.iter().find(|(key, _)| key == "id");
    if let Some((_, Value::Text(id))) = id {
        alert.insert(0, ("_id".into(), Value::Text(id.clone())));
    }
    let text = |text: &str| Value::Text(text.into());
    let mut server = connect(port)?;
    succeeded(&ask(
        &mut server,
        "admin",
        vec![("hello".into(), Value::Int(1))],
    )?)?;
    let concern = vec![
        ("w".into(), text("majority")),
        ("j".into(), Value::Bool(true)),
    ];
    let command = vec![
        ("insert".into(), text("alerts")),
        (
            "documents".into(),
            Value::List(vec![Value::Document(alert)]),
        ),
        ("writeConcern".into(), Value::Document(concern)),
    ];
    succeeded(&ask(&mut server, database, command)?)
}

pub(crate) fn connect(port: &str) -> Result<TcpStream> {
    let server = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    server.set_nodelay(true)?;
    Ok(server)
}

pub(crate) fn succeeded(answer: &Value) -> Result<()> {
    let Value::Document(fields) = answer else {
        return Err(Error::other("no answer"));
    };
    let faults = ["errmsg", "writeErrors", "writeConcernError"];
    match fields
        .iter()
        .find(|(key, _)| faults.contains(&key.as_str()))
    {
        None => Ok(()),
        Some((_, fault)) => {
            let mut shown = String::new();
            show(fault, &mut shown);
            Err(Error::other(shown))
        }
    }
}

/// One OP_MSG there and one back (mongodb.com/docs/manual/reference/mongodb-wire-protocol).
pub(crate) fn ask(server: &mut TcpStream, database: &str, command: Fields) -> Result<Value> {
    server.write_all(&message(database, command, 0))?;
    let body = answer(server)?;
    Ok(Value::Document(Decoder(&body).document()))
}

/// A command that `more` bytes of further sections follow.
pub(crate) fn message(database: &str, mut command: Fields, more: usize) -> Vec<u8> {
    command.push(("$db".into(), Value::Text(database.into())));
    let mut message = vec![0; 16];
    message.extend([0, 0, 0, 0, 0]);
    encode_document(command, &mut message);
    for (at, number) in [
        (0, i32::try_from(message.len() + more).unwrap()),
        (4, 1),
        (12, OP_MSG),
    ] {
        message[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    message
}

/// The document of an answer, as it came.
pub(crate) fn answer(server: &mut TcpStream) -> Result<Vec<u8>> {
    let mut head = [0; 16];
    server.read_exact(&mut head)?;
    let length = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
    let mut body = vec![0; length - 16];
    server.read_exact(&mut body)?;
    body.drain(..5);
    Ok(body)
}

fn encode_document(fields: Fields, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; 4]);
    for (key, value) in fields {
        encode(&key, value, out);
    }
    out.push(0);
    let length = i32::try_from(out.len() - start).unwrap();
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn encode(key: &str, value: Value, out: &mut Vec<u8>) {
    let kind = out.len();
    out.push(0);
    out.extend(key.bytes().chain([0]));
    out[kind] = match value {
        Value::Null | Value::Shown(_) => 0x0a,
        Value::Bool(value) => {
            out.push(value.into());
            0x08
        }
        Value::Int(value) => match i32::try_from(value) {
            Ok(small) => {
                out.extend(small.to_le_bytes());
                0x10
            }
            Err(_) => {
                out.extend(value.to_le_bytes());
                0x12
            }
        },
        Value::Double(value) => {
            out.extend(value.to_le_bytes());
            0x01
        }
        Value::Text(text) => {
            out.extend(i32::try_from(text.len() + 1).unwrap().to_le_bytes());
            out.extend(text.bytes().chain([0]));
            0x02
        }
        Value::Date(milliseconds) => {
            out.extend(milliseconds.to_le_bytes());
            0x09
        }
        Value::List(items) => {
            let fields = items
                .into_iter()
                .enumerate()
                .map(|(at, item)| (at.to_string(), item));
            encode_document(fields.collect(), out);
            0x04
        }
        Value::Document(fields) => {
            encode_document(fields, out);
            0x03
        }
    };
}

/// Reads BSON of a server that we started ourselves: a fault in it may panic.
pub(crate) struct Decoder<'a>(pub(crate) &'a [u8]);

impl<'a> Decoder<'a> {
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub(crate) fn int(&mut self, width: usize) -> i64 {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width));
        i64::from_le_bytes(bytes) << (64 - 8 * width) >> (64 - 8 * width)
    }

    pub(crate) fn size(&mut self) -> usize {
        usize::try_from(self.int(4)).expect("a size")
    }

    pub(crate) fn key(&mut self) -> String {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .expect("the end of a key");
        let key = String::from_utf8_lossy(self.take(end)).into_owned();
        self.take(1);
        key
    }

    fn text(&mut self) -> String {
        let size = self.size();
        String::from_utf8_lossy(&self.take(size)[..size - 1]).into_owned()
    }

    fn hex(&mut self, count: usize) -> String {
        self.take(count)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    pub(crate) fn document(&mut self) -> Fields {
        self.size();
        let mut fields = Vec::new();
        loop {
            match self.take(1)[0] {
                0 => return fields,
                kind => fields.push((self.key(), self.value(kind))),
            }
        }
    }

    pub(crate) fn value(&mut self, kind: u8) -> Value {
        match kind {
            0x01 => Value::Double(f64::from_bits(self.int(8).cast_unsigned())),
            0x02 => Value::Text(self.text()),
            0x03 => Value::Document(self.document()),
            0x04 => Value::List(self.document().into_iter().map(|(_, item)| item).collect()),
            0x05 => {
                let size = self.size();
                self.take(1);
                Value::Shown(format!("{{\"$binary\":\"{}\"}}", self.hex(size)))
            }
            0x07 => Value::Shown(format!("{{\"$oid\":\"{}\"}}", self.hex(12))),
            0x08 => Value::Bool(self.take(1)[0] != 0),
            0x09 => Value::Date(self.int(8)),
            0x0a => Value::Null,
            0x10 => Value::Int(self.int(4)),
            0x11 => Value::Shown(format!("{{\"$timestamp\":{}}}", self.int(8))),
            0x12 => Value::Int(self.int(8)),
            0x13 => Value::Shown(format!("{{\"$decimal\":\"{}\"}}", self.hex(16))),
            other => panic!("BSON type {other:#x} is not known here"),
        }
    }
}

fn show(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => write!(out, "{value}").unwrap(),
        Value::Int(value) => write!(out, "{value}").unwrap(),
        Value::Double(value) => write!(out, "{value}").unwrap(),
        Value::Text(text) => show_text(text, out),
        Value::Date(milliseconds) => write!(out, "{{\"$date\":{milliseconds}}}").unwrap(),
        Value::Shown(text) => out.push_str(text),
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "[" } else { "," });
                show(item, out);
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Document(fields) => {
            for (at, (key, value)) in fields.iter().enumerate() {
                out.push_str(if at == 0 { "{" } else { "," });
                show_text(key, out);
                out.push(':');
                show(value, out);
            }
            out.push_str(if fields.is_empty() { "{}" } else { "}" });
        }
    }
}

fn show_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => write!(out, "\\u{:04x}", u32::from(control)).unwrap(),
            plain => out.push(plain),
        }
    }
    out.push('"');
}

fn parse(text: &[u8]) -> Result<Value> {
    Parser { text, at: 0 }
        .value()
        .ok_or_else(|| Error::other("this is not JSON"))
}

/// JSON as a program writes it; `None` where it is not.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn value(&mut self) -> Option<Value> {
        match self.peek()? {
            b'{' => self.items(b'}', Self::field).map(Value::Document),
            b'[' => self.items(b']', Self::value).map(Value::List),
            b'"' => self.string().map(Value::Text),
            _ => self.word(),
        }
    }

    /// What stands between brackets, with commas.
    fn items<T>(&mut self, end: u8, item: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.at += 1;
        let mut items = Vec::new();
        while self.peek()? != end {
            if !items.is_empty() {
                self.skip(b',')?;
            }
            items.push(item(self)?);
        }
        self.at += 1;
        Some(items)
    }

    fn field(&mut self) -> Option<(String, Value)> {
        self.peek()?;
        let key = self.string()?;
        self.skip(b':')?;
        Some((key, self.value()?))
    }

    fn word(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let ends = |byte: &u8| b",]}".contains(byte) || byte.is_ascii_whitespace();
        let word = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        self.at += word.len();
        Some(match std::str::from_utf8(word).ok()? {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number => match number.parse() {
                Ok(whole) => Value::Int(whole),
                Err(_) => Value::Double(number.parse().ok()?),
            },
        })
    }

    fn string(&mut self) -> Option<String> {
        self.skip(b'"')?;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            text.push_str(std::str::from_utf8(&rest[..plain]).ok()?);
            self.at += plain + 1;
            if rest[plain] == b'"' {
                return Some(text);
            }
            text.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Option<char> {
        self.at += 1;
        Some(match self.text.get(self.at - 1)? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.utf16()?,
            plain => char::from(*plain),
        })
    }

    fn utf16(&mut self) -> Option<char> {
        let first = self.unit()?;
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
            self.at += 2;
            units.push(self.unit()?);
        }
        Some(
            char::decode_utf16(units)
                .next()?
                .unwrap_or(char::REPLACEMENT_CHARACTER),
        )
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }
}
