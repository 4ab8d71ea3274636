//! What chats and the account have beside messages: drafts, scheduled messages, gifts, albums, ready answers, logs, votes. An account that
//! has only Saved Messages has none of it.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::files::{EXTRA, FileKind, file_id};
use crate::telegram::world::chat::Chat;
use crate::telegram::world::media::Flavour;
use crate::telegram::world::{Blank, Kind, Peer, SELF, World, blank_message};

/// Gifts that the account got.
const GIFTS: i32 = 130;
/// Lines of the log of every channel's administrators.
const LOG_LINES: i64 = 120;

impl World {
    fn has_details(&self) -> bool {
        self.chats.len() > 1
    }

    /// Chats in which something was written and not sent.
    fn drafted(&self) -> impl Iterator<Item = &Chat> {
        self.chats.iter().filter(|chat| chat.listed()).take(if self.has_details() { 3 } else { 0 })
    }

    /// How many messages are to be sent later in a chat.
    pub(crate) fn scheduled(&self, chat: &Chat) -> i32 {
        match chat.kind {
            Kind::Saved if self.has_details() => 2,
            Kind::Group => 1,
            _ => 0,
        }
    }

    /// A message that is in no history.
    fn pending(&self, peer: Peer, id: i32, text: String) -> types::Message {
        let mut message = blank_message();
        message.id = id;
        message.peer_id = peer.to_tl();
        message.from_id = Some(Peer::User(SELF).to_tl());
        message.out = true;
        message.date = self.until + 100_000 * id;
        message.message = text;
        message
    }

    fn gift(&self, n: i32) -> enums::SavedStarGift {
        let sticker = self.document(file_id(FileKind::Document, EXTRA + 950 + (n % 2) as u64), Flavour::Sticker, self.start);
        // Flags and id; the sticker; three numbers.
        let mut gift: types::StarGift = Blank::zeros(12).object(&sticker).more(16).build();
        gift.id = 4000 + i64::from(n % 2);
        gift.stars = 50;
        gift.title = Some(format!("Bear {n}"));
        let gift: enums::StarGift = gift.into();
        let mut saved: types::SavedStarGift = Blank::zeros(8).object(&gift).build();
        saved.date = self.start + n;
        saved.from_id = self.cast().first().map(|id| Peer::User(*id).to_tl());
        saved.message = Some(types::TextWithEntities { text: format!("For you, {n}"), entities: vec![] }.into());
        saved.into()
    }
}

pub(super) fn get_all_drafts(call: &mut Call<'_>, _: f::messages::GetAllDrafts) -> Result<enums::Updates, Refusal> {
    let world = call.shared.world();
    let draft = |chat: &Chat| {
        // Flags, text, date.
        let mut draft: types::DraftMessage = Blank::zeros(12).build();
        draft.message = format!("Draft for {} <3", world.title(chat));
        draft.date = world.until;
        types::UpdateDraftMessage { peer: chat.peer.to_tl(), top_msg_id: None, saved_peer_id: None, draft: draft.into() }.into()
    };
    let updates: Vec<enums::Update> = world.drafted().map(draft).collect();
    let (chats, users) = world.objects(&world.drafted().map(|chat| chat.peer).collect());
    Ok(types::Updates { updates, users, chats, date: call.now, seq: 0 }.into())
}

pub(super) fn get_scheduled_history(
    call: &mut Call<'_>,
    r: f::messages::GetScheduledHistory,
) -> Result<enums::messages::Messages, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve(&r.peer)?)?;
    let messages = (1..=world.scheduled(chat))
        .map(|id| {
            let mut message = world.pending(chat.peer, id, format!("Later {id}"));
            if id == 2 {
                message.media = Some(world.photo_media(file_id(FileKind::Photo, EXTRA + 970), world.until));
            }
            message.into()
        })
        .collect();
    let (chats, users) = world.objects(&BTreeSet::from([chat.peer, Peer::User(SELF)]));
    Ok(types::messages::Messages { messages, topics: vec![], chats, users }.into())
}

pub(super) fn get_saved_star_gifts(
    call: &mut Call<'_>,
    r: f::payments::GetSavedStarGifts,
) -> Result<enums::payments::SavedStarGifts, Refusal> {
    let world = call.shared.world();
    let count = if world.resolve(&r.peer)? == Peer::User(SELF) && world.has_details() { GIFTS } else { 0 };
    let from = r.offset.parse().unwrap_or(0).clamp(0, count);
    let to = (from + r.limit.clamp(1, 100)).min(count);
    let gifts = (from..to).map(|n| world.gift(n)).collect();
    let (chats, users) = world.objects(&world.cast().into_iter().map(Peer::User).collect());
    let next_offset = (to < count).then(|| to.to_string());
    Ok(types::payments::SavedStarGifts { count, chat_notifications_enabled: None, gifts, next_offset, chats, users }.into())
}

pub(super) fn get_albums(call: &mut Call<'_>, r: f::stories::GetAlbums) -> Result<enums::stories::Albums, Refusal> {
    let world = call.shared.world();
    let own = world.resolve(&r.peer)? == Peer::User(SELF) && world.has_details();
    let album = |album_id: i32| {
        types::StoryAlbum { album_id, title: format!("Album {album_id} & more"), icon_photo: None, icon_video: None }.into()
    };
    Ok(types::stories::Albums { hash: 1, albums: if own { vec![album(1), album(2)] } else { vec![] } }.into())
}

