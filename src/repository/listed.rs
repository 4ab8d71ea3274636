//! The quick check: existence and length, as one listing of everything shows them. Signatures come from what is at hand.

use std::collections::{BTreeMap, HashMap};

use futures::{FutureExt, StreamExt};

use super::format::names;
use super::format::sums::{self, SumsLine};
use super::inventory::{Broken, Each, Inventory, Looked};
use super::snapshots::SnapshotRef;
use super::{Repository, RepositoryError};

/// How many lists are asked for at a time.
const PARALLEL: usize = 32;

/// Every object there is, with its length in bytes.
#[derive(Debug, Default)]
pub struct Everything(HashMap<String, u64>);

impl FromIterator<(String, u64)> for Everything {
    fn from_iter<T: IntoIterator<Item = (String, u64)>>(objects: T) -> Self {
        Self(objects.into_iter().collect())
    }
}

impl Everything {
    /// Lists the store.
    ///
    /// # Errors
    /// When it fails.
    pub async fn list(repository: &Repository) -> Result<Self, RepositoryError> {
        let found = repository.storage.list("").await?;
        Ok(Self(found.into_iter().map(|object| (object.name, object.size_bytes)).collect()))
    }

    /// Whether both copies of an object are there, with the length that is expected, or at least of one length.
    fn check(&self, name: &str, expected: Option<u64>, each: Each<'_>) {
        let copies = [name.to_owned(), names::mirror(name)];
        let lengths = copies.each_ref().map(|copy| self.0.get(copy).copied());
        let expected = expected.or_else(|| lengths.into_iter().flatten().next());
        for (copy, length) in copies.iter().zip(lengths) {
            let wrong = match (length, expected) {
                (None, _) => Some("it is missing".to_owned()),
                (Some(length), Some(expected)) if length != expected => Some(format!("it has {length} bytes instead of {expected}")),
                _ => None,
            };
            each(Looked { object: copy, bytes: 0, wrong: wrong.as_deref() });
        }
    }

    /// As [`Repository::check_trust`], by existence and length.
    pub fn check_trust(&self, repository: &Repository, each: Each<'_>) {
        let statements = self.0.keys().map(|name| name.strip_prefix(names::MIRROR).unwrap_or(name));
        let mut named: Vec<String> = statements
            .filter(|name| [names::ROOT, names::RECORDS].iter().any(|folder| name.starts_with(folder)))
            .map(str::to_owned)
            .collect();
        named.push(names::DESCRIPTOR.to_owned());
        named.extend(repository.root.slots.iter().map(|slot| names::key_slot(slot.id)));
        // The signature of a record that was never written: whoever wrote it was cut short.
        let is_there = |name: &str| self.0.contains_key(name) || self.0.contains_key(&names::mirror(name));
        named.retain(|name| names::parse_record_signature(name).is_none_or(|stem| is_there(&names::record(stem))));
        named.sort_unstable();
        named.dedup();
        named.iter().for_each(|name| self.check(name, None, each));
    }

    /// As [`Repository::check_signed`], by existence and length.
    pub fn check_signed(&self, found: &SnapshotRef, each: Each<'_>) {
        let name = names::sums(&found.stem);
        self.check(&name, Some(sums::write(&found.sums, found.form).len() as u64), each);
        self.check(&names::signature(&name), None, each);
    }
}

impl Inventory {
    /// As [`Inventory::take`], by existence and length; only lists are read, and only those that are not at hand.
    ///
    /// # Errors
    /// As [`Inventory::take`].
    pub async fn listed(
        repository: &Repository,
        snapshots: &[SnapshotRef],
        everything: &Everything,
        each: Each<'_>,
    ) -> Result<Self, RepositoryError> {
        let mut this = Self::default();
        this.name_small_objects(snapshots);
        this.named.values().for_each(|line| everything.check(&line.name, line.length, each));
        // Each once, however many snapshots share it.
        let mut wanted: BTreeMap<String, (SumsLine, Option<SumsLine>)> = BTreeMap::new();
        for (list, lengths) in snapshots.iter().flat_map(|found| sums::lists(&found.sums)) {
            wanted.entry(list.name.clone()).or_insert_with(|| (list.clone(), lengths.cloned()));
        }
        let read = futures::stream::iter(wanted.into_values()).map(|(line, lengths)| {
            async move {
                let listed = repository.list(&line, lengths.as_ref()).await;
                (line, listed)
            }
            .boxed()
        });
        let (mut read, mut lists) = (read.buffered(PARALLEL), HashMap::new());
        while let Some((line, listed)) = read.next().await {
            match listed {
                Ok(listed) => drop(lists.insert(line.name, listed)),
                // That it is missing has been said.
                Err(RepositoryError::Missing { .. }) => this.unread.push(line.name),
                Err(error) if error.is_integrity() => {
                    let what = error.to_string();
                    each(Looked { object: &line.name, bytes: 0, wrong: Some(&what) });
                    this.unread.push(line.name.clone());
                    this.broken.push(Broken { object: line.name, what });
                }
                Err(error) => return Err(error),
            }
        }
        let archives = everything.0.iter().filter(|(name, _)| name.starts_with(names::ARCHIVES));
        this.stored = archives.map(|(name, &length)| (name.clone(), length)).collect();
        // Of an archive that was healed, the second copy is the one that counts.
        let healed = everything.0.iter().filter_map(|(name, &length)| Some((name.strip_prefix(names::MIRROR)?, length)));
        this.stored.extend(healed.filter(|(name, _)| name.starts_with(names::ARCHIVES)).map(|(name, length)| (name.to_owned(), length)));
        this.name_archives(repository, snapshots, &lists).await?;
        this.compare(each);
        Ok(this)
    }
}
