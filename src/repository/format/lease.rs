//! `running/<run>-<n>.json`: a run in progress and what it relies on, so that pruning leaves it alone.

use serde::{Deserialize, Serialize};

use super::version::FormatVersion;
use crate::model::digest::Id;

/// One lease; it is renewed by a further one, never rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The format's version.
    pub format: FormatVersion,
    /// The run.
    pub run: Id,
    /// Number of this lease of the run, from 1.
    pub number: u32,
    /// When the run began: what nothing named any more before then, it does not rely on.
    pub time: jiff::Timestamp,
    /// Until when it counts.
    pub expires: jiff::Timestamp,
    /// The stem of the snapshot whose archives the run relies on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relies_on: Option<String>,
}
