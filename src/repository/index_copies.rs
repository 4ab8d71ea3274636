//! Second copies of the archives' indexes: a snapshot's object has, beside what it says, the indexes of the archives that it is the
//! first to name. An archive that is damaged then costs its content only.
//!
//! ```text
//! {"archive":"0123…"}          which archive
//! "gone.txt"                   what it removes, a line each
//!                              an empty line
//! {"path":"a.txt",…}           the lines of its index
//!                              an empty line
//! ```
//! A merged index that says nothing but what the archives before it make has `"derived": true` and no lines.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::sync::Arc;

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::format::names;
use super::format::snapshot::Snapshot;
use super::snapshots::SnapshotRef;
use super::{Repository, RepositoryError};
use crate::archive::frame::{Gathering, beside, decompressing};
use crate::archive::index::IndexEntry;
use crate::archive::{ArchiveError, MAX_INDEX_LINE_BYTES, damaged};
use crate::crypt::blob;
use crate::crypt::keys::Identities;
use crate::model::digest::Id;
use crate::model::entry::EntryPath;

/// The most that the copies of one snapshot take, compressed; an archive for which there is no room has none.
const MAX_BYTES: usize = 24 * 1024 * 1024;

/// How many snapshots are looked through at a time.
const PARALLEL: usize = 8;

/// Which archive the lines after this are about.
#[derive(Serialize, Deserialize)]
struct Heading {
    archive: Id,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    derived: bool,
}

/// The indexes of archives on their way into a snapshot's object.
pub struct IndexCopies(Gathering);

impl IndexCopies {
    /// None so far.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn new() -> Result<Self, RepositoryError> {
        Gathering::new(MAX_BYTES).map(Self).map_err(wrong)
    }

    /// Whether there is room for another archive.
    pub fn has_room(&self) -> bool {
        self.0.has_room()
    }

    /// Begins the copy of an archive's index; `derived` says that it is a merged one that the archives before it make up for.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn begin(&mut self, archive: Id, derived: bool) -> Result<(), RepositoryError> {
        self.json(&Heading { archive, derived })
    }

    /// A path that the archive removes; all of them come before [`Self::entries`].
    ///
    /// # Errors
    /// When zstd fails.
    pub fn removal(&mut self, path: &EntryPath) -> Result<(), RepositoryError> {
        self.json(path)
    }

    /// Ends the removals.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn entries(&mut self) -> Result<(), RepositoryError> {
        self.0.add(b"\n").map_err(wrong)
    }

    /// One line of the index, as it stands there.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn line(&mut self, line: &[u8]) -> Result<(), RepositoryError> {
        self.0.add(line).map_err(wrong)
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn end(&mut self) -> Result<(), RepositoryError> {
        self.0.add(b"\n").map_err(wrong)
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), RepositoryError> {
        let mut line = serde_json::to_vec(value).map_err(|error| wrong(damaged(error.to_string())))?;
        line.push(b'\n');
        self.0.add(&line).map_err(wrong)
    }

    /// What goes beside the snapshot.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn finish(self) -> Result<Vec<u8>, RepositoryError> {
        self.0.finish().map_err(wrong)
    }
}

fn wrong(error: ArchiveError) -> RepositoryError {
    RepositoryError::damaged("the copies of indexes", error)
}

/// The index of an archive, from its copy.
#[derive(Clone, Debug, Default)]
pub struct IndexCopy {
    /// It says what the archives before it make.
    pub derived: bool,
    /// What it removes.
    pub remove: Vec<EntryPath>,
    /// What it holds.
    pub entries: Vec<IndexEntry>,
}

/// Reads those of the wanted archives out of what stands beside a snapshot.
fn read(compressed: &[u8], wanted: &HashSet<Id>) -> Result<HashMap<Id, IndexCopy>, ArchiveError> {
    let mut input = decompressing(compressed)?;
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>| -> Result<bool, ArchiveError> {
        line.clear();
        let limit = MAX_INDEX_LINE_BYTES as u64 + 1;
        let got = std::io::Read::take(&mut input, limit).read_until(b'\n', line)?;
        if got > 0 && line.pop() != Some(b'\n') { Err(damaged("a copy of an index is cut")) } else { Ok(got > 0) }
    };
    let json = |error: serde_json::Error| damaged(format!("a copy of an index: {}", crate::model::json::place(&error)));
    let mut found = HashMap::new();
    while next(&mut line)? {
        let heading: Heading = serde_json::from_slice(&line).map_err(json)?;
        let is_wanted = wanted.contains(&heading.archive);
        let mut copy = IndexCopy { derived: heading.derived, ..IndexCopy::default() };
        while next(&mut line)? && !line.is_empty() {
            if is_wanted {
                copy.remove.push(serde_json::from_slice(&line).map_err(json)?);
            }
        }
        while next(&mut line)? && !line.is_empty() {
            if is_wanted {
                copy.entries.push(IndexEntry::parse_line(&line)?);
            }
        }
        if is_wanted {
            found.insert(heading.archive, copy);
        }
    }
    Ok(found)
}

