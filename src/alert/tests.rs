//! The reader against `serde_json`, against cuts at every byte, and against noise.

use ::bson::{Bson, Document, RawDocument};
use serde_json::{Value, json};

use super::enrich::{Enricher, Receipt, RedactSettings, Settings, Source};
use super::json::SyntaxError;
use super::{NotAnAlert, validate};
use crate::setting::List;

const RECEIPT: Receipt<'_> = Receipt {
    received_at: 0,
    source: Source::Hook,
    options: b"",
};

fn enricher() -> Enricher {
    Enricher::new("default", &Settings::default(), &RedactSettings::default()).unwrap()
}

fn document(raw: &[u8]) -> Document {
    read(&mut enricher(), raw).unwrap()
}

fn read(enricher: &mut Enricher, raw: &[u8]) -> Result<Document, NotAnAlert> {
    let document = enricher.document(raw, &RECEIPT)?;
    let raw = RawDocument::from_bytes(document.bson).expect("BSON");
    Ok(Document::try_from(raw).expect("valid BSON all the way down"))
}

fn json_of(mut document: Document) -> Value {
    for ours in [
        "_id",
        "agent_id",
        "_risk_score",
        "_assessment_category",
        "_processed_at",
        "_source",
        "_site",
        "_schema",
    ] {
        document
            .remove(ours)
            .unwrap_or_else(|| panic!("{ours} is missing"));
    }
    Bson::Document(document).into_relaxed_extjson()
}

fn defects(document: &Document) -> Vec<(&str, &str)> {
    let list = document.get_array("_defects").unwrap();
    list.iter()
        .map(|defect| {
            let defect = defect.as_document().unwrap();
            (
                defect.get_str("path").unwrap(),
                defect.get_str("what").unwrap(),
            )
        })
        .collect()
}

/// A small generator: the same numbers on every machine, so a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth > 5 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 1),
            2 => json!(self.below(1 << 50)),
            3 => json!(-7.25 * f64::from(u32::try_from(self.below(1000)).unwrap())),
            4 | 5 => json!(self.text()),
            6 => (0..self.below(5)).map(|_| self.value(depth + 1)).collect(),
            _ => self.object(depth + 1),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        // Many keys now and then, to reach the set of keys behind the list.
        let count = if self.below(20) == 0 {
            80
        } else {
            self.below(6)
        };
        let fields = (0..count).map(|index| {
            (
                format!("{}{index}", self.text().replace('\0', "")),
                self.value(depth),
            )
        });
        Value::Object(fields.collect())
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 10] = [
            "a", "$where", "b.c", "\"", "\\", "\n\u{1}", "é", "日本", "🦀", "\0",
        ];
        (0..self.below(4))
            .map(|_| PARTS[self.below(PARTS.len())])
            .collect()
    }
}

#[test]
fn what_serde_json_writes_is_read_as_it_was_meant() {
    let mut random = Random(0x5EED);
    for round in 0..3000 {
        let mut value = random.object(0);
        value
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !key.starts_with('_'));
        for text in [
            value.to_string(),
            serde_json::to_string_pretty(&value).unwrap(),
        ] {
            assert_eq!(
                json_of(document(text.as_bytes())),
                value,
                "round {round}: {text}"
            );
        }
    }
}

#[test]
fn a_cut_at_any_byte_is_noticed() {
    let text = r#"{"a":[1.5e3,true,null,"x\u00e9\ud83e\udd80\n"],"b":{"c":-0.1,"d":false}}"#;
    for end in 1..text.len() {
        let fault = validate(&text.as_bytes()[..end]).unwrap_err();
        assert!(
            matches!(fault, NotAnAlert::Syntax(SyntaxError::Cut(_))),
            "{end}: {fault:?}"
        );
    }
    assert_eq!(validate(text.as_bytes()), Ok(()));
}

