//! What happens in the account while the server runs, with the events by which clients learn of it.

use grammers_tl_types::{enums, types};
use serde::{Deserialize, Serialize};

use super::chat::{Chat, Kind, Peer};
use super::media::Flavour;
use super::message::{Head, no_reactions};
use super::{FIRST_CHANNEL, FIRST_GROUP, FIRST_USER, SELF, World};
use crate::telegram::files::sized_file_id;

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutation {
    /// Somebody writes.
    Send {
        /// Where.
        peer: Peer,
        /// What.
        #[serde(default)]
        text: String,
        /// The account itself writes; otherwise the other side or a member.
        #[serde(default)]
        out: bool,
        /// The message answered, or the topic written in when that is a topic's first message.
        #[serde(default)]
        reply_to: Option<i32>,
        /// A file of this size in bytes is attached.
        #[serde(default)]
        file: Option<u64>,
    },
    /// A text is changed.
    Edit {
        /// Where.
        peer: Peer,
        /// Which message.
        id: i32,
        /// What it says now.
        text: String,
    },
    /// Messages are deleted for everybody.
    Delete {
        /// Where.
        peer: Peer,
        /// Which messages.
        ids: Vec<i32>,
    },
    /// A member reacts. As at Telegram, no event counts this: only connected clients hear of it.
    React {
        /// Where.
        peer: Peer,
        /// To which message.
        id: i32,
        /// With what.
        emoji: String,
    },
    /// All messages of a chat are deleted; the chat leaves the dialog list.
    ClearHistory {
        /// Which chat.
        peer: Peer,
    },
    /// A basic group becomes a supergroup.
    Migrate {
        /// The group's id.
        group: i64,
    },
    /// The account leaves a channel or supergroup.
    Leave {
        /// Its id.
        channel: i64,
    },
    /// The chat is taken away: the other side deleted it or threw the account out.
    Remove {
        /// Which chat.
        peer: Peer,
    },
    /// A new chat begins, with its service message; private ones are empty.
    NewChat {
        /// What it is; not Saved Messages.
        kind: Kind,
        /// Title of a group or channel.
        #[serde(default)]
        title: String,
    },
    /// A group or channel gets another title.
    Rename {
        /// Which.
        peer: Peer,
        /// The title.
        title: String,
    },
    /// A chat describes itself anew.
    Describe {
        /// Which.
        peer: Peer,
        /// What it says.
        about: String,
        /// The message that is pinned to it.
        #[serde(default)]
        pinned: Option<i32>,
    },
    /// A group or channel has so many members now.
    Members {
        /// Which.
        peer: Peer,
        /// How many.
        count: u32,
    },
    /// Administrators did something that only their log tells.
    Administrate {
        /// Where.
        channel: i64,
        /// How many lines.
        lines: u32,
    },
    /// A forum gets another topic.
    NewTopic {
        /// The forum's id.
        channel: i64,
        /// The topic's name.
        title: String,
    },
    /// A bot's chat gets another topic.
    BotTopic {
        /// The bot's id.
        bot: i64,
        /// The topic's name.
        title: String,
    },
    /// The chat goes into the archive or comes back.
    Archive {
        /// Which chat.
        peer: Peer,
        /// Where it is now.
        archived: bool,
    },
    /// The server forgets past events, so that differences from before are too long.
    ForgetEvents,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The chat that is new.
    pub peer: Option<Peer>,
    /// The ids of messages that are new.
    pub ids: Vec<i32>,
}

/// Why something cannot happen.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MutateError {
    /// No such chat.
    #[error("the account has no chat with {0:?}")]
    NoChat(Peer),
    /// No such message, or a service message where a text was wanted.
    #[error("chat {0:?} has no message {1} that this can happen to")]
    NoMessage(Peer, i32),
    /// The kind cannot begin.
    #[error("no chat of kind {0:?} can begin")]
    NoKind(Kind),
}

/// The events of one mutation.
type Events = Vec<enums::Update>;

