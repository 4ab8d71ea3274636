//! Finding and reading snapshots: which there are, whose signature holds, what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};

use super::format::names;
use super::format::snapshot::Snapshot;
use super::format::sums::{self, Form, SumsLine};
use super::records::Records;
use super::{Repository, RepositoryError, mirrored};
use crate::crypt::blob;
use crate::crypt::digest::sha256;
use crate::crypt::keys::{Identities, Recipients};
use crate::model::digest::Id;

/// Clocks that differ by less are taken for right.
pub const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);

/// How many snapshots are read at a time.
const PARALLEL: usize = 32;

/// What a writer signs beside the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Who signed.
    pub writer: Id,
    /// The chain of snapshots.
    pub chain: Id,
    /// The number in the chain.
    pub sequence: u64,
}

impl Signed {
    /// The trusted comment of a signature.
    pub(crate) fn comment(&self, repository: Id) -> String {
        format!("tgvault repository={repository} writer={} chain={} sequence={}", self.writer, self.chain, self.sequence)
    }

    fn parse(comment: &str, repository: Id) -> Option<Self> {
        let mut words = comment.split(' ');
        let mut field = |name: &str| words.next()?.strip_prefix(name);
        field("tgvault")?;
        if Id::from_str(field("repository=")?).ok()? != repository {
            return None;
        }
        let (writer, chain, sequence) =
            (field("writer=")?.parse().ok()?, field("chain=")?.parse().ok()?, field("sequence=")?.parse().ok()?);
        Some(Self { writer, chain, sequence })
    }
}

/// A snapshot as everybody can see it, without a key.
#[derive(Clone, Debug)]
pub struct SnapshotRef {
    /// The stem of its objects' names: time and name.
    pub stem: String,
    /// What its writer signed.
    pub signed: Signed,
    /// The objects it needs: lists, archives that are in none of them, itself, and the archives that it borrows.
    pub sums: Vec<SumsLine>,
    /// How the sums say it.
    pub form: Form,
    /// The trusted comment of the signature.
    pub comment: String,
}

