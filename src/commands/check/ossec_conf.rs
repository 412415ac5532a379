//! Wazuh's ossec.conf: does the manager start with it, does it call us, and with whole alerts?

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::finding::Findings;
use super::place::{Place, quoted};
use crate::filter::Filter;
use crate::ossec_conf::{Integration, integrations, is_json_off, log_alert_level};
use crate::setting::Secret;

mod mend;

use mend::Mend;

/// What the check learned, for those that come after it.
#[derive(Default)]
pub(super) struct Blocks {
    /// The connection string that stands in our first block.
    pub(super) hook_url: Option<Secret>,
    /// Whether Wazuh calls us.
    pub(super) are_there: bool,
}

/// Looks at all blocks. `instead` says who brings the alerts if no block does.
pub(super) fn check(findings: &mut Findings, place: &Place, instead: Option<&str>) -> Blocks {
    findings.enter("ossec.conf");
    let path = place.ossec_conf();
    let shown = path.display();
    let text = match fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => {
            let detail = format!("{shown}: {error}");
            findings.bad("ossec.conf", detail, place.give(&path, "0660"));
            return Blocks::default();
        }
    };
    let blocks = match integrations(&text) {
        Ok(blocks) => blocks,
        Err(error) => {
            let home = place.layout.here(place.layout.home());
            let fix = format!(
                "correct that line of {shown}; {}/bin/wazuh-integratord -t says what Wazuh takes",
                home.display()
            );
            findings.bad("ossec.conf", format!("{shown}: {error}"), fix);
            return Blocks::default();
        }
    };
    let conf = Conf {
        path: &path,
        text: &text,
        blocks: &blocks,
        name: name(place),
    };
    conf.check_start(findings);
    if is_json_off(&text) == Ok(true) {
        let detail = "<jsonout_output> is no: Wazuh writes no alerts.json, and integrations and `follow` read that";
        let fix = format!(
            "sed -i 's|<jsonout_output>no</jsonout_output>|<jsonout_output>yes</jsonout_output>|' {}",
            quoted(&path)
        );
        findings.bad("ossec.conf output", detail, fix);
    }
    let ours: Vec<&Integration> = conf.ours().collect();
    let Some(first) = ours.first() else {
        conf.say_absent(findings, place, instead);
        return Blocks::default();
    };
    let lines: Vec<String> = ours.iter().map(|block| block.line.to_string()).collect();
    let lines = lines.join(" and ");
    findings.good("ossec.conf block", format!("{shown}, line {lines}"));
    for block in &ours {
        conf.check_format(findings, block);
        conf.check_hook_url(findings, block);
        conf.check_level(findings, block);
    }
    conf.check_before(findings, first);
    check_overlap(findings, &ours);
    Blocks {
        hook_url: ours.iter().find_map(|block| block.hook_url.clone()),
        are_there: true,
    }
}

/// Whether wazuh-integratord runs, and has read the file as it is now. It is started only if there is
/// a block when the manager starts.
pub(super) fn check_running(findings: &mut Findings, place: &Place) {
    let home = place.layout.here(place.layout.home());
    let entries = fs::read_dir(home.join("var/run")).into_iter().flatten();
    let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let entries = entries.filter_map(Result::ok);
    let pid_file = entries
        .into_iter()
        .find(|entry| name(entry).starts_with("wazuh-integratord-"));
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let restart = restart(place);
    let Some(pid_file) = pid_file else {
        let detail =
            "wazuh-integratord does not run: the block counts when the manager has been restarted";
        return findings.advise("ossec.conf in use", detail, restart);
    };
    if modified(&place.ossec_conf()) > modified(&pid_file.path()) {
        let detail = "ossec.conf was changed since wazuh-integratord was started";
        findings.advise("ossec.conf in use", detail, restart);
    }
}

/// How the manager is restarted there.
fn restart(place: &Place) -> String {
    let layout = &place.layout;
    let is_there = |folder: &str| layout.here(Path::new(folder)).is_dir();
    // An image is not running: there the folder of its units says it.
    let is_image = !layout.is_this_host();
    if is_there("/run/systemd/system") || is_image && is_there("/usr/lib/systemd/system") {
        return "systemctl restart wazuh-manager".to_owned();
    }
    let control = layout.home().join("bin/wazuh-control");
    format!("{} restart", quoted(&control))
}

/// A block's name is that of the file.
fn name(place: &Place) -> String {
    let file = place.integration();
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

struct Conf<'a> {
    path: &'a Path,
    text: &'a str,
    blocks: &'a [Integration],
    name: String,
}

