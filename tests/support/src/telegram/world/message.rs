//! What a generated message is.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, types};

use super::chat::{Chat, Kind, Peer};
use super::dice::{Dice, mix};
use super::{Blank, SELF, World, blank};

/// Topics that a generated forum begins with.
pub(crate) const TOPICS: usize = 5;

const WORDS: [&str; 48] = [
    "the",
    "backup",
    "of",
    "last",
    "summer",
    "photo",
    "was",
    "sent",
    "again",
    "today",
    "и",
    "потом",
    "мы",
    "поехали",
    "домой",
    "😀",
    "👨‍👩‍👧",
    "über",
    "naïve",
    "日本",
    "語で",
    "hello",
    "meeting",
    "at",
    "noon",
    "call",
    "me",
    "when",
    "you",
    "arrive",
    "ok",
    "yes",
    "no",
    "maybe",
    "tomorrow",
    "look",
    "here",
    "cat",
    "dog",
    "river",
    "mountain",
    "code",
    "works",
    "now",
    "שלום",
    "مرحبا",
    "1984",
    "…",
];

/// Of a thousand ordinary messages so many are of a rare kind.
const RARE: u64 = 20;

impl World {
    /// The message with this id in a chat, as it is now; `None` when there is none.
    pub(crate) fn message(&self, chat: &Chat, id: i32) -> Option<enums::Message> {
        if let Some(message) = chat.changed.get(&id) {
            let mut message = message.clone();
            self.refresh(&mut message);
            return Some(message);
        }
        if chat.live.as_ref().is_some_and(|live| live.binary_search(&id).is_err()) {
            return None;
        }
        let index = chat.born.binary_search(&id).ok()?;
        Some(self.born(chat, index, id))
    }

    /// When the message with this id was sent.
    pub(crate) fn date(&self, chat: &Chat, id: i32) -> i32 {
        match chat.changed.get(&id) {
            Some(enums::Message::Message(message)) => return message.date,
            Some(enums::Message::Service(message)) => return message.date,
            _ => {}
        }
        let (start, last) = match chat.peer {
            Peer::Channel(id) => match chat.migrated_from.and_then(|no| self.chats.get(no)) {
                Some(group) => (group.born.last().map_or(self.start, |last| self.date(group, *last)), chat.born.last()),
                None => (self.start + (mix(id as u64) % 60_000_000) as i32, chat.born.last()),
            },
            _ => (self.start, None),
        };
        let last = last.map_or(self.common_owner.len() as i64, |last| i64::from(*last) + 1);
        start + (i64::from(id) * i64::from(self.until - start) / last.max(1)) as i32
    }

    /// Who wrote a message in the name of a member; `None` where posts have no author (channels) or the place tells (private chats).
    fn author(&self, chat: &Chat, dice: &mut Dice) -> (Option<i64>, bool) {
        match chat.kind {
            Kind::Saved => (Some(SELF), false),
            Kind::Private | Kind::Bot => (None, dice.chance(450)),
            Kind::Deleted => (None, dice.chance(200)),
            Kind::Broadcast => (None, false),
            Kind::Group | Kind::Supergroup { .. } => {
                let author = if dice.chance(150) { SELF } else { self.member(chat, 1 + dice.below(40)) };
                (Some(author), author == SELF)
            }
        }
    }

    fn born(&self, chat: &Chat, index: usize, id: i32) -> enums::Message {
        let mut dice = Dice::new(&[self.seed, chat.peer.id() as u64, id as u64]);
        let (author, out) = self.author(chat, &mut dice);
        let head = Head { id, date: self.date(chat, id), author, out, chat, reply_to: self.reply(chat, index, &mut dice) };
        if let Some(action) = self.milestone(chat, index) {
            return head.service(action);
        }
        let special = match chat.gallery {
            true => index.checked_sub(preface(chat)).and_then(|n| self.kinds.get(n)),
            false if self.file_of(chat, index).is_none() && dice.chance(RARE) => dice.pick(&self.rare),
            false => None,
        };
        if let Some(special) = special {
            return self.special(*special, head, dice);
        }
        let mut message = head.text();
        if let Some((serial, album)) = self.file_of(chat, index) {
            message.media = Some(self.file_media(serial, message.date));
            message.grouped_id = album;
            if dice.chance(300) {
                message.message = text(&mut dice, 8);
            }
        } else {
            message.message = text(&mut dice, 24);
            if dice.chance(60) {
                message.entities = Some(entities(&message.message, &mut dice));
            }
        }
        self.decorate(chat, &mut message, &mut dice);
        message.into()
    }

