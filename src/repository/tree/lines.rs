//! The lines of one archive's index in their order, packed: a large index has millions of them.

use std::collections::HashMap;

use super::block::{Block, Commons, FULL};
use super::entry::TreeEntry;
use crate::archive::index::IndexEntry;
use crate::model::digest::Id;
use crate::model::entry::EntryPath;

/// Lines of an index.
#[derive(Debug, Default)]
pub struct Lines {
    blocks: Vec<Block>,
    /// Those that are in no block yet.
    open: Vec<(EntryPath, TreeEntry)>,
    commons: Commons,
    /// The archives that contents are in; `None` is the one that the index belongs to.
    archives: Archives,
}

#[derive(Debug, Default)]
struct Archives {
    all: Vec<Option<Id>>,
    numbers: HashMap<Option<Id>, u32>,
}

impl Archives {
    fn number(&mut self, archive: Option<Id>) -> u32 {
        *self.numbers.entry(archive).or_insert_with(|| {
            self.all.push(archive);
            self.all.len() as u32 - 1
        })
    }

    fn lines(&self, (path, entry): &(EntryPath, TreeEntry)) -> Vec<IndexEntry> {
        entry.lines(path, |number| self.all.get(number as usize).copied().flatten())
    }
}

impl Lines {
    /// Adds a line behind all others.
    pub fn push(&mut self, line: IndexEntry) {
        let archive = line.content.as_ref().map_or(0, |located| self.archives.number(located.archive));
        self.open.push(TreeEntry::of_line(line, archive));
        if self.open.len() >= FULL {
            self.blocks.push(Block::of(&std::mem::take(&mut self.open), &mut self.commons));
        }
    }

    /// The lines.
    pub fn iter(&self) -> impl Iterator<Item = IndexEntry> {
        let packed = self.blocks.iter().flat_map(|block| block.entries(&self.commons));
        packed.flat_map(|entry| self.archives.lines(&entry)).chain(self.open.iter().flat_map(|entry| self.archives.lines(entry)))
    }

    /// Hands out the lines, and frees each block that is done with.
    ///
    /// # Errors
    /// What `each` says.
    pub fn drain<E>(self, mut each: impl FnMut(IndexEntry) -> Result<(), E>) -> Result<(), E> {
        let Self { blocks, open, commons, archives } = self;
        for entries in blocks.into_iter().map(|block| block.entries(&commons)).chain([open]) {
            entries.iter().flat_map(|entry| archives.lines(entry)).try_for_each(&mut each)?;
        }
        Ok(())
    }
}

impl FromIterator<IndexEntry> for Lines {
    fn from_iter<I: IntoIterator<Item = IndexEntry>>(lines: I) -> Self {
        let mut packed = Self::default();
        lines.into_iter().for_each(|line| packed.push(line));
        packed
    }
}
