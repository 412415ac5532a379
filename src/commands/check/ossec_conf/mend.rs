//! Commands that mend one line of ossec.conf. One is only named after it was tried on the text: the
//! file belongs to others too, and a wrong line keeps the manager from starting.

use crate::ossec_conf::{Integration, integrations};

/// What is to be done with one element of a block.
pub(super) enum Mend<'a> {
    /// Takes it out.
    Remove(&'a str),
    /// Gives it another content.
    Replace(&'a str, &'a str),
    /// Adds it behind the block's first line.
    Add(&'a str, &'a str),
}

impl Mend<'_> {
    /// A script for `sed`; none if the element does not stand alone on one line, or if the text would
    /// not be as wanted behind it.
    pub(super) fn command(&self, text: &str, block: &Integration) -> Option<String> {
        let lines: Vec<&str> = text.lines().collect();
        let (script, mended) = match *self {
            Self::Remove(element) => {
                let number = only_line(&lines, text, block, element)?;
                (format!("{number}d"), edited(&lines, number, &[]))
            }
            Self::Replace(element, content) => {
                let number = only_line(&lines, text, block, element)?;
                let line = format!("<{element}>{content}</{element}>");
                let script = format!("{number}s|<{element}>.*</{element}>|{line}|");
                let indent = indent(lines.get(number - 1)?);
                let mended = edited(&lines, number, &[&format!("{indent}{line}")]);
                (script, mended)
            }
            Self::Add(element, content) => {
                let first = *lines.get(block.line.checked_sub(1)?)?;
                // Something else on that line would end up inside of it, or before it.
                if first.trim() != "<integration>" {
                    return None;
                }
                let line = format!("{}  <{element}>{content}</{element}>", indent(first));
                let script = format!("{}a\\{line}", block.line);
                (script, edited(&lines, block.line, &[first, &line]))
            }
        };
        self.is_done(&mended, block).then_some(script)
    }

    /// Whether the text is read as before, but for what was to be mended.
    fn is_done(&self, mended: &str, before: &Integration) -> bool {
        let Ok(blocks) = integrations(mended) else {
            return false;
        };
        let mut there = blocks.iter().filter(|block| block.line == before.line);
        there.next().is_some_and(|block| match *self {
            Self::Remove(element) => {
                block.name == before.name
                    && block.unknown.len() + block.invalid.len()
                        <= before.unknown.len() + before.invalid.len()
                    && !block.unknown.iter().any(|unknown| unknown == element)
                    && !block.invalid.contains(&element)
                    && (element != "hook_url" || block.hook_url.is_none())
            }
            Self::Replace(_, content) | Self::Add(_, content) => {
                block.name == before.name && block.alert_format.as_deref() == Some(content)
            }
        })
    }
}

/// The last line, from 1, of a block.
pub(super) fn last_line(text: &str, block: &Integration) -> usize {
    let inside = text.get(block.place.clone()).unwrap_or_default();
    block.line + inside.matches('\n').count()
}

/// The number, from 1, of the one line of the block that holds this element and nothing else.
fn only_line(lines: &[&str], text: &str, block: &Integration, element: &str) -> Option<usize> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let range = block.line..=last_line(text, block);
    let mut found = range.filter(|number| {
        let line = number.checked_sub(1).and_then(|at| lines.get(at));
        line.is_some_and(|line| line.contains(&open))
    });
    let number = found.next()?;
    let line = lines.get(number.checked_sub(1)?)?.trim();
    let alone = line.starts_with(&open) && line.ends_with(&close);
    (alone && line.matches('<').count() == 2 && found.next().is_none()).then_some(number)
}

fn indent(line: &str) -> &str {
    line.get(..line.len() - line.trim_start().len())
        .unwrap_or_default()
}

/// The text with other lines in the place of this one.
fn edited(lines: &[&str], number: usize, instead: &[&str]) -> String {
    let (before, rest) = lines.split_at(number.saturating_sub(1).min(lines.len()));
    let behind = rest.get(1..).unwrap_or_default();
    [before, instead, behind].concat().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "<ossec_config>\n<integration>\n  <name>custom-mongo</name>\n  <hook>x</hook>\n  <level>high</level>\n</integration>\n</ossec_config>";

    fn block(text: &str) -> Integration {
        integrations(text).unwrap().remove(0)
    }

    #[test]
    fn one_line_is_taken_out_replaced_or_added() {
        let block_of = block(CONF);
        let script = |mend: Mend<'_>| mend.command(CONF, &block_of);
        assert_eq!(script(Mend::Remove("hook")).as_deref(), Some("4d"));
        assert_eq!(script(Mend::Remove("level")).as_deref(), Some("5d"));
        let added = script(Mend::Add("alert_format", "json"));
        assert_eq!(
            added.as_deref(),
            Some("2a\\  <alert_format>json</alert_format>")
        );
        assert_eq!(script(Mend::Remove("absent")), None);
    }

    /// What a command would get wrong is left to a person.
    #[test]
    fn a_line_with_something_else_on_it_is_left_alone() {
        for bent in [
            CONF.replace("<hook>x</hook>\n", "<hook>x</hook><level>3</level>\n"),
            CONF.replace("<hook>x</hook>", "<hook>\nx</hook>"),
            CONF.replace("<hook>x</hook>", "<hook>x</hook>\n<!-- <hook>y</hook> -->"),
            CONF.replace("<hook>x</hook>", "<hook>x</hook>\n<hook>y</hook>"),
        ] {
            let block = block(&bent);
            assert_eq!(Mend::Remove("hook").command(&bent, &block), None, "{bent}");
        }
        let bent = CONF.replace("<integration>\n", "<integration> <!-- ours -->\n");
        let mend = Mend::Add("alert_format", "json");
        assert_eq!(mend.command(&bent, &block(&bent)), None);
    }
}
