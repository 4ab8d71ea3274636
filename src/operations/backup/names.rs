//! Files with several names, and what is kept: no content leaves the state because one of its names did.
//!
//! A file is stored under the first of its names, and the others refer to it. When that name is gone before it is read, or cannot be
//! read, the next takes its place. What is kept from the parent may refer to a name that is deleted or has another content now: it
//! then refers to the old content itself.

use std::collections::{BTreeMap, HashMap};

use crossbeam_channel::Receiver;

use super::planner::{Job, Planner};
use crate::archive::index::IndexEntry;
use crate::model::entry::{EntryPath, Kind};
use crate::operations::OperationError;
use crate::source::Item;

/// Stores those files again by other names whose first names failed, with `store` for each round; gives the links that are left.
///
/// # Errors
/// Those of `store`.
pub(super) fn stand_in(
    planner: &mut Planner<'_>,
    mut store: impl FnMut(&Receiver<Job>) -> Result<(), OperationError>,
) -> Result<Vec<IndexEntry>, OperationError> {
    let mut links = Vec::new();
    let mut waiting: BTreeMap<EntryPath, Vec<Item>> = BTreeMap::new();
    for item in std::mem::take(&mut planner.links) {
        match &item.kind {
            Kind::Hardlink { target } if planner.shared.has_failed(target) => waiting.entry(target.clone()).or_default().push(item),
            _ => links.push(item),
        }
    }
    while !waiting.is_empty() && !planner.shared.stop_wanted() {
        let (jobs, queue) = crossbeam_channel::unbounded();
        let mut tried = Vec::new();
        for (first, mut names) in std::mem::take(&mut waiting) {
            let readable = names.iter().position(|item| item.content.is_some());
            let Some(at) = readable else {
                // Nobody can read it: the names refer to what is kept of the first, if anything is.
                match planner.tree.get(&first) {
                    Some(_) => links.extend(names),
                    None => names.iter().for_each(|item| {
                        planner.shared.not_stored(&item.path, &format!("it is a further name of '{first}', which could not be stored"));
                    }),
                }
                continue;
            };
            let item = names.remove(at);
            let path = item.path.clone();
            planner.shared.found_length(0, item.size);
            // The queue lives as long as this round.
            let _ = jobs.send(planner.job(Item { kind: Kind::File, ..item }));
            tried.push((path, names));
        }
        drop(jobs);
        store(&queue)?;
        for (path, names) in tried {
            let renamed = names.into_iter().map(|item| Item { kind: Kind::Hardlink { target: path.clone() }, ..item });
            if planner.shared.has_failed(&path) {
                let names: Vec<Item> = renamed.collect();
                if !names.is_empty() {
                    waiting.insert(path, names);
                }
            } else {
                links.extend(renamed);
            }
        }
    }
    Ok(links.into_iter().map(|item| link(planner, item)).collect())
}

/// The entry of a further name; what stood there of another kind is to be removed.
fn link(planner: &Planner<'_>, item: Item) -> IndexEntry {
    let Item { path, kind, meta, stamp, .. } = item;
    if planner.tree.get(&path).is_some_and(|old| !matches!(old.kind, Kind::Hardlink { .. })) {
        planner.removals.push(path.clone());
    }
    IndexEntry { path, kind, meta, stamp, size: 0, sparse: false, content: None }
}

/// What is kept although it could not be read, and refers to a name that does not have its content any more: entries with the content
/// itself.
pub(super) fn detached(planner: &Planner<'_>, links: &[IndexEntry]) -> Vec<IndexEntry> {
    let (tree, shared) = (&planner.tree, planner.shared);
    let is_link: HashMap<&EntryPath, ()> = links.iter().map(|link| (&link.path, ())).collect();
    let is_new = |path: &EntryPath| is_link.contains_key(path) || planner.is_dispatched(path) && !shared.has_failed(path);
    let mut firsts: HashMap<EntryPath, EntryPath> = HashMap::new();
    let mut detached = Vec::new();
    for (_, path, entry) in tree.numbered().filter(|(number, path, _)| planner.met.has(*number) && !is_new(path)) {
        let Kind::Hardlink { target } = &entry.kind else { continue };
        let Some((number, file)) = tree.find(target) else { continue };
        if planner.met.has(number) && !is_new(target) {
            continue;
        }
        planner.removals.push(path.clone());
        match firsts.get(target) {
            Some(first) => {
                let link = tree.index_entries(&path, &entry).into_iter();
                detached.extend(link.map(|link| IndexEntry { kind: Kind::Hardlink { target: first.clone() }, ..link }));
            }
            None => {
                detached.extend(tree.index_entries(&path, &file));
                firsts.insert(target.clone(), path);
            }
        }
    }
    detached
}
