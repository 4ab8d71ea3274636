//! Writing the archives that stand for others.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Excluded;
use super::same::is_same;
use crate::archive::MEMBER_BYTES;
use crate::archive::index::{IndexEntry, Located, Part};
use crate::archive::writer::NewFile;
use crate::model::digest::Id;
use crate::model::entry::{EntryPath, Kind, Metadata};
use crate::operations::OperationError;
use crate::operations::archiving::{Archiving, OpenArchive, part_members, wait_for};
use crate::operations::stop::Stop;
use crate::repository::RepositoryError;
use crate::repository::contents::Contents;
use crate::repository::format::snapshot::ArchiveRecord;
use crate::repository::tree::{Place, Tree, TreeEntry};

/// Bytes of a tar that are read at a time.
const BLOCK_BYTES: u64 = 4 * 1024 * 1024;

/// Where contents are now: by archive and place, the new archive, frame and place.
pub(super) type Moved = HashMap<(Id, u64), (Id, u32, u64)>;

/// What some archives make of a state.
pub(super) struct Change {
    /// The state before them.
    pub before: Tree,
    /// The state behind them.
    pub after: Tree,
    /// The state that is shown, where others follow them in the same snapshots.
    pub shown: Option<Tree>,
    /// The archives.
    pub own: HashSet<Id>,
    /// All contents in them that any snapshot shows.
    pub wanted: Vec<Place>,
    /// What is taken out.
    pub exclude: Option<Excluded>,
}

/// What is to be written, by numbers of the state behind.
#[derive(Default)]
struct Plan {
    remove: Vec<EntryPath>,
    plain: Vec<u32>,
    /// Files whose content is in one of the archives, in its order.
    files: Vec<(u32, u64, u32)>,
    long: Vec<u32>,
    references: Vec<u32>,
}

impl Change {
    fn is_out(&self, path: &EntryPath) -> bool {
        self.exclude.as_ref().is_some_and(|exclude| exclude(path))
    }

    fn is_own(&self, place: &Place) -> bool {
        self.after.archives.get(place.archive as usize).is_some_and(|record| self.own.contains(&record.id))
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        for (path, old) in self.before.iter().filter(|(path, _)| !self.is_out(path)) {
            let is_gone = match self.after.get(&path) {
                None => true,
                Some(new) => std::mem::discriminant(&new.kind) != std::mem::discriminant(&old.kind),
            };
            if is_gone {
                plan.remove.extend(part_members(&self.before, std::slice::from_ref(&path)));
                // What is below goes with it.
                if plan.remove.last().is_none_or(|last| !path.is_below(last)) {
                    plan.remove.push(path);
                }
            }
        }
        for (number, path, entry) in self.after.numbered().filter(|(_, path, _)| !self.is_out(path)) {
            let is_as_before = self.before.get(&path).is_some_and(|old| is_same((&self.before, &old), (&self.after, &entry)));
            let is_shown = |shown: &Tree| shown.get(&path).is_some_and(|later| is_same((shown, &later), (&self.after, &entry)));
            if is_as_before || !self.shown.as_ref().is_none_or(is_shown) {
                continue;
            }
            match (&entry.kind, entry.place()) {
                (Kind::Dir | Kind::Symlink { .. }, _) => plan.plain.push(number),
                (Kind::Hardlink { .. }, _) => plan.references.push(number),
                (Kind::File, Some(place)) if self.is_own(place) => plan.files.push((place.archive, place.offset, number)),
                (Kind::File, Some(_)) => plan.references.push(number),
                (Kind::File, None) => plan.long.push(number),
            }
        }
        plan.files.sort_unstable();
        plan
    }
}

/// Writes new archives.
pub(super) struct Writing {
    pub with: Archiving,
    /// The contents of the state behind.
    pub contents: Contents,
    pub stop: Stop,
    pub bytes: Arc<AtomicU64>,
}

