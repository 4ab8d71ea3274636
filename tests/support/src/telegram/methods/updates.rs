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

/// Most events in one answer; more come as slices.
const SLICE: usize = 100;

/// Events sorted as differences tell them.
#[derive(Default)]
struct Told {
    new: Vec<enums::Message>,
    other: Vec<enums::Update>,
}

impl World {
    /// Events as a client that missed them is told: new messages as they are now, those deleted meanwhile left out.
    fn told(&self, events: &[(i32, enums::Update)]) -> Told {
        let mut told = Told::default();
        let now = |message: &enums::Message| {
            let peer = match message {
                enums::Message::Message(m) => Peer::from_tl(&m.peer_id),
                enums::Message::Service(m) => Peer::from_tl(&m.peer_id),
                enums::Message::Empty(_) => return None,
            };
            self.message(self.chat(peer)?.1, message.id())
        };
        for (_, update) in events {
            match update {
                enums::Update::NewMessage(u) => told.new.extend(now(&u.message)),
                enums::Update::NewChannelMessage(u) => told.new.extend(now(&u.message)),
                update => told.other.push(update.clone()),
            }
        }
        told
    }

    fn named_by(&self, told: &Told) -> (Vec<enums::Chat>, Vec<enums::User>) {
        let mut peers = BTreeSet::from([Peer::User(SELF)]);
        told.new.iter().for_each(|message| self.named(message, &mut peers));
        told.other.iter().for_each(|update| self.named_in(update, &mut peers));
        self.objects(&peers)
    }
}

pub(super) fn get_difference(call: &mut Call<'_>, r: f::updates::GetDifference) -> Result<enums::updates::Difference, Refusal> {
    let world = call.shared.world();
    let missed = world.events.partition_point(|(pts, _)| *pts <= r.pts);
    let events = world.events.get(missed..).unwrap_or_default();
    let most = r.pts_total_limit.map_or(call.shared.options.difference_limit, |limit| limit.max(0) as usize);
    if r.pts < world.known_from || r.pts > world.pts || events.len() > most {
        return Ok(types::updates::DifferenceTooLong { pts: world.pts }.into());
    }
    let page = r.pts_limit.map_or(SLICE, |limit| (limit.max(1) as usize).min(SLICE));
    let slice = events.get(..page.min(events.len())).unwrap_or_default();
    let mut told = world.told(slice);
    let last = slice.len() == events.len();
    if last {
        // Channels keep their own count: the client is only told that there is something.
        let changed = world
            .chats
            .iter()
            .filter(|chat| chat.peer.is_channel() && chat.changed_at > 0 && chat.changed_at >= r.date && !chat.left && !chat.gone);
        told.other.extend(changed.map(|chat| types::UpdateChannelTooLong { channel_id: chat.peer.id(), pts: Some(chat.pts) }.into()));
    }
    let (chats, users) = world.named_by(&told);
    let Told { new: new_messages, other: other_updates } = told;
    let new_encrypted_messages = Vec::new();
    if last && new_messages.is_empty() && other_updates.is_empty() {
        return Ok(types::updates::DifferenceEmpty { date: call.now, seq: 0 }.into());
    }
    let state = types::updates::State { pts: slice.last().map_or(r.pts, |(pts, _)| *pts), qts: 0, date: call.now, seq: 0, unread_count: 0 };
    Ok(if last {
        types::updates::Difference { new_messages, new_encrypted_messages, other_updates, chats, users, state: world.state(call.now) }
            .into()
    } else {
        types::updates::DifferenceSlice {
            new_messages,
            new_encrypted_messages,
            other_updates,
            chats,
            users,
            intermediate_state: state.into(),
        }
        .into()
    })
}

pub(super) fn get_channel_difference(
    call: &mut Call<'_>,
    r: f::updates::GetChannelDifference,
) -> Result<enums::updates::ChannelDifference, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve_channel(&r.channel)?)?;
    let missed = chat.events.partition_point(|(pts, _)| *pts <= r.pts);
    let events = chat.events.get(missed..).unwrap_or_default();
    let timeout = Some(30);
    if r.pts == chat.pts {
        return Ok(types::updates::ChannelDifferenceEmpty { r#final: true, pts: chat.pts, timeout }.into());
    }
    if r.pts < chat.known_from || r.pts > chat.pts || events.len() > call.shared.options.channel_difference_limit {
        let top = chat.ids().last().copied().unwrap_or(0);
        let page = world.dialog_page(&[(chat, top)]);
        let dialog = world.dialog(chat, top);
        let super::dialogs::DialogPage { messages, chats, users, .. } = page;
        return Ok(types::updates::ChannelDifferenceTooLong { r#final: true, timeout, dialog, messages, chats, users }.into());
    }
    let slice = events.get(..(r.limit.max(1) as usize).min(SLICE).min(events.len())).unwrap_or_default();
    let told = world.told(slice);
    let (chats, users) = world.named_by(&told);
    Ok(types::updates::ChannelDifference {
        r#final: slice.len() == events.len(),
        pts: slice.last().map_or(chat.pts, |(pts, _)| *pts),
        timeout,
        new_messages: told.new,
        other_updates: told.other,
        chats,
        users,
    }
    .into())
}
