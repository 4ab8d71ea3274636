//! `tgvault.json`: plain and constant.

use serde::{Deserialize, Serialize};

use super::version::FormatVersion;
use crate::model::digest::Id;

/// Says that a place is a repository, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The format's version.
    pub format: FormatVersion,
    /// The repository's name.
    pub repository: Id,
}
