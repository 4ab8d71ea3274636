//! The list of chats: what Telegram shows in it, what the user chose of it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use grammers_tl_types::{Serializable, enums, functions, types};

use crate::model::chat::ChatType;
use crate::model::chat_ref::ChatRef;
use crate::model::paths::RunId;
use crate::model::peer::{Peer, PeerKind};
use crate::source::telegram::account::{Api, now};
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::events::Event;
use crate::source::telegram::options::{ChatClass, ExportOptions};
use crate::source::telegram::tl::{Loosely, PeerBook, peer_of};
use crate::source::telegram::wire::CallError;

/// Dialogs and left channels per request.
const PAGE: i32 = 100;

/// A chat as the list has it.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub(super) peer: Peer,
    /// The newest message; `None` where the list did not say.
    pub(super) top: Option<i32>,
    pub(super) top_date: Option<i32>,
    /// A channel's update counter.
    pub(super) pts: Option<i32>,
    pub(super) pinned: bool,
    pub(super) folder: Option<i32>,
    pub(super) unread: i32,
    pub(super) ttl: Option<i32>,
    /// Whether the account has left it.
    pub(super) left: bool,
    /// As Telegram sent it.
    pub(super) raw: Option<Vec<u8>>,
}

impl Dialog {
    /// A chat that is known from elsewhere than the list.
    pub(super) fn bare(peer: Peer, left: bool) -> Self {
        Self { peer, top: None, top_date: None, pts: None, pinned: false, folder: None, unread: 0, ttl: None, left, raw: None }
    }
}

struct Page {
    dialogs: Vec<enums::Dialog>,
    messages: Vec<enums::Message>,
    /// How many chats the server counts, where it says that there is more.
    slice: Option<i32>,
}

fn date_of(message: &enums::Message) -> Option<i32> {
    match message {
        enums::Message::Message(message) => Some(message.date),
        enums::Message::Service(message) => Some(message.date),
        enums::Message::Empty(_) => None,
    }
}

fn peer_of_message(message: &enums::Message) -> Option<Peer> {
    match message {
        enums::Message::Message(message) => Some(peer_of(&message.peer_id)),
        enums::Message::Service(message) => Some(peer_of(&message.peer_id)),
        enums::Message::Empty(message) => message.peer_id.as_ref().map(peer_of),
    }
}

/// Reads the list of chats.
pub(super) struct DialogReader<'a> {
    pub(super) api: &'a Api,
    pub(super) peers: &'a PeerBook,
    pub(super) run: &'a RunId,
    /// Chats of the list that could not be read.
    pub(super) lost: AtomicU64,
}

