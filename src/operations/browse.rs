//! A snapshot held open for somebody who looks around in it: chats, windows of their messages, ranges of their files.
//!
//! Nothing is written anywhere, and what is not looked at is not read: a chat's log when the chat is opened, of a file the frames that
//! are wanted. Everything but opening blocks and must not be called on the runtime's own threads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::OperationError;
use super::chats::conversation::{Conversation, Found, Message, Span};
use super::chats::{Chat, Chosen, Joined, OpenChats, choose};
use super::events::Silent;
use super::messages::search::{Search, Searched, Writing, search};
use super::report::Report;
use super::session::Session;
use super::snapshot::choice::SnapshotChoice;
use super::stop::Stop;
use crate::model::account::Section;
use crate::model::chat::ChatInfo;
use crate::model::entry::{EntryPath, Kind};
use crate::model::peer::Peer;
use crate::render::html::Owner;
use crate::render::html::lists::owner;
use crate::render::search::Query;
use crate::repository::format::snapshot::Snapshot;
use crate::repository::tree::TreeEntry;

/// Chats that are kept open: each has a few dozen bytes in memory for each of its messages.
const OPEN_CHATS: usize = 4;

/// A snapshot held open.
pub struct Browser {
    chats: OpenChats,
    chosen: Vec<Chosen>,
    joined: Joined,
    owner: Owner,
    report: Arc<Report>,
    /// As it was then, Unix seconds.
    at: Option<i64>,
    /// The chats that were looked at last.
    open: Mutex<VecDeque<(Peer, Arc<Mutex<OpenChat>>)>>,
    summaries: OnceLock<Vec<Summary>>,
}

/// A chat whose log was passed over.
struct OpenChat {
    conversation: Conversation,
    /// Its messages, ascending by the id that is shown.
    found: Vec<Found>,
}

/// What the list of chats says of one.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its description.
    pub info: ChatInfo,
    /// How many messages it has.
    pub messages: u64,
    /// Its last message; `None` where it has none that can be read.
    pub last: Option<Arc<Message>>,
}

/// Where in a chat to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// At its first message.
    First,
    /// At its last.
    Last,
    /// Around the message with this id, or the next after it.
    Around(i64),
    /// Before the message with this id.
    Before(i64),
    /// After the message with this id.
    After(i64),
    /// From this moment on, Unix seconds.
    From(i64),
}

/// Some messages of a chat.
#[derive(Debug)]
pub struct Window {
    /// The chat's description.
    pub info: ChatInfo,
    /// The messages, ascending.
    pub messages: Vec<Message>,
    /// How many messages come before the first of them.
    pub before: usize,
    /// How many come after the last of them.
    pub after: usize,
}

impl Browser {
    /// Opens the snapshot; with `at`, as its chats were then.
    ///
    /// # Errors
    /// When no key fits, or there is no such snapshot.
    pub async fn open(session: &Session, choice: &SnapshotChoice, at: Option<i64>) -> Result<Self, OperationError> {
        let chats = OpenChats::open_with_chats(&session.open().await?, choice).await?;
        let report = Arc::new(Report::new(Arc::new(Silent), Stop::default()));
        tokio::task::spawn_blocking(move || {
            let bad = &mut |path: &EntryPath, error: &OperationError| report.problem(path, &error.to_string());
            let chosen = choose(&chats, chats.chats(bad)?, &[])?;
            let owner =
                chats.sections(bad)?.iter().find(|section| section.section == Section::PersonalInformation).map(owner).unwrap_or_default();
            let joined = Joined::order(&mut chosen.iter().flat_map(Chosen::all).cloned().collect());
            Ok(Self { chats, chosen, joined, owner, report, at, open: Mutex::default(), summaries: OnceLock::new() })
        })
        .await?
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        self.chats.opened().snapshot()
    }

    /// Whose account it is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What of the vault is lost or cannot be read, as far as it was met.
    pub fn trouble(&self) -> Vec<String> {
        let mut trouble: Vec<String> = self.chats.opened().lost().to_vec();
        let problems = self.report.problems.load(std::sync::atomic::Ordering::Relaxed);
        if problems > 0 {
            trouble.push(format!("{problems} parts of the chats cannot be read: `tgvault verify --deep` says which"));
        }
        trouble
    }

    /// The chats in the order in which people see them. The first call passes over all their logs.
    ///
    /// # Errors
    /// When the store fails.
    pub fn summaries(&self) -> Result<&[Summary], OperationError> {
        if let Some(known) = self.summaries.get() {
            return Ok(known);
        }
        let mut summaries = Vec::with_capacity(self.chosen.len());
        for chosen in &self.chosen {
            let mut chat = self.pass_over(chosen)?;
            let last = match chat.found.last() {
                Some(found) => chat.conversation.read(found)?.map(Arc::new),
                None => None,
            };
            summaries.push(Summary { info: chosen.chat.info.clone(), messages: chat.found.len() as u64, last });
        }
        Ok(self.summaries.get_or_init(|| summaries))
    }