#[test]
fn noise_never_breaks_the_reader() {
    const NOISE: &[u8] = b"{}[]\",:\\u0000d8e+-.19ntf \xff\xc3\x00_id";
    let text = br#"{"timestamp":"2026-11-20T06:00:00.408+0000","rule":{"level":5,"groups":["a"]},"id":"1.2","data":{"k":[1,2.5,{"x":null}]}}"#;
    let mut random = Random(0xBAD);
    let mut enricher = enricher();
    for _ in 0..30_000 {
        let mut raw = text.to_vec();
        for _ in 0..=random.below(4) {
            let (at, byte) = (random.below(raw.len()), NOISE[random.below(NOISE.len())]);
            if random.below(2) == 0 {
                raw[at] = byte;
            } else {
                raw.insert(at, byte);
            }
        }
        let read = read(&mut enricher, &raw);
        assert_eq!(
            read.is_ok(),
            validate(&raw).is_ok(),
            "{}",
            String::from_utf8_lossy(&raw)
        );
    }
}

#[test]
fn grammar_is_json_and_no_more() {
    for text in [
        "{'a':1}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":1e}",
        "{\"a\":NaN}",
        "{\"a\":1,}",
        "{\"a\":[1,]}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{,}",
        "{\"a\":tru}",
    ] {
        assert!(
            matches!(validate(text.as_bytes()), Err(NotAnAlert::Syntax(_))),
            "{text}"
        );
    }
    assert_eq!(validate(b" \n"), Err(NotAnAlert::Empty));
    assert_eq!(validate(b"[1,2]"), Err(NotAnAlert::NotAnObject));
    assert_eq!(
        validate(b"alertdate='2026'\nalertlocation='x'"),
        Err(NotAnAlert::PlainFormat)
    );
    assert!(matches!(
        validate(b"{}{}"),
        Err(NotAnAlert::Syntax(SyntaxError::Trailing(2)))
    ));
}

#[test]
fn what_bson_cannot_hold_is_kept_and_named() {
    let raw = b"{\"a\\u0000b\":1,\"t\":\"x\\u0000y\",\"d\":1,\"d\":2,\"u\":\"\xff\",\"s\":\"\\ud800\",\"n\":1e9999}";
    let document = document(raw);
    assert_eq!(document.get_i64("a\\u0000b").ok(), Some(1));
    assert_eq!(
        document.get_str("t").ok(),
        Some("x\0y"),
        "NUL in a value is no defect"
    );
    assert_eq!(document.get_i64("d").ok(), Some(1));
    assert_eq!(document.get_str("n").ok(), Some("1e9999"));
    assert_eq!(
        document.get_binary_generic("_raw").unwrap(),
        raw,
        "not UTF-8, so binary"
    );
    let paths: Vec<_> = defects(&document)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(paths, ["a\\u0000b", "d", "u", "s", "n"]);
}

#[test]
fn deep_nesting_is_kept_as_text_from_where_mongodb_ends() {
    let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(!document(deep(90).as_bytes()).contains_key("_defects"));
    let text = deep(500);
    let document = document(text.as_bytes());
    assert_eq!(document.get_str("_raw").ok(), Some(text.as_str()));
    let (path, what) = defects(&document)[0];
    assert!(
        path.starts_with("a.0.0.0") && what.contains("deeper"),
        "{path}: {what}"
    );
    let million = format!("{{\"a\":{}", "[".repeat(1_000_000));
    assert!(validate(million.as_bytes()).is_err());
}

