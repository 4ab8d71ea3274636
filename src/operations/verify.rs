//! Verify: is everything that the snapshots name still there, and still what it was?
//!
//! Without a key: existence and length (`quick`), SHA-256 of what is stored (all, or a sample), signatures, second copies,
//! gaps in the chains. With a key also (`deep`): every archive is decrypted and read to its end, every content checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::OperationError;
use super::choice::Selection;
use super::events::{Event, Events, Progress};
use super::restore::with_causes;
use super::session::{Opened, Session};
use super::stop::Stop;
use crate::archive::check::check;
use crate::archive::reader::ReadAt;
use crate::crypt::digest::{Hasher, sha256};
use crate::crypt::keys::Identities;
use crate::crypt::signature::VerifyingKey;
use crate::model::digest::Id;
use crate::model::entry::EntryPath;
use crate::repository::archives::StoredObject;
use crate::repository::format::names;
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::format::sums::{self, SumsLine};
use crate::repository::snapshots::SnapshotRef;
use crate::repository::trust::{self, Anchor};
use crate::repository::{Repository, RepositoryError};

/// Bytes that are read at a time when an object is hashed.
const READ_BYTES: u64 = 4 * 1024 * 1024;

const TICK: Duration = Duration::from_millis(200);

/// How thoroughly to verify.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// Existence and length only.
    pub quick: bool,
    /// Reads this share of the archives (0 to 100), chosen at random; `None` reads all.
    pub sample_percent: Option<f64>,
    /// Decrypts and reads every archive; needs a key.
    pub deep: bool,
    /// Only snapshots whose names begin with one of these; all when empty.
    pub snapshots: Vec<String>,
    /// With a key: only these snapshots.
    pub among: Selection,
    /// Objects that are read side by side.
    pub lanes: usize,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
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
    pub wrong: Vec<Finding>,
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

/// Collects findings from several threads.
struct Findings {
    events: Arc<dyn Events>,
    wrong: Mutex<Vec<Finding>>,
    objects: AtomicU64,
    bytes: AtomicU64,
    total_objects: AtomicU64,
    total_bytes: AtomicU64,
}

impl Findings {
    fn sound(&self, name: &str) {
        self.events.event(&Event::Checked { name, wrong: None });
    }

    /// Notes something that is wrong, of which there may be several with one object.
    fn wrong(&self, name: &str, what: impl Into<String>) {
        let what = what.into();
        self.events.event(&Event::Checked { name, wrong: Some(&what) });
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(Finding { object: name.to_owned(), what });
    }

    /// Counts an object that was looked at, with what is wrong with it.
    fn check(&self, name: &str, what: Option<String>) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        match what {
            None => self.sound(name),
            Some(what) => self.wrong(name, what),
        }
    }

    fn progress(&self) {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        self.events.event(&Event::Progress(Progress {
            entries_done: get(&self.objects),
            entries_total: Some(get(&self.total_objects)),
            bytes_done: get(&self.bytes),
            bytes_total: Some(get(&self.total_bytes)),
            stored_bytes: get(&self.bytes),
        }));
    }
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
    let opened = session.open().await?;
    if options.deep {
        opened.identity()?;
    }
    let zero = || AtomicU64::new(0);
    let findings =
        Arc::new(Findings { events, wrong: Mutex::default(), objects: zero(), bytes: zero(), total_objects: zero(), total_bytes: zero() });
    let mut run = Run { opened: &opened, options: &options, findings: Arc::clone(&findings), stop, snapshots: BTreeMap::new() };
    run.small_objects().await?;
    let refs = run.signatures().await?;
    let lines = run.named_objects(&refs).await?;
    let stored = opened.repository.stored_archives().await?;
    run.existence(&lines, &stored);
    let readable = if options.deep { run.readable(&stored) } else { Vec::new() };
    // Two passes over the archives, when both are wanted, and what was read until now.
    let ahead = readable.iter().map(|record| record.length).sum::<u64>();
    findings.total_bytes.store(findings.bytes.load(Ordering::Relaxed) + ahead, Ordering::Relaxed);
    if !options.quick {
        run.contents(&lines, &stored).await?;
    }
    if options.deep {
        run.deep(readable).await?;
    }
    let (lost, lost_unknown) = run.lost().await?;
    let unnamed = stored.keys().filter(|name| !lines.contains_key(*name)).count() as u64;
    let wrong = std::mem::take(&mut *findings.wrong.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(VerifyReport {
        root_key: opened.repository.root.root_key.clone(),
        is_anchored: opened.is_anchored,
        snapshots: refs.len() as u64,
        objects: findings.objects.load(Ordering::Relaxed),
        bytes: findings.bytes.load(Ordering::Relaxed),
        unnamed_archives: if options.snapshots.is_empty() { unnamed } else { 0 },
        wrong,
        lost,
        lost_unknown,
        unfinished_uploads: opened.unfinished_uploads()?,
        elapsed: began.elapsed(),
    })
}

