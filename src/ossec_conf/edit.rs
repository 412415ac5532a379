//! Where a block comes into an ossec.conf and how it goes out of it. Nothing else of the text is
//! touched, and what comes out is for the caller to read again before it is used.

use std::ops::Range;

use super::{Error, elements, sections};

/// A text and the byte in front of which it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insertion {
    /// The place, in bytes.
    pub at: usize,
    /// What comes there.
    pub text: String,
}

/// How an `<integration>` block with these elements comes into the text: in front of all others, since
/// a block with another format than JSON cuts the alerts of those behind it.
///
/// # Errors
///
/// The line that Wazuh cannot read.
pub fn insertion(text: &str, elements: &[(&str, String)]) -> Result<Insertion, Error> {
    let roots = elements::read(text)?;
    let eol = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let first = sections(&roots, "integration").map(|block| block.place.start);
    if let Some(first) = first.min() {
        let at = before_comments(text, line_start(text, first));
        return Ok(placed(text, at, indent(text, first), elements, eol));
    }
    let mut closed = roots.iter().filter(|root| root.name == "ossec_config");
    match closed.find_map(|root| closing(text, &root.place)) {
        Some(end) => Ok(placed(text, line_start(text, end), "  ", elements, eol)),
        None => Ok(new_root(text, elements, eol)),
    }
}

/// The bytes that have to go so that the block at `place` is gone with the lines that it alone takes.
pub fn removal(text: &str, place: &Range<usize>) -> Range<usize> {
    let start = line_start(text, place.start);
    let after = text.get(place.end..).unwrap_or_default();
    let line = after.split_inclusive('\n').next().unwrap_or_default();
    if !line.trim().is_empty() {
        return start..place.end;
    }
    let end = place.end + line.len();
    // Of two empty lines around it one stays.
    let is_blank = |line: Option<&str>| line.is_none_or(|line| line.trim().is_empty());
    let before = text.get(..start).unwrap_or_default();
    let next = text.get(end..).unwrap_or_default().split_inclusive('\n');
    match next.clone().next() {
        Some(next) if is_blank(Some(next)) && is_blank(before.lines().next_back()) => {
            start..end + next.len()
        }
        _ => start..end,
    }
}

/// The block as lines, and the empty line behind it.
fn placed(
    text: &str,
    at: usize,
    indent: &str,
    elements: &[(&str, String)],
    eol: &str,
) -> Insertion {
    let begins_line = text
        .get(..at)
        .is_none_or(|before| before.is_empty() || before.ends_with('\n'));
    let lead = if begins_line { "" } else { eol };
    let block = block(indent, elements, eol);
    Insertion {
        at,
        text: format!("{lead}{block}{eol}"),
    }
}

fn new_root(text: &str, elements: &[(&str, String)], eol: &str) -> Insertion {
    let lead = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        eol
    };
    let block = block("  ", elements, eol);
    Insertion {
        at: text.len(),
        text: format!("{lead}<ossec_config>{eol}{block}</ossec_config>{eol}"),
    }
}

/// An `<integration>` block as lines.
pub fn block(indent: &str, elements: &[(&str, String)], eol: &str) -> String {
    let step = if indent.contains('\t') { "\t" } else { "  " };
    let lines = elements
        .iter()
        .map(|(name, content)| format!("{indent}{step}<{name}>{content}</{name}>{eol}"));
    let inside: String = lines.collect();
    format!("{indent}<integration>{eol}{inside}{indent}</integration>{eol}")
}

/// Where the line begins that `at` is on, if nothing but blanks is in front of it; else `at` itself.
fn line_start(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    match before.get(start..) {
        Some(blanks) if blanks.trim().is_empty() => start,
        _ => at,
    }
}

/// The blanks in front of `at` on its line.
fn indent(text: &str, at: usize) -> &str {
    text.get(line_start(text, at)..at).unwrap_or_default()
}

/// In front of comments of a line each that stand right above: they speak of what is below them.
fn before_comments(text: &str, at: usize) -> usize {
    let mut start = at;
    let before = text.get(..at).unwrap_or_default();
    for line in before.split_inclusive('\n').rev() {
        let comment = line.trim();
        let is_one = comment
            .strip_prefix("<!--")
            .and_then(|rest| rest.strip_suffix("-->"));
        if !line.ends_with('\n') || is_one.is_none_or(|inside| inside.contains("-->")) {
            break;
        }
        start -= line.len();
    }
    start
}

