//! An archive of one vault for another: decrypted and sealed again with a key of its own, in one stream. What is inside stays as it is,
//! frames, seek table and index, so nothing is compressed again, and positions and names in it hold there too.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::runtime::Handle;

use crate::archive::ArchiveError;
use crate::archive::parts::{PartPool, PartsWriter};
use crate::archive::reader::{HEAD_BYTES, ReadAt};
use crate::crypt::CryptError;
use crate::crypt::digest::{Hasher, sha256};
use crate::crypt::header::{self, MAX_HEADER_BYTES};
use crate::crypt::keys::{Identities, Recipients};
use crate::crypt::payload::{self, PayloadKey, PayloadWriter, SEALED_CHUNK_BYTES};
use crate::model::causes::with_causes;
use crate::model::digest::Digest;
use crate::operations::OperationError;
use crate::operations::archiving::UploadSink;
use crate::operations::stop::Stop;
use crate::repository::archives::StoredObject;
use crate::repository::format::snapshot::{ArchiveRecord, OwnPlace};
use crate::repository::{Repository, RepositoryError};
use crate::state::SealedFolder;
use crate::storage::Storage;

/// Chunks of the payload that are read at a time: 4 MiB.
const CHUNKS: u64 = 64;

/// What the threads share that seal archives again.
#[derive(Clone)]
pub(super) struct Resealing {
    pub source: Repository,
    pub identities: Arc<Identities>,
    pub target: Storage,
    pub recipients: Arc<Recipients>,
    pub pool: PartPool,
    pub runtime: Handle,
    /// Where it is noted which archives are about to appear, each in a file of its own.
    pub notes: SealedFolder,
    pub stop: Stop,
    pub given_up: Arc<AtomicBool>,
    pub bytes: Arc<AtomicU64>,
}

/// What became of an archive.
pub(super) enum Resealed {
    /// It is stored in the target.
    Done(Box<ArchiveRecord>),
    /// It is not, because of this.
    Wrong(String),
}

/// The file that notes an archive.
pub(super) fn note_of(record: &ArchiveRecord) -> String {
    format!("{}.age", record.id)
}

/// What was found on the way through an archive.
struct Through {
    sha256: Digest,
    header_sha256: Digest,
    header_bytes: u64,
}

impl Resealing {
    /// Brings one archive over. Blocks.
    ///
    /// # Errors
    /// When a store or the state fails, or the user stops the run.
    pub fn reseal(&self, record: &ArchiveRecord) -> Result<Resealed, OperationError> {
        let place = self.runtime.block_on(self.source.place_of(&record.object))?;
        let (sink, uploaded) = UploadSink::begin(&self.target, &record.object, &self.runtime)?;
        let (head, key) = header::seal(&self.recipients)?;
        let mut parts = PartsWriter::new(sink, self.pool.clone());
        let written = parts.write_all(&head).map_err(ArchiveError::from);
        let mut payload = PayloadWriter::new(key, parts);
        let through = written
            .and_then(|()| {
                self.through((&self.source.storage, &place), record, &self.identities, &mut |plain| Ok(payload.write_all(plain)?))
            })
            .and_then(|through| Ok((through, payload.finish()?.finish()?)));
        let (through, (sink, sha256_there, length)) = match through {
            Ok(ended) => ended,
            Err(error) => {
                if self.is_stopped() {
                    return Err(OperationError::Interrupted);
                }
                // A closed channel only says that the upload has failed.
                if let Ok(Err(error)) = self.runtime.block_on(uploaded) {
                    return Err(error.into());
                }
                return self.wrong(record, error);
            }
        };
        if through.sha256 != record.sha256 || through.header_sha256 != record.header_sha256 {
            drop(sink);
            return Ok(Resealed::Wrong("its SHA-256 does not match".into()));
        }
        let header_bytes = head.len() as u64;
        let own = record.own.and_then(|own| {
            let from = own.from.checked_sub(own.header)?.checked_add(header_bytes)?;
            Some(OwnPlace { header: header_bytes, from })
        });
        let stored = ArchiveRecord { length, sha256: sha256_there, header_sha256: sha256(&head), own, ..record.clone() };
        // Noted before it can appear: nobody could tell what it is afterwards without reading it.
        self.notes.write_json(&note_of(&stored), &stored)?;
        sink.end();
        match self.runtime.block_on(uploaded) {
            Ok(result) => result?,
            Err(_) => return Err(OperationError::Internal("an upload ended without a result".into())),
        }
        Ok(Resealed::Done(Box::new(stored)))
    }

