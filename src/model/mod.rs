//! What a backup holds, in our own words; no I/O.
//!
//! [`entry`] is what every source hands over and every archive takes: a path, a kind, metadata. [`filter`] says
//! which of them are wanted.

pub mod entry;
pub mod filter;
