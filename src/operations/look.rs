//! Looking at snapshots without restoring them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::OperationError;
use super::session::{Opened, Session};
use super::snapshot::choice::{Selection, SnapshotChoice};
use super::snapshot::meant;
use crate::model::causes::with_causes;
use crate::model::digest::Id;
use crate::model::entry::{EntryPath, Kind};
use crate::model::filter::PathFilter;
use crate::repository::RepositoryError;
use crate::repository::format::snapshot::Snapshot;
use crate::repository::snapshots::{Placed, SnapshotRef, gaps};
use crate::repository::tree::{Tree, TreeEntry};

/// A snapshot in a list.
pub struct Row {
    /// What it says, but for its archives, which are left out: each names those of all before it.
    pub snapshot: Snapshot,
    /// How many archives it names.
    pub archives: u64,
}

/// The snapshots of a repository.
pub struct Snapshots {
    /// Oldest first.
    pub snapshots: Vec<Row>,
    /// When each of them was made, as far as that is believed, and whether the clock of its machine was ahead.
    pub times: Vec<(jiff::Timestamp, bool)>,
    /// What is wrong with others, in words.
    pub broken: Vec<String>,
}

/// Lists snapshots; checkpoints of interrupted runs only with `partial`.
///
/// # Errors
/// When no key fits, or the store fails.
pub async fn snapshots(session: &Session, among: &Selection, partial: bool) -> Result<Snapshots, OperationError> {
    let opened = session.open().await?;
    let (mut found, mut snapshots, mut stems) = (Vec::new(), Vec::new(), Vec::new());
    let each = |reference: SnapshotRef, snapshot: Snapshot| {
        if among.takes(&snapshot) && (partial || snapshot.complete) {
            let archives = snapshot.archives.len() as u64;
            snapshots.push(Row { snapshot: Snapshot { archives: Vec::new(), ..snapshot }, archives });
            stems.push(reference.stem.clone());
        }
        found.push(SnapshotRef { sums: Vec::new(), ..reference });
    };
    let mut listed = opened.repository.each_snapshot(&opened.identity()?.identities, each).await?;
    listed.broken.extend(opened.compare(&listed.stems, &found).await?);
    let mut broken: Vec<String> = listed.broken.iter().map(|error| with_causes(error)).collect();
    let records = opened.repository.records().await?;
    broken.extend(records.broken.iter().map(|error| with_causes(error)));
    broken.extend(gaps(&found, &records).iter().map(|(chain, missing)| told(*chain, missing)));
    let placed: BTreeMap<&str, &Placed> = listed.placed.iter().map(|placed| (placed.stem.as_str(), placed)).collect();
    let time = |(row, stem): (&Row, &String)| {
        placed.get(stem.as_str()).map_or((row.snapshot.time, false), |placed| (placed.time, placed.is_ahead))
    };
    let times = snapshots.iter().zip(&stems).map(time).collect();
    Ok(Snapshots { snapshots, times, broken })
}

/// Says which numbers of a chain are missing.
fn told(chain: Id, missing: &[u64]) -> String {
    let missing: Vec<String> = missing.iter().map(u64::to_string).collect();
    format!("chain {chain}: snapshots {} are gone, and no record says that they were forgotten", missing.join(", "))
}

/// Whether the vault has no other snapshots than the first `sequence` of one chain: numbers begin with 1, so when a chain's last one,
/// less those that were forgotten, is how many there are, there is no further chain. A listing says so, and no snapshot is read.
///
/// # Errors
/// As [`Session::open`], and when the store fails.
pub async fn is_one_chain(session: &Session, sequence: u64) -> Result<bool, OperationError> {
    let repository = session.open().await?.repository;
    let forgotten = repository.records().await?.forgotten().count();
    Ok((repository.snapshot_stems().await?.len() + forgotten) as u64 == sequence)
}

