//! Compact: few archives in the place of many, without what no snapshot shows any more.
//!
//! Snapshots are never rewritten. Archives that follow each other in exactly the same snapshots make one change of the state, from what the
//! archives before them make to what they make; that change is written anew, with the contents that any snapshot shows, and a signed record
//! says that the new archives stand for the old. Before it is signed, the state of every snapshot is laid together from the new archives and
//! compared. Only then may `prune` delete the old ones, by its own rules.
//!
//! `gather` reads what the snapshots show, `choose` says which archives are worth it, `write` writes the new ones.

mod choose;
mod gather;
mod same;
mod write;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use self::choose::choose;
use self::gather::{Chosen, Gathered};
use self::write::{Change, Moved, Writing};
use super::OperationError;
use super::archiving::Archiving;
use super::events::{Event, Events, Progress};
use super::report::TICK;
use super::session::{Opened, Session};
use super::stop::Stop;
use super::uploads::Uploads;
use crate::archive::parts::PartPool;
use crate::crypt::keys::Recipients;
use crate::model::digest::Id;
use crate::model::entry::EntryPath;
use crate::repository::contents::Contents;
use crate::repository::format::record::{Known, Reason, Replaced};
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::keys::Identity;
use crate::repository::locks::LOCK_HOURS;
use crate::repository::standing::Standing;
use crate::repository::tree::{Place, Tree};
use crate::repository::{Repository, RepositoryError};

/// Says which paths are taken out of every snapshot.
pub type Excluded = Arc<dyn Fn(&EntryPath) -> bool + Send + Sync>;

/// How to compact.
#[derive(Clone)]
pub struct CompactOptions {
    /// Archives of whose content no snapshot shows more than this share (0 to 100) are written again.
    pub max_unused_percent: f64,
    /// Archives below this length are small: several of them become one.
    pub small_bytes: u64,
    /// At most so many stored bytes are read and written again.
    pub max_repack: Option<u64>,
    /// Takes these paths out of every snapshot; then only archives that speak of them are written again.
    pub exclude: Option<Excluded>,
    /// Only says what would be done.
    pub dry_run: bool,
    /// This machine's name, for who finds the lock.
    pub host: String,
}

impl Default for CompactOptions {
    fn default() -> Self {
        let (max_unused_percent, small_bytes) = (20.0, 16 * 1024 * 1024);
        Self { max_unused_percent, small_bytes, max_repack: None, exclude: None, dry_run: false, host: String::new() }
    }
}

