//! The folder that an import was made from, byte for byte: files are stored as they were, or put together from the bytes of
//! records and checked against the SHA-256 that they had.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, BufReader, Cursor, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Counts, RenderOptions};
use crate::crypt::digest::Hasher;
use crate::model::causes::with_causes;
use crate::model::entry::{EntryPath, Kind};
use crate::model::fold::Location;
use crate::model::json;
use crate::model::paths::RunId;
use crate::model::peer::Peer;
use crate::model::record::{Raw, RecordType};
use crate::operations::OperationError;
use crate::operations::chats::{BatchReader, Chat, OpenChats};
use crate::operations::report::Report;
use crate::operations::writing::{Plan, finish, work};
use crate::render::log::ChatLog;
use crate::source::desktop::import::ImportedFile;
use crate::source::desktop::layout::{LayoutError, rebuild};
use crate::target::{FileWriter, TargetError, TargetFolder, TargetOptions};

/// Writes the files of an import.
pub(super) fn original(
    chats: &OpenChats,
    import: Option<&str>,
    options: &RenderOptions,
    report: &Arc<Report>,
) -> Result<Counts, OperationError> {
    let files = files(chats, import)?;
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
                    Some(stored) => match chats.opened().tree().get(stored) {
                        Some(entry) => plan.add_with(&file.path, entry, &file.meta),
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
        let mut records = Records { chats, all: chats.chats(bad)?, open: None, failed: None };
        for file in apart {
            put_together(&mut records, file, &target, report)?;
        }
    }
    work(chats.opened().contents(), chats.opened().tree(), &target, &plan, options.lanes, report)?;
    if !report.stop.is_wanted() {
        finish(target, report)?;
    }
    Ok(Counts::default())
}

/// The list of an import's files.
fn files(chats: &OpenChats, wanted: Option<&str>) -> Result<Vec<ImportedFile>, OperationError> {
    let run_of = |path: &EntryPath| {
        let parts: Vec<&str> = path.components().map(std::str::from_utf8).collect::<Result<_, _>>().ok()?;
        match parts.as_slice() {
            ["imports", run, "files.jsonl"] => Some((*run).to_owned()),
            _ => None,
        }
    };
    let known: BTreeSet<String> = chats.opened().tree().iter().filter_map(|(path, _)| run_of(path)).collect();
    let chosen = match wanted {
        Some(wanted) => known.get(wanted),
        // What is lost may have been the last one: an older one is not taken for it.
        None => known.last().filter(|_| chats.opened().lost().is_empty()),
    };
    let no_import =
        || OperationError::NoImport { snapshot: chats.opened().snapshot().id.to_string(), known: known.iter().cloned().collect() };
    let chosen = chosen.ok_or_else(|| chats.opened().missing(no_import()))?;
    let mut files = Vec::new();
    // A long list goes on in further files.
    for number in 1u32.. {
        let name = if number == 1 { "files.jsonl".to_owned() } else { format!("files-{number:04}.jsonl") };
        let path = format!("imports/{chosen}/{name}");
        let list = EntryPath::new(path.as_str()).map_err(|error| OperationError::Internal(error.to_string()))?;
        if number > 1 && chats.opened().tree().get(&list).is_none() {
            break;
        }
        let bytes = chats.opened().read(&list)?;
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let form = |error: serde_json::Error| OperationError::Form { path: path.clone(), why: json::place(&error) };
            files.push(serde_json::from_slice(line).map_err(form)?);
        }
    }
    Ok(files)
}

