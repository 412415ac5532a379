//! How a change looks before it is made: a unified diff of one hunk, which is exact where one piece
//! was put in, taken out or replaced.

use std::path::Path;

/// Lines around a change.
const CONTEXT: usize = 3;

/// From `before` (None: there is no such file) to `after`.
pub fn unified(path: &Path, before: Option<&str>, after: Option<&str>) -> String {
    let old: Vec<&str> = lines(before);
    let new: Vec<&str> = lines(after);
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = old.iter().zip(&new).take_while(same).count();
    let shorter = old.len().min(new.len()) - head;
    let tails = old.iter().rev().zip(new.iter().rev());
    let tail = tails.take_while(same).take(shorter).count();
    let start = head.saturating_sub(CONTEXT);
    let context = tail.min(CONTEXT);
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    let mut text = format!(
        "--- {}\n+++ {}\n@@ -{} +{} @@\n",
        name(path, before),
        name(path, after),
        range(start, old_end + context),
        range(start, new_end + context)
    );
    let mut put = |mark: char, from: &[&str], range: std::ops::Range<usize>| {
        for line in from.get(range).unwrap_or_default() {
            text.push_str(format!("{mark}{line}").trim_end());
            text.push('\n');
        }
    };
    put(' ', &old, start..head);
    put('-', &old, head..old_end);
    put('+', &new, head..new_end);
    put(' ', &old, old_end..old_end + context);
    text
}

fn lines(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().lines().collect()
}

fn name(path: &Path, text: Option<&str>) -> String {
    match text {
        Some(_) => path.display().to_string(),
        None => "/dev/null".to_owned(),
    }
}

/// As `diff -u` counts: from line 1, an empty piece from the line in front of it.
fn range(start: usize, end: usize) -> String {
    let count = end - start;
    let first = if count == 0 { start } else { start + 1 };
    format!("{first},{count}")
}

/// Wazuh's settings without what may be secret in them: other integrations keep their keys there, on
/// a line of their own or not. The lines stay as many.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        out.extend([before, "<"]);
        rest = after;
        let (mark, behind) = after.split_at(after.find(['<', '>']).unwrap_or(after.len()));
        let Some(inside) = behind.strip_prefix('>').filter(|_| is_secret(mark)) else {
            continue;
        };
        out.extend([mark, ">***"]);
        let mut ends = inside.match_indices('<').map(|(end, _)| end);
        // As Wazuh reads it, `\<` is a character.
        let end = ends.find(|end| {
            !inside
                .get(..*end)
                .is_some_and(|before| before.ends_with('\\'))
        });
        let (secret, behind) = inside.split_at(end.unwrap_or(inside.len()));
        out.extend(secret.chars().filter(|c| *c == '\n'));
        rest = behind;
    }
    out + rest
}

/// Whether an element of this name may hold a secret.
fn is_secret(mark: &str) -> bool {
    let names = ["key", "url", "options", "password", "token", "secret"];
    let mark = mark.to_ascii_lowercase();
    let mark = mark.split(char::is_whitespace).next().unwrap_or_default();
    !mark.starts_with(['/', '!']) && names.iter().any(|name| mark.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_was_put_in_is_one_hunk() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let after = "1\n2\n3\n4\nnew\n5\n6\n7\n8\n";
        assert_eq!(
            unified(Path::new("/f"), Some(before), Some(after)),
            "--- /f\n+++ /f\n@@ -2,6 +2,7 @@\n 2\n 3\n 4\n+new\n 5\n 6\n 7\n"
        );
    }

    #[test]
    fn files_come_and_go() {
        let path = Path::new("/f");
        assert_eq!(
            unified(path, None, Some("a\nb\n")),
            "--- /dev/null\n+++ /f\n@@ -0,0 +1,2 @@\n+a\n+b\n"
        );
        assert_eq!(
            unified(path, Some("a\n"), None),
            "--- /f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n"
        );
        let repeated = unified(path, Some("x\nx\n"), Some("x\nx\nx\n"));
        assert_eq!(repeated, "--- /f\n+++ /f\n@@ -1,2 +1,3 @@\n x\n x\n+x\n");
    }

    #[test]
    fn the_secrets_of_others_are_not_shown() {
        let text = "<integration><name>a</name><api_key>hunter2</api_key><level>3</level>\n\
            <hook_url>\n  https://x/hunter2\n</hook_url>\n<!-- <api_key>hunter2</api_key> -->\n\
            <!-- <b key --><Options a=\"1\">{\"t\\<\":\"hunter2\"}</Options>\n\
            <!-- <key> --> <name>b</name>\n1 < 2 <key>hunter2\nhunter2";
        let shown = "<integration><name>a</name><api_key>***</api_key><level>3</level>\n\
            <hook_url>***\n\n</hook_url>\n<!-- <api_key>***</api_key> -->\n\
            <!-- <b key --><Options a=\"1\">***</Options>\n\
            <!-- <key>***<name>b</name>\n1 < 2 <key>***\n";
        assert_eq!(masked(text), shown);
        assert_eq!(masked(shown), shown);
    }
}
