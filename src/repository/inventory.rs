//! What the snapshots of a repository name, and what its store has of it: where verifying, pruning, repairing and copying begin.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::format::names;
use super::format::snapshot::ArchiveRecord;
use super::format::sums::{self, SumsLine};
use super::snapshots::SnapshotRef;
use super::{Repository, RepositoryError};
use crate::crypt::digest::sha256;

/// What is wrong with an object that is not there.
pub const MISSING: &str = "it is missing";

/// An object that was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Looked<'a> {
    /// The object.
    pub object: &'a str,
    /// How many bytes of it were read.
    pub bytes: u64,
    /// What is wrong with it; `None` when it is sound.
    pub wrong: Option<&'a str>,
}

/// Takes each object that was looked at, as soon as it was.
pub type Each<'a> = &'a (dyn Fn(Looked<'_>) + Sync);

/// An object that is missing, or is not what a snapshot names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
}

/// What each list names, by the list's name.
pub type Lists = HashMap<String, Vec<SumsLine>>;

/// What snapshots name, and what the store has.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Every object that the snapshots need, through their lists too, by its name; where a record has replaced archives, those that stand for
    /// them.
    pub named: BTreeMap<String, SumsLine>,
    /// Every archive in the store, with its length in bytes.
    pub stored: HashMap<String, u64>,
    /// Lists of which neither copy can be read: which archives they name, nobody knows.
    pub unread: Vec<String>,
    /// What is missing, has another length, or, if it is a list or a snapshot, is not what was signed.
    pub broken: Vec<Broken>,
}

impl Inventory {
    /// Reads the lists and snapshot objects that `snapshots` name, both copies of each, and compares the archives that they name
    /// with those that the store lists. `each` takes lists and snapshot objects, and the archives that are broken.
    ///
    /// # Errors
    /// When the store fails. What is wrong with an object is in [`Inventory::broken`].
    pub async fn take(repository: &Repository, snapshots: &[SnapshotRef], each: Each<'_>) -> Result<Self, RepositoryError> {
        let mut this = Self::default();
        this.name_small_objects(snapshots);
        let lists = this.read_small_objects(repository, snapshots, each).await?;
        this.stored = repository.stored_archives().await?;
        this.name_archives(repository, snapshots, &lists).await?;
        this.compare(each);
        Ok(this)
    }

    /// Compares the archives that are named with those that are stored.
    pub(super) fn compare(&mut self, each: Each<'_>) {
        let this = self;
        for line in this.named.values().filter(|line| line.name.starts_with(names::ARCHIVES)) {
            let what = match this.stored.get(&line.name) {
                None => MISSING.to_owned(),
                Some(&length) if !line.fits(length) => format!("it has {length} bytes instead of {}", line.length.unwrap_or(0)),
                Some(_) => continue,
            };
            each(Looked { object: &line.name, bytes: 0, wrong: Some(&what) });
            this.broken.push(Broken { object: line.name.clone(), what });
        }
    }

    /// The archives that are named, and stored in the length that they should have, each with that length in bytes.
    pub fn whole(&self) -> impl Iterator<Item = (&SumsLine, u64)> {
        let archives = self.named.values().filter(|line| line.name.starts_with(names::ARCHIVES));
        archives.filter_map(|line| self.stored.get(&line.name).filter(|&&length| line.fits(length)).map(|&length| (line, length)))
    }

    /// Takes in the lists and snapshot objects that snapshots name.
    pub(super) fn name_small_objects(&mut self, snapshots: &[SnapshotRef]) {
        for line in snapshots.iter().flat_map(|found| &found.sums).filter(|line| !line.name.starts_with(names::ARCHIVES)) {
            self.named.entry(line.name.clone()).or_insert_with(|| line.clone());
        }
    }

