//! Forget: which snapshots are no longer wanted. It deletes nothing: a signed record says so, everybody passes over them from then on, and
//! `prune` removes later what no other snapshot needs.

pub mod policy;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::policy::{Candidate, Policy, reasons};
use super::OperationError;
use super::session::{Opened, Session};
use super::snapshot::choice::{Selection, holds_chats};
use crate::model::digest::Id;
use crate::repository::RepositoryError;
use crate::repository::format::record::{Forgotten, Known};
use crate::repository::format::snapshot::Snapshot;
use crate::repository::keys::Identity;
use crate::repository::snapshots::{Placed, SnapshotRef, gaps};

/// What to forget.
#[derive(Clone, Debug)]
pub struct ForgetOptions {
    /// These snapshots, by the beginnings of their names; then no policy counts.
    pub named: Vec<String>,
    /// The snapshots that are missing without a record: they are given up.
    pub lost: bool,
    /// Else what to keep.
    pub policy: Policy,
    /// Only among these.
    pub among: Selection,
    /// Whether each source is a group of its own for the policy.
    pub by_source: bool,
    /// Whether each machine is.
    pub by_host: bool,
    /// Whose days and hours count.
    pub zone: TimeZone,
    /// Only says what would be forgotten.
    pub dry_run: bool,
}

impl Default for ForgetOptions {
    fn default() -> Self {
        let (named, policy, among) = (Vec::new(), Policy::default(), Selection::default());
        Self { named, lost: false, policy, among, by_source: true, by_host: true, zone: TimeZone::UTC, dry_run: false }
    }
}

/// One snapshot that was looked at.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its name.
    pub id: Id,
    /// When it was made, as far as that is believed.
    pub time: Timestamp,
    /// The machine.
    pub host: String,
    /// What was backed up.
    pub source: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Why it is kept; empty for those that are forgotten.
    pub kept_because: Vec<String>,
    stem: String,
    chain: Id,
    sequence: u64,
    is_good: bool,
    holds_chats: bool,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct ForgetReport {
    /// The snapshots that were looked at, by group and time.
    pub judged: Vec<Judged>,
    /// Snapshots that were forgotten though they are the last of their source, because they were named.
    pub last_of_source: Vec<Id>,
    /// What is wrong with other snapshots, in words: nothing is decided about those.
    pub broken: Vec<String>,
    /// The record, where anything was forgotten.
    pub record: Option<String>,
}

impl ForgetReport {
    /// The snapshots that are forgotten.
    pub fn forgotten(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|judged| judged.kept_because.is_empty())
    }
}

/// Forgets snapshots.
///
/// # Errors
/// [`OperationError::KeyNeeded`] without a key of the vault; when a named snapshot is not there, or the store fails.
pub async fn forget(session: &Session, options: &ForgetOptions) -> Result<ForgetReport, OperationError> {
    let mut opened = session.open_to_change().await?;
    let identity = opened.identity()?;
    if options.lost {
        return give_up(&mut opened, &identity, options).await;
    }
    let (mut judged, broken) = complete(&opened).await?;
    let mut last_of_source = Vec::new();
    if options.named.is_empty() {
        judged.retain(|(_, is_taken)| is_taken(&options.among));
        let mut judged: Vec<Judged> = judged.into_iter().map(|(judged, _)| judged).collect();
        judge(&mut judged, options, opened.repository.machine.now());
        return finish(&mut opened, &identity, options, judged, last_of_source, broken).await;
    }
    let all: Vec<Judged> = judged.into_iter().map(|(judged, _)| judged).collect();
    let mut named = Vec::new();
    for wanted in &options.named {
        let found = by_name(&opened, &all, wanted).await?;
        if !named.iter().any(|known: &Judged| known.stem == found.stem) {
            named.push(found);
        }
    }
    let is_named = |judged: &Judged| named.iter().any(|named| named.stem == judged.stem);
    for judged in &named {
        let others = all.iter().filter(|other| other.source == judged.source && other.host == judged.host && !is_named(other));
        if all.iter().any(|own| own.stem == judged.stem) && others.count() == 0 {
            last_of_source.push(judged.id);
        }
    }
    finish(&mut opened, &identity, options, named, last_of_source, broken).await
}

