//! The words that an archive is written in; no I/O.
//!
//! - [`entry`]: what every source hands over and every archive takes: a path, a kind, metadata.
//! - [`digest`]: digests and random names. [`json`]: looking into JSON text without losing any of it.
//! - [`harmless`]: what a terminal may be shown.

pub mod digest;
pub mod entry;
pub mod harmless;
pub mod json;