impl Repository {
    /// The stems of all snapshots there are and nobody has forgotten, oldest first; nothing is checked yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn snapshot_stems(&self) -> Result<Vec<String>, RepositoryError> {
        Ok(self.placed_stems().await?.into_iter().map(|placed| placed.stem).collect())
    }

    /// The stems of all snapshots that are stored, those that were forgotten too, each with the time at which the store says that it got it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stored_stems(&self) -> Result<BTreeMap<String, Timestamp>, RepositoryError> {
        let mut stored: BTreeMap<String, Timestamp> = BTreeMap::new();
        for folder in [names::SNAPSHOTS.to_owned(), names::mirror(names::SNAPSHOTS)] {
            for object in self.storage.list(&folder).await? {
                if let Some(stem) = object.name.strip_prefix(&folder).and_then(|name| name.strip_suffix(".json.zst.age")) {
                    let first = stored.entry(stem.to_owned()).or_insert(object.modified);
                    *first = object.modified.min(*first);
                }
            }
        }
        Ok(stored)
    }

    /// As [`Self::snapshot_stems`], each with the time that is believed. What says to be younger than its object in the store was made
    /// by a clock that was ahead: it stands where the store's time puts it. Where that is in the future too, the store's clock was the
    /// same one, as that of a disk is: then the numbers of its chain say where it stands.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn placed_stems(&self) -> Result<Vec<Placed>, RepositoryError> {
        let (mut stored, records) = (self.stored_stems().await?, self.records().await?);
        stored.retain(|stem, _| !records.is_forgotten(stem));
        let mut stems: Vec<Placed> = stored.into_iter().map(|(stem, stored)| Placed::new(stem, stored)).collect();
        let now = self.machine.now();
        let in_future = stems.iter().filter(|placed| placed.is_after(now)).count();
        // Where most of them are, it is the clock of this machine that is wrong.
        if in_future > 0 && 2 * in_future <= stems.len() {
            self.place_by_number(&mut stems, now).await?;
        }
        stems.sort_by(|a, b| (a.time, a.sequence, &a.stem).cmp(&(b.time, b.sequence, &b.stem)));
        Ok(stems)
    }

    /// Puts what is in the future behind the snapshot before it in its chain, or before the one after it.
    async fn place_by_number(&self, stems: &mut [Placed], now: Timestamp) -> Result<(), RepositoryError> {
        let all: Vec<String> = stems.iter().map(|placed| placed.stem.clone()).collect();
        self.fetch_packed_snapshots(&all).await;
        let read = futures::stream::iter(all).map(|stem| async move { self.snapshot_ref(&stem).await }.boxed());
        let read: Vec<_> = read.buffered(PARALLEL).collect().await;
        let mut signed = Vec::new();
        for found in read {
            signed.push(match found {
                Ok(found) => Some(found.signed),
                Err(error) if error.is_integrity() => None,
                Err(error) => return Err(error),
            });
        }
        let mut believed: BTreeMap<Id, BTreeMap<u64, Timestamp>> = BTreeMap::new();
        for (placed, signed) in stems.iter_mut().zip(&signed) {
            let Some(signed) = signed else { continue };
            placed.sequence = signed.sequence;
            if !placed.is_after(now) {
                believed.entry(signed.chain).or_default().insert(signed.sequence, placed.time);
            }
        }
        for (placed, signed) in stems.iter_mut().zip(&signed) {
            let Some(chain) = signed.as_ref().filter(|_| placed.is_after(now)).and_then(|signed| believed.get(&signed.chain)) else {
                continue;
            };
            let before = chain.range(..placed.sequence).map(|(_, time)| *time).max();
            let after = chain.range(placed.sequence..).map(|(_, time)| *time).min();
            let after = after.and_then(|time| time.checked_sub(SignedDuration::from_nanos(1)).ok());
            if let Some(time) = before.or(after) {
                (placed.time, placed.is_ahead) = (time, true);
            }
        }
        Ok(())
    }

    /// Reads a snapshot's sums and checks their signature.
    ///
    /// # Errors
    /// [`RepositoryError::Untrusted`] when no accepted writer signed them; otherwise when they are missing or damaged.
    pub async fn snapshot_ref(&self, stem: &str) -> Result<SnapshotRef, RepositoryError> {
        let check = |bytes: &Bytes, signature: &str| self.signed_sums(stem, bytes, signature);
        mirrored::get_signed_with(&self.storage, &self.pieces, &names::sums(stem), check).await
    }

    /// What a snapshot's sums say, if an accepted writer signed them.
    fn signed_sums(&self, stem: &str, bytes: &Bytes, signature: &str) -> Result<SnapshotRef, RepositoryError> {
        let name = names::sums(stem);
        let untrusted = |why: String| RepositoryError::Untrusted { stem: stem.to_owned(), why };
        let (writer, comment, signed) = self
            .root
            .writers
            .iter()
            .find_map(|writer| {
                let comment = writer.key.verify(bytes, signature).ok()?;
                let signed = Signed::parse(&comment, self.id)?;
                Some((writer.id, comment, signed))
            })
            .ok_or_else(|| untrusted("no writer of this repository signed it".into()))?;
        if signed.writer != writer || !self.root.accepts(writer, signed.chain, signed.sequence) {
            return Err(untrusted(format!("writer {writer} was revoked, or signed in another's name")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RepositoryError::damaged(&name, "it is not text"))?;
        let (mut sums, form) = sums::read(text).map_err(|error| RepositoryError::damaged(&name, error))?;
        sums::take_lengths(&mut sums, &comment);
        if !sums.iter().any(|line| line.name == names::snapshot(stem)) {
            return Err(untrusted("its sums belong to another snapshot".into()));
        }
        Ok(SnapshotRef { stem: stem.to_owned(), signed, sums, form, comment })
    }

    /// Brings a snapshot's three objects to hand in one round of questions, unchecked. What does not come is asked for by whoever
    /// needs it, from its second copy too.
    pub(super) async fn fetch_snapshot(&self, stem: &str) {
        let (sums, object) = (names::sums(stem), names::snapshot(stem));
        let objects =
            [(names::signature(&sums), names::MAX_SMALL_BYTES), (sums, names::MAX_SMALL_BYTES), (object, names::MAX_SNAPSHOT_BYTES)];
        let wanted: Vec<(String, u64)> = objects.into_iter().filter(|(name, _)| !self.pieces.has(name)).collect();
        let fetch = |(name, limit): (String, u64)| {
            let fetched = async move {
                if let Ok(Some(bytes)) = self.storage.get(&name, limit).await {
                    self.pieces.offer(&name, bytes);
                }
            };
            fetched.boxed()
        };
        futures::future::join_all(wanted.into_iter().map(fetch)).await;
    }

    /// Reads what a snapshot says, and what its writer signed.
    ///
    /// # Errors
    /// As [`Self::snapshot_ref`] and [`Self::snapshot`].
    pub async fn read_snapshot(&self, stem: &str, identities: &Identities) -> Result<(SnapshotRef, Snapshot), RepositoryError> {
        self.fetch_snapshot(stem).await;
        let found = self.snapshot_ref(stem).await?;
        let snapshot = self.snapshot(&found, identities).await?;
        Ok((found, snapshot))
    }

    /// Reads the snapshots `stems`, which are sorted by time, newest first: the newest alone, for it is the one that is looked for as a
    /// rule, then a few together, then all others with the help of packs.
    pub fn read_newest_first<'a>(
        &'a self,
        identities: &'a Identities,
        stems: &'a [String],
    ) -> impl Stream<Item = (&'a String, Result<(SnapshotRef, Snapshot), RepositoryError>)> + Send + 'a {
        const FEW: usize = 4;
        let (earlier, newest) = stems.split_at(stems.len().saturating_sub(1));
        let (earlier, few) = earlier.split_at(earlier.len().saturating_sub(FEW));
        let steps = [(newest, false), (few, false), (earlier, true)];
        let read = move |stem: &'a String| async move { (stem, self.read_snapshot(stem, identities).await) }.boxed();
        let step = move |(stems, are_many): (&'a [String], bool)| {
            let reading = async move {
                if are_many {
                    self.fetch_packed_snapshots(stems).await;
                }
                futures::stream::iter(stems.iter().rev()).map(read).buffered(FEW)
            };
            reading.boxed()
        };
        futures::stream::iter(steps).then(step).flatten()
    }

    /// Reads all snapshots' sums, oldest first, each with what is wrong with it if anything is.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn snapshot_refs(&self) -> Result<Vec<(String, Result<SnapshotRef, RepositoryError>)>, RepositoryError> {
        let stems = self.snapshot_stems().await?;
        self.fetch_packed_snapshots(&stems).await;
        let read = futures::stream::iter(stems).map(|stem| async move {
            let found = self.snapshot_ref(&stem).await;
            (stem, found)
        });
        Ok(read.buffered(PARALLEL).collect().await)
    }

    /// As [`Self::snapshot_refs`], for one who reads the snapshots too: what they say is at hand afterwards.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn snapshot_refs_with(
        &self,
        identities: &Identities,
    ) -> Result<Vec<(String, Result<SnapshotRef, RepositoryError>)>, RepositoryError> {
        let stems = self.snapshot_stems().await?;
        self.fetch_packed_snapshots(&stems).await;
        let read = futures::stream::iter(stems).map(|stem| async move {
            let found = match self.read_snapshot(&stem, identities).await {
                Ok((found, _)) => Ok(found),
                // Its object is checked by whoever reads it.
                Err(_) => self.snapshot_ref(&stem).await,
            };
            (stem, found)
        });
        Ok(read.buffered(PARALLEL).collect().await)
    }

    /// Reads a list of archives that `line` names, with the lengths that `lengths` names, by either copy of each.
    ///
    /// # Errors
    /// When neither is there or what is named.
    pub async fn list(&self, line: &SumsLine, lengths: Option<&SumsLine>) -> Result<Vec<SumsLine>, RepositoryError> {
        let parse = |text: &str| sums::read(text).map(|(listed, _)| listed);
        let mut listed = self.named(line, parse).await?;
        if let Some(lengths) = lengths {
            let lengths = self.named(lengths, sums::read_lengths).await?;
            listed.iter_mut().zip(lengths).for_each(|(line, length)| line.length = Some(length));
        }
        Ok(listed)
    }

    /// Reads an object below `lists/` that a snapshot's sums name.
    async fn named<T>(&self, line: &SumsLine, parse: impl Fn(&str) -> Result<T, sums::SumsError>) -> Result<T, RepositoryError> {
        let name = &line.name;
        let check = |bytes: &Bytes| {
            if !line.fits(bytes.len() as u64) || sha256(bytes) != line.sha256 {
                return Err(RepositoryError::damaged(name, "it is not what the snapshot names"));
            }
            let text = std::str::from_utf8(bytes).map_err(|_| RepositoryError::damaged(name, "it is not text"))?;
            let parsed = parse(text).map_err(|error| RepositoryError::damaged(name, error))?;
            self.pieces.keep(name, bytes);
            Ok(parsed)
        };
        if let Some(Ok(parsed)) = self.pieces.get(name).map(|bytes| check(&bytes)) {
            return Ok(parsed);
        }
        mirrored::get(&self.storage, name, names::MAX_SMALL_BYTES, check).await
    }

    /// Reads what a snapshot says; where a record has replaced archives, those that stand for them are in their place.
    ///
    /// # Errors
    /// When its object is missing, is not what was signed, or no identity opens it.
    pub async fn snapshot(&self, found: &SnapshotRef, identities: &Identities) -> Result<Snapshot, RepositoryError> {
        let name = names::snapshot(&found.stem);
        let bytes = self.snapshot_bytes(found).await?;
        let mut snapshot = open_snapshot(&bytes, identities).map_err(|error| match error {
            RepositoryError::Crypt(crate::crypt::CryptError::WrongKey) => RepositoryError::WrongKey { slots: 1 },
            other => RepositoryError::damaged(&name, other),
        })?;
        let claims = Signed { writer: snapshot.writer, chain: snapshot.chain, sequence: snapshot.sequence };
        if claims != found.signed {
            return Err(RepositoryError::damaged(&name, "it says something else of its writer and number than the signature"));
        }
        self.records().await?.standing.apply(&mut snapshot);
        Ok(snapshot)
    }

    /// The stored bytes of a snapshot's object, which are those that its writer signed.
    ///
    /// # Errors
    /// When both copies are missing or something else.
    pub(super) async fn snapshot_bytes(&self, found: &SnapshotRef) -> Result<Bytes, RepositoryError> {
        let name = names::snapshot(&found.stem);
        let line = found.sums.iter().find(|line| line.name == name).ok_or_else(|| RepositoryError::Missing { name: name.clone() })?;
        let check = |bytes: &Bytes| {
            let sound = line.fits(bytes.len() as u64) && sha256(bytes) == line.sha256;
            if sound { Ok(bytes.clone()) } else { Err(RepositoryError::damaged(&name, "it is not what its writer signed")) }
        };
        let bytes = match self.pieces.get(&name).map(|bytes| check(&bytes)) {
            Some(Ok(bytes)) => bytes,
            at_hand => {
                if at_hand.is_some() {
                    self.pieces.refuse(&name);
                }
                mirrored::get(&self.storage, &name, names::MAX_SNAPSHOT_BYTES, check).await?
            }
        };
        self.pieces.keep(&name, &bytes);
        Ok(bytes)
    }

    /// Reads all trusted snapshots, oldest first, and what is wrong with the others.
    ///
    /// # Errors
    /// When they cannot be listed, or no identity fits.
    pub async fn snapshots(&self, identities: &Identities) -> Result<Listed, RepositoryError> {
        let mut snapshots = Vec::new();
        let listed = self.each_snapshot(identities, |found, snapshot| snapshots.push((found, snapshot))).await?;
        Ok(Listed { snapshots, ..listed })
    }

    /// As [`Self::snapshots`], handing each of them to `each`: thousands of snapshots, each with the names of thousands of archives, are
    /// more than should be held at once.
    ///
    /// # Errors
    /// As there.
    pub async fn each_snapshot(
        &self,
        identities: &Identities,
        mut each: impl FnMut(SnapshotRef, Snapshot),
    ) -> Result<Listed, RepositoryError> {
        let placed = self.placed_stems().await?;
        let mut listed = Listed { stems: placed.iter().map(|placed| placed.stem.clone()).collect(), placed, ..Listed::default() };
        self.fetch_packed_snapshots(&listed.stems).await;
        let read = futures::stream::iter(listed.stems.clone()).map(|stem| async move { self.read_snapshot(&stem, identities).await });
        let mut read = read.buffered(PARALLEL);
        while let Some(result) = read.next().await {
            match result {
                Ok((found, snapshot)) => each(found, snapshot),
                Err(error) if error.is_integrity() => listed.broken.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(listed)
    }
}

/// The numbers below the last that each chain of snapshots has not, and of which no record says that they were forgotten: they are gone,
/// or were never written.
pub fn gaps<'a>(found: impl IntoIterator<Item = &'a SnapshotRef>, records: &Records) -> Vec<(Id, Vec<u64>)> {
    /// Numbers that are given of one chain; a signed number can be any.
    const MOST: usize = 20;
    let mut chains: BTreeMap<Id, BTreeSet<u64>> = BTreeMap::new();
    for found in found {
        chains.entry(found.signed.chain).or_default().insert(found.signed.sequence);
    }
    let gaps = chains.into_iter().map(|(chain, numbers)| {
        let last = numbers.last().copied().unwrap_or(0);
        let is_gone = |number: &u64| !numbers.contains(number) && !records.has_number(chain, *number);
        (chain, (1..last).filter(is_gone).take(MOST).collect::<Vec<u64>>())
    });
    gaps.filter(|(_, missing)| !missing.is_empty()).collect()
}

