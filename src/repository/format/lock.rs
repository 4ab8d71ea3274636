//! `locks/<n>.json`: one who deletes, so that a second one keeps out.

use serde::{Deserialize, Serialize};

use super::version::FormatVersion;
use crate::model::digest::Id;

/// One lock. It is never renewed, and gone when its holder ends well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The format's version.
    pub format: FormatVersion,
    /// A name of the holder's own.
    pub owner: Id,
    /// The command.
    pub command: String,
    /// The machine.
    pub host: String,
    /// When it was taken.
    pub time: jiff::Timestamp,
    /// Until when it counts.
    pub expires: jiff::Timestamp,
}