/// Opens what a snapshot holds, the latest of an account with what other machines stored of it; with `broken` also where a part of it is
/// lost, which that takes.
async fn open_tree(
    opened: &Opened,
    choice: &SnapshotChoice,
    mut broken: Option<&mut Vec<RepositoryError>>,
) -> Result<(Snapshot, Tree), OperationError> {
    let (found, snapshot) = choice.find(opened).await?;
    let mut passed_over = Vec::new();
    let beside = choice.beside(opened, (&found, &snapshot), &mut passed_over).await?;
    match &mut broken {
        Some(broken) => broken.extend(passed_over),
        None => passed_over.into_iter().next().map_or(Ok(()), Err)?,
    }
    let heads: Vec<&Snapshot> = beside.iter().chain([&snapshot]).collect();
    let tree = opened.repository.tree_of(&heads, &opened.identity()?.identities, broken).await?;
    Ok((snapshot, tree))
}

/// Hands the entries of a snapshot at and below `paths` (all when empty) that `filter` takes to `each`, sorted by path.
///
/// # Errors
/// When the snapshot cannot be read, or one of `paths` is not in it; when a part of it is lost, after everything else was handed
/// out; otherwise what `each` says.
pub async fn ls(
    session: &Session,
    choice: &SnapshotChoice,
    paths: &[EntryPath],
    filter: &PathFilter,
    each: impl FnMut(&EntryPath, &TreeEntry) -> std::io::Result<()>,
) -> Result<Snapshot, OperationError> {
    ls_in(&session.open().await?, choice, paths, &|path| filter.takes(path), each).await
}

/// As [`ls`], with a repository that is open already, and for entries that `takes` says.
///
/// # Errors
/// As [`ls`].
pub async fn ls_in(
    opened: &Opened,
    choice: &SnapshotChoice,
    paths: &[EntryPath],
    takes: &dyn Fn(&EntryPath) -> bool,
    mut each: impl FnMut(&EntryPath, &TreeEntry) -> std::io::Result<()>,
) -> Result<Snapshot, OperationError> {
    let mut broken = Vec::new();
    let (snapshot, tree) = open_tree(opened, choice, Some(&mut broken)).await?;
    let paths = &meant(&snapshot, &tree, paths);
    for path in paths {
        // The folders of an account are no entries of their own.
        if broken.is_empty() && tree.get(path).is_none() && !tree.has_below(path) {
            return Err(OperationError::NoSuchPath { path: path.to_string(), snapshot: snapshot.id.to_string() });
        }
    }
    for (path, entry) in tree.iter() {
        if (paths.is_empty() || paths.iter().any(|top| path.is_at_or_below(top))) && takes(&path) {
            each(&path, &entry).map_err(OperationError::Output)?;
        }
    }
    note_gone(opened, &snapshot, &tree);
    broken.into_iter().next().map_or(Ok(snapshot), |error| Err(error.into()))
}

/// Notes the archives that are gone though their names are known, by a copy or from this machine's cache: the next backup stores again
/// what they held. Names are all that is asked for here, and they are what they should be.
pub(super) fn note_gone(opened: &Opened, snapshot: &Snapshot, tree: &Tree) {
    let gone = snapshot.archives.iter().filter(|record| tree.losses().copied.contains(&record.id));
    opened.note_damaged(gone.map(|record| record.object.clone()), false);
}

/// How an entry differs between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Only the later has it.
    Added,
    /// Only the earlier has it.
    Removed,
    /// Its content, or what it is, is another.
    Modified,
    /// Only its metadata is another.
    Metadata,
}

/// How many entries changed, and by how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffSummary {
    /// Entries that came.
    pub added: u64,
    /// Entries that went.
    pub removed: u64,
    /// Entries with another content.
    pub modified: u64,
    /// Entries with other metadata only.
    pub metadata: u64,
    /// Bytes of content that came.
    pub added_bytes: u64,
    /// Bytes of content that went.
    pub removed_bytes: u64,
}

