//! Second copies of a vault.
//!
//! - [`mirror()`]: every object as it is, byte for byte, without a key.
//! - [`copy()`]: snapshots in another vault with keys of its own; `reseal` brings one archive over.
//! - [`heal()`]: what is missing or damaged, from a good copy.
//! - `places`: which two places may be copied between; `transfer`: one object on its way, checked before it appears.

mod heal;
mod mirror;
mod places;
mod reseal;
mod transfer;
mod vault;

pub use heal::{HealReport, heal};
pub use mirror::{MirrorOptions, MirrorReport, mirror};
pub use vault::{CopyOptions, CopyReport, copy};
