//! Verify: is everything that the snapshots name still there, and still what it was?
//!
//! Without a key: existence and length (`quick`), SHA-256 of what is stored (all, or a sample), signatures, second copies,
//! gaps in the chains. With a key also (`deep`): every archive is decrypted and read to its end, every content checked.

mod findings;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use self::findings::Findings;
use super::events::Events;
use super::report::TICK;
use super::session::{Opened, Session};
use super::snapshot::choice::{Selection, SnapshotChoice};
use super::stop::Stop;
use super::{OperationError, reading_lanes};
use crate::archive::check::check;
use crate::archive::reader::ReadAt;
use crate::crypt::digest::Hasher;
use crate::crypt::keys::Identities;
use crate::crypt::signature::VerifyingKey;
use crate::model::causes::with_causes;
use crate::model::digest::{Digest, Id};
use crate::model::entry::EntryPath;
use crate::repository::archives::StoredObject;
use crate::repository::format::names;
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::format::sums::SumsLine;
pub use crate::repository::inventory::Broken;
use crate::repository::inventory::{Inventory, Looked, MISSING};
use crate::repository::listed::Everything;
use crate::repository::pieces::Pieces;
use crate::repository::snapshots::{SnapshotRef, gaps};
use crate::repository::{Machine, Repository, RepositoryError};

/// Bytes that are read at a time when an object is hashed.
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// How thoroughly to verify.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// Existence and length only.
    pub quick: bool,
    /// Reads this share of the archives (0 to 100), chosen at random; `None` reads all.
    pub sample_percent: Option<f64>,
    /// Decrypts and reads every archive; needs a key.
    pub deep: bool,
    /// Only these snapshots: `latest`, or the beginning of a name; all when empty.
    pub snapshots: Vec<String>,
    /// With a key: only these snapshots.
    pub among: Selection,
    /// Objects that are read side by side.
    pub lanes: usize,
}

impl Default for VerifyOptions {
    /// Everything that can be checked without a key.
    fn default() -> Self {
        let (snapshots, among, lanes) = (Vec::new(), Selection::default(), reading_lanes());
        Self { quick: false, sample_percent: None, deep: false, snapshots, among, lanes }
    }
}

/// What a verification found.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// The root key under which the signatures hold.
    pub root_key: VerifyingKey,
    /// Whether anything but the store itself vouches for that key.
    pub is_anchored: bool,
    /// Snapshots looked at.
    pub snapshots: u64,
    /// Objects looked at.
    pub objects: u64,
    /// Bytes read and checked.
    pub bytes: u64,
    /// Stored archives that no snapshot names: remains of interrupted runs, or of runs in progress.
    pub unnamed_archives: u64,
    /// What is wrong.
    pub wrong: Vec<Broken>,
    /// With a key: what is lost by it, as snapshot and path.
    pub lost: Vec<(Id, EntryPath)>,
    /// With a key: archives whose own index cannot be read, as snapshot and object: what they held is lost too, except where
    /// another index says that it lies elsewhere, and nobody can say what it was.
    pub lost_unknown: Vec<(Id, String)>,
    /// Uploads of this machine that are under way, or that killed runs left: its next backup removes those.
    pub unfinished_uploads: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Verifies a repository.
