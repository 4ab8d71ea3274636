//! What was forgotten or replaced, as somebody with the root key signed it.
//!
//! A listing of second copies, which every reader has anyway, shows which records there are; each is read once and then kept by this
//! machine. A record that somebody hides brings back an alarm, never a loss: what was forgotten looks deleted, what was replaced missing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};

use super::format::names;
use super::format::record::{Forgotten, Known, Reason, Record, Replaced, Saying};
use super::standing::Standing;
use super::{Repository, RepositoryError, mirrored};
use crate::crypt::signature::SigningKey;
use crate::model::digest::Id;

/// How many records are read at a time.
const PARALLEL: usize = 32;

/// From so many records on, the next one repeats what they say.
const MANY: usize = 16;

/// What the records of a repository say together.
#[derive(Debug, Default)]
pub struct Records {
    /// The sound ones, by their stems, oldest first.
    found: BTreeMap<String, Record>,
    /// The numbers that were forgotten, of each chain.
    numbers: BTreeMap<Id, BTreeSet<u64>>,
    /// Chain and number of each snapshot that was forgotten, by its stem.
    forgotten: HashMap<String, (Id, u64)>,
    /// Which archives stand for others.
    pub standing: Standing,
    /// Those that are missing, damaged or signed by nobody who may.
    pub broken: Vec<RepositoryError>,
}

impl Records {
    fn take(&mut self, stem: String, record: Record) {
        for said in record.says.iter().filter_map(forgotten_in) {
            let numbers = self.numbers.entry(said.chain).or_default();
            for (stem, sequence) in &said.snapshots {
                numbers.insert(*sequence);
                self.forgotten.insert(stem.clone(), (said.chain, *sequence));
            }
        }
        self.found.insert(stem, record);
    }

    /// Whether a snapshot was forgotten.
    pub fn is_forgotten(&self, stem: &str) -> bool {
        self.forgotten.contains_key(stem)
    }

    /// Whether a number of a chain was forgotten.
    pub fn has_number(&self, chain: Id, sequence: u64) -> bool {
        self.numbers.get(&chain).is_some_and(|numbers| numbers.contains(&sequence))
    }

    /// How many numbers up to `last` of a chain were forgotten.
    pub fn forgotten_up_to(&self, chain: Id, last: u64) -> u64 {
        self.numbers.get(&chain).map_or(0, |numbers| numbers.range(..=last).count() as u64)
    }

    /// The highest number of a chain that was forgotten.
    pub fn last_forgotten(&self, chain: Id) -> Option<u64> {
        self.numbers.get(&chain)?.last().copied()
    }

    /// Every snapshot that was forgotten: its stem, its chain and its number.
    pub fn forgotten(&self) -> impl Iterator<Item = (&str, Id, u64)> {
        self.forgotten.iter().map(|(stem, (chain, sequence))| (stem.as_str(), *chain, *sequence))
    }

    /// What was replaced, oldest first; what replaced something may have been replaced itself later.
    pub fn replaced(&self) -> impl Iterator<Item = &Replaced> {
        let live = self.found.iter().filter(|(stem, _)| !self.is_superseded(stem));
        live.flat_map(|(_, record)| &record.says).filter_map(|said| match said {
            Saying::Known(Known::Replaced(said)) => Some(said),
            Saying::Known(Known::Forgotten(_)) | Saying::Other(_) => None,
        })
    }

    /// The stems of the records by which something was taken out of the vault.
    fn rewriting(&self) -> impl Iterator<Item = &String> {
        let says = |said: &Saying| matches!(said, Saying::Known(Known::Replaced(said)) if said.reason == Reason::Rewritten);
        self.found.iter().filter(move |(_, record)| record.says.iter().any(says)).map(|(stem, _)| stem)
    }

    /// The stems of the sound records, oldest first.
    pub fn stems(&self) -> impl Iterator<Item = &str> {
        self.found.keys().map(String::as_str)
    }

    /// Whether a sound record repeats this one.
    pub fn is_superseded(&self, stem: &str) -> bool {
        self.found.iter().any(|(other, record)| other != stem && record.supersedes.iter().any(|said| said == stem))
    }

