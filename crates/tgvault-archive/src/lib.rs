//! tgvault's archives: an ordinary tar, compressed in frames that can be read alone, sealed with age, named by their SHA-256.
//!
//! [`archive`] writes and reads them, [`crypt`] is all the cryptography, [`model`] the words both are written in. Nothing here knows
//! a store, a repository or Telegram; `docs/format.md` of tgvault is the specification.

pub mod archive;
pub mod crypt;
pub mod model;