impl DialogReader<'_> {
    /// All dialogs, archived ones included, each once.
    pub(super) async fn all(&self, ranges: &[types::MessageRange]) -> Result<Vec<Dialog>, CallError> {
        const ARCHIVE: i32 = 1;
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut archive = false;
        let whole = [None];
        let ranges: Vec<Option<&types::MessageRange>> =
            if ranges.len() > 1 { ranges.iter().rev().map(Some).collect() } else { whole.to_vec() };
        for range in ranges {
            archive |= self.folder(None, range, &mut found, &mut seen).await?;
            if archive {
                self.folder(Some(ARCHIVE), range, &mut found, &mut seen).await?;
            }
        }
        Ok(found)
    }

    async fn page(
        &self,
        folder_id: Option<i32>,
        range: Option<&types::MessageRange>,
        offset: (i32, i32, enums::InputPeer),
        exclude_pinned: bool,
    ) -> Result<Page, CallError> {
        let (offset_date, offset_id, offset_peer) = offset;
        let request =
            functions::messages::GetDialogs { exclude_pinned, folder_id, offset_date, offset_id, offset_peer, limit: PAGE, hash: 0 };
        // A message or a chat that this version cannot read must not cost the list.
        let page = self.api.ask_in(range, &Loosely(&request)).await?;
        if page.lost > 0 {
            self.tell_lost(page.lost, "cannot be read by this version");
        }
        self.peers.learn(&page.users, &page.chats, now(), self.run);
        Ok(Page { dialogs: page.dialogs, messages: page.messages, slice: page.count })
    }

    /// The pinned chats of a folder, of which a page may not show all; nothing where the server does not tell.
    ///
    /// # Errors
    /// When Telegram cannot be reached.
    async fn pinned(&self, folder_id: Option<i32>, range: Option<&types::MessageRange>) -> Result<Option<Page>, CallError> {
        let request = functions::messages::GetPinnedDialogs { folder_id: folder_id.unwrap_or_default() };
        match self.api.ask_in(range, &request).await {
            Ok(enums::messages::PeerDialogs::Dialogs(all)) => {
                self.peers.learn(&all.users, &all.chats, now(), self.run);
                Ok(Some(Page { dialogs: all.dialogs, messages: all.messages, slice: None }))
            }
            Err(error) if error.is_unreachable() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "pinned chats cannot be asked for");
                Ok(None)
            }
        }
    }

    /// Reads one folder; says whether it has an archive in it.
    async fn folder(
        &self,
        folder_id: Option<i32>,
        range: Option<&types::MessageRange>,
        found: &mut Vec<Dialog>,
        seen: &mut HashSet<Peer>,
    ) -> Result<bool, CallError> {
        let mut archive = false;
        let mut offset = (0, 0, enums::InputPeer::Empty);
        let mut asked = HashSet::new();
        let mut exclude_pinned = false;
        let mut here = HashSet::new();
        let mut looked_again = false;
        // How many chats there are in all as far as pages told, and whether some of the pinned ones may be unknown.
        let (mut counted, mut unasked) = (0, false);
        // Lines of the list that are no chats, or whose chats cannot be read: these are told apart.
        let mut others = HashSet::new();
        loop {
            let known = found.len();
            let mut page = self.page(folder_id, range, offset, exclude_pinned).await?;
            counted = counted.max(page.slice.unwrap_or_default());
            let is_pinned = |dialog: &enums::Dialog| matches!(dialog, enums::Dialog::Dialog(dialog) if dialog.pinned);
            // Nothing but pinned ones: there may be more than a page shows, and the others begin behind them.
            if page.slice.is_some() && !exclude_pinned && !page.dialogs.is_empty() && page.dialogs.iter().all(is_pinned) {
                match self.pinned(folder_id, range).await? {
                    Some(more) => {
                        page.dialogs.extend(more.dialogs);
                        page.messages.extend(more.messages);
                    }
                    None => unasked = true,
                }
            }
            let dates: HashMap<(Option<Peer>, i32), i32> =
                page.messages.iter().filter_map(|message| Some(((peer_of_message(message), message.id()), date_of(message)?))).collect();
            let (mut next, mut undated, mut unpinned) = (None, None, false);
            for dialog in &page.dialogs {
                let raw = match dialog {
                    enums::Dialog::Dialog(raw) => raw,
                    enums::Dialog::Folder(_) => {
                        archive = true;
                        others.insert(dialog.to_bytes());
                        continue;
                    }
                    // A community holds chats, which the list has too, and no messages of its own.
                    enums::Dialog::Community(_) => {
                        others.insert(dialog.to_bytes());
                        continue;
                    }
                };
                let peer = peer_of(&raw.peer);
                if peer.id < 0 {
                    others.insert(dialog.to_bytes());
                    self.tell_lost(1, "have numbers that no chat can have");
                    continue;
                }
                here.insert(peer);
                unpinned |= !raw.pinned;
                let top_date = dates.get(&(Some(peer), raw.top_message)).copied();
                // Pinned dialogs stand out of order: the page goes on from the last that is in its place.
                if !raw.pinned {
                    let input = self.peers.input(peer).unwrap_or(enums::InputPeer::Empty);
                    match top_date {
                        Some(date) => next = Some((date, raw.top_message, input)),
                        None => undated = Some((0, raw.top_message, input)),
                    }
                }
                if seen.insert(peer) {
                    found.push(Dialog {
                        peer,
                        top: Some(raw.top_message).filter(|&top| top > 0),
                        top_date,
                        pts: raw.pts,
                        pinned: raw.pinned,
                        folder: raw.folder_id,
                        unread: raw.unread_count,
                        ttl: raw.ttl_period,
                        left: self.peers.is_left(peer),
                        raw: Some(dialog.to_bytes()),
                    });
                }
            }
            // Only pinned ones: the others begin behind them. Without any date the message alone says where the next page begins.
            let first = next.is_none() && !unpinned && !page.dialogs.is_empty() && !std::mem::replace(&mut exclude_pinned, true);
            if first {
                next = Some((0, 0, enums::InputPeer::Empty));
            }
            // Once back at the beginning, what is known already follows; what the server counts beyond that it does not show.
            if looked_again && found.len() == known {
                self.tell_cut(counted, here.len() + others.len());
                return Ok(archive);
            }
            match next.or(undated) {
                // An offset that was asked for already would go round for ever.
                Some(next) if page.slice.is_some() && asked.insert((next.0, next.1)) => offset = next,
                _ => {
                    // Only an empty page is an end, and not the first one, but in a range, of which nothing may be the account's: any
                    // other hides what comes after it.
                    let end = page.dialogs.is_empty() && (range.is_some() || !(exclude_pinned || asked.is_empty()));
                    match page.slice {
                        Some(_) if unasked => self.tell_cut(counted, here.len()),
                        Some(count) if !end => self.tell_cut(count, seen.len()),
                        // A chat that got a message meanwhile went from a page that was not read yet to one that was.
                        Some(count) if usize::try_from(count).is_ok_and(|count| count > here.len()) && !looked_again => {
                            looked_again = true;
                            (offset, exclude_pinned) = ((0, 0, enums::InputPeer::Empty), false);
                            asked.clear();
                            continue;
                        }
                        _ => {}
                    }
                    return Ok(archive);
                }
            }
        }
    }

    /// Says that the list could not be followed to its end.
    fn tell_cut(&self, count: i32, known: usize) {
        let missing = u64::try_from(count).unwrap_or_default().saturating_sub(known as u64);
        if missing > 0 {
            self.lost.fetch_add(missing, Ordering::Relaxed);
            let what =
                format!("the list of chats could not be followed to its end: Telegram counts {count} chats in it, {known} are known");
            self.api.observer.event(Event::Note(what));
        }
    }

    /// Says that chats of the list had to be left out.
    fn tell_lost(&self, count: u64, why: &str) {
        self.lost.fetch_add(count, Ordering::Relaxed);
        self.api.observer.event(Event::Note(format!("{count} of the chats in the list {why}")));
    }

    /// Finds chats that the user named and the list does not have; with `shows_more` a takeout may still.
    pub(super) async fn resolve(&self, selection: &Selection, dialogs: &mut Vec<Dialog>, shows_more: bool) -> Result<(), TelegramError> {
        for (text, username) in selection.unmatched(dialogs, self.peers) {
            let unknown = || TelegramError::NoSuchChat { chat: text.clone() };
            let username = match username {
                Some(username) => username,
                None if shows_more => continue,
                None => return Err(unknown()),
            };
            let request = functions::contacts::ResolveUsername { username, referer: None };
            let enums::contacts::ResolvedPeer::Peer(found) = match self.api.ask_plainly(&request).await {
                Ok(found) => found,
                Err(error) => {
                    self.api.or_reason("finding a chat by its name", error)?;
                    if shows_more {
                        continue;
                    }
                    return Err(unknown());
                }
            };
            self.peers.learn(&found.users, &found.chats, now(), self.run);
            dialogs.push(Dialog::bare(peer_of(&found.peer), false));
        }
        Ok(())
    }

    /// Channels and groups that the account has left; only a takeout tells.
    pub(super) async fn left(&self) -> Result<Vec<Dialog>, CallError> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let offset = i32::try_from(seen.len()).unwrap_or(i32::MAX);
            let (chats, slice) = match self.api.ask(&functions::channels::GetLeftChannels { offset }).await? {
                enums::messages::Chats::Chats(chats) => (chats.chats, false),
                enums::messages::Chats::Slice(chats) => (chats.chats, true),
            };
            self.peers.learn(&[], &chats, now(), self.run);
            let before = seen.len();
            for chat in &chats {
                let peer = match chat {
                    enums::Chat::Channel(channel) => Peer::channel(channel.id),
                    enums::Chat::ChannelForbidden(channel) => Peer::channel(channel.id),
                    _ => continue,
                };
                if peer.id >= 0 && seen.insert(peer) {
                    found.push(Dialog::bare(peer, true));
                }
            }
            if !slice || seen.len() == before {
                return Ok(found);
            }
        }
    }
}

