//! Units of systemd that are enabled: what they start has to run. `systemctl restart` is what the unit
//! does, done by hand.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};

use nix::unistd::geteuid;

use super::{Installed, faults, good, only, read};
use crate::call;
use crate::wazuh::ALERTS;
use crate::webhook::until;

/// As `systemctl enable` does it.
fn enable(installed: &Installed, name: &str) {
    let units = installed.host.here("/etc/systemd/system");
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    fs::write(units.join(name), "[Service]\n").unwrap();
    symlink(format!("/etc/systemd/system/{name}"), wants.join(name)).unwrap();
}

/// A process that the unit would start; killed when it is dropped.
struct Started(Child);

impl Started {
    fn by(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn follow_that_is_enabled_and_does_not_run_is_started_again() {
    let installed = Installed::new("check_follow_unit");
    let alerts = installed.host.path("logs/alerts/alerts.json");
    fs::write(alerts, ALERTS).unwrap();
    enable(&installed, "custom-mongo-follow.service");
    for detail in ["has never kept a place", "does not run"] {
        let fault = only(&installed.check_below(), "follow");
        assert!(fault.detail.contains(detail), "{fault:?}");
        assert_eq!(fault.fix, "systemctl restart custom-mongo-follow.service");
        let _follow = Started::by(installed.command(&["follow", "--from-start"]));
        until("it keeps its place", || {
            faults(&installed.check_below()).is_empty()
        });
        assert!(good(&installed.check_below(), "follow").starts_with("runs"));
    }
}

/// With its folders as the root of the file system it is this host, whose units have to run.
#[test]
fn a_service_that_is_enabled_and_does_not_run_is_started_again() {
    if !geteuid().is_root() {
        // Nobody else may change the root.
        return;
    }
    let installed = Installed::new("check_service_unit");
    installed.host.bring(env!("CARGO_BIN_EXE_custom-mongo"));
    enable(&installed, "custom-mongo.service");
    let inside = |arguments: &[&str]| {
        let mut command = Command::new("chroot");
        let path = "/usr/sbin:/usr/bin:/sbin:/bin";
        command
            .env_clear()
            .env("PATH", path)
            .arg(&installed.host.root);
        command
            .arg("/var/ossec/integrations/custom-mongo")
            .args(arguments);
        command
    };
    let check = || read(&call::finish(inside(&["check", "--format", "json"]), b""));
    for detail in ["nobody is at", "left by a service that is gone"] {
        let fault = only(&check(), "serve socket");
        assert!(fault.detail.contains(detail), "{fault:?}");
        assert_eq!(fault.fix, "systemctl restart custom-mongo.service");
        let _service = Started::by(inside(&["serve", "--listen", "127.0.0.1:0"]));
        until("it has its socket", || faults(&check()).is_empty());
        assert!(good(&check(), "serve socket").contains("with these settings"));
    }
}
