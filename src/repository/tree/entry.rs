//! One entry of a state: what it is, and where its content is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::archive::MEMBER_BYTES;
use crate::archive::index::{IndexEntry, Located, Part};
use crate::model::digest::{Digest, Id};
use crate::model::entry::{EntryPath, Kind, Metadata, Stamp, Timestamp, Xattr};

/// Where one piece of content is: an archive by its number in the tree, and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// SHA-256 of the piece.
    pub sha256: Digest,
    /// Number of the archive in [`Tree::archives`](super::Tree::archives).
    pub archive: u32,
    /// The frame in which the member's header starts.
    pub frame: u32,
    /// The place of the first byte in the tar stream.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    None,
    Whole(Place),
    Parts(Box<Parts>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub file: Id,
    pub of: u32,
    /// The parts that are stored, by their number from 1.
    pub places: BTreeMap<u32, Place>,
}

/// What many entries have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Common {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub xattrs: Vec<Xattr>,
}

/// One entry of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// What it is.
    pub kind: Kind,
    pub(super) common: Arc<Common>,
    pub(super) mtime: Timestamp,
    pub(super) stamp: Option<Stamp>,
    /// Length of the file in bytes; 0 for anything else.
    pub size: u64,
    /// Whether the file has holes.
    pub sparse: bool,
    /// The source gave fewer bytes than it had declared.
    pub short: bool,
    /// A lost index may have changed or removed it, and nothing after that speaks of it.
    pub(super) is_unproven: bool,
    pub(super) content: Content,
}

impl TreeEntry {
    /// What a line of an index says, where its content is in the archive with the number `archive`: of a file in parts, the one part.
    pub(super) fn of_line(line: IndexEntry, archive: u32) -> (EntryPath, Self) {
        let IndexEntry { path, kind, meta, stamp, size, sparse, content } = line;
        let Metadata { mode, uid, gid, mtime, xattrs } = meta;
        let short = content.as_ref().is_some_and(|content| content.short);
        let content = content.map_or(Content::None, |located| {
            let Located { sha256, frame, offset, length, part, .. } = located;
            let place = Place { sha256, archive, frame, offset, length };
            match part {
                None => Content::Whole(place),
                Some(Part { n, of, file }) => Content::Parts(Box::new(Parts { file, of, places: BTreeMap::from([(n, place)]) })),
            }
        });
        let common = Arc::new(Common { mode, uid, gid, xattrs });
        (path, Self { kind, common, mtime, stamp, size, sparse, short, is_unproven: false, content })
    }

    /// The lines of an index that say this: one for each part of the content. `archive` gives the archive that has a number.
    pub(super) fn lines(&self, path: &EntryPath, archive: impl Fn(u32) -> Option<Id>) -> Vec<IndexEntry> {
        let line = |content: Option<Located>| IndexEntry {
            path: path.clone(),
            kind: self.kind.clone(),
            meta: self.meta(),
            stamp: self.stamp,
            size: self.size,
            sparse: self.sparse,
            content,
        };
        let located = |place: &Place, part: Option<Part>| {
            let Place { sha256, frame, offset, length, .. } = *place;
            Located { sha256, archive: archive(place.archive), frame, offset, length, short: self.short, part }
        };
        match &self.content {
            Content::None => vec![line(None)],
            Content::Whole(place) => vec![line(Some(located(place, None)))],
            Content::Parts(parts) => {
                let part = |n| Part { n, of: parts.of, file: parts.file };
                parts.places.iter().map(|(&n, place)| line(Some(located(place, Some(part(n)))))).collect()
            }
        }
    }

    /// Mode, owner, times, attributes.
    pub fn meta(&self) -> Metadata {
        let Common { mode, uid, gid, xattrs } = self.common.as_ref();
        Metadata { mode: *mode, uid: *uid, gid: *gid, mtime: self.mtime, xattrs: xattrs.clone() }
    }