/// Whether somebody means this chat.
pub(super) fn means(wanted: &ChatRef, peer: Peer, peers: &PeerBook) -> bool {
    let names = [peers.name(peer), peers.chat_name(peer)];
    // Chats like Saved Messages, which apps show by these words.
    let called = peers.chat_type(peer).filter(|kind| kind.is_nameless()).map_or_else(Vec::new, ChatType::stand_ins);
    let usernames = peers.usernames(peer);
    wanted.fits(peer, usernames.iter().map(String::as_str), names.iter().flatten().map(String::as_str).chain(called))
}

/// What the user chose, worked out against the list of chats.
pub(super) struct Selection {
    only: Vec<(String, ChatRef)>,
    exclude: Vec<(String, ChatRef)>,
    classes: Vec<ChatClass>,
    folders: Option<Vec<types::DialogFilter>>,
}

impl Selection {
    /// Reads the options; asks Telegram for its folders where some are chosen.
    pub(super) async fn new(api: &Api, options: &ExportOptions) -> Result<Self, TelegramError> {
        let folders = if options.folders.is_empty() { None } else { Some(chosen_folders(api, &options.folders).await?) };
        let read = |list: &[String]| list.iter().map(|text| (text.clone(), ChatRef::new(text))).collect();
        Ok(Self { only: read(&options.chats), exclude: read(&options.exclude_chats), classes: options.classes.clone(), folders })
    }

