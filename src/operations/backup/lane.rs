//! A lane: one thread that builds whole archives of its own, entry after entry from the shared queue.
//!
//! Bytes stay in the thread, and mostly in its cache, from reading to sealing; two lanes are two archives.

use std::collections::HashSet;
use std::io::{self, Read};

use crossbeam_channel::Receiver;
use tokio::sync::oneshot;

use super::Shared;
use super::journal::Order;
use super::planner::Job;
use super::setup::{Finished, LaneSetup, Report};
use crate::archive::index::{IndexEntry, Located, Part};
use crate::archive::writer::NewFile;
use crate::archive::{ArchiveError, MEMBER_BYTES};
use crate::crypt::digest::{HashReader, sha256};
use crate::model::digest::{Digest, Id};
use crate::model::entry::{EntryPath, Kind};
use crate::operations::OperationError;
use crate::operations::archiving::{OpenArchive, wait_for};
use crate::source::{Body, Content, Item};

/// A file up to this length is read whole before it is stored, so that a known content is not stored again at the price of one read.
const SMALL_BYTES: u64 = 512 * 1024;

/// Contents below this length are stored again rather than referred to within one run: a reference costs as much.
const MIN_SHARED_BYTES: u64 = 4 * 1024;

/// An archive that a lane is filling.
struct Filling {
    archive: OpenArchive,
    /// For the journal.
    entries: Vec<IndexEntry>,
    /// Of the items in it.
    marks: Vec<u64>,
}

/// A lane.
pub(super) struct Lane<'a> {
    number: u32,
    shared: &'a Shared,
    setup: LaneSetup,
    open: Option<Filling>,
    /// Ends when the archive before is reported: archives of a lane are reported in their order.
    before: Option<oneshot::Receiver<()>>,
    small: Vec<u8>,
    /// What has to be removed before the content in hand, once it is stored.
    replaces: Vec<EntryPath>,
    /// Whether what stood at the path in hand goes with any new entry, because it was of another kind.
    changes_kind: bool,
}

impl<'a> Lane<'a> {
    pub fn new(number: u32, shared: &'a Shared, setup: LaneSetup) -> Self {
        Self { number, shared, setup, open: None, before: None, small: Vec::new(), replaces: Vec::new(), changes_kind: false }
    }

    /// Works until the queue ends.
    ///
    /// # Errors
    /// When an archive cannot be written.
    pub fn run(mut self, jobs: &Receiver<Job>) -> Result<(), OperationError> {
        for job in jobs {
            if self.shared.stop_wanted() {
                return Ok(());
            }
            self.store(job)?;
            if self.open.as_ref().is_some_and(|open| open.archive.writer.is_full()) {
                self.close()?;
            }
        }
        if self.shared.stop_wanted() { Ok(()) } else { self.close() }
    }

    fn store(&mut self, job: Job) -> Result<(), OperationError> {
        let Job { mut item, resume, unchanged, replaces, changes_kind } = job;
        (self.replaces, self.changes_kind) = (replaces, changes_kind);
        match item.content.clone() {
            Some(content) if item.kind == Kind::File => {
                if content.may_say_a_wrong_length() && item.size == 0 {
                    match self.measure(&item, content.as_ref()) {
                        Some(length) => {
                            self.shared.found_length(0, length);
                            item.size = length;
                        }
                        None => {
                            self.shared.done_one();
                            return Ok(());
                        }
                    }
                }
                match resume {
                    Some(_) => self.store_long(&item, content.as_ref(), resume, unchanged.as_deref())?,
                    None => self.store_whole(&item, content.as_ref(), unchanged.as_deref())?,
                }
            }
            _ => {
                let open = self.archive()?;
                if let Err(error) = open.archive.writer.append_plain(&item.path, &item.kind, &item.meta, item.stamp) {
                    return Err(self.failure(error));
                }
                let Some(open) = &mut self.open else { return Ok(()) };
                open.entries.push(index_entry(&item, None));
                open.marks.push(item.mark);
                self.shared.note_new(1, 0);
            }
        }
        self.shared.done_one();
        Ok(())
    }

    /// How many bytes there are in a file that says it has none; `None` when it cannot be read, which is told.
    fn measure(&self, item: &Item, content: &dyn Content) -> Option<u64> {
        let mut body = self.open_content(item, content, 0)?;
        let counted = io::copy(&mut Counted { body: body.as_mut(), shared: self.shared }, &mut io::sink());
        match counted {
            Ok(length) => {
                self.shared.undone_bytes(length);
                Some(length)
            }
            Err(_) if self.shared.stop_wanted() => None,
            Err(error) => {
                self.shared.unreadable(&item.path, item.size, &error);
                None
            }
        }
    }

