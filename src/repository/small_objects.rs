//! Checking what is written twice and what no snapshot names: descriptor, statements of trust, key slots; sums and signatures.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use super::format::names;
use super::format::sums;
use super::inventory::{Each, Looked, MISSING};
use super::recovery;
use super::snapshots::SnapshotRef;
use super::trust::{self, Anchor};
use super::{Repository, RepositoryError};
use crate::crypt::digest::sha256;

impl Repository {
    async fn copy(&self, name: &str) -> Result<Option<Bytes>, RepositoryError> {
        Ok(self.storage.get(name, names::MAX_SNAPSHOT_BYTES).await?)
    }

    /// Checks both copies of descriptor, statements of trust, key slots and records.
    ///
    /// # Errors
    /// When the store fails. What is wrong goes to `each`.
    pub async fn check_trust(&self, each: Each<'_>) -> Result<(), RepositoryError> {
        let root = &self.root;
        let mut named = vec![names::DESCRIPTOR.to_owned()];
        for statement in &self.trust.names {
            let statement = statement.clone();
            let signature = names::signature(&statement);
            named.push(statement);
            // A statement that nobody signed counts for nothing: its writer died before it could.
            if self.copy(&signature).await?.is_some() || self.copy(&names::mirror(&signature)).await?.is_some() {
                named.push(signature);
            }
        }
        for stem in self.record_stems().await? {
            let record = names::record(&stem);
            named.extend([names::signature(&record), record]);
        }
        let slots: HashMap<String, _> = root.slots.iter().map(|slot| (names::key_slot(slot.id), slot.sha256)).collect();
        named.extend(slots.keys().cloned());
        for name in named {
            let first = self.copy(&name).await?;
            let second = self.copy(&names::mirror(&name)).await?;
            for (copy, bytes, other) in [(name.clone(), &first, &second), (names::mirror(&name), &second, &first)] {
                let wrong = match (bytes, other, slots.get(&name)) {
                    (None, ..) => Some(MISSING),
                    (Some(bytes), _, Some(sha256_of)) if sha256(bytes) != *sha256_of => Some("it is not what the root names"),
                    (Some(bytes), Some(other), None) if bytes != other => Some("its two copies differ"),
                    _ => None,
                };
                each(Looked { object: &copy, bytes: 0, wrong });
            }
        }
        Ok(())
    }

    /// Checks page and script for recovery, of each version that is stored: whether they are whole, and signed.
    ///
    /// # Errors
    /// When the store fails. What is wrong goes to `each`.
    pub async fn check_recovery(&self, each: Each<'_>) -> Result<(), RepositoryError> {
        let found: Vec<String> = self.storage.list(recovery::FOLDER).await?.into_iter().map(|object| object.name).collect();
        let folders: BTreeSet<&str> = found.iter().filter_map(|name| Some(name.rsplit_once('/')?.0)).collect();
        let keys = || [&self.root.root_key].into_iter().chain(self.root.writers.iter().map(|writer| &writer.key));
        for folder in folders {
            for name in recovery::NAMES {
                let object = format!("{folder}/{name}");
                let signature_name = format!("{object}.minisig");
                let (text, signature) = (self.copy(&object).await?, self.copy(&signature_name).await?);
                let said = recovery::comment(self.id, &object);
                let signature_text = signature.as_ref().and_then(|signature| std::str::from_utf8(signature).ok());
                let holds = match (&text, signature_text) {
                    (Some(text), Some(signature)) => keys().any(|key| key.verify(text, signature).is_ok_and(|found| found == said)),
                    _ => false,
                };
                for (object, bytes) in [(&object, &text), (&signature_name, &signature)] {
                    let wrong = match bytes {
                        None => Some("it is missing"),
                        Some(_) if !holds => Some("its signature does not hold"),
                        Some(_) => None,
                    };
                    each(Looked { object, bytes: bytes.as_ref().map_or(0, |bytes| bytes.len() as u64), wrong });
                }
            }
        }
        Ok(())
    }

    /// Checks the statements of trust from the first one on: a machine that pinned a later one has not read them, others need them.
    ///
    /// # Errors
    /// When they are wrong, or the store fails.
    pub async fn check_statements(&self) -> Result<(), RepositoryError> {
        trust::load(&self.storage, self.id, &Anchor::Last(self.root.root_key.clone())).await.map(drop)
    }

    /// Checks both copies of a snapshot's sums and of their signature: what is trusted was read from either.
    ///
    /// # Errors
    /// When the store fails. What is wrong goes to `each`.
    pub async fn check_signed(&self, found: &SnapshotRef, each: Each<'_>) -> Result<(), RepositoryError> {
        let name = names::sums(&found.stem);
        let text = sums::write(&found.sums, found.form);
        for copy in [name.clone(), names::mirror(&name)] {
            let wrong = match self.copy(&copy).await? {
                None => Some(MISSING),
                Some(bytes) if bytes != text.as_bytes() => Some("it is not what its writer signed"),
                Some(_) => None,
            };
            each(Looked { object: &copy, bytes: 0, wrong });
        }
        let name = names::signature(&name);
        let writer = self.root.writer(found.signed.writer);
        let fits = |bytes: &[u8]| {
            let said = std::str::from_utf8(bytes).ok().and_then(|signature| writer?.key.verify(text.as_bytes(), signature).ok());
            said.is_some_and(|said| said == found.comment)
        };
        let first = self.copy(&name).await?;
        for copy in [name.clone(), names::mirror(&name)] {
            let wrong = match self.copy(&copy).await? {
                None => Some(MISSING),
                Some(bytes) if !fits(&bytes) => Some("it is not a signature of the sums"),
                Some(bytes) if first.as_ref().is_some_and(|first| fits(first) && *first != bytes) => Some("its two copies differ"),
                Some(_) => None,
            };
            each(Looked { object: &copy, bytes: 0, wrong });
        }
        Ok(())
    }
}
