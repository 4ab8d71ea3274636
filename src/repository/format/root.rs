//! Statements of trust: who may read and who may write. Those of format 2 are named by their content and can be merged; those of
//! format 1 are numbered (`root/<n>.json`), each signed by the root key that the one before it names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::version::FormatVersion;
use crate::crypt::signature::VerifyingKey;
use crate::model::digest::{Digest, Id};

/// Keys of a JSON object that a later version adds, as they are stored: they mean nothing here, and whoever makes a statement on top
/// carries them along.
pub type Later = BTreeMap<String, serde_json::Value>;

/// One numbered statement of trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The format's version.
    pub format: FormatVersion,
    /// The repository's name.
    pub repository: Id,
    /// One more than the highest of its parents; of format 1: its place in the line.
    pub number: u64,
    /// When it was made.
    pub time: jiff::Timestamp,
    /// SHA-256 of the statements that it was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Digest>,
    /// SHA-256 of all that these stand on, so that nobody needs to read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Digest>,
    /// It stands on the statements of format 1 up to this number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub numbered: u64,
    /// The key that signs this and, unless that says otherwise, the next statement.
    pub root_key: VerifyingKey,
    /// Who can read what is stored: the current recipient and former ones.
    pub recipients: Vec<RootRecipient>,
    /// The key slots there are.
    pub slots: Vec<Slot>,
    /// Slots that were removed, and stay so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed_slots: Vec<Id>,
    /// Who may write.
    pub writers: Vec<Writer>,
    /// Writers that may no longer write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Revocation>,
    /// What a later version adds.
    #[serde(flatten)]
    pub later: Later,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One age recipient of the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecipient {
    /// `age1…`.
    pub recipient: String,
    /// Whether new archives are encrypted for it. Once it is not, it never is again.
    pub current: bool,
    /// What a later version adds.
    #[serde(flatten)]
    pub later: Later,
}

/// One key slot: the identity file, encrypted for one passphrase or recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The slot's name.
    pub id: Id,
    /// What opens it.
    pub kind: SlotKind,
    /// SHA-256 of the slot's object.
    pub sha256: Digest,
    /// What a later version adds.
    #[serde(flatten)]
    pub later: Later,
}

/// What opens a key slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SlotKind {
    /// A passphrase.
    Passphrase,
    /// An age identity, whose public half is given.
    Recipient(String),
    /// A kind of a later version, as it is stored: it opens nothing here, and the other slots do.
    #[serde(untagged)]
    Other(serde_json::Value),
}

/// A machine that may write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The writer's name; random, so that it says nothing about the machine.
    pub id: Id,
    /// What its signatures are checked with.
    pub key: VerifyingKey,
    /// What a later version adds.
    #[serde(flatten)]
    pub later: Later,
}

/// The end of a writer's permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The writer.
    pub writer: Id,
    /// The last sequence number that is still accepted, for each of its chains; nothing of a chain that is not named.
    pub last_sequence: Vec<(Id, u64)>,
    /// What a later version adds.
    #[serde(flatten)]
    pub later: Later,
}

impl RootRecipient {
    /// The recipient that new archives are encrypted for.
    pub fn current(recipient: impl Into<String>) -> Self {
        Self { recipient: recipient.into(), current: true, later: Later::new() }
    }
}

impl Slot {
    /// A slot whose object has this SHA-256.
    pub fn new(id: Id, kind: SlotKind, sha256: Digest) -> Self {
        Self { id, kind, sha256, later: Later::new() }
    }
}

impl Writer {
    /// A machine that signs with `key`.
    pub fn new(id: Id, key: VerifyingKey) -> Self {
        Self { id, key, later: Later::new() }
    }
}

impl Revocation {
    /// The end of `writer`'s permission, with the last number of each chain that is still accepted.
    pub fn new(writer: Id, last_sequence: Vec<(Id, u64)>) -> Self {
        Self { writer, last_sequence, later: Later::new() }
    }
}

impl Root {
    /// The recipient that new archives are encrypted for.
    pub fn current_recipients(&self) -> impl Iterator<Item = &str> {
        self.recipients.iter().filter(|recipient| recipient.current).map(|recipient| recipient.recipient.as_str())
    }

    /// Puts a new recipient in the place of the current ones, which stay named: what they read is still there.
    pub fn exchange_recipient(&mut self, recipient: &str) {
        self.recipients.iter_mut().for_each(|former| former.current = false);
        self.recipients.push(RootRecipient::current(recipient));
    }

    /// The writer with this name.
    pub fn writer(&self, id: Id) -> Option<&Writer> {
        self.writers.iter().find(|writer| writer.id == id)
    }

    /// Whether a writer may no longer write.
    pub fn is_revoked(&self, writer: Id) -> bool {
        self.revoked.iter().any(|revocation| revocation.writer == writer)
    }

    /// Whether a snapshot of `writer` with this number in this chain is accepted.
    pub fn accepts(&self, writer: Id, chain: Id, sequence: u64) -> bool {
        self.writer(writer).is_some()
            && self
                .revoked
                .iter()
                .filter(|revocation| revocation.writer == writer)
                .all(|revocation| revocation.last_sequence.iter().any(|&(named, last)| named == chain && sequence <= last))
    }
}
