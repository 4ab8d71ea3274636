//! Pages of messages, and messages by id.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::chat::Chat;
use crate::telegram::world::{Peer, SELF, World};

/// Most messages in one answer.
const PAGE: i32 = 100;

/// Which part of a list of messages a request wants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    pub(crate) offset_id: i32,
    pub(crate) offset_date: i32,
    pub(crate) add_offset: i32,
    pub(crate) limit: i32,
    pub(crate) max_id: i32,
    pub(crate) min_id: i32,
}

/// A page: ids from the newest down, and how many newer ones there are before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) ids: Vec<i32>,
    pub(crate) newer: i32,
}

impl Window {
    /// Cuts the page out of `ids` (ascending), after <https://core.telegram.org/api/offsets>: the list goes from the newest
    /// down, begins at the first message older than the offset, is shifted by `add_offset` towards older ones (negative:
    /// towards newer ones) and cut at both ends and after `limit`. Only then `min_id` and `max_id`, both exclusive, take
    /// messages away: a page may be short or empty although there are more messages within them.
    pub(crate) fn page(&self, ids: &[i32], date: impl Fn(i32) -> i32) -> Page {
        // How many are older than the offset. Clients send the date of the message along with its id, which alone counts then: as
        // Telethon pages, going up, the earlier of both would give the same message again.
        let older = if self.offset_id > 0 {
            ids.partition_point(|id| *id < self.offset_id)
        } else if self.offset_date > 0 {
            ids.partition_point(|id| date(*id) < self.offset_date)
        } else {
            ids.len()
        };
        let limit = i64::from(self.limit.clamp(0, PAGE));
        let start = (ids.len() - older) as i64 + i64::from(self.add_offset);
        let cut = |n: i64| n.clamp(0, ids.len() as i64) as usize;
        let (from, to) = (cut(start), cut(start + limit));
        let within = |id: &i32| (self.max_id <= 0 || *id < self.max_id) && (self.min_id <= 0 || *id > self.min_id);
        Page { ids: ids.iter().rev().skip(from).take(to - from).copied().filter(within).collect(), newer: from as i32 }
    }
}

/// The lists that every answer with messages has.
pub(crate) struct Messages {
    pub(crate) messages: Vec<enums::Message>,
    pub(crate) chats: Vec<enums::Chat>,
    pub(crate) users: Vec<enums::User>,
}

impl World {
    /// The messages of a page, and everybody they name.
    pub(crate) fn gather<'w>(&'w self, wanted: impl Iterator<Item = (&'w Chat, i32)>) -> Messages {
        let mut peers = BTreeSet::from([Peer::User(SELF)]);
        let mut messages = Vec::new();
        for (chat, id) in wanted {
            peers.insert(chat.peer);
            messages.extend(self.message(chat, id).inspect(|message| self.named(message, &mut peers)));
        }
        let (chats, users) = self.objects(&peers);
        Messages { messages, chats, users }
    }

    /// The answer to a request for a page out of `count` messages of a chat.
    pub(crate) fn answer_page(&self, chat: &Chat, page: Page, count: usize) -> enums::messages::Messages {
        let complete = page.ids.len() == count;
        let Messages { messages, chats, users } = self.gather(page.ids.iter().map(|id| (chat, *id)));
        let topics = Vec::new();
        if chat.peer.is_channel() {
            let slice = types::messages::ChannelMessages {
                inexact: false,
                pts: chat.pts,
                count: count as i32,
                offset_id_offset: Some(page.newer),
                messages,
                topics,
                chats,
                users,
            };
            return slice.into();
        }
        if complete {
            return types::messages::Messages { messages, topics, chats, users }.into();
        }
        let slice = types::messages::MessagesSlice {
            inexact: false,
            count: count as i32,
            next_rate: None,
            offset_id_offset: Some(page.newer),
            search_flood: None,
            messages,
            topics,
            chats,
            users,
        };
        slice.into()
    }
}

impl Call<'_> {
    /// The ids of a chat within the range of `invokeWithMessagesRange`; channels belong to the last range as a whole.
    pub(crate) fn in_range<'i>(&self, chat: &Chat, ids: &'i [i32]) -> &'i [i32] {
        let Some((min, max)) = self.range else { return ids };
        if chat.peer.is_channel() {
            return ids;
        }
        let (begin, end) = (ids.partition_point(|id| *id < min), ids.partition_point(|id| *id <= max));
        ids.get(begin..end.max(begin)).unwrap_or_default()
    }
}

