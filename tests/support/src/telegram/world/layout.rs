//! Which chats a generated account has, and which message ids belong to each.
//!
//! Ids of private chats and basic groups come from one count over the account, those of channels from one per channel,
//! as at Telegram; both have holes where something was deleted. The ids are the only thing kept per message.

use std::collections::HashMap;

use super::chat::{Chat, Kind, Peer};
use super::dice::Dice;
use super::message::preface;
use super::{FIRST_CHANNEL, FIRST_GROUP, FIRST_USER, SELF, World};
use crate::telegram::files::Files;
use crate::telegram::options::Options;

/// Seconds of history: about five years.
const SPAN: i32 = 160_000_000;
/// One id in so many is a hole.
const HOLES: u64 = 29;

/// Builds the account that the options describe.
pub(crate) fn generate(options: &Options) -> World {
    let files = Files::new(options.seed, options.media_bytes.checked_div(options.files.into()).unwrap_or(0), options.dcs.clone());
    let mut chats = vec![Chat::new(Peer::User(SELF), Kind::Saved)];
    chats.extend((0..options.chats).map(|n| kind_of(n, options)));
    let gallery = chats.len();
    if options.gallery {
        chats.push(Chat::new(Peer::User(FIRST_USER + i64::from(options.chats)), Kind::Private));
        chats.push(Chat::new(Peer::Channel(FIRST_CHANNEL + i64::from(options.chats)), Kind::Supergroup { forum: true }));
    }
    pair_migrated(&mut chats);

    let mut counts = shares(options.messages, chats.get(..gallery).unwrap_or_default(), options.seed);
    let mut world = World::new(options, files);
    counts.extend(chats.iter().skip(gallery).map(|chat| (preface(chat) + world.kinds.len()) as u64));
    number(&mut chats, &counts, options);
    let mut ordinal = 0;
    for (chat, count) in chats.iter_mut().zip(&counts) {
        chat.first_ordinal = ordinal;
        ordinal += count;
    }
    for chat in chats.iter_mut().skip(gallery) {
        chat.gallery = true;
    }
    world.pool = options.chats.saturating_add(300).into();
    world.total = ordinal;
    world.common_owner = owners(&chats);
    world.pts = world.common_owner.len() as i32 + 1;
    world.known_from = world.pts;
    world.by_peer = chats.iter().enumerate().map(|(no, chat)| (chat.peer, no)).collect::<HashMap<_, _>>();
    world.chats = chats;
    world.start = options.until - SPAN;
    world.until = options.until;
    world
}

/// The mix of a well-used account, in an order that puts every kind among the first thirty chats.
fn kind_of(n: u32, options: &Options) -> Chat {
    let id = i64::from(n);
    let user = |kind| Chat::new(Peer::User(FIRST_USER + id), kind);
    let group = |kind| Chat::new(Peer::Group(FIRST_GROUP + id), kind);
    let channel = |kind| Chat::new(Peer::Channel(FIRST_CHANNEL + id), kind);
    let mut chat = match n % 30 {
        1 => channel(Kind::Supergroup { forum: false }),
        3 => channel(Kind::Broadcast),
        5 => user(Kind::Bot),
        // The group and the supergroup after it are made one in `pair_migrated`.
        7 => group(Kind::Group),
        8 => channel(Kind::Supergroup { forum: false }),
        10 => channel(Kind::Supergroup { forum: true }),
        12 | 22 | 26 => group(Kind::Group),
        14 | 24 => channel(Kind::Supergroup { forum: false }),
        16 | 28 => channel(Kind::Broadcast),
        18 => user(Kind::Deleted),
        20 => channel(Kind::Supergroup { forum: false }),
        29 => channel(Kind::Broadcast),
        _ => user(Kind::Private),
    };
    chat.left = matches!(n % 30, 20 | 29);
    chat.archived = n % 11 == 9 && !chat.left;
    chat.protected = matches!(n % 30, 14 | 16);
    chat.public = matches!(n % 30, 3 | 24);
    chat.pinned = (n < 3).then_some(n);
    chat.empty_user = chat.kind == Kind::Private && n / 2 < options.empty_users;
    chat.members = match chat.kind {
        Kind::Group => 3 + n % 15,
        Kind::Supergroup { .. } => 20 + n % 900,
        Kind::Broadcast => 100 + n * 7,
        _ => 2,
    };
    chat
}

