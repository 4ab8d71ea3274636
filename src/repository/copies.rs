//! Putting missing second copies back: a machine that died between the two puts of an object, or a store that lost one, leaves
//! only one of them.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::format::names;
use super::format::root::Root;
use super::format::sums;
use super::pieces::Pieces;
use super::{Repository, RepositoryError, mirrored};
use crate::crypt::digest::sha256;

impl Repository {
    /// Writes the missing one of two copies wherever the other is sound; gives how many. What nobody vouches for is left alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn complete_copies(&self) -> Result<u64, RepositoryError> {
        let mut firsts = BTreeSet::new();
        for folder in [names::ROOT, names::KEYS, names::LISTS, names::SNAPSHOTS, names::RECORDS] {
            firsts.extend(self.storage.list(folder).await?.into_iter().map(|object| object.name));
        }
        if self.storage.exists(names::DESCRIPTOR).await? {
            firsts.insert(names::DESCRIPTOR.to_owned());
        }
        self.complete(firsts, names::MIRROR).await
    }

    /// The same of records alone, for whoever writes one.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn complete_records(&self) -> Result<u64, RepositoryError> {
        // A writer may have died since this repository was opened.
        let mut now = self.clone().with_fresh_records();
        now.storage = now.storage.without_listing();
        let firsts = now.storage.list(names::RECORDS).await?.into_iter().map(|object| object.name).collect();
        now.complete(firsts, &names::mirror(names::RECORDS)).await
    }

    /// `firsts` are the first copies that there are, `mirrored` is where the second ones are listed.
    async fn complete(&self, firsts: BTreeSet<String>, mirrored: &str) -> Result<u64, RepositoryError> {
        let mut seconds = BTreeSet::new();
        for object in self.storage.list(mirrored).await? {
            seconds.extend(object.name.strip_prefix(names::MIRROR).map(str::to_owned));
        }
        let mut completed = 0;
        let (records, marked) = (self.records().await?, self.marked().await?);
        for name in firsts.symmetric_difference(&seconds) {
            // It is being deleted.
            if marked.contains(name) || names::stem_of(name).is_some_and(|stem| records.is_forgotten(stem)) {
                continue;
            }
            let is_committed = |stem: &str| {
                let object = names::snapshot(stem);
                firsts.contains(&object) || seconds.contains(&object)
            };
            let bytes = match self.sound_copy(name, is_committed).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) if error.is_integrity() => continue,
                Err(error) => return Err(error),
            };
            let missing = if firsts.contains(name) { names::mirror(name) } else { name.clone() };
            self.storage.put_new(&missing, bytes).await?;
            completed += 1;
        }
        Ok(completed)
    }

    /// The bytes of a small object that is written twice, of either copy that something vouches for; `None` where nothing can.
    ///
    /// # Errors
    /// When neither copy is there and sound, or the store fails.
    pub async fn sound_copy(&self, name: &str, is_committed: impl Fn(&str) -> bool) -> Result<Option<Bytes>, RepositoryError> {
        // What the store has is asked for here, and not what was read of it before.
        let this = self.clone().with_pieces(Pieces::default());
        let unfit = || RepositoryError::damaged(name, "nothing vouches for it");
        if let Some(rest) = name.strip_prefix(names::SNAPSHOTS) {
            let Some(stem) = names::SNAPSHOT_ENDINGS.iter().find_map(|ending| rest.strip_suffix(ending)) else { return Ok(None) };
            if !is_committed(stem) {
                return Ok(None);
            }
            let found = this.snapshot_ref(stem).await?;
            let line = found.sums.iter().find(|line| line.name == name);
            let is_sound = |bytes: &Bytes| match line {
                Some(line) => sha256(bytes) == line.sha256,
                None if name.ends_with(".sums") => *bytes == sums::write(&found.sums, found.form).as_bytes(),
                // There is one copy of the signature, and it has just been checked.
                None => name.ends_with(".minisig"),
            };
            let check = |bytes: &Bytes| if is_sound(bytes) { Ok(bytes.clone()) } else { Err(unfit()) };
            return mirrored::get(&self.storage, name, names::MAX_SNAPSHOT_BYTES, check).await.map(Some);
        }
        if name.starts_with(names::RECORDS) {
            let stem = names::parse_record(name).or_else(|| names::parse_record_signature(name));
            let Some(stem) = stem else { return Ok(None) };
            this.record(stem).await?;
            // Of the signature there is one copy, and it has just been checked; a record is what that fits.
            let check = |bytes: &Bytes| Ok::<_, RepositoryError>(bytes.clone());
            return mirrored::get(&self.storage, name, names::MAX_SMALL_BYTES, check).await.map(Some);
        }
        let slot = self.root.slots.iter().find(|slot| names::key_slot(slot.id) == name);
        let statement = names::parse_statement(name);
        let signed = name.strip_suffix(".minisig").and_then(|stem| names::parse_statement(&format!("{stem}.json")));
        let is_sound = |bytes: &Bytes| {
            if let Some(slot) = slot {
                sha256(bytes) == slot.sha256
            } else if name.starts_with(names::LISTS) {
                [names::list, names::lengths].iter().any(|named| named(sha256(bytes)) == name)
            } else if name == names::DESCRIPTOR {
                super::read_descriptor(bytes).is_ok_and(|found| found.repository == self.id)
            } else if let Some((_, Some(named))) = statement {
                sha256(bytes) == named
            } else if let Some((number, None)) = statement {
                serde_json::from_slice(bytes).is_ok_and(|root: Root| root.repository == self.id && root.number == number)
            } else {
                // A signature without its statement, or of a wrong one, deceives nobody.
                signed.is_some()
            }
        };
        let check = |bytes: &Bytes| if is_sound(bytes) { Ok(bytes.clone()) } else { Err(unfit()) };
        mirrored::get(&self.storage, name, names::MAX_SMALL_BYTES, check).await.map(Some)
    }
}
