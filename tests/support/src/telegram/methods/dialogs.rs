//! The dialog list.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::chat::Chat;
use crate::telegram::world::{Blank, Kind, Peer, SELF, World, blank};

/// Most dialogs of a folder in one answer.
const PAGE: usize = 100;

/// What dialogs are sorted by: date, id, peer, all descending.
type Place = Reverse<(i32, i32, Peer)>;

impl World {
    /// The last message of a chat within a range of ids, and the dialog's place in the list.
    fn place(&self, chat: &Chat, range: Option<(i32, i32)>) -> Option<Place> {
        let ids = chat.ids();
        let top = match range {
            Some((min, max)) if !chat.peer.is_channel() => {
                let end = ids.partition_point(|id| *id <= max);
                *ids.get(..end)?.last().filter(|id| **id >= min)?
            }
            // Channels belong to the last range, which has no end.
            Some((_, max)) if max < i32::MAX => return None,
            _ => ids.last().copied().unwrap_or(0),
        };
        let date = if top == 0 { self.start } else { self.date(chat, top) };
        Some(Reverse((date, top, chat.peer)))
    }

    pub(crate) fn dialog(&self, chat: &Chat, top_message: i32) -> enums::Dialog {
        types::Dialog {
            pinned: chat.pinned.is_some(),
            unread_mark: false,
            view_forum_as_messages: false,
            peer: chat.peer.to_tl(),
            top_message,
            read_inbox_max_id: top_message,
            read_outbox_max_id: top_message,
            unread_count: 0,
            unread_mentions_count: 0,
            unread_reactions_count: 0,
            unread_poll_votes_count: 0,
            notify_settings: types::PeerNotifySettings::into(blank(4)),
            pts: chat.peer.is_channel().then_some(chat.pts),
            draft: None,
            folder_id: chat.archived.then_some(1),
            ttl_period: None,
        }
        .into()
    }

    /// Dialogs with their last messages and everybody named there.
    pub(crate) fn dialog_page(&self, page: &[(&Chat, i32)]) -> DialogPage {
        let mut peers = BTreeSet::from([Peer::User(SELF)]);
        let mut messages = Vec::new();
        for (chat, top) in page {
            peers.insert(chat.peer);
            if let Some(message) = self.message(chat, *top) {
                self.named(&message, &mut peers);
                messages.push(message);
            }
        }
        let (chats, users) = self.objects(&peers);
        DialogPage { dialogs: page.iter().map(|(chat, top)| self.dialog(chat, *top)).collect(), messages, chats, users }
    }
}

/// The lists that every answer with dialogs has.
pub(crate) struct DialogPage {
    pub(crate) dialogs: Vec<enums::Dialog>,
    pub(crate) messages: Vec<enums::Message>,
    pub(crate) chats: Vec<enums::Chat>,
    pub(crate) users: Vec<enums::User>,
}

pub(super) fn get_dialogs(call: &mut Call<'_>, request: f::messages::GetDialogs) -> Result<enums::messages::Dialogs, Refusal> {
    let world = call.shared.world();
    let listed = |chat: &&Chat| chat.listed() && request.folder_id.is_none_or(|folder| folder == i32::from(chat.archived));
    let mut pinned = Vec::new();
    let mut others = Vec::new();
    for chat in world.chats.iter().filter(listed) {
        let Some(place) = world.place(chat, call.range) else { continue };
        match chat.pinned {
            Some(n) => pinned.push((n, place, chat)),
            None => others.push((place, chat)),
        }
    }
    let count = if request.exclude_pinned { others.len() } else { others.len() + pinned.len() };
    others.sort_unstable_by_key(|(place, _)| *place);
    pinned.sort_unstable_by_key(|(n, ..)| *n);

    let first = request.offset_date == 0 && request.offset_id == 0;
    let limit = (request.limit.max(0) as usize).min(call.shared.options.page_dialogs);
    let mut page: Vec<(&Chat, i32)> = Vec::new();
    if first {
        if !request.exclude_pinned {
            page.extend(pinned.iter().map(|(_, Reverse((_, top, _)), chat)| (*chat, *top)).take(limit));
        }
        page.extend(others.iter().map(|(Reverse((_, top, _)), chat)| (*chat, *top)).take(limit.saturating_sub(page.len())));
    } else {
        // Strictly after the place that the request names; without a peer, after all that have this date and id.
        let peer = world.resolve(&request.offset_peer).ok();
        let after = |Reverse((date, id, at)): &Place| match (date, id).cmp(&(&offset_date(&world, &request, peer), &request.offset_id)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => peer.is_some_and(|peer| *at < peer),
            std::cmp::Ordering::Greater => false,
        };
        page.extend(others.iter().filter(|(place, _)| after(place)).map(|(Reverse((_, top, _)), chat)| (*chat, *top)).take(limit));
    }
    let complete = first && page.len() == count;
    let DialogPage { dialogs, messages, chats, users } = world.dialog_page(&page);
    Ok(if complete {
        types::messages::Dialogs { dialogs, messages, chats, users }.into()
    } else {
        types::messages::DialogsSlice { count: count as i32, dialogs, messages, chats, users }.into()
    })
}