    /// What a chat begins with, and a migrated group ends with.
    fn milestone(&self, chat: &Chat, index: usize) -> Option<enums::MessageAction> {
        let title = || self.title(chat);
        if index == 0 && chat.is_group() | (chat.kind == Kind::Broadcast) {
            return Some(match (chat.peer, chat.migrated_from.and_then(|no| self.chats.get(no))) {
                (Peer::Group(_), _) => {
                    let users = (1..u64::from(chat.members).min(8)).map(|n| self.member(chat, n)).collect();
                    types::MessageActionChatCreate { title: title(), users }.into()
                }
                (_, Some(group)) => types::MessageActionChannelMigrateFrom { title: title(), chat_id: group.peer.id() }.into(),
                _ => types::MessageActionChannelCreate { title: title() }.into(),
            });
        }
        if let Some(to) = chat.migrated_to.and_then(|no| self.chats.get(no))
            && index + 1 == chat.born.len()
        {
            return Some(types::MessageActionChatMigrateTo { channel_id: to.peer.id() }.into());
        }
        (chat.forum() && index <= TOPICS).then(|| {
            types::MessageActionTopicCreate { title_missing: false, title: topic_title(index), icon_color: 0x6f_b9_f0, icon_emoji_id: None }
                .into()
        })
    }

    /// The header that puts a message into a topic, or makes it an answer to an earlier one.
    fn reply(&self, chat: &Chat, index: usize, dice: &mut Dice) -> Option<enums::MessageReplyHeader> {
        let header = || -> types::MessageReplyHeader { blank(4) };
        if chat.forum() && index > TOPICS {
            // Topic 0 is General, whose messages have no header.
            let topic = dice.below(TOPICS as u64 + 1) as usize;
            if topic == 0 {
                return None;
            }
            let mut header = header();
            header.forum_topic = true;
            header.reply_to_msg_id = chat.born.get(topic).copied();
            return Some(header.into());
        }
        if index == 0 || !dice.chance(90) {
            return None;
        }
        let back = 1 + dice.below(index.min(60) as u64) as usize;
        let mut header = header();
        header.reply_to_msg_id = chat.born.get(index - back).copied();
        if dice.chance(150) {
            header.quote = true;
            header.quote_text = Some("quoted words".into());
            header.quote_offset = Some(0);
        }
        Some(header.into())
    }

    /// The generated file that a message has, and its album. Of every run of messages the first four have files.
    fn file_of(&self, chat: &Chat, index: usize) -> Option<(u64, Option<i64>)> {
        if self.file_count == 0 || chat.gallery {
            return None;
        }
        let run = 4 * (self.total / self.file_count).max(1);
        let ordinal = chat.first_ordinal + index as u64;
        let (block, place) = (ordinal / run, ordinal % run);
        let serial = block * 4 + place;
        if place >= 4 || serial >= self.file_count {
            return None;
        }
        let whole = index as u64 >= place && index + 3 - place as usize <= chat.born.len().saturating_sub(1);
        Some((serial, (whole && block % 3 == 0).then(|| 13_000_000_000 + block as i64)))
    }

