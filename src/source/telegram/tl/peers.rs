//! Users and chats as Telegram describes them along with everything else.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use grammers_tl_types::{LAYER, Serializable, enums, types};

use crate::model::chat::{ChatType, PeerType, SeenPeer};
use crate::model::paths::RunId;
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::{Raw, VERSION};

/// The number of Telegram's own account that collects replies to comments.
const REPLIES: i64 = 1_271_266_957;
/// The number of Telegram's own account that shows verification codes.
const VERIFICATION_CODES: i64 = 489_000;

/// The typed peer of a TL peer.
pub(crate) fn peer_of(peer: &enums::Peer) -> Peer {
    match peer {
        enums::Peer::User(user) => Peer::user(user.user_id),
        enums::Peer::Chat(chat) => Peer::chat(chat.chat_id),
        enums::Peer::Channel(channel) => Peer::channel(channel.channel_id),
    }
}

/// What is known about one user or chat.
#[derive(Clone, Debug)]
struct Known {
    kind: PeerType,
    name: Option<Box<str>>,
    first_name: Option<Box<str>>,
    username: Option<Box<str>>,
    /// Public names beside that one.
    aliases: Box<[Box<str>]>,
    access_hash: Option<i64>,
    /// One that came with a short description and serves only where that came from.
    short_hash: Option<i64>,
    left: bool,
    forum: bool,
    contact: bool,
    migrated_to: Option<i64>,
}

/// Everybody seen so far in this run, and those that have not been written down yet.
pub(crate) struct PeerBook {
    self_id: i64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    known: HashMap<Peer, Known>,
    fresh: Vec<SeenPeer>,
    /// Descriptions that are written down only when something of what is stored speaks of them.
    aside: HashMap<Peer, SeenPeer>,
}

fn some(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn joined(first: &str, last: &str) -> Option<Box<str>> {
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (false, true) => Some(first.into()),
        (true, false) => Some(last.into()),
        (false, false) => Some(format!("{first} {last}").into()),
    }
}

