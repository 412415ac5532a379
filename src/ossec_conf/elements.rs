//! The elements of an ossec.conf. It only looks like XML. As Wazuh's own reader has it
//! (`os_xml/os_xml.c`): several roots; text outside of elements is skipped; `<!` begins a comment
//! anywhere, and `-->` or `!>` ends it; there are no entities, so `&` is a plain character; a `<`
//! behind a backslash is one as well; what stands before a child is dropped from the content.

use std::ops::Range;

use super::Error;

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
        if let Some(comment) = self.rest().strip_prefix("<!") {
            let end = comment_end(comment);
            let end = end.ok_or_else(|| self.fault(self.at, "this comment is not closed"))?;
            self.at += "<!".len() + end;
            return Ok(());
        }
        if self.backslash {
            self.character('<');
            return Ok(());
        }
        match self.rest().strip_prefix("</") {
            Some(name) => self.close(name),
            None => self.open(),
        }
    }

    fn close(&mut self, name: &str) -> Result<(), Error> {
        let begun = self.at;
        let name = name.split_once('>').map(|(name, _)| name);
        let name = name.ok_or_else(|| self.fault(begun, "this closing mark has no `>`"))?;
        let open = self.open.pop();
        let mut element = open.ok_or_else(|| self.fault(begun, "this closes what is not open"))?;
        if element.name != name {
            return Err(self.fault(element.place.start, "this element is not closed"));
        }
        self.at += "</>".len() + name.len();
        element.place.end = self.at;
        self.done(element);
        Ok(())
    }

    fn open(&mut self) -> Result<(), Error> {
        let begun = self.at;
        let inside = self.rest().get(1..).unwrap_or_default();
        let end = inside.find(|c: char| c == '>' || is_space(c));
        let end = end.ok_or_else(|| self.fault(begun, "this element's mark has no `>`"))?;
        let name = inside.get(..end).unwrap_or_default();
        self.at += 1 + end;
        let attributes_closed = self.attributes(begun)?;
        let bare = name.strip_suffix('/');
        let element = Element {
            name: bare.unwrap_or(name).to_owned(),
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

    /// Steps over `name="value"` up to and with the `>`; says whether a `/` stood before it.
    fn attributes(&mut self, begun: usize) -> Result<bool, Error> {
        loop {
            let rest = self.rest();
            let name = rest.trim_start_matches(is_space);
            self.at += rest.len() - name.len();
            if name.starts_with('>') {
                self.at += 1;
                return Ok(false);
            }
            if let Some(behind) = name.strip_prefix('/') {
                self.at += if behind.starts_with('>') { 2 } else { 1 };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element as `name=content(children)`.
    fn shape(text: &str) -> Result<String, String> {
        fn one(element: &Element) -> String {
            let inside: Vec<_> = element.children.iter().map(one).collect();
            let inside = if inside.is_empty() {
                String::new()
            } else {
                format!("({})", inside.join(" "))
            };
            format!("{}={}{inside}", element.name, element.content)
        }
        let roots = read(text).map_err(|error| error.to_string())?;
        Ok(roots.iter().map(one).collect::<Vec<_>>().join(" "))
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(shape(text).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn elements_lie_in_elements_and_there_may_be_several_roots() {
        check("<a><b>1</b><c>2</c></a> x <d>3</d>", "a=(b=1 c=2) d=3");
        check("<a>before<b/>after</a>", "a=after(b=)");
    }

    #[test]
    fn comments_are_dropped_wherever_they_stand() {
        check("<!-- <a> --><b>1<!-- 2 -->3</b>", "b=13");
        check("<! a !><b>1</b>", "b=1");
        check("<b><!-- a !>1</b>", "b=1");
        check("<b><!--- a -- b ---->1</b>", "b=1");
    }

    #[test]
    fn entities_and_ampersands_are_plain_text() {
        check("<a>b &amp; c && d 2>&1</a>", "a=b &amp; c && d 2>&1");
    }

    #[test]
    fn a_backslash_takes_the_meaning_from_an_angle_bracket() {
        check(r"<q>\<QueryList>\</q></q>", r"q=\<QueryList>\</q>");
        check(r"<q>a\\</q>", r"q=a\\");
        check(r"<q>\d<b/></q>", "q=(b=)");
        check(r"\<a><b>1</b>", "b=1");
    }

    #[test]
    fn attributes_are_stepped_over() {
        check(r#"<w name="a b" x='"/' ><t a="1"/>2</w>"#, "w=2(t=)");
        check("<w a = \"1\"\n\tb=\"2\"/><x />", "w= x=");
        check("<level >3</level>", "level=3");
    }

    #[test]
    fn places_are_bytes_from_the_first_bracket_to_behind_the_last() {
        let text = "é <a>\n <b>1</b>\n</a>";
        let roots = read(text).unwrap();
        assert_eq!(
            text.get(roots[0].place.clone()),
            Some("<a>\n <b>1</b>\n</a>")
        );
        assert_eq!(
            text.get(roots[0].children[0].place.clone()),
            Some("<b>1</b>")
        );
        assert_eq!(line(text, roots[0].children[0].place.start), 2);
    }

    #[test]
    fn what_wazuh_cannot_read_is_refused_by_line_and_without_the_text() {
        for (text, line) in [
            ("<a>\n<b>hunter2</a>", "line 2:"),
            ("<a>\n\n<b>hunter2", "line 3:"),
            ("\n</hunter2>", "line 2:"),
            ("<a>\n<!-- hunter2", "line 2:"),
            ("<hunter2", "line 1:"),
            ("<a hunter2></a>", "line 1:"),
            ("<a b=hunter2></a>", "line 1:"),
            ("<a b=\"hunter2></a>", "line 1:"),
            ("<?xml version=\"1.0\"?><hunter2/>", "line 1:"),
            ("<a></a >", "line 1:"),
            ("<a></a", "line 1:"),
        ] {
            let fault = shape(text).expect_err(text);
            assert!(
                fault.contains(line) && !fault.contains("hunter2"),
                "{fault}"
            );
        }
    }

    #[test]
    fn any_cut_is_an_error_or_a_shorter_file_and_never_a_panic() {
        let text = "<a x=\"1\"><!-- é --><b>\\<ü</b></a><c/>";
        for (end, _) in text.char_indices() {
            read(&text[..end]).ok();
            read(&text[end..]).ok();
        }
    }
}
