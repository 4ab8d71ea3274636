//! Writing: archives go first, the snapshot object last; its presence is the commit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::archives::archives_in;
use super::format::lease::Lease;
use super::format::names;
use super::format::snapshot::{ArchiveRecord, LengthsRecord, ListRecord, Snapshot};
use super::format::sums::{self, Form, LIST_FROM, MAX_LIST_LINES, SumsLine};
use super::snapshots::{Signed, SnapshotRef, seal_snapshot};
use super::{Repository, RepositoryError, mirrored};
use crate::crypt::digest::sha256;
use crate::crypt::keys::Recipients;
use crate::crypt::signature::SigningKey;
use crate::model::digest::Id;

/// How long a lease counts; a run renews it long before.
const LEASE_HOURS: i64 = 24;

/// What a machine needs to write: its own key, and the recipients that it knows since its first use.
pub struct Writer {
    /// Its name in the root.
    pub id: Id,
    /// Signs its snapshots.
    pub key: SigningKey,
    /// Whom archives are encrypted for.
    pub recipients: Recipients,
}

fn line_of(record: &ArchiveRecord) -> SumsLine {
    SumsLine { name: record.object.clone(), length: Some(record.length), sha256: record.sha256 }
}

impl Repository {
    /// Notes that a run is in progress, which began at `time`, and what it relies on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_lease(
        &self,
        run: Id,
        number: u32,
        time: jiff::Timestamp,
        relies_on: Option<String>,
    ) -> Result<Lease, RepositoryError> {
        let expires = self.machine.now() + jiff::SignedDuration::from_hours(LEASE_HOURS);
        let lease = Lease { format: self.root.format, run, number, time, expires, relies_on };
        let name = names::lease(run, number);
        let json = serde_json::to_vec(&lease).map_err(|error| RepositoryError::damaged(&name, error))?;
        self.storage.put_new(&name, Bytes::from(json)).await?;
        Ok(lease)
    }

    /// The archives that are stored, with their lengths in bytes.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn stored_archives(&self) -> Result<HashMap<String, u64>, RepositoryError> {
        let (found, healed) = futures::join!(archives_in(&self.storage), self.healed_archives());
        let mut found = found?;
        found.extend(healed?.iter().map(|(name, length)| (name.clone(), *length)));
        Ok(found)
    }

    /// The same as one listing said, which is asked for once: of what came or went since, it knows nothing.
    ///
    /// # Errors
    /// As [`Self::stored_archives`].
    pub(super) async fn listed_archives(&self) -> Result<Arc<HashMap<String, u64>>, RepositoryError> {
        let listed = self.listed.get_or_try_init(|| async { self.stored_archives().await.map(Arc::new) });
        Ok(Arc::clone(listed.await?))
    }

    /// Stores a snapshot as [`Self::commit_with`], without copies of indexes.
    ///
    /// # Errors
    /// As there.
    pub async fn commit(&self, snapshot: &mut Snapshot, writer: &Writer) -> Result<SnapshotRef, RepositoryError> {
        self.commit_with(snapshot, &[], writer).await
    }

    /// Stores a snapshot: its lists, sums, signature, and at last the snapshot object, which commits it.
    /// `copies` are those of the indexes that no snapshot before has, as [`IndexCopies`](super::index_copies::IndexCopies) gives them. [`Snapshot::lists`] holds the parent's lists on entry; longer lists are made where they are due.
    ///
    /// # Errors
    /// [`RepositoryError::Missing`] when an archive that it names is not stored (any more); otherwise when the store fails.
    pub async fn commit_with(&self, snapshot: &mut Snapshot, copies: &[u8], writer: &Writer) -> Result<SnapshotRef, RepositoryError> {
        let stem = names::snapshot_stem(snapshot.time, snapshot.id);
        self.pack_indexes(snapshot).await;
        let form = if self.root.format.has_plain_sums() { Form::Plain } else { Form::Commented };
        let marked = self.marked().await?;
        self.leave_out_lost_lists(snapshot, &marked).await?;
        let new_lists = cut_lists(snapshot, form, &marked);
        // Everything is in memory before the first object is put.
        let covered: usize = snapshot.lists.iter().map(|list| list.archives).sum();
        let object = seal_snapshot(snapshot, copies, &writer.recipients)?;
        let mut lines: Vec<SumsLine> =
            snapshot.lists.iter().flat_map(lines_of_list).chain(snapshot.archives.iter().skip(covered).map(line_of)).collect();
        lines.push(SumsLine { name: names::snapshot(&stem), length: Some(object.len() as u64), sha256: sha256(&object) });
        // Behind the snapshot's own object: what a shell lays over each other stands before it.
        lines.extend(snapshot.borrowed.iter().map(line_of));
        let text = sums::write(&lines, form);
        let signed = Signed { writer: writer.id, chain: snapshot.chain, sequence: snapshot.sequence };
        let mut comment = signed.comment(self.id);
        if form == Form::Plain {
            comment = format!("{comment} {}", sums::lengths_word(&lines));
        }
        let signature = writer.key.sign(text.as_bytes(), &comment)?;

        let stored = self.usable_archives().await?;
        for archive in snapshot.all_archives() {
            if stored.get(&archive.object) != Some(&archive.length) {
                return Err(RepositoryError::Missing { name: archive.object.clone() });
            }
        }
        for (name, text) in new_lists {
            mirrored::put(&self.storage, &name, Bytes::from(text)).await?;
        }
        let (sums, signature_name, name) = (names::sums(&stem), names::signature(&names::sums(&stem)), names::snapshot(&stem));
        let objects = [(&sums, Bytes::from(text)), (&signature_name, Bytes::from(signature)), (&name, object)];
        for (name, bytes) in &objects {
            mirrored::put(&self.storage, name, bytes.clone()).await?;
        }
        for (name, bytes) in &objects {
            self.pieces.keep(name, bytes);
        }
        let found = SnapshotRef { stem, signed, sums: lines, form, comment };
        self.pack_snapshots(&found).await;
        Ok(found)
    }
}

