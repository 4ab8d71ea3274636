//! Names that a target takes for the same: file systems that fold upper and lower case, or forms of Unicode, hold one file where the
//! snapshot has two.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use unicode_normalization::UnicodeNormalization;

use crate::model::entry::EntryPath;
use crate::target::TargetFolder;

/// Notices names that fall together.
pub(super) struct Folding {
    /// By the hash of what they become; `None` where the target folds nothing.
    known: Option<HashMap<u64, EntryPath>>,
    hasher: RandomState,
    /// Folders that fell on another.
    merged: HashSet<EntryPath>,
}

impl Folding {
    /// For a target, which is tried out.
    pub fn of(target: &TargetFolder) -> Self {
        let folds = [(&b"a"[..], &b"A"[..]), ("\u{e9}".as_bytes(), "e\u{301}".as_bytes()), ("\u{e9}".as_bytes(), "\u{c9}".as_bytes())];
        let folds = folds.into_iter().any(|(one, other)| target.falls_together(one, other));
        Self { known: folds.then(HashMap::new), hasher: RandomState::new(), merged: HashSet::new() }
    }

    /// The path before this one that the target takes it for.
    pub fn falls_on(&mut self, target: &TargetFolder, path: &EntryPath, is_folder: bool) -> Option<EntryPath> {
        let known = self.known.as_mut()?;
        let folded: String = String::from_utf8_lossy(path.as_bytes()).nfc().flat_map(char::to_lowercase).nfc().collect();
        let other = known.entry(self.hasher.hash_one(&folded)).or_insert_with(|| path.clone());
        if other == path {
            return None;
        }
        let together = match other.file_name() == path.file_name() {
            // They lie in folders that fell together.
            true => path.parent().is_some_and(|parent| self.merged.contains(&parent)),
            false => target.falls_together(other.file_name(), path.file_name()),
        };
        if together && is_folder {
            self.merged.insert(path.clone());
        }
        together.then(|| other.clone())
    }
}