pub(super) fn get_history(call: &mut Call<'_>, r: f::messages::GetHistory) -> Result<enums::messages::Messages, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve(&r.peer)?)?;
    let ids = call.in_range(chat, chat.ids());
    let ids = ids.get(..ids.len().saturating_sub(call.hidden)).unwrap_or_default();
    let options = &call.shared.options;
    let window = Window {
        offset_id: r.offset_id,
        offset_date: r.offset_date,
        add_offset: if options.negative_add_offset { r.add_offset } else { r.add_offset.max(0) },
        limit: r.limit,
        max_id: r.max_id,
        min_id: r.min_id,
    };
    let mut page = window.page(ids, |id| world.date(chat, id));
    page.ids.truncate(options.page_messages);
    let answer = world.answer_page(chat, page, ids.len().saturating_add_signed(call.counted_off as isize));
    Ok(if call.in_part { in_part(answer) } else { answer })
}

pub(super) fn get_messages(call: &mut Call<'_>, r: f::messages::GetMessages) -> Result<enums::messages::Messages, Refusal> {
    let world = call.shared.world();
    let ids = message_ids(&r.id)?;
    let found = |id: &i32| world.owner(*id).filter(|(_, chat)| !chat.gone);
    let Messages { messages, chats, users } = world.gather(ids.iter().filter_map(|id| Some((found(id)?.1, *id))));
    Ok(types::messages::Messages { messages: with_holes(&ids, messages, None), topics: Vec::new(), chats, users }.into())
}

pub(super) fn get_channel_messages(call: &mut Call<'_>, r: f::channels::GetMessages) -> Result<enums::messages::Messages, Refusal> {
    let world = call.shared.world();
    let chat = world.present(world.resolve_channel(&r.channel)?)?;
    let ids = message_ids(&r.id)?;
    let Messages { messages, chats, users } = world.gather(ids.iter().map(|id| (chat, *id)));
    let messages = with_holes(&ids, messages, Some(chat.peer));
    let count = messages.len() as i32;
    Ok(types::messages::ChannelMessages {
        inexact: false,
        pts: chat.pts,
        count,
        offset_id_offset: None,
        messages,
        topics: Vec::new(),
        chats,
        users,
    }
    .into())
}

/// The answer with no more than the first block of each rich message.
fn in_part(mut answer: enums::messages::Messages) -> enums::messages::Messages {
    let messages = match &mut answer {
        enums::messages::Messages::Messages(page) => &mut page.messages,
        enums::messages::Messages::Slice(page) => &mut page.messages,
        enums::messages::Messages::ChannelMessages(page) => &mut page.messages,
        enums::messages::Messages::NotModified(_) => return answer,
    };
    for message in messages {
        if let enums::Message::Message(message) = message
            && let Some(enums::RichMessage::Message(rich)) = &mut message.rich_message
        {
            rich.blocks.clear();
            rich.part = true;
        }
    }
    answer
}

pub(super) fn get_rich_message(call: &mut Call<'_>, r: f::messages::GetRichMessage) -> Result<enums::messages::Messages, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve(&r.peer)?)?;
    let Messages { mut messages, chats, users } = world.gather([(chat, r.id)].into_iter());
    for message in &mut messages {
        if let enums::Message::Message(message) = message
            && let Some(enums::RichMessage::Message(rich)) = &mut message.rich_message
        {
            rich.part = false;
        }
    }
    Ok(types::messages::Messages { messages, topics: Vec::new(), chats, users }.into())
}

fn message_ids(ids: &[enums::InputMessage]) -> Result<Vec<i32>, Refusal> {
    if ids.len() > PAGE as usize {
        return Err(Refusal::bad("LIMIT_INVALID"));
    }
    ids.iter()
        .map(|id| match id {
            enums::InputMessage::Id(id) => Ok(id.id),
            _ => Err(Refusal::bad("MESSAGE_IDS_EMPTY")),
        })
        .collect()
}

/// One message for every id asked for: `messageEmpty` where there is none.
fn with_holes(ids: &[i32], mut found: Vec<enums::Message>, peer: Option<Peer>) -> Vec<enums::Message> {
    ids.iter()
        .map(|id| match found.iter().position(|message| message.id() == *id) {
            Some(at) => found.swap_remove(at),
            None => types::MessageEmpty { id: *id, peer_id: peer.map(Peer::to_tl) }.into(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
