//! The versions of a chat's messages, some ten bytes each: sorted in segments as they come, and merged by id when they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Location;
use crate::model::varint::{Cursor, put, put_near};

/// Versions in a segment: what is held unpacked.
const SEGMENT: usize = 16 * 1024;

/// One line of a log that holds a version of a message, or says that an earlier one was seen again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    pub id: i64,
    pub edited: i64,
    pub observed: i64,
    pub date: i64,
    pub run: u32,
    pub at: Location,
}

/// Versions in the order in which they were added.
#[derive(Default)]
pub(super) struct Versions {
    segments: Vec<Segment>,
    open: Vec<Version>,
    count: usize,
}

impl Versions {
    /// Adds one.
    pub fn push(&mut self, version: Version) {
        self.open.push(version);
        self.count += 1;
        if self.open.len() >= SEGMENT {
            self.close();
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    fn close(&mut self) {
        // Equal ids stay in the order of the log.
        self.open.sort_by_key(|version| version.id);
        if !self.open.is_empty() {
            self.segments.push(Segment::of(&self.open));
        }
        self.open.clear();
    }

    /// All of them, by ids.
    pub fn merge(mut self) -> Merged {
        self.close();
        let mut segments: Vec<Reading> = self.segments.into_iter().map(Reading::of).collect();
        let first = |(number, segment): (usize, &mut Reading)| Some(Reverse((segment.step()?.id, number)));
        let lowest = segments.iter_mut().enumerate().filter_map(first).collect();
        Merged { segments, lowest, left: self.count }
    }
}

/// Versions sorted by id, each told by how it differs from the one before it.
struct Segment {
    bytes: Box<[u8]>,
    count: usize,
}

impl Segment {
    fn of(versions: &[Version]) -> Self {
        let (mut bytes, mut before) = (Vec::with_capacity(versions.len() * 12), Version::default());
        for version in versions {
            for (value, base) in
                [(version.id, before.id), (version.edited, before.edited), (version.observed, before.observed), (version.date, before.date)]
            {
                put_near(&mut bytes, value as u64, base as u64);
            }
            put_near(&mut bytes, u64::from(version.run), u64::from(before.run));
            put_near(&mut bytes, u64::from(version.at.batch), u64::from(before.at.batch));
            put_near(&mut bytes, u64::from(version.at.offset), end(&before.at));
            put(&mut bytes, u64::from(version.at.len));
            before = *version;
        }
        Self { bytes: bytes.into_boxed_slice(), count: versions.len() }
    }
}

/// Where the next line of a batch begins.
fn end(at: &Location) -> u64 {
    u64::from(at.offset) + u64::from(at.len) + 1
}

/// A segment that is read.
struct Reading {
    segment: Segment,
    at: usize,
    next: Version,
}

impl Reading {
    fn of(segment: Segment) -> Self {
        Self { segment, at: 0, next: Version::default() }
    }

    /// Goes to the next version and gives it.
    fn step(&mut self) -> Option<Version> {
        self.segment.count = self.segment.count.checked_sub(1)?;
        let rest = self.segment.bytes.get(self.at..).unwrap_or_default();
        let (mut cursor, before) = (Cursor(rest), self.next);
        let mut near = |base: i64| cursor.near(base as u64) as i64;
        let (id, edited) = (near(before.id), near(before.edited));
        let (observed, date) = (near(before.observed), near(before.date));
        let run = cursor.near(u64::from(before.run)) as u32;
        let batch = cursor.near(u64::from(before.at.batch)) as u32;
        let offset = cursor.near(end(&before.at)) as u32;
        let at = Location { batch, offset, len: cursor.small() };
        self.at += rest.len() - cursor.0.len();
        self.next = Version { id, edited, observed, date, run, at };
        Some(self.next)
    }
}

/// Versions by ids, ascending.
pub(super) struct Merged {
    segments: Vec<Reading>,
    /// The id at which each segment is.
    lowest: BinaryHeap<Reverse<(i64, usize)>>,
    left: usize,
}

impl Merged {
    /// How many versions are left.
    pub fn left(&self) -> usize {
        self.left
    }

    /// All versions with the next id, in the order in which they were added.
    pub fn group(&mut self) -> Option<Vec<Version>> {
        let Reverse((id, _)) = *self.lowest.peek()?;
        let mut group = Vec::new();
        while let Some(&Reverse((next, number))) = self.lowest.peek()
            && next == id
        {
            self.lowest.pop();
            let Some(segment) = self.segments.get_mut(number) else { continue };
            group.push(segment.next);
            while let Some(version) = segment.step() {
                if version.id != id {
                    self.lowest.push(Reverse((version.id, number)));
                    break;
                }
                group.push(version);
            }
        }
        self.left -= group.len();
        Some(group)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version() -> impl Strategy<Value = Version> {
        let location = (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(batch, offset, len)| Location { batch, offset, len });
        let times = (any::<i64>(), any::<i64>(), any::<i64>());
        (prop_oneof![-3..3_i64, any::<i64>()], times, any::<u32>(), location).prop_map(|(id, (edited, observed, date), run, at)| Version {
            id,
            edited,
            observed,
            date,
            run,
            at,
        })
    }

    proptest! {
        #[test]
        fn versions_come_back_by_their_ids(all in proptest::collection::vec(version(), 0..300), every in 1..40_usize) {
            let mut versions = Versions::default();
            for (number, version) in all.iter().enumerate() {
                versions.push(*version);
                if number % every == 0 {
                    versions.close();
                }
            }
            let mut merged = versions.merge();
            let mut expected = all.clone();
            expected.sort_by_key(|version| version.id);
            prop_assert_eq!(merged.left(), all.len());
            let groups: Vec<Vec<Version>> = std::iter::from_fn(|| merged.group()).collect();
            prop_assert!(groups.iter().all(|group| group.iter().all(|version| version.id == group[0].id)));
            prop_assert_eq!(groups.concat(), expected);
            prop_assert_eq!(merged.left(), 0);
        }
    }

    #[test]
    fn a_version_takes_about_ten_bytes() {
        let mut versions = Versions::default();
        for number in 0..SEGMENT as i64 {
            let len = 200 + (number * 7919 % 1500) as u32;
            let at = Location { batch: (number / 4000) as u32, offset: number as u32 % 4000 * 900, len };
            let date = 1_600_000_000 + number * 317;
            versions.push(Version { id: number, edited: i64::MIN, observed: 1_700_000_000, date, run: 3, at });
        }
        let bytes: usize = versions.segments.iter().map(|segment| segment.bytes.len()).sum();
        assert!(bytes / SEGMENT <= 12, "{} bytes", bytes / SEGMENT);
    }
}
