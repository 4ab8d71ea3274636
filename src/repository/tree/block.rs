//! A block: some 30 neighbouring entries in few bytes, about 80 each where they took several hundred as structures.
//!
//! A path says what it shares with the one before it, so a block is read from its beginning; all other numbers say how far they are from
//! the block's first, so an entry that is passed over costs nothing but its path.
//!
//! ```text
//! block  count · base · entries
//! entry  length of its rest · bytes shared with the path before · length of what follows · the rest of the path · its rest
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::entry::{Common, Content, Parts, Place, TreeEntry};
use crate::model::digest::{Digest, Id};
use crate::model::entry::{EntryPath, Kind, Stamp, Timestamp};
use crate::model::varint::{Cursor, put, put_near};

/// Entries in a full block: more take less room, fewer are found faster.
pub(super) const FULL: usize = 32;

/// What entries have in common, each once.
#[derive(Debug, Default)]
pub(super) struct Commons {
    all: Vec<Arc<Common>>,
    numbers: HashMap<Arc<Common>, u32>,
}

impl Commons {
    /// The number of `common`, and the one instance of it.
    fn number(&mut self, common: &Arc<Common>) -> u32 {
        if let Some(&number) = self.numbers.get(common) {
            return number;
        }
        let number = self.all.len() as u32;
        self.all.push(Arc::clone(common));
        self.numbers.insert(Arc::clone(common), number);
        number
    }

    fn get(&self, number: u32) -> Arc<Common> {
        self.all.get(number as usize).cloned().unwrap_or_default()
    }
}

/// The numbers that others in the block are near to.
#[derive(Clone, Copy, Default)]
struct Base {
    mtime: u64,
    inode: u64,
    archive: u64,
    frame: u64,
    offset: u64,
}

impl Base {
    fn of(entries: &[(EntryPath, TreeEntry)]) -> Self {
        let mut base = Self::default();
        if let Some((_, first)) = entries.first() {
            base.mtime = first.mtime.seconds as u64;
        }
        if let Some(stamp) = entries.iter().find_map(|(_, entry)| entry.stamp) {
            base.inode = stamp.inode;
        }
        if let Some(place) = entries.iter().find_map(|(_, entry)| entry.place()) {
            (base.archive, base.frame, base.offset) = (u64::from(place.archive), u64::from(place.frame), place.offset);
        }
        base
    }

    fn put(&self, out: &mut Vec<u8>) {
        for value in [self.mtime, self.inode, self.archive, self.frame, self.offset] {
            put(out, value);
        }
    }

    fn read(cursor: &mut Cursor<'_>) -> Self {
        let mut next = || cursor.number();
        Self { mtime: next(), inode: next(), archive: next(), frame: next(), offset: next() }
    }
}

/// Bits of the number that an entry's rest begins with. The rare ones are high, where they cost a second byte.
mod flag {
    pub const KIND: u64 = 0b11;
    pub const WHOLE: u64 = 1 << 2;
    pub const PARTS: u64 = 1 << 3;
    pub const STAMP: u64 = 1 << 4;
    /// The content is as long as the file.
    pub const SAME_LENGTH: u64 = 1 << 5;
    pub const SPARSE: u64 = 1 << 6;
    pub const SHORT: u64 = 1 << 7;
    pub const UNPROVEN: u64 = 1 << 8;
}

/// Neighbouring entries, sorted by path.
#[derive(Debug)]
pub(super) struct Block(Box<[u8]>);

