//! Takes a folder with a Telegram Desktop export in: a [`Source`] whose items are logs, media and what puts the folder together
//! again.
//!
//! ```text
//! chats/…  account/…  media/…                  as for a live backup; media are named by content
//! imports/<run id>/files.jsonl                 a line for each file, folder and link of the export: [`ImportedFile`]
//! imports/<run id>/layout/<n>-<seq>.jsonl      how a result.json or page is put together: [`super::layout`]
//! imports/<run id>/files/…                     files that are neither media nor taken apart, under their own paths
//! ```

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::content::content;
use super::convert::Files;
use super::html::{ChatPages, MAX_PAGE_BYTES, is_chat_page};
use super::known::{Known, Look};
use super::layout::LayoutWriter;
use super::read::{Circumstances, Receiver, read_json};
use crate::crypt::digest::HashReader;
use crate::model::account::AccountSection;
use crate::model::chat::ChatInfo;
use crate::model::digest::Digest;
use crate::model::entry::{EntryPath, Kind, Metadata, PathError, Timestamp};
use crate::model::media::{MediaKind, media_path};
use crate::model::paths::{self, MAX_BATCH_BYTES, RunId};
use crate::model::peer::Peer;
use crate::model::record::{MessageRecord, Raw, Record};
use crate::source::folder::{FolderOptions, FolderSource};
use crate::source::{Body, Content, Item, Problem, Sink, Source, SourceError, SourceName, Stopped};

/// How an export is taken in.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The zone of the machine that made the export, for exports that hold local times only.
    pub zone: TimeZone,
    /// The name of this run.
    pub run: RunId,
    /// When the export was made, Unix seconds; otherwise the time of its `result.json` or first page counts.
    pub made: Option<i64>,
}

/// A line of `files.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportedFile {
    /// Its path in the export.
    pub path: EntryPath,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Mode, owner, times, attributes.
    pub meta: Metadata,
    /// Length in bytes.
    pub size: u64,
    /// The entry that has its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<EntryPath>,
    /// Or the layout that puts it together, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layout: Vec<EntryPath>,
    /// The SHA-256 of a file that a layout puts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// A folder with an export.
pub struct DesktopExport {
    folder: FolderSource,
    options: ImportOptions,
    known: Arc<dyn Known>,
}

impl DesktopExport {
    /// The export in the folder at `path`.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn open(path: &Path, options: ImportOptions, known: Arc<dyn Known>) -> Result<Self, SourceError> {
        Ok(Self { folder: FolderSource::open(path, FolderOptions::default())?, options, known })
    }
}

impl Source for DesktopExport {
    fn name(&self) -> SourceName {
        SourceName { kind: "desktop-export".into(), name: self.folder.name().name }
    }

    fn lists_everything(&self) -> bool {
        false
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        let mut folder = Listed { items: Vec::new(), sink };
        self.folder.list(&mut folder)?;
        let items = folder.items;
        let result = Import::new(self, &items, sink).run();
        result.map_err(|error| match error.downcast::<Stopped>() {
            Ok(stopped) => SourceError::Stopped(stopped),
            Err(source) => SourceError::Unreadable { what: self.name().name, source },
        })
    }

    fn committed(&self, marks: &[u64]) {
        self.known.committed(marks);
    }
}

/// Whether a folder with these entries holds an export: its paths relative to the folder.
pub fn is_export<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> bool {
    paths.into_iter().any(|path| matches!(path, b"result.json" | b"export_results.html" | b"messages.html"))
}

struct Listed<'a> {
    items: Vec<Item>,
    sink: &'a mut dyn Sink,
}

impl Sink for Listed<'_> {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        self.items.push(item);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        self.sink.problem(problem);
    }

    fn skipped(&mut self, path: &EntryPath, why: &str) {
        self.sink.skipped(path, why);
    }
}

/// Content that was made here.
struct Memory(Arc<[u8]>);

impl Content for Memory {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let mut cursor = Cursor::new(Arc::clone(&self.0));
        cursor.set_position(from);
        Ok(Box::new(MemoryBody(cursor)))
    }
}

struct MemoryBody(Cursor<Arc<[u8]>>);

impl Read for MemoryBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Body for MemoryBody {}

/// The export's files by path, and the media among them that messages have named.
struct Found<'a> {
    items: &'a [Item],
    by_path: HashMap<&'a [u8], usize>,
    stored: HashMap<usize, EntryPath>,
    /// Media to be listed before the record that names them.
    fresh: Vec<usize>,
    listed: HashSet<EntryPath>,
    problems: Vec<Problem>,
}