    /// What the next record repeats, so that they do not become ever more: nothing as long as there are few.
    fn repeated(&self) -> (Vec<String>, Vec<Saying>) {
        let live: Vec<(&String, &Record)> = self.found.iter().filter(|(stem, _)| !self.is_superseded(stem)).collect();
        if live.len() < MANY {
            return (Vec::new(), Vec::new());
        }
        let mut chains: BTreeMap<Id, Vec<(String, u64)>> = BTreeMap::new();
        let mut others = Vec::new();
        for said in live.iter().flat_map(|(_, record)| &record.says) {
            match forgotten_in(said) {
                Some(said) => chains.entry(said.chain).or_default().extend(said.snapshots.iter().cloned()),
                None => others.push(said.clone()),
            }
        }
        let forgotten = chains.into_iter().map(|(chain, mut snapshots)| {
            snapshots.sort_unstable();
            snapshots.dedup();
            Saying::Known(Known::Forgotten(Forgotten { chain, snapshots }))
        });
        // Also those that had been repeated before and are there still.
        let supersedes = self.found.keys().cloned().collect();
        (supersedes, forgotten.chain(others).collect())
    }
}

fn forgotten_in(said: &Saying) -> Option<&Forgotten> {
    match said {
        Saying::Known(Known::Forgotten(said)) => Some(said),
        Saying::Known(Known::Replaced(_)) | Saying::Other(_) => None,
    }
}

impl Repository {
    /// What the records say. They are read once for each opened repository; those of other machines since then are not in it.
    ///
    /// # Errors
    /// When the store fails. What is wrong with a record is in [`Records::broken`].
    pub async fn records(&self) -> Result<Arc<Records>, RepositoryError> {
        let records = self.records.get_or_try_init(|| async { self.read_records().await.map(Arc::new) });
        Ok(Arc::clone(records.await?))
    }

    /// The same repository, which reads its records again when they are asked for.
    pub fn with_fresh_records(self) -> Self {
        Self { records: Arc::default(), ..self }
    }

    /// The same repository, which lists archives again too when they are asked for.
    pub fn afresh(self) -> Self {
        Self { records: Arc::default(), listed: Arc::default(), healed: Arc::default(), ..self }
    }

