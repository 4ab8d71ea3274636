//! Files of a chat that the user's options left out, so that a run with wider options finds and fetches them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::kinds::FileKind;
use crate::model::media::SkipReason;
use crate::source::telegram::options::ExportOptions;

/// Bytes of an entry in the stored form.
const ENTRY_BYTES: usize = 11;

/// One file: of what kind, and how long. Telegram's largest files are shorter than 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeftFile {
    pub(crate) kind: Option<FileKind>,
    pub(crate) bytes: u32,
    pub(crate) reason: SkipReason,
}

/// The files of all messages, by message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut(BTreeSet<Entry>);

/// A message may leave out several files that look the same here: `nth` tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    id: i32,
    nth: u8,
    kind: u8,
    too_large: bool,
    bytes: u32,
}

impl Entry {
    fn new(id: i32, nth: usize, file: LeftFile) -> Self {
        let kind = file.kind.and_then(|kind| FileKind::ALL.iter().position(|known| *known == kind));
        Self {
            id,
            nth: u8::try_from(nth).unwrap_or(u8::MAX),
            kind: kind.and_then(|kind| u8::try_from(kind).ok()).unwrap_or(u8::MAX),
            too_large: file.reason == SkipReason::TooLarge,
            bytes: file.bytes,
        }
    }

    fn kind(&self) -> Option<FileKind> {
        FileKind::ALL.get(usize::from(self.kind)).copied()
    }

    fn reason(&self) -> SkipReason {
        if self.too_large { SkipReason::TooLarge } else { SkipReason::TypeNotChosen }
    }

    fn of_message(id: i32) -> std::ops::RangeInclusive<Self> {
        let first = Self { id, nth: 0, kind: 0, too_large: false, bytes: 0 };
        first..=Self { id, nth: u8::MAX, kind: u8::MAX, too_large: true, bytes: u32::MAX }
    }

    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let ([a, b, c, d], [e, f, g, h]) = (self.id.to_le_bytes(), self.bytes.to_le_bytes());
        [a, b, c, d, self.nth, self.kind, u8::from(self.too_large), e, f, g, h]
    }

    fn from_bytes([a, b, c, d, nth, kind, too_large, e, f, g, h]: [u8; ENTRY_BYTES]) -> Self {
        Self { id: i32::from_le_bytes([a, b, c, d]), nth, kind, too_large: too_large != 0, bytes: u32::from_le_bytes([e, f, g, h]) }
    }
}

impl LeftOut {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many files of a message are left out.
    pub(crate) fn of(&self, id: i32) -> usize {
        self.0.range(Entry::of_message(id)).count()
    }

    /// Replaces what is known of a message.
    pub(crate) fn set(&mut self, id: i32, files: &[LeftFile]) {
        let old: Vec<Entry> = self.0.range(Entry::of_message(id)).copied().collect();
        for entry in old {
            self.0.remove(&entry);
        }
        self.0.extend(files.iter().enumerate().map(|(nth, file)| Entry::new(id, nth, *file)));
    }

    /// The messages with files that the options do not leave out any more.
    pub(crate) fn wanted(&self, options: &ExportOptions) -> BTreeSet<i32> {
        let wanted = self.0.iter().filter(|entry| options.leave_out(entry.kind(), entry.bytes.into()).is_none());
        wanted.map(|entry| entry.id).collect()
    }

    /// How many files are left out, by reason.
    pub(crate) fn counts(&self) -> BTreeMap<SkipReason, u64> {
        let mut counts = BTreeMap::new();
        for entry in &self.0 {
            *counts.entry(entry.reason()).or_default() += 1;
        }
        counts
    }
}

impl Serialize for LeftOut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|entry| entry.to_bytes()).collect();
        serializer.serialize_str(&BASE64.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for LeftOut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::digests::chunks::<D, ENTRY_BYTES>(deserializer).map(|entries| Self(entries.into_iter().map(Entry::from_bytes).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kinds::KindChoice;

    #[test]
    fn what_wider_options_take_is_found_again() {
        let video = |bytes| LeftFile { kind: Some(FileKind::Video), bytes, reason: SkipReason::TypeNotChosen };
        let large = LeftFile { kind: Some(FileKind::Photo), bytes: 3_000_000_000, reason: SkipReason::TooLarge };
        let mut left = LeftOut::default();
        left.set(1, &[video(5), video(5)]);
        left.set(2, &[large]);
        left.set(3, &[LeftFile { kind: None, ..large }]);
        assert_eq!((left.of(1), left.of(2), left.of(4)), (2, 1, 0));
        assert_eq!(left.counts(), BTreeMap::from([(SkipReason::TooLarge, 2), (SkipReason::TypeNotChosen, 2)]));

        let photos = |max_file_size| ExportOptions { media: vec![KindChoice::Photos], max_file_size, ..ExportOptions::default() };
        assert_eq!(left.wanted(&photos(2_999_999_999)), BTreeSet::new());
        assert_eq!(left.wanted(&photos(3_000_000_000)), BTreeSet::from([2, 3]));
        assert_eq!(left.wanted(&ExportOptions::default()), BTreeSet::from([1, 2, 3]));

        let stored = serde_json::to_string(&left).unwrap();
        assert_eq!(serde_json::from_str::<LeftOut>(&stored).unwrap(), left);
        left.set(1, &[]);
        left.set(2, &[]);
        left.set(3, &[]);
        assert!(left.is_empty());
    }
}