struct SharedFiles<'a, 'b>(&'b RefCell<Found<'a>>);

impl Files for SharedFiles<'_, '_> {
    fn find(&mut self, path: &str) -> Option<(EntryPath, u64)> {
        let mut found = self.0.borrow_mut();
        let index = *found.by_path.get(path.as_bytes())?;
        let item = found.items.get(index)?;
        if let Some(stored) = found.stored.get(&index) {
            return Some((stored.clone(), item.size));
        }
        let content = item.content.as_ref()?;
        let hashed = content.open(0).and_then(|body| {
            let mut reader = HashReader::new(body);
            io::copy(&mut reader, &mut io::sink())?;
            Ok(reader.finish())
        });
        match hashed {
            Ok((digest, size)) => {
                let stored = media_entry(path, &digest).ok()?;
                found.stored.insert(index, stored.clone());
                found.fresh.push(index);
                Some((stored, size))
            }
            Err(error) => {
                let problem = Problem { path: item.path.clone(), what: error.to_string() };
                found.problems.push(problem);
                None
            }
        }
    }
}

fn media_entry(path: &str, digest: &Digest) -> Result<EntryPath, PathError> {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let kind = match folders.rsplit('/').next().unwrap_or_default() {
        "photos" | "profile_pictures" => MediaKind::Photo,
        "contacts" => MediaKind::Inline,
        _ => MediaKind::Document,
    };
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let extension = if extension.len() <= 10 { extension } else { "" };
    media_path(kind, &format!("sha256-{digest}"), "full", extension)
}

struct Import<'a> {
    source: &'a DesktopExport,
    items: &'a [Item],
    sink: &'a mut dyn Sink,
    found: RefCell<Found<'a>>,
    /// Files that were taken apart, with their layouts.
    apart: HashMap<usize, (Vec<EntryPath>, Digest)>,
    peer: Option<Peer>,
    lines: Vec<u8>,
    seqs: HashMap<Peer, u32>,
    mark: u64,
    layout: LayoutWriter<Vec<u8>>,
    layouts: Vec<EntryPath>,
    layout_number: u32,
    observed: i64,
    /// The file that is being taken apart.
    current: Option<EntryPath>,
}

impl<'a> Import<'a> {
    fn new(source: &'a DesktopExport, items: &'a [Item], sink: &'a mut dyn Sink) -> Self {
        let files = items.iter().enumerate().filter(|(_, item)| item.kind == Kind::File);
        let by_path = files.map(|(index, item)| (item.path.as_bytes(), index)).collect();
        let found = Found { items, by_path, stored: HashMap::new(), fresh: vec![], listed: HashSet::new(), problems: vec![] };
        Self {
            source,
            items,
            sink,
            found: RefCell::new(found),
            apart: HashMap::new(),
            peer: None,
            lines: Vec::new(),
            seqs: HashMap::new(),
            mark: 1,
            layout: LayoutWriter::new(Vec::new()),
            layouts: Vec::new(),
            layout_number: 0,
            observed: 0,
            current: None,
        }
    }

    fn run(mut self) -> io::Result<()> {
        let find = |path: &[u8]| self.items.iter().position(|item| item.kind == Kind::File && item.path.as_bytes() == path);
        if let Some(index) = find(b"result.json") {
            self.json(index)?;
        } else {
            self.pages()?;
        }
        self.files()
    }

    fn circumstances(&mut self, item: &Item) -> Circumstances {
        let ImportOptions { zone, run, made } = &self.source.options;
        self.observed = made.unwrap_or(item.meta.mtime.seconds);
        Circumstances { zone: zone.clone(), observed: self.observed, run: run.clone() }
    }

    fn json(&mut self, index: usize) -> io::Result<()> {
        let Some(item) = self.items.get(index) else { return Ok(()) };
        let Some(content) = &item.content else { return Ok(()) };
        let circumstances = self.circumstances(item);
        self.current = Some(item.path.clone());
        let mut input = HashReader::new(BufReader::with_capacity(1 << 20, content.open(0)?));
        // The cell is lent to the reader while `self` receives: both only borrow it for one call.
        let found = std::mem::replace(&mut self.found, RefCell::new(Found::none()));
        let mut receiver = Receiving { import: self, found: &found };
        let summary = read_json(&mut input, circumstances, &mut SharedFiles(&found), &mut receiver);
        self.found = found;
        let summary = summary?;
        let (digest, length) = input.finish();
        if summary.bytes != length {
            return Err(io::Error::other("result.json was not taken apart to its end"));
        }
        self.end_file(index, digest)
    }

