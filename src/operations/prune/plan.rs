//! What a prune may delete: everything of a known kind that no kept snapshot needs, and that is old enough.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::causes::with_causes;
use crate::model::digest::Id;
use crate::operations::OperationError;
use crate::operations::session::Opened;
use crate::repository::format::lease::Lease;
use crate::repository::format::names;
use crate::repository::format::pack::PackedRun;
use crate::repository::format::snapshot::Snapshot;
use crate::repository::inventory::Inventory;
use crate::repository::keys::Identity;
use crate::repository::listed::Everything;
use crate::repository::snapshots::{SnapshotRef, gaps};
use crate::repository::{Repository, RepositoryError};
use crate::storage::ObjectInfo;

/// A lease counts for a day after it was stored; clocks and puts may be late.
const LEASE: SignedDuration = SignedDuration::from_hours(25);

/// A run writes its first lease when it has lasted for ten minutes.
const LEASE_AFTER: SignedDuration = SignedDuration::from_mins(20);

/// What something is, in the order in which it is deleted: what makes a snapshot one goes before what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A pack of snapshots or of indexes.
    Pack,
    /// A forgotten snapshot, or what is left of one that was never committed.
    Snapshot,
    /// A list of archives.
    List,
    /// An archive.
    Archive,
    /// A lease that has expired, a record that another repeats, a signature of nothing.
    Rest,
}

impl Sort {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pack => "packs",
            Self::Snapshot => "objects of snapshots",
            Self::List => "lists",
            Self::Archive => "archives",
            Self::Rest => "other objects",
        }
    }
}

/// An object that nothing needs.
#[derive(Clone, Debug)]
pub struct Unneeded {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What it is.
    pub sort: Sort,
}

/// A run in progress.
#[derive(Clone, Debug)]
pub struct Running {
    /// The lease.
    pub object: String,
    /// When the run began at the latest, by the store's clock and the run's own, whichever is earlier.
    pub began: Timestamp,
    /// The snapshot that it relies on.
    pub relies_on: Option<String>,
}

/// What there is, and what of it nothing needs.
pub struct Plan {
    /// All snapshots that were looked at.
    pub stems: BTreeSet<String>,
    /// What nothing needs, in the order in which it is deleted.
    pub unneeded: Vec<Unneeded>,
    /// What nothing needs, and is younger than the grace period: objects and bytes.
    pub young: (u64, u64),
    /// Every object that a kept snapshot needs.
    pub needed: HashSet<String>,
    /// Checkpoints that a complete snapshot of their chain has made useless: chain, stem, number.
    pub superseded: Vec<(Id, String, u64)>,
    /// Snapshots that are damaged, or signed by nobody who may: they protect nothing. In words.
    pub untrusted: Vec<String>,
    /// Whether one of them is so new that its signature may still be on its way.
    pub is_unsettled: bool,
    /// Runs in progress.
    pub running: Vec<Running>,
    /// The snapshots that are kept.
    pub kept: usize,
}

/// A snapshot as a plan needs it.
struct Kept {
    reference: SnapshotRef,
    /// `None` where its object cannot be read.
    is_complete: Option<bool>,
}

fn unsafe_because(why: impl Into<String>) -> OperationError {
    RepositoryError::Unsafe { why: why.into() }.into()
}

