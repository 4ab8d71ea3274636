//! One object on its way from one store to another. It appears at the target only when it is what it should be.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BytesMut};
use futures::StreamExt;

use crate::crypt::digest::Hasher;
use crate::model::digest::Digest;
use crate::operations::OperationError;
use crate::operations::stop::Stop;
use crate::repository::inventory::MISSING;
use crate::storage::{PART_BYTES, Storage, StorageError};

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// It is at the target.
    Done,
    /// It is not, because of this.
    Wrong(String),
}

/// An object, and what is known of it beforehand.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub name: String,
    /// What it is called at the target, if it is something else.
    pub to: Option<String>,
    pub length: u64,
    /// Where something vouches for it.
    pub sha256: Option<Digest>,
}

/// What the target says when a name is taken by something else.
pub(super) const OTHER_BYTES: &str = "the copy has other bytes under this name";

/// Brings one object over, reading it once. `bytes` counts what has come.
///
/// # Errors
/// When either store fails for good, or the user stops it.
pub(super) async fn transfer(
    source: &Storage,
    target: &Storage,
    wanted: &Wanted,
    stop: &Stop,
    bytes: &AtomicU64,
) -> Result<Moved, OperationError> {
    let mut reader = match source.get_stream(&wanted.name).await {
        Ok(reader) => reader,
        Err(StorageError::NotFound { .. }) => return Ok(Moved::Wrong(MISSING.into())),
        Err(error) => return Err(error.into()),
    };
    if reader.size_bytes() != wanted.length {
        return Ok(Moved::Wrong(format!("it has {} bytes instead of {}", reader.size_bytes(), wanted.length)));
    }
    let mut upload = target.upload(wanted.to.as_ref().unwrap_or(&wanted.name))?;
    let (mut hasher, mut part) = (Hasher::new(), BytesMut::new());
    let ended = loop {
        if stop.is_wanted() {
            break Err(OperationError::Interrupted);
        }
        let mut piece = match reader.next().await {
            None => break Ok(None),
            Some(Ok(piece)) => piece,
            Some(Err(error @ (StorageError::NotFound { .. } | StorageError::WrongLength { .. }))) => break Ok(Some(error.to_string())),
            Some(Err(error)) => break Err(error.into()),
        };
        hasher.update(&piece);
        bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        let mut sent = Ok(());
        while !piece.is_empty() && sent.is_ok() {
            let room = PART_BYTES - part.len();
            part.reserve(room.min(piece.len().max(usize::try_from(wanted.length).unwrap_or(PART_BYTES).min(room))));
            part.extend_from_slice(&piece[..room.min(piece.len())]);
            piece.advance(room.min(piece.len()));
            if part.len() == PART_BYTES {
                sent = upload.part(part.split().freeze()).await;
            }
        }
        if let Err(error) = sent {
            break Err(error.into());
        }
    };
    let wrong = match ended {
        Ok(wrong) => wrong.or_else(|| {
            let is_sound = wanted.sha256.is_none_or(|sha256| hasher.finish() == sha256);
            (!is_sound).then(|| "its SHA-256 does not match".to_owned())
        }),
        Err(error) => {
            give_up(upload).await;
            return Err(error);
        }
    };
    if let Some(wrong) = wrong {
        give_up(upload).await;
        return Ok(Moved::Wrong(wrong));
    }
    if !part.is_empty() {
        upload.part(part.freeze()).await?;
    }
    match upload.complete().await {
        Ok(()) => Ok(Moved::Done),
        Err(StorageError::Exists { .. }) => Ok(Moved::Wrong(OTHER_BYTES.into())),
        Err(error) => Err(error.into()),
    }
}

async fn give_up(upload: crate::storage::Upload) {
    if let Err(error) = upload.abort().await {
        // It is noted, and the next run removes it.
        tracing::warn!(%error, "an upload that was given up could not be removed");
    }
}
