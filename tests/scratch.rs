//! The one folder that a run of the tests writes into. A watchdog removes it when the program ends,
//! however it ends: statics are never dropped, but the kernel closes every pipe.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::stat::{Mode, umask};

static FOLDER: LazyLock<(PathBuf, Child)> = LazyLock::new(|| {
    // Whoever runs the tests may be strict; a Wazuh home is not, and other users have to get in.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let folder = tempfile::Builder::new()
        .prefix("custom-mongo-tests.")
        .permissions(PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a temporary folder")
        .keep();
    // Again later: a call that was under way when the program died may have written since.
    let remove = "cat; for i in 1 2 3; do rm -rf \"$0\"; sleep 1; done; rm -rf \"$0\"";
    let watchdog = watchdog(remove, [&folder]);
    (folder, watchdog)
});

/// A new folder that no other test uses; its name begins with `name`.
pub(crate) fn fresh(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = root().join(format!("{name}.{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir(&folder).expect("a folder for a test");
    folder
}

/// The folder above all that `fresh` gives.
pub(crate) fn root() -> &'static Path {
    &FOLDER.0
}

/// A shell that survives Ctrl-C and reads end-of-file from its stdin when this program is gone.
pub(crate) fn watchdog<S: AsRef<std::ffi::OsStr>>(
    script: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Child {
    use std::os::unix::process::CommandExt;
    Command::new("sh")
        .arg("-c")
        .arg(script)
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh is there")
}