    /// Takes in the archives that snapshots need, by the `lists` that could be read: where a record has replaced some, those that stand for
    /// them.
    pub(super) async fn name_archives(
        &mut self,
        repository: &Repository,
        snapshots: &[SnapshotRef],
        lists: &Lists,
    ) -> Result<(), RepositoryError> {
        let records = repository.records().await?;
        let standing = &records.standing;
        if standing.is_empty() {
            let own = snapshots.iter().flat_map(|found| &found.sums).filter(|line| line.name.starts_with(names::ARCHIVES));
            let listed = snapshots.iter().flat_map(|found| sums::lists(&found.sums)).filter_map(|(list, _)| lists.get(&list.name));
            for line in own.chain(listed.flatten()) {
                self.named.entry(line.name.clone()).or_insert_with(|| line.clone());
            }
            return Ok(());
        }
        let is_whole = |record: &ArchiveRecord| self.stored.get(&record.object) == Some(&record.length);
        let mut needed = Vec::new();
        for found in snapshots {
            needed.extend(standing.needed((found.signed.chain, found.signed.sequence), archives_of(found, lists), is_whole));
        }
        for line in needed {
            self.named.entry(line.name.clone()).or_insert(line);
        }
        Ok(())
    }

    /// The archives that are stored, and that none of the snapshots names.
    pub fn unnamed(&self) -> impl Iterator<Item = &str> {
        self.stored.keys().map(String::as_str).filter(|name| !self.named.contains_key(*name))
    }

    /// Checks the copies of lists and snapshot objects; gives what the lists name.
    async fn read_small_objects(
        &mut self,
        repository: &Repository,
        snapshots: &[SnapshotRef],
        each: Each<'_>,
    ) -> Result<Lists, RepositoryError> {
        let twice: Vec<SumsLine> = self.named.values().cloned().collect();
        let (mut lists, mut lengths) = (HashMap::new(), HashMap::new());
        for line in twice {
            for copy in [line.name.clone(), names::mirror(&line.name)] {
                let bytes = repository.storage.get(&copy, names::MAX_SNAPSHOT_BYTES).await?;
                let mut wrong = match &bytes {
                    None => Some(MISSING.to_owned()),
                    Some(bytes) => wrong_bytes(bytes, &line),
                };
                if let (None, Some(bytes), true) = (&wrong, &bytes, line.name.starts_with(names::LISTS)) {
                    let taken = text_of(bytes).and_then(|text| {
                        if line.name.ends_with(".lengths") {
                            let read = sums::read_lengths(text).map_err(|error| error.to_string())?;
                            lengths.insert(line.name.clone(), read);
                        } else {
                            let (read, _) = sums::read(text).map_err(|error| error.to_string())?;
                            lists.insert(line.name.clone(), read);
                        }
                        Ok(())
                    });
                    wrong = taken.err();
                }
                each(Looked { object: &copy, bytes: bytes.map_or(0, |bytes| bytes.len() as u64), wrong: wrong.as_deref() });
                self.broken.extend(wrong.map(|what| Broken { object: copy, what }));
            }
        }
        let mut met = HashSet::new();
        for (list, behind) in snapshots.iter().flat_map(|found| sums::lists(&found.sums)).filter(|(list, _)| met.insert(&list.name)) {
            let Some(listed) = lists.get_mut(&list.name) else {
                self.unread.push(list.name.clone());
                continue;
            };
            let known = behind.and_then(|behind| lengths.get(&behind.name)).map(Vec::as_slice).unwrap_or_default();
            listed.iter_mut().zip(known).for_each(|(line, &length)| line.length = Some(length));
        }
        Ok(lists)
    }
}

/// The archives that a snapshot names, by its lists and its own lines: those that its state is laid together from in their order, and those
/// that it borrows.
pub fn archives_of(found: &SnapshotRef, lists: &Lists) -> (Vec<SumsLine>, Vec<SumsLine>) {
    let is_archive = |line: &&SumsLine| line.name.starts_with(names::ARCHIVES);
    let own = names::snapshot(&found.stem);
    let at = found.sums.iter().position(|line| line.name == own).unwrap_or(found.sums.len());
    let (before, behind) = found.sums.split_at(at);
    let listed = sums::lists(&found.sums).filter_map(|(list, _)| lists.get(&list.name)).flatten();
    (listed.chain(before.iter().filter(is_archive)).cloned().collect(), behind.iter().filter(is_archive).cloned().collect())
}

fn text_of(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

fn wrong_bytes(bytes: &[u8], line: &SumsLine) -> Option<String> {
    if !line.fits(bytes.len() as u64) {
        Some(format!("it has {} bytes instead of {}", bytes.len(), line.length.unwrap_or(0)))
    } else if sha256(bytes) != line.sha256 {
        Some("its SHA-256 does not match".into())
    } else {
        None
    }
}
