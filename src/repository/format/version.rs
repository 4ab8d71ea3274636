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

/// The version of the repositories that this program makes. In an older one it writes what that one's readers know.
pub const CURRENT: FormatVersion = FormatVersion { major: 3, minor: 0 };

/// The first version whose statements of trust are named by their content.
pub const NAMED_BY_CONTENT: FormatVersion = FormatVersion { major: 2, minor: 0 };

/// The oldest major version that this program reads.
const OLDEST_MAJOR: u32 = 1;

impl FormatVersion {
    /// Whether this program can read it.
    pub fn is_readable(self) -> bool {
        (OLDEST_MAJOR..=CURRENT.major).contains(&self.major)
    }

    /// Whether sums have no lines but those that every `sha256sum -c` reads.
    pub fn has_plain_sums(self) -> bool {
        self.major >= 3
    }

    /// Whether a snapshot may borrow archives of others for their content.
    pub fn has_borrowed(self) -> bool {
        self.major >= 3
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
