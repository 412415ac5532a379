//! The file that is being read: it gives pieces as long as it is the file that was opened.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::beginning::{Beginning, Fingerprint};
use super::checkpoint::Checkpoint;
use super::error::{Error, Result, cannot, is_missing};
use super::lines::{Cut, Lines};
use super::listing::Entry;
use super::text::Input;

/// A listed file that was opened and is the one that was listed.
#[derive(Debug)]
pub(super) struct Opened {
    entry: Entry,
    file: File,
    beginning: Beginning,
}

/// A file and how far it was read.
#[derive(Debug)]
pub(super) struct Current {
    lines: Lines<Input>,
    path: Arc<Path>,
    entry: Entry,
    beginning: Beginning,
    fingerprint: Fingerprint,
}

/// What a look at the file found.
#[derive(Debug)]
pub(super) enum Step {
    /// A piece.
    Found(Cut),
    /// Nothing whole is there now.
    End,
    /// It was truncated or written anew: what it held is no longer there.
    Changed,
}

impl Opened {
    /// Opens what was listed; `None` if it is no longer there or another file by now.
    pub(super) fn open(entry: &Entry) -> Result<Option<Self>> {
        let file = match File::open(&entry.path) {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(cannot("open", &entry.path)(error)),
        };
        let cannot_read = || cannot("read", &entry.path);
        let meta = file.metadata().map_err(cannot_read())?;
        if (meta.dev(), meta.ino()) != (entry.device, entry.inode) {
            return Ok(None);
        }
        let beginning = if entry.gzip {
            Beginning::of_gzip(&file)
        } else {
            Beginning::of_plain(&file).map_err(cannot_read())?
        };
        let mut now = Entry::new(entry.path.clone(), &meta);
        now.dated.clone_from(&entry.dated);
        Ok(Some(Self {
            entry: now,
            file,
            beginning,
        }))
    }

    /// It begins with what is known of another file, and holds its first `offset` bytes as far as
    /// that can be seen without decompressing it.
    pub(super) fn continues(&self, fingerprint: &Fingerprint, offset: u64) -> bool {
        self.beginning.covers(fingerprint) && self.may_hold(offset)
    }

    fn may_hold(&self, offset: u64) -> bool {
        self.entry.gzip || self.entry.size >= offset
    }

    /// Holds more than the first `offset` bytes, for certain.
    pub(super) fn holds_more_than(&self, offset: u64) -> bool {
        !self.entry.gzip && self.entry.size > offset
    }

    /// Begins to read behind the first `offset` bytes of the text.
    pub(super) fn at(self, offset: u64) -> Result<Current> {
        let path: Arc<Path> = Arc::from(self.entry.path.as_path());
        let input = if self.entry.gzip {
            Input::gzip(self.file, offset)
        } else {
            Input::plain(self.file, offset)
        };
        Ok(Current {
            lines: Lines::new(input.map_err(cannot("read", &path))?, offset),
            path,
            fingerprint: self.beginning.fingerprint(),
            entry: self.entry,
            beginning: self.beginning,
        })
    }

    /// Where the last whole line of a plain file ends; 0 if there is none.
    pub(super) fn behind_last_line(&self) -> Result<u64> {
        last_newline(&self.file, self.entry.size).map_err(cannot("read", &self.entry.path))
    }
}

impl Current {
    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    pub(super) fn lines(&self) -> &Lines<Input> {
        &self.lines
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// How far the file was read, the part of a line at the end included.
    pub(super) fn position(&self) -> u64 {
        self.lines.position()
    }

    /// A plain file without a byte but NULs: nothing is known of it.
    pub(super) fn is_unknown(&self) -> bool {
        !self.entry.gzip && self.fingerprint.length == 0
    }

    /// Looks for the next piece, and reads once more where there is none.
    pub(super) fn step(&mut self) -> Result<Step> {
        loop {
            if let Some(cut) = self.lines.cut() {
                return Ok(Step::Found(cut));
            }
            let count = self.lines.fill().map_err(|error| self.fault(error))?;
            // After the read: a file that is truncated between a look and a read would go unseen.
            if !self.is_still_the_same()? {
                return Ok(Step::Changed);
            }
            if count == 0 {
                return Ok(Step::End);
            }
        }
    }

    /// What will never be completed, when the file is over.
    pub(super) fn rest(&mut self) -> Option<Cut> {
        self.lines.rest()
    }

    /// The place behind the piece given out last.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint::behind(&self.entry, self.fingerprint.clone(), self.lines.offset())
    }

    fn is_still_the_same(&mut self) -> Result<bool> {
        let Input::Plain(file) = self.lines.source() else {
            return Ok(true);
        };
        let meta = file.metadata().map_err(cannot("look at", &self.path))?;
        let now = self
            .beginning
            .again(file)
            .map_err(cannot("read", &self.path))?;
        // What was empty, or had no more than begun, may have been filled, copied and emptied since
        // the last look: the search finds what was put aside, and comes back knowing more.
        let changed = meta.modified().unwrap_or(self.entry.changed);
        let unknown = match self.fingerprint.length {
            0 => changed != self.entry.changed,
            _ => self.fingerprint.is_vague() && self.beginning.is_less_than(&now),
        };
        if unknown || meta.len() < self.lines.position() || !self.beginning.grow(now) {
            return Ok(false);
        }
        self.entry.size = meta.len();
        self.entry.changed = changed;
        if !self.beginning.is_said_by(&self.fingerprint) {
            self.fingerprint = self.beginning.fingerprint();
        }
        Ok(true)
    }

    fn fault(&self, error: io::Error) -> Error {
        if !self.entry.gzip {
            return cannot("read", &self.path)(error);
        }
        Error::Damaged {
            path: self.path.to_path_buf(),
            offset: self.lines.position(),
            why: error.to_string(),
        }
    }
}

/// The offset behind the last newline, looked for from the end.
fn last_newline(file: &File, size: u64) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    const BLOCK: u64 = 64 << 10;
    let mut block = Vec::new();
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.resize(usize::try_from(end - start).unwrap_or_default(), 0);
        match file.read_exact_at(&mut block, start) {
            Ok(()) => {}
            // Truncated meanwhile: from the beginning of what it is now.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            Err(error) => return Err(error),
        }
        if let Some(found) = memchr::memrchr(b'\n', &block) {
            return Ok(start + found as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
