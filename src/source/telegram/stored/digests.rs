//! Sets of digests, and lists of entries of one length, in a compact stored form.

use std::collections::{BTreeSet, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of keyed digests in a compact stored form: 8 bytes each, base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digests(pub(crate) HashSet<u64>);

impl Digests {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads entries of `N` bytes each, base64.
pub(super) fn chunks<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<Vec<[u8; N]>, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    let bytes = BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
    let (chunks, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() { Ok(chunks.to_vec()) } else { Err(serde::de::Error::custom("a list ends in the middle of an entry")) }
}

impl Serialize for Digests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sorted: BTreeSet<u64> = self.0.iter().copied().collect();
        serializer.serialize_str(&BASE64.encode(sorted.into_iter().flat_map(u64::to_le_bytes).collect::<Vec<u8>>()))
    }
}

impl<'de> Deserialize<'de> for Digests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(chunks::<D, 8>(deserializer)?.into_iter().map(u64::from_le_bytes).collect()))
    }
}
