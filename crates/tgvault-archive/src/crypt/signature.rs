//! Ed25519 signatures in minisign's format, so that Debian's `minisign -V` checks them too.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use minisign::{KeyPair, PublicKey, SecretKeyBox, SignatureBox};
use secrecy::{ExposeSecret, SecretString};

use super::CryptError;

fn signature_error(reason: impl std::fmt::Display) -> CryptError {
    CryptError::Signature(reason.to_string())
}

/// Bytes of minisign's first line: algorithm, key number, Ed25519 signature.
const SIGNATURE_BYTES: usize = 2 + 8 + 64;

/// Bytes of the second signature, which covers the first and the trusted comment.
const GLOBAL_SIGNATURE_BYTES: usize = 64;

/// Checks the lengths before the `minisign` crate sees them: 0.10.0 panics when the second signature is short.
fn check_form(signature: &str) -> Result<(), CryptError> {
    let mut lines = signature.lines();
    let decoded = |line: Option<&str>| line.and_then(|line| BASE64.decode(line.trim()).ok()).map(|bytes| bytes.len());
    let (comment, first) = (lines.next(), decoded(lines.next()));
    let (trusted, second) = (lines.next(), decoded(lines.next()));
    let sound = comment.is_some_and(|line| line.starts_with("untrusted comment:"))
        && trusted.is_some_and(|line| line.starts_with("trusted comment: "))
        && first == Some(SIGNATURE_BYTES)
        && second == Some(GLOBAL_SIGNATURE_BYTES);
    if sound { Ok(()) } else { Err(CryptError::Signature("it does not have minisign's form".into())) }
}

/// A public key: minisign's base64 line (`RW…`).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct VerifyingKey(String);

impl VerifyingKey {
    /// The base64 line, as `minisign -P` takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a base64 line.
    ///
    /// # Errors
    /// When it is no public key.
    pub fn parse(line: &str) -> Result<Self, CryptError> {
        PublicKey::from_base64(line.trim()).map_err(signature_error)?;
        Ok(Self(line.trim().to_owned()))
    }

    /// Checks `signature` (the whole `.minisig` text) over `bytes`; gives the trusted comment, which it covers.
    ///
    /// # Errors
    /// When the signature is malformed, by another key, in the old form without a hash, or does not fit.
    pub fn verify(&self, bytes: &[u8], signature: &str) -> Result<String, CryptError> {
        check_form(signature)?;
        let key = PublicKey::from_base64(&self.0).map_err(signature_error)?;
        let signature = SignatureBox::from_string(signature).map_err(signature_error)?;
        minisign::verify(&key, &signature, Cursor::new(bytes), true, false, false).map_err(signature_error)?;
        signature.trusted_comment().map_err(signature_error)
    }
}

/// A secret key that signs; kept as minisign's unencrypted box line, because what holds it is sealed itself.
pub struct SigningKey {
    secret: SecretString,
    public: VerifyingKey,
}

/// The first line of the box; the second is the key.
const BOX_COMMENT: &str = "untrusted comment: tgvault secret key";

impl SigningKey {
    /// Makes a fresh key pair.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, CryptError> {
        let pair = KeyPair::generate_unencrypted_keypair().map_err(signature_error)?;
        let boxed = zeroize::Zeroizing::new(pair.sk.to_box(None).map_err(signature_error)?.into_string());
        let line = boxed.lines().nth(1).ok_or_else(|| CryptError::Signature("the key box has no second line".into()))?;
        Ok(Self { secret: SecretString::from(line.trim()), public: VerifyingKey(pair.pk.to_base64()) })
    }

    /// Takes the secret line that [`Self::secret_line`] gave.
    ///
    /// # Errors
    /// When it is no secret key. The line is not repeated in the error.
    pub fn parse(line: &str) -> Result<Self, CryptError> {
        let broken = || CryptError::Signature("this is not a secret signing key".into());
        let text = zeroize::Zeroizing::new(format!("{BOX_COMMENT}\n{}\n", line.trim()));
        let key = SecretKeyBox::from_string(&text).and_then(SecretKeyBox::into_unencrypted_secret_key).map_err(|_| broken())?;
        let public = PublicKey::from_secret_key(&key).map_err(|_| broken())?;
        Ok(Self { secret: SecretString::from(line.trim()), public: VerifyingKey(public.to_base64()) })
    }

    /// The secret, one base64 line.
    pub fn secret_line(&self) -> &SecretString {
        &self.secret
    }

    /// The public half.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs `bytes` and `trusted_comment` together; gives the `.minisig` text.
    ///
    /// # Errors
    /// When the comment has a line break.
    pub fn sign(&self, bytes: &[u8], trusted_comment: &str) -> Result<String, CryptError> {
        let text = zeroize::Zeroizing::new(format!("{BOX_COMMENT}\n{}\n", self.secret.expose_secret()));
        let key = SecretKeyBox::from_string(&text).and_then(SecretKeyBox::into_unencrypted_secret_key).map_err(signature_error)?;
        minisign::sign(None, &key, Cursor::new(bytes), Some(trusted_comment), Some("signature by tgvault"))
            .map(SignatureBox::into_string)
            .map_err(signature_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_key_and_comment_only() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::parse(key.secret_line().expose_secret()).unwrap();
        assert_eq!(again.public(), key.public());
        let signature = again.sign(b"bytes", "seq=1").unwrap();
        assert_eq!(key.public().verify(b"bytes", &signature).unwrap(), "seq=1");
        assert!(key.public().verify(b"other", &signature).is_err());
        assert!(key.public().verify(b"bytes", &signature.replace("seq=1", "seq=2")).is_err());
        assert!(SigningKey::generate().unwrap().public().verify(b"bytes", &signature).is_err());
        for cut in 0..signature.len() - 1 {
            assert!(key.public().verify(b"bytes", &signature[..cut]).is_err(), "{cut}");
        }
    }
}