    /// Takes an archive that the target has, and nobody knows anything of, as the copy of `record` if it holds the very same. Blocks.
    ///
    /// # Errors
    /// As [`Self::reseal`].
    pub fn adopt(&self, record: &ArchiveRecord, length: u64, identities: &Identities) -> Result<Resealed, OperationError> {
        let place = self.runtime.block_on(self.source.place_of(&record.object))?;
        let plain_of = |from: (&Storage, &str), record: &ArchiveRecord, identities: &Identities| {
            let mut plain = Hasher::new();
            let through = self.through(from, record, identities, &mut |bytes| {
                plain.update(bytes);
                Ok(())
            });
            through.map(|through| (through, plain.finish()))
        };
        let there = ArchiveRecord { length, ..record.clone() };
        let both = plain_of((&self.target, &record.object), &there, identities)
            .and_then(|there| plain_of((&self.source.storage, &place), record, &self.identities).map(|here| (there, here)));
        match both {
            Ok(((there, plain_there), (here, plain_here))) => {
                if plain_there != plain_here || here.sha256 != record.sha256 {
                    return Ok(Resealed::Wrong("the target has something else under this name".into()));
                }
                let own = record.own.and_then(|own| {
                    let from = own.from.checked_sub(own.header)?.checked_add(there.header_bytes)?;
                    Some(OwnPlace { header: there.header_bytes, from })
                });
                let Through { sha256, header_sha256, .. } = there;
                Ok(Resealed::Done(Box::new(ArchiveRecord { length, sha256, header_sha256, own, ..record.clone() })))
            }
            Err(_) if self.is_stopped() => Err(OperationError::Interrupted),
            Err(error) => self.wrong(record, error),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_wanted() || self.given_up.load(Ordering::Relaxed)
    }

    /// Sets apart what is wrong with an archive from what is wrong with the way to it.
    fn wrong(&self, record: &ArchiveRecord, source: ArchiveError) -> Result<Resealed, OperationError> {
        let what = with_causes(&source);
        let error = RepositoryError::Archive { id: record.id, source };
        if error.is_integrity() { Ok(Resealed::Wrong(what)) } else { Err(error.into()) }
    }

    /// Reads an archive from its start to its end, and hands what is in it to `each`.
    fn through(
        &self,
        (storage, place): (&Storage, &str),
        record: &ArchiveRecord,
        identities: &Identities,
        each: &mut dyn FnMut(&[u8]) -> Result<(), ArchiveError>,
    ) -> Result<Through, ArchiveError> {
        let object = StoredObject::new(storage.clone(), place.to_owned(), self.runtime.clone());
        let (head, key) = open_header(&object, record.length, identities)?;
        let header_bytes = head.len() as u64;
        payload::plain_length(record.length.saturating_sub(header_bytes))?;
        let mut hasher = Hasher::new();
        hasher.update(&head);
        let (mut at, mut chunk, mut plain) = (header_bytes, 0, Vec::new());
        while at < record.length {
            if self.is_stopped() {
                return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
            }
            let end = (at + CHUNKS * SEALED_CHUNK_BYTES as u64).min(record.length);
            let sealed = object.read_at(at..end)?;
            self.bytes.fetch_add(end - at, Ordering::Relaxed);
            hasher.update(&sealed);
            payload::open_chunks(&key, chunk, end == record.length, &sealed, &mut plain)?;
            each(&plain)?;
            (at, chunk) = (end, chunk + CHUNKS);
        }
        Ok(Through { sha256: hasher.finish(), header_sha256: sha256(&head), header_bytes })
    }
}

/// Reads and opens the header of an archive: its bytes with the nonce, and the key of what follows.
fn open_header(object: &StoredObject, length: u64, identities: &Identities) -> Result<(Vec<u8>, PayloadKey), ArchiveError> {
    let mut head = object.read_at(0..length.min(HEAD_BYTES))?;
    loop {
        match header::open(&head, identities) {
            Ok((bytes, key)) => return Ok((head.get(..bytes).unwrap_or_default().to_vec(), key)),
            Err(CryptError::Incomplete) if (head.len() as u64) < length.min(MAX_HEADER_BYTES as u64) => {
                head = object.read_at(0..length.min(MAX_HEADER_BYTES as u64))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
