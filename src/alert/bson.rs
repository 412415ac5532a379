//! Raw BSON as bytes: what is needed to write an alert's document in one pass, and to look
//! fields up in it again without building a tree. <https://bsonspec.org/spec.html>

/// Element types that this program writes or steps over.
pub(crate) mod tag {
    pub(crate) const DOUBLE: u8 = 0x01;
    pub(crate) const STRING: u8 = 0x02;
    pub(crate) const DOCUMENT: u8 = 0x03;
    pub(crate) const ARRAY: u8 = 0x04;
    pub(crate) const BINARY: u8 = 0x05;
    pub(crate) const OBJECT_ID: u8 = 0x07;
    pub(crate) const BOOL: u8 = 0x08;
    pub(crate) const DATE: u8 = 0x09;
    pub(crate) const NULL: u8 = 0x0A;
    pub(crate) const INT32: u8 = 0x10;
    pub(crate) const INT64: u8 = 0x12;
    pub(crate) const DECIMAL: u8 = 0x13;
}

/// Appends BSON to a buffer that is kept from one alert to the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

/// Where a length has to be written once it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(usize);

impl Writer {
    pub(crate) fn clear(&mut self) {
        self.out.clear();
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.out
    }

    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Opens a document or array whose key, if it has one, has been written.
    pub(crate) fn open(&mut self) -> Mark {
        let mark = Mark(self.out.len());
        self.out.extend_from_slice(&[0; 4]);
        mark
    }

    /// Closes what `open` opened.
    pub(crate) fn close(&mut self, mark: Mark) {
        self.out.push(0);
        self.patch(mark, self.out.len() - mark.0);
    }

    /// Writes an element's type and name; the name must not contain NUL.
    pub(crate) fn key(&mut self, tag: u8, name: &[u8]) {
        self.out.push(tag);
        self.out.extend_from_slice(name);
        self.out.push(0);
    }

    /// Writes the type of an element whose name and value follow by other calls.
    pub(crate) fn tag(&mut self, tag: u8) {
        self.out.push(tag);
    }

    /// Changes the type of the element that begins at `at`.
    pub(crate) fn retag(&mut self, at: usize, tag: u8) {
        if let Some(byte) = self.out.get_mut(at) {
            *byte = tag;
        }
    }

    /// Drops everything from `at` on.
    pub(crate) fn truncate(&mut self, at: usize) {
        self.out.truncate(at);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// The buffer itself, for a value that is built in place.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Opens a string's value; its text is appended to `buffer`.
    pub(crate) fn open_text(&mut self) -> Mark {
        self.open()
    }

    pub(crate) fn close_text(&mut self, mark: Mark) {
        self.out.push(0);
        self.patch(mark, self.out.len() - mark.0 - 4);
    }

    pub(crate) fn text(&mut self, value: &str) {
        let mark = self.open_text();
        self.out.extend_from_slice(value.as_bytes());
        self.close_text(mark);
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.key(tag::STRING, name.as_bytes());
        self.text(value);
    }

    pub(crate) fn date(&mut self, name: &str, millis: i64) {
        self.key(tag::DATE, name.as_bytes());
        self.raw(&millis.to_le_bytes());
    }

    pub(crate) fn int(&mut self, name: &str, value: i64) {
        self.key(tag::INT64, name.as_bytes());
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn binary(&mut self, name: &str, value: &[u8]) {
        self.key(tag::BINARY, name.as_bytes());
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.raw(&length.to_le_bytes());
        self.out.push(0);
        self.raw(value);
    }

    fn patch(&mut self, mark: Mark, length: usize) {
        // A document over 2 GiB cannot arise: input is bounded far below (see `alert::MAX_BYTES`).
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = self.out.get_mut(mark.0..mark.0 + 4) {
            place.copy_from_slice(&length);
        }
    }
}

/// One element of a document, borrowed from its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Element<'a> {
    pub(crate) fn as_str(&self) -> Option<&'a str> {
        if self.tag != tag::STRING {
            return None;
        }
        let text = self.value.get(4..self.value.len().checked_sub(1)?)?;
        std::str::from_utf8(text).ok()
    }

    pub(crate) fn as_i64(&self) -> Option<i64> {
        let bytes: [u8; 8] = self.value.try_into().ok()?;
        (self.tag == tag::INT64).then(|| i64::from_le_bytes(bytes))
    }

    pub(crate) fn as_f64(&self) -> Option<f64> {
        let bytes: [u8; 8] = self.value.try_into().ok()?;
        (self.tag == tag::DOUBLE).then(|| f64::from_le_bytes(bytes))
    }

    pub(crate) fn is_container(&self) -> bool {
        matches!(self.tag, tag::DOCUMENT | tag::ARRAY)
    }
}

/// The elements of a document or array, in order; ends at the first byte that makes no sense.
pub(crate) fn elements(document: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut rest = document.get(4..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (element, after) = split(rest)?;
        rest = after;
        Some(element)
    })
}

/// The value at a path of names, if every step on the way is there.
pub(crate) fn find<'a>(document: &'a [u8], path: &[&str]) -> Option<Element<'a>> {
    let (first, rest) = path.split_first()?;
    let found = elements(document).find(|element| element.name == first.as_bytes())?;
    match rest {
        [] => Some(found),
        _ if found.is_container() => find(found.value, rest),
        _ => None,
    }
}

fn split(rest: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, after_tag) = rest.split_first()?;
    let end = after_tag.iter().position(|byte| *byte == 0)?;
    let (name, value) = (after_tag.get(..end)?, after_tag.get(end + 1..)?);
    let (value, after) = value.split_at_checked(width(tag, value)?)?;
    Some((Element { tag, name, value }, after))
}

fn width(tag: u8, value: &[u8]) -> Option<usize> {
    let prefix = || {
        let bytes: [u8; 4] = value.get(..4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    match tag {
        tag::DOUBLE | tag::DATE | tag::INT64 => Some(8),
        tag::DECIMAL => Some(16),
        tag::INT32 => Some(4),
        tag::BOOL => Some(1),
        tag::NULL => Some(0),
        tag::STRING => prefix()?.checked_add(4),
        tag::BINARY => prefix()?.checked_add(5),
        tag::DOCUMENT | tag::ARRAY => prefix(),
        _ => width_of_others(tag, value, prefix()),
    }
}

/// Types that no alert has, but that people may add to a document: who copies it must not end there.
fn width_of_others(tag: u8, value: &[u8], prefix: Option<usize>) -> Option<usize> {
    const OBJECT_ID: usize = 12;
    match tag {
        tag::OBJECT_ID => Some(OBJECT_ID),
        // Timestamp.
        0x11 => Some(8),
        // Undefined, the least and the greatest key.
        0x06 | 0xFF | 0x7F => Some(0),
        // JavaScript, symbol.
        0x0D | 0x0E => prefix?.checked_add(4),
        // JavaScript with its variables.
        0x0F => prefix,
        // A reference: a text and an id.
        0x0C => prefix?.checked_add(4 + OBJECT_ID),
        // A regular expression: two texts that end at NUL.
        0x0B => {
            let mut ends = value.iter().enumerate().filter(|(_, byte)| **byte == 0);
            ends.nth(1).map(|(end, _)| end + 1)
        }
        _ => None,
    }
}
