//! One import: the export is read once, in its order, and becomes items.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use serde::Serialize;

use super::found::{Found, SharedFiles};
use super::memory::{Budget, Memory};
use super::moved::Moved;
use super::{DesktopExport, IMPORTS, ImportedFile, page_of};
use crate::crypt::digest::{HashReader, Hasher};
use crate::model::account::AccountSection;
use crate::model::chat::{ChatInfo, ChatType, TopicInfo};
use crate::model::chat_part::ChatPart;
use crate::model::digest::Digest;
use crate::model::entry::{EntryPath, Kind, Metadata, PathError, Timestamp};
use crate::model::ids::IdList;
use crate::model::paths::{self, MAX_BATCH_BYTES, RunId};
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::{MessageRecord, Raw, Record, SeenAgain, VERSION};
use crate::source::desktop::content::content;
use crate::source::desktop::html::{ChatPages, MAX_PAGE_BYTES, is_chat_page, listed_chats};
use crate::source::desktop::known::table::Fresh;
use crate::source::desktop::known::{Described, Look};
use crate::source::desktop::layout::LayoutWriter;
use crate::source::desktop::read::{ChatHead, Circumstances, Receiver, read_json_with};
use crate::source::{Content, Item, Problem, Sink};

/// Bytes of no message are laid down in parts of this length, so that no file of a layout is too long to be read.
const LAYOUT_BYTES: usize = 1024 * 1024;

/// A line of a log that is longer than this, in bytes, could not be read again: such a message stays part of its file.
const MAX_LINE_BYTES: usize = 60 * 1024 * 1024;

/// A piece of the list of files is about as long as this.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// See the module's page.
pub(super) struct Import<'a> {
    source: &'a DesktopExport,
    run: RunId,
    /// When the export was made, Unix seconds.
    observed: i64,
    items: &'a [Item],
    sink: &'a mut dyn Sink,
    found: RefCell<Found<'a>>,
    /// Files that were taken apart, with their layouts.
    apart: HashMap<usize, (Vec<EntryPath>, Digest)>,
    /// The chat whose lines these are, and what is to be remembered of them.
    peer: Option<Peer>,
    lines: Vec<u8>,
    notes: Vec<Fresh>,
    /// What a message says, for comparing.
    says: Vec<u8>,
    seqs: HashMap<Peer, u32>,
    /// For each chat, the highest id of a record of this run.
    highest: HashMap<Peer, i64>,
    last_mark: u64,
    budget: Arc<Budget>,
    layout: LayoutWriter<Vec<u8>>,
    layouts: Vec<EntryPath>,
    layout_number: u32,
    /// The file that is being taken apart, and what was handed out of it.
    current: Option<EntryPath>,
    handed: Hasher,
    moved: Moved,
    /// Messages that were found as an earlier run had stored them.
    seen: BTreeMap<(Peer, RunId), IdList>,
    /// A chat whose description may still grow.
    described: Option<ChatInfo>,
    /// Descriptions that were listed.
    descriptions: HashSet<EntryPath>,
}

impl<'a> Import<'a> {
    pub(super) fn new(source: &'a DesktopExport, run: RunId, observed: i64, items: &'a [Item], sink: &'a mut dyn Sink) -> Self {
        let budget = Arc::<Budget>::default();
        Self {
            source,
            run,
            observed,
            items,
            sink,
            found: RefCell::new(Found::new(items)),
            apart: HashMap::new(),
            peer: None,
            lines: budget.buffer(),
            notes: Vec::new(),
            says: Vec::new(),
            seqs: HashMap::new(),
            highest: HashMap::new(),
            last_mark: 0,
            budget,
            layout: LayoutWriter::new(Vec::new()),
            layouts: Vec::new(),
            layout_number: 0,
            current: None,
            handed: Hasher::new(),
            moved: Moved::default(),
            seen: BTreeMap::new(),
            described: None,
            descriptions: HashSet::new(),
        }
    }

