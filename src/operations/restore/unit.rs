//! Restoring one unit: read its frames in one sweep, write its files, check each before it gets its name.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

use super::plan::{PlannedFile, Unit};
use super::report::Arriving;
use super::{Report, with_causes};
use crate::archive::ArchiveError;
use crate::archive::reader::{ArchiveReader, Scratch};
use crate::crypt::digest::Hasher;
use crate::crypt::keys::Identities;
use crate::model::digest::Digest;
use crate::operations::OperationError;
use crate::repository::archives::StoredObject;
use crate::repository::format::snapshot::ArchiveRecord;
use crate::repository::tree::{Place, Tree};
use crate::repository::{Repository, RepositoryError};
use crate::target::{FileWriter, TargetError, TargetFolder};

type Reader = Arc<ArchiveReader<StoredObject>>;

/// The archives of a snapshot, each opened once.
pub(in crate::operations) struct Archives {
    repository: Repository,
    records: Vec<ArchiveRecord>,
    identities: Arc<Identities>,
    runtime: Handle,
    open: Mutex<HashMap<u32, Reader>>,
}

impl Archives {
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
    pub fn get(&self, number: u32) -> Result<Reader, RepositoryError> {
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
}

/// A file on its way.
struct OpenFile<'f, 'p> {
    file: &'f PlannedFile<'p>,
    place: &'f Place,
    writer: FileWriter,
    hasher: Hasher,
    arriving: Arriving<'f>,
    left: u64,
}

/// Restores units, one after the other.
pub(super) struct UnitWorker<'a> {
    archives: &'a Archives,
    target: &'a TargetFolder,
    report: &'a Report,
    scratch: Scratch,
}

impl<'a> UnitWorker<'a> {
    pub fn new(archives: &'a Archives, target: &'a TargetFolder, report: &'a Report) -> Self {
        Self { archives, target, report, scratch: Scratch::default() }
    }

    /// Restores one unit; what fails file by file is reported.
    ///
    /// # Errors
    /// When the target is of no use any more.
    pub fn restore(&mut self, unit: &Unit<'_>) -> Result<(), OperationError> {
        match unit {
            Unit::Run(files) => self.restore_run(files),
            Unit::Parts(file) => self.restore_parts(file),
            Unit::Plain(file) if file.entry.stored_size() == 0 => match self.begin(file)? {
                Some(writer) => self.commit(file, writer),
                None => Ok(()),
            },
            Unit::Plain(file) => {
                self.report.problem(file.path, "the snapshot holds only some of its parts: it was interrupted while this file was stored");
                Ok(())
            }
        }
    }

    fn begin(&self, file: &PlannedFile<'_>) -> Result<Option<FileWriter>, OperationError> {
        match self.target.file(file.path, &file.meta(), file.entry.stored_size(), file.entry.sparse) {
            Ok(writer) => Ok(Some(writer)),
            Err(error) => self.report.refused(file.path, error).map(|()| None),
        }
    }

    fn commit(&self, file: &PlannedFile<'_>, writer: FileWriter) -> Result<(), OperationError> {
        match writer.commit() {
            Ok(()) => {
                self.report.restored(file.entry.size);
                Ok(())
            }
            Err(error) => self.report.refused(file.path, error),
        }
    }

    /// Takes the content that has come, checked, or reports what is wrong with it.
    fn end(&self, open: OpenFile<'_, '_>) -> Result<(), OperationError> {
        if is_sound(open.hasher, &open.place.sha256) {
            self.commit(open.file, open.writer)
        } else {
            self.report.damaged(open.file.path, "its content is not what was stored: the SHA-256 does not match; it was not restored");
            Ok(())
        }
    }

