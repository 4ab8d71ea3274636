//! An archive that is being written to the store.

use super::upload::{UploadSink, Uploaded};
use super::{Archiving, Note};
use crate::archive::index::IndexEntry;
use crate::archive::writer::ArchiveWriter;
use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::repository::format::names;
use crate::repository::format::pack::ends;
use crate::repository::format::snapshot::{ArchiveRecord, OwnPlace};

/// An archive being written.
pub(in crate::operations) struct OpenArchive {
    pub writer: ArchiveWriter<UploadSink>,
    uploaded: Uploaded,
    object: String,
}

impl OpenArchive {
    /// Begins an archive and its upload.
    ///
    /// # Errors
    /// When the system has no randomness, or the recipients cannot be used.
    pub fn begin(with: &Archiving) -> Result<Self, OperationError> {
        let id = with.machine.id()?;
        let object = names::archive(with.machine.now(), id);
        let (sink, uploaded) = UploadSink::begin(&with.storage, &object, &with.runtime)?;
        let writer = ArchiveWriter::new(id, &with.recipients, sink, with.pool.clone())?;
        Ok(Self { writer, uploaded, object })
    }

    /// Ends the archive, noted before it can appear in the store: what it adds to the state and removes from it. Then its upload may
    /// end, which is to be waited for.
    ///
    /// # Errors
    /// When it cannot be written or noted.
    pub fn seal(
        self,
        with: &Archiving,
        merged: bool,
        entries: &[IndexEntry],
        remove: &[EntryPath],
        note: impl Note,
    ) -> Result<(ArchiveRecord, Uploaded), OperationError> {
        let (sealed, sink) = self.writer.finish()?;
        let record = ArchiveRecord {
            id: sealed.id,
            object: self.object,
            length: sealed.length,
            sha256: sealed.sha256,
            header_sha256: sealed.header_sha256,
            merged,
            own: Some(OwnPlace { header: sealed.header_bytes, from: sealed.own_from }),
        };
        // What was just written need not be read again.
        if let Some(bytes) = &sink.small {
            let piece = |from: u64, to: u64| Some(bytes.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?.to_vec().into());
            let (head, end) = ends(&record.object);
            if let (Some(header), Some(own)) = (piece(0, sealed.header_bytes), piece(sealed.own_from, sealed.length)) {
                with.pieces.keep(&head, &header);
                with.pieces.keep(&end, &own);
            }
        }
        note(&record, entries, remove)?;
        sink.end();
        Ok((record, self.uploaded))
    }

    /// Gives the archive up because of `error`; gives what was really wrong: a closed channel only says that the upload has failed.
    pub fn give_up(self, with: &Archiving, error: crate::archive::ArchiveError) -> OperationError {
        let Self { writer, uploaded, .. } = self;
        drop(writer);
        match with.runtime.block_on(uploaded) {
            Ok(Err(error)) => error.into(),
            _ => error.into(),
        }
    }
}

/// Waits for an upload.
///
/// # Errors
/// When it failed.
pub(in crate::operations) async fn wait_for(uploaded: Uploaded) -> Result<(), OperationError> {
    match uploaded.await {
        Ok(result) => Ok(result?),
        Err(_) => Err(OperationError::Internal("an upload ended without a result".into())),
    }
}
