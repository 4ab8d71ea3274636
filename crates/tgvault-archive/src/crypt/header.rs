//! The age header: who may read, and the nonce of the payload.
//!
//! The `age` crate writes and opens headers; wrappers around recipients and identities note the file key on its way through,
//! so that [`super::payload`] can seal and open the chunks itself, in any order. Format: <https://age-encryption.org/v1>.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, Write};

use age::{DecryptError, EncryptError, Identity, Recipient};
use age_core::format::{FileKey, Stanza};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::CryptError;
use super::keys::{Identities, Recipients};
use super::passphrase::MAX_WORK_FACTOR;
use super::payload::PayloadKey;

/// The longest header that is read: a few hundred recipients.
pub const MAX_HEADER_BYTES: usize = 256 * 1024;

/// Bytes of the nonce between header and payload.
pub const NONCE_BYTES: usize = 16;

type NotedKey = RefCell<Option<Zeroizing<[u8; 16]>>>;

struct NotingRecipient<'a> {
    inner: &'a dyn Recipient,
    noted: &'a NotedKey,
}

impl Recipient for NotingRecipient<'_> {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        *self.noted.borrow_mut() = Some(Zeroizing::new(*file_key.expose_secret()));
        self.inner.wrap_file_key(file_key)
    }
}

struct NotingIdentity<'a> {
    inner: &'a dyn Identity,
    noted: &'a NotedKey,
}

impl NotingIdentity<'_> {
    fn note(&self, unwrapped: Option<Result<FileKey, DecryptError>>) -> Option<Result<FileKey, DecryptError>> {
        if let Some(Ok(file_key)) = &unwrapped {
            *self.noted.borrow_mut() = Some(Zeroizing::new(*file_key.expose_secret()));
        }
        unwrapped
    }
}

impl Identity for NotingIdentity<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.note(self.inner.unwrap_stanza(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        self.note(self.inner.unwrap_stanzas(stanzas))
    }
}

fn payload_key(noted: NotedKey, head: &[u8]) -> Result<PayloadKey, CryptError> {
    let nonce: &[u8; NONCE_BYTES] = head.last_chunk().ok_or(CryptError::Incomplete)?;
    let file_key = noted.into_inner().ok_or(CryptError::Cipher)?;
    PayloadKey::derive(&file_key, nonce)
}

/// Makes a header with a fresh file key: the bytes up to and including the nonce, and the key of the payload.
///
/// # Errors
/// When the recipients cannot be used together.
pub fn seal(recipients: &Recipients) -> Result<(Vec<u8>, PayloadKey), CryptError> {
    let noted = NotedKey::default();
    let noting: Vec<NotingRecipient<'_>> = recipients.iter().map(|inner| NotingRecipient { inner, noted: &noted }).collect();
    let encryptor = age::Encryptor::with_recipients(noting.iter().map(|recipient| recipient as &dyn Recipient))
        .map_err(|reason| CryptError::Key(reason.to_string()))?;
    let mut head = Vec::with_capacity(512);
    encryptor.wrap_output(&mut head)?.flush()?;
    let key = payload_key(noted, &head)?;
    Ok((head, key))
}

/// Opens the header at the start of `stored`: its length in bytes with the nonce, and the key of the payload.
///
/// # Errors
/// [`CryptError::Incomplete`] when `stored` ends inside the header; [`CryptError::WrongKey`] when no identity fits;
/// [`CryptError::Header`] when it is no age header or was changed.
pub fn open(stored: &[u8], identities: &Identities) -> Result<(usize, PayloadKey), CryptError> {
    let mut rest = stored;
    let decryptor = age::Decryptor::new_buffered(&mut rest).map_err(decrypt_error)?;
    let noted = NotedKey::default();
    let noting: Vec<NotingIdentity<'_>> = identities.iter().map(|inner| NotingIdentity { inner, noted: &noted }).collect();
    decryptor.decrypt(noting.iter().map(|identity| identity as &dyn Identity)).map_err(decrypt_error)?;
    let length = stored.len() - rest.len();
    let key = payload_key(noted, stored.get(..length).unwrap_or_default())?;
    Ok((length, key))
}

/// Says in our words what the `age` crate found.
pub(super) fn decrypt_error(reason: DecryptError) -> CryptError {
    match reason {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => CryptError::WrongKey,
        DecryptError::ExcessiveWork { required, .. } => CryptError::WorkFactor { wanted: required, accepted: MAX_WORK_FACTOR },
        DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => CryptError::Incomplete,
        DecryptError::Io(error) if error.kind() == io::ErrorKind::OutOfMemory => match error.downcast::<CryptError>() {
            Ok(refused) => refused,
            Err(error) => CryptError::Header(error.to_string()),
        },
        DecryptError::Io(error) => CryptError::Header(error.to_string()),
        other => CryptError::Header(other.to_string()),
    }
}
