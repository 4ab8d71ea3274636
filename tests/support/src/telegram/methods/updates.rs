//! What happened since: states and differences.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::{Peer, SELF, World};

impl World {
    pub(crate) fn state(&self, now: i32) -> enums::updates::State {
        types::updates::State { pts: self.pts, qts: 0, date: now, seq: 0, unread_count: 0 }.into()
    }

    /// Events as they are told to connected clients.
    pub(crate) fn envelope(&self, updates: Vec<enums::Update>, now: i32) -> enums::Updates {
        let mut peers = BTreeSet::from([Peer::User(SELF)]);
        updates.iter().for_each(|update| self.named_in(update, &mut peers));
        let (chats, users) = self.objects(&peers);
        types::Updates { updates, users, chats, date: now, seq: 0 }.into()
    }

    /// The peers that an event names.
    pub(crate) fn named_in(&self, update: &enums::Update, peers: &mut BTreeSet<Peer>) {
        match update {
            enums::Update::NewMessage(u) => self.named(&u.message, peers),
            enums::Update::NewChannelMessage(u) => self.named(&u.message, peers),
            enums::Update::EditMessage(u) => self.named(&u.message, peers),
            enums::Update::EditChannelMessage(u) => self.named(&u.message, peers),
            enums::Update::DeleteChannelMessages(u) => peers.extend([Peer::Channel(u.channel_id)]),
            enums::Update::Channel(u) => peers.extend([Peer::Channel(u.channel_id)]),
            enums::Update::ChannelTooLong(u) => peers.extend([Peer::Channel(u.channel_id)]),
            enums::Update::MessageReactions(u) => peers.extend([Peer::from_tl(&u.peer)]),
            _ => {}
        }
    }
}

pub(super) fn get_state(call: &mut Call<'_>, _: f::updates::GetState) -> Result<enums::updates::State, Refusal> {
    Ok(call.shared.world().state(call.now))
}