    /// The stems of the records that the store shows.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_stems(&self) -> Result<Vec<String>, RepositoryError> {
        let storage = &self.storage;
        let second = names::mirror(names::RECORDS);
        // Second copies are written first, and every reader has listed them: where that is so, it asks no more.
        let found = match (storage.listed(&second), storage.listed(names::RECORDS)) {
            (Some(second), first) => [second, first.unwrap_or_default()],
            (None, _) => futures::try_join!(storage.list(&second), storage.list(names::RECORDS))?.into(),
        };
        let names = found.iter().flatten().map(|object| object.name.strip_prefix(names::MIRROR).unwrap_or(&object.name));
        let mut stems: Vec<String> = names.filter_map(names::parse_record).map(str::to_owned).collect();
        stems.sort_unstable();
        stems.dedup();
        Ok(stems)
    }

    /// Reads all records. Where one says for the first time that something was taken out of the vault, this machine forgets what it keeps
    /// of it: that may be a copy.
    async fn read_records(&self) -> Result<Records, RepositoryError> {
        let stems = self.record_stems().await?;
        let known: HashSet<&String> = stems.iter().filter(|stem| self.pieces.has(&names::record(stem))).collect();
        let records = self.read_these_records(stems.clone()).await?;
        if !self.pieces.are_kept() || records.rewriting().all(|stem| known.contains(stem)) {
            return Ok(records);
        }
        self.pieces.clear();
        self.read_these_records(stems).await
    }

    async fn read_these_records(&self, stems: Vec<String>) -> Result<Records, RepositoryError> {
        let read = futures::stream::iter(stems).map(|stem| {
            async move {
                let record = self.record(&stem).await;
                (stem, record)
            }
            .boxed()
        });
        let mut read = read.buffered(PARALLEL);
        let mut records = Records::default();
        while let Some((stem, record)) = read.next().await {
            match record {
                Ok(record) => records.take(stem, record),
                Err(error) if error.is_integrity() => {
                    tracing::warn!(stem, %error, "a record is passed over");
                    records.broken.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        records.standing = Standing::of(records.replaced().cloned().collect());
        Ok(records)
    }

    /// Reads one record.
    ///
    /// # Errors
    /// When it is missing, damaged, or not signed by the root key.
    pub async fn record(&self, stem: &str) -> Result<Record, RepositoryError> {
        let name = names::record(stem);
        let check = |bytes: &Bytes, signature: &str| {
            let said = self.root.root_key.verify(bytes, signature).ok();
            if said.is_none_or(|said| said != self.record_comment(stem)) {
                return Err(RepositoryError::damaged(&name, "the root key has not signed it"));
            }
            let record: Record = serde_json::from_slice(bytes).map_err(|error| RepositoryError::damaged(&name, error))?;
            if record.repository == self.id { Ok(record) } else { Err(RepositoryError::damaged(&name, "it is about another vault")) }
        };
        mirrored::get_signed_with(&self.storage, &self.pieces, &name, check).await
    }

    /// The trusted comment of a record's signature.
    pub(super) fn record_comment(&self, stem: &str) -> String {
        format!("tgvault repository={} record={stem}", self.id)
    }

    /// Records what was done, signed with the root key; gives the record's stem. Where there are many records, it repeats what they say.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_record(&mut self, key: &SigningKey, says: Vec<Known>) -> Result<String, RepositoryError> {
        // The last one may have only one copy, if its writer died; then it would be the last no longer, and would look damaged.
        self.complete_records().await?;
        let known = self.read_records().await?;
        let (supersedes, mut all) = known.repeated();
        all.extend(says.into_iter().map(Saying::Known));
        let time = self.machine.now();
        let record = Record { format: self.root.format, repository: self.id, time, supersedes, says: all };
        let stem = names::snapshot_stem(time, self.machine.id()?);
        let name = names::record(&stem);
        let text = serde_json::to_string_pretty(&record).map_err(|error| RepositoryError::damaged(&name, error))?;
        let signature = key.sign(text.as_bytes(), &self.record_comment(&stem))?;
        mirrored::put(&self.storage, &names::signature(&name), Bytes::from(signature)).await?;
        mirrored::put(&self.storage, &name, Bytes::from(text)).await?;
        self.records = Arc::default();
        Ok(stem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::format::version::CURRENT;

    fn record(supersedes: &[&str], chain: u8, numbers: &[u64]) -> Record {
        let snapshots = numbers.iter().map(|number| (format!("stem-{chain}-{number}"), *number)).collect();
        let says = vec![
            Saying::Known(Known::Forgotten(Forgotten { chain: Id([chain; 16]), snapshots })),
            Saying::Other(serde_json::json!({"kind": "later", "chain": chain})),
        ];
        let supersedes = supersedes.iter().map(|stem| (*stem).to_owned()).collect();
        Record { format: CURRENT, repository: Id([0; 16]), time: jiff::Timestamp::UNIX_EPOCH, supersedes, says }
    }

    #[test]
    fn many_records_become_one_that_says_all_of_it() {
        let mut records = Records::default();
        for number in 0..MANY as u64 {
            assert!(records.repeated().1.is_empty(), "{number}");
            records.take(format!("{number:02}"), record(&[], (number % 2) as u8, &[number, number + 100]));
        }
        let (supersedes, says) = records.repeated();
        assert_eq!((supersedes.len(), says.len()), (MANY, 2 + MANY));
        let (mut again, all) = (records, MANY * 2);
        assert_eq!(again.forgotten.len(), all);
        again.take("99".into(), Record { supersedes, says, ..record(&[], 0, &[]) });
        assert!(again.is_superseded("03") && !again.is_superseded("99"));
        assert_eq!(again.forgotten.len(), all);
        assert!(again.is_forgotten("stem-1-103") && again.has_number(Id([1; 16]), 3) && !again.has_number(Id([1; 16]), 4));
        assert_eq!((again.forgotten_up_to(Id([0; 16]), 4), again.last_forgotten(Id([0; 16]))), (3, Some(114)));
        assert!(again.repeated().1.is_empty(), "there are few again");
    }
}
