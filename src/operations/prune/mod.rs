//! Prune: deletes what no snapshot needs any more, in two steps that lie at least a grace period apart.
//!
//! The first prune that finds an object useless *marks* it; a later one, when the mark is old enough by the store's clock, deletes it, if
//! no snapshot that is listed just before names it, and no run that began before the mark may still rely on it. Runs treat what is marked
//! as gone and look again before each commit. So backups take no lock, and a prune can be killed anywhere and run again.
//!
//! `plan` says what is useless; this module marks and deletes.

mod plan;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

use self::plan::{Plan, Running, Sort, Unneeded, needed_by};
use super::OperationError;
use super::session::{Opened, Session, WRITING};
use super::stop::Stop;
use crate::model::digest::Id;
use crate::repository::format::names;
use crate::repository::format::record::{Forgotten, Known};
use crate::repository::keys::Identity;
use crate::repository::locks::LOCK_HOURS;
use crate::repository::marks::Marked;
use crate::repository::{Repository, RepositoryError};
use crate::storage::{Conditions, ObjectInfo};

/// Under this grace period, a run without a lease may still rely on what is deleted.
pub const LEAST_GRACE: Duration = Duration::from_secs(2 * 3600);

/// A mark and a lease are compared by clocks that may differ by this.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);

/// Objects that are deleted between two looks at the snapshots there are.
const BATCH: usize = 500;

/// How many are deleted at a time.
const PARALLEL: usize = 16;

/// How to prune.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// How long marked objects stay.
    pub grace: Duration,
    /// Nobody else writes to the vault now: a shorter grace period is safe.
    pub is_alone: bool,
    /// Only says what would be done.
    pub dry_run: bool,
    /// This machine's name, for who finds the lock.
    pub host: String,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self { grace: Duration::from_secs(24 * 3600), is_alone: false, dry_run: false, host: String::new() }
    }
}

/// How many objects, and how long they are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, object: &Unneeded) {
        self.objects += 1;
        self.bytes += object.bytes;
    }
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct PruneReport {
    /// What was deleted; in a dry run, what would be.
    pub deleted: Tally,
    /// The same by what it was.
    pub sorts: BTreeMap<&'static str, Tally>,
    /// What was marked just now, to be deleted when the grace period is over.
    pub marked: Tally,
    /// What had been marked before and must wait still.
    pub waiting: Tally,
    /// What nothing needs, and is younger than the grace period: it is not marked yet.
    pub young: Tally,
    /// From when on a further prune deletes what is marked now.
    pub ripe_at: Option<Timestamp>,
    /// Checkpoints of interrupted runs that later snapshots have made useless.
    pub superseded: usize,
    /// The snapshots that are kept.
    pub kept: usize,
    /// Snapshots that are damaged, or signed by nobody who may, in words.
    pub untrusted: Vec<String>,
    /// Leases of runs in progress that what is marked waits for.
    pub waits_for: Vec<String>,
    /// What a user should know, in words.
    pub notes: Vec<String>,
}

/// Deletes what no snapshot needs, and marks what a later prune will delete.
///
/// # Errors
/// [`OperationError::KeyNeeded`] without a key of the vault; [`RepositoryError::Locked`] inside when another prune is in progress,
/// [`RepositoryError::Unsafe`] when something is missing that nobody has forgotten; when the store fails, or the run is stopped.
pub async fn prune(session: &Session, options: &PruneOptions, stop: Stop) -> Result<PruneReport, OperationError> {
    let mut opened = session.open_to_change().await?;
    let identity = opened.identity()?;
    // What was listed a moment ago will not do.
    opened.repository.storage = opened.repository.storage.without_listing();
    opened.repository = opened.repository.with_fresh_records();
    let is_instant = options.grace < LEAST_GRACE;
    if is_instant && !options.is_alone && !options.dry_run {
        let others = other_writers(&opened);
        if others > 0 {
            return Err(OperationError::NotAlone { others });
        }
    }
    // No run of this machine is in progress, and none begins.
    let _writing = if is_instant && !options.dry_run { Some(opened.folder.lock(WRITING)?) } else { None };
    if options.dry_run {
        let now = opened.repository.machine.now();
        return Pruning::new(options, stop, now, None).run(&mut opened, &identity).await;
    }
    let (lock, now) = opened.repository.take_lock("tgvault prune", &options.host).await?;
    let repository = opened.repository.clone();
    let pruned = Pruning::new(options, stop, now, Some(lock.clone())).run(&mut opened, &identity).await;
    let released = repository.release_lock(&lock).await;
    let report = pruned?;
    released?;
    Ok(report)
}

