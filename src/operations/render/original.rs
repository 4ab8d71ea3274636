//! The folder that an import was made from, byte for byte: files are stored as they were, or put together from the bytes of
//! records and checked against the SHA-256 that they had.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Counts, RenderOptions};
use crate::model::causes::with_causes;
use crate::model::entry::{EntryPath, Kind};
use crate::operations::OperationError;
use crate::operations::chats::OpenChats;
use crate::operations::chats::imported::{Originals, Together, files_of};
use crate::operations::report::Report;
use crate::operations::writing::{Plan, finish, work};
use crate::source::desktop::import::ImportedFile;
use crate::target::{TargetError, TargetFolder, TargetOptions};

/// Writes the files of an import.
pub(super) fn original(
    chats: &OpenChats,
    import: Option<&str>,
    options: &RenderOptions,
    report: &Arc<Report>,
) -> Result<Counts, OperationError> {
    let files = files_of(chats, import)?;
    if options.dry_run {
        for file in &files {
            super::planned(report, &file.path, if file.kind == Kind::File { file.size } else { 0 });
        }
        return Ok(Counts::default());
    }
    let target = TargetFolder::open(&options.to, options.overwrite, TargetOptions::default())?;
    let mut plan = Plan::default();
    let mut apart = Vec::new();
    for file in &files {
        if report.stop.is_wanted() {
            return Ok(Counts::default());
        }
        report.total_entries.fetch_add(1, Ordering::Relaxed);
        report.total_bytes.fetch_add(file.size, Ordering::Relaxed);
        match target.wants(&file.path, &file.kind, file.size, file.meta.mtime) {
            Ok(true) => {}
            Ok(false) => {
                report.kept.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Err(error) => {
                report.refused(&file.path, error)?;
                continue;
            }
        }
        let made = match &file.kind {
            Kind::Dir => target.dir(&file.path, &file.meta),
            Kind::Symlink { target: to } => target.symlink(&file.path, to, &file.meta),
            Kind::Hardlink { target: first } => target.hardlink(&file.path, first),
            Kind::File => {
                match &file.stored {
                    Some(stored) => match chats.opened().tree().find(stored) {
                        Some((number, entry)) => plan.add_with(file.path.clone(), (number, &entry), file.meta.clone()),
                        None => report.problem(&file.path, &format!("its content '{stored}' is not in the snapshot")),
                    },
                    None => apart.push(file),
                }
                continue;
            }
        };
        match made {
            Ok(()) => report.restored(0),
            Err(error) => report.refused(&file.path, error)?,
        }
    }
    if !apart.is_empty() {
        let bad = &mut |path: &EntryPath, error: &OperationError| match error {
            // What cannot be read may be what was meant.
            error if error.is_damage() => report.damaged(path, &with_causes(error)),
            error => report.problem(path, &with_causes(error)),
        };
        let mut originals = Originals::new(chats, chats.chats(bad)?);
        for file in apart {
            put_together(&mut originals, file, &target, report)?;
        }
    }
    work(chats.opened().contents(), chats.opened().tree(), &target, plan, options.lanes, report)?;
    if !report.stop.is_wanted() {
        finish(target, report)?;
    }
    Ok(Counts::default())
}

/// Writes one file from the records that it was taken apart into.
fn put_together(originals: &mut Originals<'_>, file: &ImportedFile, target: &TargetFolder, report: &Report) -> Result<(), OperationError> {
    let mut writer = match target.file(&file.path, &file.meta, file.size, false) {
        Ok(writer) => writer,
        Err(error) => return report.refused(&file.path, error),
    };
    match originals.put_together(file, &mut writer)? {
        Together::Whole => match writer.commit() {
            Ok(()) => {
                report.restored(file.size);
                Ok(())
            }
            Err(error) => report.refused(&file.path, error),
        },
        Together::Damaged(why) => {
            report.damaged(&file.path, &format!("{why}; it was not restored"));
            Ok(())
        }
        Together::Unwritten(error) => report.refused(&file.path, TargetError::from_write(&file.path, error)),
    }
}
