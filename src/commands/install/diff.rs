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
            let kept = if mark == ' ' {
                masked(line)
            } else {
                (*line).to_owned()
            };
            text.push_str(format!("{mark}{kept}").trim_end());
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

/// A line of somebody else's, without what may be secret: other integrations keep their keys in
/// the same file.
fn masked(line: &str) -> String {
    let secret = ["key", "url", "options", "password", "token", "secret"];
    let mark = line
        .split_once('>')
        .map(|(mark, _)| mark.to_ascii_lowercase());
    match mark {
        Some(mark) if secret.iter().any(|name| mark.contains(name)) => {
            let kept = line.split_once('>').map_or(line, |(mark, _)| mark);
            format!("{kept}>***")
        }
        _ => line.to_owned(),
    }
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
        let before =
            "<integration>\n  <name>slack</name>\n  <hook_url>https://x/hunter2</hook_url>\n";
        let text = unified(
            Path::new("/f"),
            Some(before),
            Some(&format!("new\n{before}")),
        );
        assert!(
            text.contains("slack") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