#[test]
fn fields_that_bear_our_names_move_aside() {
    let document = document(br#"{"_id":7,"agent_id":"x","_raw":{"_id":1},"_mine":1,"_id":8}"#);
    let original = document.get_document("_original").unwrap();
    assert_eq!(original.get_i64("_id").ok(), Some(7));
    assert_eq!(original.get_str("agent_id").ok(), Some("x"));
    assert_eq!(document.get_str("agent_id").ok(), Some("unknown"));
    assert_eq!(
        document.get_i64("_mine").ok(),
        Some(1),
        "not one of our names"
    );
    assert_eq!(defects(&document)[0].0, "_original._id");
}

#[test]
fn identity_is_what_the_hook_and_the_file_share() {
    let id = |text: &str| document(text.as_bytes()).get_str("_id").unwrap().to_owned();
    let hook = r#"{"id":"1.2","timestamp":"t","location":"a","manager":{"name":"m"},"full_log":"cut","n":9.00719925474099e+15}"#;
    let file = r#"{"location":"a\u0000b","id":"1.2","timestamp":"t","manager":{"name":"m"},"full_log":"cut off","n":9007199254740993}"#;
    assert_eq!(id(hook), id(file));
    assert_ne!(id(hook), id(&hook.replace("\"m\"", "\"n\"")));
    let nodes =
        r#"{"id":"1.2","timestamp":"t","cluster":{"name":"c","node":"N"},"manager":{"name":"m"}}"#;
    assert_ne!(id(nodes), id(&nodes.replace("\"N\"", "\"O\"")));
    assert_eq!(
        id(nodes),
        id(&nodes.replace("\"m\"", "\"other\"")),
        "the node counts before the manager"
    );
    let site = Enricher::new("b", &Settings::default(), &RedactSettings::default());
    let elsewhere = read(&mut site.unwrap(), hook.as_bytes()).unwrap();
    assert_ne!(id(hook), elsewhere.get_str("_id").unwrap());
}

#[test]
fn without_id_the_content_is_the_identity() {
    let id = |text: &str| document(text.as_bytes()).get_str("_id").unwrap().to_owned();
    assert_eq!(
        id(r#"{"a":1,"b":{"c":2,"d":3}}"#),
        id(r#"{ "b":{"d":3,"c":2}, "a":1 }"#)
    );
    assert_ne!(id(r#"{"a":[1,2]}"#), id(r#"{"a":[2,1]}"#));
    assert_ne!(id(r#"{"a":"1"}"#), id(r#"{"a":1}"#));
}

#[test]
fn redaction_leaves_no_copy_of_the_secret() {
    let redact = RedactSettings {
        keys: List(vec!["password".to_owned(), "*_token".to_owned()]),
        patterns: List(vec!["key=\\S+".to_owned()]),
    };
    let mut enricher = Enricher::new("default", &Settings::default(), &redact).unwrap();
    let raw = br#"{"id":"1","timestamp":"t","data":{"Password":"hunter2","db.password":{"x":"hunter2"},
        "api_token":["hunter2"],"d":1,"d":2},"full_log":"key=hunter2 {\"password\": \"hunter2\", \"n\":1}",
        "previous_output":"{\"password\":{\"a\":\"hunter2\"}}","_raw":{"password":"hunter2"},"\ud800":1}"#;
    let redacted = read(&mut enricher, raw).unwrap();
    let text = redacted.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(
        redacted.get_str("full_log").ok(),
        Some("[redacted] {\"password\": \"[redacted]\", \"n\":1}")
    );
    let paths = redacted.get_array("_redacted").unwrap();
    for path in [
        "data.Password",
        "data.db.password",
        "data.api_token",
        "full_log",
        "previous_output",
        "_original._raw.password",
        "_raw",
    ] {
        assert!(
            paths.contains(&Bson::from(path)),
            "{path} is not in {paths:?}"
        );
    }
    assert_eq!(
        redacted.get("_id"),
        document(raw).get("_id"),
        "the identity is older than the redaction"
    );
}

#[test]
fn a_secret_is_found_in_a_text_however_it_is_quoted() {
    let redact = RedactSettings {
        keys: List(vec!["password".to_owned()]),
        patterns: List::default(),
    };
    let mut enricher = Enricher::new("default", &Settings::default(), &redact).unwrap();
    for log in [
        r#"{"password":"hunter2"}"#,
        r#"{"password" : "a\"hunter2"}"#,
        r#"{"password":"hunter2"#,
        r#"{"password":hunter2}"#,
        r#"{"log":"{\"password\":\"hunter2\"}"}"#,
        r#"{"log":"{\"password\":\"hunter2"#,
        r"{'password': 'hunter2'}",
        r#"{"password":["hunter2"]}"#,
        r#""db.Password"="hunter2" x"#,
    ] {
        let alert = json!({"full_log": log, "rule": {"description": log}, "kept": "hunter"});
        let text = read(&mut enricher, alert.to_string().as_bytes())
            .unwrap()
            .to_string();
        assert!(
            !text.contains("hunter2") && text.contains("hunter"),
            "{log}: {text}"
        );
    }
}