    /// Opens the content; tells the failure and gives `None` when that is not possible.
    fn open_content(&self, item: &Item, content: &dyn Content, from: u64) -> Option<Box<dyn Body>> {
        content.open(from).map_err(|error| self.shared.unreadable(&item.path, item.size, &error)).ok()
    }

    fn store_whole(&mut self, item: &Item, content: &dyn Content, unchanged: Option<&[Digest]>) -> Result<(), OperationError> {
        if item.size > MEMBER_BYTES { self.store_long(item, content, None, unchanged) } else { self.store_file(item, content, unchanged) }
    }

    fn store_file(&mut self, item: &Item, content: &dyn Content, unchanged: Option<&[Digest]>) -> Result<(), OperationError> {
        if item.size == 0 && unchanged == Some(&[sha256(b"")]) {
            self.unchanged(item);
            return Ok(());
        }
        let Some(mut body) = self.open_content(item, content, 0) else { return Ok(()) };
        if item.size <= SMALL_BYTES {
            return self.store_small(item, content, body.as_mut(), unchanged);
        }
        if content.is_near() && self.shared.contents.has_length(item.size) {
            // What is compared counts while it is read; where it is not known yet, it is read once more.
            let mut hashing = HashReader::new(Counted { body: body.as_mut(), shared: self.shared }.take(item.size));
            let compared = io::copy(&mut hashing, &mut io::sink());
            let (digest, length) = hashing.finish();
            if let Err(error) = compared {
                if self.shared.stop_wanted() {
                    return Ok(());
                }
                self.shared.undone_bytes(length);
                self.shared.unreadable(&item.path, item.size, &error);
                return Ok(());
            }
            if let Some(located) = self.shared.contents.find(digest, length).filter(|_| length == item.size) {
                self.refer(item, vec![located], unchanged);
                return Ok(());
            }
            self.shared.undone_bytes(length);
            let Some(again) = self.open_content(item, content, 0) else { return Ok(()) };
            body = again;
        }
        self.append_whole(item, body.as_mut())
    }

    fn append_whole(&mut self, item: &Item, body: &mut dyn Body) -> Result<(), OperationError> {
        match self.append(item, body, item.size, None)? {
            None => self.mark(item),
            Some(what) => self.shared.problem(&item.path, &what),
        }
        Ok(())
    }

    /// Takes note that the item is stored as it should be, to tell the source when the archive is committed.
    fn mark(&mut self, item: &Item) {
        if let Some(open) = &mut self.open {
            open.marks.push(item.mark);
        }
    }

    fn store_small(
        &mut self,
        item: &Item,
        content: &dyn Content,
        body: &mut dyn Body,
        unchanged: Option<&[Digest]>,
    ) -> Result<(), OperationError> {
        let mut small = std::mem::take(&mut self.small);
        small.clear();
        let read = body.take(item.size).read_to_end(&mut small);
        if let Err(error) = read {
            self.shared.unreadable(&item.path, item.size, &error);
        } else if let Some(length) = self.other_length(item, content, small.len() as u64, body) {
            self.small = small;
            let item = Item { path: item.path.clone(), kind: Kind::File, meta: item.meta.clone(), size: length, content: None, ..*item };
            return self.store_whole(&item, content, None);
        } else {
            let length = small.len() as u64;
            // What is stored is hashed on its way: most contents are told apart by their length, and are hashed only there.
            let known = self.shared.contents.has_length(length).then(|| self.shared.contents.find(sha256(&small), length)).flatten();
            let known = known.filter(|located| item.size > 0 && small.len() as u64 == item.size && self.may_share(located));
            match known {
                Some(located) => {
                    self.shared.done_bytes(item.size);
                    self.refer(item, vec![located], unchanged);
                }
                None => {
                    let stored = self.append_bytes(item, &small, body);
                    self.small = small;
                    return stored;
                }
            }
        }
        self.small = small;
        Ok(())
    }

    /// The length of a content that is steadily another than it says; `None` where it is as it was listed, or changed since. What it
    /// is cannot be told from a body that was read to `read` bytes, so it is asked anew.
    fn other_length(&self, item: &Item, content: &dyn Content, read: u64, body: &mut dyn Body) -> Option<u64> {
        if !content.may_say_a_wrong_length() {
            return None;
        }
        let is_longer = read == item.size && body.read(&mut [0]).is_ok_and(|more| more > 0);
        if read == item.size && !is_longer || body.changed().unwrap_or(true) {
            return None;
        }
        let length = self.measure(item, content).filter(|&length| length != item.size)?;
        self.shared.found_length(item.size, length);
        Some(length)
    }