    /// Whether the metadata is this.
    pub fn has_meta(&self, meta: &Metadata) -> bool {
        let Common { mode, uid, gid, xattrs } = self.common.as_ref();
        (*mode, *uid, *gid, self.mtime) == (meta.mode, meta.uid, meta.gid, meta.mtime) && *xattrs == meta.xattrs
    }

    /// What tells an unchanged file.
    pub fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// When the content last changed.
    pub fn mtime(&self) -> Timestamp {
        self.mtime
    }

    /// The pieces of the content in their order; `None` while a file in parts is not stored to its end.
    pub fn places(&self) -> Option<Vec<Place>> {
        match &self.content {
            Content::None => Some(Vec::new()),
            Content::Whole(place) => Some(vec![*place]),
            Content::Parts(parts) if parts.places.len() == parts.of as usize => Some(parts.places.values().copied().collect()),
            Content::Parts(_) => None,
        }
    }

    /// The place of a content that is stored in one piece.
    pub fn place(&self) -> Option<&Place> {
        match &self.content {
            Content::Whole(place) => Some(place),
            Content::None | Content::Parts(_) => None,
        }
    }

    /// The pieces of the content that are not empty, each with its place in the file; `None` while a file in parts is not
    /// stored to its end. Between them, where a part was read short, the file has zeros.
    pub fn pieces(&self) -> Option<Vec<(u64, Place)>> {
        let pieces: Vec<(u64, Place)> = match &self.content {
            Content::Parts(parts) if parts.places.len() != parts.of as usize => return None,
            Content::Parts(parts) => {
                parts.places.iter().map(|(&n, &place)| (u64::from(n.saturating_sub(1)) * MEMBER_BYTES, place)).collect()
            }
            _ => self.places()?.into_iter().map(|place| (0, place)).collect(),
        };
        Some(pieces.into_iter().filter(|(_, place)| place.length > 0).collect())
    }

    /// Length of the file in bytes as a restore makes it: where it was read short, it may be less than [`Self::size`].
    pub fn stored_size(&self) -> u64 {
        match (&self.content, self.pieces()) {
            (Content::Parts(_), Some(pieces)) => pieces.last().map_or(0, |(at, place)| at + place.length),
            _ => self.size,
        }
    }

    /// How many parts the content has; 0 where it is one member.
    pub fn part_count(&self) -> u32 {
        if let Content::Parts(parts) = &self.content { parts.of } else { 0 }
    }

    /// The name that ties the parts of this version together, and the parts that are stored.
    pub fn stored_parts(&self) -> Option<(Id, &BTreeMap<u32, Place>)> {
        if let Content::Parts(parts) = &self.content { Some((parts.file, &parts.places)) } else { None }
    }

    /// SHA-256 of the content where it is one piece.
    pub fn sha256(&self) -> Option<Digest> {
        if let Content::Whole(place) = &self.content { Some(place.sha256) } else { None }
    }

    /// The pieces of the content that are stored.
    pub fn all_places(&self) -> impl Iterator<Item = &Place> {
        let (whole, parts) = match &self.content {
            Content::None => (None, None),
            Content::Whole(place) => (Some(place), None),
            Content::Parts(parts) => (None, Some(parts.places.values())),
        };
        whole.into_iter().chain(parts.into_iter().flatten())
    }

    pub(super) fn change_places(&mut self, mut change: impl FnMut(&mut Place)) {
        match &mut self.content {
            Content::None => {}
            Content::Whole(place) => change(place),
            Content::Parts(parts) => parts.places.values_mut().for_each(change),
        }
    }

    /// Whether any of the content is in an archive that `is_lost` names by its number.
    pub(super) fn needs(&self, is_lost: &impl Fn(u32) -> bool) -> bool {
        match &self.content {
            Content::None => false,
            Content::Whole(place) => is_lost(place.archive),
            Content::Parts(parts) => parts.places.values().any(|place| is_lost(place.archive)),
        }
    }
}
