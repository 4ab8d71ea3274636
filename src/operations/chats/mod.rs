//! The chats of a snapshot, opened for reading: what every operation that looks into messages builds on.
//!
//! [`OpenChats::of`] takes an open snapshot; [`OpenChats::chats`] says which chats there are; [`OpenChats::log`] gives one chat's
//! batches to [`ChatLog`](crate::render::log::ChatLog), fetched by ranged reads and a little ahead of the reader. Nothing here holds
//! more than a few batches in memory.
//!
//! Everything but opening blocks and must not be called on the runtime's own threads.

mod batches;
mod choose;
pub mod conversation;
pub(super) mod imported;
mod joined;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

pub use batches::BatchReader;
pub(super) use choose::{Chosen, choose};
pub use joined::Joined;
use names::Nearly;

use super::OperationError;
use super::session::{Opened, Session};
use super::snapshot::OpenSnapshot;
use super::snapshot::choice::{Selection, SnapshotChoice, chat_sources};
use crate::model::account::{AccountSection, Section, join_contacts};
use crate::model::chat::{ChatInfo, ChatType, TopicInfo};
use crate::model::chat_part::ChatPart;
use crate::model::chat_ref::ChatRef;
use crate::model::coverage::{AccountCoverage, Coverage};
use crate::model::entry::{EntryPath, Kind};
use crate::model::fold::Sighting;
use crate::model::harmless::printable;
use crate::model::json;
use crate::model::paths::{self, Place, RunId};
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::{SeenAgain, VERSION};
use crate::repository::tree::TreeEntry;

/// What one chat of a snapshot consists of.
#[derive(Clone, Debug)]
pub struct Chat {
    /// Who or what it is with.
    pub peer: Peer,
    /// Its description; made of the peer alone where the snapshot has none that can be read.
    pub info: ChatInfo,
    /// Whether the vault has lost or changed its description, which then says nothing.
    pub is_damaged: bool,
    /// The batches of its log, in the order in which they were written.
    pub batches: Vec<EntryPath>,
    /// Bytes of its log.
    pub log_bytes: u64,
    /// What imports saw again.
    pub seen: Vec<Sighting>,
}

impl Chat {
    /// Whether people may call it so: its name, its full name, or any other form of [`ChatRef`].
    pub fn is_called(&self, wanted: &str) -> bool {
        let called = self.info.kind.filter(|kind| kind.is_nameless()).map_or_else(Vec::new, ChatType::stand_ins);
        // Of an export of single topics, nothing but their titles is known.
        let topics = self.info.topics.iter().filter(|_| self.info.is_partial).map(|topic| topic.title.as_str());
        let names = [&self.info.name, &self.info.full_name].into_iter().flatten().map(String::as_str).chain(called).chain(topics);
        ChatRef::new(wanted).fits(self.peer, self.info.username.as_deref(), names)
    }
}

/// A snapshot opened for reading its chats. Cheap to clone.
#[derive(Clone)]
pub struct OpenChats {
    opened: OpenSnapshot,
    stands_in: Option<Arc<str>>,
    elsewhere: Option<Elsewhere>,
}

/// The repository, for a chat that another account may have.
#[derive(Clone)]
struct Elsewhere {
    opened: Opened,
    runtime: Handle,
}

/// A part of a snapshot that cannot be read: its path, and what is wrong with it.
pub type Unreadable<'a> = &'a mut dyn FnMut(&EntryPath, &OperationError);

impl OpenChats {
    /// The chats of an open snapshot.
    pub fn of(opened: OpenSnapshot) -> Self {
        Self { opened, stands_in: None, elsewhere: None }
    }

    /// Opens a snapshot for reading its chats.
    ///
    /// # Errors
    /// As [`OpenSnapshot::open`].
    pub async fn open(session: &Session, choice: &SnapshotChoice) -> Result<Self, OperationError> {
        OpenSnapshot::open(session, choice).await.map(Self::of)
    }