/// Records of the snapshots that are missing without a record that they are gone, so that nobody misses them any more.
async fn give_up(opened: &mut Opened, identity: &Identity, options: &ForgetOptions) -> Result<ForgetReport, OperationError> {
    let (mut judged, mut broken, mut stems, mut found) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (stem, reference) in opened.repository.snapshot_refs().await? {
        stems.push(stem);
        match reference {
            Ok(reference) => found.push(reference),
            Err(error) if error.is_integrity() => broken.push(crate::model::causes::with_causes(&error)),
            Err(error) => return Err(error.into()),
        }
    }
    let records = opened.repository.records().await?;
    let mut gone = Vec::new();
    for (chain, missing) in gaps(&found, &records) {
        // Their names are not known; nobody else has such a one.
        gone.extend(missing.into_iter().map(|sequence| (format!("missing-{chain}-{sequence}"), chain, sequence)));
    }
    for (chain, head) in opened.gone(&stems, &found).await? {
        gone.push((head.stem, chain, head.sequence));
    }
    for (stem, chain, sequence) in gone {
        judged.push(Judged {
            id: stem.rsplit_once('-').and_then(|(_, id)| id.parse().ok()).unwrap_or(Id([0; 16])),
            time: crate::repository::format::names::stem_time(&stem).unwrap_or_default(),
            host: String::new(),
            source: format!("chain {chain}, number {sequence}"),
            tags: Vec::new(),
            kept_because: Vec::new(),
            stem,
            chain,
            sequence,
            is_good: false,
            holds_chats: false,
        });
    }
    finish(opened, identity, options, judged, Vec::new(), broken).await
}

type Taken = Box<dyn Fn(&Selection) -> bool + Send>;

/// The complete snapshots that can be read, oldest first, each with whether a selection takes it; and what is wrong with others.
async fn complete(opened: &Opened) -> Result<(Vec<(Judged, Taken)>, Vec<String>), OperationError> {
    let stored = opened.repository.stored_archives().await?;
    let mut found: BTreeMap<String, (Judged, Taken)> = BTreeMap::new();
    let each = |reference: SnapshotRef, snapshot: Snapshot| {
        if !snapshot.complete {
            return;
        }
        let is_good = snapshot.all_archives().all(|record| stored.get(&record.object) == Some(&record.length));
        let judged = Judged {
            id: snapshot.id,
            time: snapshot.time,
            host: snapshot.host.clone(),
            source: snapshot.source.to_string(),
            tags: snapshot.tags.clone(),
            kept_because: Vec::new(),
            stem: reference.stem.clone(),
            chain: snapshot.chain,
            sequence: snapshot.sequence,
            is_good,
            holds_chats: holds_chats(&snapshot),
        };
        let snapshot = Snapshot { archives: Vec::new(), borrowed: Vec::new(), ..snapshot };
        found.insert(reference.stem, (judged, Box::new(move |among: &Selection| among.takes(&snapshot))));
    };
    let listed = opened.repository.each_snapshot(&opened.identity()?.identities, each).await?;
    let broken = listed.broken.iter().map(|error| crate::model::causes::with_causes(error)).collect();
    let placed = |Placed { stem, time, .. }: Placed| {
        let (judged, taken) = found.remove(&stem)?;
        Some((Judged { time, ..judged }, taken))
    };
    Ok((listed.placed.into_iter().filter_map(placed).collect(), broken))
}

