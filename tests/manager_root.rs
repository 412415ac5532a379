//! A root folder laid out like the host of a Wazuh 4.14 manager, for `install`, `uninstall`, `check`.
//! As root its owners are those of a real one; as anyone else everything is our own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use nix::unistd::{getegid, geteuid};

use crate::{call, scratch};

/// Wazuh's settings in the shape in which they come: two roots, no integration.
pub(crate) const STOCK: &str = include_str!("fixtures/manager/stock.conf");
/// Integrations of others, a plain one first, in two roots; one root is indented by tabs.
pub(crate) const INTEGRATIONS: &str = include_str!("fixtures/manager/integrations.conf");
/// Where Wazuh lies unless somebody chose another place.
pub(crate) const USUAL_HOME: &str = "/var/ossec";

/// User and group `wazuh` of such a host: nobody on this one.
const WAZUH: u32 = 64_950;

/// What `wazuh-integratord -t` is there.
const INTEGRATORD: &str = include_str!("fixtures/manager/wazuh-integratord");

/// Whose a file is.
#[derive(Clone, Copy)]
enum Owner {
    Root,
    /// root:wazuh
    Shared,
    Wazuh,
}

/// Folders of the Wazuh home with their modes (`src/init/inst-functions.sh`).
const FOLDERS: [(&str, Owner, u32); 28] = [
    ("", Owner::Shared, 0o750),
    ("active-response", Owner::Shared, 0o750),
    ("active-response/bin", Owner::Shared, 0o750),
    ("api", Owner::Shared, 0o770),
    ("bin", Owner::Shared, 0o750),
    ("etc", Owner::Shared, 0o770),
    ("etc/decoders", Owner::Wazuh, 0o770),
    ("etc/lists", Owner::Wazuh, 0o770),
    ("etc/rules", Owner::Wazuh, 0o770),
    ("etc/shared", Owner::Shared, 0o770),
    ("integrations", Owner::Shared, 0o750),
    ("logs", Owner::Wazuh, 0o770),
    ("logs/alerts", Owner::Wazuh, 0o750),
    ("logs/archives", Owner::Wazuh, 0o750),
    ("logs/firewall", Owner::Wazuh, 0o750),
    ("queue", Owner::Shared, 0o750),
    ("queue/alerts", Owner::Wazuh, 0o770),
    ("queue/db", Owner::Wazuh, 0o750),
    ("queue/sockets", Owner::Wazuh, 0o770),
    ("ruleset", Owner::Shared, 0o750),
    ("stats", Owner::Wazuh, 0o750),
    ("tmp", Owner::Shared, 0o1770),
    ("var", Owner::Shared, 0o750),
    ("var/db", Owner::Shared, 0o770),
    ("var/db/agents", Owner::Shared, 0o770),
    ("var/multigroups", Owner::Shared, 0o770),
    ("var/run", Owner::Shared, 0o770),
    ("wodles", Owner::Shared, 0o750),
];

/// Files of the Wazuh home. `etc/ossec.conf` comes beside them.
const FILES: [(&str, Owner, u32, &str); 13] = [
    (
        "bin/wazuh-control",
        Owner::Root,
        0o750,
        "#!/bin/sh\nexit 1\n",
    ),
    ("bin/wazuh-integratord", Owner::Root, 0o750, INTEGRATORD),
    ("etc/client.keys", Owner::Wazuh, 0o640, ""),
    ("etc/internal_options.conf", Owner::Shared, 0o640, ""),
    ("etc/local_internal_options.conf", Owner::Shared, 0o640, ""),
    (
        "integrations/slack",
        Owner::Shared,
        0o750,
        "#!/bin/sh\nexit 0\n",
    ),
    ("integrations/slack.py", Owner::Shared, 0o750, "# slack\n"),
    (
        "integrations/virustotal",
        Owner::Shared,
        0o750,
        "#!/bin/sh\nexit 0\n",
    ),
    (
        "integrations/virustotal.py",
        Owner::Shared,
        0o750,
        "# virustotal\n",
    ),
    ("logs/alerts/alerts.json", Owner::Wazuh, 0o640, ""),
    ("logs/integrations.log", Owner::Wazuh, 0o640, ""),
    ("logs/ossec.log", Owner::Wazuh, 0o660, ""),
    ("var/run/.restart", Owner::Wazuh, 0o640, ""),
];

