//! A mirror: every object of a vault that counts, byte for byte, in another place. It needs no key.
//!
//! At every moment the target is a sound vault, or none yet: trust comes first, then for one snapshot after the other, oldest first, its
//! archives, lists, sums and signature, and last the object that commits it. Nothing is deleted there, and nothing overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::places::{self, Listing};
use super::transfer::{Moved, OTHER_BYTES, Wanted, transfer};
use crate::crypt::signature::VerifyingKey;
use crate::model::causes::with_causes;
use crate::model::digest::Id;
use crate::operations::OperationError;
use crate::operations::events::{Event, Events, Progress};
use crate::operations::report::TICK;
use crate::operations::session::Session;
use crate::operations::stop::Stop;
use crate::operations::uploads::Uploads;
use crate::repository::format::names;
use crate::repository::format::snapshot::ArchiveRecord;
use crate::repository::format::sums::{self, SumsLine};
use crate::repository::inventory::{Broken, Lists, MISSING, archives_of};
use crate::repository::pieces::Pieces;
use crate::repository::records::Records;
use crate::repository::snapshots::SnapshotRef;
use crate::repository::standing::Named;
use crate::repository::{Repository, RepositoryError};
use crate::state::{Heads, Mirror, SealedFolder};
use crate::storage::{Storage, StorageError};

/// Objects up to this length are small: many of them are on their way side by side.
const SMALL_BYTES: u64 = 1024 * 1024;

/// How many small objects are on their way at a time.
const PARALLEL_SMALL: usize = 16;

/// Bytes of archives after which the snapshots that need them are committed.
const BATCH_BYTES: u64 = 1024 * 1024 * 1024;

/// Snapshots that are prepared together.
const BATCH_SNAPSHOTS: usize = 64;

/// How to mirror.
#[derive(Clone, Debug)]
pub struct MirrorOptions {
    /// Large objects that are on their way at a time; each holds a few parts of 8 MiB in memory.
    pub lanes: usize,
    /// Deletes from the mirror what a signed record says was forgotten, with what nothing else there needs.
    pub delete: bool,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self { lanes: 2, delete: false }
    }
}