    /// Reads a `result.json`, or all pages, and lists what is left.
    pub(super) fn run(mut self, is_json: bool, heads: Vec<ChatHead>) -> io::Result<()> {
        let find = |path: &[u8]| self.items.iter().position(|item| item.kind == Kind::File && item.path.as_bytes() == path);
        match find(b"result.json").filter(|_| is_json) {
            Some(index) => self.json(index, heads)?,
            None => self.pages()?,
        }
        self.end_description()?;
        self.files()
    }

    fn circumstances(&self) -> Circumstances {
        Circumstances { zone: self.source.options.zone.clone(), observed: self.observed, run: self.run.clone() }
    }

    fn begin_file(&mut self, item: &Item) {
        self.current = Some(item.path.clone());
        self.handed = Hasher::new();
    }

    fn json(&mut self, index: usize, heads: Vec<ChatHead>) -> io::Result<()> {
        let Some(item) = self.items.get(index) else { return Ok(()) };
        let Some(content) = &item.content else { return Ok(()) };
        let circumstances = self.circumstances();
        self.begin_file(item);
        let mut body = content.open(0)?;
        let mut input = HashReader::new(BufReader::with_capacity(1 << 20, &mut body));
        // The cell is lent to the reader while `self` receives: both only borrow it for one call.
        let found = std::mem::take(&mut self.found);
        let mut receiver = Receiving { import: self, found: &found };
        let summary = read_json_with(&mut input, circumstances, heads, &mut SharedFiles(&found), &mut receiver);
        self.found = found;
        summary?;
        let (digest, _) = input.finish();
        self.end_file(index, digest, body.changed().unwrap_or(true))
    }

    /// HTML only: the pages of each chat in their order.
    fn pages(&mut self) -> io::Result<()> {
        let mut chats: Vec<(&str, Vec<(u64, usize)>)> = Vec::new();
        for (index, item) in self.items.iter().enumerate().filter(|(_, item)| item.kind == Kind::File) {
            let Some((folder, number)) = page_of(item) else { continue };
            match chats.iter_mut().find(|(known, _)| *known == folder) {
                Some((_, pages)) => pages.push((number, index)),
                None => chats.push((folder, vec![(number, index)])),
            }
        }
        let listed = self.listed_chats()?;
        for (folder, mut pages) in chats {
            pages.sort_unstable();
            let peer = self.source.chat.filter(|_| folder.is_empty());
            let mut chat = ChatPages::new(self.circumstances(), folder, peer, None);
            if let Some(position) = listed.iter().position(|(of, _)| of == folder) {
                chat = chat.listed(listed.get(position).and_then(|(_, kind)| *kind), position as u64 + 1);
            }
            let mut expected = 1;
            for (number, index) in pages {
                if number > expected {
                    self.sink.note(&format!("the folder has no page {expected} of '{folder}': its messages are not taken in"));
                }
                expected = number + 1;
                self.page(index, &mut chat)?;
            }
        }
        Ok(())
    }

    /// What the list of chats says, where there is one.
    fn listed_chats(&self) -> io::Result<Vec<(String, Option<ChatType>)>> {
        let list = self.items.iter().find(|item| item.kind == Kind::File && item.path.as_bytes() == b"lists/chats.html");
        let Some(content) = list.and_then(|item| item.content.as_ref()) else { return Ok(Vec::new()) };
        let mut page = Vec::new();
        content.open(0)?.take(MAX_PAGE_BYTES as u64).read_to_end(&mut page)?;
        Ok(listed_chats(&String::from_utf8_lossy(&page)))
    }

    fn page(&mut self, index: usize, chat: &mut ChatPages) -> io::Result<()> {
        let Some(item) = self.items.get(index) else { return Ok(()) };
        let Some(content) = &item.content else { return Ok(()) };
        let mut body = content.open(0)?;
        let mut input = HashReader::new((&mut body).take(MAX_PAGE_BYTES as u64 + 1));
        let mut page = Vec::new();
        input.read_to_end(&mut page)?;
        self.begin_file(item);
        if page.len() > MAX_PAGE_BYTES || !is_chat_page(&page) {
            self.problem("it has the name of a page of messages, but is none, or longer than 64 MiB; it is kept as it is");
            return Ok(());
        }
        let found = std::mem::take(&mut self.found);
        let mut receiver = Receiving { import: self, found: &found };
        let read = chat.page(&page, &mut SharedFiles(&found), &mut receiver);
        self.found = found;
        read?;
        let (digest, _) = input.finish();
        self.end_file(index, digest, body.changed().unwrap_or(true))
    }