/// Folders of the host around it.
const AROUND: [&str; 9] = [
    "etc",
    "etc/cron.d",
    "etc/logrotate.d",
    "etc/systemd",
    "etc/systemd/system",
    "run",
    "run/systemd",
    "run/systemd/system",
    "usr/bin",
];

/// The binary as it was downloaded: it is copied often, so without what a debugger wants.
pub(crate) static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let copy = scratch::root().join("downloaded");
    let built = env!("CARGO_BIN_EXE_custom-mongo");
    let strip = Command::new("strip")
        .arg("-o")
        .arg(&copy)
        .arg(built)
        .status();
    if !strip.is_ok_and(|status| status.success()) {
        let cp = Command::new("cp").arg(built).arg(&copy).status();
        assert!(
            cp.is_ok_and(|status| status.success()),
            "a copy of the binary"
        );
    }
    copy
});

/// Such a root folder; removed when it is dropped.
pub(crate) struct ManagerRoot {
    /// The folder, which stands for `/`.
    pub(crate) root: PathBuf,
    home: PathBuf,
}

impl ManagerRoot {
    /// The usual home and Wazuh's own settings.
    pub(crate) fn new() -> Self {
        Self::with(USUAL_HOME, STOCK)
    }

    /// With the home and the ossec.conf that are given.
    pub(crate) fn with(home: &str, conf: &str) -> Self {
        let made = Self {
            root: scratch::fresh("root"),
            home: PathBuf::from(home),
        };
        for folder in AROUND {
            fs::create_dir_all(made.root.join(folder)).expect("a folder of the host");
        }
        made.write_accounts();
        fs::create_dir_all(made.path("")).expect("the home");
        for (name, owner, mode) in FOLDERS {
            let path = made.path(name);
            fs::create_dir_all(&path).expect("a folder of the home");
            Self::give(&path, owner, mode);
        }
        for (name, owner, mode, content) in FILES {
            let path = made.path(name);
            fs::write(&path, content).expect("a file of the home");
            Self::give(&path, owner, mode);
        }
        made.set_conf(conf);
        made
    }

    /// Where we find what that host calls `path`.
    pub(crate) fn here(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Where we find a file of the home.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        let home = self.here(self.home.to_str().expect("UTF-8"));
        if inside.is_empty() {
            home
        } else {
            home.join(inside)
        }
    }

    /// User and group that Wazuh runs as there.
    pub(crate) fn wazuh() -> (u32, u32) {
        if geteuid().is_root() {
            (WAZUH, WAZUH)
        } else {
            (geteuid().as_raw(), getegid().as_raw())
        }
    }

    /// The text of ossec.conf.
    pub(crate) fn conf(&self) -> String {
        fs::read_to_string(self.path("etc/ossec.conf")).expect("ossec.conf")
    }

    /// Puts another ossec.conf into place.
    pub(crate) fn set_conf(&self, text: &str) {
        let path = self.path("etc/ossec.conf");
        fs::write(&path, text).expect("ossec.conf");
        Self::give(&path, Owner::Shared, 0o660);
    }

    /// Gives a file that a test made to `wazuh`, or what stands for him.
    #[expect(clippy::unused_self, reason = "it is one of this host's accounts")]
    pub(crate) fn give_to_wazuh(&self, path: &Path, mode: u32) {
        Self::give(path, Owner::Wazuh, mode);
    }

    /// Gives a file that a test made to root:wazuh.
    #[expect(clippy::unused_self, reason = "it is one of this host's accounts")]
    pub(crate) fn give_to_group(&self, path: &Path, mode: u32) {
        Self::give(path, Owner::Shared, mode);
    }

