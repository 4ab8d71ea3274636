//! Reading files of a snapshot into memory: small ones, each checked against its SHA-256.

use std::borrow::Borrow;

use super::OpenSnapshot;
use super::frames::SMALL_BYTES;
use crate::archive::ArchiveError;
use crate::crypt::digest::{Hasher, sha256};
use crate::model::causes::with_causes;
use crate::model::entry::{EntryPath, Kind};
use crate::operations::OperationError;
use crate::repository::RepositoryError;
use crate::repository::contents::Contents;
use crate::repository::tree::{Place, TreeEntry};

/// The longest file that is read into memory. A batch of a log has 4 MiB, unless one message alone has more.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Files that lie closer together than this are read in one sweep.
const MAX_GAP_BYTES: u64 = 1024 * 1024;

/// Bytes that one sweep goes over, about.
const SWEEP_BYTES: u64 = 8 * 1024 * 1024;

/// Takes a file's path and its content.
type Taken<'a> = dyn FnMut(&EntryPath, Result<&[u8], OperationError>) + 'a;

impl OpenSnapshot {
    /// The content of a small file.
    ///
    /// # Errors
    /// When there is no such file, it is longer than [`MAX_FILE_BYTES`], it cannot be read, or its SHA-256 does not match.
    pub fn read(&self, path: &EntryPath) -> Result<Vec<u8>, OperationError> {
        let entry = self
            .tree()
            .get(path)
            .ok_or_else(|| OperationError::NoSuchPath { path: path.to_string(), snapshot: self.snapshot().id.to_string() })?;
        if entry.kind != Kind::File {
            return Err(OperationError::NotAFile { path: path.to_string() });
        }
        if entry.size > MAX_FILE_BYTES {
            return Err(too_long(path));
        }
        if let Some([place]) = entry.places().as_deref()
            && (1..=SMALL_BYTES).contains(&place.length)
        {
            let content = self.shared.frames.content(&self.shared.contents, place)?;
            let sound = sha256(&content) == place.sha256;
            return if sound { Ok(content) } else { Err(OperationError::Content { path: path.to_string() }) };
        }
        let mut content = Vec::with_capacity(entry.size as usize);
        self.stream(path, &mut |piece| {
            content.extend_from_slice(piece);
            if content.len() as u64 > MAX_FILE_BYTES { Err(std::io::Error::other("it is longer than its entry says")) } else { Ok(()) }
        })?;
        Ok(content)
    }

