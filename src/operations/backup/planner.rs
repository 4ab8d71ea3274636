//! Deciding, entry by entry as the source lists them, what has to be stored.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Sender;

use super::Shared;
use super::met::Met;
use crate::archive::index::{is_part_name, part_name};
use crate::model::digest::{Digest, Id};
use crate::model::entry::{EntryPath, Kind};
use crate::operations::events::Event;
use crate::repository::tree::{Tree, TreeEntry};
use crate::source::{Before, Item, Problem, Sink, Stopped};

/// An entry on its way to a lane.
pub(super) struct Job {
    pub item: Item,
    /// For a long file: the parts of this very version that an earlier run has stored, under this name.
    pub resume: Option<(Id, HashSet<u32>)>,
    /// Set where everything but the content is known to be the same: the digests of the content's pieces, if those have not
    /// changed either.
    pub unchanged: Option<Vec<Digest>>,
    /// What has to be removed before the content, if it is stored anew: what is there stays when it cannot be read.
    pub replaces: Vec<EntryPath>,
    /// Set where something of another kind stood at the path, which goes as soon as there is a new entry, wherever its content is.
    pub changes_kind: bool,
}

/// What is to be removed before the archives that are not committed yet.
#[derive(Clone, Default)]
pub(super) struct Removals(Arc<Mutex<(u64, Vec<EntryPath>)>>);

impl Removals {
    fn inner(&self) -> MutexGuard<'_, (u64, Vec<EntryPath>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, path: EntryPath) {
        self.inner().1.push(path);
    }

    /// All that was noted so far and is not forgotten, and the number of the first, from 0.
    pub fn noted(&self) -> (u64, Vec<EntryPath>) {
        self.inner().clone()
    }

    /// Forgets those with smaller numbers than `end`, which are committed.
    pub fn forget(&self, end: u64) {
        let (from, paths) = &mut *self.inner();
        let count = usize::try_from(end.saturating_sub(*from)).unwrap_or(usize::MAX).min(paths.len());
        paths.drain(..count);
        *from += count as u64;
    }
}

/// Lets all lanes begin as soon as there is more to do than one archive should wait for.
pub(super) struct More {
    lanes: Sender<()>,
    count: usize,
    jobs: u64,
    bytes: u64,
}

impl More {
    /// Lets in `count` lanes, each of which waits for one message.
    pub fn new(lanes: Sender<()>, count: usize) -> Self {
        Self { lanes, count, jobs: 0, bytes: 0 }
    }

    fn note(&mut self, bytes: u64) {
        /// Entries, and bytes of them, that one lane takes alone.
        const FEW: (u64, u64) = (64, 8 * 1024 * 1024);
        self.jobs += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.jobs >= FEW.0 || self.bytes >= FEW.1 {
            // There is room for all of them; when it is taken, they have been let in.
            for _ in 0..std::mem::take(&mut self.count) {
                let _ = self.lanes.try_send(());
            }
        }
    }
}

/// Reads a small file of the parent's state.
pub(super) type ReadBefore<'a> = Box<dyn Fn(&TreeEntry) -> io::Result<Vec<u8>> + Send + 'a>;

/// Compares what the source lists with the parent's state.
pub(super) struct Planner<'a> {
    pub shared: &'a Shared,
    pub tree: Tree,
    /// What of the tree the run has met, or keeps without having met it.
    pub met: Met,
    pub removals: Removals,
    pub force_rehash: bool,
    /// `None` in a dry run.
    pub jobs: Option<Sender<Job>>,
    /// Where several lanes wait for much to do.
    pub more: Option<More>,
    /// Further names of files that have to be noted, and can be read by that name as well.
    pub links: Vec<Item>,
    /// Marks of items that are stored already.
    pub marks: Vec<u64>,
    /// Reads what the parent holds, where a key is at hand.
    reader: Option<ReadBefore<'a>>,
    /// Hashes of the paths that are stored anew: links to them have to be noted again.
    dispatched: HashSet<u64>,
    hasher: RandomState,
}

impl<'a> Planner<'a> {
    pub fn new(shared: &'a Shared, tree: Tree, removals: Removals, force_rehash: bool, jobs: Option<Sender<Job>>) -> Self {
        let (links, marks, dispatched, hasher) = (Vec::new(), Vec::new(), HashSet::new(), RandomState::new());
        let met = Met::none_of(tree.len());
        Self { shared, tree, met, removals, force_rehash, jobs, more: None, links, marks, reader: None, dispatched, hasher }
    }