    /// Everything of a file that was taken apart is listed. Where its pieces are not the file, or it changed meanwhile, it is kept
    /// as it is too.
    fn end_file(&mut self, index: usize, digest: Digest, changed: bool) -> io::Result<()> {
        self.flush_lines()?;
        let layout = std::mem::replace(&mut self.layout, LayoutWriter::new(Vec::new())).finish()?;
        let handed = std::mem::take(&mut self.handed).finish();
        if changed || handed != digest {
            self.layouts.clear();
            let what = if changed { "it changed while it was read" } else { "its pieces do not make up the file" };
            self.problem(&format!("{what}; it is kept as it is, beside the messages that were found in it"));
            return Ok(());
        }
        self.put_layout(layout)?;
        self.layout_number += 1;
        self.apart.insert(index, (std::mem::take(&mut self.layouts), digest));
        Ok(())
    }

    fn problem(&mut self, what: &str) {
        if let Some(path) = self.current.clone() {
            self.sink.problem(Problem { path, what: what.to_owned() });
        }
    }

    fn import_path(&self, rest: &str) -> io::Result<EntryPath> {
        EntryPath::new(format!("{IMPORTS}/{}/{rest}", self.run)).map_err(io::Error::other)
    }

    fn put_layout(&mut self, layout: Vec<u8>) -> io::Result<()> {
        if layout.is_empty() {
            return Ok(());
        }
        let path = self.import_path(&format!("layout/{}-{:06}.jsonl", self.layout_number, self.layouts.len() + 1))?;
        self.layouts.push(path.clone());
        self.put(path, layout, 0)
    }

    fn put(&mut self, path: EntryPath, bytes: Vec<u8>, mark: u64) -> io::Result<()> {
        let content = self.budget.content(bytes);
        self.put_content(path, content, mark)
    }

    fn put_content(&mut self, path: EntryPath, content: Memory, mark: u64) -> io::Result<()> {
        let meta = Metadata { mode: 0o600, mtime: Timestamp { seconds: self.observed, nanos: 0 }, ..Metadata::default() };
        let size = content.len() as u64;
        let content: Option<Arc<dyn Content>> = Some(Arc::new(content));
        self.item(Item { path, kind: Kind::File, meta, size, sparse: false, stamp: None, content, mark })
    }

    fn item(&mut self, item: Item) -> io::Result<()> {
        self.sink.item(item).map_err(io::Error::other)
    }

    fn mark(&mut self) -> u64 {
        self.last_mark += 1;
        self.last_mark
    }

    fn flush_lines(&mut self) -> io::Result<()> {
        let Some(peer) = self.peer.filter(|_| !self.lines.is_empty()) else { return Ok(()) };
        let seq = self.seqs.entry(peer).or_default();
        *seq += 1;
        let seq = *seq;
        let path = paths::log_batch(peer, &self.run, seq).map_err(io::Error::other)?;
        let mark = self.mark();
        self.source.known.expect_batch(mark, peer, &self.run, self.observed, seq, &mut self.notes);
        self.notes.clear();
        let content = self.budget.content_of(&mut self.lines);
        self.put_content(path, content, mark)
    }

    /// Lists a description, unless the vault has a better one: a later one, or one of a live backup, which tells more.
    /// `content` is the value without what every import says anew.
    fn describe(&mut self, path: Result<EntryPath, PathError>, value: &impl Serialize, is_partial: bool, content: &[u8]) -> io::Result<()> {
        let path = path.map_err(io::Error::other)?;
        if !self.descriptions.insert(path.clone()) {
            return Ok(());
        }
        if let Some(before) = self.sink.before(&path) {
            let ours = self.source.known.described(&path, content).filter(|known| known.observed == before.mtime.seconds);
            let is_worse = |known: Described| match (known.is_partial, is_partial) {
                (false, true) => true,
                (true, false) => false,
                _ => known.says_the_same || known.observed > self.observed,
            };
            if ours.is_none_or(is_worse) {
                return Ok(());
            }
        }
        let mark = self.mark();
        self.source.known.expect_description(mark, &path, self.observed, is_partial, content);
        self.put(path, serde_json::to_vec(value)?, mark)
    }

