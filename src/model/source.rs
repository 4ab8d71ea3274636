//! Names of sources, as snapshots keep them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Says which source a snapshot was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceName {
    /// `folder`, `telegram`, `desktop-export`.
    pub kind: String,
    /// The account or the absolute path.
    pub name: String,
}

impl SourceName {
    /// Whether somebody means this source: by what is shown of it, its kind, its name, or both as `kind:name`.
    pub fn is_called(&self, wanted: &str) -> bool {
        // A slash at the end of a folder says nothing.
        let wanted = if wanted.len() > 1 { wanted.trim_end_matches('/') } else { wanted };
        [&self.kind, &self.name, &self.to_string(), &format!("{}:{}", self.kind, self.name)].into_iter().any(|known| known == wanted)
    }
}

/// What people read and type: an absolute path as it is, anything else with its kind before it, as in `telegram:main`.
impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.starts_with('/') { f.write_str(&self.name) } else { write!(f, "{}:{}", self.kind, self.name) }
    }
}