fn usernames(main: Option<&String>, more: Option<&Vec<enums::Username>>) -> Vec<String> {
    let more = more.into_iter().flatten().map(|enums::Username::Username(name)| name).filter(|name| name.active);
    let mut names: Vec<String> = main.cloned().into_iter().chain(more.map(|name| name.username.clone())).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// All public names but the first.
fn aliases(usernames: &[String]) -> Box<[Box<str>]> {
    usernames.iter().skip(1).map(|name| name.as_str().into()).collect()
}

impl PeerBook {
    pub(crate) fn new(self_id: i64) -> Self {
        Self { self_id, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what came with an answer.
    pub(crate) fn learn(&self, users: &[enums::User], chats: &[enums::Chat], observed: i64, run: &RunId) {
        let mut inner = self.lock();
        for user in users {
            if let enums::User::User(user) = user
                && user.id >= 0
            {
                inner.come_back(Peer::user(user.id));
                inner.learn_user(user, observed, run);
            }
        }
        for chat in chats.iter().filter(|chat| chat.id() >= 0) {
            match chat {
                enums::Chat::Chat(chat) => inner.come_back(Peer::chat(chat.id)),
                enums::Chat::Channel(channel) => inner.come_back(Peer::channel(channel.id)),
                _ => {}
            }
            inner.learn_chat(chat, observed, run);
        }
    }

    /// Sets aside whom only the list of chats described so far, but for those to `keep`: they are written down when they come again,
    /// with something that is stored.
    pub(crate) fn set_aside(&self, keep: impl Fn(Peer) -> bool) {
        let mut inner = self.lock();
        let (kept, aside) = std::mem::take(&mut inner.fresh).into_iter().partition(|seen| keep(seen.peer));
        inner.fresh = kept;
        inner.aside.extend(Vec::into_iter(aside).map(|seen: SeenPeer| (seen.peer, seen)));
    }

    /// The descriptions that came in since the last time.
    pub(crate) fn take_fresh(&self) -> Vec<SeenPeer> {
        std::mem::take(&mut self.lock().fresh)
    }

    /// How many descriptions wait to be written down.
    pub(crate) fn fresh_count(&self) -> usize {
        self.lock().fresh.len()
    }

    /// "First Last" or the title; `None` for a deleted account and for whoever was never described.
    pub(crate) fn name(&self, peer: Peer) -> Option<String> {
        self.lock().known.get(&peer)?.name.as_deref().map(str::to_owned)
    }

    /// The name of a chat in the exports: a person's first name only.
    pub(crate) fn chat_name(&self, peer: Peer) -> Option<String> {
        let inner = self.lock();
        let known = inner.known.get(&peer)?;
        let name = if peer.kind == PeerKind::User { &known.first_name } else { &known.name };
        name.as_deref().map(str::to_owned)
    }

    /// The public name without `@`.
    pub(crate) fn username(&self, peer: Peer) -> Option<String> {
        self.lock().known.get(&peer)?.username.as_deref().map(str::to_owned)
    }

    /// All public names without `@`, the one that people see first.
    pub(crate) fn usernames(&self, peer: Peer) -> Vec<String> {
        let inner = self.lock();
        let Some(known) = inner.known.get(&peer) else { return vec![] };
        known.username.iter().chain(&known.aliases).map(|name| name.as_ref().to_owned()).collect()
    }

    pub(crate) fn is_left(&self, peer: Peer) -> bool {
        self.lock().known.get(&peer).is_some_and(|known| known.left)
    }

    pub(crate) fn is_forum(&self, peer: Peer) -> bool {
        self.lock().known.get(&peer).is_some_and(|known| known.forum)
    }

    /// The supergroup that a basic group became.
    pub(crate) fn migrated_to(&self, peer: Peer) -> Option<Peer> {
        self.lock().known.get(&peer)?.migrated_to.map(Peer::channel)
    }

    /// Whether the user is in the account's contacts.
    pub(crate) fn is_contact(&self, peer: Peer) -> bool {
        self.lock().known.get(&peer).is_some_and(|known| known.contact)
    }

    /// The type of a chat with this peer, as the exports have it.
    pub(crate) fn chat_type(&self, peer: Peer) -> Option<ChatType> {
        match (peer.kind, peer.id) {
            (PeerKind::User, id) if id == self.self_id => return Some(ChatType::SavedMessages),
            (PeerKind::User, REPLIES) => return Some(ChatType::Replies),
            (PeerKind::User, VERIFICATION_CODES) => return Some(ChatType::VerificationCodes),
            _ => {}
        }
        let inner = self.lock();
        let known = inner.known.get(&peer)?;
        Some(match (known.kind, known.username.is_some()) {
            (PeerType::Bot, _) => ChatType::BotChat,
            (PeerType::User | PeerType::Deleted, _) => ChatType::PersonalChat,
            (PeerType::Group, _) => ChatType::PrivateGroup,
            (PeerType::Supergroup, true) => ChatType::PublicSupergroup,
            (PeerType::Supergroup, false) => ChatType::PrivateSupergroup,
            (PeerType::Channel, true) => ChatType::PublicChannel,
            (PeerType::Channel, false) => ChatType::PrivateChannel,
            (PeerType::Forbidden, _) if peer.kind == PeerKind::Chat => ChatType::PrivateGroup,
            (PeerType::Forbidden, _) => ChatType::PrivateChannel,
        })
    }

    /// How to name the peer in a request; `None` where Telegram never described it. Without an access hash it is asked for all the
    /// same: there are servers that need none, and others say so.
    pub(crate) fn input(&self, peer: Peer) -> Option<enums::InputPeer> {
        if peer.kind == PeerKind::User && peer.id == self.self_id {
            return Some(enums::InputPeer::PeerSelf);
        }
        let hash = || self.lock().known.get(&peer).map(|known| known.access_hash.or(known.short_hash).unwrap_or_default());
        Some(match peer.kind {
            PeerKind::User => types::InputPeerUser { user_id: peer.id, access_hash: hash()? }.into(),
            PeerKind::Chat => types::InputPeerChat { chat_id: peer.id }.into(),
            PeerKind::Channel => types::InputPeerChannel { channel_id: peer.id, access_hash: hash()? }.into(),
        })
    }

    /// The same for a person or bot.
    pub(crate) fn input_user(&self, peer: Peer) -> Option<enums::InputUser> {
        match self.input(peer)? {
            enums::InputPeer::PeerSelf => Some(enums::InputUser::UserSelf),
            enums::InputPeer::User(user) => Some(types::InputUser { user_id: user.user_id, access_hash: user.access_hash }.into()),
            _ => None,
        }
    }

    /// The same for a channel.
    pub(crate) fn input_channel(&self, peer: Peer) -> Option<enums::InputChannel> {
        match self.input(peer)? {
            enums::InputPeer::Channel(channel) => {
                Some(types::InputChannel { channel_id: channel.channel_id, access_hash: channel.access_hash }.into())
            }
            _ => None,
        }
    }
}

impl Inner {
    fn come_back(&mut self, peer: Peer) {
        self.fresh.extend(self.aside.remove(&peer));
    }

    fn note(&mut self, seen: SeenPeer, known: Known) {
        self.known.insert(seen.peer, known);
        self.fresh.push(seen);
    }

    fn learn_user(&mut self, user: &types::User, observed: i64, run: &RunId) {
        let peer = Peer::user(user.id);
        let (first, last) = (user.first_name.as_deref().unwrap_or_default(), user.last_name.as_deref().unwrap_or_default());
        let name = joined(first, last);
        let names = usernames(user.username.as_ref(), user.usernames.as_ref());
        let username = names.first().map(|name| name.as_str().into());
        let kind = match (user.deleted, user.bot) {
            (true, _) => PeerType::Deleted,
            (false, true) => PeerType::Bot,
            (false, false) => PeerType::User,
        };
        let mut hash_before = None;
        if let Some(known) = self.known.get_mut(&peer) {
            hash_before = known.access_hash;
            // A short description lacks things and its access hash serves only in its context.
            if user.min || (known.name == name && known.username == username && known.kind == kind) {
                if !user.min {
                    known.access_hash = user.access_hash.or(known.access_hash);
                    (known.aliases, known.contact, known.forum) = (aliases(&names), user.contact, user.bot_forum_view);
                }
                return;
            }
        }
        let color = match &user.color {
            Some(enums::PeerColor::Color(color)) => color.color.and_then(|color| u32::try_from(color).ok()),
            _ => None,
        };
        let aliases = aliases(&names);
        let seen = SeenPeer {
            v: VERSION,
            peer,
            kind: Some(kind),
            name: name.as_deref().map(str::to_owned),
            first_name: some(first).map(Into::into),
            last_name: some(last).map(Into::into),
            usernames: names,
            phone: user.phone.clone(),
            color,
            observed,
            run: run.clone(),
            raw: Some(Raw::Tl { layer: LAYER.unsigned_abs(), bytes: enums::User::User(user.clone()).to_bytes() }),
        };
        let known = Known {
            kind,
            name,
            first_name: some(first),
            username,
            aliases,
            access_hash: if user.min { None } else { user.access_hash.or(hash_before) },
            short_hash: user.access_hash,
            left: false,
            forum: user.bot_forum_view,
            contact: user.contact,
            migrated_to: None,
        };
        self.note(seen, known);
    }

    fn learn_chat(&mut self, chat: &enums::Chat, observed: i64, run: &RunId) {
        let (peer, title, kind, names) = match chat {
            enums::Chat::Empty(_) => return,
            enums::Chat::Chat(chat) => (Peer::chat(chat.id), &chat.title, PeerType::Group, vec![]),
            enums::Chat::Forbidden(chat) => (Peer::chat(chat.id), &chat.title, PeerType::Forbidden, vec![]),
            enums::Chat::Channel(channel) => {
                let kind = if channel.broadcast { PeerType::Channel } else { PeerType::Supergroup };
                (Peer::channel(channel.id), &channel.title, kind, usernames(channel.username.as_ref(), channel.usernames.as_ref()))
            }
            enums::Chat::ChannelForbidden(channel) => (Peer::channel(channel.id), &channel.title, PeerType::Forbidden, vec![]),
            // Communities hold chats; they have no messages of their own.
            enums::Chat::Community(_) | enums::Chat::CommunityForbidden(_) => return,
        };
        let mut known = Known {
            kind,
            name: some(title),
            first_name: None,
            username: names.first().map(|name| name.as_str().into()),
            aliases: aliases(&names),
            access_hash: None,
            short_hash: None,
            left: false,
            forum: false,
            contact: false,
            migrated_to: None,
        };
        let mut min = false;
        match chat {
            enums::Chat::Chat(chat) => {
                known.left = chat.left;
                known.migrated_to = match &chat.migrated_to {
                    Some(enums::InputChannel::Channel(channel)) => Some(channel.channel_id),
                    _ => None,
                };
            }
            enums::Chat::Channel(channel) => {
                min = channel.min;
                known.access_hash = if min { None } else { channel.access_hash };
                known.short_hash = channel.access_hash;
                known.left = channel.left;
                known.forum = channel.forum;
            }
            enums::Chat::ChannelForbidden(channel) => {
                known.access_hash = Some(channel.access_hash);
                known.left = true;
            }
            enums::Chat::Forbidden(_) => known.left = true,
            _ => {}
        }
        if let Some(before) = self.known.get_mut(&peer) {
            let same = before.name == known.name && before.username == known.username && before.kind == known.kind;
            if min {
                return;
            }
            known.access_hash = known.access_hash.or(before.access_hash);
            if same {
                *before = known;
                return;
            }
        }
        let seen = SeenPeer {
            v: VERSION,
            peer,
            kind: Some(kind),
            name: known.name.as_deref().map(str::to_owned),
            first_name: None,
            last_name: None,
            usernames: names,
            phone: None,
            color: None,
            observed,
            run: run.clone(),
            raw: Some(Raw::Tl { layer: LAYER.unsigned_abs(), bytes: chat.to_bytes() }),
        };
        self.note(seen, known);
    }
}
