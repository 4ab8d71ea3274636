//! What a backup holds, in our own words; no I/O.
//!
//! - [`entry`]: what every source hands over and every archive takes: a path, a kind, metadata.
//! - [`record`]: the lines of a chat's log: messages, edits, deletions, events. [`fold`] says what they add up to.
//! - [`chat`], [`part`], [`chat_part`], [`account`], [`coverage`], [`media`]: the other parts of a Telegram backup; [`paths`] says
//!   where each lies.
//! - [`harmless`]: what a terminal may be shown. [`causes`]: errors in one line. [`kinds`]: the kinds of media that people choose by.
//! - [`peer`]: typed ids of users, groups and channels; [`chat_ref`]: what people type for a chat. [`json`]: looking into JSON text
//!   without losing any of it.
//! - [`time`]: local times as exports write them.
//! - [`digest`]: digests and random names; [`filter`]: which entries are wanted; [`source`]: where a snapshot came from.

pub mod account;
pub mod causes;
pub mod chat;
pub mod chat_part;
pub mod chat_ref;
pub mod coverage;
pub mod extra;
pub mod filter;
pub mod fold;
pub mod ids;
pub mod join;
pub mod keep;
pub mod kinds;
pub mod media;
pub mod part;
pub mod paths;
pub mod peer;
pub mod reason;
pub mod record;
pub mod source;
pub mod time;
pub(crate) mod varint;

pub use tgvault_archive::model::{digest, entry, harmless, json};
