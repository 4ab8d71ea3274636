//! Finding entries in all snapshots: each archive's index is read once, however many snapshots show it.

use std::collections::HashMap;
use std::sync::Arc;

use super::OperationError;
use super::look::note_gone;
use super::session::{Opened, Session};
use super::snapshot::choice::Selection;
use crate::crypt::keys::Identities;
use crate::model::entry::EntryPath;
use crate::model::filter::PathFilter;
use crate::repository::RepositoryError;
use crate::repository::format::snapshot::Snapshot;
use crate::repository::snapshots::SnapshotRef;
use crate::repository::tree::{Tree, TreeEntry};

/// Matches that are held at a time, a few bytes each: snapshots are worked on oldest first, and told newest first.
const MAX_HELD: u64 = 4 * 1024 * 1024;

/// Archives that the snapshots name which are worked on at a time, all of them together.
const MAX_ARCHIVES: usize = 100_000;

/// What one snapshot has of what is looked for.
type Matches = Vec<Arc<(EntryPath, TreeEntry)>>;

/// What is looked for: entries whose paths a filter takes, and others that are named.
pub struct Wanted<'a> {
    /// Which paths.
    pub filter: &'a PathFilter,
    /// Which entries beside.
    pub named: &'a (dyn Fn(&EntryPath) -> bool + Sync),
}

impl Wanted<'_> {
    /// Whether an entry is looked for.
    pub fn takes(&self, path: &EntryPath) -> bool {
        self.filter.takes(path) || (self.named)(path)
    }
}

/// Hands the entries that match in each selected snapshot to `each`, newest snapshot first.
///
/// # Errors
/// When a snapshot cannot be read or is gone, after all others were searched; otherwise what `each` says.
pub async fn find(
    session: &Session,
    among: &Selection,
    filter: &PathFilter,
    each: impl FnMut(&Snapshot, &EntryPath, &TreeEntry) -> std::io::Result<()>,
) -> Result<(), OperationError> {
    find_in(&session.open().await?, among, &Wanted { filter, named: &|_| false }, each).await
}

/// As [`find`], with a repository that is open already, and for entries that are named beside.
///
/// # Errors
/// As [`find`].
pub async fn find_in(
    opened: &Opened,
    among: &Selection,
    looked_for: &Wanted<'_>,
    mut each: impl FnMut(&Snapshot, &EntryPath, &TreeEntry) -> std::io::Result<()>,
) -> Result<(), OperationError> {
    let identity = opened.identity()?;
    let (mut found, mut rows, mut last) = (Vec::new(), Vec::<Row>::new(), Vec::new());
    let each_snapshot = |reference: SnapshotRef, mut snapshot: Snapshot| {
        found.push(SnapshotRef { sums: Vec::new(), ..reference });
        if snapshot.complete && among.takes(&snapshot) {
            let shared = snapshot.archives.iter().zip(&last).take_while(|(own, last)| own == last).count();
            let own = snapshot.archives.split_off(shared);
            last.truncate(shared);
            last.extend(own.iter().cloned());
            rows.push(Row { snapshot: Snapshot { archives: own, ..snapshot }, shared });
        }
    };
    let mut listed = opened.repository.each_snapshot(&identity.identities, each_snapshot).await?;
    listed.broken.extend(opened.compare(&listed.stems, &found).await?);
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let block = last_block(rest);
        rest = rest.get(..rest.len() - block.len()).unwrap_or_default();
        let block = block.as_slice();
        let matches = search(opened, &identity.identities, block, looked_for, &mut listed.broken).await?;
        for (snapshot, matches) in block.iter().zip(matches).rev() {
            for found in matches {
                each(snapshot, &found.0, &found.1).map_err(OperationError::Output)?;
            }
        }
    }
    listed.broken.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}

/// A snapshot that holds, of its archives, only those behind the first `shared`, which the one before it names too.
struct Row {
    snapshot: Snapshot,
    shared: usize,
}

/// The last of some snapshots, whole: as many as may be held at a time, one at least.
fn last_block(rows: &[Row]) -> Vec<Snapshot> {
    let (mut entries, mut archives) = (0, 0);
    let fits = |row: &&Row| {
        entries += row.snapshot.counts.entries;
        archives += row.shared + row.snapshot.archives.len();
        entries <= MAX_HELD && archives <= MAX_ARCHIVES
    };
    let from = rows.len() - rows.iter().rev().take_while(fits).count().clamp(1, rows.len().max(1));
    let (mut archives, mut block) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        archives.truncate(row.shared);
        archives.extend(row.snapshot.archives.iter().cloned());
        if at >= from {
            block.push(Snapshot { archives: archives.clone(), ..row.snapshot.clone() });
        }
    }
    block
}

/// The matches in each snapshot of `block`, which is sorted by time.
async fn search(
    opened: &Opened,
    identities: &Arc<Identities>,
    block: &[Snapshot],
    looked_for: &Wanted<'_>,
    broken: &mut Vec<RepositoryError>,
) -> Result<Vec<Matches>, RepositoryError> {
    let repository = &opened.repository;
    let mut found: Vec<Option<Matches>> = vec![None; block.len()];
    if let Some(newest) = block.last() {
        repository.fetch_indexes(newest).await;
    }
    while let Some(first) = found.iter().position(Option::is_none) {
        // One line of snapshots, each of which adds archives to the one before it.
        let mut line: Option<(Tree, &Snapshot)> = None;
        let mut before = HashMap::new();
        for (snapshot, found) in block.iter().zip(&mut found).skip(first).filter(|(_, found)| found.is_none()) {
            let tree = match line.take() {
                None => repository.tree(snapshot, identities, Some(broken)).await?,
                Some((tree, parent)) => match added(parent, snapshot) {
                    // What cannot be read has a copy, or is lost: that is for who lays the whole together.
                    Some(added) => match repository.lay_over(tree, added, snapshot, identities).await? {
                        Some(tree) => tree,
                        None => repository.tree(snapshot, identities, Some(broken)).await?,
                    },
                    None => {
                        line = Some((tree, parent));
                        continue;
                    }
                },
            };
            let matches = matches(&tree, looked_for, &before);
            before = matches.iter().map(|found| (found.0.clone(), Arc::clone(found))).collect();
            *found = Some(matches);
            line = Some((tree, snapshot));
        }
        // The last of a line has the losses of all before it.
        if let Some((tree, snapshot)) = line {
            note_gone(opened, snapshot, &tree);
        }
    }
    Ok(found.into_iter().flatten().collect())
}

/// The archives that `later` lays over those of `earlier`; `None` where it does not build on it, or begins anew with a merged index.
fn added<'a>(earlier: &Snapshot, later: &'a Snapshot) -> Option<&'a [crate::repository::format::snapshot::ArchiveRecord]> {
    let (shared, added) = later.archives.split_at_checked(earlier.archives.len())?;
    (shared == earlier.archives && !added.iter().any(|record| record.merged)).then_some(added)
}

/// What matches in a state; entries are shared with those of the snapshot before where they are the same.
fn matches(tree: &Tree, looked_for: &Wanted<'_>, before: &HashMap<EntryPath, Arc<(EntryPath, TreeEntry)>>) -> Matches {
    let taken = tree.iter().filter(|(path, _)| looked_for.takes(path));
    let shared = taken.map(|(path, entry)| match before.get(&path) {
        Some(known) if known.1 == entry => Arc::clone(known),
        _ => Arc::new((path, entry)),
    });
    shared.collect()
}