/// What was done.
#[derive(Clone, Debug)]
pub struct MirrorReport {
    /// The vault.
    pub repository: Id,
    /// The root key under which its signatures hold.
    pub root_key: VerifyingKey,
    /// Whether anything but the store itself vouches for that key.
    pub is_anchored: bool,
    /// Snapshots of the vault that can be trusted.
    pub snapshots: u64,
    /// Of these, those that the mirror did not have.
    pub new_snapshots: u64,
    /// Objects that were written.
    pub objects: u64,
    /// Bytes that were read for it.
    pub bytes: u64,
    /// What is wrong, in the vault or in the mirror: it was not copied.
    pub wrong: Vec<Broken>,
    /// Snapshots that only the mirror has, and that nobody has forgotten.
    pub only_there: Vec<String>,
    /// Objects that were deleted from the mirror.
    pub deleted: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Brings the mirror in `target` up to the session's vault.
///
/// # Errors
/// When the vault cannot be opened or trusted, the target is something else, a store fails for good, or the run is stopped: what was
/// copied until then counts, and the next run goes on from it. What is wrong with single objects is in the report.
pub async fn mirror(
    session: &Session,
    target: &Storage,
    options: &MirrorOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<MirrorReport, OperationError> {
    let began = Instant::now();
    places::check_apart(&session.storage, target)?;
    let opened = session.open().await?;
    // What is copied is what the store has, and nothing that was read of it before.
    let mut repository = opened.repository.clone().with_pieces(Pieces::default());
    repository.storage = repository.storage.without_listing();
    let source = places::list(&repository.storage).await?;
    let there = places::check_mirror((&session.storage, &source), target, repository.id, &opened.folder).await?;
    let note = Mirror { address: target.address().to_owned(), of: Some(session.storage.address().to_owned()) };
    let folder = note.note(&opened.folder)?;
    let _lock = folder.lock("copy.lock")?;
    let target = Uploads::resume(&folder, target).await?;

    let refs = repository.snapshot_refs().await?;
    let stems: Vec<String> = refs.iter().map(|(stem, _)| stem.clone()).collect();
    let mut wrong = Vec::new();
    for gone in opened.compare(&stems, refs.iter().filter_map(|(_, found)| found.as_ref().ok())).await? {
        if let RepositoryError::Gone { stem, .. } = &gone {
            wrong.push(Broken { object: names::snapshot(stem), what: gone.to_string() });
        }
    }
    let mut trusted = Vec::new();
    for (stem, found) in refs {
        match found {
            Ok(found) => trusted.push(found),
            Err(error) if error.is_integrity() => wrong.push(Broken { object: names::sums(&stem), what: with_causes(&error) }),
            Err(error) => return Err(error.into()),
        }
    }
    let (known, records) = (stems.iter().collect::<BTreeSet<_>>(), repository.records().await?);
    let only_there = there.keys().filter_map(|name| name.strip_prefix(names::SNAPSHOTS)?.strip_suffix(".json.zst.age"));
    let only_there = only_there.map(str::to_owned).filter(|stem| !known.contains(stem) && !records.is_forgotten(stem)).collect::<Vec<_>>();
    let mut run = Run {
        repository: &repository,
        source,
        target,
        there,
        lanes: options.lanes.max(1),
        events,
        stop,
        wrong,
        objects: 0,
        bytes: AtomicU64::new(0),
        total_bytes: 0,
        seen: opened.is_anchored.then_some(folder),
        kept: BTreeSet::new(),
        records,
    };
    let new_snapshots = run.all(&trusted).await?;
    let deleted = if options.delete { run.delete(&only_there).await? } else { 0 };
    Ok(MirrorReport {
        repository: repository.id,
        root_key: repository.root.root_key.clone(),
        is_anchored: opened.is_anchored,
        snapshots: trusted.len() as u64,
        new_snapshots,
        objects: run.objects,
        bytes: run.bytes.into_inner(),
        wrong: run.wrong,
        only_there,
        deleted,
        elapsed: began.elapsed(),
    })
}

struct Run<'a> {
    repository: &'a Repository,
    source: Listing,
    target: Storage,
    /// What the target has by now.
    there: Listing,
    lanes: usize,
    events: Arc<dyn Events>,
    stop: Stop,
    wrong: Vec<Broken>,
    objects: u64,
    bytes: AtomicU64,
    total_bytes: u64,
    /// Where it is kept which snapshots the mirror has had, if anything vouches for them.
    seen: Option<SealedFolder>,
    /// Archives and lists that the vault's snapshots need.
    kept: BTreeSet<String>,
    records: Arc<Records>,
}

/// A snapshot on its way.
struct Step<'a> {
    found: &'a SnapshotRef,
    /// Its archives that the target does not have, and that no snapshot before it brings.
    archives: Vec<Wanted>,
    /// Its lists.
    lists: Vec<String>,
}

