//! Files with several names: one thing, that is right under all of them or under none.

use std::collections::BTreeMap;

use crate::model::entry::{EntryPath, Kind};
use crate::repository::tree::Tree;

/// A file with several names.
pub(super) struct Group {
    /// The name that has the content.
    pub first: EntryPath,
    /// All names in the snapshot, the first one first.
    pub names: Vec<EntryPath>,
    /// Those that are to be restored.
    pub wanted: Vec<EntryPath>,
}

/// All files of a snapshot with several names.
pub(super) struct Names(BTreeMap<EntryPath, Group>);

impl Names {
    /// Those of a state.
    pub fn of(tree: &Tree) -> Self {
        let mut groups: BTreeMap<EntryPath, Group> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            if let Kind::Hardlink { target } = entry.kind {
                let new = || Group { first: target.clone(), names: vec![target.clone()], wanted: Vec::new() };
                groups.entry(target.clone()).or_insert_with(new).names.push(path);
            }
        }
        Self(groups)
    }

    /// Takes a path that is to be restored; `false` for what has one name only.
    pub fn take(&mut self, path: &EntryPath, kind: &Kind) -> bool {
        let first = match kind {
            Kind::Hardlink { target } => target,
            Kind::File => path,
            _ => return false,
        };
        self.0.get_mut(first).is_some_and(|group| {
            group.wanted.push(path.clone());
            true
        })
    }

    /// Those of which any name is to be restored, in the order of their first names.
    pub fn groups(self) -> impl Iterator<Item = Group> {
        self.0.into_values().filter(|group| !group.wanted.is_empty())
    }
}
