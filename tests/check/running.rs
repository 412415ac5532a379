//! What has to run: the service at its socket, the collection, `follow`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;

use super::{Installed, assert_good, faults, good, mode, note, only, only_of};
use crate::background::Background;
use crate::fake::{Options, Server};
use crate::service::Service;
use crate::wazuh::{ALERTS, Wazuh};
use crate::wazuh_api::section;
use crate::webhook::until;

#[test]
fn a_service_that_answers_with_the_same_settings_is_good() {
    let wazuh = Wazuh::new("check_socket");
    note(&wazuh.json("check"), "serve socket");
    let service = Service::start(&wazuh);
    let before = service.log();
    assert!(good(&wazuh.json("check"), "serve socket").contains("with these settings"));
    assert_good(&wazuh);
    let log = service.log();
    let new = log.strip_prefix(&before).unwrap();
    assert!(!new.contains("alert"), "a question is no alert: {new}");
    let unchanged = service.metric("custom_mongo_alerts_received_total");
    assert!(unchanged < 0.5, "{unchanged}");

    // Settings that were changed after the start.
    wazuh.settings("[filter]\nlevel = 5\n");
    let fault = only_of(&wazuh, "serve socket");
    assert!(fault.detail.contains("other settings"), "{fault:?}");
    service.stop();
    let service = Service::start(&wazuh);
    assert_good(&wazuh);

    let socket = wazuh.home.join("queue/sockets/custom-mongo");
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
    let fault = only_of(&wazuh, "serve socket");
    fault.run();
    assert_good(&wazuh);

    service.signal(Signal::SIGSTOP);
    let fault = only_of(&wazuh, "serve socket");
    assert!(fault.detail.contains("does not answer"), "{fault:?}");
    service.signal(Signal::SIGCONT);
    assert_good(&wazuh);

    service.signal(Signal::SIGKILL);
    service.end();
    let fault = only_of(&wazuh, "serve socket");
    assert!(fault.detail.contains("gone"), "{fault:?}");
    let _service = Service::start(&wazuh);
    assert_good(&wazuh);
}

#[test]
fn what_is_in_the_way_of_the_socket_is_removed() {
    let wazuh = Wazuh::new("check_socket_file");
    fs::write(wazuh.home.join("queue/sockets/custom-mongo"), "").unwrap();
    only_of(&wazuh, "serve socket").run();
    assert_good(&wazuh);
}

#[test]
fn a_folder_of_the_socket_that_is_closed_is_opened() {
    let installed = Installed::new("check_socket_way");
    let folder = installed.host.path("queue/sockets");
    mode(&folder, 0o000);
    let fault = only(&installed.check(), "serve socket");
    assert_eq!(
        fault.fix,
        "let the user that Wazuh runs as look into that folder"
    );
    mode(&folder, 0o770);
    installed.assert_good();
}

#[test]
fn a_service_that_would_be_open_to_others_is_a_fault_of_the_settings() {
    let wazuh = Wazuh::new("check_listen");
    wazuh.settings("[serve]\nhost = \"0.0.0.0\"\n");
    let fault = only_of(&wazuh, "serve");
    assert!(fault.detail.contains("serve.insecure_listen"), "{fault:?}");
    wazuh.settings("[serve]\nhost = \"0.0.0.0\"\ninsecure_listen = true\n");
    assert_good(&wazuh);
}

#[test]
fn a_unit_that_is_enabled_and_does_not_run_is_a_fault() {
    let installed = Installed::new("check_unit");
    let units = installed.host.here("/etc/systemd/system");
    let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    fs::write(units.join("custom-mongo.service"), unit).unwrap();
    // Another host's units do not run here: that they are not enabled can be seen all the same.
    let said = note(&installed.check_below(), "serve socket");
    assert!(said.fix.starts_with("systemctl --root "), "{said:?}");
    said.run();
    let check = installed.check_below();
    assert_eq!(faults(&check), [], "{check:#}");
    assert_eq!(note(&check, "serve socket").fix, "");
}

