//! Writing contents of a snapshot into a folder: what a plain restore and every other form of one have in common.
//!
//! `plan` turns files into units of neighbouring frames; each worker takes a unit, reads its frames in one sweep and writes the
//! files in it (`unit`). Every content is checked against its SHA-256 before it gets its name.

mod plan;
mod unit;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(super) use plan::Plan;

use self::unit::UnitWorker;
use super::OperationError;
use super::events::Event;
use super::report::Report;
use crate::model::causes::with_causes;
use crate::model::digest::Id;
use crate::repository::contents::Contents;
use crate::repository::format::snapshot::Snapshot;
use crate::repository::tree::Tree;
use crate::target::TargetFolder;

/// What a restore did.
#[derive(Clone, Debug)]
pub struct RestoreSummary {
    /// The snapshot.
    pub snapshot: Id,
    /// Who wrote it, and its number: what a rollback would show.
    pub writer: Id,
    /// Its number in its chain.
    pub sequence: u64,
    /// What it is of, as `snapshots` shows it.
    pub source: String,
    /// When it was made.
    pub time: jiff::Timestamp,
    /// Entries restored.
    pub entries: u64,
    /// Bytes of content restored.
    pub bytes: u64,
    /// Entries that were there already and were kept.
    pub kept: u64,
    /// Entries that could not be restored.
    pub problems: u64,
    /// Contents that were not what was stored, or could not be read from the store.
    pub damaged: u64,
    /// How long it took.
    pub elapsed: Duration,
}

pub(super) fn summary(snapshot: &Snapshot, report: &Report, began: Instant) -> RestoreSummary {
    let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
    RestoreSummary {
        snapshot: snapshot.id,
        writer: snapshot.writer,
        sequence: snapshot.sequence,
        source: snapshot.source.to_string(),
        time: snapshot.time,
        entries: get(&report.entries),
        bytes: get(&report.bytes),
        kept: get(&report.kept),
        problems: get(&report.problems),
        damaged: get(&report.damaged),
        elapsed: began.elapsed(),
    }
}

/// Restores the planned contents, several units side by side.
///
/// # Errors
/// When the target is of no use any more.
pub(super) fn work(
    contents: &Contents,
    tree: &Tree,
    target: &TargetFolder,
    plan: Plan,
    lanes: usize,
    report: &Report,
) -> Result<(), OperationError> {
    let lanes = target.threads(lanes);
    std::thread::scope(|scope| {
        let (send, queue) = crossbeam_channel::bounded(lanes);
        let workers: Vec<_> = (0..lanes)
            .map(|_| {
                let queue = queue.clone();
                scope.spawn(move || {
                    let mut worker = UnitWorker::new(contents, target, report);
                    for unit in queue {
                        if report.stop.is_wanted() || report.ended.load(Ordering::Relaxed) {
                            break;
                        }
                        worker.restore(&unit).inspect_err(|_| report.ended.store(true, Ordering::Relaxed))?;
                    }
                    Ok::<(), OperationError>(())
                })
            })
            .collect();
        // Only workers may keep the queue open: when they have all ended, nobody waits to send.
        drop(queue);
        for unit in plan.units(tree) {
            if send.send(unit).is_err() {
                break;
            }
        }
        drop(send);
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        for worker in ended {
            worker.map_err(|_| OperationError::Internal("a worker ended unexpectedly".into()))??;
        }
        Ok(())
    })
}

/// Gives everything its final name and attributes, and reports what failed on the last stretch.
///
/// # Errors
/// When the target is of no use any more.
pub(super) fn finish(target: TargetFolder, report: &Report) -> Result<(), OperationError> {
    let restored = target.finish()?;
    for failure in restored.failures {
        report.not_restored(&failure.path, failure.bytes, &with_causes(&failure.error));
    }
    if restored.copies > 0 {
        let copies = restored.copies;
        report.events.event(&Event::Note(&format!("hard links cannot be made here: {copies} further names of files are copies of them")));
    }
    for (count, what) in [(restored.owners_refused, "owners"), (restored.xattrs_refused, "extended attributes")] {
        if count > 0 {
            report.events.event(&Event::Note(&format!("could not set {count} {what}")));
        }
    }
    Ok(())
}