impl Block {
    /// Packs entries, which must be sorted by path.
    pub fn of(entries: &[(EntryPath, TreeEntry)], commons: &mut Commons) -> Self {
        let base = Base::of(entries);
        let mut out = Vec::with_capacity(entries.len() * 96 + 32);
        put(&mut out, entries.len() as u64);
        base.put(&mut out);
        let (mut before, mut rest): (&[u8], Vec<u8>) = (&[], Vec::new());
        for (path, entry) in entries {
            rest.clear();
            put_rest(&mut rest, entry, &base, commons);
            let path = path.as_bytes();
            let shared = before.iter().zip(path).take_while(|(a, b)| a == b).count();
            let own = path.get(shared..).unwrap_or_default();
            put(&mut out, rest.len() as u64);
            put(&mut out, shared as u64);
            put(&mut out, own.len() as u64);
            out.extend_from_slice(own);
            out.extend_from_slice(&rest);
            before = path;
        }
        Self(out.into_boxed_slice())
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        Cursor(&self.0).small()
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The first path.
    pub fn first(&self) -> &[u8] {
        let mut cursor = Cursor(&self.0);
        if cursor.number() == 0 {
            return &[];
        }
        Base::read(&mut cursor);
        // The first shares nothing.
        let (_rest, _shared, own) = (cursor.number(), cursor.number(), cursor.number());
        cursor.bytes(own as usize)
    }

    /// The number in the block of the first entry at or behind `key`, and that entry if it is the one at `key`.
    pub fn search(&self, key: &[u8], commons: &Commons) -> (u32, Option<TreeEntry>) {
        let mut steps = Steps::of(self);
        let mut number = 0;
        while let Some(rest) = steps.step() {
            match steps.path.as_slice().cmp(key) {
                std::cmp::Ordering::Less => number += 1,
                std::cmp::Ordering::Equal => return (number, Some(read_rest(rest, &steps.base, commons))),
                std::cmp::Ordering::Greater => break,
            }
        }
        (number, None)
    }

    /// All entries.
    pub fn entries(&self, commons: &Commons) -> Vec<(EntryPath, TreeEntry)> {
        let mut steps = Steps::of(self);
        let mut entries = Vec::with_capacity(steps.left as usize);
        while let Some(rest) = steps.step() {
            // What was packed was a path.
            if let Ok(path) = EntryPath::new(steps.path.as_slice()) {
                entries.push((path, read_rest(rest, &steps.base, commons)));
            }
        }
        entries
    }

    /// The entry with this number in the block.
    pub fn at(&self, number: u32, commons: &Commons) -> Option<(EntryPath, TreeEntry)> {
        let mut steps = Steps::of(self);
        for _ in 0..number {
            steps.step()?;
        }
        let rest = steps.step()?;
        Some((EntryPath::new(steps.path.as_slice()).ok()?, read_rest(rest, &steps.base, commons)))
    }
}

/// Goes over the entries of a block.
struct Steps<'a> {
    cursor: Cursor<'a>,
    base: Base,
    left: u32,
    path: Vec<u8>,
}

impl<'a> Steps<'a> {
    fn of(block: &'a Block) -> Self {
        let mut cursor = Cursor(&block.0);
        let left = cursor.small();
        let base = Base::read(&mut cursor);
        Self { cursor, base, left, path: Vec::new() }
    }

    /// Goes to the next entry: `path` is its path then. Gives its rest.
    fn step(&mut self) -> Option<Cursor<'a>> {
        self.left = self.left.checked_sub(1)?;
        let length = self.cursor.number() as usize;
        let (shared, own) = (self.cursor.number() as usize, self.cursor.number() as usize);
        let own = self.cursor.bytes(own);
        self.path.truncate(shared);
        self.path.extend_from_slice(own);
        Some(Cursor(self.cursor.bytes(length)))
    }
}