impl World {
    /// Makes something happen; gives what came of it and the events that connected clients are told.
    pub(crate) fn mutate(&mut self, mutation: &Mutation, now: i32) -> Result<(Outcome, Events), MutateError> {
        self.version += 1;
        match mutation {
            Mutation::Send { peer, text, out, reply_to, file } => self.send(*peer, text, *out, *reply_to, *file, now),
            Mutation::Edit { peer, id, text } => self.edit(*peer, *id, text, now),
            Mutation::Delete { peer, ids } => self.delete(*peer, ids, now),
            Mutation::React { peer, id, emoji } => self.react(*peer, *id, emoji, now),
            Mutation::ClearHistory { peer } => {
                let ids = self.chat(*peer).ok_or(MutateError::NoChat(*peer))?.1.ids().to_vec();
                self.delete(*peer, &ids, now)
            }
            Mutation::Migrate { group } => self.migrate(*group, now),
            Mutation::Leave { channel } => self.with(Peer::Channel(*channel), |chat| chat.left = true),
            Mutation::Remove { peer } => self.with(*peer, |chat| chat.gone = true),
            Mutation::NewChat { kind, title } => self.new_chat(*kind, title, now),
            Mutation::Rename { peer, title } => {
                self.with(*peer, |chat| chat.title = Some(title.clone()))?;
                self.service(*peer, types::MessageActionChatEditTitle { title: title.clone() }.into(), now)
            }
            Mutation::Describe { peer, about, pinned } => self.with(*peer, |chat| {
                chat.about = Some(about.clone());
                chat.pinned_message = *pinned;
            }),
            Mutation::Members { peer, count } => self.with(*peer, |chat| chat.members = *count),
            Mutation::Administrate { channel, lines } => self.with(Peer::Channel(*channel), |chat| chat.log_lines += i64::from(*lines)),
            Mutation::NewTopic { channel, title } => {
                let action = types::MessageActionTopicCreate {
                    title_missing: false,
                    title: title.clone(),
                    icon_color: 0x6f_b9_f0,
                    icon_emoji_id: None,
                };
                self.service(Peer::Channel(*channel), action.into(), now)
            }
            Mutation::BotTopic { bot, title } => {
                self.chat_mut(Peer::User(*bot))?.bot_forum = true;
                let action = types::MessageActionTopicCreate {
                    title_missing: false,
                    title: title.clone(),
                    icon_color: 0x6f_b9_f0,
                    icon_emoji_id: None,
                };
                self.service(Peer::User(*bot), action.into(), now)
            }
            Mutation::Archive { peer, archived } => self.with(*peer, |chat| chat.archived = *archived),
            Mutation::ForgetEvents => {
                self.events.clear();
                // A number nobody was told of lies between what is forgotten and what comes.
                self.pts += 1;
                self.known_from = self.pts;
                for chat in self.chats.iter_mut().filter(|chat| !chat.events.is_empty()) {
                    chat.events.clear();
                    chat.pts += 1;
                    chat.known_from = chat.pts;
                }
                Ok((Outcome::default(), Vec::new()))
            }
        }
    }

    fn chat_mut(&mut self, peer: Peer) -> Result<&mut Chat, MutateError> {
        let no = *self.by_peer.get(&peer).ok_or(MutateError::NoChat(peer))?;
        self.chats.get_mut(no).ok_or(MutateError::NoChat(peer))
    }

    /// Changes a chat's place, of which clients hear only that there is something.
    fn with(&mut self, peer: Peer, change: impl FnOnce(&mut Chat)) -> Result<(Outcome, Events), MutateError> {
        change(self.chat_mut(peer)?);
        let event = match peer {
            Peer::User(user_id) => types::UpdateUser { user_id }.into(),
            Peer::Group(chat_id) => types::UpdateChat { chat_id }.into(),
            Peer::Channel(channel_id) => types::UpdateChannel { channel_id }.into(),
        };
        Ok((Outcome::default(), vec![event]))
    }

    /// The next id of a chat.
    fn next_id(&mut self, peer: Peer) -> Result<i32, MutateError> {
        let no = *self.by_peer.get(&peer).ok_or(MutateError::NoChat(peer))?;
        if !peer.is_channel() {
            self.common_owner.push(no as u32 + 1);
            return Ok(self.common_owner.len() as i32 - 1);
        }
        let chat = self.chat_mut(peer)?;
        chat.last_id += 1;
        Ok(chat.last_id)
    }

    /// Puts a message into its chat and tells of it. Its id must be a fresh one.
    fn insert(&mut self, peer: Peer, message: enums::Message, now: i32) -> Result<(Outcome, Events), MutateError> {
        let id = message.id();
        let chat = self.chat_mut(peer)?;
        chat.ids_mut().push(id);
        chat.changed.insert(id, message.clone());
        let event = self.count(peer, 1, now, |pts, pts_count| match peer {
            Peer::Channel(_) => types::UpdateNewChannelMessage { message, pts, pts_count }.into(),
            _ => types::UpdateNewMessage { message, pts, pts_count }.into(),
        })?;
        Ok((Outcome { peer: None, ids: vec![id] }, vec![event]))
    }

