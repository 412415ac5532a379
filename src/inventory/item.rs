//! A row as a document: identity, content hash, BSON. Names are sorted, since the server's own order
//! is random; what always moves is stored but does not count in the hash.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::kind::Kind;
use super::{Row, nest};
use crate::alert::bson::{Writer, tag};
use crate::alert::time;

/// The version of the documents that this room writes, `_schema`.
const SCHEMA: i64 = 1;

/// `_id`, printed as 32 hex digits: 48 bits over site, kind and agent, 80 bits over these and the
/// natural key. So the rows of an agent lie side by side in the index of `_id`, which is a third
/// smaller for it.
pub type Id = [u8; 16];

/// Bytes of an `Id` that all rows of an agent's kind share.
const SHARED: usize = 6;

/// `_hash`: 128 bits over identity and content.
pub type Hash = [u8; 16];

/// A sum over the hashes of a list, in whatever order its rows come.
pub type Digest = u128;

/// Whose rows they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The Wazuh installation, `_site`.
    pub site: String,
    /// As Wazuh writes it, `001`.
    pub agent: String,
    /// The node, for the manager itself (agent 000): each node of a cluster has one, `_node`.
    pub node: Option<String>,
}

impl Owner {
    /// Who stands for all agents of a site.
    pub fn everybody(site: &str) -> Self {
        Self {
            site: site.to_owned(),
            agent: "*".to_owned(),
            node: None,
        }
    }

    /// The `_id` of what is kept about one of the owner's kinds: a hash, since a site's name may
    /// hold any character.
    pub fn name_of(&self, kind: &str) -> String {
        let mut hash = Parts::new("state", self);
        hash.part(kind.as_bytes());
        Item::name(&hash.finish())
    }
}

/// A row that is ready to be compared and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its identity.
    pub id: Id,
    /// Its content.
    pub hash: Hash,
    /// The document.
    pub bson: Vec<u8>,
}

impl Item {
    /// `_id` as it is stored.
    pub fn name(id: &Id) -> String {
        id.iter().fold(String::with_capacity(32), |mut text, byte| {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
            text
        })
    }
}

/// What makes two rows the same one: the primary key of the manager's own database.
pub fn identity(kind: &Kind, owner: &Owner, row: &Row) -> Id {
    let mut hash = Parts::new(kind.collection, owner);
    let mut id = hash.clone().finish();
    for path in kind.key {
        match nest::field(row, path) {
            None | Some(Value::Null) => hash.tagged(0, b""),
            // A number that another version sends as text is the same key.
            Some(Value::String(text)) => hash.tagged(1, text.as_bytes()),
            Some(other) => hash.tagged(1, other.to_string().as_bytes()),
        }
    }
    let key = hash.finish();
    let own = id.iter_mut().skip(SHARED);
    own.zip(key).for_each(|(place, byte)| *place = byte);
    id
}

/// Makes the document of a row with this identity; `fetched_at` in milliseconds since 1970.
pub fn item(kind: &Kind, owner: &Owner, id: Id, row: Row, fetched_at: i64) -> Item {
    let category = category(kind, &row);
    let mut out = Writer::default();
    let document = out.open();
    out.string("_id", &Item::name(&id));
    let mut body = Body {
        kind,
        out,
        hash: Parts(Sha256::new()),
        path: String::new(),
    };
    body.hash.part(&id);
    let (ours, theirs): (Vec<_>, Vec<_>) = nest::nested(row)
        .into_iter()
        .partition(|(name, _)| is_ours(name));
    let theirs: Row = theirs.into_iter().collect();
    if let Some(Value::String(path)) = theirs.get("file").filter(|_| kind.collection == "syscheck")
    {
        body.out.string("path", path);
    }
    body.fields(&theirs);
    let original: Row = ours
        .into_iter()
        .filter(|(name, _)| name != "agent_id")
        .collect();
    if !original.is_empty() {
        body.value("_original", &Value::Object(original));
    }
    let (mut out, hash) = (body.out, body.hash.finish());
    out.string("agent_id", &owner.agent);
    out.string("log_type", kind.collection);
    out.string("_category", &category);
    out.date("_fetched_at", fetched_at);
    out.binary("_hash", &hash);
    out.string("_site", &owner.site);
    if let Some(node) = &owner.node {
        out.string("_node", node);
    }
    out.int("_schema", SCHEMA);
    out.close(document);
    Item {
        id,
        hash,
        bson: out.bytes().to_vec(),
    }
}