    /// Makes `wazuh-integratord -t` refuse settings with this integration, or any if it is empty.
    pub(crate) fn let_integratord_refuse(&self, integration: &str, message: &str) {
        let text = format!("{message}\n{integration}\n");
        fs::write(self.path("bin/refuse"), text).expect("bin/refuse");
    }

    /// A shell and its libraries, so that `wazuh-integratord -t` runs with this folder as its root.
    pub(crate) fn with_shell(self) -> Self {
        self.bring("/bin/sh");
        fs::create_dir_all(self.here("/bin")).expect("a folder");
        fs::copy("/bin/sh", self.here("/bin/sh")).expect("a copy of the shell");
        self
    }

    /// The libraries of a program, so that it runs with this folder as its root.
    pub(crate) fn bring(&self, program: impl AsRef<std::ffi::OsStr>) {
        let output = Command::new("ldd").arg(program).output().expect("ldd");
        let text = String::from_utf8(output.stdout).expect("text");
        for file in text.split_whitespace().filter(|word| word.starts_with('/')) {
            let copy = self.here(file);
            fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
            fs::copy(file, copy).expect("a copy of a library");
        }
    }

    /// The host has no systemd.
    pub(crate) fn without_systemd(self) -> Self {
        for folder in ["run/systemd", "etc/systemd"] {
            fs::remove_dir_all(self.root.join(folder)).expect("systemd's folders");
        }
        self
    }

    /// A command of an administrator that works on this root folder, run from outside.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&*BINARY);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(arguments).arg("--root").arg(&self.root);
        if self.home != Path::new(USUAL_HOME) {
            command.arg("--home").arg(&self.home);
        }
        command
    }

    /// Runs it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        call::finish(self.command(arguments), b"")
    }

    /// Runs it, which must succeed; what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs it, which must fail with this status; what it printed to stderr.
    #[track_caller]
    pub(crate) fn fails(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {output:?}"
        );
        String::from_utf8(output.stderr).expect("text")
    }

    /// Everything below the root folder, links unfollowed.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Entry> {
        let mut found = BTreeMap::new();
        walk(&self.root, &self.root, &mut found);
        found
    }

    fn write_accounts(&self) {
        let (user, group) = Self::wazuh();
        let users = format!(
            "root:x:0:0:root:/root:/bin/sh\nwazuh:x:{user}:{group}::{}:/sbin/nologin\n",
            self.home.display()
        );
        fs::write(self.root.join("etc/passwd"), users).expect("etc/passwd");
        let groups = format!("root:x:0:\nwazuh:x:{group}:\n");
        fs::write(self.root.join("etc/group"), groups).expect("etc/group");
    }

    fn give(path: &Path, owner: Owner, mode: u32) {
        if geteuid().is_root() {
            let (user, group) = match owner {
                Owner::Root => (0, 0),
                Owner::Shared => (0, WAZUH),
                Owner::Wazuh => (WAZUH, WAZUH),
            };
            chown(path, Some(user), Some(group)).expect("an owner");
        }
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
    }
}

impl Drop for ManagerRoot {
    fn drop(&mut self) {
        // The folder above is removed at the end in any case.
        fs::remove_dir_all(&self.root).ok();
    }
}

/// What can be seen of a file, a folder or a link. A folder's time moves with what is made in it, so
/// it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: Option<(i64, i64)>,
    pub(crate) content: Vec<u8>,
}

fn walk(root: &Path, path: &Path, found: &mut BTreeMap<PathBuf, Entry>) {
    let metadata = fs::symlink_metadata(path).expect("an entry");
    let content = if metadata.is_file() {
        fs::read(path).expect("a file")
    } else if metadata.is_symlink() {
        let target = fs::read_link(path).expect("a link");
        target.into_os_string().into_encoded_bytes()
    } else {
        Vec::new()
    };
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            walk(root, &entry.expect("an entry").path(), found);
        }
    }
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    found.insert(
        path.strip_prefix(root).expect("below").to_owned(),
        Entry {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: (!metadata.is_dir()).then_some(modified),
            content,
        },
    );
}
