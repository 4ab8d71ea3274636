//! What the peers in requests point at, and whether the client may see it.

use grammers_tl_types::enums::{InputChannel, InputPeer, InputUser};

use crate::telegram::dispatch::Refusal;
use crate::telegram::world::chat::Chat;
use crate::telegram::world::{Kind, Peer, SELF, World};

impl World {
    /// The peer, if the access hash is the right one.
    pub(crate) fn resolve(&self, peer: &InputPeer) -> Result<Peer, Refusal> {
        let invalid = || Refusal::bad("PEER_ID_INVALID");
        let (peer, hash) = match peer {
            InputPeer::Empty => return Err(invalid()),
            InputPeer::PeerSelf => return Ok(Peer::User(SELF)),
            InputPeer::Chat(p) => return Ok(Peer::Group(p.chat_id)),
            InputPeer::User(p) => (Peer::User(p.user_id), p.access_hash),
            InputPeer::Channel(p) => (Peer::Channel(p.channel_id), p.access_hash),
            InputPeer::UserFromMessage(p) => (Peer::User(p.user_id), self.access_hash(Peer::User(p.user_id))),
            InputPeer::ChannelFromMessage(p) => (Peer::Channel(p.channel_id), self.access_hash(Peer::Channel(p.channel_id))),
        };
        match peer {
            Peer::User(id) if id == SELF => Ok(peer),
            _ if hash == self.access_hash(peer) => Ok(peer),
            Peer::Channel(_) => Err(Refusal::bad("CHANNEL_INVALID")),
            _ => Err(invalid()),
        }
    }

    pub(crate) fn resolve_user(&self, user: &InputUser) -> Result<i64, Refusal> {
        let (id, hash) = match user {
            InputUser::Empty => return Err(Refusal::bad("USER_ID_INVALID")),
            InputUser::UserSelf => return Ok(SELF),
            InputUser::User(u) => (u.user_id, u.access_hash),
            InputUser::FromMessage(u) => (u.user_id, self.access_hash(Peer::User(u.user_id))),
        };
        (id == SELF || hash == self.access_hash(Peer::User(id))).then_some(id).ok_or_else(|| Refusal::bad("USER_ID_INVALID"))
    }

    pub(crate) fn resolve_channel(&self, channel: &InputChannel) -> Result<Peer, Refusal> {
        let (id, hash) = match channel {
            InputChannel::Empty => return Err(Refusal::bad("CHANNEL_INVALID")),
            InputChannel::Channel(c) => (c.channel_id, c.access_hash),
            InputChannel::FromMessage(c) => (c.channel_id, self.access_hash(Peer::Channel(c.channel_id))),
        };
        let peer = Peer::Channel(id);
        (hash == self.access_hash(peer)).then_some(peer).ok_or_else(|| Refusal::bad("CHANNEL_INVALID"))
    }

    /// The chat with a peer whose whole history may be read.
    pub(crate) fn readable(&self, peer: Peer) -> Result<&Chat, Refusal> {
        let chat = self.present(peer)?;
        if chat.left && !chat.public {
            return Err(Refusal::bad("CHANNEL_PRIVATE"));
        }
        Ok(chat)
    }

    /// The chat with a peer, left or not.
    pub(crate) fn present(&self, peer: Peer) -> Result<&Chat, Refusal> {
        let gone = Refusal::bad(match peer {
            Peer::User(_) => "PEER_ID_INVALID",
            Peer::Group(_) => "CHAT_ID_INVALID",
            Peer::Channel(_) => "CHANNEL_PRIVATE",
        });
        match self.chat(peer) {
            Some((_, chat)) if !chat.gone => Ok(chat),
            _ => Err(gone),
        }
    }

    /// The account's own id, or the bot's.
    pub(crate) fn bot_id(&self) -> i64 {
        self.chats.iter().find(|chat| chat.kind == Kind::Bot).map_or(SELF, |chat| chat.peer.id())
    }
}