/// The snapshot whose name begins so: a complete one that was read, or whatever its signature says.
async fn by_name(opened: &Opened, complete: &[Judged], wanted: &str) -> Result<Judged, OperationError> {
    let fits = |stem: &&String| stem.split_once('-').is_some_and(|(_, id)| id.starts_with(wanted)) || *stem == wanted;
    let stems = opened.repository.snapshot_stems().await?;
    let fitting: Vec<&String> = stems.iter().filter(fits).collect();
    let stem = match fitting.as_slice() {
        [] => return Err(RepositoryError::NoSnapshot { wanted: wanted.to_owned() }.into()),
        [stem] => *stem,
        several => return Err(RepositoryError::Ambiguous { wanted: wanted.to_owned(), count: several.len() }.into()),
    };
    if let Some(judged) = complete.iter().find(|judged| judged.stem == **stem) {
        return Ok(judged.clone());
    }
    // A checkpoint, or one whose object is damaged: what was signed is enough to forget it.
    let signed = opened.repository.snapshot_ref(stem).await?.signed;
    let id = stem.split_once('-').and_then(|(_, id)| id.parse().ok());
    Ok(Judged {
        id: id.ok_or_else(|| RepositoryError::damaged(stem, "its name is not one of a snapshot"))?,
        time: crate::repository::format::names::stem_time(stem).unwrap_or_default(),
        host: String::new(),
        source: String::new(),
        tags: Vec::new(),
        kept_because: Vec::new(),
        stem: stem.clone(),
        chain: signed.chain,
        sequence: signed.sequence,
        is_good: false,
        holds_chats: false,
    })
}

/// Gives each snapshot the reasons for which it is kept.
fn judge(judged: &mut [Judged], options: &ForgetOptions, now: Timestamp) {
    let group = |judged: &Judged| {
        let source = options.by_source.then(|| judged.source.clone());
        (source, options.by_host.then(|| judged.host.clone()))
    };
    let is_in_future = |time: Timestamp| time.duration_since(now) > crate::repository::snapshots::CLOCKS_DIFFER;
    // The sort is stable: within a group they stay sorted by time.
    judged.sort_by_key(&group);
    let mut from = 0;
    while from < judged.len() {
        let own = judged.get(from).map(&group);
        let length = judged.iter().skip(from).take_while(|other| Some(group(other)) == own).count();
        let Some(members) = judged.get_mut(from..from + length) else { return };
        from += length;
        let candidates: Vec<Candidate<'_>> = members
            .iter()
            .map(|judged| Candidate { time: judged.time, is_in_future: is_in_future(judged.time), tags: &judged.tags })
            .collect();
        let reasons = reasons(&options.policy, &candidates, &options.zone);
        for (judged, why) in members.iter_mut().zip(reasons) {
            judged.kept_because = why;
        }
    }
    // Whatever the policy and its groups: of each source on each machine, the last one stays, and the last one that is whole. Of an
    // account, so does the last of each chain: what the account is like is what all of them hold together.
    let mut last = BTreeMap::new();
    for (at, judged) in judged.iter().enumerate() {
        let chain = judged.holds_chats.then_some(judged.chain);
        for is_whole in [false, true] {
            if judged.is_good || !is_whole {
                let newest = last.entry((&judged.source, &judged.host, chain, is_whole)).or_insert((judged.time, at));
                *newest = (judged.time, at).max(*newest);
            }
        }
    }
    let last: BTreeSet<usize> = last.into_values().map(|(_, at)| at).collect();
    for (at, judged) in judged.iter_mut().enumerate() {
        if last.contains(&at) && judged.kept_because.is_empty() {
            judged.kept_because.push("the last of its source".into());
        }
    }
}

async fn finish(
    opened: &mut Opened,
    identity: &Identity,
    options: &ForgetOptions,
    judged: Vec<Judged>,
    last_of_source: Vec<Id>,
    broken: Vec<String>,
) -> Result<ForgetReport, OperationError> {
    let mut report = ForgetReport { judged, last_of_source, broken, record: None };
    let mut chains: BTreeMap<Id, Vec<(String, u64)>> = BTreeMap::new();
    for judged in report.forgotten() {
        chains.entry(judged.chain).or_default().push((judged.stem.clone(), judged.sequence));
    }
    if options.dry_run || chains.is_empty() {
        return Ok(report);
    }
    let says = chains.into_iter().map(|(chain, snapshots)| Known::Forgotten(Forgotten { chain, snapshots })).collect();
    report.record = Some(opened.repository.put_record(&identity.root_key, says).await?);
    Ok(report)
}
