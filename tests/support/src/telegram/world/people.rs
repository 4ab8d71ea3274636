//! Users, groups and channels as the schema describes them.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, types};

use super::chat::{Chat, Kind, Peer};
use super::dice::{Dice, mix};
use super::{Blank, FIRST_USER, SELF, World, blank};
use crate::telegram::files::{FileKind, file_id};

const FIRST_NAMES: [&str; 16] =
    ["Anna", "Boris", "Chloé", "Dmitri", "Elif", "Farid", "Gül", "Hana", "Igor", "Jürgen", "Kim", "Ольга", "Mina", "李雷", "Ömer", "Zoë"];
const LAST_NAMES: [&str; 12] =
    ["Abend", "Baum", "Çelik", "Duarte", "Eriksen", "Fuchs", "Green", "Hoang", "Иванова", "Jansen", "Khan", "O'Neill"];

impl World {
    /// The key that a client needs besides the id.
    pub(crate) fn access_hash(&self, peer: Peer) -> i64 {
        mix(self.seed ^ mix(peer.id() as u64 ^ 0xacce55)) as i64
    }

    /// The user with this id; unknown ones are `userEmpty`.
    pub(crate) fn user(&self, id: i64) -> enums::User {
        let number = id - FIRST_USER;
        let chat = self.chat(Peer::User(id)).map(|(_, chat)| chat);
        let known = id == SELF || chat.is_some() || (0..self.pool as i64).contains(&number);
        if !known || chat.is_some_and(|chat| chat.empty_user) {
            return types::UserEmpty { id }.into();
        }
        let mut user: types::User = blank(16);
        let mut dice = Dice::new(&[self.seed, 0x05e7, id as u64]);
        user.id = id;
        user.access_hash = Some(self.access_hash(Peer::User(id)));
        match chat.map(|chat| chat.kind) {
            Some(Kind::Deleted) => {
                user.deleted = true;
                return user.into();
            }
            Some(Kind::Bot) => {
                user.bot = true;
                user.bot_info_version = Some(1);
                user.bot_forum_view = chat.is_some_and(|chat| chat.bot_forum);
                user.first_name = Some(format!("Bot {number}"));
                user.username = Some(format!("test{number}bot"));
            }
            _ => {
                user.first_name = dice.pick(&FIRST_NAMES).map(|name| format!("{name} {number}"));
                user.last_name = dice.pick(&LAST_NAMES).filter(|_| id % 4 != 0).map(|name| (*name).into());
                user.username = (number % 5 == 0).then(|| format!("user{number}"));
                user.status = Some(types::UserStatusRecently { by_me: false }.into());
            }
        }
        if id == SELF {
            user.is_self = true;
            user.first_name = Some("Test".into());
            user.last_name = Some("Account".into());
            user.username = Some("test_account".into());
            user.phone = Some(self.phone.clone());
        }
        user.contact = self.is_contact(id);
        user.mutual_contact = user.contact && number % 2 == 0;
        if user.contact {
            user.phone = Some(phone_of(number));
        }
        if number % 3 != 1 {
            let photo_id = file_id(FileKind::Profile, photo_payload(Peer::User(id), 0));
            user.photo = Some(
                types::UserProfilePhoto {
                    has_video: false,
                    personal: false,
                    photo_id,
                    stripped_thumb: None,
                    dc_id: self.files.dc(photo_id),
                }
                .into(),
            );
        }
        user.into()
    }

    /// Whether the account has this user in its contacts: every third of those it has a private chat with.
    pub(crate) fn is_contact(&self, id: i64) -> bool {
        id != SELF
            && (id - FIRST_USER) % 3 == 0
            && self.chat(Peer::User(id)).is_some_and(|(_, chat)| chat.kind == Kind::Private && !chat.empty_user)
    }

