//! What a backup can say about a chat's completeness: pages that joined and counts that agree, never guesses.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::paths::RunId;
use super::peer::Peer;
use super::reason::Reason;

/// A closed range of message ids, `[first, last]` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "(i64, i64)", from = "(i64, i64)")]
pub struct IdRange {
    /// The lowest id.
    pub first: i64,
    /// The highest id.
    pub last: i64,
}

impl From<IdRange> for (i64, i64) {
    fn from(range: IdRange) -> Self {
        (range.first, range.last)
    }
}

impl From<(i64, i64)> for IdRange {
    fn from((first, last): (i64, i64)) -> Self {
        Self { first, last }
    }
}

/// One stretch of a chat that was read page by page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoveredRange {
    /// The ids that were paged over.
    pub ids: IdRange,
    /// How many pages it took.
    pub pages: u64,
    /// Whether each page began where the one before ended.
    pub joined: bool,
    /// The server's count of messages before the first page; `None` where it gives none.
    pub server_before: Option<u64>,
    /// The same after the last page.
    pub server_after: Option<u64>,
    /// How many messages we hold.
    pub ours: u64,
}

impl CoveredRange {
    /// The server's last count minus ours; `None` where it gave none. Positive: messages that it did not return.
    pub fn difference(&self) -> Option<i64> {
        let server = i64::try_from(self.server_after?).ok()?;
        server.checked_sub(i64::try_from(self.ours).ok()?)
    }
}

/// A reason and how many media it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// In words, as [`super::media::MediaStatus`] has it.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Media of a chat, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaCoverage {
    /// Files that the messages name.
    pub wanted: u64,
    /// Of these, stored.
    pub stored: u64,
    /// Left out on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<ReasonCount>,
    /// Wanted and not had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<ReasonCount>,
}

/// What can be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredVerdict", from = "StoredVerdict")]
#[non_exhaustive]
pub enum Verdict {
    /// Everything that the server served is held.
    Complete,
    /// Something is missing, for these reasons.
    Incomplete(Vec<Reason>),
    /// It cannot be told (imports, ranges that were not read).
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete as served"),
            Self::Incomplete(reasons) => write!(f, "incomplete: {}", words(reasons).join("; ")),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

fn words(reasons: &[Reason]) -> Vec<String> {
    reasons.iter().map(Reason::to_string).collect()
}

/// How a verdict is stored: the reasons as data, and in words for people and for versions that know only these.
#[derive(Serialize, Deserialize)]
struct StoredVerdict {
    verdict: VerdictWord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    because: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerdictWord {
    Complete,
    Incomplete,
    Unknown,
}

impl From<Verdict> for StoredVerdict {
    fn from(verdict: Verdict) -> Self {
        let (verdict, reasons) = match verdict {
            Verdict::Complete => (VerdictWord::Complete, vec![]),
            Verdict::Incomplete(reasons) => (VerdictWord::Incomplete, reasons),
            Verdict::Unknown => (VerdictWord::Unknown, vec![]),
        };
        Self { verdict, because: words(&reasons), reasons }
    }
}

impl From<StoredVerdict> for Verdict {
    fn from(stored: StoredVerdict) -> Self {
        match stored.verdict {
            VerdictWord::Complete => Self::Complete,
            VerdictWord::Incomplete if stored.reasons.is_empty() => {
                Self::Incomplete(stored.because.into_iter().map(Reason::Words).collect())
            }
            VerdictWord::Incomplete => Self::Incomplete(stored.reasons),
            VerdictWord::Unknown => Self::Unknown,
        }
    }
}

/// `chats/<peer>/coverage.json`: written only when it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Version of the form, [`super::record::VERSION`].
    pub v: u32,
    /// The chat.
    pub peer: Peer,
    /// When it was found, Unix seconds.
    pub observed: i64,
    /// By which run.
    pub run: RunId,
    /// What was read, ascending, not overlapping.
    pub ranges: Vec<CoveredRange>,
    /// Channels and supergroups: ids inside the ranges that were not returned (deleted, or never ours to see).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_returned: Vec<IdRange>,
    /// Whether only the account's own messages were asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_my_messages: bool,
    /// The media.
    pub media: MediaCoverage,
    /// When reactions were last read again, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactions_read: Option<i64>,
    /// What the chat has beside its messages, as far as it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartCoverage>,
    /// What happened on the way and makes nothing incomplete.
    #[serde(flatten)]
    pub notes: Notes,
    /// What follows from all that.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What is held of a part of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCoverage {
    /// Its key, see [`super::part::Part::key`].
    pub part: String,
    /// How many entries are held; 1 where it is no list.
    pub held: u64,
    /// How many the server counts, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<u64>,
    /// Why it is not held as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<Reason>,
}

impl PartCoverage {
    /// Whether all of it is held, as far as anybody can tell.
    pub fn is_whole(&self) -> bool {
        self.because.is_none() && self.counted.is_none_or(|counted| counted <= self.held)
    }
}

impl fmt::Display for PartCoverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.part.replace('_', " ");
        match (&self.because, self.counted) {
            (Some(because), _) if self.held == 0 => write!(f, "{name}: {because}"),
            (Some(because), _) => write!(f, "{name}: {}, {because}", self.held),
            (None, Some(counted)) if counted > self.held => write!(f, "{name}: {} of {counted}", self.held),
            (None, _) => write!(f, "{name}: {}", self.held),
        }
    }
}

