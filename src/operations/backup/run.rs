//! One run: planner and lanes to their end, the journal meanwhile, and snapshots of what is stored for good.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::journal::{Journal, Order};
use super::lane::Lane;
use super::names;
use super::planner::{Job, More, Planner, ReadBefore, Removals};
use super::remembered::Remembered;
use super::setup::{LaneSetup, OWN_LANE, Report};
use super::shared::Shared;
use super::{BackupOptions, BackupSummary, Timings, parent};
use crate::archive::index::IndexEntry;
use crate::archive::parts::PartPool;
use crate::crypt::digest::sha256;
use crate::model::digest::Id;
use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::operations::archiving::{self, Archiving};
use crate::operations::events::{Event, Events};
use crate::operations::session::Opened;
use crate::operations::stop::Stop;
use crate::repository::commit::Writer;
use crate::repository::contents::Contents;
use crate::repository::format::snapshot::{ArchiveRecord, Counts, Snapshot};
use crate::repository::tree::{Tree, TreeEntry};
use crate::source::{Source, SourceError};

/// Finished archives after which a partial snapshot is made, so that other machines can go on from it too.
const CHECKPOINT_ARCHIVES: usize = 8;

/// Archives after which a merged index is written, so that opening a snapshot stays cheap.
const MERGE_AFTER: usize = 256;

/// Entries that may wait for a lane.
const QUEUE: usize = 4096;

/// A run that takes longer than this says so with a lease; a shorter one is over before anybody could delete what it relies on.
const LEASE_AFTER: Duration = Duration::from_secs(600);

/// A lease is renewed this often.
const RENEW_LEASE: Duration = Duration::from_secs(8 * 3600);

/// How often progress is reported.
const TICK: Duration = Duration::from_millis(200);

/// What the lanes and the planner leave behind when everything went well.
pub(super) struct Stored {
    tree: Tree,
    deleted: Vec<EntryPath>,
    /// Entries of the parent that are gone, and those that it had.
    gone: (u64, u64),
    links: Vec<IndexEntry>,
    references: Vec<IndexEntry>,
    marks: Vec<u64>,
}

/// One backup.
pub(super) struct Run {
    opened: Opened,
    writer: Writer,
    source: Arc<dyn Source>,
    options: BackupOptions,
    shared: Arc<Shared>,
    journal: Journal,
    _lock: [crate::state::Lock; 2],
    tree: Option<Tree>,
    removals: Removals,
    setup: LaneSetup,
    reports: mpsc::UnboundedReceiver<Result<Report, OperationError>>,
    /// Stored for good and not in a snapshot yet.
    finished: Vec<ArchiveRecord>,
    finished_marks: Vec<u64>,
    /// Merged indexes of this run that say what the archives before them make.
    derived: HashSet<Id>,
    /// Archives of others that hold known contents.
    lendable: HashMap<Id, ArchiveRecord>,
    remembered: Remembered,
    archives: u64,
    timings: Timings,
    run: Id,
    lease: u32,
    /// When the last lease was written, or the run began.
    leased: Instant,
    began: jiff::Timestamp,
    time: jiff::Timestamp,
    /// The next snapshot says no earlier time.
    not_before: Option<jiff::Timestamp>,
    /// A commit has failed, and may be in the store all the same, with its number.
    in_doubt: bool,
}

