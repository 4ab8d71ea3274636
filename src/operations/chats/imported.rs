//! The files of imports: which there are, and how those that were taken apart into records are put together again.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, BufReader, Cursor, Read, Write};

use super::{BatchReader, Chat, OpenChats};
use crate::crypt::digest::Hasher;
use crate::model::causes::with_causes;
use crate::model::entry::EntryPath;
use crate::model::fold::Location;
use crate::model::json;
use crate::model::paths::RunId;
use crate::model::peer::Peer;
use crate::model::record::{Raw, RecordType};
use crate::operations::OperationError;
use crate::render::log::ChatLog;
use crate::source::desktop::import::ImportedFile;
use crate::source::desktop::layout::{LayoutError, rebuild};

/// The imports of a snapshot by the names of their runs, the first one first.
pub(in crate::operations) fn imports(chats: &OpenChats) -> BTreeSet<String> {
    let run_of = |path: &EntryPath| {
        let parts: Vec<&str> = path.components().map(std::str::from_utf8).collect::<Result<_, _>>().ok()?;
        match parts.as_slice() {
            ["imports", run, "files.jsonl"] => Some((*run).to_owned()),
            _ => None,
        }
    };
    chats.opened().tree().iter().filter_map(|(path, _)| run_of(&path)).collect()
}

/// The files of an import, of the last one where none is named.
///
/// # Errors
/// When there is no such import, or its list cannot be read.
pub(in crate::operations) fn files_of(chats: &OpenChats, wanted: Option<&str>) -> Result<Vec<ImportedFile>, OperationError> {
    let known = imports(chats);
    let chosen = match wanted {
        Some(wanted) => known.get(wanted),
        // What is lost may have been the last one: an older one is not taken for it.
        None => known.last().filter(|_| chats.opened().lost().is_empty()),
    };
    let no_import =
        || OperationError::NoImport { snapshot: chats.opened().snapshot().id.to_string(), known: known.iter().cloned().collect() };
    let chosen = chosen.ok_or_else(|| chats.opened().missing(no_import()))?;
    let mut files = Vec::new();
    each_file(chats, chosen, &mut |file| files.push(file))?;
    Ok(files)
}

/// Hands the files of an import to `each`.
///
/// # Errors
/// When its list cannot be read.
pub(in crate::operations) fn each_file(chats: &OpenChats, run: &str, each: &mut dyn FnMut(ImportedFile)) -> Result<(), OperationError> {
    // A long list goes on in further files.
    for number in 1u32.. {
        let name = if number == 1 { "files.jsonl".to_owned() } else { format!("files-{number:04}.jsonl") };
        let path = format!("imports/{run}/{name}");
        let list = EntryPath::new(path.as_str()).map_err(|error| OperationError::Internal(error.to_string()))?;
        if number > 1 && chats.opened().tree().get(&list).is_none() {
            break;
        }
        let bytes = chats.opened().read(&list)?;
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let form = |error: serde_json::Error| OperationError::Form { path: path.clone(), why: json::place(&error) };
            each(serde_json::from_slice(line).map_err(form)?);
        }
    }
    Ok(())
}

/// The file of this path in the last import that has one; `None` where no import has it.
///
/// # Errors
/// When a list cannot be read.
pub(in crate::operations) fn named(chats: &OpenChats, path: &EntryPath) -> Result<Option<ImportedFile>, OperationError> {
    for run in imports(chats).iter().rev() {
        let mut found = None;
        each_file(chats, run, &mut |file| {
            if file.path == *path {
                found = Some(file);
            }
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What became of a file that was put together.
pub(in crate::operations) enum Together {
    /// It is what it was.
    Whole,
    /// It is not, and what was written is not to be used; why.
    Damaged(String),
    /// It could not be written.
    Unwritten(io::Error),
}

/// Puts files together from the bytes of records; one chat at a time is looked into.
pub(in crate::operations) struct Originals<'a> {
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

impl<'a> Originals<'a> {
    /// For files of the chats `all`.
    pub(in crate::operations) fn new(chats: &'a OpenChats, all: Vec<Chat>) -> Self {
        Self { chats, all, open: None, failed: None }
    }

    /// Writes one file from the records that it was taken apart into.
    ///
    /// # Errors
    /// When the store fails.
    pub(in crate::operations) fn put_together(&mut self, file: &ImportedFile, out: &mut impl Write) -> Result<Together, OperationError> {
        let mut layout = Layout { chats: self.chats, paths: file.layout.iter().collect(), now: Cursor::default(), failed: None };
        let mut out = Hashed { out, hasher: Hasher::new() };
        let done = rebuild(BufReader::new(&mut layout), |peer, run, id| self.raw(peer, run, id), &mut out);
        let lost = |error: &dyn std::error::Error| Together::Damaged(format!("it cannot be put together: {}", with_causes(error)));
        if let Some(error) = self.failed.take().or(layout.failed) {
            return if error.is_of_the_store() { Err(error) } else { Ok(lost(&error)) };
        }
        Ok(match done {
            Ok(()) if file.sha256 == Some(out.hasher.finish()) => Together::Whole,
            Ok(()) => Together::Damaged("what it was put together from does not have its SHA-256".to_owned()),
            Err(LayoutError::Io(error)) => Together::Unwritten(error),
            Err(error) => lost(&error),
        })
    }

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

/// Takes what is written on, and its SHA-256.
struct Hashed<'a, W> {
    out: &'a mut W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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
