//! What `packaging/bench/follow` measures with, as lean as it can be made: std only, over
//! `mongo-client.rs`.
//!
//! `dump PORT DATABASE FILE` writes the alerts of a database as raw BSON, back to back.
//! `ceiling PORT DATABASE FILE BATCH CONNECTIONS` inserts such a file as fast as mongod takes it and
//! prints the seconds. `await PORT DATABASE COUNT SECONDS` ends when so many alerts are there.
//! `arrivals PORT DATABASE BEGIN COUNT` asks for alerts of which each is a millisecond younger than
//! the one before, the first one of BEGIN (Unix milliseconds), and prints when it found each (Unix ns).

#[path = "../mongo-client.rs"]
#[expect(dead_code, reason = "it is a program of its own, too")]
mod mongo_client;

use std::io::{Error, Result, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mongo_client::{Decoder, Fields, Value, answer, ask, connect, message, succeeded};

/// Between two queries: fine enough for milliseconds, and rare enough to leave mongod to its work.
const PAUSE: Duration = Duration::from_millis(2);
const NEWEST: i64 = 5000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["dump", port, database, file] => dump(port, database, file),
        ["ceiling", port, database, file, batch, connections] => {
            ceiling(port, database, file, number(batch), number(connections))
        }
        ["await", port, database, count, seconds] => {
            wait(port, database, number(count), number(seconds))
        }
        ["arrivals", port, database, begin, count] => {
            arrivals(port, database, number(begin), number(count))
        }
        _ => Err(Error::other("dump, ceiling, await or arrivals")),
    };
    if let Err(why) = outcome {
        eprintln!("yardstick: {why}");
        std::process::exit(1);
    }
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse()
        .unwrap_or_else(|_| panic!("{word} is not a number"))
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn field(key: &str, value: Value) -> (String, Value) {
    (key.into(), value)
}

fn dump(port: &str, database: &str, file: &str) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    let mut server = connect(port)?;
    let mut command = vec![field("find", text("alerts"))];
    loop {
        server.write_all(&message(database, command, 0))?;
        let answer = answer(&mut server)?;
        let cursor = write_batch(&answer, &mut out)?;
        if cursor == 0 {
            return out.flush();
        }
        command = vec![
            field("getMore", Value::Int(cursor)),
            field("collection", text("alerts")),
        ];
    }
}

/// The documents of a `find` or `getMore`; the id of the cursor, 0 at its end.
fn write_batch(answer: &[u8], out: &mut impl Write) -> Result<i64> {
    let mut id = None;
    each_field(answer, |key, kind, fields| {
        if key != "cursor" {
            fields.value(kind);
            return Ok(());
        }
        let cursor = raw(fields);
        each_field(cursor, |key, kind, fields| match (key, kind) {
            ("firstBatch" | "nextBatch", _) => {
                each_field(raw(fields), |_, _, documents| out.write_all(raw(documents)))
            }
            ("id", 0x12) => {
                id = Some(fields.int(8));
                Ok(())
            }
            _ => {
                fields.value(kind);
                Ok(())
            }
        })
    })?;
    id.ok_or_else(|| Error::other("no cursor in the answer"))
}

/// A document or a list, as its bytes.
fn raw<'a>(fields: &mut Decoder<'a>) -> &'a [u8] {
    let size = Decoder(fields.0).size();
    fields.take(size)
}

/// Hands over key and type of each field; `visit` takes the value.
fn each_field<'a>(
    document: &'a [u8],
    mut visit: impl FnMut(&str, u8, &mut Decoder<'a>) -> Result<()>,
) -> Result<()> {
    let mut fields = Decoder(document);
    fields.size();
    loop {
        match fields.take(1)[0] {
            0 => return Ok(()),
            kind => {
                let key = fields.key();
                visit(&key, kind, &mut fields)?;
            }
        }
    }
}

/// Each connection has one batch in flight. The clock runs from the first insert to the last answer.
fn ceiling(port: &str, database: &str, file: &str, batch: usize, connections: usize) -> Result<()> {
    let documents = std::fs::read(file)?;
    let batches = batches(&documents, batch);
    let (next, ready) = (AtomicUsize::new(0), Barrier::new(connections + 1));
    let begun = std::thread::scope(|scope| {
        let send = || -> Result<()> {
            let server = connect(port);
            ready.wait();
            let mut server = server?;
            while let Some(range) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                insert(&mut server, database, &documents[range.clone()])?;
            }
            Ok(())
        };
        let senders: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        ready.wait();
        let begun = Instant::now();
        for sender in senders {
            sender.join().expect("a sender does not panic")?;
        }
        Ok::<_, Error>(begun)
    })?;
    println!("{}", begun.elapsed().as_secs_f64());
    Ok(())
}

