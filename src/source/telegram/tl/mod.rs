//! From TL objects to the stored form: Telegram Desktop's keys in its order, what it has no keys for, and the raw bytes.
//!
//! It knows no connection and no account: whatever has TL objects can be converted.
//!
//! - `files`: which files a message shows. They are fetched first, because the record says what became of them.
//! - `about`, `admin`, `collections`: what chats and accounts have beside messages.
//! - `message`, `service`, `media`, `text`, `buttons`: the rendered keys.
//! - `peers`: users and chats as described. `partial`: answers of which a part cannot be read.
//! - `fingerprint`: what tells a changed message from an unchanged one.

mod about;
mod admin;
mod buttons;
mod collections;
mod files;
mod fingerprint;
pub(super) mod json;
mod media;
mod message;
mod partial;
mod peers;
mod rich;
mod service;
mod text;

use crate::model::paths::RunId;
use crate::model::peer::Peer;

pub(super) use about::{Described, Member, member_list};
pub(super) use admin::admin_event;
pub(super) use collections::{draft, gift, gift_wants, song, votes, with_votes};
pub(super) use files::{FileKey, Location, Origin, Want, custom_emoji, document_want, photo_want, song_wants, story_wants, wants};
pub(super) use fingerprint::{Fingerprints, is_in_part};
pub(super) use media::{NOT_INCLUDED, Outcomes, TOO_LARGE, UNAVAILABLE};
pub(super) use message::record;
pub(super) use partial::Loosely;
pub(super) use peers::{PeerBook, peer_of};

/// What a message does not say itself.
pub(super) struct Context<'a> {
    /// The chat.
    pub(super) chat: Peer,
    /// Users and chats as seen so far.
    pub(super) names: &'a PeerBook,
    /// When the message was seen, Unix seconds.
    pub(super) observed: i64,
    /// By which run.
    pub(super) run: &'a RunId,
    /// The path of a custom emoji's file, where there is one.
    pub(super) emoji: &'a dyn Fn(i64) -> Option<String>,
}
