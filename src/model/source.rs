//! Names of sources, as snapshots keep them.

use serde::{Deserialize, Serialize};

/// Says which source a snapshot was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceName {
    /// `folder`, `telegram`, `desktop-export`.
    pub kind: String,
    /// The account or the absolute path.
    pub name: String,
}
