//! Settings: where they come from, what a mistake costs (nothing), and that secrets stay secret.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use crate::call::normal;
use crate::mongod;
use crate::wazuh::{ALERTS, UNHURRIED, Wazuh, numbered, only, stored, text};

#[test]
fn an_unknown_key_costs_no_alert() {
    let wazuh = Wazuh::new("typo");
    let uri = mongod::shared().uri();
    wazuh.raw_settings(&format!("[store]\nuri = {uri:?}\ndatabse = \"typo\"\n"));
    let line = wazuh.call(first()).assert_no(78, &wazuh).to_owned();
    assert!(
        line.contains("databse") && line.contains("`database`"),
        "{line}"
    );
    wazuh.settings("");
    wazuh.drain();
    assert_eq!(text(&only("typo"), "id"), "1748872001.1337");
}

/// systemd's `LoadCredential=`: the folder is known to the unit alone.
#[test]
fn a_secret_may_be_a_credential_of_a_unit() {
    let mut wazuh = Wazuh::new("credential");
    let folder = wazuh.home.join("tmp/credentials");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("uri"), mongod::shared().uri()).unwrap();
    fs::set_permissions(folder.join("uri"), PermissionsExt::from_mode(0o400)).unwrap();
    wazuh.raw_settings(
        "[store]\nuri_file = \"$CREDENTIALS_DIRECTORY/uri\"\ndatabase = \"credential\"\n[spool]\ndisk_reserve = 0\n",
    );
    let line = wazuh.call(first()).assert_no(78, &wazuh).to_owned();
    assert!(line.contains("LoadCredential=uri:"), "{line}");
    let folder = folder.display().to_string();
    wazuh.environment.push(("CREDENTIALS_DIRECTORY", folder));
    wazuh.drain();
    assert_eq!(text(&only("credential"), "id"), "1748872001.1337");
}

#[test]
fn any_bad_setting_is_78_and_the_alert_is_kept() {
    let wazuh = Wazuh::new("bad");
    let uri = mongod::shared().uri();
    let store = format!("[store]\nuri = {uri:?}\ndatabase = \"bad\"\n");
    let bad = [
        ("[store\n".to_owned(), "custom-mongo.toml"),
        ("[sotre]\n".to_owned(), "`store`"),
        ("[store]\nuri = 7\n".to_owned(), "uri"),
        (
            "[store]\nuri = \"http://example.org\"\n".to_owned(),
            "mongodb",
        ),
        (
            format!("{store}[delivery]\ndeadline = \"soon\"\n"),
            "deadline",
        ),
        (format!("{store}[spool]\nmax_size = \"big\"\n"), "max_size"),
        (format!("{store}[delivery]\nmode = \"sometimes\"\n"), "mode"),
        (format!("{store}[redact]\npatterns = [\"(\"]\n"), "patterns"),
        (
            format!("{store}uri_file = \"/nonexistent/uri\"\n"),
            "uri_file",
        ),
        (
            format!("{store}ca_file = \"/nonexistent/ca.pem\"\n"),
            "ca_file",
        ),
    ];
    for (number, (settings, named)) in bad.iter().enumerate() {
        wazuh.raw_settings(settings);
        let line = wazuh
            .call(numbered(number).to_string())
            .assert_no(78, &wazuh)
            .to_owned();
        assert!(line.contains(named), "{line} does not name {named}");
    }
    wazuh.settings("");
    wazuh.drain();
    assert_eq!(stored("bad").len(), bad.len());
}

#[test]
fn a_uri_option_that_the_driver_refuses_is_named() {
    let wazuh = Wazuh::new("option");
    let uri = mongod::shared().uri();
    for option in [
        "socketTimeoutMS=1000",
        "wtimeout=5",
        "compressors=zstd",
        "timeoutMS=1",
    ] {
        let uri = format!("{uri}&{option}");
        wazuh.raw_settings(&format!("[store]\nuri = {uri:?}\ndatabase = \"option\"\n"));
        let line = wazuh.call(first()).assert_no(78, &wazuh).to_owned();
        let name = option.split('=').next().unwrap();
        assert!(line.to_lowercase().contains(&name.to_lowercase()), "{line}");
    }
    wazuh.settings("");
    wazuh.drain();
    assert_eq!(stored("option").len(), 1);
}

#[test]
fn the_uri_may_come_from_a_file_a_command_or_the_environment() {
    let uri = mongod::shared().uri();
    let file = Wazuh::with_store("uri_file = \"etc/uri\"\ndatabase = \"from_file\"\n");
    file.settings(UNHURRIED);
    fs::write(file.home.join("etc/uri"), format!("{uri}\n")).unwrap();
    fs::set_permissions(file.home.join("etc/uri"), PermissionsExt::from_mode(0o600)).unwrap();
    file.call(first()).assert_yes();
    only("from_file");

    let store = format!("uri_command = \"echo '{uri}'\"\ndatabase = \"from_command\"\n");
    let command = Wazuh::with_store(&store);
    command.settings(UNHURRIED);
    command.call(first()).assert_yes();
    only("from_command");

    for (database, uri_name, database_name) in [
        ("from_plain", "MONGO_URI", "MONGO_DB"),
        (
            "from_names",
            "CUSTOM_MONGO_STORE__URI",
            "CUSTOM_MONGO_STORE__DATABASE",
        ),
    ] {
        let mut plain = Wazuh::with_store("database = \"overruled\"\n");
        plain.settings(UNHURRIED);
        plain.environment.push((uri_name, uri.clone()));
        plain.environment.push((database_name, database.into()));
        plain.call(first()).assert_yes();
        only(database);
    }
    assert_eq!(stored("overruled").len(), 0);
}

