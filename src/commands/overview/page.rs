//! The findings on one screen.

use std::fmt::Write as _;

use serde_json::Value;

use super::field;
use crate::alert::time::parse;
use crate::commands::screen::{self, Colours, Look, ago, bytes, clean};
use crate::commands::{now, output};

/// How long the longest bar is.
const BAR: i64 = 30;

pub(super) fn print(all: &Value) {
    let mut page = Page {
        colours: Colours::of(screen::terminal()),
        text: String::new(),
    };
    page.attention(all);
    page.spools(field(all, "spool"));
    page.follow(field(all, "follow"));
    page.backfill(field(all, "backfill"));
    page.serve(field(all, "serve"));
    page.collect(field(all, "collect"));
    page.mongodb(field(all, "mongodb"));
    output::painted(&page.text);
}

struct Page {
    colours: Colours,
    text: String,
}

impl Page {
    fn row(&mut self, name: &str, look: Look, text: &str) {
        let name = format!("{name:<11}");
        let name = self.colours.paint(Look::Head, &name);
        let shown = clean(text);
        let shown = match look {
            Look::Head => shown,
            look => self.colours.paint(look, &shown),
        };
        writeln!(self.text, "{name} {shown}").ok();
    }

    fn attention(&mut self, all: &Value) {
        let needs = list(field(all, "attention"));
        if needs.is_empty() {
            self.row("status", Look::Good, "all is well");
        }
        for (place, need) in needs.iter().enumerate() {
            let name = if place == 0 { "status" } else { "" };
            self.row(name, Look::High, need.as_str().unwrap_or_default());
        }
    }

    fn spools(&mut self, spool: &Value) {
        let all = list(field(spool, "destinations"));
        if all.is_empty() {
            let error = field(spool, "error").as_str();
            self.row("spool", Look::Head, error.unwrap_or("nothing there yet"));
        }
        for one in all {
            let name = field(one, "name")
                .as_str()
                .or(field(one, "destination").as_str());
            let mut text = name.unwrap_or("-").to_owned();
            if field(one, "current") == true {
                text.push_str(" (this MongoDB)");
            }
            write!(text, ": {} wait", whole(field(one, "pending"))).ok();
            if let Some(oldest) = field(one, "oldest").as_str() {
                write!(text, ", the oldest for {}", since(oldest)).ok();
            }
            let (used, most) = (
                bytes(whole(field(one, "bytes"))),
                bytes(whole(field(one, "max_size"))),
            );
            let (dead, breaker) = (whole(field(one, "dead")), text_of(field(one, "breaker")));
            write!(
                text,
                "; {used} of {most}; {dead} dead letters; breaker {breaker}"
            )
            .ok();
            self.row("spool", Look::Head, &text);
        }
    }

    fn follow(&mut self, all: &Value) {
        for one in list(all) {
            let mut text = text_of(field(one, "file"));
            text.push_str(running(one));
            if let Some(error) = field(one, "error").as_str() {
                write!(text, ": {error}").ok();
            } else {
                let behind = whole(field(one, "behind_bytes"));
                write!(text, ", {} behind", bytes(behind)).ok();
                if let Some(seconds) = field(one, "behind_seconds").as_i64().filter(|_| behind > 0)
                {
                    write!(text, " ({})", ago(seconds.saturating_mul(1000))).ok();
                }
            }
            self.row("follow", Look::Head, &text);
        }
    }

    fn backfill(&mut self, all: &Value) {
        for one in list(all) {
            let state = if field(one, "running") == true {
                "running"
            } else {
                "stopped; the same command goes on"
            };
            let done = whole(field(one, "files_done"));
            let mut text = format!("{state}: {done} files done");
            if let Some(file) = field(one, "file").as_str() {
                write!(
                    text,
                    ", in {file} at {}",
                    bytes(whole(field(one, "offset")))
                )
                .ok();
            }
            self.row("backfill", Look::Head, &text);
        }
    }

    fn serve(&mut self, serve: &Value) {
        let text = match field(serve, "socket").as_str() {
            Some(socket) => format!("{socket}{}", running(serve)),
            None => "no socket for the hook here".to_owned(),
        };
        self.row("serve", Look::Head, &text);
    }

    fn collect(&mut self, collect: &Value) {
        let run = field(collect, "last_run");
        let mut text = if field(collect, "running") == true {
            "running; "
        } else {
            ""
        }
        .to_owned();
        match field(run, "finished_at").as_str() {
            None => text.push_str("no run is known"),
            Some(at) => {
                let (outcome, agents) =
                    (text_of(field(run, "outcome")), whole(field(run, "agents")));
                write!(text, "{outcome} {} ago, {agents} agents", since(at)).ok();
                let left = whole(field(run, "not_reached"));
                if left > 0 {
                    write!(text, ", {left} not reached").ok();
                }
            }
        }
        self.row("collect", Look::Head, &text);
        let kinds = field(run, "kinds").as_object();
        for (kind, counts) in kinds.into_iter().flatten() {
            let of = |name: &str| whole(field(counts, name));
            let text = format!(
                "{kind}: {} rows, {} new, {} changed, {} removed; {} agents read, {} unchanged, {} failed",
                of("seen"),
                of("new"),
                of("changed"),
                of("removed"),
                of("read"),
                of("unchanged"),
                of("failed")
            );
            self.row("", Look::Head, &text);
        }
    }

    fn mongodb(&mut self, mongodb: &Value) {
        let place = format!(
            "{}/{}",
            text_of(field(mongodb, "servers")),
            text_of(field(mongodb, "database"))
        );
        if field(mongodb, "reachable") != true {
            let text = format!("{place}: {}", text_of(field(mongodb, "error")));
            return self.row("mongodb", Look::High, &text);
        }
        let set = field(mongodb, "replica_set").as_str();
        let set = set.map_or("standalone".to_owned(), |set| format!("replica set {set}"));
        let version = text_of(field(mongodb, "version"));
        self.row(
            "mongodb",
            Look::Head,
            &format!("{place}, {version} ({set})"),
        );
        if field(mongodb, "storage_bytes").is_number() {
            let text = format!(
                "{} documents, {} on disk, {} of indexes",
                whole(field(mongodb, "documents")),
                bytes(whole(field(mongodb, "storage_bytes"))),
                bytes(whole(field(mongodb, "index_bytes")))
            );
            self.row("", Look::Head, &text);
        }
        if let Some(why) = field(mongodb, "count_error").as_str() {
            return self.row("alerts", Look::High, &format!("not counted: {why}"));
        }
        self.days(list(field(mongodb, "alerts_per_day")));
    }

    fn days(&mut self, days: &[Value]) {
        let most = days.iter().map(|day| whole(field(day, "alerts"))).max();
        let most = most.unwrap_or(0).max(1);
        for (place, day) in days.iter().enumerate() {
            let name = if place == 0 { "alerts" } else { "" };
            let date = text_of(field(day, "day"));
            let text = match field(day, "alerts").as_i64() {
                None => format!("{date}  too many to count in time"),
                Some(count) => {
                    let long = usize::try_from(count.saturating_mul(BAR) / most).unwrap_or(0);
                    format!("{date}  {count:>10}  {}", "█".repeat(long))
                }
            };
            self.row(name, Look::Head, text.trim_end());
        }
    }
}

fn running(one: &Value) -> &'static str {
    if field(one, "running") == true {
        " (running)"
    } else {
        " (not running)"
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn whole(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn since(time: &str) -> String {
    parse(time).map_or_else(|| "-".to_owned(), |at| ago(now().saturating_sub(at)))
}
