//! What looks like XML and is not, as Wazuh's own reader takes it.

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
    check(r#"<w name="a b" x='"/' ><t a="1"/>2</w>"#, "w=>2(t=)");
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