    /// Whether it pays to refer to a content: always to one of before, and to this run's unless it is tiny.
    fn may_share(&self, located: &Located) -> bool {
        located.length >= MIN_SHARED_BYTES || located.archive.is_some_and(|archive| self.shared.was_there(archive))
    }

    fn append_bytes(&mut self, item: &Item, bytes: &[u8], body: &mut dyn Body) -> Result<(), OperationError> {
        /// Bytes that were read from a body before.
        struct Known<'b>(&'b [u8], &'b mut dyn Body);
        impl Read for Known<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }
        }
        impl Body for Known<'_> {
            fn changed(&mut self) -> io::Result<bool> {
                self.1.changed()
            }
        }
        self.append_whole(item, &mut Known(bytes, body))
    }

    /// Stores a file of more than one member, part after part, each in whatever archive is open then.
    fn store_long(
        &mut self,
        item: &Item,
        content: &dyn Content,
        resume: Option<(Id, HashSet<u32>)>,
        unchanged: Option<&[Digest]>,
    ) -> Result<(), OperationError> {
        let of = u32::try_from(item.size.div_ceil(MEMBER_BYTES)).unwrap_or(u32::MAX);
        let (file, stored) = match resume {
            Some((file, stored)) => (file, stored),
            None => {
                let file = self.setup.archiving.machine.id()?;
                if let Some(known) = self.find_parts(item, content, of, file) {
                    self.refer(item, known, unchanged);
                    return Ok(());
                }
                (file, HashSet::new())
            }
        };
        let mut at = None;
        let mut told = false;
        for n in 1..=of {
            if self.shared.stop_wanted() {
                return Ok(());
            }
            let (start, length) = part_range(item.size, n);
            if stored.contains(&n) {
                self.shared.done_bytes(length);
                at = None;
                continue;
            }
            let mut body = match at.take() {
                Some(body) => body,
                None => match self.open_content(item, content, start) {
                    Some(body) => body,
                    None => return Ok(()),
                },
            };
            match self.append(item, body.as_mut(), length, Some(Part { n, of, file }))? {
                None => {
                    at = Some(body);
                    if n == of && !told {
                        self.mark(item);
                    }
                }
                // Where the body stands now is not known; the other parts are tried from their own beginnings.
                Some(what) => {
                    if !std::mem::replace(&mut told, true) {
                        self.shared.problem(&item.path, &what);
                    }
                }
            }
            if self.open.as_ref().is_some_and(|open| open.archive.writer.is_full()) {
                self.close()?;
            }
        }
        Ok(())
    }

    /// Reads a long file and finds each of its parts among the known contents; `None` as soon as one is not there.
    fn find_parts(&self, item: &Item, content: &dyn Content, of: u32, file: Id) -> Option<Vec<Located>> {
        let contents = &self.shared.contents;
        // The length of the last part tells most long files apart, so that few are read twice.
        if !content.is_near() || ![1, of].iter().all(|&n| contents.has_length(part_range(item.size, n).1)) {
            return None;
        }
        // What cannot be read is told when it is read to be stored.
        let mut body = content.open(0).ok()?;
        let (mut known, mut done) = (Vec::new(), 0);
        for n in 1..=of {
            let length = part_range(item.size, n).1;
            let mut hashing = HashReader::new(Counted { body: body.as_mut(), shared: self.shared }.take(length));
            let read = io::copy(&mut hashing, &mut io::sink());
            let (digest, got) = hashing.finish();
            done += got;
            let Some(located) = read.ok().and_then(|_| contents.find(digest, length)) else {
                self.shared.undone_bytes(done);
                return None;
            };
            known.push(Located { part: Some(Part { n, of, file }), ..located });
        }
        Some(known)
    }

    /// Appends a file or a part of one; gives what was wrong with its content, if anything was.
    fn append(&mut self, item: &Item, body: &mut dyn Body, length: u64, part: Option<Part>) -> Result<Option<String>, OperationError> {
        let shared = self.shared;
        let is_last = part.is_none_or(|part| part.n == part.of);
        let may_be_longer = item.content.as_ref().is_some_and(|content| content.may_say_a_wrong_length());
        self.note_kind(item);
        self.replaces.drain(..).for_each(|path| self.setup.removals.push(path));
        let open = self.archive()?;
        let id = open.archive.writer.id();
        let file = NewFile { path: &item.path, meta: &item.meta, stamp: item.stamp, size: item.size, sparse: item.sparse, length, part };
        let stored = match open.archive.writer.append_file(&file, &mut Counted { body, shared }) {
            Ok(stored) => stored,
            Err(error) => return Err(self.failure(error)),
        };
        if shared.stop_wanted() {
            return Err(OperationError::Interrupted);
        }
        let mut entry = index_entry(item, Some(stored.located.clone()));
        if part.is_none() {
            entry.size = stored.located.length;
        }
        open.entries.push(entry);
        shared.note_new(u64::from(is_last), stored.located.length);
        Ok(if let Some(error) = &stored.failure {
            Some(format!("it could be read in part only, which is stored: {error}"))
        } else if stored.located.short {
            Some("it shrank while it was read; what there was is stored".into())
        } else if is_last && body.changed().unwrap_or(true) {
            Some("it changed while it was read; what was read is stored, and the next run reads it again".into())
        } else if is_last && may_be_longer && body.read(&mut [0]).is_ok_and(|more| more > 0) {
            Some("it has more content than its length says; what there is up to that length is stored".into())
        } else {
            shared.contents.add(id, &stored.located);
            None
        })
    }

    /// Gives the archive in hand up; gives why it could not be written.
    fn failure(&mut self, error: ArchiveError) -> OperationError {
        match self.open.take() {
            Some(open) => open.archive.give_up(&self.setup.archiving, error),
            None => error.into(),
        }
    }

    /// Notes where the pieces of a known content are; nothing where they are the very ones that the parent has there.
    fn refer(&mut self, item: &Item, pieces: Vec<Located>, unchanged: Option<&[Digest]>) {
        if unchanged.is_some_and(|old| old.iter().eq(pieces.iter().map(|piece| &piece.sha256))) {
            return self.unchanged(item);
        }
        self.note_kind(item);
        self.shared.note_new(1, 0);
        let last = pieces.len();
        for (n, piece) in (1..).zip(pieces) {
            let mark = if n == last { item.mark } else { 0 };
            let entry = index_entry(item, Some(piece));
            let _ = self.setup.reports.send(Ok(Report::Reference(Box::new(entry), mark)));
        }
    }

    /// Notes that what stood at the path goes, if it was of another kind.
    fn note_kind(&mut self, item: &Item) {
        if std::mem::take(&mut self.changes_kind) {
            self.setup.removals.push(item.path.clone());
        }
    }

    fn unchanged(&self, item: &Item) {
        if item.mark != 0 {
            let _ = self.setup.reports.send(Ok(Report::Unchanged(item.mark)));
        }
    }

    fn archive(&mut self) -> Result<&mut Filling, OperationError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Filling { archive: OpenArchive::begin(&self.setup.archiving)?, entries: Vec::new(), marks: Vec::new() },
        };
        Ok(self.open.insert(open))
    }

    /// Finishes the archive in hand, if there is one; it is reported when the store has it.
    fn close(&mut self) -> Result<(), OperationError> {
        let Some(Filling { archive, entries, marks }) = self.open.take() else { return Ok(()) };
        let (reported, after) = oneshot::channel();
        let before = self.before.replace(after);
        let timings = archive.writer.timings();
        let (record, uploaded) = archive.seal(&self.setup.archiving, false, &entries, &[], self.setup.note(Order::Last, self.number))?;
        let reports = self.setup.reports.clone();
        self.setup.archiving.runtime.spawn(async move {
            let stored = wait_for(uploaded).await;
            if let Some(before) = before {
                let _ = before.await;
            }
            let _ = reports.send(stored.map(|()| Report::Archive(Box::new(Finished { record, marks, timings }))));
            let _ = reported.send(());
        });
        Ok(())
    }
}

/// Counts bytes as they are read, for the progress of long files.
struct Counted<'a> {
    body: &'a mut dyn Body,
    shared: &'a Shared,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.shared.stop_wanted() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let got = self.body.read(buffer)?;
        self.shared.done_bytes(got as u64);
        Ok(got)
    }
}

/// Where part `n` of a file of `size` bytes begins, and how long it is.
fn part_range(size: u64, n: u32) -> (u64, u64) {
    let start = u64::from(n.saturating_sub(1)) * MEMBER_BYTES;
    (start, size.saturating_sub(start).min(MEMBER_BYTES))
}

fn index_entry(item: &Item, content: Option<Located>) -> IndexEntry {
    IndexEntry {
        path: item.path.clone(),
        kind: item.kind.clone(),
        meta: item.meta.clone(),
        stamp: item.stamp,
        size: item.size,
        sparse: item.sparse,
        content,
    }
}
