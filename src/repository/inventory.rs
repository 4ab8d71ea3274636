//! What the snapshots of a repository name, and what its store has of it: where verifying, pruning, repairing and copying begin.

use std::collections::{BTreeMap, HashMap};

use super::format::names;
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

/// What snapshots name, and what the store has.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Every object that the snapshots name, through their lists too, by its name.
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
        for line in snapshots.iter().flat_map(|found| &found.sums) {
            this.named.entry(line.name.clone()).or_insert_with(|| line.clone());
        }
        this.read_small_objects(repository, snapshots, each).await?;
        this.stored = repository.stored_archives().await?;
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

    /// Takes in what lists name, each list with its lengths.
    pub(super) fn take_listed(&mut self, listed: impl IntoIterator<Item = SumsLine>) {
        for line in listed {
            self.named.entry(line.name.clone()).or_insert(line);
        }
    }

    /// The archives that are stored, and that none of the snapshots names.
    pub fn unnamed(&self) -> impl Iterator<Item = &str> {
        self.stored.keys().map(String::as_str).filter(|name| !self.named.contains_key(*name))
    }

    /// Checks the copies of lists and snapshot objects, and takes in what the lists name.
    async fn read_small_objects(
        &mut self,
        repository: &Repository,
        snapshots: &[SnapshotRef],
        each: Each<'_>,
    ) -> Result<(), RepositoryError> {
        let twice: Vec<SumsLine> = self.named.values().filter(|line| !line.name.starts_with(names::ARCHIVES)).cloned().collect();
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
        for (list, behind) in snapshots.iter().flat_map(|found| sums::lists(&found.sums)) {
            let Some(mut listed) = lists.get(&list.name).cloned() else {
                self.unread.push(list.name.clone());
                continue;
            };
            let known = behind.and_then(|behind| lengths.get(&behind.name)).map(Vec::as_slice).unwrap_or_default();
            listed.iter_mut().zip(known).for_each(|(line, &length)| line.length = Some(length));
            self.take_listed(listed);
        }
        Ok(())
    }
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
