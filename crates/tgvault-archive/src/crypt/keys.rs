//! Recipients and identities as users write them: `age1…` lines, `AGE-SECRET-KEY-1…` lines, `#` comments.

use std::io::Read;
use std::str::FromStr;

use age::{Identity, Recipient};
use secrecy::{ExposeSecret, SecretString};

use super::CryptError;
use super::passphrase::{Careful, MAX_WORK_FACTOR};

/// The most bytes that are read from a file of recipients or identities (age's own limit).
pub const MAX_KEY_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Who may read: one or more age recipients.
pub struct Recipients(Vec<(String, Box<dyn Recipient + Send + Sync>)>);

impl Recipients {
    /// Reads recipients, one to a line; empty lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    /// When a line is no recipient that this program can encrypt to, or there is none at all.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, CryptError> {
        let mut recipients: Vec<(String, Box<dyn Recipient + Send + Sync>)> = Vec::new();
        for line in lines.into_iter().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with("AGE-SECRET-KEY-") {
                return Err(CryptError::Key("a secret key was given where a recipient (age1…) is wanted; give its public half".into()));
            }
            let recipient = age::x25519::Recipient::from_str(line)
                .map_err(|reason| CryptError::Key(format!("{line:?} is not a recipient that can be used here (age1…): {reason}")))?;
            recipients.push((line.to_owned(), Box::new(recipient)));
        }
        if recipients.is_empty() {
            return Err(CryptError::Key("no recipient is given".into()));
        }
        Ok(Self(recipients))
    }

    /// The recipients as text, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &dyn Recipient> {
        self.0.iter().map(|(_, recipient)| recipient.as_ref() as &dyn Recipient)
    }
}

/// Who can read: one or more age identities.
pub struct Identities(Vec<Box<dyn Identity + Send + Sync>>);

impl Identities {
    /// Reads an identity file: `AGE-SECRET-KEY-1…` lines and comments.
    ///
    /// # Errors
    /// When a line is neither, or there is no identity in it. The text is never repeated in the error.
    pub fn parse(text: &str) -> Result<Self, CryptError> {
        let mut identities: Vec<Box<dyn Identity + Send + Sync>> = Vec::new();
        for (number, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let identity = age::x25519::Identity::from_str(line).map_err(|reason| {
                CryptError::Key(format!("line {} of the identity file is not an age secret key: {reason}", number + 1))
            })?;
            identities.push(Box::new(identity));
        }
        if identities.is_empty() {
            return Err(CryptError::Key("the identity file holds no age secret key".into()));
        }
        Ok(Self(identities))
    }

    /// An identity that tries a passphrase.
    pub fn passphrase(passphrase: &SecretString) -> Self {
        let mut identity = age::scrypt::Identity::new(passphrase.clone());
        identity.set_max_work_factor(MAX_WORK_FACTOR);
        Self(vec![Box::new(Careful(identity))])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &dyn Identity> {
        self.0.iter().map(|identity| identity.as_ref() as &dyn Identity)
    }
}

/// A fresh X25519 identity: its secret line and its recipient.
pub fn generate() -> (SecretString, String) {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    (identity.to_string(), recipient)
}

/// The recipient that belongs to the first secret key in an identity file.
///
/// # Errors
/// When the text holds no X25519 secret key.
pub fn recipient_of(identity_file: &str) -> Result<String, CryptError> {
    identity_file
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("AGE-SECRET-KEY-"))
        .and_then(|line| age::x25519::Identity::from_str(line).ok())
        .map(|identity| identity.to_public().to_string())
        .ok_or_else(|| CryptError::Key("the identity file holds no age secret key".into()))
}

/// The secret keys in an identity file with their recipients, in their order.
///
/// # Errors
/// When a line that begins like a secret key is none.
pub fn secrets_of(identity_file: &str) -> Result<Vec<(SecretString, String)>, CryptError> {
    let lines = identity_file.lines().map(str::trim).filter(|line| line.starts_with("AGE-SECRET-KEY-"));
    lines
        .map(|line| {
            let identity = age::x25519::Identity::from_str(line)
                .map_err(|reason| CryptError::Key(format!("the identity file holds a key that is no age secret key: {reason}")))?;
            Ok((SecretString::from(line), identity.to_public().to_string()))
        })
        .collect()
}

/// Reads a key file whole, bounded, into a secret.
///
/// # Errors
/// When reading fails, the file is longer than [`MAX_KEY_FILE_BYTES`], or it is not UTF-8.
pub fn read_key_file(input: impl Read) -> Result<SecretString, CryptError> {
    let mut text = zeroize::Zeroizing::new(String::new());
    input.take(MAX_KEY_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(CryptError::TooLarge { limit_bytes: MAX_KEY_FILE_BYTES });
    }
    Ok(SecretString::from(text.as_str()))
}

/// Exposes a secret for the moment of its use.
pub fn expose(secret: &SecretString) -> &str {
    secret.expose_secret()
}
