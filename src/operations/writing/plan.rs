//! Which contents are read together: files that lie side by side in an archive are read in one sweep.

use crate::model::entry::{EntryPath, Metadata};
use crate::repository::tree::{Place, Tree, TreeEntry};

/// Bytes of content in a unit, about: enough for one large read, small enough to spread over workers.
const UNIT_BYTES: u64 = 8 * 1024 * 1024;

/// Files whose contents lie further apart than this are not read in one sweep: the bytes between would be read for nothing.
const MAX_GAP_BYTES: u64 = crate::archive::FRAME_BYTES as u64 / 2;

/// A file to restore.
#[derive(Clone, Copy)]
pub(in crate::operations) struct PlannedFile<'a> {
    /// Where it goes.
    pub path: &'a EntryPath,
    /// What it is.
    pub entry: &'a TreeEntry,
    /// Its attributes, where they are not those of the entry.
    pub meta: Option<&'a Metadata>,
}

impl PlannedFile<'_> {
    /// The attributes that it gets.
    pub fn meta(&self) -> Metadata {
        self.meta.cloned().unwrap_or_else(|| self.entry.meta())
    }
}

/// What one worker restores in one go.
pub(in crate::operations) enum Unit<'a> {
    /// Files whose contents lie side by side in one archive, in that order.
    Run(Vec<(PlannedFile<'a>, &'a Place)>),
    /// A file in several parts.
    Parts(PlannedFile<'a>),
    /// Files without content, or whose content is not complete in the snapshot.
    Plain(PlannedFile<'a>),
}

/// The files to restore.
#[derive(Default)]
pub(in crate::operations) struct Plan<'a> {
    files: Vec<PlannedFile<'a>>,
}

impl<'a> Plan<'a> {
    /// Adds a file.
    pub fn add(&mut self, path: &'a EntryPath, entry: &'a TreeEntry) {
        self.files.push(PlannedFile { path, entry, meta: None });
    }

    /// Adds a file that gets other attributes than its entry has.
    pub fn add_with(&mut self, path: &'a EntryPath, entry: &'a TreeEntry, meta: &'a Metadata) {
        self.files.push(PlannedFile { path, entry, meta: Some(meta) });
    }

    /// Sorts the files into units.
    pub fn units(&self, tree: &Tree) -> Vec<Unit<'a>> {
        let mut units = Vec::new();
        let mut placed: Vec<(PlannedFile<'a>, &'a Place)> = Vec::new();
        for &file in &self.files {
            match (file.entry.part_count(), file.entry.place()) {
                (0, Some(place)) if place.length > 0 && (place.archive as usize) < tree.archives.len() => placed.push((file, place)),
                (1.., _) if file.entry.places().is_some() => units.push(Unit::Parts(file)),
                _ => units.push(Unit::Plain(file)),
            }
        }
        placed.sort_unstable_by_key(|(_, place)| (place.archive, place.offset));
        let mut run: Vec<(PlannedFile<'a>, &'a Place)> = Vec::new();
        let mut bytes = 0;
        for (file, place) in placed {
            let goes_on = run.last().is_some_and(|(_, last)| {
                let end = last.offset + last.length;
                last.archive == place.archive && bytes < UNIT_BYTES && place.offset >= end && place.offset - end <= MAX_GAP_BYTES
            });
            if !goes_on && !run.is_empty() {
                run.shrink_to_fit();
                units.push(Unit::Run(std::mem::take(&mut run)));
                bytes = 0;
            }
            bytes += place.length;
            run.push((file, place));
        }
        if !run.is_empty() {
            units.push(Unit::Run(run));
        }
        units
    }
}