impl Conf<'_> {
    fn ours(&self) -> impl Iterator<Item = &Integration> {
        self.blocks.iter().filter(|block| block.name == self.name)
    }

    fn say_absent(&self, findings: &mut Findings, place: &Place, instead: Option<&str>) {
        let name = &self.name;
        let detail = format!("{} has no <integration> {name}", self.path.display());
        match instead {
            Some(who) => findings.note("ossec.conf block", format!("{detail}; {who}")),
            None => findings.bad("ossec.conf block", detail, place.install()),
        }
    }

    /// One fault of this kind, in whosever block, keeps the whole manager from starting.
    fn check_start(&self, findings: &mut Findings) {
        for block in self.blocks {
            let (line, name) = (block.line, &block.name);
            for unknown in &block.unknown {
                let detail = format!(
                    "line {line}: <{unknown}> in the block {name}: the manager does not start with an element that it does not know"
                );
                let fix = self.fix(block, &Mend::Remove(unknown), || {
                    format!("remove <{unknown}> from the block at line {line}")
                });
                findings.bad("ossec.conf element", detail, fix);
            }
            let location = Filter::from_integration(block)
                .err()
                .map(|_| "event_location");
            for invalid in block.invalid.iter().copied().chain(location) {
                let detail = format!(
                    "line {line}: <{invalid}> of the block {name} has a value with which the manager does not start"
                );
                let fix = self.fix(block, &Mend::Remove(invalid), || {
                    format!("correct <{invalid}> in the block at line {line}")
                });
                findings.bad("ossec.conf value", detail, fix);
            }
        }
    }

    fn check_format(&self, findings: &mut Findings, block: &Integration) {
        if is_json(block) {
            return;
        }
        let line = block.line;
        let (what, mend) = match &block.alert_format {
            Some(_) => (
                "its <alert_format> is not json",
                Mend::Replace("alert_format", "json"),
            ),
            None => (
                "it has no <alert_format>",
                Mend::Add("alert_format", "json"),
            ),
        };
        let detail = format!("line {line}: {what}, and alerts come as text without id and agent");
        let fix = self.fix(block, &mend, || {
            format!("set <alert_format>json</alert_format> in the block at line {line}")
        });
        findings.bad("ossec.conf format", detail, fix);
    }

    /// It stands in the process list, in ossec.log and in Wazuh's API.
    fn check_hook_url(&self, findings: &mut Findings, block: &Integration) {
        let Some(url) = &block.hook_url else {
            return;
        };
        let login = url.expose().split_once("://").map(|(_, rest)| rest);
        let login = login.and_then(|rest| rest.rsplit_once('@'));
        if !login.is_some_and(|(login, _)| login.contains(':')) {
            return;
        }
        let line = block.line;
        let detail = format!(
            "line {line}: <hook_url> holds a password, which is in the process list, in ossec.log and in Wazuh's API"
        );
        let fix = self.fix(block, &Mend::Remove("hook_url"), || {
            format!("remove <hook_url> from the block at line {line}")
        });
        let fix = format!(
            "{fix}   # and set store.uri and store.password_file in place of it; change the password"
        );
        findings.bad("ossec.conf hook_url", detail, fix);
    }

    fn check_level(&self, findings: &mut Findings, block: &Integration) {
        let Ok(Some(lowest)) = log_alert_level(self.text) else {
            return;
        };
        if let Some(level) = block.level.filter(|level| (1..lowest).contains(level)) {
            let detail = format!(
                "line {}: <level>{level}</level>, but Wazuh writes no alert below <log_alert_level>{lowest}</log_alert_level>",
                block.line
            );
            findings.note("ossec.conf level", detail);
        }
    }

    /// integratord shortens the alert for a block in the other format, and those behind it get that.
    fn check_before(&self, findings: &mut Findings, ours: &Integration) {
        let before = self
            .blocks
            .iter()
            .take_while(|block| block.line < ours.line);
        let Some(plain) = before.into_iter().find(|block| !is_json(block)) else {
            return;
        };
        let (line, name) = (plain.line, &plain.name);
        let detail = format!(
            "line {line}: the block {name} stands before ours and is not json: it cuts our full_log to 165 characters"
        );
        let last = mend::last_line(self.text, ours);
        let fix = format!(
            "move our block, lines {} to {last} of {}, in front of line {line}",
            ours.line,
            self.path.display()
        );
        findings.bad("ossec.conf order", detail, fix);
    }

    /// The command, if one line can be found that does it; else the words.
    fn fix(&self, block: &Integration, mend: &Mend<'_>, words: impl Fn() -> String) -> String {
        match mend.command(self.text, block) {
            Some(script) => format!("sed -i '{script}' {}", quoted(self.path)),
            None => words(),
        }
    }
}

fn check_overlap(findings: &mut Findings, ours: &[&Integration]) {
    for (index, first) in ours.iter().enumerate() {
        for second in ours.iter().skip(index + 1) {
            if overlap(first, second) {
                let detail = format!(
                    "the blocks at line {} and line {} can both want an alert: it comes twice and is stored once",
                    first.line, second.line
                );
                findings.note("ossec.conf overlap", detail);
            }
        }
    }
}

fn is_json(block: &Integration) -> bool {
    let format = block.alert_format.as_deref();
    format.is_some_and(|format| format.starts_with("json"))
}

/// Only lists of rules that have none in common exclude each other for certain.
fn overlap(first: &Integration, second: &Integration) -> bool {
    match (&first.rule_id, &second.rule_id) {
        (Some(first), Some(second)) => {
            let first: BTreeSet<_> = first.iter().collect();
            second.iter().any(|rule| first.contains(rule))
        }
        _ => true,
    }
}