impl Repository {
    /// Looks for second copies of archives' indexes in all snapshots, those of the given one's time first; what is found was signed
    /// by the writer of the snapshot that it stands in.
    pub async fn index_copies(&self, snapshot: &Snapshot, wanted: &HashSet<Id>, identities: &Arc<Identities>) -> HashMap<Id, IndexCopy> {
        let own = names::snapshot_stem(snapshot.time, snapshot.id);
        // What was forgotten and is still stored has copies too.
        let stems: Vec<String> = self.stored_stems().await.unwrap_or_default().into_keys().collect();
        // Archives are named first by the snapshot itself or one before it; after it come those of other chains.
        let (before, after): (Vec<String>, Vec<String>) = stems.into_iter().partition(|stem| *stem <= own);
        let stems = before.into_iter().rev().chain(after);
        let mut read = futures::stream::iter(stems).map(|stem| self.copies_beside(stem, wanted, identities)).buffered(PARALLEL);
        let mut found: HashMap<Id, IndexCopy> = HashMap::new();
        while found.len() < wanted.len()
            && let Some(copies) = read.next().await
        {
            for (id, copy) in copies {
                found.entry(id).or_insert(copy);
            }
        }
        found
    }

    /// The copies of indexes that stand beside a snapshot, as they are stored there; empty where it has none.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub async fn index_copies_beside(&self, found: &SnapshotRef, identities: &Identities) -> Result<Vec<u8>, RepositoryError> {
        let bytes = self.snapshot_bytes(found).await?;
        let frames = blob::open(&bytes, identities, names::MAX_SNAPSHOT_BYTES)?;
        Ok(beside(&frames).unwrap_or_default().to_vec())
    }

    /// The wanted copies beside one snapshot; none where it cannot be read, which others report.
    async fn copies_beside(&self, stem: String, wanted: &HashSet<Id>, identities: &Arc<Identities>) -> HashMap<Id, IndexCopy> {
        let found = async {
            let found = self.snapshot_ref(&stem).await.ok()?;
            let bytes = self.snapshot_bytes(&found).await.ok()?;
            let frames = blob::open(&bytes, identities, names::MAX_SNAPSHOT_BYTES).ok()?;
            read(beside(&frames)?, wanted).ok()
        };
        found.await.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::frame::{compress_small, decompress_small, put_beside};
    use crate::model::entry::{Kind, Metadata};

    #[test]
    fn copies_stand_beside_a_snapshot_and_older_readers_pass_over_them() {
        let path = |text: &str| EntryPath::new(text).unwrap();
        let entry = IndexEntry {
            path: path("a\nb"),
            kind: Kind::Dir,
            meta: Metadata::default(),
            stamp: None,
            size: 0,
            sparse: false,
            content: None,
        };
        let mut line = Vec::new();
        entry.write_line(&mut line).unwrap();
        let mut copies = IndexCopies::new().unwrap();
        for number in 1..=3 {
            copies.begin(Id([number; 16]), number == 3).unwrap();
            (1..number).for_each(|_| copies.removal(&path("gone")).unwrap());
            copies.entries().unwrap();
            copies.line(&line).unwrap();
            copies.end().unwrap();
        }
        let mut frames = compress_small(b"{}").unwrap();
        let alone = frames.clone();
        put_beside(&mut frames, &copies.finish().unwrap());
        assert_eq!(decompress_small(&frames, 2).unwrap(), b"{}");
        assert!(beside(&alone).is_none());
        let wanted = HashSet::from([Id([2; 16]), Id([3; 16]), Id([4; 16])]);
        let found = read(beside(&frames).unwrap(), &wanted).unwrap();
        assert_eq!(found.len(), 2);
        let second = &found[&Id([2; 16])];
        assert_eq!((second.derived, second.remove.len(), second.entries.as_slice()), (false, 1, &[entry][..]));
        assert!(found[&Id([3; 16])].derived);
        for end in 0..frames.len() {
            if let Some(cut) = beside(&frames[..end]) {
                let _ = read(cut, &wanted);
            }
        }
    }
}
