//! Messages that the account forwards.

use std::collections::BTreeMap;

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::blank;

/// Copies messages into another chat; as at Telegram, the same request made again copies nothing.
pub(super) fn forward_messages(call: &mut Call<'_>, r: f::messages::ForwardMessages) -> Result<enums::Updates, Refusal> {
    if r.id.is_empty() || r.id.len() > 100 || r.id.len() != r.random_id.len() {
        return Err(Refusal::bad("RANDOM_ID_INVALID"));
    }
    if r.random_id.iter().any(|id| !call.shared.forwarded().insert(*id)) {
        return Err(Refusal::new(500, "RANDOM_ID_DUPLICATE"));
    }
    let (to, copies) = {
        let world = call.shared.world();
        let chat = world.readable(world.resolve(&r.from_peer)?)?;
        if chat.protected {
            return Err(Refusal::bad("CHAT_FORWARDS_RESTRICTED"));
        }
        // An album stays one, with a number of its own.
        let mut albums: BTreeMap<i64, i64> = BTreeMap::new();
        let mut copies = Vec::new();
        for (id, random) in r.id.iter().zip(&r.random_id) {
            let Some(enums::Message::Message(message)) = world.message(chat, *id) else {
                return Err(Refusal::bad("MESSAGE_ID_INVALID"));
            };
            let mut from: types::MessageFwdHeader = blank(8);
            from.from_id = message.from_id.clone().or_else(|| Some(chat.peer.to_tl()));
            from.date = message.date;
            from.saved_from_peer = Some(chat.peer.to_tl());
            from.saved_from_msg_id = Some(*id);
            copies.push(types::Message {
                fwd_from: Some(from.into()),
                grouped_id: message.grouped_id.map(|album| *albums.entry(album).or_insert(*random)),
                date: call.now,
                out: true,
                reply_to: None,
                reactions: None,
                views: None,
                forwards: None,
                replies: None,
                post: false,
                from_id: None,
                ..message
            });
        }
        (world.resolve(&r.to_peer)?, copies)
    };
    let mut events = Vec::new();
    for copy in copies {
        let posted = call.shared.world_mut().post(to, copy, call.now);
        events.extend(posted.map_err(|_| Refusal::bad("PEER_ID_INVALID"))?.1);
    }
    Ok(call.shared.world().envelope(events, call.now))
}
