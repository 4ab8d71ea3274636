//! What is counted and reported from all threads of a run that reads a snapshot.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::OperationError;
use super::events::{Event, Events, Progress};
use super::stop::Stop;
use crate::model::causes::with_causes;
use crate::model::entry::EntryPath;
use crate::target::TargetError;

/// How often progress is reported.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// Counts and reports for all threads of one run.
pub(super) struct Report {
    pub events: Arc<dyn Events>,
    pub stop: Stop,
    pub total_entries: AtomicU64,
    pub total_bytes: AtomicU64,
    pub entries: AtomicU64,
    pub bytes: AtomicU64,
    /// Bytes of files that are not whole yet.
    underway: AtomicU64,
    pub kept: AtomicU64,
    pub problems: AtomicU64,
    pub damaged: AtomicU64,
    pub ended: AtomicBool,
    failed: Mutex<HashSet<EntryPath>>,
}

impl Report {
    pub fn new(events: Arc<dyn Events>, stop: Stop) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            events,
            stop,
            total_entries: zero(),
            total_bytes: zero(),
            entries: zero(),
            bytes: zero(),
            underway: zero(),
            kept: zero(),
            problems: zero(),
            damaged: zero(),
            ended: AtomicBool::new(false),
            failed: Mutex::default(),
        }
    }

    /// Begins to count the bytes of a file until it is whole, or given up.
    pub fn arriving(&self) -> Arriving<'_> {
        Arriving { report: self, bytes: 0 }
    }

    /// Notes an entry that was restored.
    pub fn restored(&self, bytes: u64) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Reports an entry of so many bytes that was noted as restored and then failed on the last stretch.
    pub fn not_restored(&self, path: &EntryPath, bytes: u64, what: &str) {
        for (count, less) in [(&self.entries, 1), (&self.bytes, bytes)] {
            let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count.saturating_sub(less)));
        }
        self.problem(path, what);
    }

    /// Reports an entry that could not be restored.
    pub fn problem(&self, path: &EntryPath, what: &str) {
        self.problems.fetch_add(1, Ordering::Relaxed);
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        self.events.event(&Event::Problem { path, what });
    }

    /// Whether anything was reported of this entry.
    pub fn has_failed(&self, path: &EntryPath) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    /// Reports an entry whose content is damaged in the vault.
    pub fn damaged(&self, path: &EntryPath, what: &str) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        self.problem(path, what);
    }

    /// Notes something that is lost in the vault and is no entry.
    pub fn lost(&self, what: &str) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        self.events.event(&Event::Note(what));
    }

    /// Reports an entry that the target refused; gives the error back when there is no use in going on.
    pub fn refused(&self, path: &EntryPath, error: TargetError) -> Result<(), OperationError> {
        if error.ends_the_run() {
            return Err(error.into());
        }
        self.problem(path, &with_causes(&error));
        Ok(())
    }

    /// Reports how far the restore is.
    pub fn progress(&self, stored_bytes: u64) {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        self.events.event(&Event::Progress(Progress {
            entries_done: get(&self.entries) + get(&self.kept),
            entries_total: Some(get(&self.total_entries)),
            bytes_done: get(&self.bytes) + get(&self.underway),
            bytes_total: Some(get(&self.total_bytes)),
            stored_bytes,
        }));
    }
}

/// The bytes of one file that have come; they no longer count as such when this is dropped.
pub(in crate::operations) struct Arriving<'a> {
    report: &'a Report,
    bytes: u64,
}

impl Arriving<'_> {
    /// Counts bytes that were written.
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.report.underway.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        self.report.underway.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