    /// Numbers an event and keeps it.
    fn count(
        &mut self,
        peer: Peer,
        count: i32,
        now: i32,
        event: impl FnOnce(i32, i32) -> enums::Update,
    ) -> Result<enums::Update, MutateError> {
        if peer.is_channel() {
            let chat = self.chat_mut(peer)?;
            chat.pts += count;
            chat.changed_at = now;
            let event = event(chat.pts, count);
            chat.events.push((chat.pts, event.clone()));
            return Ok(event);
        }
        self.pts += count;
        let event = event(self.pts, count);
        self.events.push((self.pts, event.clone()));
        Ok(event)
    }

    /// Puts a message that the caller made into a chat, with a fresh id and, unless it has one, the present date.
    pub(crate) fn post(&mut self, peer: Peer, mut message: types::Message, now: i32) -> Result<(Outcome, Events), MutateError> {
        self.version += 1;
        message.id = self.next_id(peer)?;
        message.peer_id = peer.to_tl();
        if message.date == 0 {
            message.date = now;
        }
        self.insert(peer, message.into(), now)
    }

    fn service(&mut self, peer: Peer, action: enums::MessageAction, now: i32) -> Result<(Outcome, Events), MutateError> {
        let id = self.next_id(peer)?;
        let (_, chat) = self.chat(peer).ok_or(MutateError::NoChat(peer))?;
        let author = chat.is_group().then_some(SELF);
        let message = Head { id, date: now, author, out: author.is_some(), chat, reply_to: None }.service(action);
        self.insert(peer, message, now)
    }

    fn send(
        &mut self,
        peer: Peer,
        text: &str,
        out: bool,
        reply_to: Option<i32>,
        file: Option<u64>,
        now: i32,
    ) -> Result<(Outcome, Events), MutateError> {
        let id = self.next_id(peer)?;
        let (_, chat) = self.chat(peer).ok_or(MutateError::NoChat(peer))?;
        let author = match chat.kind {
            Kind::Saved => Some(SELF),
            Kind::Group | Kind::Supergroup { .. } => Some(if out { SELF } else { self.member(chat, 1 + id as u64) }),
            _ => None,
        };
        let reply_to = reply_to.map(|to| {
            let mut header: types::MessageReplyHeader = super::blank(4);
            header.reply_to_msg_id = Some(to);
            header.forum_topic = chat.forum()
                && matches!(self.message(chat, to), Some(enums::Message::Service(m)) if matches!(m.action, enums::MessageAction::TopicCreate(_)));
            header.into()
        });
        let mut message = Head { id, date: now, author, out, chat, reply_to }.text();
        message.message = text.to_owned();
        message.post = chat.kind == Kind::Broadcast;
        message.media = file.map(|size| self.document_media(sized_file_id(size, id as u16), Flavour::File, now));
        self.insert(peer, message.into(), now)
    }

    /// Changes a message that is not a service message; no event.
    fn change(&mut self, peer: Peer, id: i32, change: impl FnOnce(&mut types::Message)) -> Result<enums::Message, MutateError> {
        let (_, chat) = self.chat(peer).ok_or(MutateError::NoChat(peer))?;
        let Some(enums::Message::Message(mut message)) = self.message(chat, id) else { return Err(MutateError::NoMessage(peer, id)) };
        change(&mut message);
        let message: enums::Message = message.into();
        self.chat_mut(peer)?.changed.insert(id, message.clone());
        Ok(message)
    }

    fn edit(&mut self, peer: Peer, id: i32, text: &str, now: i32) -> Result<(Outcome, Events), MutateError> {
        let message = self.change(peer, id, |message| {
            message.message = text.to_owned();
            message.entities = None;
            message.edit_date = Some(now);
        })?;
        let event = self.count(peer, 1, now, |pts, pts_count| match peer {
            Peer::Channel(_) => types::UpdateEditChannelMessage { message, pts, pts_count }.into(),
            _ => types::UpdateEditMessage { message, pts, pts_count }.into(),
        })?;
        Ok((Outcome::default(), vec![event]))
    }

    fn delete(&mut self, peer: Peer, ids: &[i32], now: i32) -> Result<(Outcome, Events), MutateError> {
        let chat = self.chat_mut(peer)?;
        if let Some(missing) = ids.iter().find(|id| chat.ids().binary_search(id).is_err()) {
            return Err(MutateError::NoMessage(peer, *missing));
        }
        chat.ids_mut().retain(|id| !ids.contains(id));
        chat.changed.retain(|id, _| !ids.contains(id));
        if !peer.is_channel() {
            for id in ids {
                if let Some(owner) = self.common_owner.get_mut(*id as usize) {
                    *owner = 0;
                }
            }
        }
        if ids.is_empty() {
            return Ok((Outcome::default(), Vec::new()));
        }
        let messages = ids.to_vec();
        let event = self.count(peer, ids.len() as i32, now, |pts, pts_count| match peer {
            Peer::Channel(channel_id) => types::UpdateDeleteChannelMessages { channel_id, messages, pts, pts_count }.into(),
            _ => types::UpdateDeleteMessages { messages, pts, pts_count }.into(),
        })?;
        Ok((Outcome::default(), vec![event]))
    }

