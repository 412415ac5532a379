//! Archives one after the other, the next ones already being decompressed.

use std::collections::VecDeque;
use std::vec;

use super::archive::Archive;
use super::error::Result;
use super::reader::Reader;

/// Readers in order, so many of them open at a time.
#[derive(Debug)]
pub struct Prefetch {
    archives: vec::IntoIter<Archive>,
    open: VecDeque<Result<Reader>>,
    ahead: usize,
}

impl Prefetch {
    /// Goes through `archives`, `ahead` of them beyond the one being read; each compressed one has
    /// a thread and about 1 MiB, each plain one only its descriptor.
    #[must_use]
    pub fn new(archives: Vec<Archive>, ahead: usize) -> Self {
        Self {
            archives: archives.into_iter(),
            open: VecDeque::new(),
            ahead,
        }
    }
}

impl Iterator for Prefetch {
    type Item = Result<Reader>;

    /// The next archive; an error is that archive's alone.
    fn next(&mut self) -> Option<Self::Item> {
        while self.open.len() <= self.ahead
            && let Some(archive) = self.archives.next()
        {
            self.open.push_back(Reader::open(&archive));
        }
        self.open.pop_front()
    }
}
