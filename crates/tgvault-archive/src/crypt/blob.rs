//! Small things sealed whole, in memory.

use std::io::{Read, Write};

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::header::decrypt_error;
use super::keys::{Identities, Recipients};
use super::passphrase::WORK_FACTOR;
use super::{CryptError, header, passphrase as scrypt, payload};

/// Seals `plain` for `recipients` as an ordinary age file.
///
/// # Errors
/// When the recipients cannot be used together.
pub fn seal(plain: &[u8], recipients: &Recipients) -> Result<Vec<u8>, CryptError> {
    let (mut stored, key) = header::seal(recipients)?;
    stored.reserve(plain.len() + (plain.len() / payload::CHUNK_BYTES + 1) * payload::TAG_BYTES);
    let mut writer = payload::PayloadWriter::new(key, &mut stored);
    writer.write_all(plain)?;
    writer.finish()?;
    Ok(stored)
}

/// Seals `plain` with a passphrase at [`WORK_FACTOR`], as `age -p` does.
///
/// # Errors
/// [`CryptError::Memory`] when the system does not give scrypt's memory.
pub fn seal_with_passphrase(plain: &[u8], passphrase: &SecretString) -> Result<Vec<u8>, CryptError> {
    scrypt::ensure_memory(WORK_FACTOR)?;
    let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
    recipient.set_work_factor(WORK_FACTOR);
    age::encrypt(&recipient, plain).map_err(|reason| CryptError::Key(reason.to_string()))
}

/// Opens an age file of at most `limit_bytes` of content.
///
/// # Errors
/// When no identity fits, or the file was changed, cut, or is larger than the bound.
pub fn open(stored: &[u8], identities: &Identities, limit_bytes: u64) -> Result<Zeroizing<Vec<u8>>, CryptError> {
    let decryptor = age::Decryptor::new_buffered(stored).map_err(decrypt_error)?;
    let reader = decryptor.decrypt(identities.iter()).map_err(decrypt_error)?;
    let mut plain = Zeroizing::new(Vec::new());
    reader.take(limit_bytes + 1).read_to_end(&mut plain).map_err(|_| CryptError::Chunk { chunk: 0 })?;
    if plain.len() as u64 > limit_bytes {
        return Err(CryptError::TooLarge { limit_bytes });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_that_was_changed() {
        let (secret, recipient) = keys::generate();
        let recipients = Recipients::parse([recipient.as_str()]).unwrap();
        let identities = Identities::parse(keys::expose(&secret)).unwrap();
        let stored = seal(b"content", &recipients).unwrap();
        assert_eq!(*open(&stored, &identities, 7).unwrap(), b"content");
        assert!(matches!(open(&stored, &identities, 6), Err(CryptError::TooLarge { .. })));
        for position in 0..stored.len() {
            let mut changed = stored.clone();
            changed[position] ^= 1;
            assert!(open(&changed, &identities, 100).is_err(), "byte {position}");
            assert!(open(&stored[..position], &identities, 100).is_err(), "cut at {position}");
        }
    }
}
