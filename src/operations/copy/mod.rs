//! Second copies of a vault.
//!
//! - [`mirror()`]: every object as it is, byte for byte, without a key.
//! - `places`: which two places may be copied between; `transfer`: one object on its way, checked before it appears.

mod mirror;
mod places;
mod transfer;

pub use mirror::{MirrorOptions, MirrorReport, mirror};
