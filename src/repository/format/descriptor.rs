//! `tgvault.json`: plain and constant.

use serde::{Deserialize, Serialize};

use super::version::FormatVersion;
use crate::model::digest::{Digest, Id};
use crate::storage::Conditions;

/// Says that a place is a repository, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The format's version.
    pub format: FormatVersion,
    /// The repository's name.
    pub repository: Id,
    /// What was found out about its store when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreFinding>,
}

/// What a store makes of puts under a condition. Nothing is trusted for it: it saves requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFinding {
    /// SHA-256 of where it is: a copy elsewhere finds out for itself.
    pub place: Digest,
    /// What it makes of "only if it does not exist yet".
    pub conditional_puts: Conditions,
}