///
/// # Errors
/// When it cannot be opened or its store fails for good, `deep` has no key, or the run is stopped. What is wrong with objects
/// is in the report.
pub async fn verify(
    session: &Session,
    options: VerifyOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<VerifyReport, OperationError> {
    let began = Instant::now();
    let mut opened = session.open().await?;
    if !options.quick {
        // What is stored is looked at, and nothing that was read before.
        opened.repository.pieces = Pieces::default();
    }
    if options.deep {
        opened.identity()?;
    }
    let findings = Arc::new(Findings::new(events));
    let options = VerifyOptions { snapshots: wanted(&opened, &options).await?, ..options };
    let everything = if options.quick { Some(Everything::list(&opened.repository).await?) } else { None };
    let mut run = Run {
        opened: &opened,
        options: &options,
        findings: Arc::clone(&findings),
        stop,
        snapshots: BTreeMap::new(),
        last: BTreeSet::new(),
        everything,
    };
    run.small_objects().await?;
    let refs = run.signatures().await?;
    // What checked nothing found nothing: that must not look like good news.
    if refs.is_empty() && options.among.narrows() && findings.nothing_wrong() {
        return Err(RepositoryError::NoSnapshot { wanted: options.among.to_string() }.into());
    }
    let looked = |looked: Looked<'_>| findings.looked(looked);
    let inventory = match &run.everything {
        Some(everything) => Inventory::listed(&opened.repository, &refs, everything, &looked).await?,
        None => Inventory::take(&opened.repository, &refs, &looked).await?,
    };
    let readable = if options.deep { run.readable(&inventory.stored) } else { Vec::new() };
    // Two passes over the archives, when both are wanted, and what was read until now.
    let ahead = readable.iter().map(|record| record.length).sum::<u64>();
    findings.total_bytes.store(findings.bytes.load(Ordering::Relaxed) + ahead, Ordering::Relaxed);
    if options.quick {
        inventory.whole().for_each(|(line, _)| findings.check(&line.name, None));
    } else {
        run.contents(inventory.whole().map(|(line, length)| (line.clone(), length)).collect()).await?;
    }
    if options.deep {
        run.deep(readable).await?;
    }
    let (lost, lost_unknown) = run.lost().await?;
    let unnamed = inventory.unnamed().count() as u64;
    let wrong = std::mem::take(&mut *findings.wrong.lock().unwrap_or_else(PoisonError::into_inner));
    let (unfinished, wrong) = run.without_unfinished(wrong);
    let damaged = wrong.iter().map(|found| found.object.clone()).filter(|name| name.starts_with(names::ARCHIVES));
    let is_everything = !options.quick && options.sample_percent.is_none() && options.snapshots.is_empty();
    let is_everything = is_everything && options.among == Selection::default();
    opened.note_damaged(damaged, is_everything);
    for object in unfinished {
        let note = format!("{object} has one copy: the run that wrote it was cut short after that; the next backup writes the other");
        findings.note(&note);
    }
    Ok(VerifyReport {
        root_key: opened.repository.root.root_key.clone(),
        is_anchored: opened.is_anchored,
        snapshots: refs.len() as u64,
        objects: findings.objects.load(Ordering::Relaxed),
        bytes: findings.bytes.load(Ordering::Relaxed),
        unnamed_archives: if options.snapshots.is_empty() && !options.among.narrows() { unnamed } else { 0 },
        wrong,
        lost,
        lost_unknown,
        unfinished_uploads: opened.unfinished_uploads()?,
        elapsed: began.elapsed(),
    })
}

/// The names of the snapshots that are asked for; without a key, `latest` is the newest one whatever it holds.
async fn wanted(opened: &Opened, options: &VerifyOptions) -> Result<Vec<String>, OperationError> {
    let stems = opened.repository.snapshot_stems().await?;
    let mut named = Vec::new();
    for wanted in &options.snapshots {
        let fits = |stem: &&String| stem.split_once('-').is_some_and(|(_, id)| id.starts_with(wanted)) || *stem == wanted;
        let fitting: Vec<String> = match wanted.as_str() {
            "latest" if opened.identity.is_some() => {
                let choice = SnapshotChoice { wanted: wanted.clone(), among: options.among.clone() };
                vec![choice.find(opened).await?.0.stem]
            }
            "latest" => stems.last().cloned().into_iter().collect(),
            _ => stems.iter().filter(fits).cloned().collect(),
        };
        if fitting.is_empty() {
            return Err(RepositoryError::NoSnapshot { wanted: wanted.clone() }.into());
        }
        named.extend(fitting);
    }
    Ok(named)
}

struct Run<'a> {
    opened: &'a Opened,
    options: &'a VerifyOptions,
    findings: Arc<Findings>,
    stop: Stop,
    /// With a key: what the snapshots say.
    snapshots: BTreeMap<String, Snapshot>,
    /// The objects that were written last: of each chain, and of the statements of trust.
    last: BTreeSet<String>,
    /// Where existence and length are all that is asked for: what there is.
    everything: Option<Everything>,
}