impl Plan {
    /// Makes the plan from a listing of everything at the time `now` of the store's clock. What is younger than `grace` is left alone.
    ///
    /// # Errors
    /// [`RepositoryError::Unsafe`] inside when something is missing that nobody has forgotten; when the store fails.
    pub async fn make(
        opened: &Opened,
        identity: &Identity,
        listed: &[ObjectInfo],
        (now, grace): (Timestamp, Duration),
    ) -> Result<Self, OperationError> {
        let repository = &opened.repository;
        let records = repository.records().await?;
        let (mut kept, mut packs, mut are_packs_known) = (BTreeMap::new(), BTreeMap::<Id, (u64, BTreeSet<String>)>::new(), true);
        let each = |reference: SnapshotRef, snapshot: Snapshot| {
            let newest = packs.entry(snapshot.chain).or_default();
            if newest.0 <= snapshot.sequence {
                *newest = (snapshot.sequence, snapshot.packs.into_iter().map(|pack| pack.object).collect());
            }
            kept.insert(reference.stem.clone(), Kept { reference, is_complete: Some(snapshot.complete) });
        };
        let stems = repository.each_snapshot(&identity.identities, each).await?.stems;
        let age = |at: Timestamp| now.duration_since(at);
        let is_old = |at: Timestamp| u128::try_from(age(at).as_millis()).is_ok_and(|age| age >= grace.as_millis());
        let stored = repository.stored_stems().await?;
        let (mut untrusted, mut is_unsettled) = (Vec::new(), false);
        for stem in &stems {
            if kept.contains_key(stem) {
                continue;
            }
            match repository.snapshot_ref(stem).await {
                // Its object is damaged: what it needs is kept, and its packs are not known.
                Ok(reference) => {
                    are_packs_known = false;
                    kept.insert(stem.clone(), Kept { reference, is_complete: None });
                }
                Err(error) if error.is_integrity() => {
                    is_unsettled |= stored.get(stem).is_none_or(|at| !is_old(*at));
                    untrusted.push(with_causes(&error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let references = || kept.values().map(|kept: &Kept| &kept.reference);
        if let Some((chain, missing)) = gaps(references(), &records).first() {
            let missing: Vec<String> = missing.iter().map(u64::to_string).collect();
            let what =
                format!("snapshots {} of chain {chain} are missing, and no record says that they were forgotten", missing.join(", "));
            return Err(unsafe_because(what));
        }
        if let Some(gone) = opened.compare(&stems, references()).await?.first() {
            return Err(unsafe_because(gone.to_string()));
        }
        let running = running(repository, listed, now).await?;
        let superseded = superseded(&kept, |stem| {
            stored.get(stem).is_some_and(|at| is_old(*at)) && !running.iter().any(|run| run.relies_on.as_deref() == Some(stem))
        });
        for (_, stem, _) in &superseded {
            kept.remove(stem);
        }
        let references: Vec<SnapshotRef> = kept.into_values().map(|kept| kept.reference).collect();
        let needed = needed_by(repository, listed, &references).await?;
        let superseded_stems: HashSet<&str> = superseded.iter().map(|(_, stem, _)| stem.as_str()).collect();
        let is_gone = |stem: &str| records.is_forgotten(stem) || superseded_stems.contains(stem) || !stored.contains_key(stem);
        let index_packs: BTreeSet<&String> = packs.values().flat_map(|(_, packs)| packs).collect();
        let live: HashSet<&str> = running.iter().filter_map(|run| names::parse_lease(&run.object).map(|_| run.object.as_str())).collect();
        let live_runs: HashSet<Id> = live.iter().filter_map(|object| Some(names::parse_lease(object)?.0)).collect();
        let by_name: HashSet<&str> = listed.iter().map(|object| object.name.as_str()).collect();
        let sort = |name: &str| -> Option<Sort> {
            let base = name.strip_prefix(names::MIRROR).unwrap_or(name);
            if let Some(stem) = names::stem_of(base) {
                return is_gone(stem).then_some(Sort::Snapshot);
            }
            if names::is_list(base) {
                return (!needed.contains(base)).then_some(Sort::List);
            }
            if let Some(stem) = names::parse_record(base).or_else(|| names::parse_record_signature(base)) {
                return records.is_superseded(stem).then_some(Sort::Rest);
            }
            if names::is_archive(base) {
                return (!needed.contains(base)).then_some(Sort::Archive);
            }
            if base != name {
                return None;
            }
            if let Some(run) = PackedRun::parse(name) {
                let forgotten = (run.from..=run.to).take(4096).filter(|number| records.has_number(run.chain, *number)).count() as u64;
                return (2 * forgotten > run.count()).then_some(Sort::Pack);
            }
            if name.strip_prefix(names::PACKS).and_then(|rest| rest.strip_prefix("indexes/")).is_some() {
                return (are_packs_known && !index_packs.contains(&name.to_owned())).then_some(Sort::Pack);
            }
            if let Some((run, _)) = names::parse_lease(name) {
                return (!live_runs.contains(&run)).then_some(Sort::Rest);
            }
            let mark = name.strip_prefix(names::MARKS).and_then(|rest| rest.strip_suffix(".minisig"));
            mark.filter(|stem| !by_name.contains(names::mark(stem).as_str())).map(|_| Sort::Rest)
        };
        let is_young = |object: &&ObjectInfo| !is_old(object.modified) && sort(&object.name).is_some();
        let young = listed.iter().filter(is_young).fold((0, 0), |(count, bytes), object| (count + 1, bytes + object.size_bytes));
        let mut unneeded: Vec<Unneeded> = listed
            .iter()
            .filter(|object| is_old(object.modified))
            .filter_map(|object| Some(Unneeded { name: object.name.clone(), bytes: object.size_bytes, sort: sort(&object.name)? }))
            .collect();
        unneeded.sort_by(|a, b| (a.sort, rank(&a.name), &a.name).cmp(&(b.sort, rank(&b.name), &b.name)));
        let kept = references.len();
        Ok(Self { stems: stored.into_keys().collect(), unneeded, young, needed, superseded, untrusted, is_unsettled, running, kept })
    }
}

/// Of a snapshot, the object whose presence makes it one goes first.
fn rank(name: &str) -> u8 {
    u8::from(!name.ends_with(".json.zst.age"))
}

/// Every object that these snapshots need: where a record has replaced archives, those that stand for them.
///
/// # Errors
/// [`RepositoryError::Unsafe`] inside when a list cannot be read; when the store fails.
pub async fn needed_by(
    repository: &Repository,
    listed: &[ObjectInfo],
    references: &[SnapshotRef],
) -> Result<HashSet<String>, OperationError> {
    let everything: Everything = listed.iter().map(|object| (object.name.clone(), object.size_bytes)).collect();
    let inventory = Inventory::listed(repository, references, &everything, &|_| ()).await?;
    match inventory.unread.first() {
        Some(list) => Err(unsafe_because(format!("'{list}' cannot be read, so what a snapshot needs is not known"))),
        None => Ok(inventory.named.into_keys().collect()),
    }
}

/// The checkpoints before the last complete snapshot of their chain that `may_go`.
fn superseded(kept: &BTreeMap<String, Kept>, may_go: impl Fn(&str) -> bool) -> Vec<(Id, String, u64)> {
    let mut complete: HashMap<Id, u64> = HashMap::new();
    for kept in kept.values().filter(|kept| kept.is_complete == Some(true)) {
        let signed = kept.reference.signed;
        let last = complete.entry(signed.chain).or_default();
        *last = signed.sequence.max(*last);
    }
    let partial = kept.values().filter(|kept| kept.is_complete == Some(false)).map(|kept| (&kept.reference.stem, kept.reference.signed));
    let old = partial.filter(|(_, signed)| complete.get(&signed.chain).is_some_and(|last| signed.sequence < *last));
    old.filter(|(stem, _)| may_go(stem)).map(|(stem, signed)| (signed.chain, stem.clone(), signed.sequence)).collect()
}

/// The runs whose leases have not expired by the store's clock.
async fn running(repository: &Repository, listed: &[ObjectInfo], now: Timestamp) -> Result<Vec<Running>, OperationError> {
    let mut runs: HashMap<Id, Vec<&ObjectInfo>> = HashMap::new();
    for object in listed {
        if let Some((run, _)) = names::parse_lease(&object.name) {
            runs.entry(run).or_default().push(object);
        }
    }
    let mut running = Vec::new();
    for leases in runs.into_values() {
        let newest = leases.iter().max_by_key(|object| object.modified);
        let Some(newest) = newest.filter(|object| now.duration_since(object.modified) < LEASE) else { continue };
        let first = leases.iter().map(|object| object.modified).min().unwrap_or(now);
        let mut began = first.checked_sub(LEASE_AFTER).unwrap_or(Timestamp::MIN);
        let read = repository.storage.get(&newest.name, names::MAX_SMALL_BYTES).await.map_err(RepositoryError::from)?;
        let lease: Option<Lease> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match &lease {
            // A run may have been at it for days: it says when it began, by its own clock.
            Some(lease) => began = began.min(lease.time),
            None => began = Timestamp::MIN,
        }
        running.push(Running { object: newest.name.clone(), began, relies_on: lease.and_then(|lease| lease.relies_on) });
    }
    running.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(running)
}