    fn restore_run(&mut self, files: &[(PlannedFile<'_>, &Place)]) -> Result<(), OperationError> {
        let (Some((_, first)), Some((_, last))) = (files.first(), files.last()) else { return Ok(()) };
        let mut queue = files.iter();
        let mut open: Option<OpenFile<'_, '_>> = None;
        let mut fatal = None;
        let mut scratch = std::mem::take(&mut self.scratch);
        let read = (|| -> Result<(), RepositoryError> {
            let reader = self.archives.get(first.archive)?;
            let failed = |error| self.archives.failed(first.archive, error);
            let end = last.offset + last.length;
            let frames = reader.frame_at(first.offset).map_err(failed)?..reader.frame_at(end - 1).map_err(failed)? + 1;
            let scanned = reader.scan(frames, &mut scratch, &mut |start, plain| {
                let frame_end = start + plain.len() as u64;
                if self.report.stop.is_wanted() {
                    fatal = Some(OperationError::Interrupted);
                    return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
                }
                loop {
                    if open.is_none() {
                        let Some((file, place)) = queue.as_slice().first().filter(|(_, place)| place.offset < frame_end) else {
                            return Ok(());
                        };
                        queue.next();
                        match self.begin(file) {
                            Ok(Some(writer)) => {
                                let arriving = self.report.arriving();
                                open = Some(OpenFile { file, place, writer, hasher: Hasher::new(), arriving, left: place.length });
                            }
                            Ok(None) => continue,
                            Err(error) => {
                                fatal = Some(error);
                                return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
                            }
                        }
                    }
                    let Some(current) = &mut open else { return Ok(()) };
                    let from = (current.place.offset + current.place.length - current.left).saturating_sub(start) as usize;
                    let piece = plain.get(from..).unwrap_or_default();
                    let piece = piece.get(..usize::try_from(current.left).unwrap_or(usize::MAX)).unwrap_or(piece);
                    current.hasher.update(piece);
                    current.left -= piece.len() as u64;
                    current.arriving.add(piece.len());
                    let written = current.writer.write_all(piece);
                    let is_done = current.left == 0;
                    if let Err(error) = written {
                        if let Some(current) = open.take() {
                            let error = TargetError::from_write(current.file.path, error);
                            if let Err(error) = self.report.refused(current.file.path, error) {
                                fatal = Some(error);
                                return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
                            }
                        }
                        continue;
                    }
                    if !is_done {
                        return Ok(());
                    }
                    if let Some(Err(error)) = open.take().map(|current| self.end(current)) {
                        fatal = Some(error);
                        return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
                    }
                }
            });
            scanned.map_err(failed)
        })();
        self.scratch = scratch;
        if let Some(error) = fatal {
            return Err(error);
        }
        if let Err(error) = read {
            let lost = open.take().map(|current| *current.file).into_iter().chain(queue.map(|(file, _)| *file));
            for file in lost {
                self.lost(&file, &error);
            }
        }
        Ok(())
    }

    /// Reports a file whose content cannot be read from the store.
    fn lost(&self, file: &PlannedFile<'_>, error: &RepositoryError) {
        let what = format!("its content cannot be read: {}", with_causes(error));
        if error.is_integrity() { self.report.damaged(file.path, &what) } else { self.report.problem(file.path, &what) }
    }

    fn restore_parts(&self, file: &PlannedFile<'_>) -> Result<(), OperationError> {
        if !file.entry.short && file.entry.stored_size() != file.entry.size {
            self.report.damaged(file.path, "its parts do not make up its size; it was not restored");
            return Ok(());
        }
        let Some(mut writer) = self.begin(file)? else { return Ok(()) };
        let mut refused = None;
        let mut written = 0;
        let mut arriving = self.report.arriving();
        for (at, place) in file.entry.pieces().unwrap_or_default() {
            let gap = at.saturating_sub(written);
            if let Err(error) = std::io::copy(&mut std::io::repeat(0).take(gap), &mut writer) {
                return self.report.refused(file.path, TargetError::from_write(file.path, error));
            }
            written = at + place.length;
            let mut hasher = Hasher::new();
            let read = self.read_place(&place, &mut |piece| {
                if self.report.stop.is_wanted() {
                    return Err(ArchiveError::Io(std::io::ErrorKind::Interrupted.into()));
                }
                arriving.add(piece.len());
                hasher.update(piece);
                writer.write_all(piece).map_err(|error| {
                    refused = Some(TargetError::from_write(file.path, error));
                    ArchiveError::Io(std::io::ErrorKind::Interrupted.into())
                })
            });
            if self.report.stop.is_wanted() {
                return Err(OperationError::Interrupted);
            }
            if let Some(error) = refused {
                return self.report.refused(file.path, error);
            }
            if let Err(error) = read {
                self.lost(file, &error);
                return Ok(());
            }
            if !is_sound(hasher, &place.sha256) {
                self.report.damaged(file.path, "one of its parts is not what was stored; it was not restored");
                return Ok(());
            }
        }
        self.commit(file, writer)
    }

    fn read_place(&self, place: &Place, each: &mut dyn FnMut(&[u8]) -> Result<(), ArchiveError>) -> Result<(), RepositoryError> {
        read_place(self.archives, place, each)
    }
}

/// Hands a piece of content to `each`, unchecked against its digest.
///
/// # Errors
/// When the archive cannot be read, or `each` fails.
pub(in crate::operations) fn read_place(
    archives: &Archives,
    place: &Place,
    each: &mut dyn FnMut(&[u8]) -> Result<(), ArchiveError>,
) -> Result<(), RepositoryError> {
    let located = crate::archive::index::Located {
        sha256: place.sha256,
        archive: None,
        frame: place.frame,
        offset: place.offset,
        length: place.length,
        short: false,
        part: None,
    };
    archives.get(place.archive)?.content(&located, each).map_err(|error| archives.failed(place.archive, error))
}

fn is_sound(hasher: Hasher, expected: &Digest) -> bool {
    hasher.finish() == *expected
}