/// Where the mark begins that closes this element; None if it is closed by `/>`.
fn closing(text: &str, place: &Range<usize>) -> Option<usize> {
    let inside = text.get(place.clone())?;
    let open = inside.rfind("</")?;
    Some(place.start + open)
}

#[cfg(test)]
mod tests {
    use super::super::integrations;
    use super::*;

    fn ours() -> Vec<(&'static str, String)> {
        vec![
            ("name", "custom-mongo".to_owned()),
            ("level", "3".to_owned()),
        ]
    }

    fn inserted(text: &str) -> String {
        let insertion = insertion(text, &ours()).unwrap();
        let (before, after) = text.split_at(insertion.at);
        format!("{before}{}{after}", insertion.text)
    }

    /// In front of everything, read again, and out of it again without a trace.
    #[track_caller]
    fn round(text: &str) -> String {
        let with = inserted(text);
        let blocks = integrations(&with).unwrap();
        assert_eq!(blocks[0].name, "custom-mongo", "{with}");
        assert_eq!(
            blocks.len(),
            integrations(text).unwrap().len() + 1,
            "{with}"
        );
        let at = removal(&with, &blocks[0].place);
        let without = with.replace(&with[at], "");
        assert_eq!(integrations(&without).unwrap().len(), blocks.len() - 1);
        with
    }

    #[test]
    fn the_block_comes_before_all_others_with_their_indentation() {
        let text = "<ossec_config>\n\t<integration>\n\t\t<name>slack</name>\n\t</integration>\n</ossec_config>\n";
        assert_eq!(
            round(text),
            "<ossec_config>\n\t<integration>\n\t\t<name>custom-mongo</name>\n\t\t<level>3</level>\n\
             \t</integration>\n\n\t<integration>\n\t\t<name>slack</name>\n\t</integration>\n</ossec_config>\n"
        );
    }

    #[test]
    fn a_comment_stays_with_the_block_below_it() {
        let text = "<ossec_config>\n  <!-- Slack -->\n  <integration>\n    <name>slack</name>\n  </integration>\n</ossec_config>\n";
        let with = round(text);
        let (ours, comment) = (with.find("custom-mongo"), with.find("<!-- Slack"));
        assert!(ours < comment, "{with}");
    }

    #[test]
    fn without_others_it_comes_at_the_end_of_the_first_root() {
        let text =
            "<ossec_config>\n  <a>1</a>\n\n</ossec_config>\n\n<ossec_config>\n</ossec_config>\n";
        assert_eq!(
            round(text),
            "<ossec_config>\n  <a>1</a>\n\n  <integration>\n    <name>custom-mongo</name>\n    \
             <level>3</level>\n  </integration>\n\n</ossec_config>\n\n<ossec_config>\n</ossec_config>\n"
        );
    }

    #[test]
    fn lines_end_as_those_around_them() {
        let with = round("<ossec_config>\r\n  <a>1</a>\r\n</ossec_config>\r\n");
        assert_eq!(with.matches('\n').count(), with.matches("\r\n").count());
        round("<ossec_config>\n</ossec_config>");
    }

    #[test]
    fn odd_files_get_it_all_the_same() {
        round("");
        round("<ossec_config/>");
        round("<ossec_config></ossec_config>");
        round("<!-- </ossec_config> -->");
        round("<agent_config>\n</agent_config>");
        round("<ossec_config><integration><name>a</name></integration></ossec_config>");
        round(
            "<ossec_config> <!-- x\n --> <integration><name>a</name></integration></ossec_config>",
        );
        assert!(insertion("<ossec_config>", &ours()).is_err());
    }

    #[test]
    fn a_block_goes_with_its_lines_and_nothing_else() {
        let text = "<r>\n  <a/>\n\n  <integration>x</integration>\n\n  <b/>\n</r>\n";
        let start = text.find("<integration>").unwrap();
        let end = text.find("</integration>").unwrap() + "</integration>".len();
        let gone = removal(text, &(start..end));
        assert_eq!(
            text.replace(&text[gone], ""),
            "<r>\n  <a/>\n\n  <b/>\n</r>\n"
        );
        let text = "<r><integration>x</integration> <!-- kept --></r>";
        let gone = removal(text, &(3..31));
        assert_eq!(text.replace(&text[gone], ""), "<r> <!-- kept --></r>");
    }
}
