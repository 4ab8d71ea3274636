//! Packs: what many small objects hold, in one. Backups write them as they go; those who come new read a few of them instead of
//! thousands of objects.
//!
//! Packs of snapshots hold 8, 64 or 256 that follow each other in a chain, packs of indexes the ends of as many archives or more. A
//! full one is never written again as part of a larger one: however old the vault, what is packed is written three times at most, and
//! once or twice as soon as it is long. A pack that is missing or damaged costs requests and nothing else, and one that could not be
//! written is not missed.

use std::collections::HashMap;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};

use super::format::names;
use super::format::pack::{self, MAX_PACK_BYTES, MAX_READ_BYTES, PackRecord, PackedRun};
use super::format::snapshot::{ArchiveRecord, Snapshot};
use super::snapshots::SnapshotRef;
use super::{Repository, RepositoryError};
use crate::crypt::digest::sha256;
use crate::model::digest::Id;

/// How many snapshots, or archives at least, are in packs of the first, second and third kind.
const SPANS: [u64; 3] = [8, 64, 256];

/// A pack of this length is full, however few it holds.
const FULL_BYTES: u64 = 4 * 1024 * 1024;

/// Of so many objects that a pack has, one at least must be wanted.
const WANTED_ONE_IN: u64 = 16;

/// How many packs are asked for at a time.
const PARALLEL: usize = 16;

/// How many snapshots are looked at to find the last eight of a chain, where this machine does not know them.
const MAX_LOOKED_AT: usize = 32;

/// The name under which a machine notes which snapshot has a number in a chain of its own.
fn note(chain: Id, sequence: u64) -> String {
    format!("chain/{chain}/{sequence}")
}

fn time_of(stem: &str) -> &str {
    stem.split_once('-').map_or(stem, |(time, _)| time)
}

/// The three objects of a snapshot.
fn objects(stem: &str) -> [String; 3] {
    let sums = names::sums(stem);
    [names::signature(&sums), sums, names::snapshot(stem)]
}

impl Repository {
    /// Brings those of the snapshots to hand, unchecked, that packs give for fewer requests than they would take themselves.
    pub async fn fetch_packed_snapshots(&self, stems: &[String]) {
        /// Fewer than this are read as they are.
        const FEW: usize = 3;
        let wanted: HashMap<String, &str> = stems
            .iter()
            .filter(|stem| !self.pieces.has(&names::snapshot(stem)))
            .flat_map(|stem| objects(stem).map(|object| (object, stem.as_str())))
            .collect();
        if wanted.len() <= 3 * FEW {
            return;
        }
        let Ok(listed) = self.storage.list(names::PACKS_OF_SNAPSHOTS).await else { return };
        let runs: Vec<PackedRun> = listed.iter().filter_map(|object| PackedRun::parse(&object.name)).collect();
        let mut times: Vec<&str> = wanted.values().map(|stem| time_of(stem)).collect();
        times.sort_unstable();
        times.dedup();
        let packs: Vec<String> = choose(runs, &times).iter().map(PackedRun::object).collect();
        let read = futures::stream::iter(packs)
            .map(|object| async move { self.storage.get(&object, MAX_READ_BYTES).await.ok().flatten() }.boxed());
        let mut read = read.buffer_unordered(PARALLEL);
        while let Some(pack) = read.next().await {
            // What no listing shows does not exist, whatever a pack holds.
            for (name, bytes) in pack.and_then(|pack| pack::read(&pack).ok()).unwrap_or_default() {
                if wanted.contains_key(&name) {
                    self.pieces.offer(&name, bytes);
                }
            }
        }
    }

    /// Brings the ends of the archives from number `first` on to hand, unchecked, where packs give them for fewer requests.
    pub async fn fetch_packed_indexes(&self, snapshot: &Snapshot, first: usize) {
        /// Fewer than this are read as they are.
        const FEW: usize = 3;
        let mut at = 0_usize;
        let mut packs = Vec::new();
        for record in &snapshot.packs {
            let covered = at..at.saturating_add(record.archives);
            at = covered.end;
            let archives = snapshot.archives.get(covered.start.max(first)..covered.end.max(first)).unwrap_or_default();
            if archives.iter().filter(|archive| !self.pieces.has(&pack::ends(&archive.object).1)).count() >= FEW {
                packs.push(record.clone());
            }
        }
        let read = futures::stream::iter(packs).map(|record| async move { self.fetch_index_pack(&record).await }.boxed());
        read.buffer_unordered(PARALLEL).collect::<Vec<()>>().await;
    }

    async fn fetch_index_pack(&self, record: &PackRecord) {
        match self.index_pack(record).await {
            Ok(pieces) => {
                pieces.into_iter().filter(|(name, _)| !self.pieces.has(name)).for_each(|(name, bytes)| self.pieces.offer(&name, bytes))
            }
            Err(error) => tracing::debug!(object = record.object, %error, "a pack is passed over"),
        }
    }

