//! Where text comes from: a plain file, or a compressed one that a thread of its own decodes ahead,
//! by a bounded number of blocks.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use flate2::read::MultiGzDecoder;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

const BLOCK: usize = 256 << 10;
/// Blocks that may wait for the reader: 1 MiB a file.
const BLOCKS_AHEAD: usize = 4;

/// A source of text that may know where it has holes.
pub trait Text: Read {
    /// Skips bytes that are NUL without reading them; says how many.
    ///
    /// # Errors
    ///
    /// The system's.
    fn skip_hole(&mut self) -> io::Result<u64> {
        Ok(0)
    }
}

impl Text for &[u8] {}

/// A file's text.
#[derive(Debug)]
pub(super) enum Input {
    /// As it lies on disk.
    Plain(File),
    /// Decoded by another thread.
    Gzip(Decoded),
}

impl Input {
    /// The text of a plain file from `offset` on.
    pub(super) fn plain(mut file: File, offset: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self::Plain(file))
    }

    /// The text of a compressed file from `offset` of the text on.
    pub(super) fn gzip(mut file: File, offset: u64) -> io::Result<Self> {
        file.rewind()?;
        Decoded::start(file, offset).map(Self::Gzip)
    }
}

impl Read for Input {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(room),
            Self::Gzip(decoded) => decoded.read(room),
        }
    }
}

impl Text for Input {
    fn skip_hole(&mut self) -> io::Result<u64> {
        match self {
            Self::Plain(file) => skip_hole(file),
            Self::Gzip(_) => Ok(0),
        }
    }
}

/// How many bytes from `offset` on are a hole; leaves the file's position as it was. See lseek(2),
/// `SEEK_DATA`: a filesystem that knows no holes calls everything data.
pub(super) fn hole_at(mut file: &File, offset: u64) -> io::Result<u64> {
    let (size, position) = (file.metadata()?.len(), file.stream_position()?);
    let Ok(from) = i64::try_from(offset) else {
        return Ok(0);
    };
    let data = match lseek(file, from, Whence::SeekData) {
        Ok(data) => u64::try_from(data).unwrap_or(offset),
        // No data behind: all that was there before the question is a hole.
        Err(Errno::ENXIO) => size,
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => offset,
        Err(error) => return Err(error.into()),
    };
    file.seek(SeekFrom::Start(position))?;
    Ok(data.saturating_sub(offset))
}

fn skip_hole(file: &mut File) -> io::Result<u64> {
    let position = file.stream_position()?;
    let hole = hole_at(file, position)?;
    file.seek(SeekFrom::Start(position + hole))?;
    Ok(hole)
}

/// What the decoding thread sends.
type Block = io::Result<Vec<u8>>;

/// Text that another thread decodes.
#[derive(Debug)]
pub(super) struct Decoded {
    /// Held as long as the text is current: the inode of an open file is given to no other.
    _file: File,
    blocks: Receiver<Block>,
    /// Blocks go back to be filled again.
    used: Sender<Vec<u8>>,
    block: Vec<u8>,
    read: usize,
    over: bool,
}

impl Decoded {
    fn start(file: File, offset: u64) -> io::Result<Self> {
        let held = file.try_clone()?;
        let (full, blocks) = sync_channel(BLOCKS_AHEAD);
        let (used, empty) = channel();
        thread::Builder::new()
            .name("gunzip".to_owned())
            .spawn(move || decode(file, offset, &full, &empty))?;
        Ok(Self {
            _file: held,
            blocks,
            used,
            block: Vec::new(),
            read: 0,
            over: false,
        })
    }

    /// Goes to the next block; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let gone = || io::Error::other("the thread that decompresses died");
        // An empty block is the end: a sender that just vanishes has not reached it.
        let next = self.blocks.recv().map_err(|_| gone());
        match next.and_then(|block| block) {
            Ok(block) => {
                self.over = block.is_empty();
                let old = std::mem::replace(&mut self.block, block);
                self.read = 0;
                // The thread may have ended: then nobody wants the block.
                drop(self.used.send(old));
                Ok(!self.over)
            }
            Err(error) => {
                self.over = true;
                Err(error)
            }
        }
    }
}

impl Read for Decoded {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.read == self.block.len() && (self.over || !self.advance()?) {
            return Ok(0);
        }
        let mut ahead = self.block.get(self.read..).unwrap_or_default();
        let count = ahead.read(room)?;
        self.read += count;
        Ok(count)
    }
}

fn decode(file: File, offset: u64, full: &SyncSender<Block>, empty: &Receiver<Vec<u8>>) {
    let mut text = MultiGzDecoder::new(file);
    let skipped = io::copy(&mut text.by_ref().take(offset), &mut io::sink());
    let missing = |skipped: u64| io::Error::other(format!("it has only {skipped} bytes of text"));
    let skipped = skipped.and_then(|skipped| {
        let there = skipped == offset;
        there.then_some(()).ok_or_else(|| missing(skipped))
    });
    if let Err(error) = skipped {
        drop(full.send(Err(error)));
        return;
    }
    loop {
        let block = empty.try_recv().unwrap_or_default();
        let (block, fault) = fill(&mut text, block);
        let over = block.is_empty() || fault.is_some();
        let end = fault.map_or_else(|| Ok(Vec::new()), Err);
        // Whoever no longer reads has dropped the other end: then there is nothing left to do.
        if !block.is_empty() && full.send(Ok(block)).is_err() {
            return;
        }
        if over {
            drop(full.send(end));
            return;
        }
    }
}

/// A block as full as can be, and what ended it early.
fn fill(text: &mut impl Read, mut block: Vec<u8>) -> (Vec<u8>, Option<io::Error>) {
    block.resize(BLOCK, 0);
    let mut filled = 0;
    let fault = loop {
        match text.read(block.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break None,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Some(error),
        }
    };
    block.truncate(filled);
    (block, fault)
}
