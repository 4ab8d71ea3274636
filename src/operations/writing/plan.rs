//! Which contents are read together: files that lie side by side in an archive are read in one sweep.

use crate::model::entry::{EntryPath, Metadata};
use crate::repository::tree::{Tree, TreeEntry};

/// Bytes of content in a unit, about: enough for one large read, small enough to spread over workers.
const UNIT_BYTES: u64 = 8 * 1024 * 1024;

/// Files in a unit, at most.
const UNIT_FILES: usize = 4 * 1024;

/// Files whose contents lie further apart than this are not read in one sweep: the bytes between would be read for nothing.
const MAX_GAP_BYTES: u64 = crate::archive::FRAME_BYTES as u64 / 2;

/// A file to restore.
pub(in crate::operations) struct PlannedFile {
    /// Where it goes.
    pub path: EntryPath,
    /// What it is.
    pub entry: TreeEntry,
    /// Its attributes, where they are not those of the entry.
    meta: Option<Metadata>,
}

impl PlannedFile {
    /// The attributes that it gets.
    pub fn meta(&self) -> Metadata {
        self.meta.clone().unwrap_or_else(|| self.entry.meta())
    }
}

/// What one worker restores in one go.
pub(in crate::operations) enum Unit {
    /// Files whose contents, each in one place, lie side by side in one archive, in that order.
    Run(Vec<PlannedFile>),
    /// A file in several parts.
    Parts(PlannedFile),
    /// A file without content, or whose content is not complete in the snapshot.
    Plain(PlannedFile),
}

/// A file of the plan: few bytes, for there may be millions.
struct Planned {
    archive: u32,
    /// The entry's number in the tree.
    number: u32,
    offset: u64,
    elsewhere: Option<Box<Elsewhere>>,
}

/// Where a file goes that does not go to its own path.
struct Elsewhere {
    path: EntryPath,
    meta: Option<Metadata>,
}

/// The files to restore, entries of one tree.
#[derive(Default)]
pub(in crate::operations) struct Plan {
    /// Those whose content is in one place.
    placed: Vec<Planned>,
    others: Vec<Planned>,
}

impl Plan {
    /// Adds entry `number` of the tree, which is `entry`.
    pub fn add(&mut self, number: u32, entry: &TreeEntry) {
        self.push(number, entry, None);
    }

    /// Adds an entry that goes to another path than its own.
    pub fn add_at(&mut self, path: EntryPath, (number, entry): (u32, &TreeEntry)) {
        self.push(number, entry, Some(Elsewhere { path, meta: None }));
    }

    /// Adds one that also gets other attributes than its own.
    pub fn add_with(&mut self, path: EntryPath, (number, entry): (u32, &TreeEntry), meta: Metadata) {
        self.push(number, entry, Some(Elsewhere { path, meta: Some(meta) }));
    }

    fn push(&mut self, number: u32, entry: &TreeEntry, elsewhere: Option<Elsewhere>) {
        let place = entry.place().filter(|place| place.length > 0);
        let (archive, offset) = place.map_or((0, 0), |place| (place.archive, place.offset));
        let planned = Planned { archive, number, offset, elsewhere: elsewhere.map(Box::new) };
        if place.is_some() { self.placed.push(planned) } else { self.others.push(planned) }
    }

    /// Sorts the files into units.
    pub fn units(mut self, tree: &Tree) -> impl Iterator<Item = Unit> {
        self.placed.sort_unstable_by_key(|planned| (planned.archive, planned.offset));
        let file = |planned: Planned| {
            let (path, entry) = tree.at(planned.number)?;
            let (path, meta) = planned.elsewhere.map_or((path, None), |elsewhere| (elsewhere.path, elsewhere.meta));
            Some(PlannedFile { path, entry, meta })
        };
        let others = self.others.into_iter().filter_map(file).map(|file| match file.entry.part_count() {
            1.. if file.entry.places().is_some() => Unit::Parts(file),
            _ => Unit::Plain(file),
        });
        let mut placed = self.placed.into_iter().filter_map(file).peekable();
        let runs = std::iter::from_fn(move || {
            let first = placed.next()?;
            let mut bytes = first.entry.size;
            let mut run = vec![first];
            while let Some(file) = placed.next_if(|next| bytes < UNIT_BYTES && run.len() < UNIT_FILES && goes_on(run.last(), next)) {
                bytes += file.entry.size;
                run.push(file);
            }
            Some(Unit::Run(run))
        });
        others.chain(runs)
    }
}

/// Whether the content of `next` lies behind that of `last`, and near.
fn goes_on(last: Option<&PlannedFile>, next: &PlannedFile) -> bool {
    let (Some(last), Some(place)) = (last.and_then(|last| last.entry.place()), next.entry.place()) else { return false };
    let end = last.offset.saturating_add(last.length);
    last.archive == place.archive && place.offset >= end && place.offset - end <= MAX_GAP_BYTES
}
