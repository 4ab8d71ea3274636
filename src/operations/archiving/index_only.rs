//! Archives in which no file of a source is: what is removed, what is stored elsewhere, merged indexes.

use super::upload::UploadSink;
use super::{Archiving, Note, OpenArchive, wait_for};
use crate::archive::index::{IndexEntry, part_name};
use crate::archive::parts::PartPool;
use crate::archive::writer::ArchiveWriter;
use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::repository::format::snapshot::ArchiveRecord;
use crate::repository::tree::Tree;

/// Names to be removed in one archive; readers take up to 256 MiB of them.
const REMOVE_BYTES: usize = 64 * 1024 * 1024;

/// Stores one archive, and waits until the store has it. It blocks.
fn write(
    with: &Archiving,
    merged: bool,
    (entries, remove): (&[IndexEntry], &[EntryPath]),
    note: impl Note,
    fill: impl FnOnce(&mut ArchiveWriter<UploadSink>) -> Result<(), OperationError>,
) -> Result<ArchiveRecord, OperationError> {
    // A pool that no lane waits for.
    let with = Archiving { pool: PartPool::new(3), ..with.clone() };
    let mut open = OpenArchive::begin(&with)?;
    fill(&mut open.writer)?;
    let (record, uploaded) = open.seal(&with, merged, entries, remove, note)?;
    with.runtime.block_on(wait_for(uploaded))?;
    Ok(record)
}

/// Stores what is to be removed.
///
/// # Errors
/// When it cannot be written.
pub(in crate::operations) async fn removals(
    with: &Archiving,
    remove: Vec<EntryPath>,
    note: impl Note + Send + 'static,
) -> Result<ArchiveRecord, OperationError> {
    let with = with.clone();
    tokio::task::spawn_blocking(move || {
        write(&with, false, (&[], &remove), note, |writer| {
            remove.iter().for_each(|path| writer.append_removal(path.as_bytes()));
            Ok(())
        })
    })
    .await?
}

/// Stores entries whose content is stored elsewhere.
///
/// # Errors
/// When it cannot be written.
pub(in crate::operations) async fn references(
    with: &Archiving,
    mut references: Vec<IndexEntry>,
    note: impl Note + Send + 'static,
) -> Result<ArchiveRecord, OperationError> {
    // Side by side what lies side by side: who restores without tgvault then decrypts each archive once.
    references.sort_by_key(|entry| entry.content.as_ref().map(|content| (content.archive, content.offset)));
    let with = with.clone();
    tokio::task::spawn_blocking(move || {
        write(&with, false, (&references, &[]), note, |writer| {
            Ok(references.iter().try_for_each(|entry| writer.append_reference(entry))?)
        })
    })
    .await?
}

/// Stores a whole state as one merged index, and gives the state back. It is noted without entries: it adds none to the state.
///
/// # Errors
/// When it cannot be written.
pub(in crate::operations) async fn merged_index(
    with: &Archiving,
    tree: Tree,
    note: impl Note + Send + 'static,
) -> Result<(ArchiveRecord, Tree), OperationError> {
    let with = with.clone();
    tokio::task::spawn_blocking(move || {
        let record = write(&with, true, (&[], &[]), note, |writer| {
            for (path, entry) in tree.iter() {
                tree.index_entries(&path, &entry).iter().try_for_each(|line| writer.append_merged(line))?;
            }
            Ok(())
        })?;
        Ok((record, tree))
    })
    .await?
}

/// The member names of the parts of long files that are deleted, for those who restore with tar alone.
pub(in crate::operations) fn part_members(tree: &Tree, deleted: &[EntryPath]) -> Vec<EntryPath> {
    // Those that are stored, not those that are claimed: an index can claim four billion.
    let stored = |path: &EntryPath| -> Vec<u32> {
        tree.get(path).and_then(|entry| Some(entry.stored_parts()?.1.keys().copied().collect())).unwrap_or_default()
    };
    let of = |path| stored(path).into_iter().filter_map(move |n| EntryPath::new(part_name(path, n)).ok());
    deleted.iter().flat_map(of).collect()
}

/// Cuts a list of paths into lists that one archive of removals takes each.
pub(in crate::operations) fn batches(paths: Vec<EntryPath>) -> Vec<Vec<EntryPath>> {
    batches_of(paths, REMOVE_BYTES)
}

/// As [`batches`], with lists whose names take at most `max_bytes` each; a longer name stands alone.
fn batches_of(paths: Vec<EntryPath>, max_bytes: usize) -> Vec<Vec<EntryPath>> {
    let (mut batches, mut last, mut bytes) = (Vec::new(), Vec::new(), 0);
    for path in paths {
        let length = path.as_bytes().len() + 1;
        if bytes + length > max_bytes && !last.is_empty() {
            batches.push(std::mem::take(&mut last));
            bytes = 0;
        }
        bytes += length;
        last.push(path);
    }
    if !last.is_empty() {
        batches.push(last);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_all_paths_in_order_and_within_their_bound() {
        let paths: Vec<EntryPath> = ["aa", "bb", "c", "longer", "d"].map(|path| EntryPath::new(path).unwrap()).into();
        let cut = batches_of(paths.clone(), 6);
        assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert_eq!(cut.concat(), paths);
        assert!(batches_of(Vec::new(), 6).is_empty());
    }
}