impl Run<'_> {
    fn repository(&self) -> &Repository {
        &self.opened.repository
    }

    /// Sets apart what a run leaves that dies between the two copies of the last object that it writes: the second copy comes first,
    /// and counts. Everything else that is missing was there once.
    fn without_unfinished(&self, wrong: Vec<Broken>) -> (Vec<String>, Vec<Broken>) {
        let has_other = |object: &str| !wrong.iter().any(|other| other.object == names::mirror(object));
        let is_unfinished = |found: &&Broken| found.what == MISSING && self.last.contains(&found.object) && has_other(&found.object);
        let unfinished: Vec<String> = wrong.iter().filter(is_unfinished).map(|found| found.object.clone()).collect();
        let is_left = |found: &Broken| found.what != MISSING || !unfinished.contains(&found.object);
        let left = wrong.iter().filter(|found| is_left(found)).cloned().collect();
        (unfinished, left)
    }

    /// Checks both copies of what is written twice, apart from lists and snapshots, whose digests are signed.
    async fn small_objects(&self) -> Result<(), OperationError> {
        if let Some(everything) = &self.everything {
            everything.check_trust(&self.opened.as_shown().await?, &|looked| self.findings.looked(looked));
            return Ok(());
        }
        match self.repository().check_statements().await {
            Ok(()) => {}
            Err(error) if error.is_integrity() => self.findings.wrong(names::ROOT, with_causes(&error)),
            Err(error) => return Err(error.into()),
        }
        let own = self.opened.as_shown().await;
        let shown = match &own {
            Ok(own) => own,
            Err(error) if error.is_damage() => self.repository(),
            Err(_) => return own.map(drop),
        };
        shown.check_trust(&|looked| self.findings.looked(looked)).await?;
        Ok(self.repository().check_recovery(&|looked| self.findings.looked(looked)).await?)
    }

    /// Checks the snapshots' signatures and the numbers of the chains; gives the snapshots that can be trusted.
    async fn signatures(&mut self) -> Result<Vec<SnapshotRef>, OperationError> {
        let mut trusted = Vec::new();
        let refs = match (&self.everything, &self.opened.identity) {
            // The snapshots are needed too: they come with their sums.
            (Some(_), Some(identity)) => self.repository().snapshot_refs_with(&identity.identities).await?,
            _ => self.repository().snapshot_refs().await?,
        };
        let stems: Vec<String> = refs.iter().map(|(stem, _)| stem.clone()).collect();
        for gone in self.opened.compare(&stems, refs.iter().filter_map(|(_, found)| found.as_ref().ok())).await? {
            if let RepositoryError::Gone { stem, sequence } = &gone {
                let what = format!("this machine has seen it, as number {sequence} of its chain, and it is gone without a record");
                self.findings.wrong(&names::snapshot(stem), what);
            }
        }
        let mut heads: BTreeMap<Id, &SnapshotRef> = BTreeMap::new();
        for found in refs.iter().filter_map(|(_, found)| found.as_ref().ok()) {
            let head = heads.entry(found.signed.chain).or_insert(found);
            if found.signed.sequence > head.signed.sequence {
                *head = found;
            }
        }
        self.last.extend(heads.values().map(|head| names::snapshot(&head.stem)));
        // A statement whose writer died between its two copies, unless the vault begins with it: nothing could have followed.
        let heads = self.opened.repository.trust.heads.iter().map(|head| head.name.clone());
        self.last.extend(heads.filter(|name| names::parse_statement(name).is_some_and(|(number, _)| number > 1)));
        let number = self.repository().root.number;
        // One that nobody signed yet, or the signature of the last, unless a vault begins with it.
        self.last.insert(names::root(number + 1));
        if number > 1 {
            self.last.insert(names::signature(&names::root(number)));
        }
        let records = self.repository().records().await?;
        if let Some(last) = self.repository().record_stems().await?.last() {
            let record = names::record(last);
            self.last.extend([names::signature(&record), record]);
        }
        for error in &records.broken {
            self.findings.wrong(names::RECORDS, with_causes(error));
        }
        let gaps = gaps(refs.iter().filter_map(|(_, found)| found.as_ref().ok()), &records);
        for (stem, found) in refs {
            match found {
                Ok(found) => {
                    if !self.is_selected(&found).await? {
                        continue;
                    }
                    let looked = |looked: Looked<'_>| self.findings.looked(looked);
                    match &self.everything {
                        Some(everything) => everything.check_signed(&found, &looked),
                        None => self.repository().check_signed(&found, &looked).await?,
                    }
                    trusted.push(found);
                }
                Err(error) if error.is_integrity() => self.findings.check(&names::sums(&stem), Some(with_causes(&error))),
                Err(error) => return Err(error.into()),
            }
        }
        for (chain, missing) in gaps {
            let missing: Vec<String> = missing.iter().map(u64::to_string).collect();
            let what = format!("snapshots {} are gone, and no record says that they were forgotten", missing.join(", "));
            self.findings.wrong(&format!("chain {chain}"), what);
        }
        Ok(trusted)
    }

    async fn is_selected(&mut self, found: &SnapshotRef) -> Result<bool, OperationError> {
        if !self.options.snapshots.is_empty() && !self.options.snapshots.contains(&found.stem) {
            return Ok(false);
        }
        let Some(identity) = &self.opened.identity else { return Ok(true) };
        match self.repository().snapshot(found, &identity.identities).await {
            Ok(snapshot) => {
                let taken = self.options.among.takes(&snapshot);
                if taken {
                    self.snapshots.insert(found.stem.clone(), snapshot);
                }
                Ok(taken)
            }
            // Its object is checked with the others.
            Err(error) if error.is_integrity() => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads archives and compares their SHA-256.
    async fn contents(&self, mut wanted: Vec<(SumsLine, u64)>) -> Result<(), OperationError> {
        if let Some(percent) = self.options.sample_percent {
            wanted = sample(wanted, percent, &self.repository().machine)?;
        }
        self.findings.total_objects.store(self.findings.objects.load(Ordering::Relaxed) + wanted.len() as u64, Ordering::Relaxed);
        self.findings.total_bytes.fetch_add(wanted.iter().map(|(_, length)| length).sum(), Ordering::Relaxed);
        let (storage, runtime, findings) = (self.repository().storage.clone(), Handle::current(), Arc::clone(&self.findings));
        // Of an archive that was healed, the second copy is the one that counts.
        let healed = self.repository().healed_archives().await?;
        self.in_parallel(wanted, move |(line, length), stop| {
            let place = if healed.contains_key(&line.name) { names::mirror(&line.name) } else { line.name.clone() };
            let object = StoredObject::new(storage.clone(), place, runtime.clone());
            match hash_object(&object, (line.sha256, *length), &findings, stop) {
                Ok(ControlFlow::Continue(wrong)) => findings.check(&line.name, wrong),
                Ok(ControlFlow::Break(())) => {}
                Err(error) => findings.check(&line.name, Some(format!("it cannot be read: {error}"))),
            }
        })
        .await
    }

    /// The archives that can be read to their ends, each once.
    fn readable(&self, stored: &HashMap<String, u64>) -> Vec<ArchiveRecord> {
        let mut archives: BTreeMap<String, ArchiveRecord> = BTreeMap::new();
        for record in self.snapshots.values().flat_map(Snapshot::all_archives) {
            if stored.get(&record.object) == Some(&record.length) {
                archives.insert(record.object.clone(), record.clone());
            }
        }
        archives.into_values().collect()
    }

    /// Decrypts archives and reads them to their ends. They were counted as objects before.
    async fn deep(&self, archives: Vec<ArchiveRecord>) -> Result<(), OperationError> {
        let identity = self.opened.identity()?;
        let (repository, runtime, findings) = (self.repository().clone(), Handle::current(), Arc::clone(&self.findings));
        let identities: Arc<Identities> = Arc::clone(&identity.identities);
        self.in_parallel(archives, move |record, _| {
            let checked = repository
                .open_archive(record, &identities, &runtime)
                .and_then(|reader| check(&reader, record.merged).map_err(|source| RepositoryError::Archive { id: record.id, source }));
            findings.bytes.fetch_add(record.length, Ordering::Relaxed);
            match checked {
                Ok(checked) if checked.wrong.is_empty() => findings.sound(&record.object),
                Ok(checked) => {
                    for (path, what) in checked.wrong {
                        findings.wrong(&record.object, format!("'{path}': {what}"));
                    }
                }
                Err(error) => findings.wrong(&record.object, with_causes(&error)),
            }
        })
        .await
    }

    /// Runs `work` over `items` on several threads.
    async fn in_parallel<T: Send + Sync + 'static>(
        &self,
        items: Vec<T>,
        work: impl Fn(&T, &Stop) + Send + Sync + 'static,
    ) -> Result<(), OperationError> {
        let (lanes, stop) = (self.options.lanes.max(1), self.stop.clone());
        let mut working = tokio::task::spawn_blocking(move || {
            let next = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for _ in 0..lanes {
                    scope.spawn(|| {
                        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                            if stop.is_wanted() {
                                return;
                            }
                            work(item, &stop);
                        }
                    });
                }
            });
        });
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                done = &mut working => {
                    done?;
                    break;
                }
                _ = tick.tick() => self.findings.progress(),
            }
        }
        self.findings.progress();
        if self.stop.is_wanted() { Err(OperationError::Interrupted) } else { Ok(()) }
    }

    /// With a key: which paths of which snapshots point into archives that are wrong, and which of these archives took their own
    /// index with them.
    async fn lost(&self) -> Result<(Vec<(Id, EntryPath)>, Vec<(Id, String)>), OperationError> {
        let (mut lost, mut unknown) = (Vec::new(), Vec::new());
        let Some(identity) = &self.opened.identity else { return Ok((lost, unknown)) };
        let wrong: BTreeSet<String> = {
            let wrong = self.findings.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.iter().map(|finding| finding.object.clone()).filter(|name| name.starts_with(names::ARCHIVES)).collect()
        };
        for snapshot in self.snapshots.values().filter(|snapshot| snapshot.all_archives().any(|record| wrong.contains(&record.object))) {
            let mut broken = Vec::new();
            let tree = self.repository().tree(snapshot, &identity.identities, Some(&mut broken)).await?;
            let is_wrong = |number: u32| tree.archives.get(number as usize).is_some_and(|record| wrong.contains(&record.object));
            for (path, entry) in tree.iter() {
                // Of a long file, the index that named a part may be gone.
                let is_lost = match entry.places() {
                    Some(places) => places.iter().any(|place| is_wrong(place.archive)),
                    None => !broken.is_empty(),
                };
                if is_lost {
                    lost.push((snapshot.id, path));
                }
            }
            for error in &broken {
                let record = |id: Id| snapshot.archives.iter().find(|record| record.id == id);
                if let RepositoryError::Archive { id, .. } = error
                    && let Some(record) = record(*id)
                {
                    unknown.push((snapshot.id, record.object.clone()));
                }
            }
        }
        Ok((lost, unknown))
    }
}

fn hash_object(
    object: &StoredObject,
    (sha256, length): (Digest, u64),
    findings: &Findings,
    stop: &Stop,
) -> std::io::Result<ControlFlow<(), Option<String>>> {
    let mut hasher = Hasher::new();
    let mut at = 0;
    while at < length {
        if stop.is_wanted() {
            return Ok(ControlFlow::Break(()));
        }
        let end = (at + READ_BYTES).min(length);
        let bytes = object.read_at(at..end)?;
        hasher.update(&bytes);
        findings.bytes.fetch_add(end - at, Ordering::Relaxed);
        at = end;
    }
    Ok(ControlFlow::Continue((hasher.finish() != sha256).then(|| "its SHA-256 does not match".to_owned())))
}

/// Picks a share of the objects at random, one at least.
fn sample<T>(mut all: Vec<T>, percent: f64, machine: &Machine) -> Result<Vec<T>, RepositoryError> {
    let count = ((all.len() as f64 * percent / 100.0).ceil() as usize).clamp(usize::from(!all.is_empty()), all.len());
    for at in 0..count {
        let other = at + machine.below((all.len() - at) as u64)? as usize;
        all.swap(at, other);
    }
    all.truncate(count);
    Ok(all)
}
