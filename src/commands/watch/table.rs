//! Rows in columns that are as wide as what stands in them.

use super::fleet::Agent;
use crate::commands::now;
use crate::commands::screen::{Colours, Look, ago, clean, fit, width};

const COLUMNS: usize = 9;
const HEAD: [&str; COLUMNS] = [
    "AGENT",
    "NAME",
    "STATUS",
    "INVENTORY",
    "KEEP ALIVE",
    "ALERTS/H",
    "OS",
    "VERSION",
    "GROUPS",
];
/// At most so wide; the last one takes what is left.
const WIDEST: [usize; COLUMNS] = [24, 24, 16, 18, 10, 8, 26, 10, 60];
const STATUS: usize = 2;
const BETWEEN: &str = "  ";

/// The head and a line for each agent, none wider than that, if a width is given.
pub(super) fn lines(agents: &[Agent], columns: Option<usize>, colours: Colours) -> Vec<String> {
    let rows: Vec<[String; COLUMNS]> = agents.iter().map(cells).collect();
    let mut widths = HEAD.map(str::len);
    for row in &rows {
        for ((wide, cell), most) in widths.iter_mut().zip(row).zip(WIDEST) {
            *wide = (*wide).max(width(cell).min(most));
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, wide)| fit(cell, wide));
        cells.collect::<Vec<_>>()
    };
    let head = line(&HEAD.map(str::to_owned));
    let mut out = vec![colours.paint(Look::Head, &cut(&head.join(BETWEEN), columns))];
    for (row, agent) in rows.iter().zip(agents) {
        out.push(painted(line(row), agent, columns, colours));
    }
    out
}

fn cells(agent: &Agent) -> [String; COLUMNS] {
    let now = now();
    let age = |at: Option<i64>| at.map(|at| ago(now.saturating_sub(at)));
    let inventory = match (age(agent.inventory), agent.failed) {
        (age, 0) => age.unwrap_or_else(|| "none".to_owned()),
        (age, failed) => format!("{}, {failed} failed", age.as_deref().unwrap_or("none")),
    };
    [
        agent.label(),
        clean(&agent.name),
        clean(&agent.status),
        inventory,
        age(agent.keep_alive).unwrap_or_else(|| "-".to_owned()),
        agent
            .alerts
            .map_or_else(|| "-".to_owned(), |count| count.to_string()),
        clean(&agent.os),
        clean(&agent.version),
        clean(&agent.groups.join(",")),
    ]
}

/// Only the status is coloured; what does not fit is cut first.
fn painted(cells: Vec<String>, agent: &Agent, columns: Option<usize>, colours: Colours) -> String {
    let before: usize = cells
        .iter()
        .take(STATUS)
        .map(|cell| width(cell) + BETWEEN.len())
        .sum();
    let status = cells.get(STATUS).map_or(0, |cell| width(cell));
    if columns.is_some_and(|columns| columns < before + status) {
        return cut(&cells.join(BETWEEN), columns);
    }
    let look = match agent.status.as_str() {
        "active" => Look::Good,
        "disconnected" => Look::High,
        _ => Look::Medium,
    };
    let left = cells
        .iter()
        .take(STATUS)
        .map(|cell| format!("{cell}{BETWEEN}"));
    let left: String = left.collect();
    let middle = cells.get(STATUS).cloned().unwrap_or_default();
    let right: Vec<_> = cells.into_iter().skip(STATUS + 1).collect();
    let right = format!("{BETWEEN}{}", right.join(BETWEEN));
    let rest = columns.map(|columns| columns - before - status);
    format!(
        "{left}{}{}",
        colours.paint(look, &middle),
        cut(&right, rest)
    )
}

fn cut(text: &str, columns: Option<usize>) -> String {
    let text = text.trim_end();
    match columns {
        Some(columns) if width(text) > columns => fit(text, columns),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_the_window_and_hides_what_is_hostile() {
        let agent = Agent {
            site: "default".to_owned(),
            id: "003".to_owned(),
            name: "web\u{1b}[2J-日本".to_owned(),
            status: "active".to_owned(),
            groups: vec!["a-long-name-of-a-group".to_owned(); 9],
            ..Agent::default()
        };
        for columns in 10..200 {
            for line in lines(std::slice::from_ref(&agent), Some(columns), Colours::Off) {
                assert!(width(&line) <= columns, "{columns}: {line}");
                assert!(line.chars().all(|c| !c.is_control()), "{line}");
            }
        }
        let whole = lines(&[agent], None, Colours::Off);
        assert!(whole[1].contains("web\\x1b[2J-日本  active"), "{whole:?}");
    }
}