#[test]
fn env_files_count_beside_the_settings_only() {
    let uri = mongod::shared().uri();
    let wazuh = Wazuh::with_store("");
    wazuh.settings(UNHURRIED);
    let dotenv = format!("# as for the Python service\nMONGO_URI={uri}\nMONGO_DB=\"dotenv\"\n");
    fs::write(wazuh.home.join("etc/.env"), dotenv).unwrap();
    fs::set_permissions(
        wazuh.home.join("etc/.env"),
        PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    fs::write(wazuh.home.join(".env"), "MONGO_DB=trap\n").unwrap();
    wazuh.call(first()).assert_yes();
    only("dotenv");
    assert_eq!(stored("trap").len(), 0);
}

#[test]
fn the_settings_file_can_be_elsewhere() {
    let mut wazuh = Wazuh::with_store("");
    let path = wazuh.home.join("elsewhere.toml");
    let uri = mongod::shared().uri();
    fs::write(
        &path,
        format!("[store]\nuri = {uri:?}\ndatabase = \"elsewhere\"\n{UNHURRIED}"),
    )
    .unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    wazuh
        .environment
        .push(("CUSTOM_MONGO_CONFIG", path.display().to_string()));
    wazuh.call(first()).assert_yes();
    only("elsewhere");
}

#[test]
fn the_state_folder_can_be_elsewhere() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let mut wazuh = Wazuh::with_uri(&dead, "state");
    let state = crate::scratch::fresh("state");
    wazuh
        .environment
        .push(("CUSTOM_MONGO_STATE_DIR", state.display().to_string()));
    wazuh.call(first()).assert_yes();
    assert!(state.join("spool").is_dir() && !wazuh.state().join("spool").exists());
    assert_eq!(wazuh.pending(), 1);
}

#[test]
fn passwords_are_in_no_output() {
    let dead = mongod::free_port();
    let uri = format!("mongodb://admin:hush-uri@127.0.0.1:{dead}/?serverSelectionTimeoutMS=200");
    let mut wazuh = Wazuh::with_uri(&uri, "passwords");
    let said = say_everything(&wazuh);
    assert!(!said.contains("hush"), "{said}");

    let user = format!("uri = \"mongodb://127.0.0.1:{dead}/\"\nusername = \"admin\"\n");
    wazuh.raw_settings(&format!("[store]\n{user}password = \"hush-setting\"\n"));
    let said = say_everything(&wazuh);
    assert!(!said.contains("hush"), "{said}");

    // Settings that cannot be read: the message may show the line, never the secret in it.
    wazuh.raw_settings(&format!(
        "[store]\n{user}password = \"hush-setting\" x\nuri = \"{uri}\"\n"
    ));
    let said = say_everything(&wazuh);
    assert!(!said.contains("hush"), "{said}");

    wazuh.raw_settings("");
    wazuh.environment.push(("MONGO_URI", uri));
    wazuh.environment.push(("RUST_LOG", "trace".into()));
    let drain = start(&wazuh, "spool drain -vv");
    let mut said = say_everything(&wazuh);
    said += &output_of(drain);
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn a_secret_that_others_can_read_is_reported() {
    let wazuh = Wazuh::new("readable");
    let path = wazuh.home.join("etc/custom-mongo.toml");
    fs::write(&path, "[store]\nuri = \"mongodb://u:hush@127.0.0.1:1/\"\n").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let check = wazuh.json("check");
    assert_eq!(check["ok"], false, "{check}");
    let named = check["checks"].as_array().unwrap().iter().any(|one| {
        one["ok"] == false && one["fix"].as_str().is_some_and(|fix| fix.contains("chmod"))
    });
    assert!(named, "{check}");
}

/// All that the product prints, on every way that we know.
fn say_everything(wazuh: &Wazuh) -> String {
    let file = wazuh.alert_file(first().as_bytes());
    let mut said = wazuh.invoke(&normal(&file, "", "")).output;
    let debug = [&file, "", "", "debug", "", "10", "3"];
    said += &wazuh.invoke(&debug).output;
    // At once, since each waits for a server that does not answer.
    let commands = ["--test -v", "check -v", "spool status", "spool list"];
    let running: Vec<_> = commands.map(|command| start(wazuh, command)).into();
    for command in running {
        said += &output_of(command);
    }
    said + &wazuh.log()
}

fn start(wazuh: &Wazuh, command: &str) -> Child {
    let mut command = wazuh.command(&command.split(' ').collect::<Vec<_>>());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the command starts")
}

fn output_of(command: Child) -> String {
    let output = command.wait_with_output().expect("the command ends");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into()
}

fn first() -> &'static str {
    ALERTS.lines().next().expect("a line")
}