impl Writing {
    /// Writes what stands for some archives, and notes where contents are now. It blocks.
    ///
    /// # Errors
    /// When an archive is damaged, the store fails, or the run is stopped.
    pub fn write(&self, change: &Change, moved: &mut Moved) -> Result<Vec<ArchiveRecord>, OperationError> {
        let plan = change.plan();
        let mut out = Out { writing: self, change, moved, open: None, records: Vec::new(), block: Block::default() };
        let mut remove = plan.remove;
        remove.extend(out.kept_contents(&plan.files, &plan.long)?);
        for path in remove {
            out.archive()?.writer.append_removal(path.as_bytes());
            out.close_if_full()?;
        }
        let at = |number: u32| change.after.at(number).ok_or_else(|| OperationError::Internal("an entry is gone".into()));
        for number in plan.plain {
            let (path, entry) = at(number)?;
            let (meta, stamp) = (entry.meta(), entry.stamp());
            if let Err(error) = out.archive()?.writer.append_plain(&path, &entry.kind, &meta, stamp) {
                return Err(out.failure(error));
            }
            out.close_if_full()?;
        }
        for (_, _, number) in plan.files {
            let (path, entry) = at(number)?;
            for line in change.after.index_entries(&path, &entry) {
                out.line(line)?;
            }
        }
        for number in plan.long {
            let (path, entry) = at(number)?;
            let before = out.parts_before(&path, &entry);
            for line in change.after.index_entries(&path, &entry) {
                let part = line.content.as_ref().and_then(|content| content.part);
                if part.is_none_or(|part| !before.contains(&part.n)) {
                    out.line(line)?;
                }
            }
        }
        for number in plan.references {
            let (path, entry) = at(number)?;
            for line in change.after.index_entries(&path, &entry) {
                out.line(line)?;
            }
        }
        out.close()?;
        Ok(out.records)
    }
}

/// The archives on their way.
struct Out<'a> {
    writing: &'a Writing,
    change: &'a Change,
    moved: &'a mut Moved,
    open: Option<OpenArchive>,
    records: Vec<ArchiveRecord>,
    block: Block,
}

impl Out<'_> {
    /// Writes the contents that are shown, but not by the state behind: those that other entries and snapshots point at. They stand below a
    /// folder that the next archive removes; gives it.
    fn kept_contents(&mut self, files: &[(u32, u64, u32)], long: &[u32]) -> Result<Option<EntryPath>, OperationError> {
        let mut own: HashSet<(u32, u64)> = files.iter().map(|(archive, offset, _)| (*archive, *offset)).collect();
        for (_, entry) in long.iter().filter_map(|number| self.change.after.at(*number)) {
            own.extend(entry.all_places().map(|place| (place.archive, place.offset)));
        }
        let is_kept = |place: &&Place| place.length > 0 && !own.contains(&(place.archive, place.offset));
        let kept: Vec<Place> = self.change.wanted.iter().filter(is_kept).copied().collect();
        if kept.is_empty() {
            return Ok(None);
        }
        let folder = format!(".tgvault-kept-{}", self.writing.with.machine.id()?);
        let path = |name: &str| EntryPath::new(name).map_err(|error| OperationError::Internal(error.to_string()));
        for (number, place) in kept.into_iter().enumerate() {
            let (path, meta) = (path(&format!("{folder}/{number}"))?, Metadata { mode: 0o600, ..Metadata::default() });
            let file =
                NewFile { path: &path, meta: &meta, stamp: None, size: place.length, sparse: false, length: place.length, part: None };
            self.member(&file, &place)?;
            self.close_if_full()?;
        }
        // What removes it stands in another archive.
        self.close()?;
        path(&folder).map(Some)
    }

    /// The parts of a long file that the state before has, and that need not be said again.
    fn parts_before(&self, path: &EntryPath, entry: &TreeEntry) -> HashSet<u32> {
        let (Some(old), Some((file, parts))) = (self.change.before.get(path), entry.stored_parts()) else { return HashSet::new() };
        let id = |tree: &Tree, place: &Place| (tree.archives.get(place.archive as usize).map(|record| record.id), place.offset);
        match old.stored_parts() {
            Some((same, before)) if same == file && before.len() < parts.len() => {
                let is_there =
                    |n: &u32, part: &Place| before.get(n).is_some_and(|old| id(&self.change.before, old) == id(&self.change.after, part));
                parts.iter().filter(|(n, part)| is_there(n, part)).map(|(n, _)| *n).collect()
            }
            _ => HashSet::new(),
        }
    }

    /// Writes a line of an index, with its content where that is in one of the old archives and in no new one yet.
    fn line(&mut self, mut line: IndexEntry) -> Result<(), OperationError> {
        let is_own = |content: &Located| content.archive.is_some_and(|archive| self.change.own.contains(&archive));
        let there = |content: &Located| self.moved.get(&(content.archive?, content.offset)).copied();
        if let Some(content) = &mut line.content {
            match there(content) {
                Some((archive, frame, offset)) => (content.archive, content.frame, content.offset) = (Some(archive), frame, offset),
                None if is_own(content) => return self.stored(&line),
                None => {}
            }
        }
        if let Err(error) = self.archive()?.writer.append_reference(&line) {
            return Err(self.failure(error));
        }
        self.close_if_full()
    }

    fn stored(&mut self, line: &IndexEntry) -> Result<(), OperationError> {
        let Some(Located { sha256, archive: Some(archive), frame, offset, length, short, part }) = line.content.clone() else {
            return Ok(());
        };
        let number = self.change.after.archive_number(archive);
        let number = number.ok_or_else(|| OperationError::Internal(format!("archive {archive} is not known")))?;
        let place = Place { sha256, archive: number, frame, offset, length };
        // A content that was read short stays marked: it was declared longer than it is.
        let declared = if short && length < MEMBER_BYTES { length + 1 } else { length };
        let IndexEntry { path, meta, stamp, size, sparse, .. } = line;
        let file = NewFile { path, meta, stamp: *stamp, size: *size, sparse: *sparse, length: declared, part };
        self.member(&file, &place)?;
        self.close_if_full()
    }

    /// Writes a member with the content at `place`.
    fn member(&mut self, file: &NewFile<'_>, place: &Place) -> Result<(), OperationError> {
        let old = self.change.after.archives.get(place.archive as usize).cloned();
        let old = old.ok_or_else(|| OperationError::Internal("an archive is not known".into()))?;
        self.archive()?;
        let Some(open) = &mut self.open else { return Ok(()) };
        let id = open.writer.id();
        let mut failure = None;
        let mut body = Body { writing: self.writing, block: &mut self.block, place: *place, at: 0, failure: &mut failure };
        let stored = open.writer.append_file(file, &mut body);
        if let Some(error) = failure {
            return Err(error);
        }
        match stored {
            Err(error) => Err(self.failure(error)),
            Ok(stored) if stored.located.sha256 != place.sha256 || stored.located.length != place.length => {
                let what = "a content in it is not what its index says; run `tgvault verify --deep`";
                Err(RepositoryError::Damaged { name: old.object, why: what.into() }.into())
            }
            Ok(stored) => {
                self.writing.bytes.fetch_add(place.length, Ordering::Relaxed);
                self.moved.insert((old.id, place.offset), (id, stored.located.frame, stored.located.offset));
                Ok(())
            }
        }
    }

    fn archive(&mut self) -> Result<&mut OpenArchive, OperationError> {
        if self.writing.stop.is_wanted() {
            return Err(OperationError::Interrupted);
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => OpenArchive::begin(&self.writing.with)?,
        };
        Ok(self.open.insert(open))
    }

    fn failure(&mut self, error: crate::archive::ArchiveError) -> OperationError {
        match self.open.take() {
            Some(open) => open.give_up(&self.writing.with, error),
            None => error.into(),
        }
    }

    fn close_if_full(&mut self) -> Result<(), OperationError> {
        if self.open.as_ref().is_some_and(|open| open.writer.is_full()) { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), OperationError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (record, uploaded) = open.seal(&self.writing.with, false, &[], &[], |_, _, _| Ok(()))?;
        self.writing.with.runtime.block_on(wait_for(uploaded))?;
        self.records.push(record);
        Ok(())
    }
}