fn batches(documents: &[u8], batch: usize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut at, mut count) = (0, 0, 0);
    while at < documents.len() {
        at += Decoder(&documents[at..]).size();
        count += 1;
        if count == batch || at == documents.len() {
            batches.push(start..at);
            (start, count) = (at, 0);
        }
    }
    batches
}

/// The documents travel as a document sequence, which is how they lie in memory: nothing is copied.
fn insert(server: &mut TcpStream, database: &str, documents: &[u8]) -> Result<()> {
    let name = b"documents\0";
    let size = 4 + name.len() + documents.len();
    let concern = vec![field("w", text("majority")), field("j", Value::Bool(true))];
    let command = vec![
        field("insert", text("alerts")),
        field("ordered", Value::Bool(false)),
        field("writeConcern", Value::Document(concern)),
    ];
    let mut head = message(database, command, 1 + size);
    head.push(1);
    head.extend(
        i32::try_from(size)
            .expect("a batch below 2 GB")
            .to_le_bytes(),
    );
    head.extend(name);
    server.write_all(&head)?;
    server.write_all(documents)?;
    let answer = answer(server)?;
    let mut fields = Decoder(&answer);
    succeeded(&Value::Document(fields.document()))
}

fn wait(port: &str, database: &str, count: i64, seconds: u64) -> Result<()> {
    let (mut server, begun) = (connect(port)?, Instant::now());
    loop {
        let command = vec![field("count", text("alerts"))];
        let there = match find(ask(&mut server, database, command)?, "n") {
            Some(Value::Int(there)) => there,
            _ => 0,
        };
        if there >= count {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(seconds) {
            return Err(Error::other(format!(
                "after {seconds} s {there} of {count} alerts are there"
            )));
        }
        std::thread::sleep(5 * PAUSE);
    }
}

fn find(document: Value, key: &str) -> Option<Value> {
    let Value::Document(fields) = document else {
        return None;
    };
    let found = fields.into_iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value)
}

/// The query is one of those that the index by time is for. What overtakes another is seen as well:
/// each query asks from the oldest alert that is still missing.
fn arrivals(port: &str, database: &str, begin: i64, count: usize) -> Result<()> {
    let mut server = connect(port)?;
    let mut seen: Vec<Option<u128>> = vec![None; count];
    let mut missing = 0;
    while missing < count {
        let from = begin + i64::try_from(missing).expect("a small number");
        let answer = ask(&mut server, database, newest(from))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(Error::other)?.as_nanos();
        succeeded(&answer)?;
        for time in times(answer) {
            let place = usize::try_from(time - begin).ok();
            if let Some(slot) = place.and_then(|place| seen.get_mut(place)) {
                slot.get_or_insert(now);
            }
        }
        while seen.get(missing).is_some_and(Option::is_some) {
            missing += 1;
        }
        std::thread::sleep(PAUSE);
    }
    let mut out = std::io::BufWriter::new(std::io::stdout());
    for when in seen.into_iter().flatten() {
        writeln!(out, "{when}")?;
    }
    out.flush()
}

fn newest(from: i64) -> Fields {
    let since = vec![field("$gte", Value::Date(from))];
    let only = vec![
        field("_timestamp", Value::Int(1)),
        field("_id", Value::Int(0)),
    ];
    vec![
        field("find", text("alerts")),
        field(
            "filter",
            Value::Document(vec![field("_timestamp", Value::Document(since))]),
        ),
        field("projection", Value::Document(only)),
        field(
            "sort",
            Value::Document(vec![
                field("_timestamp", Value::Int(1)),
                field("_id", Value::Int(1)),
            ]),
        ),
        field("batchSize", Value::Int(NEWEST)),
        field("singleBatch", Value::Bool(true)),
    ]
}

fn times(answer: Value) -> Vec<i64> {
    let batch = find(answer, "cursor").and_then(|cursor| find(cursor, "firstBatch"));
    let Some(Value::List(alerts)) = batch else {
        return Vec::new();
    };
    let time = |alert| match find(alert, "_timestamp") {
        Some(Value::Date(time)) => Some(time),
        _ => None,
    };
    alerts.into_iter().filter_map(time).collect()
}
