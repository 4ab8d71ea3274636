//! All entries of a state, sorted by path, in blocks.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::block::{Block, Commons, FULL};
use super::entry::TreeEntry;
use crate::model::entry::EntryPath;

type Entry = (EntryPath, TreeEntry);

/// Entries sorted by path, each with its number from 0.
#[derive(Debug, Default)]
pub(super) struct Packed {
    blocks: Vec<Block>,
    /// The number of the first entry of each block.
    starts: Vec<u32>,
    count: u32,
    commons: Commons,
    /// The block that was looked into last: most of those who look go in order.
    near: AtomicUsize,
}

impl Packed {
    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Bytes that the entries take.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes() + size_of::<Block>() + size_of::<u32>()).sum()
    }

    /// The last path.
    pub fn last(&self) -> Option<EntryPath> {
        self.blocks.last().and_then(|block| block.at(block.len().checked_sub(1)?, &self.commons)).map(|(path, _)| path)
    }

    fn holds(&self, at: usize, key: &[u8]) -> bool {
        self.blocks.get(at).is_some_and(|block| block.first() <= key) && self.blocks.get(at + 1).is_none_or(|next| key < next.first())
    }

    /// The block in which `key` is, if it is in any.
    fn block_of(&self, key: &[u8]) -> usize {
        let near = self.near.load(Ordering::Relaxed);
        let at = match [near, near + 1].into_iter().find(|&at| self.holds(at, key)) {
            Some(at) => at,
            None => self.blocks.partition_point(|block| block.first() <= key).saturating_sub(1),
        };
        self.near.store(at, Ordering::Relaxed);
        at
    }

    fn search(&self, key: &[u8]) -> (u32, Option<TreeEntry>) {
        let at = self.block_of(key);
        let (Some(block), Some(&start)) = (self.blocks.get(at), self.starts.get(at)) else { return (0, None) };
        let (number, found) = block.search(key, &self.commons);
        (start + number, found)
    }

    /// The entry at `path`, with its number.
    pub fn find(&self, path: &EntryPath) -> Option<(u32, TreeEntry)> {
        let (number, found) = self.search(path.as_bytes());
        Some((number, found?))
    }

    /// The entry with a number.
    pub fn at(&self, number: u32) -> Option<Entry> {
        let at = self.starts.partition_point(|&start| start <= number).checked_sub(1)?;
        self.blocks.get(at)?.at(number - self.starts.get(at)?, &self.commons)
    }

    /// The numbers of the entries below a path, without itself.
    pub fn below(&self, path: &EntryPath) -> Range<u32> {
        // What is below stands together: `a-b` sorts before `a/`, and `a0` behind all that begins with it.
        let bound = |end: u8| self.search(&[path.as_bytes(), &[end]].concat()).0;
        bound(b'/')..bound(b'/' + 1)
    }

    /// The entries from a number on.
    pub fn from(&self, number: u32) -> impl Iterator<Item = Entry> {
        let at = self.starts.partition_point(|&start| start <= number).saturating_sub(1);
        let before = number.saturating_sub(self.starts.get(at).copied().unwrap_or(0));
        let blocks = self.blocks.get(at..).unwrap_or_default().iter();
        blocks.flat_map(|block| block.entries(&self.commons)).skip(before as usize)
    }

    /// Puts entries in their places, and takes out those that are `None`; `changes` must be sorted by path. Blocks without a change stay
    /// as they are.
    pub fn merge(&mut self, changes: impl IntoIterator<Item = (EntryPath, Option<TreeEntry>)>) {
        let mut changes = changes.into_iter().peekable();
        let mut old = std::mem::take(&mut self.blocks).into_iter().peekable();
        let mut open = Open { blocks: Vec::with_capacity(old.len()), entries: Vec::new(), commons: &mut self.commons };
        while let Some(block) = old.next() {
            let end = old.peek().map(|next| next.first().to_vec());
            let is_its = |path: &EntryPath| end.as_deref().is_none_or(|end| path.as_bytes() < end);
            if open.entries.is_empty() && !changes.peek().is_some_and(|(path, _)| is_its(path)) {
                open.blocks.push(block);
                continue;
            }
            let mut kept = block.entries(open.commons).into_iter().peekable();
            while let Some((path, change)) = changes.next_if(|(path, _)| is_its(path)) {
                while let Some(entry) = kept.next_if(|(before, _)| *before < path) {
                    open.push(entry);
                }
                kept.next_if(|(same, _)| *same == path);
                if let Some(entry) = change {
                    open.push((path, entry));
                }
            }
            kept.for_each(|entry| open.push(entry));
            open.close(FULL / 2);
        }
        for (path, change) in changes {
            if let Some(entry) = change {
                open.push((path, entry));
            }
        }
        self.blocks = open.finish();
        self.number();
    }

    /// Lets `each` change every entry, or take it out.
    pub fn change(&mut self, mut each: impl FnMut(TreeEntry) -> Option<TreeEntry>) {
        let old = std::mem::take(&mut self.blocks);
        let mut open = Open { blocks: Vec::with_capacity(old.len()), entries: Vec::new(), commons: &mut self.commons };
        for block in old {
            for (path, entry) in block.entries(open.commons) {
                if let Some(entry) = each(entry) {
                    open.push((path, entry));
                }
            }
        }
        self.blocks = open.finish();
        self.number();
    }

    fn number(&mut self) {
        self.blocks.shrink_to_fit();
        self.starts = Vec::with_capacity(self.blocks.len());
        self.count = 0;
        for block in &self.blocks {
            self.starts.push(self.count);
            self.count = self.count.saturating_add(block.len());
        }
    }
}

/// Blocks that are being made, and the entries that are not in one yet.
struct Open<'a> {
    blocks: Vec<Block>,
    entries: Vec<Entry>,
    commons: &'a mut Commons,
}

impl Open<'_> {
    fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        if self.entries.len() >= 2 * FULL {
            self.pack(FULL);
        }
    }

    /// Makes a block of the first `count` entries.
    fn pack(&mut self, count: usize) {
        let first: Vec<Entry> = self.entries.drain(..count.min(self.entries.len())).collect();
        if !first.is_empty() {
            self.blocks.push(Block::of(&first, self.commons));
        }
    }

    /// Makes one or two blocks of all entries, unless they are fewer than `few`.
    fn close(&mut self, few: usize) {
        let count = self.entries.len();
        if count > FULL {
            self.pack(count / 2);
        }
        if self.entries.len() >= few {
            self.pack(self.entries.len());
        }
    }

    fn finish(mut self) -> Vec<Block> {
        self.close(0);
        self.blocks
    }
}