    /// HTML only: the pages of each chat in their order.
    fn pages(&mut self) -> io::Result<()> {
        let mut chats: Vec<(String, Vec<(u64, usize)>)> = Vec::new();
        for (index, item) in self.items.iter().enumerate().filter(|(_, item)| item.kind == Kind::File) {
            let Ok(path) = std::str::from_utf8(item.path.as_bytes()) else { continue };
            let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
            let Some(number) = name.strip_prefix("messages").and_then(|name| name.strip_suffix(".html")) else { continue };
            let Ok(number) = (if number.is_empty() { Ok(1) } else { number.parse() }) else { continue };
            let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            match chats.iter_mut().find(|(known, _)| *known == folder) {
                Some((_, pages)) => pages.push((number, index)),
                None => chats.push((folder, vec![(number, index)])),
            }
        }
        for (folder, mut pages) in chats {
            pages.sort_unstable();
            let Some(first) = pages.first().and_then(|&(_, index)| self.items.get(index)) else { continue };
            let mut chat = ChatPages::new(self.circumstances(first), &folder, None, None);
            for (_, index) in pages {
                self.page(index, &mut chat)?;
            }
        }
        Ok(())
    }

    fn page(&mut self, index: usize, chat: &mut ChatPages) -> io::Result<()> {
        let Some(item) = self.items.get(index) else { return Ok(()) };
        let Some(content) = &item.content else { return Ok(()) };
        self.current = Some(item.path.clone());
        let mut input = HashReader::new(content.open(0)?.take(MAX_PAGE_BYTES as u64 + 1));
        let mut page = Vec::new();
        input.read_to_end(&mut page)?;
        if page.len() > MAX_PAGE_BYTES || !is_chat_page(&page) {
            return Ok(());
        }
        let found = std::mem::replace(&mut self.found, RefCell::new(Found::none()));
        let mut receiver = Receiving { import: self, found: &found };
        let read = chat.page(&page, &mut SharedFiles(&found), &mut receiver);
        self.found = found;
        read?;
        let (digest, _) = input.finish();
        self.end_file(index, digest)
    }

    /// Everything of a file that was taken apart is listed.
    fn end_file(&mut self, index: usize, digest: Digest) -> io::Result<()> {
        self.flush_lines()?;
        let layout = std::mem::replace(&mut self.layout, LayoutWriter::new(Vec::new())).finish()?;
        self.put_layout(layout)?;
        self.layout_number += 1;
        self.apart.insert(index, (std::mem::take(&mut self.layouts), digest));
        Ok(())
    }

    fn put_layout(&mut self, layout: Vec<u8>) -> io::Result<()> {
        if layout.is_empty() {
            return Ok(());
        }
        let path = self.source.import_path(&format!("layout/{}-{:06}.jsonl", self.layout_number, self.layouts.len() + 1))?;
        self.layouts.push(path.clone());
        self.put(path, layout, 0)
    }

    fn put(&mut self, path: EntryPath, bytes: Vec<u8>, mark: u64) -> io::Result<()> {
        let meta = Metadata { mode: 0o600, mtime: Timestamp { seconds: self.observed, nanos: 0 }, ..Metadata::default() };
        let size = bytes.len() as u64;
        let content: Option<Arc<dyn Content>> = Some(Arc::new(Memory(bytes.into())));
        self.item(Item { path, kind: Kind::File, meta, size, sparse: false, stamp: None, content, mark })
    }

    fn item(&mut self, item: Item) -> io::Result<()> {
        self.sink.item(item).map_err(io::Error::other)
    }

    fn flush_lines(&mut self) -> io::Result<()> {
        let Some(peer) = self.peer.filter(|_| !self.lines.is_empty()) else { return Ok(()) };
        let seq = self.seqs.entry(peer).or_default();
        *seq += 1;
        let path = paths::log_batch(peer, &self.source.options.run, *seq).map_err(io::Error::other)?;
        let lines = std::mem::take(&mut self.lines);
        let mark = self.mark;
        self.mark += 1;
        self.put(path, lines, mark)
    }

