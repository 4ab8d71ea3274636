//! What a backup holds, in our own words; no I/O.
//!
//! [`digest`] has the digests and random names, [`entry`] what every source hands over and every archive takes: a path, a kind,
//! metadata. [`filter`] says which of them are wanted, [`source`] where a snapshot came from.

pub mod digest;
pub mod entry;
pub mod filter;
pub mod source;
