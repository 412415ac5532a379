//! What the settings in force say, however they were changed while `serve` runs: a hook hands over to
//! a `serve` that has read the same, and goes its own way from every other.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{call, handed_over, socket};
use crate::json::Json;
use crate::mongod;
use crate::service::Service;
use crate::wazuh::{Wazuh, numbered, stored, text};
use crate::webhook::until;

fn file(wazuh: &Wazuh) -> PathBuf {
    wazuh.home.join("etc/custom-mongo.toml")
}

/// The settings' text with this site.
fn with_site(wazuh: &Wazuh, site: &str) -> String {
    let text = fs::read_to_string(file(wazuh)).unwrap();
    let rest = text.lines().filter(|line| !line.starts_with("site = "));
    rest.fold(format!("site = \"{site}\"\n"), |all, line| {
        all + line + "\n"
    })
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// Calls once; whether it was handed over, and with which site the alert is stored.
#[track_caller]
fn site_of_call(wazuh: &Wazuh, database: &str, number: usize) -> (bool, String) {
    let before = handed_over(wazuh);
    call(wazuh, numbered(number).to_string()).assert_yes();
    let id = format!("1748872000.{number}");
    let find = || {
        let all = stored(database);
        all.into_iter().find(|document| text(document, "id") == id)
    };
    until("it is in MongoDB", || find().is_some());
    let site = text(&find().unwrap(), "_site").to_owned();
    (handed_over(wazuh) > before, site)
}

/// In its bytes, of the same length and with the old time; by another file; behind a link.
#[test]
fn a_change_counts_at_once_however_it_was_made() {
    let wazuh = Wazuh::new("relay_edited");
    let path = file(&wazuh);
    write_secret(&path, &with_site(&wazuh, "aa"));
    let real = path.with_file_name("real.toml");
    fs::rename(&path, &real).unwrap();
    symlink(&real, &path).unwrap();
    let _service = Service::start(&wazuh);
    let call = |number| site_of_call(&wazuh, "relay_edited", number);
    assert_eq!(call(0), (true, "aa".into()));

    let meta = fs::metadata(&path).unwrap();
    let changed = with_site(&wazuh, "bb");
    let mut opened = File::options().write(true).open(&path).unwrap();
    opened.write_all(changed.as_bytes()).unwrap();
    opened.set_modified(meta.modified().unwrap()).unwrap();
    assert_eq!(opened.metadata().unwrap().len(), meta.len());
    assert_eq!(call(1), (false, "bb".into()));

    // What the service has read, as another file.
    write_secret(&path.with_file_name("new"), &with_site(&wazuh, "aa"));
    fs::rename(path.with_file_name("new"), &real).unwrap();
    assert_eq!(call(2), (true, "aa".into()));

    write_secret(&path.with_file_name("other.toml"), &with_site(&wazuh, "cc"));
    fs::remove_file(&path).unwrap();
    symlink("other.toml", &path).unwrap();
    assert_eq!(call(3), (false, "cc".into()));
}

#[test]
fn filter_and_redaction_count_at_once() {
    let wazuh = Wazuh::new("relay_rules");
    wazuh.settings("[redact]\nkeys = \"password\"\n");
    let _service = Service::start(&wazuh);
    let secret = |number| numbered(number).with("secret", Json::Text("x1".into()));
    wazuh.settings("[redact]\nkeys = \"secret\"\n");
    call(&wazuh, secret(0).to_string()).assert_yes();
    assert_eq!(text(&stored("relay_rules")[0], "secret"), "[redacted]");
    let rule = secret(1).text("rule.id").unwrap().to_owned();
    wazuh.settings(&format!("[filter]\nexclude_rule_id = \"{rule}\"\n"));
    call(&wazuh, secret(1).to_string()).assert_yes();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((handed_over(&wazuh), stored("relay_rules").len()), (0, 1));
}

/// A file that appears, that nobody may read, that is a link into the void or a folder.
#[test]
fn what_becomes_of_the_env_file_counts_at_once() {
    let wazuh = Wazuh::new("relay_env");
    let env = wazuh.home.join("etc/.env");
    symlink("nowhere", &env).unwrap();
    let service = Service::start(&wazuh);
    let call = |number| site_of_call(&wazuh, "relay_env", number);
    assert_eq!(call(0), (true, "default".into()), "a link into the void");
    write_secret(&wazuh.home.join("etc/nowhere"), "CUSTOM_MONGO_SITE=bb\n");
    assert_eq!(call(1), (false, "bb".into()));
    drop(service);
    let _service = Service::start(&wazuh);
    assert_eq!(call(2), (true, "bb".into()));
    fs::remove_file(&env).unwrap();
    assert_eq!(call(3), (false, "default".into()));
    fs::create_dir(&env).unwrap();
    let refused = super::call(&wazuh, numbered(4).to_string());
    assert_eq!(refused.status, 78, "{refused:?}");
    fs::remove_dir(&env).unwrap();
    until("it is brought in", || stored("relay_env").len() == 5);
}

/// As root there is no file that cannot be read.
#[test]
fn settings_that_cannot_be_read_any_more_keep_the_alert() {
    let wazuh = Wazuh::new("relay_unreadable");
    let _service = Service::start(&wazuh);
    let path = file(&wazuh);
    fs::rename(&path, path.with_extension("away")).unwrap();
    fs::create_dir(&path).unwrap();
    let refused = call(&wazuh, numbered(0).to_string());
    assert_eq!(refused.status, 78, "{refused:?}");
    assert_eq!(handed_over(&wazuh), 0);
    fs::remove_dir(&path).unwrap();
    fs::rename(path.with_extension("away"), &path).unwrap();
    until("it is brought in", || stored("relay_unreadable").len() == 1);
}

/// The environment of one of the two, and the other way round.
#[test]
fn variables_of_one_side_alone_send_the_hook_its_own_way() {
    let mut wazuh = Wazuh::new("relay_variables");
    let site = ("CUSTOM_MONGO_SITE", "bb".to_owned());
    wazuh.environment.push(site.clone());
    let service = Service::start(&wazuh);
    let call = |wazuh: &Wazuh, number| site_of_call(wazuh, "relay_variables", number);
    assert_eq!(call(&wazuh, 0), (true, "bb".into()));
    wazuh.environment.clear();
    assert_eq!(call(&wazuh, 1), (false, "default".into()));
    drop(service);

    let _service = Service::start(&wazuh);
    wazuh.environment.push(site);
    assert_eq!(call(&wazuh, 2), (false, "bb".into()));
    wazuh.environment.clear();
    let other = wazuh.home.join("tmp/other.toml");
    write_secret(&other, &with_site(&wazuh, "cc"));
    let config = other.display().to_string();
    wazuh.environment.push(("CUSTOM_MONGO_CONFIG", config));
    assert_eq!(call(&wazuh, 3), (false, "cc".into()));
    wazuh.environment.clear();
    assert_eq!(call(&wazuh, 4), (true, "default".into()));
}

/// Another file of the service's, and the same one by another name.
#[test]
fn what_serve_was_told_to_read_is_what_counts() {
    let mut wazuh = Wazuh::new("relay_config");
    let other = wazuh.home.join("tmp/other.toml");
    write_secret(&other, &with_site(&wazuh, "cc"));
    let config = ("CUSTOM_MONGO_CONFIG", other.display().to_string());
    wazuh.environment.push(config);
    let service = Service::start(&wazuh);
    wazuh.environment.clear();
    let call = |number| site_of_call(&wazuh, "relay_config", number);
    assert_eq!(call(0), (false, "default".into()));
    drop(service);
    fs::remove_file(&other).unwrap();
    symlink(file(&wazuh), &other).unwrap();
    let mut wazuh = wazuh;
    let config = ("CUSTOM_MONGO_CONFIG", other.display().to_string());
    wazuh.environment.push(config);
    let _service = Service::start(&wazuh);
    wazuh.environment.clear();
    assert_eq!(
        site_of_call(&wazuh, "relay_config", 1),
        (true, "default".into())
    );
}

/// The address in ossec.conf is of this call alone.
#[test]
fn an_address_in_the_call_counts_before_the_settings() {
    let dead = format!("mongodb://127.0.0.1:{}/", mongod::free_port());
    let wazuh = Wazuh::with_uri(&dead, "relay_hook_url");
    let _service = Service::start(&wazuh);
    assert!(socket(&wazuh).exists());
    let alert = wazuh.alert_file(numbered(0).to_string().as_bytes());
    let uri = mongod::shared().uri();
    let arguments = [alert.as_str(), "", uri.as_str(), "debug", "", "10", "3"];
    wazuh.invoke(&arguments).assert_yes();
    assert_eq!(handed_over(&wazuh), 0, "{}", wazuh.log());
    assert_eq!(stored("relay_hook_url").len(), 1);
}

/// The hook's state folder is another than the service's: the alert is in one of them.
#[test]
fn another_state_folder_on_one_side_loses_nothing() {
    let mut wazuh = Wazuh::new("relay_state");
    let _service = Service::start(&wazuh);
    let state = wazuh.home.join("tmp/state").display().to_string();
    wazuh.environment.push(("CUSTOM_MONGO_STATE_DIR", state));
    call(&wazuh, numbered(0).to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1);
    until("it is in MongoDB", || stored("relay_state").len() == 1);
}

/// What the socket does not take at once is refused while it is being sent.
#[test]
fn a_large_alert_is_handed_over_with_settings_that_had_to_be_read() {
    let mut wazuh = Wazuh::new("relay_large_read");
    wazuh
        .environment
        .push(("CUSTOM_MONGO_SITE", "default".into()));
    wazuh.raw_settings(&with_site(&wazuh, "default"));
    let _service = Service::start(&wazuh);
    wazuh.environment.clear();
    let large = numbered(0).with("full_log", Json::Text("y".repeat(3 << 20)));
    call(&wazuh, large.to_string()).assert_yes();
    assert_eq!(handed_over(&wazuh), 1, "{}", wazuh.log());
    until("it is in MongoDB", || stored("relay_large_read").len() == 1);
}

/// The time that a command for the address takes is not the service's.
#[test]
fn a_command_that_takes_its_time_closes_no_lane() {
    let uri = mongod::shared().uri();
    let command = format!("sleep 0.25; echo '{uri}'");
    let wazuh = Wazuh::with_store(&format!(
        "uri_command = {command:?}\ndatabase = \"relay_command\"\n"
    ));
    let limits = "relay_timeout = \"200 ms\"\ndeadline = \"30 s\"\nprobe_every = \"1 ms\"\n";
    wazuh.settings(&format!("[delivery]\n{limits}"));
    let _service = Service::start(&wazuh);
    // On a busy machine the command or the service may be too slow, but not every time.
    let mut tries = 0..10;
    while handed_over(&wazuh) == 0 {
        let number = tries.next().expect("one is handed over");
        call(&wazuh, numbered(number).to_string());
    }
}
