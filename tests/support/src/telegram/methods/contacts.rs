//! Contacts, frequent contacts, and looking people up.

use std::collections::BTreeSet;

use grammers_tl_types::enums::TopPeerCategory as Category;
use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::people::phone_of;
use crate::telegram::world::{FIRST_USER, Kind, Peer, SELF, World};

fn contacts_of(world: &World) -> Vec<i64> {
    world.chats.iter().map(|chat| chat.peer.id()).filter(|id| world.is_contact(*id)).collect()
}

/// The phone numbers that the account once uploaded: its contacts and two people who are not at Telegram.
pub(super) fn saved_contacts(world: &World) -> Vec<enums::SavedContact> {
    let saved = |phone: String, first_name: String, last_name: &str| {
        types::SavedPhoneContact { phone, first_name, last_name: last_name.into(), date: world.start }.into()
    };
    let mut all: Vec<enums::SavedContact> =
        contacts_of(world).iter().map(|id| saved(phone_of(id - FIRST_USER), format!("Contact {}", id - FIRST_USER), "")).collect();
    all.push(saved("441632960001".into(), "Nobody".into(), "Here"));
    all.push(saved("441632960002".into(), "Großmutter".into(), "👵"));
    all
}

pub(super) fn get_contacts(call: &mut Call<'_>, _: f::contacts::GetContacts) -> Result<enums::contacts::Contacts, Refusal> {
    let world = call.shared.world();
    let ids = contacts_of(&world);
    let contacts = ids.iter().map(|id| types::Contact { user_id: *id, mutual: id % 2 == 0 }.into()).collect();
    let users = ids.iter().map(|id| world.user(*id)).collect();
    Ok(types::contacts::Contacts { contacts, saved_count: ids.len() as i32 + 2, users }.into())
}

pub(super) fn get_top_peers(call: &mut Call<'_>, r: f::contacts::GetTopPeers) -> Result<enums::contacts::TopPeers, Refusal> {
    let world = call.shared.world();
    let of_kind =
        |kind: Kind| world.chats.iter().filter(move |chat| chat.kind == kind && !chat.gone && !chat.empty_user).map(|chat| chat.peer);
    let people: Vec<Peer> = of_kind(Kind::Private).take(12).collect();
    let bots: Vec<Peer> = of_kind(Kind::Bot).take(3).collect();
    let groups: Vec<Peer> = of_kind(Kind::Supergroup { forum: false }).take(4).collect();
    let wanted = [
        (r.correspondents, Category::Correspondents, &people[..]),
        (r.bots_pm, Category::BotsPm, &bots[..]),
        (r.bots_inline, Category::BotsInline, &bots[..]),
        (r.phone_calls, Category::PhoneCalls, people.get(..2).unwrap_or_default()),
        (r.groups, Category::Groups, &groups[..]),
    ];
    let mut named = BTreeSet::new();
    let mut categories = Vec::new();
    for (_, category, peers) in wanted.into_iter().filter(|(wanted, ..)| *wanted) {
        let page: Vec<Peer> = peers.iter().copied().skip(r.offset.max(0) as usize).take(r.limit.clamp(0, 100) as usize).collect();
        named.extend(&page);
        let rated =
            page.iter().enumerate().map(|(n, peer)| types::TopPeer { peer: peer.to_tl(), rating: 100.0 / (n + 1) as f64 }.into()).collect();
        categories.push(types::TopPeerCategoryPeers { category, count: peers.len() as i32, peers: rated }.into());
    }
    let (chats, users) = world.objects(&named);
    Ok(types::contacts::TopPeers { categories, chats, users }.into())
}

fn found(world: &World, peer: Peer) -> enums::contacts::ResolvedPeer {
    let (chats, users) = world.objects(&BTreeSet::from([peer]));
    types::contacts::ResolvedPeer { peer: peer.to_tl(), chats, users }.into()
}

pub(super) fn resolve_username(call: &mut Call<'_>, r: f::contacts::ResolveUsername) -> Result<enums::contacts::ResolvedPeer, Refusal> {
    let world = call.shared.world();
    let name = r.username.to_lowercase();
    let user = |text: &str| text.parse::<i64>().ok().map(|number| Peer::User(FIRST_USER + number));
    let peer = if name == "test_account" {
        Some(Peer::User(SELF))
    } else if let Some(number) = name.strip_prefix("user") {
        user(number).filter(|peer| matches!(world.user(peer.id()), enums::User::User(u) if u.username.is_some()))
    } else if let Some(number) = name.strip_prefix("test").and_then(|rest| rest.strip_suffix("bot")) {
        user(number).filter(|peer| world.chat(*peer).is_some_and(|(_, chat)| chat.kind == Kind::Bot))
    } else if let Some(id) = name.strip_prefix("channel") {
        id.parse().ok().map(Peer::Channel).filter(|peer| world.chat(*peer).is_some_and(|(_, chat)| chat.public))
    } else {
        return Err(Refusal::bad("USERNAME_INVALID"));
    };
    peer.map(|peer| found(&world, peer)).ok_or_else(|| Refusal::bad("USERNAME_NOT_OCCUPIED"))
}

pub(super) fn resolve_phone(call: &mut Call<'_>, r: f::contacts::ResolvePhone) -> Result<enums::contacts::ResolvedPeer, Refusal> {
    let world = call.shared.world();
    let contact = contacts_of(&world).into_iter().find(|id| phone_of(id - FIRST_USER) == r.phone.trim_start_matches('+'));
    contact.map(|id| found(&world, Peer::User(id))).ok_or_else(|| Refusal::bad("PHONE_NOT_OCCUPIED"))
}
