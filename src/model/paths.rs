//! Where the parts of a Telegram backup lie.
//!
//! ```text
//! account/<section>.json                         see [`super::account`]
//! account/coverage.json                          see [`super::coverage::AccountCoverage`]
//! peers.jsonl                                    see [`super::chat::SeenPeer`]
//! peers/<run id>-<seq>.jsonl                     the same, as a live account adds to it
//! chats/<typed peer>/chat.json                   see [`super::chat::ChatInfo`]
//! chats/<typed peer>/<run id>-<seq>.jsonl        see [`super::record`]
//! chats/<typed peer>/coverage.json               see [`super::coverage`]
//! chats/<typed peer>/topics/<id>.json            a topic that was exported alone, see [`super::chat::TopicInfo`]
//! chats/<typed peer>/<part>.json                 see [`super::chat_part`]
//! chats/<typed peer>/admin_log/<run id>.json     the same, of one run
//! media/<kind>/<id>-<variant>.<ext>              see [`super::media`]
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::account::Section;
use super::entry::{EntryPath, PathError};
use super::part::Part;
use super::peer::Peer;

/// The longest batch of log lines, in bytes.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Where the users and chats as seen are kept.
pub const PEERS: &str = "peers.jsonl";

/// The name of one run of a source: 1 to 64 of `0-9 a-z A-Z _ -`, chosen so that later runs sort after earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RunId(String);

/// The text is not a run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a run id (1 to 64 letters, digits, '_' or '-')")]
pub struct RunIdError(String);

impl RunId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id in descriptions of what no run has described.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RunIdError(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The folder of one chat.
///
/// # Errors
/// Never for a valid peer; the type keeps callers from building paths by hand.
pub fn chat_folder(peer: Peer) -> Result<EntryPath, PathError> {
    EntryPath::new(format!("chats/{peer}"))
}

/// `chats/<peer>/chat.json`.
///
/// # Errors
/// As [`chat_folder`].
pub fn chat_info(peer: Peer) -> Result<EntryPath, PathError> {
    EntryPath::new(format!("chats/{peer}/chat.json"))
}

/// `chats/<peer>/coverage.json`.
///
/// # Errors
/// As [`chat_folder`].
pub fn coverage(peer: Peer) -> Result<EntryPath, PathError> {
    EntryPath::new(format!("chats/{peer}/coverage.json"))
}

/// `chats/<peer>/topics/<id>.json`: a topic of a forum, where an export of it alone told of it.
///
/// # Errors
/// As [`chat_folder`].
pub fn topic(peer: Peer, id: i64) -> Result<EntryPath, PathError> {
    EntryPath::new(format!("chats/{peer}/topics/{id}.json"))
}

/// `chats/<peer>/<part>.json`; of what only grows, the file that run `run` adds: `chats/<peer>/admin_log/<run>.json`.
///
/// # Errors
/// As [`chat_folder`].
pub fn chat_part(peer: Peer, part: Part, run: &RunId) -> Result<EntryPath, PathError> {
    let key = part.key();
    EntryPath::new(if part == Part::AdminLog { format!("chats/{peer}/{key}/{run}.json") } else { format!("chats/{peer}/{key}.json") })
}

/// The path of batch `seq` (from 1) that run `run` appends to the log of `peer`.
///
/// # Errors
/// As [`chat_folder`].
pub fn log_batch(peer: Peer, run: &RunId, seq: u32) -> Result<EntryPath, PathError> {
    EntryPath::new(format!("chats/{peer}/{run}-{seq:06}.jsonl"))
}

/// The path of batch `seq` (from 1) of users and chats that run `run` saw. A run without the identity cannot read what is in
/// [`PEERS`], and must not replace it.
///
/// # Errors
/// As [`chat_folder`].
pub fn peers_batch(run: &RunId, seq: u32) -> Result<EntryPath, PathError> {
    EntryPath::new(format!("peers/{run}-{seq:06}.jsonl"))
}

/// `account/<section>.json`.
///
/// # Errors
/// As [`chat_folder`].
pub fn account_section(section: Section) -> Result<EntryPath, PathError> {
    EntryPath::new(format!("account/{}.json", section.key()))
}

/// Where chats that the account left would be described together; nothing lies there.
///
/// # Errors
/// As [`chat_folder`].
pub fn left_chats() -> Result<EntryPath, PathError> {
    EntryPath::new("chats/left")
}

/// `account/coverage.json`.
///
/// # Errors
/// As [`chat_folder`].
pub fn account_coverage() -> Result<EntryPath, PathError> {
    EntryPath::new("account/coverage.json")
}

/// What a path of a backup is, read from its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A batch of a chat's log.
    Log {
        /// The chat.
        peer: Peer,
        /// The run that wrote it.
        run: RunId,
        /// Its number in that run, from 1.
        seq: u32,
    },
    /// A chat's description.
    ChatInfo(Peer),
    /// A chat's coverage.
    Coverage(Peer),
    /// A topic of a chat, by the id of the message that began it.
    Topic(Peer, i64),
    /// What a chat has beside its messages.
    ChatPart(Peer, Part),
    /// The users and chats as seen.
    Peers,
    /// A section of the account.
    Account(Section),
    /// What of the account could not be had.
    AccountCoverage,
    /// A media file.
    Media,
    /// What the import of this run saw again.
    Seen(RunId),
}