/// How many machines beside this one may write.
fn other_writers(opened: &Opened) -> usize {
    let root = &opened.repository.root;
    root.writers.iter().filter(|writer| Some(writer.id) != opened.own_writer() && !root.is_revoked(writer.id)).count()
}

/// A prune on its way.
struct Pruning<'a> {
    options: &'a PruneOptions,
    stop: Stop,
    /// By the store's clock, when the prune began.
    now: Timestamp,
    began: tokio::time::Instant,
    lock: Option<String>,
    report: PruneReport,
}

impl<'a> Pruning<'a> {
    fn new(options: &'a PruneOptions, stop: Stop, now: Timestamp, lock: Option<String>) -> Self {
        Self { options, stop, now, began: tokio::time::Instant::now(), lock, report: PruneReport::default() }
    }

    async fn run(mut self, opened: &mut Opened, identity: &Identity) -> Result<PruneReport, OperationError> {
        let listed = opened.repository.storage.list("").await.map_err(RepositoryError::from)?;
        if let Some(lock) = &self.lock
            && !listed.iter().any(|object| object.name == *lock)
        {
            return Err(RepositoryError::Stale { name: lock.clone() }.into());
        }
        let mut plan = Plan::make(opened, identity, &listed, (self.now, self.options.grace)).await?;
        self.report.superseded = plan.superseded.len();
        self.report.kept = plan.kept;
        self.report.young = Tally { objects: plan.young.0, bytes: plan.young.1 };
        self.report.untrusted = std::mem::take(&mut plan.untrusted);
        if self.lock.is_some() {
            forget_superseded(&mut opened.repository, identity, &plan).await?;
        }
        let repository = &opened.repository;
        if repository.storage.conditions() == Conditions::Ignored {
            let note = "this store ignores create-only puts: two prunes that begin at the same moment notice each other only by looking again; \
                        run one at a time";
            self.report.notes.push(note.into());
        }
        let marks = repository.marks_in(&listed).await?;
        let (ripe, waiting): (Vec<&Marked>, Vec<&Marked>) = marks.iter().partition(|mark| self.is_ripe(mark, &plan.running));
        let is_instant = self.options.grace < LEAST_GRACE;
        let named = |marks: &[&Marked]| -> HashSet<String> { marks.iter().flat_map(|mark| mark.mark.objects.iter().cloned()).collect() };
        let (ripe_names, waiting_names) = (named(&ripe), named(&waiting));
        let (mut due, mut new) = (Vec::new(), Vec::new());
        for object in std::mem::take(&mut plan.unneeded) {
            if plan.is_unsettled || !(is_instant || ripe_names.contains(&object.name)) {
                if waiting_names.contains(&object.name) || ripe_names.contains(&object.name) {
                    self.report.waiting.add(&object);
                } else {
                    self.report.marked.add(&object);
                    new.push(object.name);
                }
            } else {
                due.push(object);
            }
        }
        if plan.is_unsettled && !due.is_empty() {
            self.report.notes.push("a snapshot that cannot be trusted is new: nothing is deleted until the grace period is over".into());
        }
        self.ripe_at(&waiting, !new.is_empty());
        if self.lock.is_none() {
            due.iter().for_each(|object| self.count(object));
            return Ok(self.report);
        }
        if !new.is_empty() {
            repository.put_marks(&identity.root_key, &new).await?;
        }
        self.delete(repository, &listed, &mut plan, due).await?;
        if !plan.is_unsettled {
            let done = if is_instant { marks.iter().collect() } else { ripe };
            for mark in done {
                for name in [names::mark(&mark.stem), names::signature(&names::mark(&mark.stem))] {
                    repository.storage.delete(&name).await.map_err(RepositoryError::from)?;
                }
            }
        }
        Ok(self.report)
    }

    /// Whether what a mark names may be deleted: its grace period is over, and no run is in progress that may have begun before it.
    fn is_ripe(&mut self, mark: &Marked, running: &[Running]) -> bool {
        let holds = |run: &&Running| run.began < mark.modified.checked_add(CLOCKS_DIFFER).unwrap_or(Timestamp::MAX);
        if let Some(run) = running.iter().find(holds) {
            if !self.report.waits_for.contains(&run.object) {
                self.report.waits_for.push(run.object.clone());
            }
            return false;
        }
        let age = self.now.duration_since(mark.modified);
        u128::try_from(age.as_millis()).is_ok_and(|age| age >= self.options.grace.as_millis())
    }

