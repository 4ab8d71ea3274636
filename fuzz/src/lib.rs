//! What several targets need: one key pair for a whole run, and sealing.

#[cfg(feature = "whole")]
pub mod import;

use std::sync::LazyLock;

use tgvault_archive::archive::reader::Expected;
use tgvault_archive::crypt::digest::sha256;
use tgvault_archive::crypt::keys::{self, Identities, Recipients};
use tgvault_archive::crypt::{blob, header};
use tgvault_archive::model::digest::Id;

/// The archive's name in every target.
pub const ID: Id = Id([0xab; 16]);

static PAIR: LazyLock<(Recipients, Identities)> = LazyLock::new(|| {
    let (secret, recipient) = keys::generate();
    let recipients = Recipients::parse([recipient.as_str()]).expect("a fresh recipient is one");
    let identities = Identities::parse(keys::expose(&secret)).expect("a fresh identity is one");
    (recipients, identities)
});

/// The public half of the run's key.
pub fn recipients() -> &'static Recipients {
    &PAIR.0
}

/// The secret half of the run's key.
pub fn identities() -> &'static Identities {
    &PAIR.1
}

/// Seals what a writer who may write could have sealed; gives what a snapshot would say of it.
pub fn sealed(plain: &[u8]) -> (Vec<u8>, Expected) {
    let stored = blob::seal(plain, recipients()).expect("sealing in memory");
    let (length, _) = header::open(&stored, identities()).expect("its own header");
    let expected = Expected { id: ID, length: stored.len() as u64, header_sha256: sha256(&stored[..length]) };
    (stored, expected)
}