    /// The group or channel, as far as the account may see it.
    pub(crate) fn chat_object(&self, chat: &Chat) -> Option<enums::Chat> {
        let title = self.title(chat);
        let id = chat.peer.id();
        Some(match chat.peer {
            Peer::User(_) => return None,
            Peer::Group(_) if chat.gone => types::ChatForbidden { id, title }.into(),
            Peer::Group(_) => {
                // flags, id, title; photo; participants, date, version
                let mut group: types::Chat = Blank::zeros(16).object(&enums::ChatPhoto::Empty).more(12).build();
                group.id = id;
                group.title = title;
                group.photo = self.chat_photo(chat);
                group.participants_count = chat.members as i32;
                group.date = self.start;
                group.version = 1;
                group.left = chat.left;
                group.noforwards = chat.protected;
                if let Some(to) = chat.migrated_to.and_then(|no| self.chats.get(no)) {
                    group.deactivated = true;
                    group.migrated_to =
                        Some(types::InputChannel { channel_id: to.peer.id(), access_hash: self.access_hash(to.peer) }.into());
                }
                group.into()
            }
            Peer::Channel(_) if chat.gone => types::ChannelForbidden {
                broadcast: chat.kind == Kind::Broadcast,
                megagroup: chat.kind != Kind::Broadcast,
                monoforum: false,
                id,
                access_hash: self.access_hash(chat.peer),
                title,
                until_date: None,
            }
            .into(),
            Peer::Channel(_) => {
                // both flags, id, title; photo; date
                let mut channel: types::Channel = Blank::zeros(20).object(&enums::ChatPhoto::Empty).more(4).build();
                channel.id = id;
                channel.access_hash = Some(self.access_hash(chat.peer));
                channel.title = title;
                channel.photo = self.chat_photo(chat);
                channel.date = self.start;
                channel.broadcast = chat.kind == Kind::Broadcast;
                channel.megagroup = !channel.broadcast;
                channel.forum = chat.forum();
                channel.left = chat.left;
                channel.noforwards = chat.protected;
                channel.username = chat.public.then(|| format!("channel{id}"));
                channel.participants_count = Some(chat.members as i32);
                channel.into()
            }
        })
    }

    fn chat_photo(&self, chat: &Chat) -> enums::ChatPhoto {
        if chat.peer.id() % 2 == 0 {
            return enums::ChatPhoto::Empty;
        }
        let photo_id = file_id(FileKind::Profile, photo_payload(chat.peer, 0));
        types::ChatPhoto { has_video: false, photo_id, stripped_thumb: None, dc_id: self.files.dc(photo_id) }.into()
    }

    /// The title of a group or channel; empty for users.
    pub(crate) fn title(&self, chat: &Chat) -> String {
        if let Some(title) = &chat.title {
            return title.clone();
        }
        let id = chat.peer.id();
        match chat.kind {
            Kind::Group => format!("Group {id}"),
            Kind::Supergroup { forum: true } => format!("Forum {id} 💬"),
            Kind::Supergroup { forum: false } => format!("Supergroup {id}"),
            Kind::Broadcast => format!("Канал {id}"),
            _ => String::new(),
        }
    }

    /// A member of a group by number; the account itself is member 0.
    pub(crate) fn member(&self, chat: &Chat, number: u64) -> i64 {
        let number = number % u64::from(chat.members.max(1));
        if number == 0 || self.pool == 0 {
            return SELF;
        }
        FIRST_USER + (mix(chat.peer.id() as u64 ^ number << 32) % self.pool) as i64
    }

    /// The objects for a set of peers, as answers carry them: chats and users.
    pub(crate) fn objects(&self, peers: &BTreeSet<Peer>) -> (Vec<enums::Chat>, Vec<enums::User>) {
        let mut chats = Vec::new();
        let mut users = Vec::new();
        for peer in peers {
            match peer {
                Peer::User(id) => users.push(self.user(*id)),
                Peer::Group(_) | Peer::Channel(_) => chats.extend(self.chat(*peer).and_then(|(_, chat)| self.chat_object(chat))),
            }
        }
        (chats, users)
    }
}

/// The phone number of user `number`.
pub(crate) fn phone_of(number: i64) -> String {
    format!("99966{:07}", number.rem_euclid(10_000_000))
}

/// What a profile photo's id carries: whose it is and which.
pub(crate) fn photo_payload(peer: Peer, number: u64) -> u64 {
    let kind = match peer {
        Peer::User(_) => 1,
        Peer::Group(_) => 2,
        Peer::Channel(_) => 3,
    };
    (kind << 46 | peer.id() as u64 & ((1 << 46) - 1)) << 8 | number & 0xff
}
