//! The file that wazuh-integratord executes: its place, its name, and that nobody but root can
//! change what the manager runs.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

use super::finding::Findings;
use super::place::{Place, quoted};

/// Looks at the file and at its folder.
pub(super) fn check(findings: &mut Findings, place: &Place) {
    findings.enter("integration");
    let file = place.integration();
    let shown = file.display();
    let meta = match fs::symlink_metadata(&file) {
        Ok(meta) => meta,
        Err(error) => {
            let detail = format!("{shown}: {error}");
            return findings.bad("integration", detail, place.install());
        }
    };
    if !meta.is_file() {
        let detail = format!(
            "{shown} is no file, and whoever may write where it leads decides what Wazuh runs"
        );
        let fix = format!("rm {} && {}", quoted(&file), place.install());
        return findings.bad("integration", detail, fix);
    }
    findings.good("integration", shown.to_string());
    check_name(findings, &file);
    check_rights(findings, &file, &meta, place);
    check_folder(findings, &file, place);
    if meta.mtime() == 0 {
        let detail = "its modification time is 0, and Wazuh takes that for no file";
        findings.bad(
            "integration time",
            detail,
            format!("touch {}", quoted(&file)),
        );
    }
    check_version(findings, &file, &meta, place);
}

fn check_name(findings: &mut Findings, file: &Path) {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("custom-") {
        return;
    }
    let detail = format!("`{name}`: Wazuh runs only names that begin with custom-");
    let right = file.with_file_name("custom-mongo");
    let fix = format!("mv {} {}", quoted(file), quoted(&right));
    findings.bad("integration name", detail, fix);
}

fn check_rights(findings: &mut Findings, file: &Path, meta: &Metadata, place: &Place) {
    let mode = meta.mode() & 0o7777;
    let owner = place.user(Uid::from_raw(meta.uid()));
    let fault = if meta.uid() != 0 {
        "its owner can change what the manager runs"
    } else if place.wazuh_may_write(meta) {
        "the user that Wazuh runs as can write it, and Wazuh does not run it then"
    } else if !place.wazuh_has(meta, 5) {
        "the user that Wazuh runs as cannot execute it"
    } else {
        return findings.good("integration rights", format!("{mode:04o}, of {owner}"));
    };
    let detail = format!("{mode:04o}, of {owner}: {fault}");
    findings.bad("integration rights", detail, place.give(file, "0750"));
}

/// Whoever may write the folder may put another file in the place of ours.
fn check_folder(findings: &mut Findings, file: &Path, place: &Place) {
    let folder = file.parent().unwrap_or(file);
    let Ok(meta) = fs::metadata(folder) else {
        return;
    };
    let (mode, shown) = (meta.mode() & 0o7777, folder.display());
    let fault = if meta.uid() != 0 {
        "its owner can replace the integration"
    } else if place.wazuh_may_write(&meta) {
        "the user that Wazuh runs as can replace the integration"
    } else {
        return;
    };
    let detail = format!("{mode:04o} {shown}: {fault}");
    findings.bad("integration folder", detail, place.give(folder, "0750"));
}

/// Another version works; but whoever has just brought a new one wants to know.
fn check_version(findings: &mut Findings, file: &Path, meta: &Metadata, place: &Place) {
    let Ok(own) = std::env::current_exe() else {
        return;
    };
    let same_file =
        fs::metadata(&own).is_ok_and(|own| (own.dev(), own.ino()) == (meta.dev(), meta.ino()));
    if same_file {
        return;
    }
    let (Ok(there), Ok(here)) = (fs::read(file), fs::read(&own)) else {
        return;
    };
    if there != here {
        let detail = format!("another version than {}", own.display());
        findings.advise("integration version", detail, place.install());
    }
}