    fn pass_over(&self, chosen: &Chosen) -> Result<OpenChat, OperationError> {
        let span = Span { at: self.at, history: true, ..Span::default() };
        let mut conversation = Conversation::open(&self.chats, &chosen.chat, chosen.before.as_ref(), span, Arc::clone(&self.report))?;
        let found = std::iter::from_fn(|| conversation.find()).collect();
        Ok(OpenChat { conversation, found })
    }

    /// Up to `count` messages of a chat; `None` where there is no such chat. Those that cannot be read are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub fn window(&self, peer: Peer, at: Where, count: usize) -> Result<Option<Window>, OperationError> {
        let Some(chosen) = self.chosen.iter().find(|chosen| chosen.chat.peer == peer) else { return Ok(None) };
        let open = self.opened(chosen)?;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let OpenChat { conversation, found } = &mut *open;
        let position = |id: i64| found.partition_point(|found| conversation.shown_id(found) < id);
        let from = match at {
            Where::First => 0,
            Where::Last => found.len().saturating_sub(count),
            Where::Around(id) => position(id).saturating_sub(count / 2),
            Where::Before(id) => position(id).saturating_sub(count),
            Where::After(id) => position(id.saturating_add(1)),
            // Dates need not ascend with ids: the first message of that time or later.
            Where::From(time) => found.iter().position(|found| found.date().is_some_and(|date| date >= time)).unwrap_or(found.len()),
        };
        let end = match at {
            Where::Before(id) => position(id),
            _ => from.saturating_add(count).min(found.len()),
        };
        // A window at the end is a whole one.
        let from = if end == found.len() { from.min(end.saturating_sub(count)) } else { from };
        let mut messages = Vec::with_capacity(end.saturating_sub(from));
        for found in found.get(from..end).unwrap_or_default() {
            messages.extend(conversation.read(found)?);
        }
        Ok(Some(Window { info: chosen.chat.info.clone(), messages, before: from, after: found.len() - end }))
    }

    /// The chat, passed over once for as long as it is among those that were looked at last.
    fn opened(&self, chosen: &Chosen) -> Result<Arc<Mutex<OpenChat>>, OperationError> {
        let peer = chosen.chat.peer;
        let find =
            |open: &VecDeque<(Peer, Arc<Mutex<OpenChat>>)>| open.iter().find(|(known, _)| *known == peer).map(|(_, chat)| chat.clone());
        if let Some(chat) = find(&self.open.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(chat);
        }
        let chat = Arc::new(Mutex::new(self.pass_over(chosen)?));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN_CHATS {
            open.pop_front();
        }
        open.push_back((peer, Arc::clone(&chat)));
        Ok(chat)
    }

    /// Searches all chats, and hands what is found to `each` as `writing` wrote it.
    ///
    /// # Errors
    /// When the store fails, or `stop` is wanted.
    pub fn search<W: Writing>(
        &self,
        query: &Query,
        writing: &W,
        kept_bytes: usize,
        stop: &Stop,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<Searched, OperationError> {
        let chats: Vec<Chat> = self.chosen.iter().flat_map(Chosen::all).cloned().collect();
        search(&self.chats, &Search { chats: &chats, query, writing, history: false, kept_bytes }, stop, |_, written| {
            each(written);
            Ok(())
        })
    }

    /// The chat in which a message of `chat` is shown, and its id there: those of a basic group stand in the supergroup that it became.
    pub fn place_of<'a>(&'a self, chat: &'a Chat, id: i64) -> (&'a ChatInfo, i64) {
        let supergroup = self.joined.inside(chat.peer);
        let shown_in = supergroup.and_then(|peer| self.chosen.iter().find(|chosen| chosen.chat.peer == peer));
        (shown_in.map_or(&chat.info, |chosen| &chosen.chat.info), self.joined.shown_id(chat.peer, id))
    }

    /// The length of a stored file in bytes; `None` where the snapshot has none there, or not all of it.
    pub fn file_length(&self, path: &EntryPath) -> Option<u64> {
        let entry = self.file(path)?;
        entry.pieces().map(|_| entry.stored_size())
    }

    fn file(&self, path: &EntryPath) -> Option<TreeEntry> {
        let tree = self.chats.opened().tree();
        let entry = tree.get(path)?;
        match &entry.kind {
            Kind::File => Some(entry),
            Kind::Hardlink { target } => tree.get(target).filter(|entry| entry.kind == Kind::File),
            _ => None,
        }
    }

    /// Hands bytes `from..to` of a stored file to `each`, piece by piece, out of just the frames that have them. age vouches for each
    /// piece; the digest of the whole file is not looked at.
    ///
    /// # Errors
    /// When there is no such file, it cannot be read, or `each` fails.
    pub fn read(
        &self,
        path: &EntryPath,
        from: u64,
        to: u64,
        each: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), OperationError> {
        let missing = || OperationError::NoSuchPath { path: path.to_string(), snapshot: self.snapshot().id.to_string() };
        let entry = self.file(path).ok_or_else(missing)?;
        self.chats.opened().read_range(path, &entry, from, to, each)
    }
}
