//! Restoring one unit: read its frames in one sweep, write its files, check each before it gets its name.

use std::io::{Read, Write};

use super::plan::{PlannedFile, Unit};
use crate::archive::ArchiveError;
use crate::archive::reader::Scratch;
use crate::crypt::digest::Hasher;
use crate::model::causes::with_causes;
use crate::model::digest::Digest;
use crate::operations::OperationError;
use crate::operations::report::{Arriving, Report};
use crate::repository::RepositoryError;
use crate::repository::contents::Contents;
use crate::repository::tree::Place;
use crate::target::{FileWriter, TargetError, TargetFolder};

/// A file on its way.
struct OpenFile<'a> {
    file: &'a PlannedFile,
    place: Place,
    writer: FileWriter,
    hasher: Hasher,
    arriving: Arriving<'a>,
    left: u64,
}

/// Restores units, one after the other.
pub(super) struct UnitWorker<'a> {
    contents: &'a Contents,
    target: &'a TargetFolder,
    report: &'a Report,
    scratch: Scratch,
}

impl<'a> UnitWorker<'a> {
    pub fn new(contents: &'a Contents, target: &'a TargetFolder, report: &'a Report) -> Self {
        Self { contents, target, report, scratch: Scratch::default() }
    }

    /// Restores one unit; what fails file by file is reported.
    ///
    /// # Errors
    /// When the target is of no use any more.
    pub fn restore(&mut self, unit: &Unit) -> Result<(), OperationError> {
        match unit {
            Unit::Run(files) => self.restore_run(files),
            Unit::Parts(file) => self.restore_parts(file),
            Unit::Plain(file) if file.entry.stored_size() == 0 => match self.begin(file)? {
                Some(writer) => self.commit(file, writer),
                None => Ok(()),
            },
            Unit::Plain(file) => {
                self.report.problem(&file.path, "the snapshot holds only some of its parts: it was interrupted while this file was stored");
                Ok(())
            }
        }
    }

    fn begin(&self, file: &PlannedFile) -> Result<Option<FileWriter>, OperationError> {
        match self.target.file(&file.path, &file.meta(), file.entry.stored_size(), file.entry.sparse) {
            Ok(writer) => Ok(Some(writer)),
            Err(error) => self.report.refused(&file.path, error).map(|()| None),
        }
    }

    fn commit(&self, file: &PlannedFile, writer: FileWriter) -> Result<(), OperationError> {
        match writer.commit() {
            Ok(()) => {
                self.report.restored(file.entry.size);
                Ok(())
            }
            Err(error) => self.report.refused(&file.path, error),
        }
    }

    /// Takes the content that has come, checked, or reports what is wrong with it.
    fn end(&self, open: OpenFile<'_>) -> Result<(), OperationError> {
        if is_sound(open.hasher, &open.place.sha256) {
            self.commit(open.file, open.writer)
        } else {
            self.report.damaged(&open.file.path, "its content is not what was stored: the SHA-256 does not match; it was not restored");
            Ok(())
        }
    }

    fn restore_run(&mut self, files: &[PlannedFile]) -> Result<(), OperationError> {
        // All of them are in one place.
        let place = |file: &PlannedFile| file.entry.place().copied();
        let (Some(first), Some(last)) = (files.first().and_then(place), files.last().and_then(place)) else { return Ok(()) };
        let mut queue = files.iter();
        let mut open: Option<OpenFile<'_>> = None;
        let mut fatal = None;
        let mut scratch = std::mem::take(&mut self.scratch);
        let read = (|| -> Result<(), RepositoryError> {
            let reader = self.contents.archive(first.archive)?;
            let failed = |error| self.contents.failed(first.archive, error);
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
                        let next = queue.as_slice().first().and_then(|file| Some((file, place(file)?)));
                        let Some((file, place)) = next.filter(|(_, place)| place.offset < frame_end) else { return Ok(()) };
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
                            let error = TargetError::from_write(&current.file.path, error);
                            if let Err(error) = self.report.refused(&current.file.path, error) {
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
            for file in open.take().map(|current| current.file).into_iter().chain(queue) {
                self.lost(file, &error);
            }
        }
        Ok(())
    }

    /// Reports a file whose content cannot be read from the store.
    fn lost(&self, file: &PlannedFile, error: &RepositoryError) {
        let what = format!("its content cannot be read: {}", with_causes(error));
        if error.is_integrity() { self.report.damaged(&file.path, &what) } else { self.report.problem(&file.path, &what) }
    }

    fn restore_parts(&self, file: &PlannedFile) -> Result<(), OperationError> {
        if !file.entry.short && file.entry.stored_size() != file.entry.size {
            self.report.damaged(&file.path, "its parts do not make up its size; it was not restored");
            return Ok(());
        }
        let Some(mut writer) = self.begin(file)? else { return Ok(()) };
        let mut refused = None;
        let mut written = 0;
        let mut arriving = self.report.arriving();
        for (at, place) in file.entry.pieces().unwrap_or_default() {
            let gap = at.saturating_sub(written);
            if let Err(error) = std::io::copy(&mut std::io::repeat(0).take(gap), &mut writer) {
                return self.report.refused(&file.path, TargetError::from_write(&file.path, error));
            }
            written = at + place.length;
            let mut hasher = Hasher::new();
            let read = self.contents.read(&place, &mut |piece| {
                if self.report.stop.is_wanted() {
                    return Err(ArchiveError::Io(std::io::ErrorKind::Interrupted.into()));
                }
                arriving.add(piece.len());
                hasher.update(piece);
                writer.write_all(piece).map_err(|error| {
                    refused = Some(TargetError::from_write(&file.path, error));
                    ArchiveError::Io(std::io::ErrorKind::Interrupted.into())
                })
            });
            if self.report.stop.is_wanted() {
                return Err(OperationError::Interrupted);
            }
            if let Some(error) = refused {
                return self.report.refused(&file.path, error);
            }
            if let Err(error) = read {
                self.lost(file, &error);
                return Ok(());
            }
            if !is_sound(hasher, &place.sha256) {
                self.report.damaged(&file.path, "one of its parts is not what was stored; it was not restored");
                return Ok(());
            }
        }
        self.commit(file, writer)
    }
}

fn is_sound(hasher: Hasher, expected: &Digest) -> bool {
    hasher.finish() == *expected
}
