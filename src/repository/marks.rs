//! Marks: what a prune will delete when its grace period is over.
//!
//! A run does as if marked archives were gone already, and looks again before each commit: so nothing is deleted that a snapshot names
//! which somebody commits meanwhile.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use jiff::Timestamp;

use super::format::mark::Mark;
use super::format::names;
use super::pieces::Pieces;
use super::{Repository, RepositoryError};
use crate::crypt::signature::SigningKey;
use crate::storage::ObjectInfo;

/// The most objects in one mark: some 10 MB.
const MOST: usize = 80_000;

/// A mark in the store.
#[derive(Clone, Debug)]
pub struct Marked {
    /// The stem of its name.
    pub stem: String,
    /// When the store got it, by the store's clock.
    pub modified: Timestamp,
    /// What it says.
    pub mark: Mark,
}

impl Repository {
    /// The sound marks among listed objects; others mean nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn marks_in(&self, listed: &[ObjectInfo]) -> Result<Vec<Marked>, RepositoryError> {
        let mut marks = Vec::new();
        for object in listed {
            let Some(stem) = names::parse_mark(&object.name) else { continue };
            match self.mark(stem).await {
                Ok(mark) => marks.push(Marked { stem: stem.to_owned(), modified: object.modified, mark }),
                // One that is just being deleted, or that nobody signed who may.
                Err(error) if error.is_integrity() => tracing::debug!(stem, %error, "a mark is passed over"),
                Err(error) => return Err(error),
            }
        }
        Ok(marks)
    }

    async fn mark(&self, stem: &str) -> Result<Mark, RepositoryError> {
        let name = names::mark(stem);
        let signature_name = names::signature(&name);
        let check = |bytes: &Bytes, signature: &Bytes| {
            let signature = std::str::from_utf8(signature).ok()?;
            let said = self.root.root_key.verify(bytes, signature).ok()?;
            let mark: Mark = serde_json::from_slice(bytes).ok()?;
            (said == self.mark_comment(stem) && mark.repository == self.id).then_some(mark)
        };
        if let (Some(bytes), Some(signature)) = (self.pieces.get(&name), self.pieces.get(&signature_name))
            && let Some(mark) = check(&bytes, &signature)
        {
            return Ok(mark);
        }
        let read = |name: &str| {
            let name = name.to_owned();
            async move {
                let read = self.storage.get(&name, names::MAX_SMALL_BYTES).await?;
                read.ok_or(RepositoryError::Missing { name })
            }
        };
        let (bytes, signature) = futures::try_join!(read(&name), read(&signature_name))?;
        let mark = check(&bytes, &signature).ok_or_else(|| RepositoryError::damaged(&name, "the root key has not signed it"))?;
        self.pieces.keep(&name, &bytes);
        self.pieces.keep(&signature_name, &signature);
        Ok(mark)
    }

    fn mark_comment(&self, stem: &str) -> String {
        format!("tgvault repository={} mark={stem}", self.id)
    }

    /// Marks objects to be deleted later; gives the stems of the marks.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_marks(&self, key: &SigningKey, objects: &[String]) -> Result<Vec<String>, RepositoryError> {
        let mut stems = Vec::new();
        for objects in objects.chunks(MOST) {
            let time = self.machine.now();
            let mark = Mark { format: self.root.format, repository: self.id, time, objects: objects.to_vec() };
            let stem = names::snapshot_stem(time, self.machine.id()?);
            let name = names::mark(&stem);
            let json = serde_json::to_vec(&mark).map_err(|error| RepositoryError::damaged(&name, error))?;
            let signature = key.sign(&json, &self.mark_comment(&stem))?;
            // The mark counts by its own time: its signature is there before it.
            self.storage.put_new(&names::signature(&name), Bytes::from(signature)).await?;
            self.storage.put_new(&name, Bytes::from(json)).await?;
            stems.push(stem);
        }
        Ok(stems)
    }

    /// The objects that are marked to be deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn marked(&self) -> Result<HashSet<String>, RepositoryError> {
        let listed = self.storage.list(names::MARKS).await?;
        Ok(self.marks_in(&listed).await?.into_iter().flat_map(|marked| marked.mark.objects).collect())
    }

    /// The archives that a run may rely on, with their lengths in bytes: those that are stored and not marked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usable_archives(&self) -> Result<HashMap<String, u64>, RepositoryError> {
        // Marks first: what is marked and deleted between the two questions is in neither answer.
        let marked = self.marked().await?;
        let mut stored = self.stored_archives().await?;
        stored.retain(|name, _| !marked.contains(name));
        Ok(stored)
    }

    /// The same repository, of which nothing is at hand that was read before.
    pub fn without_pieces(self) -> Self {
        self.with_pieces(Pieces::default())
    }
}
