//! What a user can have done: the one place that joins source, repository, storage and state.
//!
//! - [`session`]: opening a repository as far as the keys at hand allow; [`snapshot`]: picking and opening a snapshot.
//! - [`copy`]: second copies.
//! - [`init`], [`backup`], [`restore`], [`cat`], [`browse`], [`keys`], [`render`], [`verify`], [`repair`], [`look`]: one module an operation.
//! - [`watch`]: when what happens in an account is stored.
//! - [`forget`] says which snapshots are no longer wanted, [`prune`] deletes what none needs, [`compact`] puts archives in the place of others that
//!   hold much that nobody needs; [`rewrite`] takes something out of every snapshot.
//! - `archiving`: writing archives into the vault; `writing`: writing contents of a snapshot into a folder.
//! - [`chats`]: the chats of a snapshot, opened for reading.
//! - [`messages`]: searching, counting and comparing messages.
//! - [`mounted`]: snapshots as a file system.
//! - [`imports`]: what this machine remembers of exports that were taken in.
//! - [`accounts`]: the Telegram accounts of this machine; [`coverage`]: what snapshots say about their completeness.
//! - [`certificate`]: the same, signed, for others.
//! - [`doctor`]: whether this machine, a store and a vault can be trusted with backups.
//! - [`drill`]: reading a sample back as a new machine would.
//! - [`status`]: how old the backups are, by what this machine remembers and by what the vault shows.
//! - [`forecast`]: how fast a vault grows.
//! - [`events`]: what an operation reports while it runs; [`stop`]: ending it early.

pub mod accounts;
mod archiving;
pub mod backup;
pub mod browse;
pub mod cat;
pub mod certificate;
pub mod chats;
pub mod compact;
pub mod copy;
pub mod coverage;
pub mod doctor;
pub mod drill;
mod error;
pub mod events;
pub mod find;
pub mod forecast;
pub mod forget;
pub mod imports;
pub mod init;
pub mod keys;
mod lanes;
pub mod look;
pub mod messages;
pub mod mounted;
pub mod prune;
pub mod render;
pub mod repair;
mod report;
pub mod restore;
pub mod rewrite;
pub mod session;
mod shelf;
pub mod snapshot;
pub mod status;
pub mod stop;
mod uploads;
pub mod verify;
pub mod watch;
mod writing;

pub use error::OperationError;
pub use lanes::{default_lanes, reading_lanes};
pub use session::Session;
pub use stop::Stop;