/// A piece of an old archive's tar: what is wanted next lies beside what was wanted last.
#[derive(Default)]
struct Block {
    archive: Option<u32>,
    from: u64,
    bytes: Vec<u8>,
}

/// A content on its way.
struct Body<'a> {
    writing: &'a Writing,
    block: &'a mut Block,
    place: Place,
    at: u64,
    failure: &'a mut Option<OperationError>,
}

impl Body<'_> {
    fn fill(&mut self, from: u64) -> Result<(), RepositoryError> {
        let (contents, archive) = (&self.writing.contents, self.place.archive);
        if let Some(other) = self.block.archive.filter(|other| *other != archive) {
            // Thousands of archives may be read in turn.
            contents.archive(other)?.object().release();
        }
        let reader = contents.archive(archive)?;
        let end = from.saturating_add(BLOCK_BYTES).min(reader.tar_bytes()).max(from.saturating_add(1));
        let Place { sha256, frame, .. } = self.place;
        let located = Located { sha256, archive: None, frame, offset: from, length: end - from, short: false, part: None::<Part> };
        (self.block.archive, self.block.from) = (Some(archive), from);
        self.block.bytes.clear();
        let bytes = &mut self.block.bytes;
        let read = reader.content(&located, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        read.map_err(|error| contents.failed(archive, error))
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.place.length - self.at;
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.writing.stop.is_wanted() {
            *self.failure = Some(OperationError::Interrupted);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let from = self.place.offset + self.at;
        let is_in = |block: &Block, archive: u32| {
            block.archive == Some(archive) && (block.from..block.from + block.bytes.len() as u64).contains(&from)
        };
        if !is_in(self.block, self.place.archive)
            && let Err(error) = self.fill(from)
        {
            self.block.archive = None;
            *self.failure = Some(error.into());
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let rest = self.block.bytes.get((from - self.block.from) as usize..).unwrap_or_default();
        let taken = rest.len().min(buffer.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
        for (to, byte) in buffer.iter_mut().zip(rest.iter().take(taken)) {
            *to = *byte;
        }
        self.at += taken as u64;
        Ok(taken)
    }
}
