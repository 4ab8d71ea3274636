//! The account served: generated from a seed, changed by tests.
//!
//! - `layout`: which chats there are and which ids their messages have
//! - `chat`, `people`: chats and users, and what the schema says of them
//! - `message`: what a message is, computed whenever it is asked for
//! - `media`: photos and documents; `profile`: photos, stories and emoji outside messages
//! - `special`: the rare kinds of messages, made by `maker` from `schema`
//! - `mutate`: what happens while the server runs, with the events that clients learn it by
//! - `dice`: numbers that look random
//!
//! A message is a function of (seed, chat, id): only ids are kept, four bytes each, and what tests changed.

use std::collections::HashMap;

use grammers_tl_types::enums;

use super::files::Files;
use super::options::Options;
use chat::Chat;
use special::Special;

mod blank;
pub(crate) mod chat;
pub(crate) mod dice;
mod layout;
mod maker;
pub(crate) mod media;
mod message;
mod mutate;
pub(crate) mod people;
mod profile;
mod schema;
mod special;

pub(crate) use blank::{Blank, blank};
pub use chat::{Kind, Peer};
pub(crate) use message::{TOPICS, blank_message, no_reactions};
pub use mutate::{MutateError, Mutation, Outcome};

/// The account's own id.
pub const SELF: i64 = 777_100;
pub(crate) const FIRST_USER: i64 = 5_000_000_000;
pub(crate) const FIRST_GROUP: i64 = 400_000;
pub(crate) const FIRST_CHANNEL: i64 = 1_500_000_000;

/// The whole account.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) chats: Vec<Chat>,
    pub(crate) by_peer: HashMap<Peer, usize>,
    /// Chat number plus one by id of the common count.
    pub(crate) common_owner: Vec<u32>,
    /// Users that groups draw their members from: numbers below this.
    pub(crate) pool: u64,
    /// Generated messages.
    pub(crate) total: u64,
    pub(crate) files: Files,
    /// Number of generated files in messages.
    pub(crate) file_count: u64,
    /// Begin and end of the generated history.
    pub(crate) start: i32,
    pub(crate) until: i32,
    /// The rare kinds of messages, in the order of the gallery.
    pub(crate) kinds: Vec<Special>,
    /// Those of them that occur in ordinary chats too.
    pub(crate) rare: Vec<Special>,
    /// Number of the last event in private chats and basic groups.
    pub(crate) pts: i32,
    /// The number before the first event that is still known.
    pub(crate) known_from: i32,
    /// Events since the server started, with the pts after each.
    pub(crate) events: Vec<(i32, enums::Update)>,
    /// Changes whenever the dialog list may have.
    pub(crate) version: u64,
    pub(crate) phone: String,
}

impl World {
    /// The account that the options describe.
    pub(crate) fn generate(options: &Options) -> Self {
        layout::generate(options)
    }

    /// Without chats: `layout` fills it.
    fn new(options: &Options, files: Files) -> Self {
        Self {
            seed: options.seed,
            chats: Vec::new(),
            by_peer: HashMap::new(),
            common_owner: Vec::new(),
            pool: 0,
            total: 0,
            files,
            file_count: options.files.into(),
            start: 0,
            until: options.until,
            kinds: Special::all(),
            rare: Special::anywhere(),
            pts: 1,
            known_from: 1,
            events: Vec::new(),
            version: 0,
            phone: options.phone.chars().filter(char::is_ascii_digit).collect(),
        }
    }

    /// The chat with this peer that the account can see.
    pub(crate) fn chat(&self, peer: Peer) -> Option<(usize, &Chat)> {
        let no = *self.by_peer.get(&peer)?;
        Some((no, self.chats.get(no)?))
    }

    /// The chat that a message of the common count is in.
    pub(crate) fn owner(&self, id: i32) -> Option<(usize, &Chat)> {
        let owner = *self.common_owner.get(usize::try_from(id).ok()?)?;
        let no = usize::try_from(owner).ok()?.checked_sub(1)?;
        Some((no, self.chats.get(no)?))
    }
}