    /// The files that no record named, and the list of all.
    fn files(&mut self) -> io::Result<()> {
        let items = self.items;
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let mut line = ImportedFile {
                path: item.path.clone(),
                kind: item.kind.clone(),
                meta: item.meta.clone(),
                size: item.size,
                stored: self.found.borrow().stored.get(&index).cloned(),
                layout: Vec::new(),
                sha256: None,
            };
            if let Some((layout, digest)) = self.apart.remove(&index) {
                line.layout = layout;
                line.sha256 = Some(digest);
            } else if item.kind == Kind::File && line.stored.is_none() {
                let mut path = self.source.import_path("files")?.as_bytes().to_vec();
                path.push(b'/');
                path.extend_from_slice(item.path.as_bytes());
                let path = EntryPath::new(path).map_err(io::Error::other)?;
                line.stored = Some(path.clone());
                self.item(copy_of(item, path))?;
            }
            serde_json::to_writer(&mut list, &line)?;
            list.push(b'\n');
        }
        self.put(self.source.import_path("files.jsonl")?, list, 0)
    }
}

fn copy_of(item: &Item, path: EntryPath) -> Item {
    Item {
        path,
        kind: Kind::File,
        meta: item.meta.clone(),
        size: item.size,
        sparse: item.sparse,
        stamp: item.stamp,
        content: item.content.clone(),
        mark: 0,
    }
}

impl Found<'_> {
    fn none() -> Self {
        Self { items: &[], by_path: HashMap::new(), stored: HashMap::new(), fresh: vec![], listed: HashSet::new(), problems: vec![] }
    }
}

impl DesktopExport {
    fn import_path(&self, rest: &str) -> io::Result<EntryPath> {
        EntryPath::new(format!("imports/{}/{rest}", self.options.run)).map_err(io::Error::other)
    }
}

struct Receiving<'r, 'a> {
    import: &'r mut Import<'a>,
    found: &'r RefCell<Found<'a>>,
}

impl Receiving<'_, '_> {
    /// Lists the media that were found since the last call.
    fn media(&mut self) -> io::Result<()> {
        let (fresh, problems) = {
            let mut found = self.found.borrow_mut();
            (std::mem::take(&mut found.fresh), std::mem::take(&mut found.problems))
        };
        for problem in problems {
            self.import.sink.problem(problem);
        }
        for index in fresh {
            let stored = self.found.borrow().stored.get(&index).cloned();
            let (Some(stored), Some(item)) = (stored, self.import.items.get(index)) else { continue };
            if self.found.borrow_mut().listed.insert(stored.clone()) {
                self.import.item(copy_of(item, stored))?;
            }
        }
        Ok(())
    }

    fn json(&mut self, path: Result<EntryPath, PathError>, value: &impl Serialize) -> io::Result<()> {
        let path = path.map_err(io::Error::other)?;
        self.import.put(path, serde_json::to_vec(value)?, 0)
    }
}

impl Receiver for Receiving<'_, '_> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.import.layout.bytes(bytes)?;
        let written = self.import.layout.take_if_longer(MAX_BATCH_BYTES);
        self.import.put_layout(written)
    }

    fn message(&mut self, record: MessageRecord) -> io::Result<()> {
        self.media()?;
        let import = &mut *self.import;
        let (peer, id) = (record.peer, record.id);
        if import.peer != Some(peer) {
            import.flush_lines()?;
            import.peer = Some(peer);
        }
        let raw = match &record.raw {
            Some(Raw::Json { bytes, .. } | Raw::Html { bytes }) => bytes.clone(),
            _ => Vec::new(),
        };
        let mut says = Vec::new();
        content(&record, &mut says);
        let run = import.source.options.run.clone();
        match import.source.known.look(peer, id, &says, &raw) {
            Look::SameBytes(earlier) => import.layout.message(peer, &earlier, id, &raw),
            Look::Same => import.layout.bytes(&raw),
            Look::New => {
                let start = import.lines.len();
                Record::Message(record).write_line(&mut import.lines).map_err(io::Error::other)?;
                if start > 0 && import.lines.len() > MAX_BATCH_BYTES {
                    let last = import.lines.split_off(start);
                    import.flush_lines()?;
                    import.lines = last;
                }
                import.source.known.note(import.mark, &run, peer, id, &says, &raw);
                import.layout.message(peer, &run, id, &raw)
            }
        }
    }

    fn chat(&mut self, chat: ChatInfo) -> io::Result<()> {
        self.import.flush_lines()?;
        self.json(paths::chat_info(chat.peer), &chat)
    }

    fn section(&mut self, section: AccountSection) -> io::Result<()> {
        self.media()?;
        self.json(paths::account_section(section.section), &section)
    }

    fn problem(&mut self, offset: u64, what: &str) {
        if let Some(path) = self.import.current.clone() {
            self.import.sink.problem(Problem { path, what: format!("at byte {offset}: {what}") });
        }
    }
}
