//! The contents that a state points at, read from its archives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

use super::archives::StoredObject;
use super::format::snapshot::ArchiveRecord;
use super::tree::{Place, Tree};
use super::{Repository, RepositoryError};
use crate::archive::ArchiveError;
use crate::archive::index::Located;
use crate::archive::reader::ArchiveReader;
use crate::crypt::keys::Identities;

type Reader = Arc<ArchiveReader<StoredObject>>;

/// The archives of a state, each opened once. Reading blocks: not for the runtime's own threads.
pub struct Contents {
    repository: Repository,
    records: Vec<ArchiveRecord>,
    identities: Arc<Identities>,
    runtime: Handle,
    open: Mutex<HashMap<u32, Reader>>,
}

impl Contents {
    /// The contents of `tree`; none of its archives is opened yet.
    pub fn new(repository: &Repository, tree: &Tree, identities: &Arc<Identities>, runtime: &Handle) -> Self {
        Self {
            repository: repository.clone(),
            records: tree.archives.clone(),
            identities: Arc::clone(identities),
            runtime: runtime.clone(),
            open: Mutex::default(),
        }
    }

    /// The archive with this number.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn archive(&self, number: u32) -> Result<Reader, RepositoryError> {
        if let Some(reader) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Ok(Arc::clone(reader));
        }
        let record = self.records.get(number as usize);
        let record = record.ok_or_else(|| RepositoryError::Missing { name: format!("archive {number} of the snapshot") })?;
        let reader = Arc::new(self.repository.open_archive(record, &self.identities, &self.runtime)?);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&reader));
        Ok(reader)
    }

    /// An error of an archive, with the archive's name.
    pub fn failed(&self, number: u32, source: ArchiveError) -> RepositoryError {
        match self.records.get(number as usize) {
            Some(record) => RepositoryError::Archive { id: record.id, source },
            None => RepositoryError::Missing { name: format!("archive {number} of the snapshot") },
        }
    }

    /// Hands the content at `place` to `each`, piece by piece, unchecked against its digest.
    ///
    /// # Errors
    /// When the archive cannot be read, or `each` fails.
    pub fn read(&self, place: &Place, each: &mut dyn FnMut(&[u8]) -> Result<(), ArchiveError>) -> Result<(), RepositoryError> {
        let located = Located {
            sha256: place.sha256,
            archive: None,
            frame: place.frame,
            offset: place.offset,
            length: place.length,
            short: false,
            part: None,
        };
        self.archive(place.archive)?.content(&located, each).map_err(|error| self.failed(place.archive, error))
    }
}
