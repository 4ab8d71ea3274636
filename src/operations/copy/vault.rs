//! A copy in a second vault, which has keys of its own.
//!
//! Archives are sealed again one by one, and snapshots are made anew around them: with the same name, time, host, source and tags, signed
//! by this machine. A snapshot is committed when all that it needs is there, so the target is sound at every moment.

mod known;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::runtime::Handle;

use self::known::Known;
use super::places;
use super::reseal::{Resealed, Resealing};
use crate::archive::parts::PartPool;
use crate::crypt::digest::sha256;
use crate::crypt::keys::Recipients;
use crate::model::causes::with_causes;
use crate::model::digest::Id;
use crate::operations::OperationError;
use crate::operations::events::{Event, Events, Progress};
use crate::operations::report::TICK;
use crate::operations::session::{Opened, Session};
use crate::operations::snapshot::choice::{Selection, SnapshotChoice};
use crate::operations::stop::Stop;
use crate::operations::uploads::Uploads;
use crate::repository::commit::Writer;
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::inventory::Broken;
use crate::repository::snapshots::SnapshotRef;

/// The most of copies of indexes that is carried from snapshots that are left out to the next one that is not.
const MAX_CARRIED_BYTES: usize = 24 * 1024 * 1024;

/// What to copy.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// Only these snapshots: `latest`, or the beginning of a name; all complete ones when empty.
    pub snapshots: Vec<String>,
    /// Only snapshots of these.
    pub among: Selection,
    /// Archives that are on their way at a time.
    pub lanes: usize,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct CopyReport {
    /// The vault that was read.
    pub from: Id,
    /// The vault that was written.
    pub to: Id,
    /// Snapshots that were meant.
    pub snapshots: u64,
    /// Of these, those that the target did not have.
    pub new_snapshots: u64,
    /// Archives that were copied.
    pub archives: u64,
    /// Bytes that were read for it.
    pub bytes: u64,
    /// What is wrong: snapshots that need it were not copied.
    pub wrong: Vec<Broken>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Copies snapshots of one vault into another.
///
/// # Errors
/// [`OperationError::KeyNeeded`] without a key of the source, or where this machine cannot know otherwise what the target has; when one
/// of the vaults cannot be opened, a store fails for good, or the run is stopped: what was copied until then counts.
pub async fn copy(
    from: &Session,
    to: &Session,
    options: &CopyOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<CopyReport, OperationError> {
    let began = Instant::now();
    places::check_apart(&from.storage, &to.storage)?;
    let source = from.open().await?;
    let identity = source.identity()?;
    let mut target = to.open_to_write().await?;
    let refused = |why: &str| OperationError::NoCopy {
        from: from.storage.address().to_owned(),
        to: to.storage.address().to_owned(),
        why: why.to_owned(),
    };
    if target.repository.id == source.repository.id {
        return Err(refused("it is the same vault; for a copy of all objects as they are, use --mirror"));
    }
    let writer = target.writer().await?;
    let folder = target.folder.folder(&format!("copy-{}", source.repository.id))?;
    let _lock = folder.lock("copy.lock")?;
    let notes = folder.folder("archives")?;
    target.repository.storage = Uploads::resume(&folder, &target.repository.storage).await?;
    if let Err(error) = target.keep_recovery(&writer.key).await {
        tracing::warn!(%error, "the page for recovery without this program could not be stored");
    }
    // A run that was cut short may have left one copy of the last object that it wrote.
    if let Err(error) = target.repository.complete_copies().await {
        tracing::warn!(%error, "missing second copies could not be put back");
    }
    let stems = source.repository.placed_stems().await?.into_iter().map(|placed| placed.stem).collect::<Vec<_>>();
    let mut wrong = Vec::new();
    for gone in source.compare(&stems, []).await? {
        wrong.push(Broken { object: names_of_gone(&gone), what: gone.to_string() });
    }
    let mut named = BTreeSet::new();
    for wanted in &options.snapshots {
        let choice = SnapshotChoice { wanted: wanted.clone(), among: options.among.clone() };
        named.insert(choice.find(&source).await?.0.stem);
    }
    let mut known = Known::read(&folder, &notes, &target).await?;
    if known.is_blank()
        && let Some(identity) = target.unlock(to).await?
    {
        known.learn(&target, &identity.identities).await?;
    }
    let with = Resealing {
        source: source.repository.clone(),
        identities: Arc::clone(&identity.identities),
        target: target.repository.storage.clone(),
        recipients: Arc::new(Recipients::parse(writer.recipients.names())?),
        pool: PartPool::new(2 * options.lanes.max(1) + 3),
        runtime: Handle::current(),
        notes,
        stop,
        given_up: Arc::new(AtomicBool::new(false)),
        bytes: Arc::new(AtomicU64::new(0)),
    };
    let mut run = Run {
        source: &source,
        target,
        to,
        writer,
        known,
        with,
        lanes: options.lanes.max(1),
        events,
        wrong,
        archives: 0,
        carried: Vec::new(),
    };
    let (snapshots, new_snapshots) = run.all(&stems, &named, &options.among).await?;
    Ok(CopyReport {
        from: source.repository.id,
        to: run.target.repository.id,
        snapshots,
        new_snapshots,
        archives: run.archives,
        bytes: run.with.bytes.load(Ordering::Relaxed),
        wrong: run.wrong,
        elapsed: began.elapsed(),
    })
}

fn names_of_gone(gone: &crate::repository::RepositoryError) -> String {
    match gone {
        crate::repository::RepositoryError::Gone { stem, .. } => crate::repository::format::names::snapshot(stem),
        other => other.to_string(),
    }
}

/// The chain in the target that continues one of the source: of this writer alone, so that two machines that copy never share numbers.
fn chain_in_target(chain: Id, writer: Id) -> Id {
    let digest = sha256(format!("copy of chain {chain} by writer {writer}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    Id(bytes)
}

struct Run<'a> {
    source: &'a Opened,
    target: Opened,
    to: &'a Session,
    writer: Writer,
    known: Known,
    with: Resealing,
    lanes: usize,
    events: Arc<dyn Events>,
    wrong: Vec<Broken>,
    archives: u64,
    /// Copies of indexes beside snapshots that are left out, with the archives that they name.
    carried: Vec<(Vec<Id>, Vec<u8>)>,
}

impl Run<'_> {
    async fn all(&mut self, stems: &[String], named: &BTreeSet<String>, among: &Selection) -> Result<(u64, u64), OperationError> {
        let identities = Arc::clone(&self.with.identities);
        let (mut meant, mut new) = (0, 0);
        for stem in stems {
            if self.with.stop.is_wanted() {
                return Err(OperationError::Interrupted);
            }
            if self.known.has(stem) && named.is_empty() && !among.narrows() {
                meant += 1;
                continue;
            }
            let (found, snapshot) = match self.source.repository.read_snapshot(stem, &identities).await {
                Ok(read) => read,
                Err(error) if error.is_integrity() => {
                    self.wrong(stem, with_causes(&error));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let is_meant = if named.is_empty() { snapshot.complete && among.takes(&snapshot) } else { named.contains(stem) };
            if !is_meant {
                self.carry(&found, &snapshot).await?;
                continue;
            }
            meant += 1;
            if !self.known.has(stem) && !self.known.is_copied(&snapshot) && self.one(&found, snapshot).await? {
                new += 1;
            }
        }
        self.known.write(&self.with.notes)?;
        Ok((meant, new))
    }

    fn wrong(&mut self, object: &str, what: impl Into<String>) {
        let what = what.into();
        self.events.event(&Event::Checked { name: object, wrong: Some(&what) });
        self.wrong.push(Broken { object: object.to_owned(), what });
    }

    /// Keeps the copies of indexes that a snapshot has which is left out.
    async fn carry(&mut self, found: &SnapshotRef, snapshot: &Snapshot) -> Result<(), OperationError> {
        let new: Vec<Id> = snapshot.archives.iter().map(|record| record.id).filter(|id| self.known.archive(*id).is_none()).collect();
        let held: usize = self.carried.iter().map(|(_, copies)| copies.len()).sum();
        if !new.is_empty() {
            let copies = self.source.repository.index_copies_beside(found, &self.with.identities).await?;
            if held + copies.len() <= MAX_CARRIED_BYTES {
                self.carried.push((new, copies));
            }
        }
        Ok(())
    }

    /// Copies a snapshot with all that it needs; `false` where something of it is wrong.
    async fn one(&mut self, found: &SnapshotRef, snapshot: Snapshot) -> Result<bool, OperationError> {
        if !snapshot.borrowed.is_empty() && !self.target.repository.root.format.has_borrowed() {
            self.wrong(&found.stem, "it borrows archives, which the older format of the target does not know");
            return Ok(false);
        }
        let mut copies = Vec::new();
        let is_new = |known: &Known, id: &Id| known.archive(*id).is_none();
        for (ids, carried) in std::mem::take(&mut self.carried) {
            let is_needed = ids.iter().any(|id| is_new(&self.known, id) && snapshot.archives.iter().any(|record| record.id == *id));
            if is_needed {
                copies.extend_from_slice(&carried);
            } else {
                self.carried.push((ids, carried));
            }
        }
        copies.extend(self.source.repository.index_copies_beside(found, &self.with.identities).await?);
        let missing: Vec<ArchiveRecord> = snapshot.all_archives().filter(|record| is_new(&self.known, &record.id)).cloned().collect();
        if !self.bring(missing).await? {
            self.wrong(&found.stem, "it was not copied, because something that it needs is damaged or missing");
            return Ok(false);
        }
        let of = snapshot.id;
        let mut made = self.remade(snapshot)?;
        let found = self.target.repository.commit_with(&mut made, &copies, &self.writer).await?;
        let id = made.id.to_string();
        self.events.event(&Event::SnapshotStored { id: &id, complete: made.complete });
        self.target.remember([&found])?;
        self.known.committed(of, &found, made, &self.with.notes)?;
        Ok(true)
    }

    /// The snapshot as the target has it.
    fn remade(&self, snapshot: Snapshot) -> Result<Snapshot, OperationError> {
        let chain = chain_in_target(snapshot.chain, self.writer.id);
        let there = |records: &[ArchiveRecord]| -> Result<Vec<ArchiveRecord>, OperationError> {
            let one = |record: &ArchiveRecord| {
                let known = self.known.archive(record.id).cloned();
                let known = known.ok_or_else(|| OperationError::Internal(format!("archive {} was not copied", record.id)))?;
                Ok(ArchiveRecord { merged: record.merged, ..known })
            };
            records.iter().map(one).collect()
        };
        let (archives, borrowed) = (there(&snapshot.archives)?, there(&snapshot.borrowed)?);
        let (mut lists, mut packs) = (Vec::new(), Vec::new());
        if let Some(last) = self.known.last(chain) {
            // What covers the first archives goes on covering them where these are the same.
            let same = last.archives.iter().zip(&archives).take_while(|(a, b)| a.sha256 == b.sha256).count();
            let mut covered = 0;
            lists = last
                .lists
                .iter()
                .take_while(|list| {
                    covered += list.archives;
                    covered <= same
                })
                .copied()
                .collect();
            covered = 0;
            packs = last
                .packs
                .iter()
                .take_while(|pack| {
                    covered += pack.archives;
                    covered <= same
                })
                .cloned()
                .collect();
        }
        Ok(Snapshot {
            format: self.target.repository.root.format,
            id: self.known.name_for(&snapshot, &self.target.repository.machine)?,
            parent: snapshot.parent.and_then(|parent| self.known.copy_of(parent)),
            writer: self.writer.id,
            sequence: self.known.next_sequence(chain),
            chain,
            archives,
            borrowed,
            lists,
            packs,
            ..snapshot
        })
    }

    /// Brings archives over, several at a time; `false` where one of them is wrong.
    async fn bring(&mut self, missing: Vec<ArchiveRecord>) -> Result<bool, OperationError> {
        let (mut unknown, mut fresh) = (Vec::new(), Vec::new());
        for record in missing {
            match self.known.stored(&record.object) {
                Some(length) => unknown.push((record, length)),
                None => fresh.push(record),
            }
        }
        if !unknown.is_empty() {
            // Something that this machine knows nothing of has the name. Whoever has the key can look whether it is the same.
            let identity = self.target.unlock(self.to).await?.ok_or(OperationError::KeyNeeded)?;
            self.known.learn(&self.target, &identity.identities).await?;
            unknown.retain(|(record, _)| self.known.archive(record.id).is_none());
            for (record, length) in unknown {
                let (with, identities, again) = (self.with.clone(), Arc::clone(&identity.identities), record.clone());
                match tokio::task::spawn_blocking(move || with.adopt(&again, length, &identities)).await?? {
                    Resealed::Done(stored) => self.known.add(*stored),
                    Resealed::Wrong(what) => {
                        self.wrong(&record.object, what);
                        return Ok(false);
                    }
                }
            }
        }
        let with = self.with.clone();
        let moving = futures::stream::iter(fresh).map(|record| {
            let with = with.clone();
            async move {
                let again = record.clone();
                let joined = tokio::task::spawn_blocking(move || with.reseal(&again)).await;
                (record, joined.unwrap_or_else(|error| Err(error.into())))
            }
        });
        let mut moving = Box::pin(moving.buffer_unordered(self.lanes));
        let (mut tick, mut is_whole, mut failure) = (tokio::time::interval(TICK), true, None);
        loop {
            let (record, moved) = tokio::select! {
                next = moving.next() => match next {
                    Some(next) => next,
                    None => break,
                },
                _ = tick.tick() => {
                    self.progress();
                    continue;
                }
            };
            match moved {
                Ok(Resealed::Done(stored)) => {
                    self.archives += 1;
                    self.events.event(&Event::ArchiveStored { name: &stored.object, bytes: stored.length });
                    self.known.add(*stored);
                }
                Ok(Resealed::Wrong(what)) => {
                    is_whole = false;
                    self.wrong(&record.object, what);
                }
                Err(error) => {
                    // The others end soon, and the first failure is told.
                    self.with.given_up.store(true, Ordering::Relaxed);
                    failure.get_or_insert(error);
                }
            }
        }
        self.progress();
        match failure {
            Some(error) => Err(error),
            None => Ok(is_whole),
        }
    }

    fn progress(&self) {
        let bytes = self.with.bytes.load(Ordering::Relaxed);
        self.events.event(&Event::Progress(Progress {
            entries_done: self.archives,
            entries_total: None,
            bytes_done: bytes,
            bytes_total: None,
            stored_bytes: bytes,
        }));
    }
}
