//! The last snapshot of each chain that this machine has seen: a store that no longer shows it was set back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{SealedFolder, StateError};
use crate::model::digest::Id;

const FILE: &str = "heads.age";

/// The last snapshot of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number in the chain.
    pub sequence: u64,
    /// The stem of its objects' names.
    pub stem: String,
}

/// The last snapshot that was seen of each chain.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Heads(BTreeMap<Id, Head>);

impl Heads {
    /// Reads what is kept of a repository; nothing on a machine that has seen no snapshot of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(folder: &SealedFolder) -> Result<Self, StateError> {
        Ok(folder.read_json(FILE)?.unwrap_or_default())
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &SealedFolder) -> Result<(), StateError> {
        folder.write_json(FILE, self)
    }

    /// Notes a snapshot; gives whether it is later than what was known of its chain.
    pub fn raise(&mut self, chain: Id, sequence: u64, stem: &str) -> bool {
        let is_later = self.0.get(&chain).is_none_or(|head| head.sequence < sequence);
        if is_later {
            self.0.insert(chain, Head { sequence, stem: stem.to_owned() });
        }
        is_later
    }

    /// The heads of all chains.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &Head)> {
        self.0.iter().map(|(chain, head)| (*chain, head))
    }
}
