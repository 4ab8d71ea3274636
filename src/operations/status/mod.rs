//! How the backups stand: what this machine remembers of its own, and what a vault shows of all.
//!
//! - [`ledger`]: the last run of each source into each vault, sealed on this machine; no store is asked.
//! - [`vault`]: the last snapshot of every machine with a key, or of every chain without one.

pub mod ledger;
pub mod vault;