    /// With a reader of what the parent holds, where a key is at hand.
    pub fn reading_with(mut self, reader: Option<ReadBefore<'a>>) -> Self {
        self.reader = reader;
        self
    }

    /// What the listing did not name: deleted paths, without those below a deleted folder.
    pub fn deleted(&self) -> Vec<EntryPath> {
        let mut deleted: Vec<EntryPath> = Vec::new();
        for (_, path, _) in self.tree.numbered().filter(|(number, ..)| !self.met.has(*number)) {
            let below_last = deleted.last().is_some_and(|last| path.is_below(last));
            // A folder is kept for what is kept below it.
            if !below_last && !self.met.has_any(self.tree.numbers_below(&path)) {
                deleted.push(path);
            }
        }
        deleted
    }

    /// Marks everything at and below a path as met; gives how many entries had not been, and their bytes.
    fn mark(&mut self, path: &EntryPath) -> (u64, u64) {
        let below = self.tree.numbers_below(path);
        let at = self.tree.find(path).map(|(number, entry)| (number, entry.size));
        let below = (below.start..).zip(self.tree.below(path)).map(|(number, (_, entry))| (number, entry.size));
        let (mut entries, mut bytes) = (0, 0);
        for (number, size) in below.chain(at) {
            if !self.met.mark(number) {
                entries += 1;
                bytes += size;
            }
        }
        (entries, bytes)
    }

    /// Makes the totals those of the new state: what was listed and could not be read is in it as the parent has it, or not at all.
    /// What stood below it stays too, where it was a folder.
    pub fn settle(&mut self) {
        for (path, bytes) in self.shared.unread() {
            let kept = self.mark(&path);
            self.shared.keep(kept);
            self.shared.unlist(bytes);
            if let Some(old) = self.tree.get(&path) {
                self.shared.keep((1, old.size));
            }
        }
    }

    /// What a lane has to do about an item.
    pub fn job(&mut self, item: Item) -> Job {
        self.dispatched.insert(self.hash(&item.path));
        let (mut resume, mut unchanged, mut replaces, mut changes) = (None, None, Vec::new(), false);
        if let Some(old) = self.tree.get(&item.path) {
            if looks_unchanged(&old, &item) {
                unchanged = old.places().map(|places| places.iter().map(|place| place.sha256).collect());
            }
            let same_version = item.stamp.is_some() && old.stamp() == item.stamp && old.size == item.size && old.has_meta(&item.meta);
            match old.stored_parts() {
                Some((file, parts)) if same_version && !old.short && old.places().is_none() && item.kind == Kind::File => {
                    resume = Some((file, parts.keys().copied().collect()));
                }
                _ => {
                    replaces = self.note_form_change(&item, &old);
                    changes = changes_kind(&item, &old) && item.kind == Kind::File;
                }
            }
        }
        Job { item, resume, unchanged, replaces, changes_kind: changes }
    }

    /// Whether the listing gave the path to a lane.
    pub fn is_dispatched(&self, path: &EntryPath) -> bool {
        self.dispatched.contains(&self.hash(path))
    }

    /// How many entries of the parent the listing did not name.
    pub fn gone(&self) -> u64 {
        self.tree.len() as u64 - self.met.count()
    }

    fn is_unchanged(&self, old: &TreeEntry, item: &Item) -> bool {
        // Without a stamp there is no telling: the source has none, or the file was just being written.
        let is_told = || !self.force_rehash && item.stamp.is_some();
        looks_unchanged(old, item) && (item.kind != Kind::File || is_told())
    }

    fn hash(&self, path: &EntryPath) -> u64 {
        self.hasher.hash_one(path)
    }

    /// Notes what of the old entry must go before the new one is laid over it; gives what must go only if the new content is
    /// not one that is known.
    fn note_form_change(&self, item: &Item, old: &TreeEntry) -> Vec<EntryPath> {
        let path = &item.path;
        // A file or a further name of one may turn out not to be readable: then what there was is kept.
        if changes_kind(item, old) && matches!(item.kind, Kind::Dir | Kind::Symlink { .. }) {
            self.removals.push(path.clone());
        }
        let Some((_, parts)) = old.stored_parts() else { return Vec::new() };
        // The member names of parts are paths of a plain tar's tree only.
        let members = parts.keys().filter_map(|&n| EntryPath::new(part_name(path, n)).ok());
        let replaced: Vec<EntryPath> = [path.clone()].into_iter().chain(members).collect();
        if item.kind == Kind::File && old.places().is_some() {
            return replaced;
        }
        replaced.into_iter().for_each(|path| self.removals.push(path));
        Vec::new()
    }
}