impl Run<'_> {
    async fn all(&mut self, snapshots: &[SnapshotRef]) -> Result<u64, OperationError> {
        let steps = self.plan(snapshots).await?;
        self.total_bytes = steps.iter().flat_map(|step| &step.archives).map(|wanted| wanted.length).sum();
        self.trust().await?;
        self.records().await?;
        let (mut new, mut rest) = (0, steps.as_slice());
        while !rest.is_empty() {
            let mut sum = 0;
            let is_in = |step: &&Step<'_>| {
                sum += step.archives.iter().map(|wanted| wanted.length).sum::<u64>();
                sum <= BATCH_BYTES
            };
            let count = rest.iter().take(BATCH_SNAPSHOTS).take_while(is_in).count().max(1);
            let (batch, after) = rest.split_at(count);
            new += self.batch(batch).await?;
            rest = after;
        }
        let is_done = |name: &str| COPIED.iter().chain(&LEFT).any(|folder| name.starts_with(folder)) || name == names::DESCRIPTOR;
        self.carry(|name| !is_done(name)).await?;
        Ok(new)
    }

    /// Finds out which archives are to be copied for which snapshot.
    async fn plan<'s>(&mut self, snapshots: &'s [SnapshotRef]) -> Result<Vec<Step<'s>>, OperationError> {
        let mut lists = Lists::new();
        for (list, lengths) in snapshots.iter().flat_map(|found| sums::lists(&found.sums)) {
            if !lists.contains_key(&list.name) {
                match self.repository.list(list, lengths).await {
                    Ok(listed) => drop(lists.insert(list.name.clone(), listed)),
                    Err(error) if error.is_integrity() => self.wrong(&list.name, with_causes(&error)),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let (mut met, mut steps, records) = (BTreeSet::new(), Vec::new(), Arc::clone(&self.records));
        let source: BTreeMap<String, u64> = self.source.clone();
        let is_whole = |record: &ArchiveRecord| {
            [record.object.clone(), names::mirror(&record.object)].iter().any(|name| source.get(name) == Some(&record.length))
        };
        for found in snapshots {
            let mut archives = Vec::new();
            for line in records.standing.needed((found.signed.chain, found.signed.sequence), archives_of(found, &lists), is_whole) {
                if met.insert(line.name.clone()) {
                    self.kept.insert(line.name.clone());
                    archives.extend(self.wanted(&line));
                }
            }
            let lists: Vec<String> =
                found.sums.iter().filter(|line| line.name.starts_with(names::LISTS)).map(|line| line.name.clone()).collect();
            self.kept.extend(lists.iter().cloned());
            steps.push(Step { found, archives, lists });
        }
        Ok(steps)
    }

    /// An archive, if it is to be copied, and can be.
    fn wanted(&mut self, line: &SumsLine) -> Option<Wanted> {
        // What was healed in the vault is taken from there, and needs no healing in the mirror.
        let healed = names::mirror(&line.name);
        if let (Some(&length), None) = (self.source.get(&healed), self.there.get(&line.name)) {
            return Some(Wanted { name: healed, to: Some(line.name.clone()), length, sha256: Some(line.sha256) });
        }
        match (self.source.get(&line.name).copied(), self.there.get(&line.name).copied()) {
            (_, Some(length)) if line.fits(length) => None,
            (_, Some(length)) => {
                self.wrong(&line.name, format!("the copy has {length} bytes under this name instead of {}", line.length.unwrap_or(0)));
                None
            }
            (None, None) => {
                self.wrong(&line.name, MISSING);
                None
            }
            (Some(length), None) if !line.fits(length) => {
                self.wrong(&line.name, format!("it has {length} bytes instead of {}", line.length.unwrap_or(0)));
                None
            }
            (Some(length), None) => Some(Wanted { name: line.name.clone(), to: None, length, sha256: Some(line.sha256) }),
        }
    }

    fn wrong(&mut self, object: &str, what: impl Into<String>) {
        let what = what.into();
        self.events.event(&Event::Checked { name: object, wrong: Some(&what) });
        self.wrong.push(Broken { object: object.to_owned(), what });
    }

    fn check_stop(&self) -> Result<(), OperationError> {
        if self.stop.is_wanted() { Err(OperationError::Interrupted) } else { Ok(()) }
    }

    /// Key slots, statements of trust, the page for recovery, and last what makes the place a vault.
    async fn trust(&mut self) -> Result<(), OperationError> {
        let slots: Vec<String> = self.repository.root.slots.iter().map(|slot| names::key_slot(slot.id)).collect();
        let (signatures, statements): (Vec<String>, Vec<String>) =
            self.names_in(names::ROOT).into_iter().partition(|name| name.ends_with(".minisig"));
        for stage in [slots, signatures, statements] {
            self.twice(stage).await?;
        }
        for is_signature in [false, true] {
            self.carry(|name| name.starts_with(RECOVERY) && name.ends_with(SIGNATURE) == is_signature).await?;
        }
        self.twice(vec![names::DESCRIPTOR.to_owned()]).await
    }

    /// Records, after the archives that stand for others by them.
    async fn records(&mut self) -> Result<(), OperationError> {
        let records = Arc::clone(&self.records);
        let mut archives = Vec::new();
        // One that was replaced again itself may be gone, and one that no snapshot needs too.
        let all: Vec<&ArchiveRecord> = records.standing.all().filter(|record| self.kept.contains(&record.object)).collect();
        for record in all {
            archives.extend(self.wanted(&SumsLine::of(record)));
        }
        self.streamed(archives).await?;
        let known: BTreeSet<String> = records.stems().map(names::record).collect();
        self.twice(known.iter().map(|name| names::signature(name)).collect()).await?;
        self.twice(known.into_iter().collect()).await
    }

    /// Deletes what was forgotten, and what nothing needs any more; gives how many objects.
    async fn delete(&mut self, only_there: &[String]) -> Result<u64, OperationError> {
        // What somebody has stored meanwhile is looked for again.
        self.source = places::list(&self.repository.storage).await?;
        let plain = |name: &str| name.strip_prefix(names::MIRROR).unwrap_or(name).to_owned();
        let is_forgotten = |name: &str| names::stem_of(&plain(name)).is_some_and(|stem| self.records.is_forgotten(stem));
        let (mut commits, mut rest) = (Vec::new(), Vec::new());
        for name in self.there.keys().filter(|name| !self.source.contains_key(*name)) {
            let of = plain(name);
            if is_forgotten(name) {
                let is_commit = of.ends_with(".json.zst.age");
                if is_commit { commits.push(name.clone()) } else { rest.push(name.clone()) }
            } else if only_there.is_empty() && self.wrong.is_empty() {
                // A snapshot that only the mirror has may need anything.
                let archive = of.split_once(ARCHIVE).map(|(stem, _)| format!("{stem}{ARCHIVE}"));
                let is_data = of.starts_with(names::LISTS) || of.starts_with(names::PACKS) || of.starts_with(names::ARCHIVES);
                if is_data && !self.kept.contains(&of) && archive.is_none_or(|archive| !self.kept.contains(&archive)) {
                    rest.push(name.clone());
                }
            }
        }
        let doomed = [commits, rest].concat();
        for name in &doomed {
            self.check_stop()?;
            self.target.delete(name).await?;
            self.there.remove(name);
        }
        Ok(doomed.len() as u64)
    }

    /// The names below a folder of the source, of which either copy is there.
    fn names_in(&self, folder: &str) -> BTreeSet<String> {
        let second = names::mirror(folder);
        let is_in = |name: &&String| name.starts_with(folder) || name.starts_with(&second);
        let found = self.source.keys().filter(is_in);
        found.map(|name| name.strip_prefix(names::MIRROR).unwrap_or(name).to_owned()).collect()
    }

    fn has_both(&self, name: &str) -> bool {
        self.there.contains_key(name) && self.there.contains_key(&names::mirror(name))
    }

    /// Brings small objects over that are written twice, the second copy of each first.
    async fn twice(&mut self, names: Vec<String>) -> Result<(), OperationError> {
        self.check_stop()?;
        let wanted: Vec<String> = names.into_iter().filter(|name| !self.has_both(name)).collect();
        let (repository, target, there) = (self.repository, &self.target, &self.there);
        let copied = futures::stream::iter(wanted).map(|name| {
            async move {
                let bytes = match repository.sound_copy(&name, |_| true).await {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => return Ok::<_, OperationError>((name, Vec::new(), Some("nothing vouches for it".to_owned()))),
                    Err(error) if error.is_integrity() => return Ok((name, Vec::new(), Some(with_causes(&error)))),
                    Err(error) => return Err(error.into()),
                };
                let (put, wrong) = put_twice(target, there, &name, bytes).await?;
                Ok((name, put, wrong))
            }
            .boxed()
        });
        let copied: Vec<_> = copied.buffered(PARALLEL_SMALL).try_collect().await?;
        for (name, put, wrong) in copied {
            for (name, length) in put {
                self.objects += 1;
                self.there.insert(name, length);
            }
            if let Some(what) = wrong {
                self.wrong(&name, what);
            }
        }
        Ok(())
    }

    /// Copies what some snapshots need, and commits them one after the other; gives how many are new.
    async fn batch(&mut self, steps: &[Step<'_>]) -> Result<u64, OperationError> {
        // What stands for others by a record is there already.
        let is_missing = |wanted: &&Wanted| !self.there.contains_key(wanted.to.as_ref().unwrap_or(&wanted.name));
        let archives: Vec<Wanted> = steps.iter().flat_map(|step| &step.archives).filter(is_missing).cloned().collect();
        let parity = archives.iter().flat_map(|wanted| self.beside(&wanted.name)).collect::<Vec<_>>();
        self.streamed(archives).await?;
        self.streamed(parity).await?;
        let lists: BTreeSet<String> = steps.iter().flat_map(|step| step.lists.iter().cloned()).collect();
        self.twice(lists.into_iter().collect()).await?;
        let is_new = |step: &&Step<'_>| !self.has_both(&names::snapshot(&step.found.stem));
        let new = steps.iter().filter(is_new).count();
        let sums = |step: &Step<'_>| names::sums(&step.found.stem);
        self.twice(steps.iter().map(sums).collect()).await?;
        self.twice(steps.iter().map(|step| names::signature(&sums(step))).collect()).await?;
        // One after the other: a number must not be there before the one that it follows.
        for step in steps {
            self.twice(vec![names::snapshot(&step.found.stem)]).await?;
        }
        if let Some(folder) = &self.seen {
            let mut heads = Heads::read(folder)?;
            let is_there = |step: &&Step<'_>| self.has_both(&names::snapshot(&step.found.stem));
            for Step { found, .. } in steps.iter().filter(is_there) {
                heads.raise(found.signed.chain, found.signed.sequence, &found.stem);
            }
            heads.write(folder)?;
        }
        Ok(new as u64)
    }

    /// What lies beside an archive, and is to be copied with it.
    fn beside(&self, archive: &str) -> Vec<Wanted> {
        let prefix = format!("{archive}.");
        let beside = self.source.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        let missing = beside.filter(|(name, _)| !self.there.contains_key(*name));
        missing.map(|(name, &length)| Wanted { name: name.clone(), to: None, length, sha256: None }).collect()
    }

    /// Copies objects that nothing above knows: what later versions add is carried along.
    async fn carry(&mut self, is_meant: impl Fn(&str) -> bool) -> Result<(), OperationError> {
        let is_wanted = |(name, _): &(&String, &u64)| is_meant(name) && !self.there.contains_key(*name);
        let wanted = self.source.iter().filter(is_wanted);
        let wanted = wanted.map(|(name, &length)| Wanted { name: name.clone(), to: None, length, sha256: None }).collect();
        self.streamed(wanted).await
    }

    /// Copies objects side by side, many small ones or a few large ones at a time.
    async fn streamed(&mut self, wanted: Vec<Wanted>) -> Result<(), OperationError> {
        let (small, large): (Vec<Wanted>, Vec<Wanted>) = wanted.into_iter().partition(|wanted| wanted.length <= SMALL_BYTES);
        for (wanted, parallel) in [(small, PARALLEL_SMALL), (large, self.lanes)] {
            self.check_stop()?;
            let (source, target, stop, bytes) = (&self.repository.storage, &self.target, &self.stop, &self.bytes);
            let moving = futures::stream::iter(wanted)
                .map(|wanted| async move { transfer(source, target, &wanted, stop, bytes).await.map(|moved| (wanted, moved)) }.boxed());
            let mut moving = Box::pin(moving.buffer_unordered(parallel));
            let (mut moved, mut tick) = (Vec::new(), tokio::time::interval(TICK));
            loop {
                tokio::select! {
                    next = moving.next() => match next {
                        Some(next) => moved.push(next?),
                        None => break,
                    },
                    _ = tick.tick() => self.progress(),
                }
            }
            drop(moving);
            for (wanted, moved) in moved {
                match moved {
                    Moved::Done => {
                        self.objects += 1;
                        self.events.event(&Event::ArchiveStored { name: &wanted.name, bytes: wanted.length });
                        self.there.insert(wanted.to.unwrap_or(wanted.name), wanted.length);
                    }
                    Moved::Wrong(what) => self.wrong(&wanted.name, what),
                }
            }
        }
        self.progress();
        Ok(())
    }

    fn progress(&self) {
        let done = self.bytes.load(Ordering::Relaxed);
        self.events.event(&Event::Progress(Progress {
            entries_done: self.objects,
            entries_total: None,
            bytes_done: done.min(self.total_bytes),
            bytes_total: Some(self.total_bytes),
            stored_bytes: done,
        }));
    }
}

/// The ending of signatures.
const SIGNATURE: &str = ".minisig";

/// The ending of archives.
const ARCHIVE: &str = ".tar.zst.age";

/// Page and scripts for recovery without this program.
const RECOVERY: &str = "recovery/";

/// What is copied by what it is.
const COPIED: [&str; 8] =
    [names::ROOT, names::KEYS, names::LISTS, names::SNAPSHOTS, names::ARCHIVES, names::MIRROR, names::RECORDS, RECOVERY];

/// What is not copied: leases and locks are about runs of this moment, marks about what the vault's own store is to delete.
const LEFT: [&str; 3] = [names::RUNNING, names::LOCKS, names::MARKS];

/// Puts both copies of an object, as far as they are not there; gives those that it put with their lengths, and what is wrong.
async fn put_twice(
    target: &Storage,
    there: &Listing,
    name: &str,
    bytes: Bytes,
) -> Result<(Vec<(String, u64)>, Option<String>), OperationError> {
    let mut put = Vec::new();
    for copy in [names::mirror(name), name.to_owned()] {
        if there.contains_key(&copy) {
            continue;
        }
        match target.put_new(&copy, bytes.clone()).await {
            Ok(()) => put.push((copy, bytes.len() as u64)),
            Err(StorageError::Exists { .. }) => return Ok((put, Some(OTHER_BYTES.to_owned()))),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((put, None))
}
