//! Which files the settings lie in, and what stands for them as long as nobody changes them.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{FILE, Fault, Loaded, environment, load_from};
use crate::home::{Home, settings_folders};
use crate::relay;

/// Two changes of a file within one tick of the kernel's clock (10 ms at most) have one time.
const TICK: Duration = Duration::from_millis(20);
/// The same where times are whole seconds, as with the small inodes of an old ext file system.
const COARSE_TICK: Duration = Duration::from_secs(2);
/// How long files may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(3);

/// The settings file and the `.env` beside it.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub(super) settings: Option<PathBuf>,
    folder: Option<PathBuf>,
}

impl Files {
    /// Looks for them: `explicit`, else `$CUSTOM_MONGO_CONFIG`, else the first of the usual folders
    /// that has one of them.
    pub fn find(explicit: Option<&Path>, home: &Home) -> Self {
        let named = explicit.map(Path::to_owned).or_else(named);
        match named {
            Some(path) => Self {
                folder: path.parent().map(Path::to_owned),
                settings: Some(path),
            },
            None => Self::first(home),
        }
    }

    /// Where Wazuh's own usually are, without looking; none if the environment says something else.
    pub fn usual(home: &Home) -> Option<Self> {
        if environment::is_used() || named().is_some() {
            return None;
        }
        let folder = home.wazuh()?.join("etc");
        Some(Self {
            settings: Some(folder.join(FILE)),
            folder: Some(folder),
        })
    }

    fn first(home: &Home) -> Self {
        for folder in settings_folders(home) {
            let file = folder.join(FILE);
            let settings = file.exists().then_some(file);
            if settings.is_some() || folder.join(".env").exists() {
                let folder = Some(folder);
                return Self { settings, folder };
            }
        }
        Self::default()
    }

    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// Names the file, the key and the fix.
    pub fn load(&self) -> Result<Loaded, Fault> {
        load_from(self)
    }

    pub(super) fn env(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(".env"))
    }

    /// What stands for the files as they are now; none without a settings file.
    pub fn key(&self) -> Option<relay::Key> {
        let (file, env) = self.look()?;
        Some(relay::Key::of_files(&file, env.as_ref()))
    }

    /// As `key`, for who reads them next: waits a moment if they have just been written, since a
    /// further change might not show. None if they do not come to rest.
    pub fn settled_key(&self) -> Option<relay::Key> {
        let end = Instant::now() + PATIENCE;
        loop {
            let (file, env) = self.look()?;
            if !is_fresh(&file) && !env.as_ref().is_some_and(is_fresh) {
                return Some(relay::Key::of_files(&file, env.as_ref()));
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(TICK);
        }
    }

    fn look(&self) -> Option<(Metadata, Option<Metadata>)> {
        let file = fs::metadata(self.settings.as_ref()?).ok()?;
        match fs::metadata(self.env()?) {
            Ok(env) => Some((file, Some(env))),
            Err(error) if error.kind() == ErrorKind::NotFound => Some((file, None)),
            Err(_) => None,
        }
    }
}

fn named() -> Option<PathBuf> {
    let path = std::env::var_os("CUSTOM_MONGO_CONFIG")?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

fn is_fresh(file: &Metadata) -> bool {
    let changed = Duration::new(
        u64::try_from(file.ctime()).unwrap_or(0),
        u32::try_from(file.ctime_nsec()).unwrap_or(0),
    );
    let tick = if changed.subsec_nanos() == 0 {
        COARSE_TICK
    } else {
        TICK
    };
    // A time in the future is another clock than ours, and says nothing of the age.
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed);
    age.map_or(true, |age| age < tick)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Files {
        let settings = folder.join(FILE);
        fs::write(&settings, "site = 1").unwrap();
        Files {
            settings: Some(settings),
            folder: Some(folder.to_owned()),
        }
    }

    /// The kernel's time of a change may be a tick old.
    const ABOUT: Duration = Duration::from_millis(8);

    #[test]
    fn a_file_that_was_just_written_is_waited_for_and_so_is_the_one_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let waited = || {
            let begun = Instant::now();
            let key = files.settled_key();
            assert!(key.is_some() && key == files.key());
            begun.elapsed()
        };
        assert!(waited() >= ABOUT);
        fs::write(folder.path().join(".env"), "A=b").unwrap();
        assert!(waited() >= ABOUT);
    }

    #[test]
    fn files_that_are_being_written_have_no_key_before_the_last_change() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let path = folder.path().join(FILE);
        let writer = std::thread::spawn(move || {
            let begun = Instant::now();
            let (mut last, mut longest) = (begun, Duration::ZERO);
            while begun.elapsed() < TICK * 10 {
                fs::write(&path, "site = 2").unwrap();
                longest = longest.max(last.elapsed());
                last = Instant::now();
                std::thread::sleep(Duration::from_millis(1));
            }
            longest
        });
        let key = files.settled_key();
        let was_busy = !writer.is_finished();
        let longest = writer.join().unwrap();
        // A machine that lets the writer wait for long lets the file come to rest.
        assert!(!was_busy || longest >= ABOUT, "{longest:?}");
        assert!(key == files.key() || longest >= ABOUT);
    }

    #[test]
    fn a_settings_file_that_is_not_there_has_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        fs::remove_file(folder.path().join(FILE)).unwrap();
        fs::write(folder.path().join(".env"), "A=b").unwrap();
        assert_eq!((files.key(), files.settled_key()), (None, None));
    }
}
