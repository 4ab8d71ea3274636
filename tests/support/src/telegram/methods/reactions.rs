//! Reactions.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::chat::Chat;
use crate::telegram::world::{Peer, SELF, World, no_reactions};

impl World {
    fn reactions_of(&self, chat: &Chat, id: i32) -> Option<types::MessageReactions> {
        let reactions = match self.message(chat, id)? {
            enums::Message::Message(m) => m.reactions,
            enums::Message::Service(m) => m.reactions,
            enums::Message::Empty(_) => None,
        };
        Some(match reactions {
            Some(enums::MessageReactions::Reactions(reactions)) => reactions,
            None => no_reactions(),
        })
    }
}

pub(super) fn get_messages_reactions(call: &mut Call<'_>, r: f::messages::GetMessagesReactions) -> Result<enums::Updates, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve(&r.peer)?)?;
    if r.id.len() > 100 {
        return Err(Refusal::bad("LIMIT_INVALID"));
    }
    let update = |id: &i32| {
        let reactions = world.reactions_of(chat, *id)?.into();
        Some(
            types::UpdateMessageReactions { peer: chat.peer.to_tl(), msg_id: *id, top_msg_id: None, saved_peer_id: None, reactions }.into(),
        )
    };
    let updates: Vec<enums::Update> = r.id.iter().filter_map(update).collect();
    Ok(world.envelope(updates, call.now))
}

pub(super) fn get_message_reactions_list(
    call: &mut Call<'_>,
    r: f::messages::GetMessageReactionsList,
) -> Result<enums::messages::MessageReactionsList, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve(&r.peer)?)?;
    let reactions = world.reactions_of(chat, r.id).ok_or_else(|| Refusal::bad("MSG_ID_INVALID"))?;
    if !reactions.can_see_list {
        return Err(Refusal::new(403, "BROADCAST_FORBIDDEN"));
    }
    // The recent ones first, then as many more as were counted, from members by number.
    let mut all: Vec<types::MessagePeerReaction> = Vec::new();
    for enums::MessagePeerReaction::Reaction(reaction) in reactions.recent_reactions.into_iter().flatten() {
        all.push(reaction);
    }
    for enums::ReactionCount::Count(result) in reactions.results {
        let told = all.iter().filter(|known| known.reaction == result.reaction).count();
        for n in told..result.count.max(0) as usize {
            let peer_id = Peer::User(if chat.is_group() { world.member(chat, 3 + n as u64) } else { SELF }).to_tl();
            let date = world.date(chat, r.id) + 100 + n as i32;
            all.push(types::MessagePeerReaction { big: false, unread: false, my: false, peer_id, date, reaction: result.reaction.clone() });
        }
    }
    all.retain(|known| r.reaction.as_ref().is_none_or(|wanted| *wanted == known.reaction));
    let count = all.len();
    let from = r.offset.as_deref().and_then(|offset| offset.parse().ok()).unwrap_or(0).min(count);
    let to = (from + r.limit.clamp(1, 100) as usize).min(count);
    let page: Vec<enums::MessagePeerReaction> = all.drain(from..to).map(Into::into).collect();
    let mut peers = BTreeSet::new();
    for enums::MessagePeerReaction::Reaction(reaction) in &page {
        peers.insert(Peer::from_tl(&reaction.peer_id));
    }
    let (chats, users) = world.objects(&peers);
    let next_offset = (to < count).then(|| to.to_string());
    Ok(types::messages::MessageReactionsList { count: count as i32, reactions: page, chats, users, next_offset }.into())
}