    fn react(&mut self, peer: Peer, id: i32, emoji: &str, now: i32) -> Result<(Outcome, Events), MutateError> {
        let (_, chat) = self.chat(peer).ok_or(MutateError::NoChat(peer))?;
        let group = chat.is_group();
        let from = if group { self.member(chat, 2) } else { peer.id() };
        let reaction: enums::Reaction = types::ReactionEmoji { emoticon: emoji.to_owned() }.into();
        let recent = (chat.kind != Kind::Broadcast).then(|| {
            let peer_id = Peer::User(from).to_tl();
            types::MessagePeerReaction { big: false, unread: true, my: from == SELF, peer_id, date: now, reaction: reaction.clone() }.into()
        });
        let message = self.change(peer, id, |message| {
            let mut all = match message.reactions.take() {
                Some(enums::MessageReactions::Reactions(all)) => all,
                None => no_reactions(),
            };
            let mut known = false;
            for enums::ReactionCount::Count(result) in all.results.iter_mut().filter(|result| {
                let enums::ReactionCount::Count(result) = result;
                result.reaction == reaction
            }) {
                result.count += 1;
                known = true;
            }
            if !known {
                all.results.push(types::ReactionCount { chosen_order: None, reaction: reaction.clone(), count: 1 }.into());
            }
            if let Some(recent) = recent {
                all.can_see_list = true;
                all.recent_reactions.get_or_insert_default().insert(0, recent);
            }
            message.reactions = Some(all.into());
        })?;
        let enums::Message::Message(types::Message { reactions: Some(reactions), .. }) = message else {
            return Err(MutateError::NoMessage(peer, id));
        };
        let update = types::UpdateMessageReactions { peer: peer.to_tl(), msg_id: id, top_msg_id: None, saved_peer_id: None, reactions };
        Ok((Outcome::default(), vec![update.into()]))
    }

    fn migrate(&mut self, group: i64, now: i32) -> Result<(Outcome, Events), MutateError> {
        let old = Peer::Group(group);
        let (no, chat) = self.chat(old).ok_or(MutateError::NoChat(old))?;
        let (title, members) = (self.title(chat), chat.members);
        let (peer, new) = self.add(Kind::Supergroup { forum: false }, title.clone())?;
        if let Some(chat) = self.chats.get_mut(new) {
            chat.migrated_from = Some(no);
            chat.members = members;
        }
        let (_, mut events) = self.service(old, types::MessageActionChatMigrateTo { channel_id: peer.id() }.into(), now)?;
        self.chat_mut(old)?.migrated_to = Some(new);
        let (outcome, more) = self.service(peer, types::MessageActionChannelMigrateFrom { title, chat_id: group }.into(), now)?;
        events.extend(more);
        Ok((Outcome { peer: Some(peer), ids: outcome.ids }, events))
    }

    /// Adds an empty chat under a fresh id.
    fn add(&mut self, kind: Kind, title: String) -> Result<(Peer, usize), MutateError> {
        // Beyond everything generated, and beyond the users that groups draw members from.
        let fresh = 10_000_000 + self.chats.len() as i64;
        let peer = match kind {
            Kind::Saved => return Err(MutateError::NoKind(kind)),
            Kind::Private | Kind::Bot | Kind::Deleted => Peer::User(FIRST_USER + fresh),
            Kind::Group => Peer::Group(FIRST_GROUP + fresh),
            Kind::Supergroup { .. } | Kind::Broadcast => Peer::Channel(FIRST_CHANNEL + fresh),
        };
        let mut chat = Chat::new(peer, kind);
        chat.title = (!matches!(peer, Peer::User(_))).then_some(title);
        chat.members = 5;
        let no = self.chats.len();
        self.by_peer.insert(peer, no);
        self.chats.push(chat);
        Ok((peer, no))
    }

    fn new_chat(&mut self, kind: Kind, title: &str, now: i32) -> Result<(Outcome, Events), MutateError> {
        let (peer, _) = self.add(kind, title.to_owned())?;
        let title = title.to_owned();
        let (outcome, events) = match peer {
            Peer::User(_) => (Outcome::default(), Vec::new()),
            Peer::Group(_) => self.service(peer, types::MessageActionChatCreate { title, users: vec![SELF] }.into(), now)?,
            Peer::Channel(_) => self.service(peer, types::MessageActionChannelCreate { title }.into(), now)?,
        };
        Ok((Outcome { peer: Some(peer), ids: outcome.ids }, events))
    }
}