    fn end_description(&mut self) -> io::Result<()> {
        match self.described.take() {
            Some(mut chat) => {
                match self.moved.other(chat.peer) {
                    Some(group) if group.kind == PeerKind::Chat => chat.migrated_from = Some(group),
                    Some(channel) => chat.migrated_to = Some(channel),
                    None => {}
                }
                // The export of a single topic tells of that and of nothing else: what other exports tell of the chat stays.
                if chat.is_partial && chat.name.is_none() && !chat.topics.is_empty() {
                    for topic in chat.topics.clone() {
                        let path = paths::topic(chat.peer, topic.id);
                        let told = TopicInfo { v: VERSION, peer: chat.peer, topic, observed: chat.observed, run: chat.run.clone() };
                        self.describe(path, &told, false, &says_of_topic(&told)?)?;
                    }
                    return Ok(());
                }
                self.describe(paths::chat_info(chat.peer), &chat, chat.is_partial, &says_of_chat(&chat)?)
            }
            None => Ok(()),
        }
    }

    /// Whether the vault has this content under this name.
    fn is_stored(&self, path: &EntryPath, digest: &Digest, size: u64) -> bool {
        self.sink.before(path).is_some_and(|before| before.sha256 == Some(*digest) && before.size == size)
    }

    /// The files that no record named, and the list of all.
    fn files(mut self) -> io::Result<()> {
        let items = self.items;
        let mut seen = Vec::new();
        for ((peer, run), ids) in std::mem::take(&mut self.seen) {
            serde_json::to_writer(&mut seen, &SeenAgain { v: VERSION, peer, run, observed: self.observed, ids })?;
            seen.push(b'\n');
        }
        if !seen.is_empty() {
            self.put(self.import_path("seen.jsonl")?, seen, 0)?;
        }
        let (mut list, mut lists) = (Vec::new(), 0);
        for (index, item) in items.iter().enumerate() {
            let mut line = ImportedFile {
                path: item.path.clone(),
                kind: item.kind.clone(),
                meta: item.meta.clone(),
                size: item.size,
                stored: self.found.borrow().stored(index).map(|(path, _)| path.clone()),
                layout: Vec::new(),
                sha256: None,
            };
            if let Some((layout, digest)) = self.apart.remove(&index) {
                line.layout = layout;
                line.sha256 = Some(digest);
            } else if item.kind == Kind::File && line.stored.is_none() {
                let mut path = self.import_path("files")?.as_bytes().to_vec();
                path.push(b'/');
                path.extend_from_slice(item.path.as_bytes());
                let path = EntryPath::new(path).map_err(io::Error::other)?;
                line.stored = Some(path.clone());
                self.item(copy_of(item, path))?;
            }
            serde_json::to_writer(&mut list, &line)?;
            list.push(b'\n');
            if list.len() > MAX_LIST_BYTES {
                self.put_list(std::mem::take(&mut list), &mut lists, 0)?;
            }
        }
        let mark = self.mark();
        self.source.known.expect_end(mark);
        self.put_list(list, &mut lists, mark)
    }

    /// Lists a piece of the list of files: `files.jsonl`, then `files-0002.jsonl` and so on.
    fn put_list(&mut self, list: Vec<u8>, lists: &mut u32, mark: u64) -> io::Result<()> {
        *lists += 1;
        let name = if *lists == 1 { "files.jsonl".to_owned() } else { format!("files-{lists:04}.jsonl") };
        self.put(self.import_path(&name)?, list, mark)
    }
}