/// How many archives, and how long they are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Archives.
    pub archives: u64,
    /// Stored bytes.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, record: &ArchiveRecord) {
        self.archives += 1;
        self.bytes += record.length;
    }
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct CompactReport {
    /// The snapshots that were looked at.
    pub snapshots: u64,
    /// All archives that they are laid together from.
    pub archives: Tally,
    /// The archives that others stand for now; in a dry run, would stand for.
    pub replaced: Tally,
    /// The new ones; of a dry run, nobody knows.
    pub written: Tally,
    /// Bytes of content in the replaced archives that no snapshot shows.
    pub unused_bytes: u64,
    /// With paths to take out: in how many snapshots they were, and how many entries of these together.
    pub excluded: (u64, u64),
    /// Archives with what was to be taken out that stay, because snapshots borrow other contents from them.
    pub still_borrowed: u64,
    /// The record, where anything was replaced.
    pub record: Option<String>,
    /// What a user should know, in words.
    pub notes: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Compacts the vault.
///
/// # Errors
/// [`OperationError::KeyNeeded`] without a key of the vault; [`RepositoryError::Locked`] inside when a prune or another compaction is in
/// progress, [`RepositoryError::Unsafe`] when a snapshot cannot be read or is missing; when an archive is damaged, the store fails, or the run
/// is stopped. Then nothing is replaced, and a later prune deletes what was written.
pub async fn compact(
    session: &Session,
    options: &CompactOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<CompactReport, OperationError> {
    let began = Instant::now();
    let mut opened = session.open_to_change().await?;
    let identity = opened.identity()?;
    opened.repository.storage = opened.repository.storage.without_listing();
    opened.repository = opened.repository.afresh();
    let compacted = if options.dry_run {
        Compacting { options, events, stop, began, report: CompactReport::default(), is_cut: false }.run(&mut opened, &identity).await
    } else {
        let folder = opened.folder.folder("copy-compacting")?;
        let _lock = folder.lock("compact.lock")?;
        let command = if options.exclude.is_some() { "tgvault rewrite" } else { "tgvault compact" };
        let (lock, _) = opened.repository.take_lock(command, &options.host).await?;
        let repository = opened.repository.clone();
        opened.repository.storage = Uploads::resume(&folder, &opened.repository.storage).await?;
        let done =
            Compacting { options, events, stop, began, report: CompactReport::default(), is_cut: false }.run(&mut opened, &identity).await;
        let released = repository.release_lock(&lock).await;
        let report = done?;
        released?;
        Ok(report)
    };
    compacted.map(|report| CompactReport { elapsed: began.elapsed(), ..report })
}

/// A compaction on its way.
struct Compacting<'a> {
    options: &'a CompactOptions,
    events: Arc<dyn Events>,
    stop: Stop,
    began: Instant,
    report: CompactReport,
    /// Whether the time was too short for all.
    is_cut: bool,
}

impl Compacting<'_> {
    async fn run(mut self, opened: &mut Opened, identity: &Identity) -> Result<CompactReport, OperationError> {
        let gathered = Gathered::read(opened, identity, self.options, &self.stop).await?;
        self.report.snapshots = gathered.snapshots.len() as u64;
        gathered.archives.iter().filter(|archive| archive.is_laid).for_each(|archive| self.report.archives.add(&archive.record));
        self.report.excluded = gathered.excluded;
        self.report.still_borrowed = gathered.only_borrowed().count() as u64;
        let chosen = choose(&gathered, self.options)?;
        for archive in chosen.iter().flat_map(|run| gathered.archives_in(run)) {
            self.report.replaced.add(&archive.record);
            self.report.unused_bytes += archive.content_bytes.saturating_sub(archive.used_bytes());
        }
        if self.options.dry_run || chosen.is_empty() {
            return Ok(self.report);
        }
        let says = self.write_all(&opened.repository, identity, &gathered, chosen).await?;
        self.compare(&opened.repository, identity, &gathered, &says).await?;
        let says = says.into_iter().map(Known::Replaced).collect();
        self.report.record = Some(opened.repository.put_record(&identity.root_key, says).await?);
        Ok(self.report)
    }

    fn check_stop(&self) -> Result<(), OperationError> {
        if self.stop.is_wanted() { Err(OperationError::Interrupted) } else { Ok(()) }
    }

    /// Writes the new archives; gives what is to be said of them.
    async fn write_all(
        &mut self,
        repository: &Repository,
        identity: &Identity,
        gathered: &Gathered,
        chosen: Vec<Chosen>,
    ) -> Result<Vec<Replaced>, OperationError> {
        let current: Vec<&str> = repository.root.current_recipients().collect();
        if current.len() != 1 {
            let recipients = current.into_iter().map(str::to_owned).collect();
            return Err(RepositoryError::Divided { recipients }.into());
        }
        let with = Archiving {
            storage: repository.storage.clone(),
            pieces: repository.pieces.clone(),
            recipients: Arc::new(Recipients::parse(current)?),
            pool: PartPool::new(3),
            runtime: Handle::current(),
            machine: repository.machine.clone(),
        };
        let total = chosen.iter().flat_map(|run| gathered.archives_in(run)).map(|archive| archive.record.length).sum();
        let bytes = Arc::new(AtomicU64::new(0));
        let (mut says, mut moved) = (Vec::new(), Moved::new());
        let last = Duration::from_secs(3600 * u64::try_from(LOCK_HOURS - 1).unwrap_or(1));
        let up_to: Vec<(Id, u64)> = gathered.up_to.iter().map(|(chain, last)| (*chain, *last)).collect();
        for run in chosen {
            self.check_stop()?;
            if self.began.elapsed() > last {
                self.report.notes.push("there is more to rewrite than the lock allows time for: run the same command again".into());
                self.is_cut = true;
                break;
            }
            let change = self.change(repository, identity, gathered, &run).await?;
            let contents = Contents::new(repository, &change.after, &identity.identities, &Handle::current());
            let writing = Writing { with: with.clone(), contents, stop: self.stop.clone(), bytes: Arc::clone(&bytes) };
            let mut working = tokio::task::spawn_blocking(move || {
                let mut moved = moved;
                writing.write(&change, &mut moved).map(|written| (written, moved))
            });
            let mut tick = tokio::time::interval(TICK);
            let written = loop {
                tokio::select! {
                    done = &mut working => break done??,
                    _ = tick.tick() => self.progress(&bytes, total),
                }
            };
            moved = written.1;
            for record in &written.0 {
                self.report.written.add(record);
                self.events.event(&Event::ArchiveStored { name: &record.object, bytes: record.length });
            }
            let archives = gathered.archives_in(&run).map(|archive| archive.record.object.clone()).collect();
            let reason = if self.options.exclude.is_some() { Reason::Rewritten } else { Reason::Compacted };
            says.push(Replaced { reason, up_to: Some(up_to.clone()), archives, by: written.0 });
        }
        self.progress(&bytes, total);
        Ok(says)
    }

    fn progress(&self, bytes: &AtomicU64, total: u64) {
        let done = bytes.load(std::sync::atomic::Ordering::Relaxed);
        self.events.event(&Event::Progress(Progress {
            entries_done: self.report.written.archives,
            entries_total: None,
            bytes_done: done.min(total),
            bytes_total: Some(total),
            stored_bytes: done,
        }));
    }

    /// What a run of archives makes of the state before it.
    async fn change(
        &self,
        repository: &Repository,
        identity: &Identity,
        gathered: &Gathered,
        run: &Chosen,
    ) -> Result<Change, OperationError> {
        let lay = async |archives: usize| -> Result<Tree, OperationError> {
            if archives == 0 {
                return Ok(Tree::default());
            }
            Ok(repository.tree(&gathered.snapshot(run.snapshot, archives)?, &identity.identities, None).await?)
        };
        let (before, after) = (lay(run.from).await?, lay(run.to).await?);
        // What a later archive of the same snapshots changes again is shown by none.
        let shown = if run.shown == run.to { None } else { Some(lay(run.shown).await?) };
        let own: HashSet<Id> = gathered.archives_in(run).map(|archive| archive.record.id).collect();
        let mut wanted = Vec::new();
        for archive in gathered.archives_in(run) {
            let number = after.archive_number(archive.record.id);
            wanted.extend(archive.used.values().filter_map(|place| Some(Place { archive: number?, ..*place })));
        }
        Ok(Change { before, after, shown, own, wanted, exclude: self.options.exclude.clone() })
    }

    /// Lays together the state of each snapshot from the new archives, and compares it with what it was.
    async fn compare(
        &self,
        repository: &Repository,
        identity: &Identity,
        gathered: &Gathered,
        says: &[Replaced],
    ) -> Result<(), OperationError> {
        let standing = Standing::of(says.to_vec());
        let repository = repository.clone().afresh();
        let mut compared = HashSet::new();
        for (at, kept) in gathered.snapshots.iter().enumerate() {
            self.check_stop()?;
            // Several snapshots may name the same archives.
            if !compared.insert(kept.hash) {
                continue;
            }
            let old: Snapshot = gathered.snapshot(at, kept.archives.len())?;
            let mut new = old.clone();
            standing.apply(&mut new);
            if new == old {
                continue;
            }
            let was = repository.tree(&old, &identity.identities, None).await?;
            let is = repository.tree(&new, &identity.identities, None).await?;
            let exclude = self.options.exclude.as_ref();
            let still_there =
                || exclude.filter(|_| !self.is_cut).and_then(|exclude| is.iter().map(|(path, _)| path).find(|path| exclude(path)));
            if let Some(path) = same::difference(&was, &is, exclude).or_else(still_there) {
                let id = old.id;
                return Err(OperationError::Internal(format!("'{path}' of snapshot {id} would not be what it was; nothing was replaced")));
            }
        }
        Ok(())
    }
}

/// The last number of each chain.
type UpTo = BTreeMap<Id, u64>;
