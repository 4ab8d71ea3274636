//! An archive that is being written to the store, and what those who write one need.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::journal::{Intent, Intents, Order};
use super::planner::Removals;
use super::upload::{UploadSink, Uploaded};
use crate::archive::index::IndexEntry;
use crate::archive::parts::PartPool;
use crate::archive::writer::{ArchiveWriter, Timings};
use crate::crypt::keys::Recipients;
use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::repository::format::names;
use crate::repository::format::pack::ends;
use crate::repository::format::snapshot::{ArchiveRecord, OwnPlace};
use crate::repository::pieces::Pieces;
use crate::repository::random_id;
use crate::storage::Storage;

/// An archive that is stored for good.
pub(super) struct Finished {
    pub record: ArchiveRecord,
    pub marks: Vec<u64>,
    pub timings: Timings,
}

/// What lanes report.
pub(super) enum Report {
    /// An archive is stored.
    Archive(Box<Finished>),
    /// A known content has a new name or new metadata; noted when the run ends.
    Reference(Box<IndexEntry>, u64),
    /// The item with this mark is stored already, just as it is.
    Unchanged(u64),
}

/// What every lane needs.
#[derive(Clone)]
pub(super) struct LaneSetup {
    pub storage: Storage,
    pub recipients: Arc<Recipients>,
    pub pool: PartPool,
    pub runtime: Handle,
    pub reports: mpsc::UnboundedSender<Result<Report, OperationError>>,
    pub removals: Removals,
    pub intents: Intents,
    pub pieces: Pieces,
}

/// An archive being written.
pub(super) struct OpenArchive {
    pub writer: ArchiveWriter<UploadSink>,
    pub uploaded: Uploaded,
    object: String,
    /// For the journal.
    pub entries: Vec<IndexEntry>,
    /// Of the items in it.
    pub marks: Vec<u64>,
}

impl OpenArchive {
    /// Begins an archive and its upload.
    ///
    /// # Errors
    /// When the system has no randomness, or the recipients cannot be used.
    pub fn begin(setup: &LaneSetup) -> Result<Self, OperationError> {
        let id = random_id()?;
        let object = names::archive(jiff::Timestamp::now(), id);
        let (sink, uploaded) = UploadSink::begin(&setup.storage, &object, &setup.runtime)?;
        let writer = ArchiveWriter::new(id, &setup.recipients, sink, setup.pool.clone())?;
        Ok(Self { writer, uploaded, object, entries: Vec::new(), marks: Vec::new() })
    }

    /// Ends the archive, in the journal before it can appear in the store: where it stands, and what it adds to the state and
    /// removes from it. Then its upload may end, which is to be waited for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn seal(
        self,
        setup: &LaneSetup,
        standing: Standing,
        entries: &[IndexEntry],
        remove: &[EntryPath],
    ) -> Result<(ArchiveRecord, Uploaded), OperationError> {
        let (sealed, sink) = self.writer.finish()?;
        let record = ArchiveRecord {
            id: sealed.id,
            object: self.object,
            length: sealed.length,
            sha256: sealed.sha256,
            header_sha256: sealed.header_sha256,
            merged: standing.merged,
            own: Some(OwnPlace { header: sealed.header_bytes, from: sealed.own_from }),
        };
        // What was just written need not be read again.
        if let Some(bytes) = &sink.small {
            let piece = |from: u64, to: u64| Some(bytes.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?.to_vec().into());
            let (head, end) = ends(&record.object);
            if let (Some(header), Some(own)) = (piece(0, sealed.header_bytes), piece(sealed.own_from, sealed.length)) {
                setup.pieces.keep(&head, &header);
                setup.pieces.keep(&end, &own);
            }
        }
        setup.intents.note(Intent::new(record.clone(), standing.order, standing.lane, setup.removals.noted()), entries, remove)?;
        sink.end();
        Ok((record, self.uploaded))
    }
}

/// Where an archive stands among those of its run.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    /// Before or after the others.
    pub order: Order,
    /// The lane that made it; [`OWN_LANE`] for the run's own.
    pub lane: u32,
    /// Whether it is a merged index.
    pub merged: bool,
}

/// The number of no lane.
pub(super) const OWN_LANE: u32 = u32::MAX;

/// Waits for an upload.
///
/// # Errors
/// When it failed.
pub(super) async fn wait_for(uploaded: Uploaded) -> Result<(), OperationError> {
    match uploaded.await {
        Ok(result) => Ok(result?),
        Err(_) => Err(OperationError::Internal("an upload ended without a result".into())),
    }
}