/// What a description says, without when and by whom it was seen, and where among the others.
pub(super) fn says_of_chat(chat: &ChatInfo) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&ChatInfo { observed: 0, run: RunId::unknown(), dialog: None, ..chat.clone() })?)
}

/// The same of a topic.
pub(super) fn says_of_topic(told: &TopicInfo) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&told.topic)?)
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
            let stored = self.found.borrow().stored(index).cloned();
            let (Some((stored, digest)), Some(item)) = (stored, self.import.items.get(index)) else { continue };
            let is_new = self.found.borrow_mut().listed.insert(stored.clone());
            if is_new && !self.import.is_stored(&stored, &digest, item.size) {
                self.import.item(copy_of(item, stored))?;
            }
        }
        Ok(())
    }
}

impl Receiver for Receiving<'_, '_> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.import.handed.update(bytes);
        for part in bytes.chunks(LAYOUT_BYTES) {
            self.import.layout.bytes(part)?;
            let written = self.import.layout.take_if_longer(MAX_BATCH_BYTES);
            self.import.put_layout(written)?;
        }
        Ok(())
    }

    fn message(&mut self, mut record: MessageRecord) -> io::Result<()> {
        self.media()?;
        let import = &mut *self.import;
        import.moved.file(&mut record, &import.run, &import.source.known);
        let (peer, id) = (record.peer, record.id);
        if import.peer != Some(peer) {
            import.flush_lines()?;
            import.peer = Some(peer);
        }
        import.says.clear();
        content(&record, &mut import.says);
        let record = Record::Message(record);
        let raw = match &record {
            Record::Message(MessageRecord { raw: Some(Raw::Json { bytes, .. } | Raw::Html { bytes }), .. }) => bytes.as_slice(),
            _ => &[],
        };
        import.handed.update(raw);
        let highest = import.highest.entry(peer).or_insert(i64::MIN);
        let is_first = id > *highest;
        *highest = id.max(*highest);
        let known = &import.source.known;
        let look = known.look(&import.run, import.observed, peer, id, &import.says, raw);
        if let Some(run) = look.run().filter(|run| known.made(run) != Some(import.observed)) {
            import.seen.entry((peer, run.clone())).or_default().push(id);
        }
        match look {
            Look::SameBytes(earlier) if is_first => import.layout.message(peer, &earlier, id, raw),
            Look::SameBytes(_) | Look::Same(_) => import.layout.bytes(raw),
            Look::New => {
                let note = known.note(id, &import.says, is_first.then_some(raw));
                let start = import.lines.len();
                record.write_line(&mut import.lines).map_err(io::Error::other)?;
                if import.lines.len() - start > MAX_LINE_BYTES {
                    import.lines.truncate(start);
                    import.problem(&format!("message {id} is too long; it is kept as it is, but shown nowhere"));
                    return raw.chunks(LAYOUT_BYTES).try_for_each(|part| import.layout.bytes(part));
                }
                if start > 0 && import.lines.len() > MAX_BATCH_BYTES {
                    let last = import.lines.split_off(start);
                    import.flush_lines()?;
                    import.lines.extend_from_slice(&last);
                }
                import.notes.push(note);
                if is_first { import.layout.message(peer, &import.run, id, raw) } else { import.layout.bytes(raw) }
            }
        }
    }

    fn chat(&mut self, chat: ChatInfo) -> io::Result<()> {
        let import = &mut *self.import;
        import.flush_lines()?;
        if import.described.as_ref().is_some_and(|known| known.peer != chat.peer) {
            import.end_description()?;
        }
        import.described = Some(chat);
        Ok(())
    }

    fn part(&mut self, part: ChatPart) -> io::Result<()> {
        self.media()?;
        let path = paths::chat_part(part.peer, part.part, &part.run);
        self.import.describe(path, &part, false, part.value.get().as_bytes())
    }

    fn section(&mut self, section: AccountSection) -> io::Result<()> {
        self.media()?;
        self.import.describe(paths::account_section(section.section), &section, false, section.value.get().as_bytes())
    }

    fn problem(&mut self, offset: u64, what: &str) {
        self.import.problem(&format!("at byte {offset}: {what}"));
    }
}
