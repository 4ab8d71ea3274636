//! What a backup holds, in our own words; no I/O.
//!
//! [`digest`] has the digests and random names, [`entry`] is what every source hands over and every archive takes: a path, a kind, metadata.

pub mod digest;
pub mod entry;