    /// Chats that were asked for and are not in the list, with the public name that they may be found by.
    pub(super) fn unmatched(&self, dialogs: &[Dialog], peers: &PeerBook) -> Vec<(String, Option<String>)> {
        missing(&self.only, dialogs, peers)
            .map(|(text, wanted)| match wanted {
                ChatRef::Username(name) => (text.clone(), Some(name.clone())),
                _ => (text.clone(), None),
            })
            .collect()
    }

    /// What was to be left out and fits no chat.
    pub(super) fn unmatched_exclusions(&self, dialogs: &[Dialog], peers: &PeerBook) -> Vec<String> {
        missing(&self.exclude, dialogs, peers).map(|(text, _)| text.clone()).collect()
    }

    /// Whether a chat is to be exported.
    pub(super) fn takes(&self, dialog: &Dialog, peers: &PeerBook) -> bool {
        let peer = dialog.peer;
        if self.excludes(peer, peers) {
            return false;
        }
        if !self.only.is_empty() {
            return self.only.iter().any(|(_, wanted)| means(wanted, peer, peers));
        }
        if let Some(folders) = &self.folders {
            return folders.iter().any(|folder| in_folder(folder, dialog, peers));
        }
        match peers.chat_type(peer) {
            Some(kind) => self.classes.contains(&ChatClass::of(kind)),
            // Never described: it is taken where whatever it may be is wanted, so that it is at least reported.
            None => ChatClass::possible(peer.kind).iter().all(|class| self.classes.contains(class)),
        }
    }

    /// Whether single chats were named.
    pub(super) fn is_by_name(&self) -> bool {
        !self.only.is_empty()
    }

    /// Whether no chat is left out.
    pub(super) fn is_everything(&self) -> bool {
        let all_classes = ChatClass::ALL.iter().all(|class| self.classes.contains(class));
        self.only.is_empty() && self.exclude.is_empty() && self.folders.is_none() && all_classes
    }

