//! Files with several names: one thing, that is right under all of them or under none.

use std::collections::BTreeMap;

use crate::model::entry::{EntryPath, Kind};
use crate::repository::tree::Tree;

/// A file with several names.
pub(super) struct Group<'a> {
    /// The name that has the content.
    pub first: &'a EntryPath,
    /// All names in the snapshot, the first one first.
    pub names: Vec<&'a EntryPath>,
    /// Those that are to be restored.
    pub wanted: Vec<&'a EntryPath>,
}

/// All files of a snapshot with several names.
pub(super) struct Names<'a>(BTreeMap<&'a EntryPath, Group<'a>>);

impl<'a> Names<'a> {
    /// Those of a state.
    pub fn of(tree: &'a Tree) -> Self {
        let mut groups: BTreeMap<&EntryPath, Group<'a>> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            if let Kind::Hardlink { target } = &entry.kind {
                let new = || Group { first: target, names: vec![target], wanted: Vec::new() };
                groups.entry(target).or_insert_with(new).names.push(path);
            }
        }
        Self(groups)
    }

    /// Takes a path that is to be restored; `false` for what has one name only.
    pub fn take(&mut self, path: &'a EntryPath, kind: &'a Kind) -> bool {
        let first = match kind {
            Kind::Hardlink { target } => target,
            Kind::File => path,
            _ => return false,
        };
        self.0.get_mut(first).is_some_and(|group| {
            group.wanted.push(path);
            true
        })
    }

    /// Those of which any name is to be restored, in the order of their first names.
    pub fn groups(self) -> impl Iterator<Item = Group<'a>> {
        self.0.into_values().filter(|group| !group.wanted.is_empty())
    }
}