    /// When the next prune has something to delete.
    fn ripe_at(&mut self, waiting: &[&Marked], has_new: bool) {
        let first = waiting.iter().map(|mark| mark.modified).chain(has_new.then_some(self.now)).min();
        let grace = SignedDuration::try_from(self.options.grace).unwrap_or(SignedDuration::MAX);
        self.report.ripe_at = first.and_then(|first| first.checked_add(grace).ok());
    }

    fn count(&mut self, object: &Unneeded) {
        self.report.deleted.add(object);
        self.report.sorts.entry(object.sort.name()).or_default().add(object);
    }

    /// Deletes what is due, in its order, and looks at the snapshots there are before each batch.
    async fn delete(
        &mut self,
        repository: &Repository,
        listed: &[ObjectInfo],
        plan: &mut Plan,
        due: Vec<Unneeded>,
    ) -> Result<(), OperationError> {
        let last = Duration::from_secs(3600 * u64::try_from(LOCK_HOURS - 1).unwrap_or(1));
        let mut rest = due.as_slice();
        while let Some(first) = rest.first() {
            if self.stop.is_wanted() {
                return Err(OperationError::Interrupted);
            }
            if self.began.elapsed() > last {
                self.report.notes.push("there is more to delete than the lock allows time for: run the same command again".into());
                return Ok(());
            }
            let sort: Sort = first.sort;
            let (now, later) = rest.split_at(rest.iter().take(BATCH).take_while(|object| object.sort == sort).count().max(1));
            rest = later;
            look_again(repository, listed, plan).await?;
            let unneeded: Vec<&Unneeded> = now.iter().filter(|object| !plan.needed.contains(&object.name)).collect();
            let deleting = futures::stream::iter(unneeded.iter().map(|object| repository.storage.delete(&object.name).boxed()));
            // In their order, so that a snapshot is none before anything else of it is gone.
            deleting.buffered(PARALLEL).try_collect::<()>().await.map_err(RepositoryError::from)?;
            unneeded.into_iter().for_each(|object| self.count(object));
        }
        Ok(())
    }
}

/// Takes in the snapshots that came since the plan was made: what they need is needed.
async fn look_again(repository: &Repository, listed: &[ObjectInfo], plan: &mut Plan) -> Result<(), OperationError> {
    for stem in repository.stored_stems().await?.into_keys() {
        if plan.stems.contains(&stem) {
            continue;
        }
        // One that cannot be read may be of a writer who was authorised just now: then nothing more is deleted.
        let reference = repository.snapshot_ref(&stem).await?;
        plan.needed.extend(needed_by(repository, listed, &[reference]).await?);
        plan.stems.insert(stem);
    }
    Ok(())
}

/// Says of checkpoints that nobody needs any more that they are forgotten, so that nobody misses them.
async fn forget_superseded(repository: &mut Repository, identity: &Identity, plan: &Plan) -> Result<(), OperationError> {
    if plan.superseded.is_empty() {
        return Ok(());
    }
    let mut chains: BTreeMap<Id, Vec<(String, u64)>> = BTreeMap::new();
    for (chain, stem, sequence) in &plan.superseded {
        chains.entry(*chain).or_default().push((stem.clone(), *sequence));
    }
    let says = chains.into_iter().map(|(chain, snapshots)| Known::Forgotten(Forgotten { chain, snapshots })).collect();
    repository.put_record(&identity.root_key, says).await?;
    Ok(())
}

/// Removes locks: those that have expired, or with `also_live` all; gives who held them, and who holds those that are left.
///
/// # Errors
/// When the store fails.
pub async fn unlock(session: &Session, also_live: bool) -> Result<(Vec<String>, Vec<String>), OperationError> {
    let opened = session.open_locked().await?;
    let (mut removed, mut left) = (Vec::new(), Vec::new());
    for held in opened.repository.locks().await? {
        if also_live || !held.is_live(opened.repository.machine.now()) {
            opened.repository.release_lock(&held.object).await?;
            removed.push(held.holder());
        } else {
            left.push(held.holder());
        }
    }
    Ok((removed, left))
}
