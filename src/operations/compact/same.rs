//! Whether two states are the same.

use super::Excluded;
use crate::model::entry::EntryPath;
use crate::repository::tree::{Tree, TreeEntry};

/// Whether two entries are the same but for the place of their content.
pub(super) fn is_alike(a: &TreeEntry, b: &TreeEntry) -> bool {
    let contents = |entry: &TreeEntry| entry.all_places().map(|place| (place.sha256, place.length)).collect::<Vec<_>>();
    let parts = |entry: &TreeEntry| {
        entry.stored_parts().map(|(file, parts)| (file, entry.part_count(), parts.keys().copied().collect::<Vec<u32>>()))
    };
    (&a.kind, a.size, a.sparse, a.short, a.stamp()) == (&b.kind, b.size, b.sparse, b.short, b.stamp())
        && a.has_meta(&b.meta())
        && contents(a) == contents(b)
        && parts(a) == parts(b)
}

/// Whether two entries of two states are the same, their content's place included.
pub(super) fn is_same((a_tree, a): (&Tree, &TreeEntry), (b_tree, b): (&Tree, &TreeEntry)) -> bool {
    fn places<'a>(tree: &'a Tree, entry: &'a TreeEntry) -> impl Iterator<Item = (Option<crate::model::digest::Id>, u64)> + 'a {
        entry.all_places().map(|place| (tree.archives.get(place.archive as usize).map(|record| record.id), place.offset))
    }
    is_alike(a, b) && places(a_tree, a).eq(places(b_tree, b))
}

/// The first path at which a state is not what another was, without what is taken out; `None` where they are the same.
pub(super) fn difference(was: &Tree, is: &Tree, exclude: Option<&Excluded>) -> Option<EntryPath> {
    let stays = |path: &EntryPath| exclude.is_none_or(|exclude| !exclude(path));
    let mut is = is.iter().filter(|(path, _)| stays(path));
    for (path, entry) in was.iter().filter(|(path, _)| stays(path)) {
        match is.next() {
            Some((same, other)) if same == path && is_alike(&entry, &other) => {}
            _ => return Some(path),
        }
    }
    is.next().map(|(path, _)| path)
}