/// Compares two snapshots: hands each changed entry to `each`, sorted by path.
///
/// # Errors
/// When a snapshot cannot be read; otherwise what `each` says.
pub async fn diff(
    session: &Session,
    earlier: &SnapshotChoice,
    later: &SnapshotChoice,
    each: impl FnMut(Change, &EntryPath) -> std::io::Result<()>,
) -> Result<DiffSummary, OperationError> {
    diff_in(&session.open().await?, earlier, later, each).await
}

/// As [`diff`], with a repository that is open already.
///
/// # Errors
/// As [`diff`].
pub async fn diff_in(
    opened: &Opened,
    earlier: &SnapshotChoice,
    later: &SnapshotChoice,
    mut each: impl FnMut(Change, &EntryPath) -> std::io::Result<()>,
) -> Result<DiffSummary, OperationError> {
    let (_, old) = open_tree(opened, earlier, None).await?;
    let (_, new) = open_tree(opened, later, None).await?;
    let mut summary = DiffSummary::default();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = old.next_if(|_| order.is_le());
        let new = new.next_if(|_| order.is_ge());
        let Some(path) = new.as_ref().or(old.as_ref()).map(|(path, _)| path.clone()) else { break };
        let change = match (old.map(|(_, entry)| entry), new.map(|(_, entry)| entry)) {
            (Some(old), Some(new)) if is_same_content(&old, &new) => {
                if new.has_meta(&old.meta()) {
                    continue;
                }
                summary.metadata += 1;
                Change::Metadata
            }
            (Some(old), Some(new)) => {
                summary.modified += 1;
                summary.added_bytes += new.size;
                summary.removed_bytes += old.size;
                Change::Modified
            }
            (None, Some(new)) => {
                summary.added += 1;
                summary.added_bytes += new.size;
                Change::Added
            }
            (Some(old), None) => {
                summary.removed += 1;
                summary.removed_bytes += old.size;
                Change::Removed
            }
            (None, None) => continue,
        };
        each(change, &path).map_err(OperationError::Output)?;
    }
    Ok(summary)
}

fn is_same_content(old: &TreeEntry, new: &TreeEntry) -> bool {
    let digests =
        |entry: &TreeEntry| entry.places().unwrap_or_default().iter().map(|place| (place.sha256, place.length)).collect::<Vec<_>>();
    old.kind == new.kind && old.size == new.size && digests(old) == digests(new)
}

/// Figures of one snapshot.
#[derive(Clone, Debug)]
pub struct Stats {
    /// The snapshot.
    pub snapshot: Id,
    /// Regular files.
    pub files: u64,
    /// Folders.
    pub dirs: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub hardlinks: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Archives that it names.
    pub archives: u64,
    /// Bytes that those take in the store.
    pub stored_bytes: u64,
    /// Uploads of this machine that are under way, or that killed runs left.
    pub unfinished_uploads: u64,
}

/// Counts what a snapshot holds.
///
/// # Errors
/// When it cannot be read.
pub async fn stats(session: &Session, choice: &SnapshotChoice) -> Result<Stats, OperationError> {
    stats_in(&session.open().await?, choice).await
}

/// As [`stats`], with a repository that is open already.
///
/// # Errors
/// As [`stats`].
pub async fn stats_in(opened: &Opened, choice: &SnapshotChoice) -> Result<Stats, OperationError> {
    let (snapshot, tree) = open_tree(opened, choice, None).await?;
    let (mut files, mut dirs, mut symlinks, mut hardlinks, mut bytes) = (0, 0, 0, 0, 0);
    for (_, entry) in tree.iter() {
        let count = match entry.kind {
            Kind::File => &mut files,
            Kind::Dir => &mut dirs,
            Kind::Symlink { .. } => &mut symlinks,
            Kind::Hardlink { .. } => &mut hardlinks,
        };
        *count += 1;
        bytes += entry.size;
    }
    Ok(Stats {
        snapshot: snapshot.id,
        files,
        dirs,
        symlinks,
        hardlinks,
        bytes,
        archives: snapshot.archives.len() as u64,
        stored_bytes: snapshot.archives.iter().map(|record| record.length).sum(),
        unfinished_uploads: opened.unfinished_uploads()?,
    })
}