    /// For what needs chats: where `latest` is wanted and has none, the latest snapshot of the one source of chats in the vault is
    /// opened instead, and [`Self::stands_in`] says so.
    ///
    /// # Errors
    /// As [`OpenSnapshot::open`].
    pub async fn open_with_chats(opened: &Opened, choice: &SnapshotChoice) -> Result<Self, OperationError> {
        let elsewhere = Some(Elsewhere { opened: opened.clone(), runtime: Handle::current() });
        let latest = Self { elsewhere: elsewhere.clone(), ..Self::of(OpenSnapshot::open_in(opened, choice).await?) };
        if latest.is_telegram() {
            return Ok(latest);
        }
        let Some(choice) = choice.of_chats(opened).await? else { return Ok(latest) };
        let instead = OpenSnapshot::open_in(opened, &choice).await?;
        let (other, snapshot) = (&latest.opened.snapshot().source.kind, instead.snapshot());
        let said = format!(
            "the latest snapshot has no chats, for it is of a {other}; this is {}, the latest of {}",
            snapshot.id.to_string().get(..8).unwrap_or_default(),
            snapshot.source
        );
        Ok(Self { opened: instead, stands_in: Some(said.into()), elsewhere })
    }

    /// Which snapshot this is, where it stands in for one without chats.
    pub fn stands_in(&self) -> Option<&str> {
        self.stands_in.as_deref()
    }

    /// The snapshot that holds them.
    pub fn opened(&self) -> &OpenSnapshot {
        &self.opened
    }

    /// The error to end with when there are no chats.
    pub fn no_chats(&self) -> OperationError {
        self.opened.missing(OperationError::NoChats { snapshot: self.opened.snapshot().id.to_string() })
    }

    /// As [`Self::called`]; with a supergroup comes the basic group that it was before.
    ///
    /// # Errors
    /// As there.
    pub fn called_with_groups(&self, all: &[Chat], names: &[String]) -> Result<BTreeSet<Peer>, OperationError> {
        let called = self.called(all, names)?;
        let before = all.iter().filter(|chat| called.contains(&chat.peer)).filter_map(|chat| joined::group_before(all, chat));
        let before: Vec<Peer> = before.map(|chat| chat.peer).collect();
        Ok(called.into_iter().chain(before).collect())
    }