    /// Hands the content of a file to `each`, piece by piece. What was handed out is not to be used when this fails.
    ///
    /// # Errors
    /// When there is no such file, it cannot be read, or its SHA-256 does not match; [`OperationError::Output`] with what `each`
    /// said.
    pub fn stream(&self, path: &EntryPath, each: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> Result<(), OperationError> {
        let missing = || OperationError::NoSuchPath { path: path.to_string(), snapshot: self.snapshot().id.to_string() };
        self.stream_entry(path, &self.tree().get(path).ok_or_else(missing)?, each)
    }

    /// The same of an entry of the tree that `path` stands for.
    ///
    /// # Errors
    /// As [`Self::stream`].
    pub fn stream_entry(
        &self,
        path: &EntryPath,
        entry: &TreeEntry,
        each: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), OperationError> {
        stream_content(&self.shared.contents, path, entry, each)
    }

    /// Hands bytes `from..to` of an entry of the tree that `path` stands for to `each`, piece by piece, out of just the frames that have
    /// them. age vouches for each piece; the digest of the whole file is not looked at.
    ///
    /// # Errors
    /// When only some of its parts are stored, it cannot be read, or `each` fails.
    pub fn read_range(
        &self,
        path: &EntryPath,
        entry: &TreeEntry,
        from: u64,
        to: u64,
        each: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), OperationError> {
        let incomplete = || RepositoryError::damaged(&path.to_string(), "the snapshot holds only some of its parts");
        let mut at = from;
        for (start, place) in entry.pieces().ok_or_else(incomplete)? {
            let end = start.saturating_add(place.length).min(to);
            if end <= at {
                continue;
            }
            // Where a part was read short, the file has zeros.
            zeros(start.saturating_sub(at), each)?;
            at = at.max(start);
            let part = Place { offset: place.offset.saturating_add(at - start), length: end - at, ..place };
            let mut refused = None;
            let read = self.shared.contents.read(&part, &mut |piece| {
                each(piece).map_err(|error| {
                    refused = Some(error);
                    ArchiveError::Io(std::io::ErrorKind::Interrupted.into())
                })
            });
            if let Some(error) = refused {
                return Err(OperationError::Output(error));
            }
            read?;
            at = end;
        }
        Ok(())
    }

    /// Reads many small files in the order in which they are stored, neighbours in one sweep, and hands each to `taken`.
    ///
    /// # Errors
    /// When the store fails as a whole; what is wrong with one file is handed to `taken`.
    pub fn sweep<P: Borrow<EntryPath>>(&self, paths: &[P], taken: &mut Taken<'_>) -> Result<(), OperationError> {
        let mut placed: Vec<(Place, &EntryPath)> = Vec::new();
        for path in paths.iter().map(Borrow::borrow) {
            match self.tree().get(path).and_then(|entry| entry.places()).as_deref() {
                Some([place]) if place.length > 0 && place.length <= SWEEP_BYTES => placed.push((*place, path)),
                // Empty, in parts, very long, or not there.
                _ => match self.read(path) {
                    Ok(bytes) => taken(path, Ok(&bytes)),
                    Err(error) if error.is_of_the_store() => return Err(error),
                    Err(error) => taken(path, Err(error)),
                },
            }
        }
        placed.sort_by_key(|(place, _)| (place.archive, place.offset));
        let mut rest = placed.as_slice();
        while let Some((first, _)) = rest.first() {
            let mut end = first.offset.saturating_add(first.length);
            let near = rest.iter().take_while(|(place, _)| {
                let near = place.archive == first.archive
                    && place.offset <= end.saturating_add(MAX_GAP_BYTES)
                    && place.offset.saturating_sub(first.offset) < SWEEP_BYTES;
                end = if near { end.max(place.offset.saturating_add(place.length)) } else { end };
                near
            });
            let count = near.count().max(1);
            let (now, later) = rest.split_at(count);
            rest = later;
            self.sweep_over(now, end, taken)?;
        }
        Ok(())
    }

    /// Files of one archive up to byte `end` of its tar stream, in one read.
    fn sweep_over(&self, files: &[(Place, &EntryPath)], end: u64, taken: &mut Taken<'_>) -> Result<(), OperationError> {
        let Some((first, _)) = files.first() else { return Ok(()) };
        let whole = Place { length: end.saturating_sub(first.offset), ..*first };
        let mut bytes = Vec::with_capacity(whole.length as usize);
        let read = self.shared.contents.read(&whole, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        match read {
            Ok(()) => {}
            Err(error) if !error.is_integrity() => return Err(error.into()),
            // One of them is damaged, and the others may be had.
            Err(error) if files.len() == 1 => {
                for (_, path) in files {
                    taken(path, Err(RepositoryError::damaged(&path.to_string(), with_causes(&error)).into()));
                }
                return Ok(());
            }
            Err(_) => {
                for file in files {
                    let end = file.0.offset.saturating_add(file.0.length);
                    self.sweep_over(std::slice::from_ref(file), end, taken)?;
                }
                return Ok(());
            }
        }
        for (place, path) in files {
            let from = place.offset.saturating_sub(first.offset) as usize;
            let content = bytes.get(from..from.saturating_add(place.length as usize)).unwrap_or_default();
            let sound = sha256(content) == place.sha256;
            taken(path, if sound { Ok(content) } else { Err(OperationError::Content { path: path.to_string() }) });
        }
        Ok(())
    }
}

fn zeros(count: u64, each: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> Result<(), OperationError> {
    let zeros = [0; 4096];
    let mut left = count;
    while left > 0 {
        let some = zeros.get(..left.min(4096) as usize).unwrap_or_default();
        each(some).map_err(OperationError::Output)?;
        left -= some.len() as u64;
    }
    Ok(())
}

/// Hands the content of a file to `each`, piece by piece, as [`OpenSnapshot::stream`] does.
///
/// # Errors
/// As there.
fn stream_content(
    contents: &Contents,
    path: &EntryPath,
    entry: &TreeEntry,
    each: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(), OperationError> {
    if entry.kind != Kind::File {
        return Err(OperationError::NotAFile { path: path.to_string() });
    }
    let incomplete = || RepositoryError::damaged(&path.to_string(), "the snapshot holds only some of its parts");
    let mut written = 0;
    for (at, place) in entry.pieces().ok_or_else(incomplete)? {
        // Where a part was read short, the file has zeros.
        zeros(at.saturating_sub(written), each)?;
        written = at + place.length;
        let mut hasher = Hasher::new();
        let mut refused = None;
        let read = contents.read(&place, &mut |piece| {
            hasher.update(piece);
            each(piece).map_err(|error| {
                refused = Some(error);
                ArchiveError::Io(std::io::ErrorKind::Interrupted.into())
            })
        });
        if let Some(error) = refused {
            return Err(OperationError::Output(error));
        }
        read?;
        if hasher.finish() != place.sha256 {
            return Err(OperationError::Content { path: path.to_string() });
        }
    }
    Ok(())
}

fn too_long(path: &EntryPath) -> OperationError {
    OperationError::Form { path: path.to_string(), why: format!("it is longer than {} MiB", MAX_FILE_BYTES >> 20) }
}
