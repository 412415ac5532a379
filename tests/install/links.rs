//! `etc/` and `var/db/` are writable for `wazuh`, and `install` runs as root: what lies there may be a
//! trap.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use crate::manager_root::{ManagerRoot, STOCK};

/// A file, and a folder, of somebody else.
fn victims(host: &ManagerRoot) -> (PathBuf, PathBuf) {
    let (file, folder) = (host.here("/etc/victim"), host.here("/etc/victims"));
    fs::write(&file, "kept").unwrap();
    fs::create_dir(&folder).unwrap();
    (file, folder)
}

/// Where install has to refuse a link that `wazuh` put at this place of the home.
#[track_caller]
fn refuses(place: &str, target: &str, reason: &str) {
    let host = ManagerRoot::new();
    let (file, folder) = victims(&host);
    let path = host.path(place);
    fs::remove_file(&path).ok();
    symlink(target, &path).unwrap();
    let before = host.snapshot();
    let said = host.fails(1, &["install"]);
    assert!(said.contains(reason), "{place}: {said}");
    assert_eq!(host.snapshot(), before, "{place}");
    assert_eq!(fs::read_to_string(file).unwrap(), "kept");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn a_link_in_place_of_a_file_is_refused() {
    refuses("etc/custom-mongo.toml", "/etc/victim", "it is a link");
    refuses(
        "etc/custom-mongo.toml",
        "../../../etc/victim",
        "it is a link",
    );
    refuses("etc/ossec.conf", "/etc/victim", "it is a link");
    refuses("var/db/custom-mongo", "/etc/victims", "is no folder");
    refuses(
        "var/db/custom-mongo",
        "../../../../etc/victims",
        "is no folder",
    );
}

#[test]
fn a_file_in_place_of_the_state_folder_is_refused() {
    let host = ManagerRoot::new();
    fs::write(host.path("var/db/custom-mongo"), "x").unwrap();
    assert!(host.fails(1, &["install"]).contains("is no folder"));
}

#[test]
fn a_pipe_in_place_of_ossec_conf_holds_nobody_up() {
    let host = ManagerRoot::new();
    let path = host.path("etc/ossec.conf");
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(host.fails(1, &["install"]).contains("no plain file"));
}

#[test]
fn a_folder_of_the_home_that_is_a_link_counts_only_if_root_alone_could_make_it() {
    // Root's own: the home lies on another disk.
    let host = ManagerRoot::new();
    let (here, there) = (host.path(""), host.here("/data"));
    fs::rename(&here, &there).unwrap();
    symlink("/data", &here).unwrap();
    host.ok(&["install"]);
    assert!(there.join("integrations/custom-mongo").exists());
    host.ok(&["uninstall"]);
    assert!(!there.join("integrations/custom-mongo").exists());

    // Somebody who may write in the home has put another etc/ there.
    let host = ManagerRoot::new();
    let etc = host.path("etc");
    fs::rename(&etc, host.here("/elsewhere")).unwrap();
    symlink("/elsewhere", &etc).unwrap();
    host.give_to_group(&host.path(""), 0o770);
    let said = host.fails(1, &["install"]);
    assert!(
        said.contains("others than root may have put there"),
        "{said}"
    );
}

#[test]
fn what_was_put_there_later_is_not_followed_by_uninstall() {
    let host = ManagerRoot::new();
    let (file, folder) = victims(&host);
    fs::write(folder.join("inside"), "kept").unwrap();
    host.ok(&["install"]);
    let settings = host.path("etc/custom-mongo.toml");
    fs::remove_file(&settings).unwrap();
    symlink("/etc/victim", &settings).unwrap();
    let state = host.path("var/db/custom-mongo");
    fs::remove_dir(&state).unwrap();
    symlink(&folder, &state).unwrap();
    let owner = fs::metadata(&folder).unwrap().uid();
    host.ok(&["uninstall", "--purge"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(fs::read_to_string(folder.join("inside")).unwrap(), "kept");
    assert_eq!(fs::metadata(&folder).unwrap().uid(), owner);
    assert_eq!(host.conf(), STOCK);
}