struct Run<'a> {
    opened: &'a Opened,
    options: &'a VerifyOptions,
    findings: Arc<Findings>,
    stop: Stop,
    /// With a key: what the snapshots say.
    snapshots: BTreeMap<String, Snapshot>,
}

impl Run<'_> {
    fn repository(&self) -> &Repository {
        &self.opened.repository
    }

    /// Checks both copies of what is written twice, apart from lists and snapshots, whose digests are signed.
    async fn small_objects(&self) -> Result<(), OperationError> {
        let root = &self.repository().root;
        let mut named = vec![names::DESCRIPTOR.to_owned()];
        for statement in &self.repository().trust.names {
            let signature = names::signature(statement);
            named.push(statement.clone());
            // A statement that nobody signed counts for nothing: its writer died before it could.
            if self.copy(&signature).await?.is_some() || self.copy(&names::mirror(&signature)).await?.is_some() {
                named.push(signature);
            }
        }
        // A machine that pinned a later statement has not read the first ones, others need them.
        let whole = trust::load(&self.repository().storage, self.repository().id, &Anchor::Last(root.root_key.clone())).await;
        match whole {
            Ok(_) => {}
            Err(error) if error.is_integrity() => self.findings.wrong(names::ROOT, with_causes(&error)),
            Err(error) => return Err(error.into()),
        }
        let slots: HashMap<String, _> = root.slots.iter().map(|slot| (names::key_slot(slot.id), slot.sha256)).collect();
        named.extend(slots.keys().cloned());
        for name in named {
            let first = self.copy(&name).await?;
            let second = self.copy(&names::mirror(&name)).await?;
            for (copy, bytes, other) in [(name.clone(), &first, &second), (names::mirror(&name), &second, &first)] {
                let wrong = match (bytes, other, slots.get(&name)) {
                    (None, ..) => Some("it is missing".to_owned()),
                    (Some(bytes), _, Some(sha256_of)) if sha256(bytes) != *sha256_of => Some("it is not what the root names".into()),
                    (Some(bytes), Some(other), None) if bytes != other => Some("its two copies differ".into()),
                    _ => None,
                };
                self.findings.check(&copy, wrong);
            }
        }
        Ok(())
    }

    async fn copy(&self, name: &str) -> Result<Option<bytes::Bytes>, OperationError> {
        Ok(self.repository().storage.get(name, names::MAX_SNAPSHOT_BYTES).await?)
    }

    /// Checks the snapshots' signatures and the numbers of the chains; gives the snapshots that can be trusted.
    async fn signatures(&mut self) -> Result<Vec<SnapshotRef>, OperationError> {
        let mut trusted = Vec::new();
        let mut chains: BTreeMap<Id, BTreeSet<u64>> = BTreeMap::new();
        let refs = self.repository().snapshot_refs().await?;
        let stems: Vec<String> = refs.iter().map(|(stem, _)| stem.clone()).collect();
        for gone in self.opened.compare(&stems, refs.iter().filter_map(|(_, found)| found.as_ref().ok()))? {
            if let RepositoryError::Gone { stem, sequence } = &gone {
                let what = format!("this machine has seen it, as number {sequence} of its chain, and it is gone without a record");
                self.findings.wrong(&names::snapshot(stem), what);
            }
        }
        for (stem, found) in refs {
            match found {
                Ok(found) => {
                    chains.entry(found.signed.chain).or_default().insert(found.signed.sequence);
                    if !self.is_selected(&found).await? {
                        continue;
                    }
                    self.signed_copies(&found).await?;
                    trusted.push(found);
                }
                Err(error) if error.is_integrity() => self.findings.check(&names::sums(&stem), Some(with_causes(&error))),
                Err(error) => return Err(error.into()),
            }
        }
        for (chain, numbers) in chains {
            let last = numbers.last().copied().unwrap_or(0);
            let missing: Vec<String> =
                (1..last).filter(|number| !numbers.contains(number)).take(20).map(|number| number.to_string()).collect();
            if !missing.is_empty() {
                let what = format!("snapshots {} are gone, and no record says that they were forgotten", missing.join(", "));
                self.findings.wrong(&format!("chain {chain}"), what);
            }
        }
        Ok(trusted)
    }

    /// Checks both copies of a snapshot's sums and of their signature: what is trusted was read from either.
    async fn signed_copies(&self, found: &SnapshotRef) -> Result<(), OperationError> {
        let name = names::sums(&found.stem);
        let text = sums::write(&found.sums);
        for copy in [name.clone(), names::mirror(&name)] {
            let wrong = match self.copy(&copy).await? {
                None => Some("it is missing"),
                Some(bytes) if bytes != text.as_bytes() => Some("it is not what its writer signed"),
                Some(_) => None,
            };
            self.findings.check(&copy, wrong.map(str::to_owned));
        }
        let name = names::signature(&name);
        let writer = self.repository().root.writer(found.signed.writer);
        let fits = |bytes: &[u8]| {
            let said = std::str::from_utf8(bytes).ok().and_then(|signature| writer?.key.verify(text.as_bytes(), signature).ok());
            said.is_some_and(|said| said == found.signed.comment(self.repository().id))
        };
        let first = self.copy(&name).await?;
        for copy in [name.clone(), names::mirror(&name)] {
            let wrong = match self.copy(&copy).await? {
                None => Some("it is missing"),
                Some(bytes) if !fits(&bytes) => Some("it is not a signature of the sums"),
                Some(bytes) if first.as_ref().is_some_and(|first| fits(first) && *first != bytes) => Some("its two copies differ"),
                Some(_) => None,
            };
            self.findings.check(&copy, wrong.map(str::to_owned));
        }
        Ok(())
    }

    async fn is_selected(&mut self, found: &SnapshotRef) -> Result<bool, OperationError> {
        let named = |wanted: &String| found.stem.split_once('-').is_some_and(|(_, id)| id.starts_with(wanted));
        if !self.options.snapshots.is_empty() && !self.options.snapshots.iter().any(named) {
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

    /// Collects every object that the snapshots name, through their lists, by name.
    async fn named_objects(&self, refs: &[SnapshotRef]) -> Result<BTreeMap<String, SumsLine>, OperationError> {
        let mut lines: BTreeMap<String, SumsLine> = BTreeMap::new();
        for line in refs.iter().flat_map(|found| &found.sums) {
            lines.entry(line.name.clone()).or_insert_with(|| line.clone());
        }
        let twice: Vec<SumsLine> = lines.values().filter(|line| !line.name.starts_with(names::ARCHIVES)).cloned().collect();
        for line in twice {
            for copy in [line.name.clone(), names::mirror(&line.name)] {
                let bytes = self.copy(&copy).await?;
                let wrong = match &bytes {
                    None => Some("it is missing".to_owned()),
                    Some(bytes) => wrong_bytes(bytes, &line),
                };
                if let (None, Some(bytes), true) = (&wrong, &bytes, line.name.starts_with(names::LISTS)) {
                    match std::str::from_utf8(bytes)
                        .map_err(|error| error.to_string())
                        .and_then(|text| sums::read(text).map_err(|error| error.to_string()))
                    {
                        Ok(listed) => lines.extend(listed.into_iter().map(|line| (line.name.clone(), line))),
                        Err(error) => {
                            self.findings.check(&copy, Some(error));
                            continue;
                        }
                    }
                }
                self.findings.bytes.fetch_add(bytes.map_or(0, |bytes| bytes.len() as u64), Ordering::Relaxed);
                self.findings.check(&copy, wrong);
            }
        }
        Ok(lines)
    }

    /// Checks that archives exist with the right length; what is wrong here is not read again.
    fn existence(&self, lines: &BTreeMap<String, SumsLine>, stored: &HashMap<String, u64>) {
        for line in lines.values().filter(|line| line.name.starts_with(names::ARCHIVES)) {
            match stored.get(&line.name) {
                None => self.findings.check(&line.name, Some("it is missing".into())),
                Some(&length) if length != line.length => {
                    self.findings.check(&line.name, Some(format!("it has {length} bytes instead of {}", line.length)));
                }
                Some(_) if self.options.quick => self.findings.check(&line.name, None),
                Some(_) => {}
            }
        }
    }

    /// Reads archives and compares their SHA-256.
    async fn contents(&self, lines: &BTreeMap<String, SumsLine>, stored: &HashMap<String, u64>) -> Result<(), OperationError> {
        let is_there = |line: &&SumsLine| stored.get(&line.name) == Some(&line.length);
        let mut wanted: Vec<SumsLine> =
            lines.values().filter(|line| line.name.starts_with(names::ARCHIVES)).filter(is_there).cloned().collect();
        if let Some(percent) = self.options.sample_percent {
            wanted = sample(wanted, percent)?;
        }
        self.findings.total_objects.store(self.findings.objects.load(Ordering::Relaxed) + wanted.len() as u64, Ordering::Relaxed);
        self.findings.total_bytes.fetch_add(wanted.iter().map(|line| line.length).sum(), Ordering::Relaxed);
        let (storage, runtime, findings) = (self.repository().storage.clone(), Handle::current(), Arc::clone(&self.findings));
        self.in_parallel(wanted, move |line, stop| {
            let object = StoredObject::new(storage.clone(), line.name.clone(), runtime.clone());
            match hash_object(&object, line, &findings, stop) {
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
        for record in self.snapshots.values().flat_map(|snapshot| &snapshot.archives) {
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
        for snapshot in self.snapshots.values().filter(|snapshot| snapshot.archives.iter().any(|record| wrong.contains(&record.object))) {
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
                    lost.push((snapshot.id, path.clone()));
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

fn wrong_bytes(bytes: &[u8], line: &SumsLine) -> Option<String> {
    if bytes.len() as u64 != line.length {
        Some(format!("it has {} bytes instead of {}", bytes.len(), line.length))
    } else if sha256(bytes) != line.sha256 {
        Some("its SHA-256 does not match".into())
    } else {
        None
    }
}

fn hash_object(
    object: &StoredObject,
    line: &SumsLine,
    findings: &Findings,
    stop: &Stop,
) -> std::io::Result<ControlFlow<(), Option<String>>> {
    let mut hasher = Hasher::new();
    let mut at = 0;
    while at < line.length {
        if stop.is_wanted() {
            return Ok(ControlFlow::Break(()));
        }
        let end = (at + READ_BYTES).min(line.length);
        let bytes = object.read_at(at..end)?;
        hasher.update(&bytes);
        findings.bytes.fetch_add(end - at, Ordering::Relaxed);
        at = end;
    }
    Ok(ControlFlow::Continue((hasher.finish() != line.sha256).then(|| "its SHA-256 does not match".to_owned())))
}

/// Picks a share of the objects at random, one at least.
fn sample(mut all: Vec<SumsLine>, percent: f64) -> Result<Vec<SumsLine>, OperationError> {
    let count = ((all.len() as f64 * percent / 100.0).ceil() as usize).clamp(usize::from(!all.is_empty()), all.len());
    for at in 0..count {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| OperationError::Internal(error.to_string()))?;
        let other = at + (u64::from_le_bytes(random) % (all.len() - at) as u64) as usize;
        all.swap(at, other);
    }
    all.truncate(count);
    Ok(all)
}