/// Whether something of another kind stood at the item's path.
fn changes_kind(item: &Item, old: &TreeEntry) -> bool {
    std::mem::discriminant(&old.kind) != std::mem::discriminant(&item.kind)
}

/// Whether nothing has changed that can be seen without reading. A content that then proves to be the same needs no new entry.
fn looks_unchanged(old: &TreeEntry, item: &Item) -> bool {
    let has_same_stamp = || item.stamp.is_none_or(|stamp| old.stamp().is_some_and(|old| stamp.fits(&old)));
    // A length that was made up says nothing.
    let has_same_size = || old.size == item.size || item.stamp.is_none() && item.size == 0;
    let is_same_file = || has_same_size() && has_same_stamp() && !old.short && old.places().is_some();
    old.kind == item.kind && old.has_meta(&item.meta) && (item.kind != Kind::File || is_same_file())
}

impl Sink for Planner<'_> {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        if self.shared.stop_wanted() {
            return Err(Stopped);
        }
        if is_part_name(item.path.file_name()) {
            self.shared.not_stored(&item.path, "names that end in .tgvault-part-NNNN are reserved for the parts of long files");
            return Ok(());
        }
        let totals = &self.shared.totals;
        totals.entries.fetch_add(1, Ordering::Relaxed);
        // Of a file with several names, the first brings the bytes.
        let bytes = if item.kind == Kind::File { item.size } else { 0 };
        totals.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some((number, old)) = self.tree.find(&item.path) {
            if self.met.mark(number) {
                self.shared.unkeep(old.size);
            }
            let link_is_sound = !matches!(&item.kind, Kind::Hardlink { target } if self.dispatched.contains(&self.hash(target)));
            if self.is_unchanged(&old, &item) && link_is_sound {
                self.shared.done.entries.fetch_add(1, Ordering::Relaxed);
                self.shared.done.bytes.fetch_add(bytes, Ordering::Relaxed);
                self.marks.extend((item.mark != 0).then_some(item.mark));
                return Ok(());
            }
        }
        if let Kind::Hardlink { .. } = item.kind {
            self.shared.done.entries.fetch_add(1, Ordering::Relaxed);
            self.links.push(item);
            return Ok(());
        }
        let job = self.job(item);
        if let Some(more) = &mut self.more {
            more.note(bytes);
        }
        match &self.jobs {
            Some(jobs) => jobs.send(job).map_err(|_| Stopped),
            None => {
                self.shared.note_new(1, bytes);
                self.shared.events.event(&Event::Planned { path: &job.item.path, bytes });
                Ok(())
            }
        }
    }

    fn problem(&mut self, problem: Problem) {
        // What the parent has at and below the path is kept.
        let kept = self.mark(&problem.path);
        self.shared.keep(kept);
        self.shared.not_stored(&problem.path, &problem.what);
    }

    fn vanished(&mut self, path: &EntryPath) {
        let kept = self.mark(path);
        self.shared.keep(kept);
    }

    fn skipped(&mut self, path: &EntryPath, why: &str) {
        self.shared.events.event(&Event::Skipped { path, why });
    }

    fn note(&mut self, text: &str) {
        self.shared.events.event(&Event::Note(text));
    }

    fn before(&self, path: &EntryPath) -> Option<Before> {
        let entry = self.tree.get(path).filter(|entry| entry.kind == Kind::File && !entry.short)?;
        entry.pieces()?;
        Some(Before { size: entry.size, mtime: entry.mtime(), sha256: entry.sha256() })
    }

    fn files_before(&self, folder: &EntryPath) -> Vec<EntryPath> {
        self.tree.below(folder).filter(|(_, entry)| entry.kind == Kind::File).map(|(path, _)| path).collect()
    }

    fn read_before(&self, path: &EntryPath) -> io::Result<Option<Vec<u8>>> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let entry = self.tree.get(path).ok_or(io::ErrorKind::NotFound)?;
        reader(&entry).map(Some)
    }

    fn is_stopped(&self) -> bool {
        self.shared.stop_wanted()
    }
}
