//! The files that wazuh-integratord names: the alert, the options.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use super::super::status;
use super::call::Call;
use super::failure::{Failure, failed};
use crate::alert;

/// The largest `<options>` file that is read.
const MAX_OPTIONS: u64 = 1 << 20;

/// The alert's bytes.
pub(super) fn read_alert(file: &OsString) -> Result<Vec<u8>, Failure> {
    let not_there = |line: String| Failure {
        status: status::NO_FILE,
        line,
    };
    if file.is_empty() {
        return Err(not_there(
            "wazuh-integratord could not write the alert file; is /tmp full or read-only?"
                .to_owned(),
        ));
    }
    let name = Path::new(file).display();
    let read = |(file, size): (File, usize)| -> io::Result<Vec<u8>> {
        // One byte more than it has, so that its end is seen without room for more.
        let mut raw = Vec::with_capacity(size.min(alert::MAX_BYTES) + 1);
        let limit = u64::try_from(alert::MAX_BYTES).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1)).read_to_end(&mut raw)?;
        Ok(raw)
    };
    let raw = match open_file(Path::new(file)).and_then(read) {
        Ok(raw) => raw,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_there(format!(
                "there is no alert file {name}; for the commands see custom-mongo --help"
            )));
        }
        Err(error) => return Err(failed(format!("cannot read {name}: {error}"))),
    };
    if raw.len() > alert::MAX_BYTES {
        let line = format!(
            "{name} has more than {} bytes, which no alert has",
            alert::MAX_BYTES
        );
        return Err(Failure {
            status: status::NO_ALERT,
            line,
        });
    }
    Ok(raw)
}

/// Opens a plain file, and says how long it is: a pipe that nobody writes to would hold up Wazuh for
/// ever.
fn open_file(path: &Path) -> io::Result<(File, usize)> {
    let mut options = OpenOptions::new();
    let flags = OFlag::O_NONBLOCK.bits();
    let file = options.read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() {
        Ok((file, usize::try_from(meta.len()).unwrap_or(usize::MAX)))
    } else {
        Err(io::Error::other("it is not a file"))
    }
}

/// Options are an extra: an alert does not fail because of them.
pub(super) fn read_options(call: &Call) -> Vec<u8> {
    let Some(path) = &call.options else {
        return Vec::new();
    };
    let mut options = Vec::new();
    let read =
        open_file(path).and_then(|(file, _)| file.take(MAX_OPTIONS).read_to_end(&mut options));
    if let Err(error) = read {
        log::warn!("cannot read {}: {error}", path.display());
    }
    options
}