fn put_rest(out: &mut Vec<u8>, entry: &TreeEntry, base: &Base, commons: &mut Commons) {
    let TreeEntry { kind, common, mtime, stamp, size, sparse, short, is_unproven, content } = entry;
    let kind_number = match kind {
        Kind::File => 0,
        Kind::Dir => 1,
        Kind::Symlink { .. } => 2,
        Kind::Hardlink { .. } => 3,
    };
    let mut flags = kind_number;
    let mut set = |is_set: bool, flag: u64| flags |= if is_set { flag } else { 0 };
    set(stamp.is_some(), flag::STAMP);
    set(*sparse, flag::SPARSE);
    set(*short, flag::SHORT);
    set(*is_unproven, flag::UNPROVEN);
    set(matches!(content, Content::Whole(_)), flag::WHOLE);
    set(matches!(content, Content::Parts(_)), flag::PARTS);
    set(matches!(content, Content::Whole(place) if place.length == *size), flag::SAME_LENGTH);
    put(out, flags);
    put(out, u64::from(commons.number(common)));
    put_near(out, mtime.seconds as u64, base.mtime);
    put(out, u64::from(mtime.nanos));
    put(out, *size);
    match kind {
        Kind::File | Kind::Dir => {}
        Kind::Symlink { target } => put_bytes(out, target),
        Kind::Hardlink { target } => put_bytes(out, target.as_bytes()),
    }
    if let Some(stamp) = stamp {
        put_near(out, stamp.ctime.seconds as u64, mtime.seconds as u64);
        put(out, u64::from(stamp.ctime.nanos));
        put_near(out, stamp.inode, base.inode);
    }
    match content {
        Content::None => {}
        Content::Whole(place) => put_place(out, place, (place.length != *size).then_some(place.length), base),
        Content::Parts(parts) => {
            out.extend_from_slice(&parts.file.0);
            put(out, u64::from(parts.of));
            put(out, parts.places.len() as u64);
            for (&number, place) in &parts.places {
                put(out, u64::from(number));
                put_place(out, place, Some(place.length), base);
            }
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_place(out: &mut Vec<u8>, place: &Place, length: Option<u64>, base: &Base) {
    out.extend_from_slice(&place.sha256.0);
    put_near(out, u64::from(place.archive), base.archive);
    put_near(out, u64::from(place.frame), base.frame);
    put_near(out, place.offset, base.offset);
    if let Some(length) = length {
        put(out, length);
    }
}

fn read_rest(mut cursor: Cursor<'_>, base: &Base, commons: &Commons) -> TreeEntry {
    let flags = cursor.number();
    let has = |flag: u64| flags & flag != 0;
    let common = commons.get(cursor.small());
    let mtime = Timestamp { seconds: cursor.near(base.mtime) as i64, nanos: cursor.small() };
    let size = cursor.number();
    let kind = match flags & flag::KIND {
        1 => Kind::Dir,
        2 => Kind::Symlink { target: read_bytes(&mut cursor).to_vec() },
        // What was packed was a path.
        3 => EntryPath::new(read_bytes(&mut cursor)).map_or(Kind::File, |target| Kind::Hardlink { target }),
        _ => Kind::File,
    };
    let stamp = has(flag::STAMP).then(|| {
        let ctime = Timestamp { seconds: cursor.near(mtime.seconds as u64) as i64, nanos: cursor.small() };
        Stamp { ctime, inode: cursor.near(base.inode) }
    });
    let content = if has(flag::WHOLE) {
        Content::Whole(read_place(&mut cursor, has(flag::SAME_LENGTH).then_some(size), base))
    } else if has(flag::PARTS) {
        let (file, of, count) = (Id(cursor.array()), cursor.small(), cursor.number());
        let places: BTreeMap<u32, Place> = (0..count).map(|_| (cursor.small(), read_place(&mut cursor, None, base))).collect();
        Content::Parts(Box::new(Parts { file, of, places }))
    } else {
        Content::None
    };
    let (sparse, short, is_unproven) = (has(flag::SPARSE), has(flag::SHORT), has(flag::UNPROVEN));
    TreeEntry { kind, common, mtime, stamp, size, sparse, short, is_unproven, content }
}

fn read_bytes<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    let length = cursor.number() as usize;
    cursor.bytes(length)
}

fn read_place(cursor: &mut Cursor<'_>, length: Option<u64>, base: &Base) -> Place {
    let sha256 = Digest(cursor.array());
    let (archive, frame) = (cursor.near(base.archive) as u32, cursor.near(base.frame) as u32);
    let offset = cursor.near(base.offset);
    Place { sha256, archive, frame, offset, length: length.unwrap_or_else(|| cursor.number()) }
}
