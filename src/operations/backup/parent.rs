//! What a backup goes on from: the journal of this machine, or what the repository says, or nothing.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};

use super::BackupOptions;
use super::journal::{Journal, State};
use super::known_contents::{KnownContents, contents_of, key};
use super::remembered::{Piece, Remembered};
use crate::crypt::digest::sha256;
use crate::model::digest::Id;
use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::operations::events::{Event, Events};
use crate::operations::session::{Opened, Session, WRITING};
use crate::operations::snapshot::choice::holds_chats;
use crate::operations::uploads::Uploads;
use crate::repository::Machine;
use crate::repository::RepositoryError;
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::snapshots::Placed;
use crate::repository::tree::{Lines, Tree};
use crate::source::SourceName;
use crate::state::{Lock, SealedFolder};

/// Where a run begins.
pub(super) struct Parent {
    /// One run at a time for each source.
    pub _lock: [Lock; 2],
    pub journal: Journal,
    pub tree: Tree,
    /// Stored archives that no snapshot names yet, and what is to be removed before them.
    pub pending: Vec<ArchiveRecord>,
    pub removals: Vec<EntryPath>,
    /// The next snapshot says no earlier time.
    pub not_before: Option<Timestamp>,
    /// What is stored already.
    pub contents: KnownContents,
    /// Archives of others that hold some of it, which the next snapshot may borrow.
    pub lendable: HashMap<Id, ArchiveRecord>,
    pub remembered: Remembered,
    /// Archives were lost: the next snapshot begins with a merged index, so that no reader needs them.
    pub is_healing: bool,
}

/// The folder that holds the journal of a source; named by a hash, because names of folders are not sealed.
fn journal_folder(kept: &SealedFolder, source: &SourceName) -> Result<SealedFolder, OperationError> {
    let name = sha256(format!("{}\0{}", source.kind, source.name).as_bytes()).to_string();
    Ok(kept.folder(&format!("chain-{}", name.get(..32).unwrap_or(&name)))?)
}

fn is_lost(stored: &HashMap<String, u64>, record: &ArchiveRecord) -> bool {
    stored.get(&record.object) != Some(&record.length)
}

/// The archives that stand for old ones by the last snapshot, by the names of those.
fn stand_ins_of(journal: &Journal) -> HashMap<Id, Vec<ArchiveRecord>> {
    let Some((_, snapshot)) = journal.snapshot() else { return HashMap::new() };
    let known: HashMap<Id, &ArchiveRecord> = snapshot.all_archives().map(|record| (record.id, record)).collect();
    let by = |id: &Id| known.get(id).map(|record| (*record).clone());
    snapshot.stand_ins.iter().map(|stand_in| (stand_in.old, stand_in.by.iter().filter_map(by).collect())).collect()
}

/// Whether an archive is lost, or, where others stand for it, one of those.
fn is_gone(stored: &HashMap<String, u64>, record: &ArchiveRecord, stand_ins: &HashMap<Id, Vec<ArchiveRecord>>) -> bool {
    match stand_ins.get(&record.id) {
        Some(by) => by.iter().any(|record| is_lost(stored, record)),
        None => is_lost(stored, record),
    }
}

