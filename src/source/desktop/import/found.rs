//! The files of an export, and where those that messages name go in the backup.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;

use crate::crypt::digest::HashReader;
use crate::model::digest::Digest;
use crate::model::entry::{EntryPath, Kind, PathError};
use crate::model::media::{MediaKind, media_path};
use crate::source::desktop::convert::Files;
use crate::source::{Item, Problem};

/// The export's files by path, and the media among them that messages have named.
#[derive(Default)]
pub(super) struct Found<'a> {
    items: &'a [Item],
    by_path: HashMap<&'a [u8], usize>,
    /// Where contents go that were named.
    stored: HashMap<usize, (EntryPath, Digest)>,
    /// Media to be listed before the record that names them.
    pub(super) fresh: Vec<usize>,
    pub(super) listed: HashSet<EntryPath>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Found<'a> {
    pub(super) fn new(items: &'a [Item]) -> Self {
        let files = items.iter().enumerate().filter(|(_, item)| item.kind == Kind::File);
        let mut by_path: HashMap<&[u8], usize> = files.map(|(index, item)| (item.path.as_bytes(), index)).collect();
        for item in items {
            // A further name of a file names the same content.
            if let Kind::Hardlink { target } = &item.kind
                && let Some(&index) = by_path.get(target.as_bytes())
            {
                by_path.insert(item.path.as_bytes(), index);
            }
        }
        Self { items, by_path, ..Self::default() }
    }

    /// The entry that has the content of the file with this index, if a message named it; and its digest.
    pub(super) fn stored(&self, index: usize) -> Option<&(EntryPath, Digest)> {
        self.stored.get(&index)
    }
}

/// The same, for a reader that borrows it while the import receives.
pub(super) struct SharedFiles<'a, 'b>(pub(super) &'b RefCell<Found<'a>>);

impl Files for SharedFiles<'_, '_> {
    fn find(&mut self, path: &str) -> Option<(EntryPath, u64)> {
        let mut found = self.0.borrow_mut();
        let index = *found.by_path.get(path.as_bytes())?;
        let item = found.items.get(index)?;
        if let Some((stored, _)) = found.stored.get(&index) {
            return Some((stored.clone(), item.size));
        }
        let content = item.content.as_ref()?;
        let hashed = content.open(0).and_then(|body| {
            let mut reader = HashReader::new(body);
            io::copy(&mut reader, &mut io::sink())?;
            Ok(reader.finish())
        });
        match hashed {
            Ok((digest, size)) => {
                let stored = media_entry(path, &digest).ok()?;
                found.stored.insert(index, (stored.clone(), digest));
                found.fresh.push(index);
                Some((stored, size))
            }
            Err(error) => {
                let problem = Problem { path: item.path.clone(), what: format!("cannot be read: {error}") };
                found.problems.push(problem);
                None
            }
        }
    }
}

fn media_entry(path: &str, digest: &Digest) -> Result<EntryPath, PathError> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let kind = match folders.rsplit('/').next().unwrap_or_default() {
        "photos" | "profile_pictures" => MediaKind::Photo,
        "contacts" => MediaKind::Inline,
        _ => MediaKind::Document,
    };
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let extension = if extension.len() <= 10 { extension } else { "" };
    media_path(kind, &format!("sha256-{digest}"), "full", extension)
}
