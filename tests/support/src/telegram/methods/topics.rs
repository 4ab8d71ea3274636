//! Topics of forums.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::chat::Chat;
use crate::telegram::world::{Blank, Peer, SELF, World};

/// The topic that every forum has.
const GENERAL: i32 = 1;
/// Most topics in one answer.
const PAGE: usize = 100;

/// The topic that a message of a forum is in.
pub(crate) fn topic_of(message: &enums::Message) -> i32 {
    let header = match message {
        enums::Message::Message(m) => &m.reply_to,
        enums::Message::Service(m) if matches!(m.action, enums::MessageAction::TopicCreate(_)) => return m.id,
        enums::Message::Service(m) => &m.reply_to,
        enums::Message::Empty(_) => return GENERAL,
    };
    match header {
        Some(enums::MessageReplyHeader::Header(h)) if h.forum_topic => h.reply_to_top_id.or(h.reply_to_msg_id).unwrap_or(GENERAL),
        _ => GENERAL,
    }
}

impl World {
    /// Ids and titles of a forum's topics.
    fn topics(&self, chat: &Chat) -> BTreeMap<i32, String> {
        let first = chat.ids().iter().take(crate::telegram::world::TOPICS + 2);
        let later = chat.changed.keys();
        let mut topics: BTreeMap<i32, String> = BTreeMap::from([(GENERAL, "General".into())]);
        for id in first.chain(later) {
            if let Some(enums::Message::Service(message)) = self.message(chat, *id)
                && let enums::MessageAction::TopicCreate(action) = message.action
            {
                topics.insert(*id, chat.topic_titles.get(id).cloned().unwrap_or(action.title));
            }
        }
        topics
    }

    fn topic(&self, chat: &Chat, id: i32, title: String, top_message: i32) -> enums::ForumTopic {
        // flags, id, date; the peer; title, colour and six counts; the author and notifications.
        let mut topic: types::ForumTopic = Blank::zeros(12)
            .object(&chat.peer.to_tl())
            .more(4 + 4 + 7 * 4)
            .object(&Peer::User(SELF).to_tl())
            .object(&Blank::notify())
            .build();
        topic.id = id;
        topic.date = self.date(chat, id);
        topic.title = title;
        topic.icon_color = 0x6f_b9_f0;
        topic.top_message = top_message;
        topic.pinned = id == GENERAL;
        topic.closed = id % 4 == 3;
        topic.into()
    }

    /// The last message of every topic, found from the newest down.
    fn tops(&self, chat: &Chat, topics: &BTreeMap<i32, String>) -> BTreeMap<i32, i32> {
        let mut tops = BTreeMap::new();
        for id in chat.ids().iter().rev() {
            if let Some(message) = self.message(chat, *id) {
                tops.entry(topic_of(&message)).or_insert(*id);
            }
            if tops.len() == topics.len() {
                break;
            }
        }
        tops
    }

    fn topic_page(&self, chat: &Chat, wanted: Vec<(i32, String, i32)>, count: usize) -> enums::messages::ForumTopics {
        let mut peers = BTreeSet::from([Peer::User(SELF), chat.peer]);
        let messages: Vec<_> =
            wanted.iter().filter_map(|(.., top)| self.message(chat, *top)).inspect(|m| self.named(m, &mut peers)).collect();
        let topics = wanted.into_iter().map(|(id, title, top)| self.topic(chat, id, title, top)).collect();
        let (chats, users) = self.objects(&peers);
        types::messages::ForumTopics { order_by_create_date: false, count: count as i32, topics, messages, chats, users, pts: chat.pts }
            .into()
    }

    /// Topics by their last message, newest first.
    fn sorted_topics(&self, chat: &Chat) -> Vec<(i32, String, i32)> {
        let topics = self.topics(chat);
        let tops = self.tops(chat, &topics);
        let mut list: Vec<_> = topics.into_iter().map(|(id, title)| (id, title, tops.get(&id).copied().unwrap_or(id))).collect();
        list.sort_by_key(|(id, _, top)| Reverse((*top, *id)));
        list
    }
}

fn forum<'w>(world: &'w World, peer: &enums::InputPeer) -> Result<&'w Chat, Refusal> {
    let chat = world.readable(world.resolve(peer)?)?;
    if chat.forum() || chat.bot_forum { Ok(chat) } else { Err(Refusal::bad("CHANNEL_FORUM_MISSING")) }
}

pub(super) fn get_forum_topics(call: &mut Call<'_>, r: f::messages::GetForumTopics) -> Result<enums::messages::ForumTopics, Refusal> {
    let world = call.shared.world();
    let chat = forum(&world, &r.peer)?;
    let mut all = world.sorted_topics(chat);
    if let Some(text) = r.q.as_deref().filter(|text| !text.is_empty()) {
        all.retain(|(_, title, _)| title.contains(text));
    }
    let count = all.len();
    let skip = match r.offset_topic {
        0 => 0,
        topic => all.iter().position(|(id, ..)| *id == topic).map_or(count, |at| at + 1),
    };
    let page = all.into_iter().skip(skip).take((r.limit.max(0) as usize).min(PAGE)).collect();
    Ok(world.topic_page(chat, page, count))
}

pub(super) fn get_forum_topics_by_id(
    call: &mut Call<'_>,
    r: f::messages::GetForumTopicsById,
) -> Result<enums::messages::ForumTopics, Refusal> {
    let world = call.shared.world();
    let chat = forum(&world, &r.peer)?;
    let wanted: Vec<_> = world.sorted_topics(chat).into_iter().filter(|(id, ..)| r.topics.contains(id)).collect();
    let count = wanted.len();
    Ok(world.topic_page(chat, wanted, count))
}