    /// The peers of those chats that go by one of the names.
    ///
    /// # Errors
    /// When a name fits none of them.
    pub fn called<'a>(&self, all: impl IntoIterator<Item = &'a Chat>, names: &[String]) -> Result<BTreeSet<Peer>, OperationError> {
        let all: Vec<&Chat> = all.into_iter().collect();
        let mut wanted = BTreeSet::new();
        for name in names {
            let called: Vec<Peer> = all.iter().filter(|chat| chat.is_called(name)).map(|chat| chat.peer).collect();
            if !called.is_empty() {
                wanted.extend(called);
                continue;
            }
            match names::nearly(&all, name) {
                Nearly::One(peer) => drop(wanted.insert(peer)),
                Nearly::Like(near) => {
                    let snapshot = self.opened.snapshot().id.to_string();
                    let of = if near.is_empty() { self.other_accounts_with(name) } else { Vec::new() };
                    let error = self.opened.missing(OperationError::NoSuchChat { chat: printable(name), snapshot, near, of });
                    // It may be one of those whose names are lost.
                    let nameless = all.iter().filter(|chat| chat.is_damaged).count();
                    return Err(if nameless == 0 || error.is_damage() {
                        error
                    } else {
                        OperationError::Lost { wanted: error.to_string(), lost: format!("the names of {nameless} chats cannot be read") }
                    });
                }
            }
        }
        Ok(wanted)
    }

    /// The other accounts in the repository that have a chat of this name. What cannot be read has none: this only helps with an error.
    fn other_accounts_with(&self, name: &str) -> Vec<String> {
        let Some(Elsewhere { opened, runtime }) = &self.elsewhere else { return Vec::new() };
        let own = self.opened.snapshot().source.to_string();
        let sources = runtime.block_on(chat_sources(opened, &Selection::default())).unwrap_or_default();
        let has = |source: &String| {
            let among = Selection { source: Some(source.clone()), ..Selection::default() };
            let choice = SnapshotChoice { wanted: "latest".to_owned(), among };
            let Ok(other) = runtime.block_on(OpenSnapshot::open_in(opened, &choice)) else { return false };
            let all = Self::of(other).chats(&mut |_, _| {}).unwrap_or_default();
            let all: Vec<&Chat> = all.iter().collect();
            all.iter().any(|chat| chat.is_called(name)) || matches!(names::nearly(&all, name), Nearly::One(_))
        };
        sources.into_iter().filter(|source| *source != own && has(source)).collect()
    }

    /// Whether the snapshot holds chats or an account, and not just files.
    pub fn is_telegram(&self) -> bool {
        let known = |path: &EntryPath| matches!(paths::place(path), Some(Place::ChatInfo(_) | Place::Log { .. } | Place::Account(_)));
        self.opened.tree().iter().any(|(path, entry)| entry.kind == Kind::File && known(&path))
    }

    /// The chats, sorted by peer. Descriptions that cannot be read are told to `bad`; their chats are there without.
    ///
    /// # Errors
    /// When the store fails.
    pub fn chats(&self, bad: Unreadable<'_>) -> Result<Vec<Chat>, OperationError> {
        self.described(&|_| true, true, bad)
    }

    /// As [`OpenChats::chats`], without what imports saw again: for whoever lists chats and reads no log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn descriptions(&self, bad: Unreadable<'_>) -> Result<Vec<Chat>, OperationError> {
        self.described(&|_| true, false, bad)
    }

    /// As [`OpenChats::chats`], but where all of `wanted` are peers (`user123`, `-100…`) only those are described: it saves
    /// reading the descriptions of all others.
    ///
    /// # Errors
    /// When the store fails.
    pub fn chats_for(&self, wanted: &[String], bad: Unreadable<'_>) -> Result<Vec<Chat>, OperationError> {
        let peer = |wanted: &String| if let ChatRef::Peer(peer) = ChatRef::new(wanted) { Some(peer) } else { None };
        let peers: Option<Vec<Peer>> = wanted.iter().map(peer).collect();
        match peers.filter(|peers| !peers.is_empty()) {
            // A basic group may be the only one to know which supergroup it became.
            Some(peers) => {
                let has_supergroup = peers.iter().any(|peer| peer.kind == PeerKind::Channel);
                let is_read = |peer: Peer| peers.contains(&peer) || has_supergroup && peer.kind == PeerKind::Chat;
                let chats = self.described(&is_read, true, &mut *bad)?;
                // Where the group does not agree, another supergroup may claim it as well.
                let alone = |chat: &Chat| joined::group_before(&chats, chat).is_some_and(|group| group.info.migrated_to != Some(chat.peer));
                if chats.iter().any(alone) { self.chats(bad) } else { Ok(chats) }
            }
            None => self.chats(bad),
        }
    }

    fn described(&self, describes: &dyn Fn(Peer) -> bool, with_sightings: bool, bad: Unreadable<'_>) -> Result<Vec<Chat>, OperationError> {
        #[derive(Default)]
        struct Parts {
            batches: Vec<(RunId, u32, EntryPath)>,
            log_bytes: u64,
            info: Option<ChatInfo>,
            topics: Vec<TopicInfo>,
            is_damaged: bool,
        }
        let mut found: BTreeMap<Peer, Parts> = BTreeMap::new();
        let mut described = Vec::new();
        for (path, entry) in self.files() {
            match paths::place(&path) {
                Some(Place::Log { peer, run, seq }) => {
                    let parts = found.entry(peer).or_default();
                    parts.batches.push((run, seq, path));
                    parts.log_bytes += entry.size;
                }
                Some(Place::ChatInfo(peer)) => {
                    found.entry(peer).or_default();
                    if describes(peer) {
                        described.push(path);
                    }
                }
                Some(Place::Topic(peer, _)) if describes(peer) => described.push(path),
                _ => {}
            }
        }
        self.opened.sweep(&described, &mut |path, read| {
            if let Some(Place::Topic(peer, id)) = paths::place(path) {
                match read.and_then(|bytes| parse::<TopicInfo>(path, bytes, |told| told.v)) {
                    Ok(told) if (told.peer, told.topic.id) == (peer, id) => found.entry(peer).or_default().topics.push(told),
                    Ok(_) => bad(path, &OperationError::Form { path: path.to_string(), why: "it describes another topic".into() }),
                    Err(error) => bad(path, &error),
                }
                return;
            }
            let info = read.and_then(|bytes| parse::<ChatInfo>(path, bytes, |info| info.v));
            match (info, paths::place(path)) {
                (Ok(info), Some(Place::ChatInfo(peer))) if info.peer == peer => {
                    found.entry(peer).or_default().info = Some(info);
                }
                (Ok(_), _) => bad(path, &OperationError::Form { path: path.to_string(), why: "it describes another chat".into() }),
                (Err(error), place) => {
                    if let Some(Place::ChatInfo(peer)) = place {
                        found.entry(peer).or_default().is_damaged = error.is_damage();
                    }
                    bad(path, &error);
                }
            }
        })?;
        let mut seen = if with_sightings { self.sightings(bad)? } else { BTreeMap::new() };
        let chats = found.into_iter().map(|(peer, mut parts)| {
            parts.batches.sort_unstable();
            let run = parts.batches.last().map(|(run, _, _)| run.clone());
            let is_damaged = parts.is_damaged;
            // Of a chat whose topics were exported one by one, nothing else is known.
            let is_partial = !parts.topics.is_empty();
            let mut info = parts.info.unwrap_or_else(|| ChatInfo { is_partial, ..undescribed(peer, run) });
            info.add_topics(parts.topics);
            let batches = parts.batches.into_iter().map(|(_, _, path)| path).collect();
            Chat { peer, info, is_damaged, batches, log_bytes: parts.log_bytes, seen: seen.remove(&peer).unwrap_or_default() }
        });
        Ok(chats.collect())
    }

    /// What imports found as other runs had stored it, by chat.
    fn sightings(&self, bad: Unreadable<'_>) -> Result<BTreeMap<Peer, Vec<Sighting>>, OperationError> {
        let paths: Vec<EntryPath> =
            self.files().map(|(path, _)| path).filter(|path| matches!(paths::place(path), Some(Place::Seen(_)))).collect();
        let mut found: BTreeMap<Peer, Vec<Sighting>> = BTreeMap::new();
        self.opened.sweep(&paths, &mut |path, read| match read {
            Ok(bytes) => {
                for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    match parse::<SeenAgain>(path, line, |seen| seen.v) {
                        Ok(SeenAgain { peer, run, observed, ids, .. }) => {
                            found.entry(peer).or_default().push(Sighting { run: run.to_string(), observed, ids });
                        }
                        Err(error) => bad(path, &error),
                    }
                }
            }
            Err(error) => bad(path, &error),
        })?;
        Ok(found)
    }

    /// The log of a chat.
    pub fn log(&self, chat: &Chat) -> BatchReader {
        BatchReader::new(self.opened.clone(), chat.batches.clone())
    }

    /// What is known about the completeness of chats; nothing of those of which the snapshot says nothing, as for imports. What
    /// cannot be read is told to `bad`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn coverage(&self, bad: Unreadable<'_>) -> Result<BTreeMap<Peer, Coverage>, OperationError> {
        let of = |path: &EntryPath| if let Some(Place::Coverage(peer)) = paths::place(path) { Some(peer) } else { None };
        let paths: Vec<EntryPath> = self.files().map(|(path, _)| path).filter(|path| of(path).is_some()).collect();
        let mut found = BTreeMap::new();
        self.opened.sweep(
            &paths,
            &mut |path, read| match read.and_then(|bytes| parse::<Coverage>(path, bytes, |coverage| coverage.v)) {
                Ok(coverage) => found.extend(of(path).map(|peer| (peer, coverage))),
                Err(error) => bad(path, &error),
            },
        )?;
        Ok(found)
    }

    /// What of the account beside the history of its chats could not be had, where the snapshot says something about that. What cannot
    /// be read is told to `bad`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn account_coverage(&self, bad: Unreadable<'_>) -> Result<Option<AccountCoverage>, OperationError> {
        let is_it = |path: &EntryPath| matches!(paths::place(path), Some(Place::AccountCoverage));
        let paths: Vec<EntryPath> = self.files().map(|(path, _)| path).filter(|path| is_it(path)).collect();
        let mut found = None;
        self.opened.sweep(&paths, &mut |path, read| match read
            .and_then(|bytes| parse::<AccountCoverage>(path, bytes, |coverage| coverage.v))
        {
            Ok(coverage) => found = Some(coverage),
            Err(error) => bad(path, &error),
        })?;
        Ok(found)
    }

    /// The sections of the account in the order and form of the exports. Those that cannot be read are told to `bad`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn sections(&self, bad: Unreadable<'_>) -> Result<Vec<AccountSection>, OperationError> {
        let mut sections: Vec<AccountSection> = Vec::new();
        let is_section = |path: &EntryPath| matches!(paths::place(path), Some(Place::Account(_)));
        let paths: Vec<EntryPath> = self.files().map(|(path, _)| path).filter(|path| is_section(path)).collect();
        self.opened.sweep(
            &paths,
            &mut |path, read| match read.and_then(|bytes| parse::<AccountSection>(path, bytes, |section| section.v)) {
                Ok(section) => sections.push(section),
                Err(error) => bad(path, &error),
            },
        )?;
        sections = join_contacts(sections);
        let place = |section: &AccountSection| Section::ALL.iter().position(|known| *known == section.section);
        sections.sort_by_key(place);
        sections.dedup_by_key(|section| section.section);
        Ok(sections)
    }

    /// What a chat has beside its messages, in the order in which it is shown. What cannot be read is told to `bad`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn parts(&self, of: Peer, bad: Unreadable<'_>) -> Result<Vec<ChatPart>, OperationError> {
        let is_its = |path: &EntryPath| matches!(paths::place(path), Some(Place::ChatPart(peer, _)) if peer == of);
        let folder = paths::chat_folder(of).map_err(|error| OperationError::Internal(error.to_string()))?;
        let paths: Vec<EntryPath> = self
            .opened
            .tree()
            .below(&folder)
            .filter(|(path, entry)| entry.kind == Kind::File && is_its(path))
            .map(|(path, _)| path)
            .collect();
        let mut parts = Vec::new();
        self.opened.sweep(&paths, &mut |path, read| match read.and_then(|bytes| parse::<ChatPart>(path, bytes, |part| part.v)) {
            Ok(part) if part.peer == of => parts.push(part),
            Ok(_) => bad(path, &OperationError::Form { path: path.to_string(), why: "it belongs to another chat".into() }),
            Err(error) => bad(path, &error),
        })?;
        Ok(ChatPart::join(parts))
    }

    fn files(&self) -> impl Iterator<Item = (EntryPath, TreeEntry)> {
        self.opened.tree().iter().filter(|(_, entry)| entry.kind == Kind::File)
    }
}

fn undescribed(peer: Peer, run: Option<RunId>) -> ChatInfo {
    ChatInfo {
        v: VERSION,
        peer,
        name: None,
        kind: None,
        other_kind: None,
        is_partial: false,
        full_name: None,
        username: None,
        left: false,
        only_my_messages: false,
        migrated_from: None,
        migrated_to: None,
        topics: Vec::new(),
        observed: 0,
        run: run.unwrap_or_else(RunId::unknown),
        dialog: None,
        unknown_keys: None,
        raw: None,
    }
}

/// Reads JSON of a form with a version.
fn parse<T: DeserializeOwned>(path: &EntryPath, bytes: &[u8], version: impl Fn(&T) -> u32) -> Result<T, OperationError> {
    let form = |why: String| OperationError::Form { path: path.to_string(), why };
    let value: T = serde_json::from_slice(bytes).map_err(|error| form(json::place(&error)))?;
    match version(&value) {
        ..=VERSION => Ok(value),
        later => Err(form(format!("it has version {later}, and this program reads up to {VERSION}; a newer tgvault is needed"))),
    }
}