impl Run {
    pub async fn begin(
        opened: Opened,
        writer: Writer,
        source: Arc<dyn Source>,
        options: BackupOptions,
        parent: parent::Parent,
        (events, stop): (Arc<dyn Events>, Stop),
        began: (Instant, jiff::Timestamp),
    ) -> Result<Self, OperationError> {
        let parent::Parent { _lock, journal, tree, pending, removals, not_before, contents, lendable, remembered, is_healing } = parent;
        let before = tree.archives.iter().map(|record| record.id).chain(lendable.keys().copied()).collect();
        let shared = Arc::new(Shared::new(events, stop, contents, before));
        let (sender, reports) = mpsc::unbounded_channel();
        let recipients = crate::crypt::keys::Recipients::parse(writer.recipients.names())?;
        let setup = LaneSetup {
            archiving: Archiving {
                storage: opened.repository.storage.clone(),
                pieces: opened.repository.pieces.clone(),
                recipients: Arc::new(recipients),
                pool: PartPool::new(2 * options.lanes + 3),
                runtime: Handle::current(),
                machine: opened.repository.machine.clone(),
            },
            reports: sender,
            removals: Removals::default(),
            intents: journal.intents(),
        };
        let (run, time) = (opened.repository.machine.id()?, opened.repository.machine.now());
        let mut this = Self {
            opened,
            writer,
            source,
            options,
            shared,
            journal,
            _lock,
            tree: Some(tree),
            removals: setup.removals.clone(),
            setup,
            reports,
            finished: pending,
            finished_marks: Vec::new(),
            derived: HashSet::new(),
            lendable,
            remembered,
            archives: 0,
            timings: Timings::default(),
            run,
            lease: 0,
            leased: began.0,
            began: began.1,
            time,
            not_before,
            in_doubt: false,
        };
        for path in removals {
            this.removals.push(path);
        }
        let pending = this.finished.len();
        // Before anything is committed: a snapshot without what is gone is not readable without it.
        this.put_merged_index(is_healing).await?;
        if pending > 0 {
            this.shared.events.event(&Event::Note(&format!("resuming an interrupted run: {pending} archives are already stored")));
            this.keep().await?;
        }
        Ok(this)
    }

    /// Writes a lease where one is due.
    async fn keep_lease(&mut self) -> Result<(), OperationError> {
        if self.leased.elapsed() < if self.lease == 0 { LEASE_AFTER } else { RENEW_LEASE } {
            return Ok(());
        }
        self.lease += 1;
        self.leased = Instant::now();
        let relies_on = self.journal.snapshot().map(|(stem, _)| stem.clone());
        self.opened.repository.put_lease(self.run, self.lease, self.began, relies_on).await?;
        Ok(())
    }

