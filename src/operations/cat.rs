//! Streaming one file of a snapshot.

use std::io::{Read, Write};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::OperationError;
use super::choice::SnapshotChoice;
use super::restore::{Archives, read_place};
use super::session::Session;
use crate::archive::ArchiveError;
use crate::crypt::digest::Hasher;
use crate::model::entry::{EntryPath, Kind};
use crate::repository::RepositoryError;

/// Writes the content of one file to `out`. Unlike a restore it cannot take back what it has written: a content that turns out
/// wrong is an error after its last byte.
///
/// # Errors
/// When there is no such file, it cannot be read or written, or its SHA-256 does not match.
pub async fn cat<W: Write + Send + 'static>(
    session: &Session,
    choice: &SnapshotChoice,
    path: EntryPath,
    mut out: W,
) -> Result<(), OperationError> {
    let opened = session.open().await?;
    let identity = opened.identity()?;
    let (_, snapshot) = choice.find(&opened).await?;
    let tree = opened.repository.tree(&snapshot, &identity.identities, None).await?;
    let runtime = Handle::current();
    let (repository, identities) = (opened.repository.clone(), Arc::clone(&identity.identities));
    tokio::task::spawn_blocking(move || {
        let shown = path.to_string();
        let missing = || OperationError::NoSuchPath { path: shown.clone(), snapshot: snapshot.id.to_string() };
        let mut entry = tree.get(&path).ok_or_else(missing)?;
        if let Kind::Hardlink { target } = &entry.kind {
            entry = tree.get(target).ok_or_else(missing)?;
        }
        if entry.kind != Kind::File {
            return Err(OperationError::NotAFile { path: shown });
        }
        let archives = Archives::new(&repository, &tree, &identities, &runtime);
        let incomplete = || RepositoryError::damaged(&shown, "the snapshot holds only some of its parts");
        let mut written = 0;
        for (at, place) in &entry.pieces().ok_or_else(incomplete)? {
            let gap = at.saturating_sub(written);
            std::io::copy(&mut std::io::repeat(0).take(gap), &mut out).map_err(OperationError::Output)?;
            written = at + place.length;
            let mut hasher = Hasher::new();
            let mut failed = None;
            let read = read_place(&archives, place, &mut |piece| {
                hasher.update(piece);
                out.write_all(piece).map_err(|error| {
                    failed = Some(error);
                    ArchiveError::Io(std::io::ErrorKind::Interrupted.into())
                })
            });
            if let Some(error) = failed {
                return Err(OperationError::Output(error));
            }
            read?;
            if hasher.finish() != place.sha256 {
                return Err(OperationError::Content { path: shown });
            }
        }
        out.flush().map_err(OperationError::Output)
    })
    .await?
}
