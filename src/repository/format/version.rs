//! The format's version: `major.minor`. A new major number breaks older readers, a new minor one adds what they may ignore.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A version of the repository format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormatVersion {
    /// Counts what breaks older readers.
    pub major: u32,
    /// Counts what older readers may ignore.
    pub minor: u32,
}

/// The version that this program writes.
pub const CURRENT: FormatVersion = FormatVersion { major: 2, minor: 0 };

/// The oldest major version that this program reads.
const OLDEST_MAJOR: u32 = 1;

impl FormatVersion {
    /// Whether this program can read it.
    pub fn is_readable(self) -> bool {
        (OLDEST_MAJOR..=CURRENT.major).contains(&self.major)
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let number = |text: &str| text.parse().ok();
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self { major: number(major)?, minor: number(minor)? }))
            .ok_or_else(|| serde::de::Error::custom("a format version has the form major.minor"))
    }
}