    /// Reads a pack of indexes that a snapshot names.
    async fn index_pack(&self, record: &PackRecord) -> Result<Vec<(String, Bytes)>, RepositoryError> {
        let name = &record.object;
        let bytes = self.storage.get(name, MAX_READ_BYTES).await?.ok_or_else(|| RepositoryError::Missing { name: name.clone() })?;
        if bytes.len() as u64 != record.length || sha256(&bytes) != record.sha256 {
            return Err(RepositoryError::damaged(name, "it is not what the snapshot names"));
        }
        pack::read(&bytes).map_err(|error| RepositoryError::damaged(name, error))
    }

    /// Packs the ends of archives that are in no pack yet, where there are enough of them, and names the packs in the snapshot.
    pub(super) async fn pack_indexes(&self, snapshot: &mut Snapshot) {
        if let Err(error) = self.try_to_pack_indexes(snapshot).await {
            tracing::warn!(%error, "no pack of indexes was written: readers do without");
        }
    }

    async fn try_to_pack_indexes(&self, snapshot: &mut Snapshot) -> Result<(), RepositoryError> {
        let covered: usize = snapshot.packs.iter().map(|record| record.archives).sum();
        let loose = snapshot.archives.len().saturating_sub(covered);
        if (loose as u64) < SPANS[0] {
            return Ok(());
        }
        // As many of the last packs as make one of the next kind together with what is loose.
        let mut archives = loose;
        let mut kept = snapshot.packs.len();
        for span in SPANS.into_iter().skip(1) {
            let smaller =
                snapshot.packs.iter().take(kept).rev().take_while(|record| (record.archives as u64) < span && record.length < FULL_BYTES);
            let (count, sum) = smaller.fold((0, 0), |(count, sum), record| (count + 1, sum + record.archives));
            if (archives + sum) as u64 >= span {
                archives += sum;
                kept -= count;
            }
        }
        let (kept_packs, merged) = snapshot.packs.split_at(kept);
        let mut pieces: HashMap<String, Bytes> = HashMap::new();
        for record in merged {
            // What a smaller pack does not give any more is read again below.
            pieces.extend(self.index_pack(record).await.unwrap_or_default());
        }
        let from = snapshot.archives.len() - archives;
        let records = snapshot.archives.get(from..).unwrap_or_default();
        let (records, pieces) = (records.to_vec(), &pieces);
        let ends = futures::stream::iter(records).map(|record| async move { self.own_ends(&record, pieces).await }.boxed());
        let mut ends = ends.buffered(PARALLEL);
        let (mut length, mut taken) = (0, Vec::new());
        // Those for which there is no room are read as they are.
        while let Some(next) = ends.next().await {
            for (name, bytes) in next.into_iter().flatten() {
                length += bytes.len() + 1024;
                if length <= MAX_PACK_BYTES {
                    taken.push((name, bytes));
                }
            }
            if length > MAX_PACK_BYTES {
                break;
            }
        }
        drop(ends);
        let object = pack::indexes(self.machine.id()?);
        let bytes = pack::write(taken.iter().map(|(name, bytes)| (name.as_str(), bytes.as_ref())))
            .map_err(|error| RepositoryError::damaged(&object, error))?;
        let record = PackRecord { object, length: bytes.len() as u64, sha256: sha256(&bytes), archives };
        self.storage.put_new(&record.object, bytes).await?;
        let mut packs = kept_packs.to_vec();
        packs.push(record);
        snapshot.packs = packs;
        Ok(())
    }

    /// The ends of an archive of one's own: kept, packed, or read; none where they are too long for a pack.
    async fn own_ends(&self, record: &ArchiveRecord, packed: &HashMap<String, Bytes>) -> Option<[(String, Bytes); 2]> {
        /// A longer one is worth the request that it takes.
        const MAX_END_BYTES: u64 = 256 * 1024;
        let own = record.own?;
        let end_bytes = record.length.checked_sub(own.from)?;
        if end_bytes > MAX_END_BYTES || own.header > MAX_END_BYTES {
            return None;
        }
        let (head, end) = pack::ends(&record.object);
        let at_hand = |name: &str| self.pieces.get(name).or_else(|| packed.get(name).cloned());
        let (head_bytes, end_bytes) = match (at_hand(&head), at_hand(&end)) {
            (Some(head), Some(end)) => (head, end),
            _ => futures::try_join!(
                self.storage.get_range(&record.object, 0..own.header),
                self.storage.get_range(&record.object, own.from..record.length)
            )
            .ok()?,
        };
        Some([(head, head_bytes), (end, end_bytes)])
    }

    /// Packs the last snapshots of a chain, when as many have come together as a pack takes.
    pub(super) async fn pack_snapshots(&self, last: &SnapshotRef) {
        let (chain, sequence) = (last.signed.chain, last.signed.sequence);
        self.pieces.keep(&note(chain, sequence), &Bytes::from(last.stem.clone()));
        let due = SPANS.into_iter().rev().filter(|span| sequence % span == 0);
        for span in due {
            match self.try_to_pack_snapshots(last, span).await {
                Ok(true) => return,
                // A smaller one may do.
                Ok(false) => {}
                Err(error) => return tracing::warn!(%error, "no pack of snapshots was written: readers do without"),
            }
        }
    }

