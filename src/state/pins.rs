//! What this machine knows of a repository since its first use, and no longer takes from the store.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{SealedFolder, StateError};
use crate::crypt::signature::{SigningKey, VerifyingKey};
use crate::model::digest::Id;

const FILE: &str = "pins.age";

/// What is pinned.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pins {
    /// The root key of the last statement of trust that was seen.
    pub root_key: VerifyingKey,
    /// The last number of statements of format 1 that was seen: a store that shows an older one was set back.
    pub root_number: u64,
    /// The statements that no other one stood on, which the store must show, or others that stand on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<PinnedStatement>,
    /// Whom archives are encrypted for; never taken from the store again.
    pub recipients: Vec<String>,
    /// This machine's name as a writer, and its secret key.
    pub writer: Option<PinnedWriter>,
}

/// A statement of trust that was checked, kept whole: it is not asked for again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedStatement {
    /// The object.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// The machine's own writer key.
#[derive(Clone, Serialize, Deserialize)]
pub struct PinnedWriter {
    /// Its name in the root.
    pub id: Id,
    #[serde(serialize_with = "expose", deserialize_with = "conceal")]
    secret: SecretString,
}

fn expose<S: serde::Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn conceal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

impl PinnedWriter {
    /// Notes a writer.
    pub fn new(id: Id, key: &SigningKey) -> Self {
        Self { id, secret: key.secret_line().clone() }
    }

    /// The key that signs.
    ///
    /// # Errors
    /// When what is kept is no key.
    pub fn key(&self) -> Result<SigningKey, crate::crypt::CryptError> {
        SigningKey::parse(self.secret.expose_secret())
    }
}

impl Pins {
    /// Reads what is kept of a repository; `None` on a machine that does not know it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(folder: &SealedFolder) -> Result<Option<Self>, StateError> {
        folder.read_json(FILE)
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &SealedFolder) -> Result<(), StateError> {
        folder.write_json(FILE, self)
    }
}
