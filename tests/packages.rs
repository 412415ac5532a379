//! The packages, made of this very program: the same bytes each time, exactly what is linked in the
//! bill of materials, and a .deb that installs into a clean root, where `check` runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::manager_root::ManagerRoot;
use crate::scratch;

/// The program without what a debugger needs, and the folder of its packages, made once.
static MADE: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let folder = scratch::fresh("packages");
    let program = folder.join("program");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&program);
    succeeded(strip.arg(env!("CARGO_BIN_EXE_custom-mongo")));
    let made = folder.join("made");
    build(&program, &made, ":");
    (program, made)
});

/// `packaging/build` for the .deb and the archive; `prelude` runs before it in the same shell.
fn build(program: &Path, into: &Path, prelude: &str) -> Output {
    let root = env!("CARGO_MANIFEST_DIR");
    let script =
        format!(r#"{prelude}; exec "$0/packaging/build" --binary "$1" --into "$2" --fast deb tar"#);
    let mut command = Command::new("bash");
    command.args(["-c", &script, root]).arg(program).arg(into);
    succeeded(&mut command)
}

#[track_caller]
fn succeeded(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|why| panic!("{command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// The only file in a folder whose name ends like this.
fn one(folder: &Path, end: &str) -> PathBuf {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = names
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .collect();
    assert_eq!(found.len(), 1, "{end}: {found:?}");
    found.remove(0)
}

/// `dpkg` on the host below `root`, without anything outside it.
fn dpkg(root: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", root.display())).args([
        "--log=/dev/null",
        "--force-not-root",
        "--force-script-chrootless",
        "--force-bad-path",
    ]);
    let output = succeeded(command.args(arguments));
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// A root folder without any package.
fn clean_root() -> PathBuf {
    let root = scratch::fresh("clean");
    prepare_dpkg(&root);
    root
}

fn prepare_dpkg(root: &Path) {
    for folder in ["info", "updates", "triggers"] {
        fs::create_dir_all(root.join("var/lib/dpkg").join(folder)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
}

#[test]
fn the_deb_installs_into_a_clean_root_and_check_runs_there() {
    let root = clean_root();
    let deb = one(&MADE.1, ".deb");
    let said = dpkg(&root, &["--install", deb.to_str().unwrap()]);
    assert!(said.contains("custom-mongo install"), "{said}");
    let program = root.join("usr/bin/custom-mongo");
    let version = succeeded(Command::new(&program).arg("--version")).stdout;
    let version = String::from_utf8(version).unwrap();
    assert_eq!(
        version.trim(),
        concat!("custom-mongo ", env!("CARGO_PKG_VERSION"))
    );
    are_understood(
        &program,
        &root.join("usr/share/custom-mongo/custom-mongo.toml"),
    );
    let mut check = Command::new(&program);
    let check = check.args(["check", "--root"]).arg(&root).output().unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(1), "{said}");
    assert!(said.contains("custom-mongo install --root"), "{said}");
    dpkg(&root, &["--verify", "custom-mongo"]);

    dpkg(&root, &["--purge", "custom-mongo"]);
    for folder in ["usr/bin", "usr/share", "etc"] {
        assert!(!root.join(folder).exists(), "{folder} is left");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let again = scratch::fresh("again");
    let (program, made) = &*MADE;
    let elsewhere = "umask 077; export TZ=Asia/Kolkata LC_ALL=C.UTF-8 USER=other; cd /";
    build(program, &again, elsewhere);
    for end in [".deb", ".tar.gz", ".json", "SUMS"] {
        let (first, second) = (one(made, end), one(&again, end));
        assert_eq!(first.file_name(), second.file_name());
        assert!(
            fs::read(&first).unwrap() == fs::read(&second).unwrap(),
            "{first:?} differs"
        );
    }
}

#[test]
fn no_file_bears_the_time_at_which_wazuh_refuses_it() {
    let mut tar = Command::new("tar");
    tar.args(["--list", "--verbose", "--full-time", "--utc", "--file"]);
    let listed = succeeded(tar.arg(one(&MADE.1, ".tar.gz"))).stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.lines().count() > 5, "{listed}");
    for line in listed.lines() {
        assert!(line.contains(" 0/0 ") && line.contains(" 20"), "{line}");
    }
}

#[test]
fn the_bill_of_materials_names_what_is_linked_and_nothing_else() {
    let (program, made) = &*MADE;
    let bill: Value = serde_json::from_slice(&fs::read(one(made, ".cdx.json")).unwrap()).unwrap();
    let parts = bill["components"].as_array().unwrap();
    let names: BTreeSet<_> = parts
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect();
    for linked in ["mongodb", "rustls", "ring", "tokio", "clap", "rust-std"] {
        assert!(names.contains(linked), "{linked} is missing");
    }
    // The tests', a macro's, a build script's, and our own.
    for not_linked in ["tempfile", "serde_derive", "cc", "custom-mongo"] {
        assert!(
            !names.contains(not_linked),
            "{not_linked} is not in the binary"
        );
    }
    let locked = include_str!("../Cargo.lock");
    for part in parts.iter().filter(|part| part["name"] != "rust-std") {
        let digest = part["hashes"][0]["content"].as_str().unwrap();
        assert!(locked.contains(digest), "{part}");
        assert!(part["licenses"][0]["expression"].is_string(), "{part}");
    }
    let digest = Sha256::digest(fs::read(program).unwrap());
    let digest = digest
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(
        bill["metadata"]["component"]["hashes"][0]["content"],
        *digest
    );
    let known: BTreeSet<_> = parts
        .iter()
        .map(|part| &part["bom-ref"])
        .map(Value::to_string)
        .collect();
    for edge in bill["dependencies"].as_array().unwrap() {
        for used in edge["dependsOn"].as_array().unwrap() {
            assert!(known.contains(&used.to_string()), "{used} is no component");
        }
    }
}

#[test]
fn the_containers_settings_are_known() {
    let settings = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/packaging/container/custom-mongo.toml"
    );
    are_understood(
        Path::new(env!("CARGO_BIN_EXE_custom-mongo")),
        Path::new(settings),
    );
}

/// `check` reads these settings and finds no unknown key in them.
#[track_caller]
fn are_understood(program: &Path, settings: &Path) {
    let mut check = Command::new(program);
    check.args(["check", "--config-only", "--format", "json", "--config"]);
    let said = check.arg(settings).output().unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).expect("JSON");
    let checks = said["checks"].as_array().unwrap();
    let read = checks.iter().find(|one| one["name"] == "settings").unwrap();
    assert_eq!(read["ok"], true, "{said:#}");
}

/// A package of another program under the same name, with a later version.
fn later_deb(program: &str) -> PathBuf {
    let folder = scratch::fresh("later");
    let deb = one(&MADE.1, ".deb");
    succeeded(
        Command::new("dpkg-deb")
            .arg("-R")
            .arg(deb)
            .arg(folder.join("deb")),
    );
    let control = folder.join("deb/DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let version = concat!("Version: ", env!("CARGO_PKG_VERSION"));
    fs::write(&control, text.replace(version, "Version: 999")).unwrap();
    let binary = folder.join("deb/usr/bin/custom-mongo");
    // Still the program: what follows its end does not count.
    let bytes = [&fs::read(&binary).unwrap(), program.as_bytes()].concat();
    fs::write(&binary, bytes).unwrap();
    let made = folder.join("later.deb");
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--root-owner-group", "-Znone", "--build"])
        .arg(folder.join("deb"));
    succeeded(build.arg(&made));
    made
}

#[test]
fn an_upgrade_refreshes_what_install_put_there_and_a_removal_takes_it_back() {
    let manager = ManagerRoot::new();
    let root = manager.root.clone();
    let (before, root_text) = (manager.snapshot(), root.to_str().unwrap());
    prepare_dpkg(&root);
    dpkg(
        &root,
        &["--install", one(&MADE.1, ".deb").to_str().unwrap()],
    );
    let installed = manager.path("integrations/custom-mongo");
    assert!(!installed.exists(), "a package sets nothing up by itself");
    let mut install = Command::new(root.join("usr/bin/custom-mongo"));
    install.args(["install", "--retention", "off", "--root", root_text]);
    succeeded(&mut install);
    assert!(fs::read(&installed).unwrap() == fs::read(root.join("usr/bin/custom-mongo")).unwrap());
    // What an administrator took away stays away.
    fs::remove_file(root.join("etc/logrotate.d/custom-mongo")).unwrap();

    let said = dpkg(&root, &["--install", later_deb("later").to_str().unwrap()]);
    assert!(said.contains("integrations/custom-mongo"), "{said}");
    assert!(fs::read(&installed).unwrap().ends_with(b"later"), "{said}");
    assert!(!root.join("etc/logrotate.d/custom-mongo").exists());
    let said = dpkg(&root, &["--install", later_deb("later").to_str().unwrap()]);
    assert!(said.contains("nothing to do"), "{said}");

    let said = dpkg(&root, &["--purge", "custom-mongo"]);
    assert!(!installed.exists(), "{said}");
    assert!(!said.contains("still set up"), "{said}");
    // dpkg takes its own folders away when they are empty, also those that were there.
    let mut after = manager.snapshot();
    after.retain(|path, _| !path.starts_with("var/lib"));
    for (path, entry) in &before {
        let is_ours = !path.starts_with("usr");
        assert!(
            !is_ours || after.get(path) == Some(entry),
            "{path:?} differs: {said}"
        );
    }
    let new: Vec<_> = after
        .keys()
        .filter(|path| !before.contains_key(*path))
        .collect();
    assert!(new.is_empty(), "{new:?} is left: {said}");
}