    /// Whether a chat is to be left out by its name.
    pub(super) fn excludes(&self, peer: Peer, peers: &PeerBook) -> bool {
        self.exclude.iter().any(|(_, wanted)| means(wanted, peer, peers))
    }
}

fn missing<'a>(wanted: &'a [(String, ChatRef)], dialogs: &'a [Dialog], peers: &'a PeerBook) -> impl Iterator<Item = &'a (String, ChatRef)> {
    wanted.iter().filter(|(_, wanted)| !dialogs.iter().any(|dialog| means(wanted, dialog.peer, peers)))
}

async fn chosen_folders(api: &Api, names: &[String]) -> Result<Vec<types::DialogFilter>, TelegramError> {
    let answer = api.ask_plainly(&functions::messages::GetDialogFilters {}).await;
    let enums::messages::DialogFilters::Filters(all) =
        answer.map_err(|error| TelegramError::from_call(&api.account, "cannot read Telegram's folders", error))?;
    let all: Vec<types::DialogFilter> = all
        .filters
        .into_iter()
        .filter_map(|filter| match filter {
            enums::DialogFilter::Filter(filter) => Some(filter),
            enums::DialogFilter::Chatlist(list) => Some(types::DialogFilter {
                contacts: false,
                non_contacts: false,
                groups: false,
                broadcasts: false,
                bots: false,
                exclude_muted: false,
                exclude_read: false,
                exclude_archived: false,
                title_noanimate: list.title_noanimate,
                id: list.id,
                title: list.title,
                emoticon: list.emoticon,
                color: list.color,
                pinned_peers: list.pinned_peers,
                include_peers: list.include_peers,
                exclude_peers: vec![],
            }),
            enums::DialogFilter::Default => None,
        })
        .collect();
    let title = |folder: &types::DialogFilter| {
        let enums::TextWithEntities::Entities(title) = &folder.title;
        title.text.clone()
    };
    names
        .iter()
        .map(|name| {
            let is_meant = |folder: &&types::DialogFilter| {
                title(folder).to_lowercase() == name.trim().to_lowercase() || folder.id.to_string() == name.trim()
            };
            let unknown = || TelegramError::NoSuchFolder {
                folder: name.clone(),
                known: all.iter().map(|folder| (folder.id, title(folder))).collect(),
            };
            all.iter().find(is_meant).cloned().ok_or_else(unknown)
        })
        .collect()
}

fn input_is(input: &enums::InputPeer, peer: Peer, peers: &PeerBook) -> bool {
    match input {
        enums::InputPeer::User(user) => peer == Peer::user(user.user_id),
        enums::InputPeer::Chat(chat) => peer == Peer::chat(chat.chat_id),
        enums::InputPeer::Channel(channel) => peer == Peer::channel(channel.channel_id),
        enums::InputPeer::PeerSelf => matches!(peers.input(peer), Some(enums::InputPeer::PeerSelf)),
        _ => false,
    }
}

/// Whether Telegram shows the chat in the folder. Muted and read chats come and go there; for a backup they belong to it.
fn in_folder(folder: &types::DialogFilter, dialog: &Dialog, peers: &PeerBook) -> bool {
    let peer = dialog.peer;
    let named = |list: &[enums::InputPeer]| list.iter().any(|input| input_is(input, peer, peers));
    if named(&folder.exclude_peers) {
        return false;
    }
    if named(&folder.include_peers) || named(&folder.pinned_peers) {
        return true;
    }
    if folder.exclude_archived && dialog.folder == Some(1) {
        return false;
    }
    match peers.chat_type(peer).map(ChatClass::of) {
        Some(ChatClass::Bots) => folder.bots,
        Some(ChatClass::Personal) if peer.kind == PeerKind::User => {
            if peers.is_contact(peer) {
                folder.contacts
            } else {
                folder.non_contacts
            }
        }
        Some(ChatClass::PrivateGroups | ChatClass::PublicGroups) => folder.groups,
        Some(ChatClass::PrivateChannels | ChatClass::PublicChannels) => folder.broadcasts,
        _ => false,
    }
}