/// The sum of a list's hashes.
pub fn digest<'a>(hashes: impl Iterator<Item = &'a Hash>) -> Digest {
    hashes.fold(0, |sum: Digest, hash| {
        sum.wrapping_add(Digest::from_le_bytes(*hash))
    })
}

/// The Python service's rule.
fn category(kind: &Kind, row: &Row) -> String {
    let Some(field) = kind.category else {
        return "default".to_owned();
    };
    match nest::field(row, field)
        .and_then(Value::as_str)
        .map(str::trim)
    {
        None | Some("") => "unknown".to_owned(),
        Some(text) => text.to_owned(),
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with('_') || name == "agent_id" || name == "log_type"
}

/// Writes fields and hashes them in the same pass.
struct Body<'a> {
    kind: &'a Kind,
    out: Writer,
    hash: Parts,
    path: String,
}

impl Body<'_> {
    fn fields(&mut self, row: &Row) {
        let mut fields: Vec<_> = row.iter().collect();
        fields.sort_unstable_by_key(|(name, _)| name.as_str());
        for (name, value) in fields {
            self.value(name, value);
        }
    }

    fn value(&mut self, name: &str, value: &Value) {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        // BSON ends a name at NUL.
        let name = name.replace('\0', "\u{fffd}");
        match value {
            Value::Object(fields) => self.nested(tag::DOCUMENT, &name, |body| body.fields(fields)),
            Value::Array(items) => self.nested(tag::ARRAY, &name, |body| {
                for (index, item) in items.iter().enumerate() {
                    body.value(&index.to_string(), item);
                }
            }),
            leaf => self.leaf(&name, leaf),
        }
        self.path.truncate(before);
    }

    fn nested(&mut self, tag: u8, name: &str, inside: impl FnOnce(&mut Self)) {
        let counts = !self.kind.moves(&self.path);
        if counts {
            self.hash.tagged(tag, name.as_bytes());
        }
        self.out.key(tag, name.as_bytes());
        let mark = self.out.open();
        inside(self);
        self.out.close(mark);
        if counts {
            self.hash.part(b"end");
        }
    }

    fn leaf(&mut self, name: &str, value: &Value) {
        let from = self.out.len();
        match value {
            Value::Null => self.out.key(tag::NULL, name.as_bytes()),
            Value::Bool(value) => {
                self.out.key(tag::BOOL, name.as_bytes());
                self.out.raw(&[u8::from(*value)]);
            }
            Value::Number(number) => self.number(name, number),
            Value::String(text) => self.text(name, text),
            Value::Array(_) | Value::Object(_) => {}
        }
        if !self.kind.moves(&self.path) {
            let written = self.out.bytes().get(from..).unwrap_or_default();
            self.hash.part(written);
        }
    }

    fn number(&mut self, name: &str, number: &serde_json::Number) {
        if let Some(whole) = number.as_i64() {
            return self.out.int(name, whole);
        }
        match number.as_f64().filter(|_| number.as_u64().is_none()) {
            Some(real) => {
                self.out.key(tag::DOUBLE, name.as_bytes());
                self.out.raw(&real.to_le_bytes());
            }
            None => self.out.string(name, &number.to_string()),
        }
    }

    /// What cannot be parsed is kept as it came.
    fn text(&mut self, name: &str, text: &str) {
        let is = |list: &[&str], path: &str| list.contains(&path);
        if is(self.kind.dates, &self.path)
            && let Some(millis) = time::parse(text)
        {
            return self.out.date(name, millis);
        }
        if is(self.kind.numbers, &self.path)
            && let Ok(number) = text.parse()
        {
            return self.out.int(name, number);
        }
        self.out.string(name, text);
    }
}

/// A hash over parts; the length goes in front, so that no two lists of parts look alike.
#[derive(Clone)]
struct Parts(Sha256);

impl Parts {
    fn new(of: &str, owner: &Owner) -> Self {
        let mut hash = Self(Sha256::new());
        hash.part(owner.site.as_bytes());
        hash.part(of.as_bytes());
        hash.part(owner.agent.as_bytes());
        hash.part(owner.node.as_deref().unwrap_or_default().as_bytes());
        hash
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.0.update([tag]);
        self.part(bytes);
    }

    fn finish(self) -> [u8; 16] {
        let digest = self.0.finalize();
        digest.first_chunk().copied().unwrap_or_default()
    }
}
