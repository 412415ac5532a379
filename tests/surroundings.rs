//! What may be odd around a call: pipes instead of files, limits, commands that leave children, a
//! full grave, a typo in the address.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use mongodb::bson::doc;
use nix::sys::stat::Mode;

use crate::call::{normal, number};
use crate::mongod;
use crate::terminal::Terminal;
use crate::wazuh::{UNHURRIED, Wazuh, numbered, stored};

#[test]
fn a_pipe_instead_of_a_file_holds_nobody_up() {
    let wazuh = Wazuh::new("pipe");
    let pipe = wazuh.home.join("tmp/pipe.alert");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let pipe = pipe.to_str().unwrap();
    let outcome = wazuh.invoke(&normal(pipe, "", ""));
    assert!(outcome.took < Duration::from_secs(12), "{outcome:?}");
    outcome.assert_no(1, &wazuh);

    let options = wazuh.home.join("tmp/pipe.options");
    nix::unistd::mkfifo(&options, Mode::S_IRWXU).unwrap();
    let file = wazuh.alert_file(numbered(0).to_string().as_bytes());
    let mut arguments = normal(&file, "", "");
    arguments[4] = options.to_str().unwrap();
    wazuh.invoke(&arguments).assert_yes();
    assert_eq!(stored("pipe").len(), 1);
}

#[test]
fn a_command_that_leaves_a_child_behind_holds_nobody_up() {
    let uri = mongod::shared().uri();
    let command = format!("sleep 20 & echo '{uri}'");
    let wazuh = Wazuh::with_store(&format!(
        "uri_command = {command:?}\ndatabase = \"child\"\n"
    ));
    wazuh.settings(UNHURRIED);
    let outcome = wazuh.call(numbered(0).to_string());
    outcome.assert_yes();
    assert!(outcome.took < Duration::from_secs(12), "{outcome:?}");
    assert_eq!(stored("child").len(), 1);
}

/// `wazuh` may write the settings, and root calls us on his terminal: what a command typed there, root
/// would have typed.
#[test]
fn a_command_has_no_terminal() {
    let uri = mongod::shared().uri();
    let seen = crate::scratch::fresh("terminal").join("seen");
    let seen_at = seen.display();
    let command = format!("(echo x >/dev/tty) 2>/dev/null; echo $? >{seen_at}; echo '{uri}'");
    let wazuh = Wazuh::with_store(&format!(
        "uri_command = {command:?}\ndatabase = \"terminal\"\n"
    ));
    let (status, said) = Terminal::start(&wazuh, "", "spool status", (100, 20)).end();
    assert_eq!(status, 0, "{said}");
    let could_not = std::fs::read_to_string(&seen).expect("the command ran");
    assert_ne!(could_not.trim(), "0", "it wrote to the terminal: {said}");
    assert!(said.contains("this MongoDB"), "its words counted: {said}");
}

/// Death by a signal would put `hook_url` into ossec.log.
#[test]
fn a_file_size_limit_is_an_error_and_no_signal() {
    let wazuh = Wazuh::new("limited");
    wazuh.settings("[delivery]\nmode = \"spool\"\n");
    let file = wazuh.alert_file(numbered(0).to_string().as_bytes());
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 100; exec \"$0\" \"$@\""])
        .arg(wazuh.home.join("integrations/custom-mongo"))
        .args(normal(&file, "", ""))
        .current_dir(&wazuh.home)
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .unwrap();
    assert_eq!(number(output.status), 1, "{output:?}");
    assert_eq!(wazuh.pending(), 0, "nothing half-written");
    wazuh.call(numbered(0).to_string()).assert_yes();
    assert_eq!(wazuh.drain()["stored"], 1);
}

#[test]
fn alerts_for_a_mistyped_address_can_be_brought_home() {
    let wazuh = Wazuh::with_uri("mongodb://127.0.0.1:1/", "astray");
    wazuh.call(numbered(0).to_string()).assert_yes();
    let status = wazuh.json("spool status");
    let lost = status["destinations"][0]["destination"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        status["destinations"][0]["name"],
        "127.0.0.1:1, database astray"
    );

    let uri = mongod::shared().uri();
    wazuh.raw_settings(&format!("[store]\nuri = {uri:?}\ndatabase = \"astray\"\n"));
    let drained = wazuh.run(&["spool", "drain"]);
    let said = String::from_utf8_lossy(&drained.stderr);
    assert!(
        said.contains(&format!("spool drain --from {lost}")),
        "{said}"
    );
    assert_eq!(wazuh.json("check")["ok"], false, "check knows of them too");
    let from = wazuh.run(&["spool", "drain", "--from", &lost]);
    assert!(from.status.success(), "{from:?}");
    assert_eq!(stored("astray").len(), 1);
    assert_eq!(wazuh.json("check")["ok"], true);
}

/// Two alerts that MongoDB refuses, and no room for dead letters: the good ones go all the same.
#[test]
fn a_full_grave_holds_up_no_good_alert() {
    let wazuh = Wazuh::new("grave");
    wazuh.settings("[spool]\nmax_size = \"4 MiB\"\n[delivery]\nmode = \"spool\"\n");
    let refuse = doc! { "create": "alerts", "validator": { "refused": { "$exists": false } } };
    mongod::shared()
        .database("grave")
        .run_command(refuse)
        .run()
        .unwrap();
    // Each takes most of the dead letters' share, which is 1 MiB here.
    let filler = "x".repeat(600 << 10);
    for number in 0..2 {
        let bad = format!("{{\"id\":\"{number}\",\"timestamp\":\"t\",\"refused\":\"{filler}\"}}");
        wazuh.call(bad).assert_yes();
    }
    wazuh.call(numbered(0).to_string()).assert_yes();
    for _ in 0..3 {
        wazuh.run(&["spool", "drain"]);
    }
    assert_eq!(stored("grave").len(), 1, "the good one");
    assert_eq!(
        (
            wazuh.pending(),
            wazuh.json("spool dead list").as_array().unwrap().len()
        ),
        (1, 1)
    );
}