    /// Packs the last `span` snapshots of a chain; `false` where they cannot be had or are too long, or a pack of some of them is full.
    async fn try_to_pack_snapshots(&self, last: &SnapshotRef, span: u64) -> Result<bool, RepositoryError> {
        let (chain, to) = (last.signed.chain, last.signed.sequence);
        let Some(stems) = self.last_stems(last).await? else { return Ok(false) };
        let from = to + 1 - span;
        let mut pieces: Vec<(String, Bytes)> = Vec::new();
        let mut first_time = stems.first().map(|stem| time_of(stem).to_owned()).unwrap_or_default();
        if span > SPANS[0] {
            // All but the last eight are in smaller packs.
            let listed = self.storage.list(names::PACKS_OF_SNAPSHOTS).await?;
            let runs = listed.iter().filter_map(|object| Some((PackedRun::parse(&object.name)?, object.size_bytes)));
            let mut runs: Vec<(PackedRun, u64)> =
                runs.filter(|(run, _)| run.chain == chain && run.from >= from && run.to + SPANS[0] <= to).collect();
            runs.sort_by_key(|(run, _)| (run.from, std::cmp::Reverse(run.to)));
            let mut next = from;
            for (run, length) in runs {
                if run.from != next {
                    continue;
                }
                if length >= FULL_BYTES {
                    return Ok(false);
                }
                let Some(pack) = self.storage.get(&run.object(), MAX_READ_BYTES).await? else { return Ok(false) };
                let Ok(packed) = pack::read(&pack) else { return Ok(false) };
                if next == from {
                    first_time.clone_from(&run.times.0);
                }
                pieces.extend(packed);
                next = run.to + 1;
            }
            if next + SPANS[0] != to + 1 {
                return Ok(false);
            }
        }
        for stem in &stems {
            self.fetch_snapshot(stem).await;
            for object in objects(stem) {
                let Some(bytes) = self.pieces.get(&object) else { return Ok(false) };
                pieces.push((object, bytes));
            }
        }
        if pieces.iter().map(|(_, bytes)| bytes.len() + 1024).sum::<usize>() > MAX_PACK_BYTES {
            return Ok(false);
        }
        let run = PackedRun { chain, from, to, times: (first_time, time_of(&last.stem).to_owned()) };
        let name = run.object();
        let bytes = pack::write(pieces.iter().map(|(name, bytes)| (name.as_str(), bytes.as_ref())));
        self.storage.put_new(&name, bytes.map_err(|error| RepositoryError::damaged(&name, error))?).await?;
        Ok(true)
    }

    /// The stems of the last eight snapshots of a chain, oldest first; `None` where they cannot be found cheaply.
    async fn last_stems(&self, last: &SnapshotRef) -> Result<Option<Vec<String>>, RepositoryError> {
        let (chain, to) = (last.signed.chain, last.signed.sequence);
        let noted = |sequence| self.pieces.get(&note(chain, sequence)).and_then(|stem| String::from_utf8(stem.into()).ok());
        let stems: Option<Vec<String>> = (to + 1 - SPANS[0]..=to).map(noted).collect();
        if stems.is_some() {
            return Ok(stems);
        }
        let listed = self.snapshot_stems().await?;
        let mut stems = vec![last.stem.clone()];
        for stem in listed.iter().rev().filter(|stem| **stem < last.stem).take(MAX_LOOKED_AT) {
            if stems.len() as u64 == SPANS[0] {
                break;
            }
            match self.snapshot_ref(stem).await {
                Ok(found) if (found.signed.chain, found.signed.sequence) == (chain, to - stems.len() as u64) => stems.push(found.stem),
                Ok(_) => {}
                Err(error) if error.is_integrity() => {}
                Err(error) => return Err(error),
            }
        }
        stems.reverse();
        Ok((stems.len() as u64 == SPANS[0]).then_some(stems))
    }
}

/// The packs that are worth reading: for each chain the largest first, and of each only what wanted snapshots of its time could be in.
fn choose(mut runs: Vec<PackedRun>, times: &[&str]) -> Vec<PackedRun> {
    runs.sort_by_key(|run| std::cmp::Reverse(run.count()));
    let mut chosen: Vec<PackedRun> = Vec::new();
    for run in runs {
        let is_covered = chosen.iter().any(|other| other.chain == run.chain && other.from <= run.from && run.to <= other.to);
        let from = times.partition_point(|time| *time < run.times.0.as_str());
        let to = times.partition_point(|time| *time <= run.times.1.as_str());
        if !is_covered && (to.saturating_sub(from) as u64) * WANTED_ONE_IN >= run.count() {
            chosen.push(run);
        }
    }
    chosen
}
