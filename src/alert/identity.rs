//! What makes two alerts the same one: a hash over strings that the hook's copy and the line in
//! alerts.json share. `full_log` and large numbers can differ between the two.

use sha2::{Digest, Sha256};

use super::Alert;
use super::bson::{self, Element, tag};

/// Hex digits of an identity: 128 bits.
pub(crate) const LENGTH: usize = 32;

/// `_id`, lower-case hex.
pub(crate) type Identity = [u8; LENGTH];

/// The identity of an alert that Wazuh wrote. None without `id` and `timestamp`: then only the
/// content can tell two alerts apart.
pub(crate) fn of_fields(alert: Alert<'_>, site: &str) -> Option<Identity> {
    let present = |text: &str| !text.is_empty();
    alert.text(&["id"]).filter(|id| present(id))?;
    alert.timestamp_text().filter(|time| present(time))?;
    let node = alert.field(&["cluster", "node"]);
    let node = node.or_else(|| alert.field(&["manager", "name"]));
    let mut hash = Hash::new(b"fields", site);
    for field in [
        alert.field(&["cluster", "name"]),
        node,
        alert.field(&["id"]),
        alert
            .field(&["timestamp"])
            .or_else(|| alert.field(&["@timestamp"])),
        alert.field(&["rule", "id"]),
        alert.field(&["agent", "id"]),
        alert.field(&["location"]),
    ] {
        hash.field(field);
    }
    Some(hash.finish())
}

/// The identity by content: the same fields in any order are the same alert.
/// What was lost in reading is part of the content: `lost` is the original text then.
pub(crate) fn of_content(
    alert: Alert<'_>,
    without: &str,
    lost: Option<&[u8]>,
    site: &str,
) -> Identity {
    let mut hash = Hash::new(b"content", site);
    hash.part(lost.unwrap_or_default());
    let fields = bson::elements(alert.document).filter(|field| field.name != without.as_bytes());
    hash.sorted(fields.collect());
    hash.finish()
}

struct Hash(Sha256);

impl Hash {
    fn new(kind: &[u8], site: &str) -> Self {
        let mut hash = Self(Sha256::new());
        hash.part(kind);
        hash.part(site.as_bytes());
        hash
    }

    /// The length goes in front, so that no two lists of parts look alike.
    fn part(&mut self, bytes: &[u8]) {
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    fn field(&mut self, field: Option<Element<'_>>) {
        match field {
            None => self.part(&[0]),
            Some(field) => {
                self.part(&[field.tag]);
                match field.as_str() {
                    // The hook's copy ends at a NUL that the file's copy still has.
                    Some(text) => self.part(text.split('\0').next().unwrap_or_default().as_bytes()),
                    None => self.part(field.value),
                }
            }
        }
    }

    fn sorted(&mut self, mut fields: Vec<Element<'_>>) {
        fields.sort_by_key(|field| field.name);
        self.0.update(fields.len().to_le_bytes());
        for field in fields {
            self.part(field.name);
            self.content(field);
        }
    }

    fn content(&mut self, field: Element<'_>) {
        self.part(&[field.tag]);
        match field.tag {
            tag::DOCUMENT => self.sorted(bson::elements(field.value).collect()),
            tag::ARRAY => {
                let items: Vec<_> = bson::elements(field.value).collect();
                self.0.update(items.len().to_le_bytes());
                for item in items {
                    self.content(item);
                }
            }
            _ => self.part(field.value),
        }
    }

    fn finish(self) -> Identity {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digest = self.0.finalize();
        let mut id = [b'0'; LENGTH];
        for (pair, byte) in id.chunks_exact_mut(2).zip(digest.iter()) {
            for (place, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *place = HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            }
        }
        id
    }
}