pub(super) fn get_album_stories(call: &mut Call<'_>, r: f::stories::GetAlbumStories) -> Result<enums::stories::Stories, Refusal> {
    let world = call.shared.world();
    world.resolve(&r.peer)?;
    let all: Vec<i32> = world.story_ids().filter(|id| id % (r.album_id + 1) == 0).collect();
    let page = all.iter().skip(r.offset.max(0) as usize).take(r.limit.clamp(0, 100) as usize);
    let stories = page.map(|id| world.story(*id)).collect();
    let users = vec![world.user(SELF)];
    Ok(types::stories::Stories { count: all.len() as i32, stories, pinned_to_top: None, chats: vec![], users }.into())
}

pub(super) fn get_quick_replies(call: &mut Call<'_>, _: f::messages::GetQuickReplies) -> Result<enums::messages::QuickReplies, Refusal> {
    let world = call.shared.world();
    let reply = |n: i32| types::QuickReply { shortcut_id: n, shortcut: format!("hello{n}"), top_message: n, count: n }.into();
    let quick_replies: Vec<enums::QuickReply> = if world.has_details() { vec![reply(1), reply(2)] } else { vec![] };
    let users = vec![world.user(SELF)];
    Ok(types::messages::QuickReplies { quick_replies, messages: vec![], chats: vec![], users }.into())
}

pub(super) fn get_quick_reply_messages(
    call: &mut Call<'_>,
    r: f::messages::GetQuickReplyMessages,
) -> Result<enums::messages::Messages, Refusal> {
    let world = call.shared.world();
    let messages = (1..=r.shortcut_id.clamp(0, 2))
        .map(|id| world.pending(Peer::User(SELF), 10 * r.shortcut_id + id, format!("Hello {id} & welcome")).into())
        .collect();
    Ok(types::messages::Messages { messages, topics: vec![], chats: vec![], users: vec![world.user(SELF)] }.into())
}

pub(super) fn get_admin_log(call: &mut Call<'_>, r: f::channels::GetAdminLog) -> Result<enums::channels::AdminLogResults, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve_channel(&r.channel)?)?;
    if chat.kind == Kind::Broadcast {
        return Err(Refusal::bad("CHAT_ADMIN_REQUIRED"));
    }
    let last = LOG_LINES + chat.log_lines;
    let to = if r.max_id > 0 { r.max_id - 1 } else { last };
    let ids: Vec<i64> = ((r.min_id + 1).max(1)..=to).rev().take(r.limit.clamp(0, 100) as usize).collect();
    let events = ids
        .iter()
        .map(|&id| {
            let action: enums::ChannelAdminLogEventAction = match id % 3 {
                0 => {
                    let message = world.pending(chat.peer, 7, format!("Deleted {id}")).into();
                    types::ChannelAdminLogEventActionDeleteMessage { message }.into()
                }
                1 => {
                    let (prev_value, new_value) = (format!("Old {id}"), format!("New {id}"));
                    types::ChannelAdminLogEventActionChangeTitle { prev_value, new_value }.into()
                }
                _ => types::ChannelAdminLogEventActionToggleForum { new_value: true }.into(),
            };
            types::ChannelAdminLogEvent { id, date: world.until + id as i32, user_id: world.member(chat, 0), action }.into()
        })
        .collect();
    let (chats, users) = world.objects(&BTreeSet::from([Peer::User(world.member(chat, 0))]));
    Ok(types::channels::AdminLogResults { events, chats, users }.into())
}

pub(super) fn get_poll_votes(call: &mut Call<'_>, r: f::messages::GetPollVotes) -> Result<enums::messages::VotesList, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve(&r.peer)?)?;
    let Some(enums::Message::Message(message)) = world.message(chat, r.id) else { return Err(Refusal::bad("MESSAGE_ID_INVALID")) };
    let Some(enums::MessageMedia::Poll(media)) = message.media else { return Err(Refusal::bad("MESSAGE_ID_INVALID")) };
    let (enums::Poll::Poll(poll), enums::PollResults::Results(results)) = (media.poll, media.results);
    if !poll.public_voters {
        return Err(Refusal::new(403, "BROADCAST_FORBIDDEN"));
    }
    let count = results.total_voters.unwrap_or_default().max(0);
    let options: Vec<Vec<u8>> = poll
        .answers
        .into_iter()
        .filter_map(|answer| match answer {
            enums::PollAnswer::Answer(answer) => Some(answer.option),
            enums::PollAnswer::InputPollAnswer(_) => None,
        })
        .collect();
    let from = r.offset.as_deref().and_then(|offset| offset.parse().ok()).unwrap_or(0).clamp(0, count);
    // Short pages, so that a poll takes several.
    let to = (from + r.limit.clamp(1, 3)).min(count);
    let mut peers = BTreeSet::new();
    let votes = (from..to)
        .map(|n| {
            let peer = Peer::User(if chat.is_group() { world.member(chat, n as u64) } else { SELF });
            peers.insert(peer);
            let option = options.get(n as usize % options.len().max(1)).cloned().unwrap_or_default();
            types::MessagePeerVote { peer: peer.to_tl(), option, date: world.until + n }.into()
        })
        .collect();
    let (chats, users) = world.objects(&peers);
    let next_offset = (to < count).then(|| to.to_string());
    Ok(types::messages::VotesList { count, votes, chats, users, next_offset }.into())
}
