//! One archive's pieces.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::archive::Archive;
use super::error::{Error, Result, cannot};
use super::lines::{Cut, Lines};
use super::text::Input;
use super::{Piece, Place};

/// Reads one file of the log, plain or gzip.
#[derive(Debug)]
pub struct Reader {
    lines: Lines<Input>,
    path: Arc<Path>,
    compressed: bool,
    /// Its last line may still be completed by a writer.
    growing: bool,
    /// Where a part of a line was left at the end.
    left: u64,
}

impl Reader {
    /// Opens an archive; decompression begins at once, in a thread of its own, a few blocks ahead.
    /// Whether it is gzip is seen in its first bytes, whatever its name.
    ///
    /// # Errors
    ///
    /// Names what cannot be read.
    pub fn open(archive: &Archive) -> Result<Self> {
        Self::open_at(archive, 0)
    }

    /// Opens an archive behind the first `offset` bytes of its text.
    ///
    /// # Errors
    ///
    /// Names what cannot be read; a compressed text that is shorter is an error of the first read.
    pub fn open_at(archive: &Archive, offset: u64) -> Result<Self> {
        let path: Arc<Path> = Arc::from(archive.path.as_path());
        let file = File::open(&path).map_err(cannot("open", &path))?;
        let compressed = is_gzip(&file);
        let input = if compressed {
            Input::gzip(file, offset)
        } else {
            Input::plain(file, offset)
        };
        Ok(Self {
            lines: Lines::new(input.map_err(cannot("read", &path))?, offset),
            growing: archive.growing && !compressed,
            path,
            compressed,
            left: 0,
        })
    }

    /// The next piece and its place; `None` at the end. The last line of a file that is no longer
    /// written to is whole without a newline.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read, or is damaged or cut: what is whole was given out.
    pub fn next(&mut self) -> Result<Option<(Piece<'_>, Place<'_>)>> {
        let Some(cut) = self.cut()? else {
            return Ok(None);
        };
        let place = Place {
            file: &self.path,
            offset: cut.offset,
        };
        Ok(Some((self.lines.piece(cut), place)))
    }

    /// The file.
    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// The place behind the piece given out last, in the text.
    pub fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// Bytes of a last line that its writer has not finished: they were left where they are.
    pub fn part_left(&self) -> u64 {
        self.left
    }

    fn cut(&mut self) -> Result<Option<Cut>> {
        loop {
            if let Some(cut) = self.lines.cut() {
                return Ok(Some(cut));
            }
            match self.lines.fill() {
                Ok(0) if self.growing => {
                    self.left = self.lines.part();
                    return Ok(None);
                }
                Ok(0) => return Ok(self.lines.rest()),
                Ok(_) => {}
                Err(error) => return self.fail(error),
            }
        }
    }

    fn fail(&mut self, error: std::io::Error) -> Result<Option<Cut>> {
        if !self.compressed {
            return Err(cannot("read", &self.path)(error));
        }
        // What is left in the buffer was cut with the file: no line of its own.
        self.growing = true;
        Err(Error::Damaged {
            path: self.path.to_path_buf(),
            offset: self.lines.position(),
            why: error.to_string(),
        })
    }
}

/// RFC 1952, section 2.3.1.
fn is_gzip(file: &File) -> bool {
    let mut magic = [0; 2];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == [0x1f, 0x8b]
}