#[test]
fn an_inventory_that_nobody_collects_is_a_fault_until_cron_or_a_timer_does() {
    let server = Server::start(Options::default()).unwrap();
    let installed = Installed::new("check_collect");
    let uri = crate::mongod::shared().uri();
    let store = format!("[store]\nuri = {uri:?}\ndatabase = \"check_collect\"\n");
    installed.settings(&format!("{store}{}", section(&server.url(), "")));
    let fault = only(&installed.check_below(), "collect");
    assert!(
        fault.fix.contains(" install ") && fault.fix.ends_with("--collect"),
        "{fault:?}"
    );

    let cron = installed.host.here("/etc/cron.d/custom-mongo");
    if nix::unistd::geteuid().is_root() {
        // As it says, on a host without systemd.
        fs::remove_dir_all(installed.host.here("/run/systemd")).unwrap();
        fault.run();
        assert!(good(&installed.check_below(), "collect").contains("cron.d"));
    }
    let line = "*/15 * * * * root /var/ossec/integrations/custom-mongo -q collect\n";
    fs::write(&cron, format!("# {line}")).unwrap();
    only(&installed.check_below(), "collect");
    fs::write(&cron, line).unwrap();
    assert!(good(&installed.check_below(), "collect").contains("cron.d"));
    assert!(
        note(&installed.check_below(), "drain")
            .detail
            .contains("neither cron")
    );
    let drain = "*/5 * * * * root /var/ossec/integrations/custom-mongo -q spool drain\n";
    fs::write(&cron, format!("{line}{drain}")).unwrap();
    good(&installed.check_below(), "drain");
    fs::remove_file(&cron).unwrap();

    let units = installed.host.here("/etc/systemd/system");
    let timer = "[Timer]\nOnCalendar=*:0/15\n[Install]\nWantedBy=timers.target\n";
    fs::write(units.join("custom-mongo-collect.timer"), timer).unwrap();
    let fault = only(&installed.check_below(), "collect");
    assert!(fault.fix.starts_with("systemctl --root "), "{fault:?}");
    fault.run();
    assert!(good(&installed.check_below(), "collect").contains("timer"));
    fs::remove_dir_all(units.join("timers.target.wants")).unwrap();

    // Whoever starts it: a run shows that somebody does.
    let output = installed.run(&["collect", "--agent", "000"]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    assert!(good(&installed.check_below(), "collect").contains("within the last day"));
}

#[test]
fn follow_that_does_not_run_or_does_not_move_is_told() {
    let wazuh = Wazuh::new("check_follow");
    let alerts = wazuh.home.join("logs/alerts");
    fs::create_dir(&alerts).unwrap();
    let alerts = alerts.join("alerts.json");
    fs::write(&alerts, ALERTS).unwrap();
    let follow = Background::start(&wazuh, &["follow", "--from-start"]);
    until("it is stored", || {
        crate::wazuh::stored("check_follow").len() == ALERTS.lines().count()
    });
    until("its place is kept", || {
        findings_of_follow(&wazuh).starts_with("runs")
    });
    assert_good(&wazuh);
    // Alerts came for a while, and its place did not move.
    let folder = wazuh.state().join("follow");
    let folder = fs::read_dir(folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let kept = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let kept = kept
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "json"));
    let kept = fs::File::options()
        .append(true)
        .open(kept.unwrap())
        .unwrap();
    kept.set_modified(SystemTime::now() - Duration::from_secs(3600))
        .unwrap();
    let fault = only_of(&wazuh, "follow");
    assert!(fault.detail.contains("has not moved"), "{fault:?}");
    kept.set_modified(SystemTime::now()).unwrap();
    assert_good(&wazuh);

    follow.kill();
    let check = wazuh.json("check");
    assert_eq!(
        faults(&check),
        [],
        "nobody said that it has to run: {check:#}"
    );
    assert!(note(&check, "follow").detail.contains("does not run"));
}

fn findings_of_follow(wazuh: &Wazuh) -> String {
    let check = wazuh.json("check");
    let mut all = check["checks"].as_array().unwrap().iter();
    let follow = all.find(|one| one["name"] == "follow");
    follow.map_or_else(String::new, |one| {
        one["detail"].as_str().unwrap().to_owned()
    })
}