impl Repository {
    /// Makes a snapshot do without the lists of its parent that are gone or about to go, and all behind them: new ones are made.
    async fn leave_out_lost_lists(&self, snapshot: &mut Snapshot, marked: &HashSet<String>) -> Result<(), RepositoryError> {
        if snapshot.lists.is_empty() {
            return Ok(());
        }
        let found = self.storage.list(names::LISTS).await?;
        let stored: HashSet<&str> = found.iter().map(|object| object.name.as_str()).collect();
        let is_there = |line: SumsLine| stored.contains(line.name.as_str()) && !marked.contains(&line.name);
        let sound = snapshot.lists.iter().take_while(|list| lines_of_list(list).all(is_there)).count();
        snapshot.lists.truncate(sound);
        Ok(())
    }
}

/// A list, and the lengths that belong to it.
fn lines_of_list(list: &ListRecord) -> impl Iterator<Item = SumsLine> + use<> {
    let lengths =
        list.lengths.map(|lengths| SumsLine { name: names::lengths(lengths.sha256), length: Some(lengths.length), sha256: lengths.sha256 });
    [SumsLine { name: names::list(list.sha256), length: Some(list.length), sha256: list.sha256 }].into_iter().chain(lengths)
}

/// Moves archives that no list covers into new lists when there are enough of them; gives the objects that this takes. A list that would
/// have the name of one that is marked to be deleted, which says its content, has an archive less.
fn cut_lists(snapshot: &mut Snapshot, form: Form, marked: &HashSet<String>) -> Vec<(String, String)> {
    let mut objects = Vec::new();
    loop {
        let covered: usize = snapshot.lists.iter().map(|list| list.archives).sum();
        let rest = snapshot.archives.get(covered..).unwrap_or_default();
        if rest.len() < LIST_FROM {
            return objects;
        }
        let most = rest.len().min(MAX_LIST_LINES);
        let Some((record, new)) = (1..=most)
            .rev()
            .map(|taken| list_of(rest, taken, form))
            .find(|(_, objects)| objects.iter().all(|(name, _)| !marked.contains(name)))
        else {
            return objects;
        };
        snapshot.lists.push(record);
        objects.extend(new);
    }
}

/// A list of the first `taken` archives, and the objects that it takes: its lengths, and itself.
fn list_of(archives: &[ArchiveRecord], taken: usize, form: Form) -> (ListRecord, Vec<(String, String)>) {
    let mut objects = Vec::new();
    let lines: Vec<SumsLine> = archives.iter().take(taken).map(line_of).collect();
    let lengths = (form == Form::Plain).then(|| {
        let text = sums::write_lengths(&lines);
        let record = LengthsRecord { sha256: sha256(text.as_bytes()), length: text.len() as u64 };
        objects.push((names::lengths(record.sha256), text));
        record
    });
    let text = sums::write(&lines, form);
    let sha256 = sha256(text.as_bytes());
    let record = ListRecord { sha256, length: text.len() as u64, archives: lines.len(), lengths };
    objects.push((names::list(sha256), text));
    (record, objects)
}