/// Snapshots that can be read, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Listed {
    /// The stems of all that the store lists, oldest first.
    pub stems: Vec<String>,
    /// The same with the times that are believed.
    pub placed: Vec<Placed>,
    /// Trusted and readable, oldest first.
    pub snapshots: Vec<(SnapshotRef, Snapshot)>,
    /// Missing, damaged or untrusted.
    pub broken: Vec<RepositoryError>,
}

/// A snapshot by its name, and where it stands in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Time and name.
    pub stem: String,
    /// When it was made, as far as that is believed.
    pub time: Timestamp,
    /// Whether the clock by which it was made was ahead.
    pub is_ahead: bool,
    /// Its number, where it had to be asked for.
    sequence: u64,
}

impl Placed {
    fn new(stem: String, stored: Timestamp) -> Self {
        let said = names::stem_time(&stem).filter(|said| said.duration_since(stored) <= CLOCKS_DIFFER);
        Self { time: said.unwrap_or(stored), is_ahead: said.is_none(), sequence: 0, stem }
    }

    /// Whether it is later than clocks differ.
    pub fn is_after(&self, now: Timestamp) -> bool {
        self.time.duration_since(now) > CLOCKS_DIFFER
    }
}

/// Makes the stored form of a snapshot: JSON, zstd, age, with the copies of indexes beside it.
pub(super) fn seal_snapshot(snapshot: &Snapshot, copies: &[u8], recipients: &Recipients) -> Result<Bytes, RepositoryError> {
    let name = "the snapshot";
    let json = serde_json::to_vec(snapshot).map_err(|error| RepositoryError::damaged(name, error))?;
    let mut compressed = crate::archive::frame::compress_small(&json).map_err(|error| RepositoryError::damaged(name, error))?;
    crate::archive::frame::put_beside(&mut compressed, copies);
    Ok(Bytes::from(blob::seal(&compressed, recipients)?))
}

fn open_snapshot(bytes: &[u8], identities: &Identities) -> Result<Snapshot, RepositoryError> {
    let compressed = blob::open(bytes, identities, names::MAX_SNAPSHOT_BYTES)?;
    let json = crate::archive::frame::decompress_small(&compressed, names::MAX_SNAPSHOT_BYTES)
        .map_err(|error| RepositoryError::damaged("the snapshot", error))?;
    serde_json::from_slice(&json).map_err(|error| RepositoryError::damaged("the snapshot", error))
}
