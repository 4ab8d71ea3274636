//! Counting the messages of a snapshot: per chat, year and kind, and the bytes of media per kind.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Folding, Unreadable, fold, lines, pass};
use crate::model::json;
use crate::model::kinds::FileKind;
use crate::model::media::{Media, MediaStatus};
use crate::model::time;
use crate::operations::chats::{Chat, OpenChats};
use crate::operations::stop::Stop;
use crate::operations::{OperationError, default_lanes};

/// The kinds of messages that are counted apart.
pub const KINDS: [&str; 13] = [
    "text",
    "photo",
    "video",
    "video_message",
    "voice_message",
    "audio",
    "sticker",
    "animation",
    "file",
    "poll",
    "location",
    "contact",
    "service",
];

/// How many messages of which year and kind.
pub type Counts = BTreeMap<(i16, &'static str), u64>;

/// What a chat holds.
#[derive(Clone, Debug)]
pub struct ChatCount {
    /// Its messages, those that were deleted included.
    pub messages: u64,
    /// How many of them were found to be deleted.
    pub deleted: u64,
    /// By year (0 where the source tells no time) and kind.
    pub by_class: Counts,
}

impl ChatCount {
    /// Adds what another chat holds, which is shown inside this one.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.deleted += other.deleted;
        for (class, count) in &other.by_class {
            *self.by_class.entry(*class).or_default() += count;
        }
    }
}

/// Files of one kind: how many, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaCount {
    /// Files, each once however many messages show it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What all chats hold together.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// Stored media by the kind of the first message that shows them.
    pub media: BTreeMap<&'static str, MediaCount>,
    /// What could not be read.
    pub unreadable: Unreadable,
}

#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(default)]
    media: Vec<Media>,
}

/// The number of a message's kind.
fn kind_of(message: &str) -> u8 {
    let has = |key: &str| json::get(message, key).is_some();
    let name = match FileKind::of_message(message) {
        _ if json::get(message, "type").and_then(json::spelling) == Some("service") => "service",
        Some(FileKind::Video) => "video",
        Some(FileKind::VideoMessage) => "video_message",
        Some(FileKind::VoiceMessage) => "voice_message",
        Some(FileKind::Music) => "audio",
        Some(FileKind::Sticker) => "sticker",
        Some(FileKind::Gif) => "animation",
        Some(FileKind::Photo) => "photo",
        Some(FileKind::File) => "file",
        None if has("poll") => "poll",
        None if has("location_information") => "location",
        None if has("contact_information") => "contact",
        None => "text",
    };
    KINDS.iter().position(|kind| *kind == name).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
}

struct Looked {
    folding: Folding,
    /// The number in [`KINDS`] of each message of `folding`.
    kinds: Vec<u8>,
    media: Vec<(u64, u8, u64)>,
    unread: u64,
}

fn look(paths: &RandomState, batch: &[u8]) -> Looked {
    let mut looked = Looked { folding: Folding::default(), kinds: Vec::new(), media: Vec::new(), unread: 0 };
    for (offset, line) in lines(batch) {
        if !looked.folding.add(offset, line) {
            continue;
        }
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(line) else {
            looked.unread += 1;
            looked.kinds.push(0);
            continue;
        };
        let kind = kind_of(seen.message.get());
        looked.kinds.push(kind);
        for media in seen.media.into_iter().filter(|media| media.status == MediaStatus::Stored) {
            if let Some(path) = media.path {
                looked.media.push((paths.hash_one(&path), kind, media.size.unwrap_or_default()));
            }
        }
    }
    looked
}

/// Counts the messages of `wanted`: hands each chat's figures to `each`, in their order.
///
/// # Errors
/// When the store fails, or the run is stopped; otherwise what `each` says.
pub fn count(
    chats: &OpenChats,
    wanted: &[Chat],
    stop: &Stop,
    mut each: impl FnMut(&Chat, ChatCount) -> std::io::Result<()>,
) -> Result<Total, OperationError> {
    let paths = RandomState::new();
    let mut total = Total::default();
    let mut unreadable = Unreadable::default();
    let mut known: HashSet<u64> = HashSet::new();
    let mut unread = 0;
    pass(
        chats,
        wanted,
        default_lanes(),
        stop,
        |_, batch| look(&paths, batch),
        &mut |failed| unreadable.batch(&failed),
        |chat, batches| {
            let mut count = ChatCount { messages: 0, deleted: 0, by_class: BTreeMap::new() };
            for (path, kind, bytes) in batches.iter().flatten().flat_map(|looked| &looked.media) {
                if known.insert(*path) {
                    let media = total.media.entry(name(*kind)).or_default();
                    media.files += 1;
                    media.bytes += bytes;
                }
            }
            unread += batches.iter().flatten().map(|looked| looked.folding.bad + looked.unread).sum::<u64>();
            let foldings = batches.iter().map(|looked| looked.as_ref().map(|looked| &looked.folding));
            fold(chat, foldings, &|_| true, &mut |message| {
                count.messages += 1;
                count.deleted += u64::from(message.deleted.is_some());
                let Some(Some(looked)) = batches.get(message.current.batch as usize) else { return };
                // The time of a message is the same everywhere, whichever of its versions tells it.
                let year = message.date.and_then(|date| time::local(&jiff::tz::TimeZone::UTC, date)).map_or(0, |local| local.year());
                let number = looked.folding.number_at(message.current.offset);
                if let Some(kind) = number.and_then(|number| looked.kinds.get(number)) {
                    *count.by_class.entry((year, name(*kind))).or_default() += 1;
                }
            });
            each(chat, count).map_err(OperationError::Output)
        },
    )?;
    unreadable.lines(unread);
    total.unreadable = unreadable;
    Ok(total)
}

fn name(kind: u8) -> &'static str {
    KINDS.get(usize::from(kind)).copied().unwrap_or("text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told() {
        for (message, kind) in [
            (r#"{"type":"service","action":"x","photo":"y"}"#, "service"),
            (r#"{"type":"message","photo":"y"}"#, "photo"),
            (r#"{"type":"message","file":"y","media_type":"voice_message"}"#, "voice_message"),
            (r#"{"type":"message","file":"y","media_type":"something_new"}"#, "file"),
            (r#"{"type":"message","poll":{}}"#, "poll"),
            (r#"{"type":"message","text":""}"#, "text"),
        ] {
            assert_eq!(name(kind_of(message)), kind, "{message}");
        }
    }
}