/// A client may leave the date out and name the message alone.
fn offset_date(world: &World, request: &f::messages::GetDialogs, peer: Option<Peer>) -> i32 {
    if request.offset_date != 0 {
        return request.offset_date;
    }
    peer.and_then(|peer| world.chat(peer)).map_or(i32::MAX, |(_, chat)| world.date(chat, request.offset_id))
}

pub(super) fn get_pinned_dialogs(call: &mut Call<'_>, r: f::messages::GetPinnedDialogs) -> Result<enums::messages::PeerDialogs, Refusal> {
    let world = call.shared.world();
    let mut pinned: Vec<&Chat> =
        world.chats.iter().filter(|chat| chat.listed() && chat.pinned.is_some() && i32::from(chat.archived) == r.folder_id).collect();
    pinned.sort_by_key(|chat| chat.pinned);
    Ok(peer_dialogs(&world, &pinned, call.now))
}

pub(super) fn get_peer_dialogs(call: &mut Call<'_>, r: f::messages::GetPeerDialogs) -> Result<enums::messages::PeerDialogs, Refusal> {
    let world = call.shared.world();
    let mut chats = Vec::new();
    for peer in &r.peers {
        match peer {
            enums::InputDialogPeer::Peer(peer) => chats.push(world.readable(world.resolve(&peer.peer)?)?),
            enums::InputDialogPeer::Folder(folder) => {
                chats.extend(world.chats.iter().filter(|chat| chat.listed() && i32::from(chat.archived) == folder.folder_id).take(PAGE));
            }
            enums::InputDialogPeer::Community(_) => return Err(Refusal::bad("PEER_ID_INVALID")),
        }
    }
    Ok(peer_dialogs(&world, &chats, call.now))
}

fn peer_dialogs(world: &World, chats: &[&Chat], now: i32) -> enums::messages::PeerDialogs {
    let page: Vec<(&Chat, i32)> = chats.iter().map(|chat| (*chat, chat.ids().last().copied().unwrap_or(0))).collect();
    let DialogPage { dialogs, messages, chats, users } = world.dialog_page(&page);
    types::messages::PeerDialogs { dialogs, messages, chats, users, state: world.state(now) }.into()
}

impl World {
    /// A peer as requests name it.
    fn input_peer(&self, peer: Peer) -> enums::InputPeer {
        let access_hash = self.access_hash(peer);
        match peer {
            Peer::User(SELF) => enums::InputPeer::PeerSelf,
            Peer::User(user_id) => types::InputPeerUser { user_id, access_hash }.into(),
            Peer::Group(chat_id) => types::InputPeerChat { chat_id }.into(),
            Peer::Channel(channel_id) => types::InputPeerChannel { channel_id, access_hash }.into(),
        }
    }
}

/// The default list, one by rules and one by names.
pub(super) fn get_dialog_filters(call: &mut Call<'_>, _: f::messages::GetDialogFilters) -> Result<enums::messages::DialogFilters, Refusal> {
    let world = call.shared.world();
    let title = |text: &str| -> enums::TextWithEntities { types::TextWithEntities { text: text.into(), entities: Vec::new() }.into() };
    let list = |id: i32, name: &str| -> types::DialogFilter {
        let nobody: Vec<enums::InputPeer> = Vec::new();
        let mut filter: types::DialogFilter = Blank::zeros(8).object(&title(name)).object(&nobody).object(&nobody).object(&nobody).build();
        filter.id = id;
        filter
    };
    let mut rules = list(2, "Groups");
    rules.groups = true;
    rules.exclude_archived = true;
    let mut names = list(3, "Семья 👪");
    let people = || world.chats.iter().filter(|chat| chat.kind == Kind::Private && chat.listed()).map(|chat| world.input_peer(chat.peer));
    names.pinned_peers = people().take(1).collect();
    names.include_peers = people().skip(1).take(4).collect();
    Ok(types::messages::DialogFilters { tags_enabled: false, filters: vec![enums::DialogFilter::Default, rules.into(), names.into()] }
        .into())
}
