//! `marks/<time>-<id>.json`: what a prune will delete when its grace period is over. Signed by the root key.

use serde::{Deserialize, Serialize};

use super::version::FormatVersion;
use crate::model::digest::Id;

/// Objects that nothing needed when the mark was made. Runs that see it do as if they were gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The format's version.
    pub format: FormatVersion,
    /// The repository's name.
    pub repository: Id,
    /// When it was made. What counts is the store's word for it.
    pub time: jiff::Timestamp,
    /// Their names.
    pub objects: Vec<String>,
}
