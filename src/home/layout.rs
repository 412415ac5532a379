//! Where the parts of an installation lie on a host, or below a folder that holds one: an image, a
//! test. Files and folders are named as that host sees them; `here` says where we find them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

/// Wazuh's place unless somebody chose another.
const USUAL_HOME: &str = "/var/ossec";

/// One host's installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    home: PathBuf,
}

#[expect(
    clippy::unused_self,
    reason = "whoever asks need not know which places are the same on every host"
)]
impl Layout {
    /// Below `root` (`/` is this host), with the Wazuh home at `home` as that host sees it; without
    /// it, what the link or folder `/var/ossec` stands for.
    pub fn new(root: &Path, home: Option<&Path>) -> Self {
        let home = home.unwrap_or(Path::new(USUAL_HOME)).to_owned();
        let root = root.to_owned();
        Self { root, home }
    }

    /// Where we find what that host calls `path`.
    pub fn here(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether it is the host that we run on.
    pub fn is_this_host(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Wazuh home, as that host sees it.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The integration.
    pub fn binary(&self) -> PathBuf {
        self.home.join("integrations/custom-mongo")
    }

    /// The settings.
    pub fn settings(&self) -> PathBuf {
        self.home.join("etc/custom-mongo.toml")
    }

    /// Wazuh's own settings.
    pub fn ossec_conf(&self) -> PathBuf {
        self.home.join("etc/ossec.conf")
    }

    /// Spool, checkpoints, locks.
    pub fn state(&self) -> PathBuf {
        self.home.join("var/db/custom-mongo")
    }

    /// What cron starts.
    pub fn cron(&self) -> PathBuf {
        PathBuf::from("/etc/cron.d/custom-mongo")
    }

    /// How logrotate turns `logs/integrations.log`, which Wazuh never does.
    pub fn logrotate(&self) -> PathBuf {
        PathBuf::from("/etc/logrotate.d/custom-mongo")
    }

    /// A unit of systemd: `custom-mongo.service` (serve), `custom-mongo-follow.service`, and
    /// `custom-mongo-collect` and `custom-mongo-drain`, each a `.service` and a `.timer`.
    pub fn unit(&self, name: &str) -> PathBuf {
        Path::new("/etc/systemd/system").join(name)
    }

    /// What `install` did, for `uninstall`. Only root may write there: it names files that root
    /// changes and removes.
    pub fn record(&self) -> PathBuf {
        PathBuf::from("/etc/custom-mongo/installed.json")
    }

    /// User and group that Wazuh runs as: whoever owns its logs. None if there are none.
    pub fn wazuh(&self) -> Option<(Uid, Gid)> {
        let logs = std::fs::metadata(self.here(&self.home.join("logs"))).ok()?;
        Some((Uid::from_raw(logs.uid()), Gid::from_raw(logs.gid())))
    }
}
