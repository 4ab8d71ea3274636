//! Groups and channels.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::chat::Chat;
use crate::telegram::world::{Blank, Kind, Peer, SELF, World};

/// Most members in one answer.
const PAGE: u64 = 200;

pub(super) fn get_chats(call: &mut Call<'_>, r: f::messages::GetChats) -> Result<enums::messages::Chats, Refusal> {
    let world = call.shared.world();
    let one = |id: &i64| {
        world.chat(Peer::Group(*id)).and_then(|(_, chat)| world.chat_object(chat)).ok_or_else(|| Refusal::bad("CHAT_ID_INVALID"))
    };
    Ok(types::messages::Chats { chats: r.id.iter().map(one).collect::<Result<_, _>>()? }.into())
}

pub(super) fn get_channels(call: &mut Call<'_>, r: f::channels::GetChannels) -> Result<enums::messages::Chats, Refusal> {
    let world = call.shared.world();
    let one = |channel: &enums::InputChannel| {
        let peer = world.resolve_channel(channel)?;
        world.chat(peer).and_then(|(_, chat)| world.chat_object(chat)).ok_or_else(|| Refusal::bad("CHANNEL_INVALID"))
    };
    Ok(types::messages::Chats { chats: r.id.iter().map(one).collect::<Result<_, _>>()? }.into())
}

pub(super) fn get_full_chat(call: &mut Call<'_>, r: f::messages::GetFullChat) -> Result<enums::messages::ChatFull, Refusal> {
    let world = call.shared.world();
    let chat = world.present(Peer::Group(r.chat_id))?;
    let members: Vec<i64> = (0..u64::from(chat.members)).map(|n| world.member(chat, n)).collect();
    let participants = members
        .iter()
        .enumerate()
        .map(|(n, user_id)| match n {
            0 => types::ChatParticipantCreator { user_id: *user_id, rank: None }.into(),
            _ => types::ChatParticipant { user_id: *user_id, inviter_id: SELF, date: world.start, rank: None }.into(),
        })
        .collect();
    let participants: enums::ChatParticipants = types::ChatParticipants { chat_id: r.chat_id, participants, version: 1 }.into();
    let mut full: types::ChatFull = Blank::zeros(16).object(&participants).object(&Blank::notify()).build();
    full.id = r.chat_id;
    full.about = chat.about.clone().unwrap_or_else(|| format!("About group {}", r.chat_id));
    full.pinned_msg_id = chat.pinned_message;
    full.has_scheduled = world.scheduled(chat) > 0;
    Ok(answer(&world, full.into(), chat, members))
}

pub(super) fn get_full_channel(call: &mut Call<'_>, r: f::channels::GetFullChannel) -> Result<enums::messages::ChatFull, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve_channel(&r.channel)?)?;
    let photo: enums::Photo = types::PhotoEmpty { id: 0 }.into();
    // Both flags, id, text, four numbers; photo, notifications, bots; pts.
    let mut full: types::ChannelFull =
        Blank::zeros(32).object(&photo).object(&Blank::notify()).object(&Vec::<enums::BotInfo>::new()).more(4).build();
    full.id = chat.peer.id();
    full.about = chat.about.clone().unwrap_or_else(|| format!("About {}", world.title(chat)));
    full.pinned_msg_id = chat.pinned_message;
    full.has_scheduled = world.scheduled(chat) > 0;
    if chat.kind == Kind::Broadcast {
        let group = world.chats.iter().find(|other| matches!(other.kind, Kind::Supergroup { .. }) && other.listed());
        full.linked_chat_id = group.map(|group| group.peer.id());
    }
    full.pts = chat.pts;
    full.participants_count = Some(chat.members as i32);
    full.can_view_participants = chat.kind != Kind::Broadcast;
    if let Some(group) = chat.migrated_from.and_then(|no| world.chats.get(no)) {
        full.migrated_from_chat_id = Some(group.peer.id());
        full.migrated_from_max_id = group.ids().last().copied().or(Some(0));
    }
    Ok(answer(&world, full.into(), chat, Vec::new()))
}

fn answer(world: &World, full_chat: enums::ChatFull, chat: &Chat, members: Vec<i64>) -> enums::messages::ChatFull {
    let mut peers: BTreeSet<Peer> = members.into_iter().map(Peer::User).collect();
    peers.insert(chat.peer);
    let relatives = [chat.migrated_from, chat.migrated_to];
    peers.extend(relatives.into_iter().flatten().filter_map(|no| Some(world.chats.get(no)?.peer)));
    let (chats, users) = world.objects(&peers);
    types::messages::ChatFull { full_chat, chats, users }.into()
}

pub(super) fn get_participants(
    call: &mut Call<'_>,
    r: f::channels::GetParticipants,
) -> Result<enums::channels::ChannelParticipants, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve_channel(&r.channel)?)?;
    if chat.kind == Kind::Broadcast {
        return Err(Refusal::bad("CHAT_ADMIN_REQUIRED"));
    }
    let all = u64::from(chat.members);
    let wanted = (r.offset.max(0) as u64..all).take((r.limit.max(0) as u64).min(PAGE) as usize);
    let members: Vec<i64> = wanted.map(|n| world.member(chat, n)).collect();
    let participants = members
        .iter()
        .map(|user_id| types::ChannelParticipant { user_id: *user_id, date: world.start, subscription_until_date: None, rank: None }.into())
        .collect();
    let (chats, users) = world.objects(&members.iter().copied().map(Peer::User).collect());
    Ok(types::channels::ChannelParticipants { count: all as i32, participants, chats, users }.into())
}
