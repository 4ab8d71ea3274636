//! What a backup holds, in our own words; no I/O.
//!
//! - [`entry`]: what every source hands over and every archive takes: a path, a kind, metadata. [`filter`] says which of them
//!   are wanted; [`digest`] has the digests and random names.
//! - [`record`]: the lines of a chat's log: messages, edits, deletions, events. [`fold`] says what they add up to.
//! - [`chat`], [`account`], [`coverage`], [`media`]: the other parts of a Telegram backup; [`paths`] says where each lies.
//! - [`peer`]: typed ids of users, groups and channels.

pub mod account;
pub mod chat;
pub mod coverage;
pub mod digest;
pub mod entry;
pub mod filter;
pub mod fold;
pub mod media;
pub mod paths;
pub mod peer;
pub mod record;