/// What happened on the way and makes nothing incomplete, such as messages that were deleted meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredNotes", from = "StoredNotes")]
pub struct Notes(pub Vec<Reason>);

/// How notes are stored: as data, and in words, as in [`StoredVerdict`].
#[derive(Serialize, Deserialize)]
struct StoredNotes {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<Reason>,
}

impl From<Notes> for StoredNotes {
    fn from(Notes(remarks): Notes) -> Self {
        Self { notes: words(&remarks), remarks }
    }
}

impl From<StoredNotes> for Notes {
    fn from(stored: StoredNotes) -> Self {
        if stored.remarks.is_empty() { Self(stored.notes.into_iter().map(Reason::Words).collect()) } else { Self(stored.remarks) }
    }
}

/// `account/coverage.json`: what of the account beside the history of its chats could not be had; written only when that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountCoverage {
    /// Version of the form, [`super::record::VERSION`].
    pub v: u32,
    /// When it was found, Unix seconds.
    pub observed: i64,
    /// By which run.
    pub run: RunId,
    /// Nothing when everything was served.
    pub missing: Vec<MissingPart>,
}

/// A part of an account that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredPart", from = "StoredPart")]
pub struct MissingPart {
    /// A section's key, [`LEFT_CHATS`], [`CHAT_LIST`] or [`CUSTOM_EMOJI`].
    pub part: String,
    /// Why.
    pub because: Reason,
}

/// How a missing part is stored: the reason as data, and in words, as in [`StoredVerdict`].
#[derive(Serialize, Deserialize)]
struct StoredPart {
    part: String,
    because: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<Reason>,
}

impl From<MissingPart> for StoredPart {
    fn from(MissingPart { part, because }: MissingPart) -> Self {
        Self { part, because: because.to_string(), why: Some(because) }
    }
}

impl From<StoredPart> for MissingPart {
    fn from(StoredPart { part, because, why }: StoredPart) -> Self {
        Self { part, because: why.unwrap_or(Reason::Words(because)) }
    }
}

/// The [`MissingPart`] of channels and groups that the account has left.
pub const LEFT_CHATS: &str = "left_chats";

/// The [`MissingPart`] of chats that could not be read from the list of chats.
pub const CHAT_LIST: &str = "chat_list";

/// The [`MissingPart`] of the files of custom emoji.
pub const CUSTOM_EMOJI: &str = "custom_emoji";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_survives_json() {
        for (verdict, tail) in [
            (Verdict::Complete, r#""verdict":"complete"}"#),
            (
                Verdict::Incomplete(vec![Reason::Gaps { count: 2 }]),
                r#""verdict":"incomplete","because":["2 stretches of its history were not read"],"reasons":[{"reason":"gaps","count":2}]}"#,
            ),
            (Verdict::Unknown, r#""verdict":"unknown"}"#),
        ] {
            let coverage = Coverage {
                v: 1,
                peer: Peer::channel(4),
                observed: 10,
                run: "r1".parse().unwrap(),
                ranges: vec![CoveredRange {
                    ids: IdRange { first: 1, last: 900 },
                    pages: 9,
                    joined: true,
                    server_before: Some(880),
                    server_after: Some(881),
                    ours: 879,
                }],
                not_returned: vec![IdRange { first: 5, last: 25 }],
                only_my_messages: false,
                media: MediaCoverage { wanted: 3, stored: 3, ..MediaCoverage::default() },
                reactions_read: None,
                parts: vec![],
                notes: Notes(vec![Reason::DeletedMeanwhile { count: 1 }]),
                verdict,
            };
            let json = serde_json::to_string(&coverage).unwrap();
            assert!(json.ends_with(tail), "{json}");
            let notes = r#""notes":["1 message was deleted while it was read, before their turn came"],"remarks":[{"reason":"deleted_meanwhile","count":1}]"#;
            assert!(json.contains(notes), "{json}");
            assert_eq!(serde_json::from_str::<Coverage>(&json).unwrap(), coverage);
            assert_eq!(coverage.ranges[0].difference(), Some(2));
        }
    }

    #[test]
    fn what_earlier_versions_wrote_is_read() {
        let stored = r#"{"verdict":"incomplete","because":["2 files failed","3 messages more"]}"#;
        let verdict: Verdict = serde_json::from_str(stored).unwrap();
        let words = |words: &str| Reason::Words(words.into());
        assert_eq!(verdict, Verdict::Incomplete(vec![words("2 files failed"), words("3 messages more")]));
        assert_eq!(verdict.to_string(), "incomplete: 2 files failed; 3 messages more");
        let notes: Notes = serde_json::from_str(r#"{"notes":["60 messages were deleted"]}"#).unwrap();
        assert_eq!(notes, Notes(vec![words("60 messages were deleted")]));
        let part: MissingPart = serde_json::from_str(r#"{"part":"stories","because":"refused"}"#).unwrap();
        assert_eq!(part, MissingPart { part: "stories".into(), because: words("refused") });
        let part = MissingPart { part: "stories".into(), because: Reason::TakeoutEnded };
        let stored = serde_json::to_string(&part).unwrap();
        assert!(stored.ends_with(r#","why":{"reason":"takeout_ended"}}"#), "{stored}");
        assert_eq!(serde_json::from_str::<MissingPart>(&stored).unwrap(), part);
    }
}