/// Writes one file from the records that it was taken apart into.
fn put_together(records: &mut Records<'_>, file: &ImportedFile, target: &TargetFolder, report: &Report) -> Result<(), OperationError> {
    let writer = match target.file(&file.path, &file.meta, file.size, false) {
        Ok(writer) => writer,
        Err(error) => return report.refused(&file.path, error),
    };
    let mut layout = Layout { chats: records.chats, paths: file.layout.iter().collect(), now: Cursor::default(), failed: None };
    let mut out = Hashed { writer, hasher: Hasher::new() };
    let done = rebuild(BufReader::new(&mut layout), |peer, run, id| records.raw(peer, run, id), &mut out);
    let lost = |error: &OperationError| report.damaged(&file.path, &format!("it cannot be put together: {}", with_causes(error)));
    if let Some(error) = records.failed.take().or(layout.failed) {
        if error.is_of_the_store() {
            return Err(error);
        }
        lost(&error);
        return Ok(());
    }
    match done {
        Ok(()) if file.sha256 == Some(out.hasher.finish()) => match out.writer.commit() {
            Ok(()) => {
                report.restored(file.size);
                Ok(())
            }
            Err(error) => report.refused(&file.path, error),
        },
        Ok(()) => {
            report.damaged(&file.path, "what it was put together from does not have its SHA-256; it was not restored");
            Ok(())
        }
        Err(LayoutError::Io(error)) => report.refused(&file.path, TargetError::from_write(&file.path, error)),
        Err(error) => {
            report.damaged(&file.path, &format!("it cannot be put together: {}", with_causes(&error)));
            Ok(())
        }
    }
}

/// A file and the SHA-256 of what has been written.
struct Hashed {
    writer: FileWriter,
    hasher: Hasher,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The parts of a layout, one after the other.
struct Layout<'a> {
    chats: &'a OpenChats,
    paths: VecDeque<&'a EntryPath>,
    now: Cursor<Vec<u8>>,
    /// Why a part could not be read.
    failed: Option<OperationError>,
}

impl Read for Layout<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.now.read(buffer)?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            let Some(next) = self.paths.pop_front() else { return Ok(0) };
            let read = self.chats.opened().read(next);
            self.now = Cursor::new(read.map_err(|error| {
                self.failed = Some(error);
                io::Error::other("a part of the layout cannot be read")
            })?);
        }
    }
}

/// Finds the raw bytes of records; one chat at a time is looked into.
struct Records<'a> {
    chats: &'a OpenChats,
    all: Vec<Chat>,
    open: Option<OpenChat>,
    /// Why a record could not be read, rather than not found.
    failed: Option<OperationError>,
}

struct OpenChat {
    peer: Peer,
    log: ChatLog<BatchReader>,
    runs: HashMap<String, u32>,
    /// The first record of each run and id, sorted: a later one of that name stands in the layout itself.
    places: Vec<(u32, i64, Location)>,
}

impl Records<'_> {
    fn raw(&mut self, peer: Peer, run: &RunId, id: i64) -> Option<Vec<u8>> {
        if self.open.as_ref().is_none_or(|open| open.peer != peer) {
            self.open = None;
            let chat = self.all.iter().find(|chat| chat.peer == peer)?;
            match OpenChat::new(self.chats, chat) {
                Ok(open) => self.open = Some(open),
                Err(error) => {
                    self.failed = Some(error);
                    return None;
                }
            }
        }
        let open = self.open.as_mut()?;
        let key = (*open.runs.get(run.as_str())?, id);
        let at = open.places.binary_search_by_key(&key, |(run, id, _)| (*run, *id)).ok()?;
        let (_, _, at) = *open.places.get(at)?;
        match open.log.message(at) {
            Ok(record) => match record.raw? {
                Raw::Json { bytes, .. } | Raw::Html { bytes } => Some(bytes),
                Raw::Tl { .. } => None,
            },
            Err(error) => {
                self.failed = Some(OperationError::of_log(error));
                None
            }
        }
    }
}

impl OpenChat {
    fn new(chats: &OpenChats, chat: &Chat) -> Result<Self, OperationError> {
        let mut log = ChatLog::new(chats.log(chat));
        let mut runs: HashMap<String, u32> = HashMap::new();
        let mut places = Vec::new();
        log.heads(&mut |_| {}, &mut |head, at| {
            if let (RecordType::Message, Some(id)) = (head.record, head.id) {
                let next = u32::try_from(runs.len()).unwrap_or(u32::MAX);
                let run = match runs.get(&*head.run) {
                    Some(run) => *run,
                    None => *runs.entry(head.run.clone().into_owned()).or_insert(next),
                };
                places.push((run, id, at));
            }
        })
        .map_err(OperationError::of_log)?;
        places.sort_unstable();
        places.dedup_by_key(|(run, id, _)| (*run, *id));
        Ok(Self { peer: chat.peer, log, runs, places })
    }
}
