//! What the threads of one backup share.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::known_contents::KnownContents;
use crate::model::digest::Id;
use crate::model::entry::EntryPath;
use crate::operations::events::{Event, Events, Progress};
use crate::operations::stop::Stop;
use crate::repository::format::snapshot::Counts;

/// Entries and bytes.
#[derive(Default)]
pub(super) struct Tally {
    pub entries: AtomicU64,
    pub bytes: AtomicU64,
}

impl Tally {
    fn get(&self) -> (u64, u64) {
        (self.entries.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// What the threads of one backup share.
pub(super) struct Shared {
    pub events: Arc<dyn Events>,
    pub contents: KnownContents,
    /// What was listed so far.
    pub totals: Tally,
    /// What was dealt with.
    pub done: Tally,
    /// What was stored anew.
    pub new: Tally,
    /// Entries of the parent that stay because they could not be listed or read.
    pub kept: AtomicU64,
    /// Bytes that are in the store for good.
    pub stored_bytes: AtomicU64,
    pub problems: AtomicU64,
    /// Set when the source has named everything.
    pub listed: AtomicBool,
    /// Entries that could not be stored; of contents that could not be read, with the bytes that were listed.
    failed: Mutex<HashMap<EntryPath, Option<u64>>>,
    stop: Stop,
    /// Set when the run must end because something failed.
    failing: AtomicBool,
    /// Archives that were stored before this run.
    before: HashSet<Id>,
}

impl Shared {
    pub fn new(events: Arc<dyn Events>, stop: Stop, contents: KnownContents, before: HashSet<Id>) -> Self {
        Self {
            events,
            contents,
            totals: Tally::default(),
            done: Tally::default(),
            new: Tally::default(),
            kept: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            problems: AtomicU64::new(0),
            listed: AtomicBool::new(false),
            failed: Mutex::default(),
            stop,
            failing: AtomicBool::new(false),
            before,
        }
    }

    /// Whether every thread should end.
    pub fn stop_wanted(&self) -> bool {
        self.stop.is_wanted() || self.failing.load(Ordering::Relaxed)
    }

    /// Whether the user wished the run to end.
    pub fn is_interrupted(&self) -> bool {
        self.stop.is_wanted()
    }

    /// Ends every thread because something failed.
    pub fn fail(&self) {
        self.failing.store(true, Ordering::Relaxed);
    }

    /// Whether an archive was stored before this run.
    pub fn was_there(&self, archive: Id) -> bool {
        self.before.contains(&archive)
    }

    pub fn problem(&self, path: &EntryPath, what: &str) {
        self.problems.fetch_add(1, Ordering::Relaxed);
        self.events.event(&Event::Problem { path, what });
    }

    /// Tells of an entry of which nothing is stored.
    pub fn not_stored(&self, path: &EntryPath, what: &str) {
        self.failed().entry(path.clone()).or_insert(None);
        self.problem(path, what);
    }

    /// Tells that a content of so many bytes could not be read, and that nothing of it is stored.
    pub fn unreadable(&self, path: &EntryPath, bytes: u64, error: &io::Error) {
        self.failed().insert(path.clone(), Some(bytes));
        match error.kind() {
            io::ErrorKind::NotFound => self.problem(path, "it vanished before it was read"),
            _ => self.problem(path, &format!("it cannot be read: {error}")),
        }
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<EntryPath, Option<u64>>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what of the parent stays although nobody could look at it.
    pub fn keep(&self, (entries, bytes): (u64, u64)) {
        self.totals.entries.fetch_add(entries, Ordering::Relaxed);
        self.totals.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.kept.fetch_add(entries, Ordering::Relaxed);
    }

    /// Takes back what [`Self::keep`] noted of an entry that was met after all.
    pub fn unkeep(&self, bytes: u64) {
        self.totals.entries.fetch_sub(1, Ordering::Relaxed);
        self.totals.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.kept.fetch_sub(1, Ordering::Relaxed);
    }

    /// The contents that were listed with so many bytes and could not be read.
    pub fn unread(&self) -> Vec<(EntryPath, u64)> {
        self.failed().iter().filter_map(|(path, bytes)| Some((path.clone(), (*bytes)?))).collect()
    }

    /// Takes an entry that was listed with so many bytes out of the totals.
    pub fn unlist(&self, bytes: u64) {
        self.totals.entries.fetch_sub(1, Ordering::Relaxed);
        self.totals.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn done_one(&self) {
        self.done.entries.fetch_add(1, Ordering::Relaxed);
    }

    pub fn done_bytes(&self, bytes: u64) {
        self.done.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back what was counted as done and has to be done again.
    pub fn undone_bytes(&self, bytes: u64) {
        self.done.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Notes that a content of `listed` bytes has `found`.
    pub fn found_length(&self, listed: u64, found: u64) {
        self.totals.bytes.fetch_add(found.saturating_sub(listed), Ordering::Relaxed);
        self.totals.bytes.fetch_sub(listed.saturating_sub(found), Ordering::Relaxed);
    }

    /// Whether nothing of this entry could be stored.
    pub fn has_failed(&self, path: &EntryPath) -> bool {
        self.failed().contains_key(path)
    }

    pub fn note_new(&self, entries: u64, bytes: u64) {
        self.new.entries.fetch_add(entries, Ordering::Relaxed);
        self.new.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What the run did, as the snapshot says it.
    pub fn counts(&self, removed: u64) -> Counts {
        let ((entries, bytes), (new_entries, new_bytes)) = (self.totals.get(), self.new.get());
        let stored_bytes = self.stored_bytes.load(Ordering::Relaxed);
        let problems = self.problems.load(Ordering::Relaxed);
        Counts { entries, bytes, new_entries, new_bytes, stored_bytes, removed, problems }
    }

    pub fn report_progress(&self) {
        let (entries_total, bytes_total) = self.totals.get();
        let (entries_done, bytes_done) = self.done.get();
        let listed = self.listed.load(Ordering::Relaxed);
        self.events.event(&Event::Progress(Progress {
            entries_done,
            entries_total: listed.then_some(entries_total),
            bytes_done,
            bytes_total: listed.then_some(bytes_total),
            stored_bytes: self.stored_bytes.load(Ordering::Relaxed),
        }));
    }
}