    /// Runs planner and lanes to their end, and keeps the journal meanwhile.
    pub async fn store(&mut self) -> Result<Stored, OperationError> {
        let (shared, source) = (Arc::clone(&self.shared), Arc::clone(&self.source));
        let (lanes, force_rehash) = (self.options.lanes.max(1), self.options.force_rehash);
        let (tree, removals) = (self.tree.take().unwrap_or_default(), self.removals.clone());
        // The lanes' setup holds the only way to report: when all of them and their uploads have ended, so have the reports.
        let (closed, _) = mpsc::unbounded_channel();
        let setup = std::mem::replace(&mut self.setup.reports, closed);
        let setup = LaneSetup { reports: setup, ..self.setup.clone() };
        let contents = self
            .opened
            .identity
            .as_ref()
            .map(|identity| Contents::new(&self.opened.repository, &tree, &identity.identities, &Handle::current()));
        let filling = move || {
            let reader = contents.as_ref().map(|contents| -> ReadBefore<'_> { Box::new(|entry| read_whole(contents, entry)) });
            let planner = |jobs| Planner::new(&shared, tree, removals, force_rehash, Some(jobs)).reading_with(reader);
            list_and_fill(source.as_ref(), &shared, &setup, lanes, planner)
        };
        let mut filling = tokio::task::spawn_blocking(filling);
        let (mut references, mut marks, mut failure) = (Vec::new(), Vec::new(), None);
        let mut tick = tokio::time::interval(TICK);
        loop {
            let report = tokio::select! {
                report = self.reports.recv() => report.map(Some),
                _ = tick.tick() => {
                    self.shared.report_progress();
                    Some(None)
                }
            };
            let taken = match report {
                Some(Some(report)) => self.take(report, &mut references, &mut marks).await,
                Some(None) => self.keep_lease().await,
                None => break,
            };
            if let Err(error) = taken {
                self.shared.fail();
                failure.get_or_insert(error);
            }
        }
        let filled = (&mut filling).await?;
        if self.shared.is_interrupted() {
            return Err(OperationError::Interrupted);
        }
        // A lane that fails because its upload did is the lesser witness.
        match (failure, filled) {
            (Some(error), _) | (None, Err(error)) => Err(error),
            (None, Ok(filled)) => Ok(Stored { references, marks: [filled.marks, marks].concat(), ..filled }),
        }
    }

    async fn take(
        &mut self,
        report: Result<Report, OperationError>,
        references: &mut Vec<IndexEntry>,
        marks: &mut Vec<u64>,
    ) -> Result<(), OperationError> {
        match report? {
            Report::Reference(entry, mark) => {
                references.push(*entry);
                marks.push(mark);
            }
            Report::Unchanged(mark) => marks.push(mark),
            Report::Archive(finished) => {
                self.timings += finished.timings;
                self.note_archive(finished.record, Order::Last)?;
                // The journal has it: whatever happens now, the next snapshot names this archive.
                let marks: Vec<u64> = finished.marks.into_iter().filter(|&mark| mark != 0).collect();
                self.source.committed(&marks);
                if self.finished.len() >= CHECKPOINT_ARCHIVES {
                    self.keep().await?;
                }
            }
        }
        Ok(())
    }

    fn note_archive(&mut self, record: ArchiveRecord, order: Order) -> Result<(), OperationError> {
        self.journal.note_archive(&record, self.removals.noted().1, order)?;
        self.shared.stored_bytes.fetch_add(record.length, Ordering::Relaxed);
        self.shared.events.event(&Event::ArchiveStored { name: &record.object, bytes: record.length });
        self.archives += 1;
        match order {
            Order::First => self.finished.insert(0, record),
            Order::Removals => {
                let merged = self.finished.iter().take_while(|finished| finished.merged).count();
                self.finished.insert(merged, record);
            }
            Order::Last => self.finished.push(record),
        }
        Ok(())
    }

    /// Commits what is stored for good as a partial snapshot, if there is anything.
    pub async fn keep(&mut self) -> Result<(), OperationError> {
        if self.finished.is_empty() {
            return Ok(());
        }
        let (from, removals) = self.removals.noted();
        let end = from + removals.len() as u64;
        self.put_removals(removals).await?;
        self.commit(false, Counts::default(), end).await?;
        self.removals.forget(end);
        Ok(())
    }

    /// Stores what is to be removed before the finished archives, in archives that stand before them.
    async fn put_removals(&mut self, paths: Vec<EntryPath>) -> Result<(), OperationError> {
        for paths in archiving::batches(paths) {
            let record = archiving::removals(&self.setup.archiving, paths, self.setup.note(Order::Removals, OWN_LANE)).await?;
            self.note_archive(record, Order::Removals)?;
        }
        Ok(())
    }

    /// Commits what is finished, with the removals up to number `removed`.
    async fn commit(&mut self, complete: bool, counts: Counts, removed: u64) -> Result<Id, OperationError> {
        if self.in_doubt {
            let storage = &mut self.opened.repository.storage;
            *storage = storage.without_listing();
            let stems = self.opened.repository.snapshot_stems().await?;
            let last = parent::last_sequence(&self.opened, &self.journal, &stems).await?;
            self.journal.raise_sequence(last);
            self.time = self.opened.repository.machine.now();
        }
        let parent = self.journal.snapshot().map(|(_, snapshot)| snapshot);
        let id = self.opened.repository.machine.id()?;
        // Names sort by time: a clock that was set back must not put a snapshot before its parent.
        let time = self.not_before.map_or(self.time, |not_before| not_before.max(self.time));
        let mut archives = parent.map(|parent| parent.archives.clone()).unwrap_or_default();
        archives.extend(self.finished.iter().cloned());
        let mut snapshot = Snapshot {
            format: self.opened.repository.root.format,
            id,
            time,
            host: self.options.host.clone(),
            program: concat!("tgvault ", env!("CARGO_PKG_VERSION")).into(),
            source: self.source.name(),
            top: self.source.top(),
            tags: self.options.tags.clone(),
            options: self.options.given.clone(),
            writer: self.writer.id,
            chain: self.journal.chain(),
            sequence: self.journal.sequence() + 1,
            parent: parent.map(|parent| parent.id),
            complete,
            counts,
            archives,
            borrowed: self.journal.borrowed().cloned().collect(),
            lists: parent.map(|parent| parent.lists.clone()).unwrap_or_default(),
            packs: parent.map(|parent| parent.packs.clone()).unwrap_or_default(),
            stand_ins: parent.map(|parent| parent.stand_ins.clone()).unwrap_or_default(),
        };
        self.in_doubt = true;
        let copies = self.journal.index_copies(&self.finished, &self.derived)?;
        let found = self.opened.repository.commit_with(&mut snapshot, &copies, &self.writer).await?;
        self.in_doubt = false;
        self.journal.note_snapshot(&found.stem, &snapshot, removed)?;
        self.opened.remember([&found])?;
        self.opened.note_store();
        let finished = std::mem::take(&mut self.finished);
        let new = self.shared.contents.of_archives(&finished.iter().map(|record| record.id).collect());
        if let Err(error) = self.remembered.add(vec![found.stem], finished, new, true) {
            // What is not remembered is stored once more, if ever.
            tracing::warn!(%error, "what was stored is not remembered");
        }
        let marks = std::mem::take(&mut self.finished_marks);
        self.source.committed(&marks);
        self.not_before = snapshot.time.checked_add(jiff::SignedDuration::from_millis(1)).ok();
        self.time = self.opened.repository.machine.now();
        self.shared.events.event(&Event::SnapshotStored { id: &id.to_string(), complete });
        Ok(id)
    }

    /// Stores deletions, references and links, and commits the complete snapshot.
    pub async fn complete(mut self, stored: Stored) -> Result<BackupSummary, OperationError> {
        let Stored { tree, deleted, gone, links, mut references, marks } = stored;
        let is_emptied = self.is_emptied(gone);
        if (is_emptied || self.journal.snapshot().is_none()) && self.excludes_all() {
            self.keep().await?;
            return Err(OperationError::AllExcluded { source_name: self.source.name().to_string() });
        }
        if is_emptied {
            // What is new is kept for the next run.
            self.keep().await?;
            return Err(OperationError::Emptied { source_name: self.source.name().to_string(), gone: gone.0, had: gone.1 });
        }
        let removed = deleted.len() as u64;
        let (from, mut remove) = self.removals.noted();
        let end = from + remove.len() as u64;
        remove.extend(archiving::part_members(&tree, &deleted));
        remove.extend(deleted);
        let before = references.len();
        references.extend(links);
        self.shared.note_new((references.len() - before) as u64, 0);
        let borrowed: HashSet<Id> = references.iter().filter_map(|entry| entry.content.as_ref()?.archive).collect();
        self.journal.borrow(borrowed.iter().filter_map(|id| self.lendable.get(id)).cloned())?;
        // References first: once the removals are noted, what they refer to may not be found again.
        self.put_references(references).await?;
        self.put_removals(remove).await?;
        self.shared.report_progress();
        let counts = self.shared.counts(removed);
        self.finished_marks.extend(marks.into_iter().filter(|&mark| mark != 0));
        let id = self.commit(true, counts, end).await?;
        Ok(BackupSummary {
            snapshot: Some(id),
            counts,
            unchanged: counts.entries.saturating_sub(counts.new_entries + self.shared.kept.load(Ordering::Relaxed)),
            archives: self.archives,
            timings: self.timings,
            elapsed: Duration::ZERO,
        })
    }

    /// Whether there is something to back up, and the options leave none of it.
    fn excludes_all(&self) -> bool {
        let counts = self.shared.counts(0);
        let may_be_empty = self.options.max_removed_percent.is_none_or(|percent| percent == 100);
        !may_be_empty && counts.entries == 0 && counts.problems == 0 && self.source.left_out() > 0
    }

    /// Whether so much is gone that somebody should look first.
    fn is_emptied(&self, (gone, had): (u64, u64)) -> bool {
        /// Of fewer entries, any share may go.
        const FEW: u64 = 8;
        let Some(percent) = self.options.max_removed_percent else { return false };
        gone > 0 && (gone == had && percent < 100 || had >= FEW && gone * 100 > had * u64::from(percent))
    }

    async fn put_references(&mut self, references: Vec<IndexEntry>) -> Result<(), OperationError> {
        if references.is_empty() {
            return Ok(());
        }
        let record = archiving::references(&self.setup.archiving, references, self.setup.note(Order::Last, OWN_LANE)).await?;
        self.note_archive(record, Order::Last)
    }

    /// Stores the whole state so far as one merged index, when the last one is long ago or readers cannot do without.
    async fn put_merged_index(&mut self, is_needed: bool) -> Result<(), OperationError> {
        let archives = self.journal.snapshot().map_or(&[][..], |(_, snapshot)| snapshot.archives.as_slice());
        let since = archives.len() - archives.iter().rposition(|record| record.merged).map_or(0, |at| at + 1);
        let Some(tree) = self.tree.take_if(|_| is_needed || since >= MERGE_AFTER) else { return Ok(()) };
        let (record, tree) = archiving::merged_index(&self.setup.archiving, tree, self.setup.note(Order::First, OWN_LANE)).await?;
        self.tree = Some(tree);
        if !is_needed {
            self.derived.insert(record.id);
        }
        self.note_archive(record, Order::First)
    }
}

/// The content of a small file of the parent's, checked.
fn read_whole(contents: &Contents, entry: &TreeEntry) -> std::io::Result<Vec<u8>> {
    /// A batch of a log has 4 MiB, unless one message alone has more.
    const MAX_BYTES: u64 = 128 * 1024 * 1024;
    let failed = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned());
    let pieces = entry.pieces().filter(|_| entry.size <= MAX_BYTES).ok_or_else(|| failed("it is not stored to its end, or too long"))?;
    let mut bytes = Vec::new();
    for (_, place) in &pieces {
        let from = bytes.len();
        let read = contents.read(place, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        read.map_err(std::io::Error::other)?;
        if sha256(bytes.get(from..).unwrap_or_default()) != place.sha256 {
            return Err(failed("its SHA-256 does not match"));
        }
    }
    Ok(bytes)
}

/// Lists the source and fills archives, until both have ended.
fn list_and_fill<'a>(
    source: &dyn Source,
    shared: &'a Shared,
    setup: &LaneSetup,
    lanes: usize,
    planner: impl FnOnce(Sender<Job>) -> Planner<'a>,
) -> Result<Stored, OperationError> {
    let (jobs, queue) = crossbeam_channel::bounded(QUEUE);
    std::thread::scope(|scope| {
        let count = lanes;
        let (more, gate) = crossbeam_channel::bounded(lanes);
        let lanes: Vec<_> = (0..u32::try_from(lanes).unwrap_or(u32::MAX))
            .map(|number| {
                let (lane, queue, gate) = (Lane::new(number, shared, setup.clone()), queue.clone(), gate.clone());
                // The others wait until there is much to do: each would begin an archive of its own for a file or two.
                let is_wanted = move || number == 0 || gate.recv().is_ok();
                scope.spawn(move || if is_wanted() { lane.run(&queue).inspect_err(|_| shared.fail()) } else { Ok(()) })
            })
            .collect();
        // Only lanes may keep the queue open: when they have all failed, the listing must find it closed.
        drop(queue);
        let mut planner = planner(jobs);
        planner.more = Some(More::new(more, count));
        let listed = source.list(&mut planner);
        // What a source handed over before it failed is stored all the same: a service that stops every run after a while must not
        // keep the backup from ever getting further.
        if matches!(listed, Err(SourceError::Stopped(_))) {
            shared.fail();
        }
        shared.listed.store(true, Ordering::Relaxed);
        (planner.jobs, planner.more) = (None, None);
        let ended: Vec<_> = lanes.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        for lane in ended {
            lane.map_err(|_| OperationError::Internal("a lane ended unexpectedly".into()))??;
        }
        listed?;
        let mut lane = u32::try_from(count).unwrap_or(u32::MAX);
        let mut links = names::stand_in(&mut planner, |queue| {
            lane = lane.saturating_add(1);
            Lane::new(lane, shared, setup.clone()).run(queue)
        })?;
        planner.settle();
        links.extend(names::detached(&planner, &links));
        let deleted = if source.lists_everything() { planner.deleted() } else { Vec::new() };
        let gone = if source.lists_everything() { (planner.gone(), planner.tree.len() as u64) } else { (0, 0) };
        let (tree, marks) = (planner.tree, planner.marks);
        Ok(Stored { deleted, gone, links, references: Vec::new(), marks, tree })
    })
}
