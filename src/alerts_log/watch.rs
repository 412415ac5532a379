//! Waits for the log to change: inotify on the folder and on the live file, else looks from time to
//! time. Wazuh writes through the dated name, so that only a watch on the file itself tells of it.

use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// Between two looks without inotify.
const LOOK: Duration = Duration::from_millis(250);
/// Between two looks with inotify: network filesystems do not tell of others' writes.
const LOOK_ALL_THE_SAME: Duration = Duration::from_secs(1);
/// What comes right behind a change is read along with it.
const SETTLE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Watch {
    inotify: Option<Inotify>,
    folder: Option<WatchDescriptor>,
    file: Option<WatchDescriptor>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        if let Err(error) = &inotify {
            log::info!("no inotify ({error}): the log is looked at four times a second");
        }
        Self {
            inotify: inotify.ok(),
            folder: None,
            file: None,
        }
    }

    /// As where there is no inotify.
    #[cfg(test)]
    pub(super) fn without_inotify() -> Self {
        Self {
            inotify: None,
            folder: None,
            file: None,
        }
    }

    /// Watches the file that is now called `live`, and its folder.
    pub(super) fn aim(&mut self, live: &Path) {
        let Some(inotify) = &self.inotify else { return };
        let parent = live.parent().unwrap_or(Path::new("/"));
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let names = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        let writes = AddWatchFlags::IN_MODIFY;
        replace(inotify, &mut self.folder, parent, names);
        replace(inotify, &mut self.file, live, writes);
    }

    /// Waits for an event, `limit` at most, or until `changed` says so.
    pub(super) fn wait(&mut self, limit: Duration, mut changed: impl FnMut() -> bool) {
        let end = Instant::now() + limit;
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() || changed() {
                return;
            }
            let told = match &self.inotify {
                Some(inotify) if self.file.is_some() => told(inotify, rest.min(LOOK_ALL_THE_SAME)),
                Some(inotify) if self.folder.is_some() => told(inotify, rest.min(LOOK)),
                _ => {
                    thread::sleep(rest.min(LOOK));
                    false
                }
            };
            if told {
                return;
            }
        }
    }
}

/// Moves a watch to what `path` is now. A watch that is added again is the same one.
fn replace(
    inotify: &Inotify,
    watch: &mut Option<WatchDescriptor>,
    path: &Path,
    flags: AddWatchFlags,
) {
    let new = inotify.add_watch(path, flags).ok();
    if let Some(old) = watch.take()
        && Some(old) != new
    {
        // It went by itself if its file was deleted.
        inotify.rm_watch(old).ok();
    }
    *watch = new;
}

/// Something happened within `limit`; takes note of it.
fn told(inotify: &Inotify, limit: Duration) -> bool {
    let mut descriptors = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
    let millis = u16::try_from(limit.as_millis()).unwrap_or(u16::MAX);
    match poll(&mut descriptors, PollTimeout::from(millis.max(1))) {
        Ok(0) => return false,
        Ok(_) => thread::sleep(SETTLE),
        // A signal: whoever waits may want to know.
        Err(Errno::EINTR) => return true,
        Err(_) => {
            thread::sleep(limit.min(LOOK));
            return false;
        }
    }
    while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
    true
}
