//! `status`: one screen, or JSON for a monitoring system: what waits, how far each way in has come,
//! the last collect, MongoDB. The local part is there also when MongoDB is not.

mod database;
mod locks;
mod page;
mod progress;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::spool::Spools;
use super::{Format, now, output, screen, status};
use crate::alert::time::rfc3339;
use crate::collect;
use crate::config::Settings;
use crate::delivery::Mode;
use crate::home::Home;
use database::Asked;

/// All of it together.
const WITHIN: Duration = Duration::from_millis(1800);
/// What waits for less than this is on its way.
const ON_ITS_WAY_MS: i64 = 60_000;
/// As long as where every alert waits for the next drain.
const DRAINED_WITHIN_MS: i64 = 3_600_000;
/// So far behind `follow` may be, in seconds.
const BEHIND: i64 = 300;

/// Prints everything. 0 if nothing needs a look, else 1.
pub fn run(settings: &Settings, home: &Home, format: Format) -> u8 {
    let until = Instant::now() + WITHIN;
    let mut needs = Needs::default();
    // Beside each other: MongoDB may take all of the time.
    let (local, mongodb) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| database::ask(settings, until));
        let local = local(settings, home, &mut needs);
        (local, asked.join().unwrap_or_default())
    });
    judge_mongodb(&mongodb.report, &mut needs);
    judge_run(&mongodb.last_run, &mut needs);
    let all = put_together(&local, &mongodb, &needs);
    match format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&all).unwrap_or_default();
            output::painted(&screen::clean_json(&text));
        }
        Format::Text => page::print(&all),
        Format::Quiet => {
            for need in &needs.0 {
                output::error_line(&format!("custom-mongo: {}", screen::clean(need)));
            }
        }
    }
    if needs.0.is_empty() {
        status::DONE
    } else {
        status::FAILED
    }
}

/// What somebody has to look at, each with the command that says more.
#[derive(Default)]
struct Needs(Vec<String>);

impl Needs {
    fn add(&mut self, text: impl Into<String>) {
        self.0.push(text.into());
    }
}

/// What this host knows by itself.
struct Local {
    spools: Value,
    follow: Vec<Value>,
    backfill: Vec<Value>,
    serve: Value,
    is_collecting: bool,
    site: String,
}

fn local(settings: &Settings, home: &Home, needs: &mut Needs) -> Local {
    let spools = Spools::look(settings, home, Format::Json).describe_all();
    let (spools, unread) = match spools {
        Ok(spools) => (spools, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    let patience = match settings.delivery.mode {
        Mode::Spool => DRAINED_WITHIN_MS,
        _ => ON_ITS_WAY_MS,
    };
    for spool in &spools {
        judge_spool(spool, patience, needs);
    }
    if let Some(error) = &unread {
        needs.add(format!("the spool cannot be read: {error}"));
    }
    let follow = progress::follow(settings, home);
    for one in &follow {
        judge_follow(one, needs);
    }
    let socket = settings.serve.relay_socket(home);
    let lock = socket.as_ref().map(|path| path.with_extension("lock"));
    Local {
        spools: json!({ "destinations": spools, "error": unread }),
        follow,
        backfill: progress::backfill(settings, home),
        serve: json!({
            "socket": socket.map(|path| path.display().to_string()),
            "running": lock.is_some_and(|lock| locks::is_held(&lock)),
        }),
        is_collecting: is_collecting(settings, home),
        site: settings.site().to_owned(),
    }
}

/// For whichever site of those that this host collects.
fn is_collecting(settings: &Settings, home: &Home) -> bool {
    let others = settings.managers().into_iter();
    let mut sites = others
        .map(|manager| manager.site)
        .chain([settings.site().to_owned()]);
    sites.any(|site| locks::is_held(&collect::lock_file(home.state(), &site)))
}

fn put_together(local: &Local, mongodb: &Asked, needs: &Needs) -> Value {
    json!({
        "ok": needs.0.is_empty(),
        "attention": needs.0,
        "at": rfc3339(now()),
        "site": local.site,
        "spool": local.spools,
        "follow": local.follow,
        "backfill": local.backfill,
        "serve": local.serve,
        "collect": { "running": local.is_collecting, "last_run": mongodb.last_run },
        "mongodb": mongodb.report,
    })
}

/// A field; null if it is not there.
fn field<'a>(of: &'a Value, name: &str) -> &'a Value {
    of.get(name).unwrap_or(&Value::Null)
}

fn judge_spool(spool: &Value, patience: i64, needs: &mut Needs) {
    let number = |key: &str| field(spool, key).as_i64().unwrap_or(0);
    let name = field(spool, "name")
        .as_str()
        .or(field(spool, "destination").as_str());
    let name = name.unwrap_or("another MongoDB");
    let oldest = field(spool, "oldest")
        .as_str()
        .and_then(crate::alert::time::parse);
    let waits = oldest.map_or(0, |at| now().saturating_sub(at));
    if number("pending") > 0 && waits >= patience {
        let (pending, age) = (number("pending"), screen::ago(waits));
        needs.add(format!(
            "{pending} alerts wait for {name}, the oldest for {age}; see custom-mongo spool status"
        ));
    }
    if field(spool, "breaker") == "open" {
        let why = field(spool, "reason").as_str().unwrap_or("unknown");
        needs.add(format!("alerts for {name} go to disk: {why}"));
    }
    if number("dead") > 0 {
        let dead = number("dead");
        needs.add(format!(
            "{dead} dead letters; see custom-mongo spool dead list"
        ));
    }
}

fn judge_follow(follow: &Value, needs: &mut Needs) {
    let file = field(follow, "file").as_str().unwrap_or_default();
    if let Some(error) = field(follow, "error").as_str() {
        return needs.add(format!("follow {file}: {error}"));
    }
    let bytes = field(follow, "behind_bytes").as_i64().unwrap_or(0);
    let seconds = field(follow, "behind_seconds").as_i64().unwrap_or(0);
    let age = screen::ago(seconds.saturating_mul(1000));
    if field(follow, "running") == false && bytes > 0 {
        needs.add(format!(
            "nobody follows {file}, and {bytes} bytes ({age}) are not read; run custom-mongo follow"
        ));
    } else if seconds > BEHIND {
        needs.add(format!("follow is {age} behind {file}"));
    }
}

fn judge_mongodb(mongodb: &Value, needs: &mut Needs) {
    if field(mongodb, "reachable") != true {
        let why = field(mongodb, "error").as_str().unwrap_or("no answer");
        let why = why.trim_end_matches("; see custom-mongo check");
        needs.add(format!("{why}; see custom-mongo check"));
    }
}

fn judge_run(run: &Value, needs: &mut Needs) {
    let failed = field(run, "failed").as_i64().unwrap_or(0);
    let warnings = field(run, "warnings").as_array().map_or(0, Vec::len);
    if failed > 0 || warnings > 0 {
        needs.add(format!(
            "the last collect left {failed} parts out and warned of {warnings}; see collect_runs"
        ));
    }
}
