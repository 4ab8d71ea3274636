//! Paths as people name them, and the paths of a snapshot that they mean.

use unicode_normalization::UnicodeNormalization;

use crate::model::entry::EntryPath;
use crate::repository::format::snapshot::Snapshot;
use crate::repository::tree::Tree;

/// The kind of a source whose name is the absolute path of a folder.
const FOLDER: &str = "folder";

/// What some paths mean in a snapshot; nothing, which means all of it, where one of them is the folder that was backed up.
///
/// A path that the snapshot has is that path. Otherwise it may lead there from the top of the file system, through the folder that was
/// backed up, and its accents may be composed (NFC) or not. What means nothing stays as it is, for whoever says so.
pub fn meant(snapshot: &Snapshot, tree: &Tree, paths: &[EntryPath]) -> Vec<EntryPath> {
    let top = (snapshot.source.kind == FOLDER).then(|| snapshot.source.name.trim_matches('/').as_bytes());
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        if has(tree, path) {
            found.push(path.clone());
            continue;
        }
        if Some(path.as_bytes()) == top {
            return Vec::new();
        }
        let inside = top.and_then(|top| path.as_bytes().strip_prefix(top)?.strip_prefix(b"/")).and_then(|rest| EntryPath::new(rest).ok());
        let inside_is_there = inside.as_ref().is_some_and(|inside| has(tree, inside));
        let same = || std::iter::once(path).chain(&inside).find_map(|path| alike(tree, path));
        found.push(inside.clone().filter(|_| inside_is_there).or_else(same).unwrap_or_else(|| path.clone()));
    }
    found
}

/// Whether there is something at or below a path: the folders of an account are no entries of their own.
fn has(tree: &Tree, path: &EntryPath) -> bool {
    tree.get(path).is_some() || tree.has_below(path)
}

/// The path in the tree that differs from this one in how its accents are stored, and in nothing else.
fn alike(tree: &Tree, wanted: &EntryPath) -> Option<EntryPath> {
    let composed = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(|text| text.nfc().collect::<String>());
    let text = composed(wanted.as_bytes()).filter(|text| !text.is_ascii())?;
    let length = wanted.components().count();
    tree.iter().find_map(|(path, _)| {
        let top = path.components().take(length).collect::<Vec<_>>().join(&b'/');
        (composed(&top)? == text).then(|| EntryPath::new(top).ok())?
    })
}