    /// What ordinary messages may have besides their text.
    fn decorate(&self, chat: &Chat, message: &mut types::Message, dice: &mut Dice) {
        let rare = dice.next();
        if chat.kind == Kind::Broadcast {
            message.post = true;
            message.views = Some((rare % 10_000) as i32);
            message.forwards = Some((rare % 50) as i32);
            message.post_author = rare.is_multiple_of(7).then(|| "Editor".into());
        }
        if rare >> 8 & 31 == 0 {
            message.edit_date = Some(message.date + 60);
        }
        if rare >> 16 & 31 == 0 {
            message.fwd_from = Some(self.forward(message.date, rare));
        }
        if rare >> 24 & 15 == 0 {
            message.reactions = Some(self.reactions(chat, message.date, rare));
        }
        message.mentioned = rare >> 32 & 255 == 0 && !message.out && chat.is_group();
        message.silent = rare >> 40 & 255 == 0;
        message.pinned = rare >> 48 & 1023 == 0;
        message.noforwards = chat.protected;
    }

    /// A forward from a user, from someone who hides the account, or from a channel.
    fn forward(&self, date: i32, rare: u64) -> enums::MessageFwdHeader {
        // flags and date
        let mut header: types::MessageFwdHeader = blank(8);
        header.date = date - 1000;
        match rare % 3 {
            0 => header.from_id = Some(Peer::User(SELF).to_tl()),
            1 => header.from_name = Some("Hidden Person".into()),
            _ => {
                header.from_id = self.chats.iter().find(|chat| chat.kind == Kind::Broadcast).map(|chat| chat.peer.to_tl());
                header.channel_post = header.from_id.as_ref().map(|_| 1 + (rare % 100) as i32);
            }
        }
        header.into()
    }

    fn reactions(&self, chat: &Chat, date: i32, rare: u64) -> enums::MessageReactions {
        let emoji = |n: u64| -> enums::Reaction {
            types::ReactionEmoji { emoticon: ["👍", "❤", "🔥", "😁"][(n % 4) as usize].into() }.into()
        };
        let reactors = (chat.is_group() || matches!(chat.kind, Kind::Private)).then(|| {
            let from = if chat.is_group() { self.member(chat, rare % 50 + 1) } else { SELF };
            vec![
                types::MessagePeerReaction {
                    big: false,
                    unread: false,
                    my: from == SELF,
                    peer_id: Peer::User(from).to_tl(),
                    date: date + 90,
                    reaction: emoji(rare),
                }
                .into(),
            ]
        });
        let count = 1 + (rare % 9) as i32;
        types::MessageReactions {
            min: false,
            can_see_list: reactors.is_some(),
            reactions_as_tags: false,
            results: vec![
                types::ReactionCount { chosen_order: None, reaction: emoji(rare), count }.into(),
                types::ReactionCount { chosen_order: None, reaction: emoji(rare + 1), count: 1 }.into(),
            ],
            recent_reactions: reactors,
            top_reactors: None,
        }
        .into()
    }
}

/// How many messages a chat has before those of the gallery.
pub(crate) fn preface(chat: &Chat) -> usize {
    if chat.forum() { TOPICS + 1 } else { 0 }
}

/// What every message has.
pub(crate) struct Head<'w> {
    pub(crate) id: i32,
    pub(crate) date: i32,
    pub(crate) author: Option<i64>,
    pub(crate) out: bool,
    pub(crate) chat: &'w Chat,
    pub(crate) reply_to: Option<enums::MessageReplyHeader>,
}

impl Head<'_> {
    /// A message without text.
    pub(crate) fn text(self) -> types::Message {
        let mut message = blank_message();
        message.id = self.id;
        message.peer_id = self.chat.peer.to_tl();
        message.date = self.date;
        message.out = self.out;
        message.from_id = self.author.map(|id| Peer::User(id).to_tl());
        message.reply_to = self.reply_to;
        if self.chat.kind == Kind::Saved {
            message.saved_peer_id = Some(Peer::User(SELF).to_tl());
        }
        message
    }

    pub(crate) fn service(self, action: enums::MessageAction) -> enums::Message {
        types::MessageService {
            out: self.out,
            mentioned: false,
            media_unread: false,
            reactions_are_possible: false,
            silent: false,
            post: self.chat.kind == Kind::Broadcast,
            legacy: false,
            id: self.id,
            from_id: self.author.map(|id| Peer::User(id).to_tl()),
            peer_id: self.chat.peer.to_tl(),
            saved_peer_id: None,
            reply_to: self.reply_to,
            date: self.date,
            action,
            reactions: None,
            ttl_period: None,
        }
        .into()
    }
}