/// Joins each group numbered 7 in its thirty with the supergroup after it: the group's history is the earlier part.
fn pair_migrated(chats: &mut [Chat]) {
    // Saved Messages is chat 0, so generated chat n stands at n + 1.
    for no in (8..chats.len()).step_by(30) {
        let [group, channel] = chats.get_mut(no..no + 2).unwrap_or_default() else { continue };
        if let (Peer::Group(_), Peer::Channel(_)) = (group.peer, channel.peer) {
            group.migrated_to = Some(no + 1);
            group.pinned = None;
            group.archived = false;
            channel.migrated_from = Some(no);
        }
    }
}

/// Messages per chat: few chats have most of them, as in life, and each has at least one if there are enough.
fn shares(messages: u64, chats: &[Chat], seed: u64) -> Vec<u64> {
    let count = chats.len() as u64;
    let mut rank: Vec<u64> = (0..count).collect();
    let mut dice = Dice::new(&[seed, 0x5ba2e]);
    for i in (1..rank.len()).rev() {
        rank.swap(i, dice.below(i as u64 + 1) as usize);
    }
    let weight = |no: usize| 1.0 / (rank.get(no).copied().unwrap_or_default() as f64 + 10.0);
    let sum: f64 = (0..chats.len()).map(weight).sum();
    let base = if messages >= count { 1 } else { 0 };
    let spare = messages - base * count.min(messages);
    let mut shares: Vec<u64> = (0..chats.len()).map(|no| base + (spare as f64 * weight(no) / sum) as u64).collect();
    let given: u64 = shares.iter().sum();
    let rest = messages.saturating_sub(given);
    for (no, share) in shares.iter_mut().enumerate() {
        *share += rest / count.max(1) + u64::from((no as u64) < rest % count.max(1));
    }
    shares
}

/// Deals out ids.
fn number(chats: &mut [Chat], counts: &[u64], options: &Options) {
    let mut dice = Dice::new(&[options.seed, 0x1d5]);
    let mut turns: Vec<u32> = Vec::new();
    for (no, (chat, count)) in chats.iter_mut().zip(counts).enumerate() {
        if chat.peer.is_channel() {
            let mut id = 0;
            chat.born = (0..*count)
                .map(|_| {
                    id += 1 + i32::from(dice.below(HOLES) == 0);
                    id
                })
                .collect();
            chat.pts = id + 1;
            chat.known_from = chat.pts;
            chat.last_id = id;
        } else {
            turns.extend(std::iter::repeat_n(no as u32, *count as usize));
        }
    }
    for i in (1..turns.len()).rev() {
        turns.swap(i, dice.below(i as u64 + 1) as usize);
    }
    // A migrated group's history ends before the rest: its messages take the first turns.
    turns.sort_by_key(|no| chats.get(*no as usize).is_none_or(|chat| chat.migrated_to.is_none()));
    let mut id = 0;
    for no in turns {
        id += 1 + i32::from(dice.below(HOLES) == 0);
        if let Some(chat) = chats.get_mut(no as usize) {
            chat.born.push(id);
        }
    }
}

/// For every id of the common count, the number of its chat plus one; 0 for a hole.
fn owners(chats: &[Chat]) -> Vec<u32> {
    let common = || chats.iter().enumerate().filter(|(_, chat)| !chat.peer.is_channel());
    let last = common().filter_map(|(_, chat)| chat.born.last()).max().copied().unwrap_or(0);
    let mut owners = vec![0; last as usize + 1];
    for (no, chat) in common() {
        for id in &chat.born {
            if let Some(owner) = owners.get_mut(*id as usize) {
                *owner = no as u32 + 1;
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests;
