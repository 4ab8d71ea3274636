//! Typed peers: who or what a chat is with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What Telegram Desktop subtracts from the message ids of a basic group when it shows them inside the supergroup that the
/// group became. It exists in rendering only: a migrated group is stored as a peer of its own.
pub const MIGRATED_ID_OFFSET: i64 = 1_000_000_000;

/// The three spaces of ids that Telegram has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerKind {
    /// A person or a bot.
    User,
    /// A basic group.
    Chat,
    /// A channel or a supergroup.
    Channel,
}

impl PeerKind {
    /// The word in front of the id: `user`, `chat` or `channel`.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Chat => "chat",
            Self::Channel => "channel",
        }
    }
}

/// A peer: its kind and its bare positive id, written `user123`, `chat123`, `channel123` as in Telegram Desktop's exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    /// Which space the id belongs to.
    pub kind: PeerKind,
    /// The id without sign or `-100` prefix.
    pub id: i64,
}

/// The text is not a typed peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a peer (expected user…, chat… or channel… and a positive number)")]
pub struct PeerError(String);

impl Peer {
    /// A person or bot.
    pub fn user(id: i64) -> Self {
        Self { kind: PeerKind::User, id }
    }

    /// A basic group.
    pub fn chat(id: i64) -> Self {
        Self { kind: PeerKind::Chat, id }
    }

    /// A peer for a chat whose id is not told, as in exports of 2018: made from what is told (type, name, which of several), so
    /// that the same chat of two such exports is the same peer. Such ids have bit 62, far above any that Telegram gives.
    pub fn made_up(kind: PeerKind, told: &[&[u8]]) -> Self {
        // FNV-1a, 64 bits: it only has to be the same for ever.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in told.iter().flat_map(|part| part.iter().chain(&[0xFF])) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self { kind, id: (1 << 62) | i64::try_from(hash >> 16).unwrap_or_default() }
    }

    /// Whether the id is one of [`Peer::made_up`].
    pub fn is_made_up(&self) -> bool {
        self.id & (1 << 62) != 0
    }

    /// A channel or supergroup.
    pub fn channel(id: i64) -> Self {
        Self { kind: PeerKind::Channel, id }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.prefix(), self.id)
    }
}

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let error = || PeerError(text.chars().take(64).collect());
        // `channel` before `chat` is not needed: neither is a prefix of the other.
        [PeerKind::User, PeerKind::Chat, PeerKind::Channel]
            .into_iter()
            .find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)))
            .filter(|(_, digits)| digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit()))
            .and_then(|(kind, digits)| Some(Self { kind, id: digits.parse().ok()? }))
            .ok_or_else(error)
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Peer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_read_back_what_they_show() {
        for peer in [Peer::user(7), Peer::chat(i64::MAX), Peer::channel(1)] {
            assert_eq!(peer.to_string().parse::<Peer>(), Ok(peer));
            let json = serde_json::to_string(&peer).unwrap();
            assert_eq!(serde_json::from_str::<Peer>(&json).unwrap(), peer);
        }
        for bad in ["", "7", "user", "user-1", "user+1", "chat 1", "group1", "channel99999999999999999999"] {
            assert!(bad.parse::<Peer>().is_err(), "{bad}");
        }
    }
}
