//! Finding entries in all snapshots: each archive's index is read once, however many snapshots show it.

use std::collections::HashMap;
use std::sync::Arc;

use super::OperationError;
use super::session::Session;
use super::snapshot::choice::Selection;
use crate::crypt::keys::Identities;
use crate::model::entry::EntryPath;
use crate::model::filter::PathFilter;
use crate::repository::format::snapshot::Snapshot;
use crate::repository::tree::{Tree, TreeEntry};
use crate::repository::{Repository, RepositoryError};

/// Matches that are held at a time, a few bytes each: snapshots are worked on oldest first, and told newest first.
const MAX_HELD: u64 = 4 * 1024 * 1024;

/// What one snapshot has of what is looked for.
type Matches = Vec<Arc<(EntryPath, TreeEntry)>>;

/// Hands the entries that match in each selected snapshot to `each`, newest snapshot first.
///
/// # Errors
/// When a snapshot cannot be read or is gone, after all others were searched; otherwise what `each` says.
pub async fn find(
    session: &Session,
    among: &Selection,
    filter: &PathFilter,
    mut each: impl FnMut(&Snapshot, &EntryPath, &TreeEntry) -> std::io::Result<()>,
) -> Result<(), OperationError> {
    let opened = session.open().await?;
    let identity = opened.identity()?;
    let mut listed = opened.repository.snapshots(&identity.identities).await?;
    listed.broken.extend(opened.compare(&listed.stems, listed.snapshots.iter().map(|(found, _)| found))?);
    let wanted: Vec<Snapshot> =
        listed.snapshots.into_iter().map(|(_, snapshot)| snapshot).filter(|snapshot| snapshot.complete && among.takes(snapshot)).collect();
    let mut rest = wanted.as_slice();
    while let Some(newest) = rest.last() {
        let count = usize::try_from(MAX_HELD / newest.counts.entries.max(1)).unwrap_or(usize::MAX).clamp(1, rest.len());
        let (earlier, block) = rest.split_at(rest.len() - count);
        rest = earlier;
        let matches = search(&opened.repository, &identity.identities, block, filter, &mut listed.broken).await?;
        for (snapshot, matches) in block.iter().zip(matches).rev() {
            for found in matches {
                each(snapshot, &found.0, &found.1).map_err(OperationError::Output)?;
            }
        }
    }
    listed.broken.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
}

/// The matches in each snapshot of `block`, which is sorted by time.
async fn search(
    repository: &Repository,
    identities: &Arc<Identities>,
    block: &[Snapshot],
    filter: &PathFilter,
    broken: &mut Vec<RepositoryError>,
) -> Result<Vec<Matches>, RepositoryError> {
    let mut found: Vec<Option<Matches>> = vec![None; block.len()];
    if let Some(newest) = block.last() {
        repository.fetch_packed_indexes(newest, 0).await;
    }
    while let Some(first) = found.iter().position(Option::is_none) {
        // One line of snapshots, each of which adds archives to the one before it.
        let mut line: Option<(Tree, &Snapshot)> = None;
        let mut before = HashMap::new();
        for (snapshot, found) in block.iter().zip(&mut found).skip(first).filter(|(_, found)| found.is_none()) {
            let tree = match line.take() {
                None => repository.tree(snapshot, identities, Some(broken)).await?,
                Some((mut tree, parent)) => match added(parent, snapshot) {
                    Some(added) => {
                        snapshot.borrowed.iter().for_each(|record| tree.add_archive(record.clone()));
                        // What cannot be read has a copy, or is lost: that is for who lays the whole together.
                        if repository.lay_over(&mut tree, added, identities).await? {
                            tree
                        } else {
                            repository.tree(snapshot, identities, Some(broken)).await?
                        }
                    }
                    None => {
                        line = Some((tree, parent));
                        continue;
                    }
                },
            };
            let matches = matches(&tree, filter, &before);
            before = matches.iter().map(|found| (found.0.clone(), Arc::clone(found))).collect();
            *found = Some(matches);
            line = Some((tree, snapshot));
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
fn matches(tree: &Tree, filter: &PathFilter, before: &HashMap<EntryPath, Arc<(EntryPath, TreeEntry)>>) -> Matches {
    let taken = tree.iter().filter(|(path, _)| filter.takes(path));
    let shared = taken.map(|(path, entry)| match before.get(path) {
        Some(known) if known.1 == *entry => Arc::clone(known),
        _ => Arc::new((path.clone(), entry.clone())),
    });
    shared.collect()
}