/// A message whose fields are all zero or absent.
pub(crate) fn blank_message() -> types::Message {
    static BLANK: std::sync::LazyLock<types::Message> = std::sync::LazyLock::new(|| {
        // Both flags and the id; the peer; the date and an empty text.
        Blank::zeros(12).object(&Peer::User(0).to_tl()).more(8).build()
    });
    BLANK.clone()
}

/// The state of a message that nobody reacted to.
pub(crate) fn no_reactions() -> types::MessageReactions {
    types::MessageReactions {
        min: false,
        can_see_list: false,
        reactions_as_tags: false,
        results: Vec::new(),
        recent_reactions: None,
        top_reactors: None,
    }
}

/// Title of generated topic `index`, from 1.
pub(crate) fn topic_title(index: usize) -> String {
    format!("Topic {index} №")
}

fn text(dice: &mut Dice, words: u64) -> String {
    let count = 1 + dice.below(words);
    let mut text = String::with_capacity(count as usize * 7);
    for n in 0..count {
        if n > 0 {
            text.push(' ');
        }
        text.push_str(WORDS[dice.below(WORDS.len() as u64) as usize]);
    }
    text
}

/// One entity of an ordinary kind over the first word; positions count UTF-16 units.
fn entities(text: &str, dice: &mut Dice) -> Vec<enums::MessageEntity> {
    let length = text.split(' ').next().map_or(0, |word| word.encode_utf16().count()) as i32;
    let offset = 0;
    vec![match dice.below(6) {
        0 => types::MessageEntityBold { offset, length }.into(),
        1 => types::MessageEntityItalic { offset, length }.into(),
        2 => types::MessageEntityCode { offset, length }.into(),
        3 => types::MessageEntityTextUrl { offset, length, url: "https://example.org/ü".into() }.into(),
        4 => types::MessageEntityMentionName { offset, length, user_id: SELF }.into(),
        _ => types::MessageEntitySpoiler { offset, length }.into(),
    }]
}

impl World {
    /// The peers that a message names, so far as clients need their names.
    pub(crate) fn named(&self, message: &enums::Message, into: &mut BTreeSet<Peer>) {
        let (peer, author) = match message {
            enums::Message::Empty(_) => return,
            enums::Message::Message(m) => {
                if let Some(enums::MessageFwdHeader::Header(forward)) = &m.fwd_from {
                    into.extend([&forward.from_id, &forward.saved_from_peer].into_iter().flatten().map(Peer::from_tl));
                }
                if let Some(enums::MessageReactions::Reactions(reactions)) = &m.reactions {
                    for enums::MessagePeerReaction::Reaction(reaction) in reactions.recent_reactions.iter().flatten() {
                        into.insert(Peer::from_tl(&reaction.peer_id));
                    }
                }
                into.extend(m.via_bot_id.map(Peer::User));
                if !matches!(m.media, None | Some(enums::MessageMedia::Photo(_) | enums::MessageMedia::Document(_))) {
                    into.extend(self.extras());
                }
                (&m.peer_id, &m.from_id)
            }
            enums::Message::Service(m) => {
                match &m.action {
                    enums::MessageAction::ChatCreate(a) => into.extend(a.users.iter().map(|id| Peer::User(*id))),
                    enums::MessageAction::ChatAddUser(a) => into.extend(a.users.iter().map(|id| Peer::User(*id))),
                    enums::MessageAction::ChatMigrateTo(a) => into.extend([Peer::Channel(a.channel_id)]),
                    enums::MessageAction::ChannelMigrateFrom(a) => into.extend([Peer::Group(a.chat_id)]),
                    enums::MessageAction::ChannelCreate(_) | enums::MessageAction::TopicCreate(_) => {}
                    _ => into.extend(self.extras()),
                }
                (&m.peer_id, &m.from_id)
            }
        };
        into.insert(Peer::from_tl(peer));
        into.extend(author.as_ref().map(Peer::from_tl));
    }
}
