//! The elements of an ossec.conf. It only looks like XML. As Wazuh's own reader has it
//! (`os_xml/os_xml.c`): several roots; text outside of elements is skipped; `<!` begins a comment
//! anywhere, and `-->` or `!>` ends it; there are no entities, so `&` is a plain character; a `<`
//! behind a backslash is one as well; what stands before a child is dropped from the content.

use std::ops::Range;

use super::Error;

#[cfg(test)]
mod tests;

/// An element without its attributes.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    /// The text behind the last child, neither trimmed nor decoded.
    pub(super) content: String,
    pub(super) children: Vec<Element>,
    /// From its `<` to behind its last `>`.
    pub(super) place: Range<usize>,
}

/// Reads the roots.
///
/// # Errors
///
/// What Wazuh's reader refuses too. Nothing of the text is in it: it may be a password.
pub(super) fn read(text: &str) -> Result<Vec<Element>, Error> {
    let mut reader = Reader {
        text,
        at: 0,
        roots: Vec::new(),
        open: Vec::new(),
        backslash: false,
    };
    while let Some(next) = reader.rest().chars().next() {
        match next {
            '<' => reader.markup()?,
            _ => reader.character(next),
        }
    }
    match reader.open.pop() {
        None => Ok(reader.roots),
        Some(open) => Err(Error::new(
            text,
            open.place.start,
            "this element is not closed",
        )),
    }
}

/// The line, from 1, that a place in the text is on.
pub(super) fn line(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    roots: Vec<Element>,
    /// From the root down to the element that is being read.
    open: Vec<Element>,
    backslash: bool,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault(&self, at: usize, why: &'static str) -> Error {
        Error::new(self.text, at, why)
    }

    fn character(&mut self, character: char) {
        // Two backslashes are none in front of `<`.
        self.backslash = character == '\\' && !self.backslash;
        self.at += character.len_utf8();
        if let Some(open) = self.open.last_mut() {
            open.content.push(character);
        }
    }

    /// At a `<`.
    fn markup(&mut self) -> Result<(), Error> {
        if self.comment()? {
            return Ok(());
        }
        if self.backslash {
            self.character('<');
            return Ok(());
        }
        if self.rest().starts_with("</") {
            self.close()
        } else {
            self.open()
        }
    }

    /// Steps over a comment, if there is one here.
    fn comment(&mut self) -> Result<bool, Error> {
        let Some(comment) = self.rest().strip_prefix("<!") else {
            return Ok(false);
        };
        let end = comment_end(comment);
        let end = end.ok_or_else(|| self.fault(self.at, "this comment is not closed"))?;
        self.at += "<!".len() + end;
        Ok(true)
    }

    fn close(&mut self) -> Result<(), Error> {
        let begun = self.at;
        self.at += "</".len();
        let name = self.name(begun, |c| c == '>')?;
        self.at += 1;
        let open = self.open.pop();
        let mut element = open.ok_or_else(|| self.fault(begun, "this closes what is not open"))?;
        if element.name != name {
            return Err(self.fault(element.place.start, "this element is not closed"));
        }
        element.place.end = self.at;
        self.done(element);
        Ok(())
    }

    fn open(&mut self) -> Result<(), Error> {
        let begun = self.at;
        self.at += 1;
        let name = self.name(begun, |c| c == '>' || is_space(c))?;
        let attributes_closed = self.attributes(begun)?;
        let bare = name.strip_suffix('/');
        let element = Element {
            name: bare.unwrap_or(&name).to_owned(),
            content: String::new(),
            children: Vec::new(),
            place: begun..self.at,
        };
        if bare.is_some() || attributes_closed {
            self.done(element);
        } else {
            self.open.push(element);
        }
        Ok(())
    }

    /// What stands before a character that ends it, without comments.
    fn name(&mut self, begun: usize, ends: impl Fn(char) -> bool) -> Result<String, Error> {
        let mut name = String::new();
        loop {
            if self.comment()? {
                continue;
            }
            match self.rest().chars().next() {
                None => return Err(self.fault(begun, "this element's mark has no `>`")),
                Some(next) if ends(next) => return Ok(name),
                Some(next) => {
                    name.push(next);
                    self.at += next.len_utf8();
                }
            }
        }
    }

    /// Steps over `name="value"` up to and with the `>`, or a `/` before it; says whether it was that.
    fn attributes(&mut self, begun: usize) -> Result<bool, Error> {
        loop {
            let rest = self.rest();
            let name = rest.trim_start_matches(is_space);
            self.at += rest.len() - name.len();
            if name.starts_with('>') {
                self.at += 1;
                return Ok(false);
            }
            // The `>` behind it is left to the content, as Wazuh does.
            if name.starts_with('/') {
                self.at += 1;
                return Ok(true);
            }
            self.at += attribute(name)
                .ok_or_else(|| self.fault(begun, "this element's attributes are not in order"))?;
        }
    }

    fn done(&mut self, element: Element) {
        match self.open.last_mut() {
            Some(parent) => {
                parent.content.clear();
                parent.children.push(element);
            }
            None => self.roots.push(element),
        }
    }
}

/// The length of `name="value"`, if that is what the text begins with.
fn attribute(text: &str) -> Option<usize> {
    let (name, after) = text.split_once('=')?;
    let value = after.trim_start_matches(is_space);
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (inside, behind) = value.get(1..)?.split_once(quote)?;
    // Wazuh 4.14 takes no blanks in front of `=`, 4.4 does.
    let is_sound = !name.contains(['>', '/']) && !inside.contains('>');
    is_sound.then_some(text.len() - behind.len())
}

/// Where a comment ends, counted from behind its `<!`.
fn comment_end(text: &str) -> Option<usize> {
    let ends = [
        text.find("!>").map(|at| at + 2),
        text.find("-->").map(|at| at + 3),
    ];
    ends.into_iter().flatten().min()
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}
