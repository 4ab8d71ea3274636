//! scrypt's memory: whether the system gives it is asked before it is needed, since Rust's collections end the program where it does not.

use std::io;

use age::{DecryptError, Identity};
use age_core::format::{FileKey, Stanza};

use super::CryptError;

/// scrypt's log₂ N for a passphrase: 256 MiB of memory for a moment, under a second on a small machine.
pub const WORK_FACTOR: u8 = 18;

/// The largest log₂ N that is accepted when reading, so that a forged slot cannot exhaust the memory (20 is 1 GiB).
pub const MAX_WORK_FACTOR: u8 = 20;

/// Bytes of scrypt's memory for work factor 0: 128 times the block size of 8 that age uses.
const BLOCK_BYTES: u64 = 1024;

/// What the program must still be able to have beside it.
const REST_BYTES: u64 = 16 * 1024 * 1024;

/// Whether the memory is there that a passphrase of this work factor takes.
///
/// # Errors
/// [`CryptError::Memory`] when it is not.
pub(super) fn ensure_memory(work_factor: u8) -> Result<(), CryptError> {
    let needed_bytes = BLOCK_BYTES << work_factor.min(MAX_WORK_FACTOR);
    let refused = CryptError::Memory { needed_bytes };
    let Ok(length) = usize::try_from(needed_bytes + REST_BYTES) else { return Err(refused) };
    // Given back at once: so long a piece is the system's own, and none of it was touched.
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| refused)
}

/// A passphrase that refuses a header for which the memory is not there.
pub(super) struct Careful(pub age::scrypt::Identity);

impl Identity for Careful {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        // `-> scrypt SALT WORK-FACTOR`; what is none of these, or too much work, is the crate's to refuse.
        if stanza.tag == "scrypt"
            && let Some(work_factor) = stanza.args.get(1).and_then(|factor| factor.parse::<u8>().ok())
            && work_factor <= MAX_WORK_FACTOR
            && let Err(error) = ensure_memory(work_factor)
        {
            return Some(Err(DecryptError::Io(io::Error::new(io::ErrorKind::OutOfMemory, error))));
        }
        self.0.unwrap_stanza(stanza)
    }
}