/// Whether this machine remembers a snapshot of this source, whatever it was called then.
///
/// # Errors
/// When the state cannot be read.
pub(super) fn has_journal(kept: &SealedFolder, machine: &Machine, names: &[SourceName]) -> Result<bool, OperationError> {
    for name in names {
        let journal = Journal::open(&journal_folder(kept, name)?, machine)?;
        if journal.is_some_and(|journal| journal.snapshot().is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where there is no journal under the source's name, takes over the one that it has under another.
fn adopt(opened: &Opened, folder: &SealedFolder, others: &[SourceName]) -> Result<(), OperationError> {
    if Journal::open(folder, &opened.repository.machine)?.is_some() {
        return Ok(());
    }
    for name in others {
        let other = journal_folder(&opened.folder, name)?;
        let _lock = other.lock("run.lock")?;
        if Journal::open(&other, &opened.repository.machine)?.is_some() {
            return Journal::adopt(folder, &other);
        }
    }
    Ok(())
}

/// Finds where to go on, under the lock of this source; `names` are all that it may be called, its own name first.
///
/// # Errors
/// [`StateError::Locked`](crate::state::StateError::Locked) inside when another run is at it; when state or store fail.
pub(super) async fn find(
    opened: &mut Opened,
    session: &Session,
    writer: Id,
    names: &[SourceName],
    options: &BackupOptions,
    events: &dyn Events,
) -> Result<Parent, OperationError> {
    let Some((source, others)) = names.split_first() else { return Err(OperationError::Internal("a source has no name".into())) };
    let folder = journal_folder(&opened.folder, source)?;
    // A prune that deletes at once must not meet a run of this machine.
    let writing = opened.folder.share(WRITING)?;
    let lock = folder.lock("run.lock")?;
    opened.repository.storage = Uploads::resume(&folder, &opened.repository.storage).await?;
    if let Err(error) = adopt(opened, &folder, others) {
        events.event(&Event::Note(&format!("what this machine remembers of this folder under another name cannot be read ({error})")));
    }
    let mut stored = opened.repository.usable_archives().await?;
    let records = opened.repository.records().await?;
    let mut remembered = None;
    match Journal::open(&folder, &opened.repository.machine) {
        Ok(Some(mut journal)) => match journal
            .take_in(|record| !is_lost(&stored, record))
            .and_then(|_| journal.replace(&records))
            .and_then(|holds| if holds { journal.remembered().map(Some) } else { Ok(None) })
        {
            Ok(Some(state)) => remembered = Some((journal, state)),
            Ok(None) => events.event(&Event::Note(
                "`tgvault rewrite` took something out of the earlier backups of this source; this one compares everything with what is left",
            )),
            Err(error) => events.event(&Event::Note(&format!("cannot read the state on this machine ({error})"))),
        },
        Ok(None) => {}
        Err(error) => events.event(&Event::Note(&format!("cannot read the state on this machine ({error})"))),
    }
    let (mut journal, mut state, broken) = match remembered {
        Some((journal, state)) => (journal, state, Vec::new()),
        None => {
            // Only now is there anything to read.
            opened.unlock(session).await?;
            begin(opened, &folder, writer, names, options, events).await?
        }
    };
    let stand_ins = stand_ins_of(&journal);
    if state.tree.archives.iter().any(|record| is_gone(&stored, record, &stand_ins)) {
        // Another machine may just have stored what the snapshot names that was found: all is listed anew.
        opened.repository.storage = opened.repository.storage.with_listing().await?;
        stored = opened.repository.usable_archives().await?;
    }
    // Whatever points into an archive that is gone is stored again.
    let is_gone = |record: &&ArchiveRecord| is_gone(&stored, record, &stand_ins);
    let mut lost: HashSet<Id> = state.tree.archives.iter().filter(is_gone).map(|record| record.id).collect();
    // So is what anything on this machine has found to be damaged.
    let damaged = opened.damaged_archives().unwrap_or_default();
    let is_damaged = |record: &&ArchiveRecord| match stand_ins.get(&record.id) {
        Some(by) => by.iter().any(|record| damaged.contains(&record.object)),
        None => damaged.contains(&record.object),
    };
    lost.extend(state.tree.archives.iter().filter(is_damaged).map(|record| record.id));
    // A snapshot that names what cannot be read would never be sound again.
    lost.extend(broken);
    if !lost.is_empty() {
        let dropped = state.tree.drop_lost(|record| lost.contains(&record.id));
        let count = lost.len();
        events.event(&Event::Note(&format!("{count} archives are missing or damaged in the store; {dropped} entries are stored again")));
        state.pending.retain(|record| !lost.contains(&record.id));
        // The merged index that comes first says what is left; nothing before it counts.
        state.removals.clear();
        journal.forget_lost(&lost, &state.tree, &state.pending)?;
    }
    match opened.repository.complete_copies().await {
        Ok(0) => {}
        Ok(count) => events.event(&Event::Note(&format!("restored {count} missing second copies of small objects"))),
        // What is saved does not depend on it, and verify reports what is still missing.
        Err(error) => tracing::warn!(%error, "missing second copies could not be put back"),
    }
    let placed = opened.repository.placed_stems().await?;
    let stems: Vec<String> = placed.iter().map(|placed| placed.stem.clone()).collect();
    let not_before = journal.snapshot().and_then(|(stem, _)| {
        let repository = &opened.repository;
        not_before(stem, &placed, repository.machine.now(), repository.storage.is_local())
    });
    for gone in opened.compare(&stems, []).await? {
        events.event(&Event::Note(&format!("{gone}; continuing with the backup")));
    }
    let last = last_sequence(opened, &journal, &stems).await?;
    journal.raise_sequence(last);
    let is_healing = state.is_healing || !lost.is_empty();
    // Of a replaced archive, only what the last snapshot shows is sure to be in the new ones.
    let is_replaced = |record: &ArchiveRecord| records.standing.is_replaced(&record.object);
    let is_usable = |record: &ArchiveRecord| !is_lost(&stored, record) && !damaged.contains(&record.object) && !is_replaced(record);
    let mut remembered = Remembered::read(&opened.folder, &opened.repository.machine, is_usable)?;
    if let Err(error) = learn(opened, session, &mut remembered, &state.tree, &journal, &stems).await {
        // What is not known is stored once more, and the next run looks again.
        tracing::warn!(%error, "what else the vault has is not known");
    }
    let contents = KnownContents::of(&state.tree);
    let mut lendable = HashMap::new();
    let own: HashSet<Id> = state.tree.archives.iter().map(|record| record.id).collect();
    if opened.repository.root.format.has_borrowed() {
        let others = remembered.archives().filter(|record| !own.contains(&record.id) && is_usable(record));
        lendable.extend(others.map(|record| (record.id, record.clone())));
    }
    for &(archive, key, piece) in remembered.contents() {
        if own.contains(&archive) || lendable.contains_key(&archive) {
            contents.add_stored(archive, key, piece);
        }
    }
    remembered.release();
    let State { tree, pending, removals, .. } = state;
    Ok(Parent { _lock: [lock, writing], journal, tree, pending, removals, not_before, contents, lendable, remembered, is_healing })
}

/// Adds to what is remembered: where a key is given, what other snapshots of the vault hold; else the state that this machine has from
/// before it remembered anything.
async fn learn(
    opened: &mut Opened,
    session: &Session,
    remembered: &mut Remembered,
    tree: &Tree,
    journal: &Journal,
    stems: &[String],
) -> Result<(), OperationError> {
    let unknown: Vec<String> = stems.iter().filter(|stem| !remembered.knows(stem)).cloned().collect();
    if !unknown.is_empty()
        && opened.repository.root.format.has_borrowed()
        && let Some(identity) = opened.unlock(session).await?
    {
        let (mut met, mut records) = (HashSet::new(), Vec::new());
        opened.repository.fetch_packed_snapshots(&unknown).await;
        // The newest names the archives of those before it: packs bring their indexes at once.
        for stem in unknown.iter().rev() {
            match opened.repository.read_snapshot(stem, &identity.identities).await {
                Ok((_, snapshot)) => {
                    opened.repository.fetch_packed_indexes(&snapshot, 0).await;
                    let new = |record: &&ArchiveRecord| !record.merged && !remembered.has_all_of(record.id) && met.insert(record.id);
                    records.extend(snapshot.archives.iter().filter(new).cloned());
                }
                Err(error) if error.is_integrity() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut contents = Vec::new();
        let mut each = |record: &ArchiveRecord, entries: &Lines, _: &[EntryPath]| {
            for located in entries.iter().filter_map(|entry| entry.content) {
                let is_here = located.archive.is_none_or(|archive| archive == record.id);
                if is_here && !located.short && located.length > 0 {
                    let piece = Piece { archive: 0, frame: located.frame, offset: located.offset, length: located.length };
                    contents.push((record.id, key(&located.sha256), piece));
                }
            }
        };
        opened.repository.each_index(records.clone(), &identity.identities, &mut each).await?;
        remembered.add(unknown, records, contents, true)?;
    }
    if let Some((stem, _)) = journal.snapshot().filter(|(stem, _)| !remembered.knows(stem)) {
        let mut contents = Vec::new();
        contents_of(tree, |archive, key, piece| contents.push((archive, key, piece)));
        remembered.add(vec![stem.clone()], tree.archives.clone(), contents, false)?;
    }
    remembered.join()
}

/// The time that follows the last snapshot `parent`, so that names sort by the order in which they were made. `None` where it is the
/// parent's clock that was ahead and not this machine's that is behind.
fn not_before(parent: &str, placed: &[Placed], now: Timestamp, is_local: bool) -> Option<Timestamp> {
    let last = placed.iter().find(|placed| placed.stem == parent)?;
    if last.is_after(now) && is_local {
        // The times in a folder are those of the machine that wrote: what the other snapshots say decides.
        let others = || placed.iter().filter(|other| other.stem != parent);
        let in_future = others().filter(|other| other.is_after(now)).count();
        if in_future == 0 || 2 * in_future < others().count() {
            return None;
        }
    }
    last.time.checked_add(SignedDuration::from_millis(1)).ok()
}

/// The highest number that the chain has in the repository: a run may have died between its commit and its note of it.
pub(super) async fn last_sequence(opened: &Opened, journal: &Journal, stems: &[String]) -> Result<u64, OperationError> {
    // A number that was forgotten is never used again.
    let forgotten = opened.repository.records().await?.last_forgotten(journal.chain());
    let mut last = journal.sequence().max(forgotten.unwrap_or(0));
    let head = journal.snapshot().map(|(stem, _)| stem.as_str()).unwrap_or_default();
    let from = stems.iter().position(|stem| stem == head).map_or_else(|| stems.partition_point(|stem| stem.as_str() < head), |at| at + 1);
    for stem in stems.iter().skip(from) {
        match opened.repository.snapshot_ref(stem).await {
            Ok(found) if found.signed.chain == journal.chain() => last = last.max(found.signed.sequence),
            Ok(_) => {}
            Err(error) if error.is_integrity() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(last)
}

async fn begin(
    opened: &Opened,
    folder: &SealedFolder,
    writer: Id,
    names: &[SourceName],
    options: &BackupOptions,
    events: &dyn Events,
) -> Result<(Journal, State, Vec<Id>), OperationError> {
    let (mut tree, mut chain, mut sequence, mut parent) = (Tree::default(), opened.repository.machine.id()?, 0, None);
    let mut lost = Vec::new();
    if let Some(identity) = &opened.identity {
        let found = newest(opened, &identity.identities, writer, names, &options.host).await?;
        if let Some((stem, snapshot)) = found {
            let mut broken = Vec::new();
            tree = opened.repository.tree(&snapshot, &identity.identities, Some(&mut broken)).await?;
            for id in &tree.losses().copied {
                lost.push(*id);
                events.event(&Event::Note("an archive of the last snapshot is missing or damaged; what it held is stored again"));
            }
            for error in broken {
                if let RepositoryError::Archive { id, .. } = &error {
                    lost.push(*id);
                }
                events.event(&Event::Note(&format!("an archive of the last snapshot is damaged; its contents are stored again ({error})")));
            }
            if snapshot.writer == writer {
                (chain, sequence) = (snapshot.chain, snapshot.sequence);
            }
            parent = Some((stem, snapshot));
        }
    } else if !opened.repository.snapshot_stems().await?.is_empty() {
        events.event(&Event::Note(
            "this machine has no record of earlier backups of this source, and no key to read them: what they stored is not \
             known here, stays part of the vault, and may be stored again. Give a passphrase or an identity once to go on from the last snapshot instead",
        ));
    }
    let journal = Journal::begin(folder, chain, sequence, parent, &tree, &opened.repository.machine)?;
    Ok((journal, State { tree, pending: Vec::new(), removals: Vec::new(), is_healing: false }, lost))
}

/// The newest snapshot of the source: this writer's own, or else another writer's; of a folder, one that was made on this machine.
async fn newest(
    opened: &Opened,
    identities: &crate::crypt::keys::Identities,
    writer: Id,
    names: &[SourceName],
    host: &str,
) -> Result<Option<(String, Snapshot)>, OperationError> {
    let mut others = None;
    let stems = opened.repository.snapshot_stems().await?;
    let mut read = std::pin::pin!(opened.repository.read_newest_first(identities, &stems));
    while let Some((stem, read)) = read.next().await {
        match read.map(|(_, snapshot)| snapshot) {
            Ok(snapshot) if !names.contains(&snapshot.source) => {}
            Ok(snapshot) if snapshot.writer == writer => return Ok(Some((stem.clone(), snapshot))),
            // A folder is one machine's, an account is not.
            Ok(snapshot) if snapshot.host == host || holds_chats(&snapshot) => {
                let found = (stem.clone(), snapshot);
                // One that has just become a writer has none of its own.
                if opened.is_new_writer {
                    return Ok(Some(found));
                }
                others.get_or_insert(found);
            }
            Ok(_) => {}
            // Never a parent; verify reports it.
            Err(error) if error.is_integrity() => tracing::warn!(stem, %error, "a snapshot is passed over"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(others)
}
