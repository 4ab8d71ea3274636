//! What a user can have done: the one place that joins source, repository, storage and state.
//!
//! - [`session`]: opening a repository as far as the keys at hand allow; [`choice`]: picking a snapshot.
//! - [`init`], [`backup`], [`restore`], [`cat`], [`render`], [`verify`], [`repair`], [`look`]: one module an operation.
//! - [`chats`]: the chats of a snapshot, opened for reading.
//! - [`messages`]: searching, counting and comparing messages.
//! - [`imports`]: what this machine remembers of exports that were taken in.
//! - [`accounts`]: the Telegram accounts of this machine; [`coverage`]: what snapshots say about their completeness.
//! - [`events`]: what an operation reports while it runs; [`stop`]: ending it early.

pub mod accounts;
pub mod backup;
pub mod cat;
pub mod chats;
pub mod choice;
pub mod coverage;
mod error;
pub mod events;
pub mod imports;
pub mod init;
pub mod look;
pub mod messages;
pub mod render;
pub mod repair;
pub mod restore;
pub mod session;
pub mod stop;
mod uploads;
pub mod verify;

pub use error::OperationError;
pub use session::Session;
pub use stop::Stop;

/// How many threads work side by side on this machine: its cores, up to a bound that keeps memory small.
pub fn default_lanes() -> usize {
    /// Each lane holds frames and parts of about 30 MiB.
    const MAX_LANES: usize = 3;
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_LANES)
}

/// How many pieces of the vault a restore or a verification reads side by side: more than there are cores, because each waits
/// for the disk or the store half of the time.
pub fn reading_lanes() -> usize {
    /// Each holds about 12 MiB.
    const MAX_LANES: usize = 6;
    std::thread::available_parallelism().map_or(1, usize::from).saturating_mul(2).min(MAX_LANES)
}