/// Says what `path` is; `None` for a path that this version does not know.
pub fn place(path: &EntryPath) -> Option<Place> {
    let parts: Vec<&str> = path.components().map(std::str::from_utf8).collect::<Result<_, _>>().ok()?;
    match parts.as_slice() {
        [PEERS] => Some(Place::Peers),
        ["peers", file] if file.ends_with(".jsonl") => Some(Place::Peers),
        ["media", _, ..] => Some(Place::Media),
        ["imports", run, "seen.jsonl"] => run.parse().ok().map(Place::Seen),
        ["account", "coverage.json"] => Some(Place::AccountCoverage),
        ["account", file] => Section::from_key(file.strip_suffix(".json")?).map(Place::Account),
        ["chats", peer, "chat.json"] => peer.parse().ok().map(Place::ChatInfo),
        ["chats", peer, "topics", file] => Some(Place::Topic(peer.parse().ok()?, file.strip_suffix(".json")?.parse().ok()?)),
        ["chats", peer, "coverage.json"] => peer.parse().ok().map(Place::Coverage),
        ["chats", peer, folder, file] if *folder == Part::AdminLog.key() && file.ends_with(".json") => {
            peer.parse().ok().map(|peer| Place::ChatPart(peer, Part::AdminLog))
        }
        ["chats", peer, file] => {
            if let Some(part) = file.strip_suffix(".json").and_then(Part::from_key) {
                return peer.parse().ok().map(|peer| Place::ChatPart(peer, part));
            }
            let (run, seq) = file.strip_suffix(".jsonl")?.rsplit_once('-')?;
            Some(Place::Log { peer: peer.parse().ok()?, run: run.parse().ok()?, seq: seq.parse().ok()? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_back_from_paths() {
        let run: RunId = "20261122T130000Z-ab12".parse().unwrap();
        let peer = Peer::channel(12);
        let log = log_batch(peer, &run, 3).unwrap();
        assert_eq!(log.to_string(), "chats/channel12/20261122T130000Z-ab12-000003.jsonl");
        assert_eq!(place(&log), Some(Place::Log { peer, run: run.clone(), seq: 3 }));
        assert_eq!(place(&chat_info(peer).unwrap()), Some(Place::ChatInfo(peer)));
        assert_eq!(place(&coverage(peer).unwrap()), Some(Place::Coverage(peer)));
        assert_eq!(place(&topic(peer, 7).unwrap()), Some(Place::Topic(peer, 7)));
        assert_eq!(place(&EntryPath::new(PEERS).unwrap()), Some(Place::Peers));
        assert_eq!(place(&peers_batch(&"r1".parse().unwrap(), 2).unwrap()), Some(Place::Peers));
        for part in Part::ALL {
            assert_eq!(place(&chat_part(peer, part, &run).unwrap()), Some(Place::ChatPart(peer, part)));
        }
        for section in Section::ALL {
            assert_eq!(place(&account_section(section).unwrap()), Some(Place::Account(section)));
        }
        assert_eq!(place(&account_coverage().unwrap()), Some(Place::AccountCoverage));
        assert_eq!(place(&EntryPath::new("chats/group1/chat.json").unwrap()), None);
        assert!("a/b".parse::<RunId>().is_err() && "".parse::<RunId>().is_err());
    }
}
