//! Files of any number and size: id, DC, size, reference and bytes all follow from one another, none is kept.
//!
//! An id carries its kind in the highest byte, so that size and place can be told from the id alone:
//! generated photos and documents (a serial number), profile photos (the owner), custom emoji, and files that a test
//! asked for with a size (which the id carries).

use std::sync::atomic::{AtomicU32, Ordering};

use super::world::dice::{Dice, mix};

/// What an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Photo,
    Document,
    Profile,
    Emoji,
    Sized,
}

const KINDS: [FileKind; 5] = [FileKind::Photo, FileKind::Document, FileKind::Profile, FileKind::Emoji, FileKind::Sized];

/// From this serial number on, files belong to stories and rare kinds of messages and are small whatever the options say.
pub(crate) const EXTRA: u64 = 1 << 40;

/// The id of a file of this kind; the payload has 56 bits.
pub(crate) fn file_id(kind: FileKind, payload: u64) -> i64 {
    let kind = KINDS.iter().position(|k| *k == kind).unwrap_or_default() as i64 + 1;
    kind << 56 | (payload & ((1 << 56) - 1)) as i64
}

/// The id of a file that has this size and number. Sizes go to 2^40 bytes.
pub(crate) fn sized_file_id(size: u64, number: u16) -> i64 {
    file_id(FileKind::Sized, (size & ((1 << 40) - 1)) << 16 | u64::from(number))
}

fn parts(id: i64) -> Option<(FileKind, u64)> {
    let kind = KINDS.get(usize::try_from((id >> 56) - 1).ok()?)?;
    Some((*kind, (id & ((1 << 56) - 1)) as u64))
}

/// The bytes of a file, or of one of its sizes when `variant` is a photo size's letter other than the largest:
/// what the server serves, computed anew, so that a test knows the right SHA-256.
///
/// `offset` and `len` are bytes; the end of the file is not looked at.
pub fn file_bytes(id: i64, variant: &str, offset: u64, len: usize) -> Vec<u8> {
    let variant = variant.bytes().fold(0, |n, b| n << 8 | u64::from(b));
    let base = mix(id as u64 ^ mix(variant));
    let skip = (offset % 8) as usize;
    let mut bytes = Vec::with_capacity(len + 16);
    for word in (offset / 8..).take((skip + len).div_ceil(8)) {
        bytes.extend_from_slice(&mix(base.wrapping_add(word)).to_le_bytes());
    }
    bytes.drain(..skip);
    bytes.truncate(len);
    bytes
}

/// The rules by which files have a size, a DC, an access hash and a reference.
#[derive(Debug)]
pub(crate) struct Files {
    seed: u64,
    /// Mean size of generated files, in bytes.
    mean: u64,
    dcs: Vec<i32>,
    /// Counts how often all references were made void.
    epoch: AtomicU32,
}

/// How the reference in a request stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Good,
    Expired,
    Invalid,
}

impl Files {
    pub(crate) fn new(seed: u64, mean: u64, dcs: Vec<i32>) -> Self {
        Self { seed, mean, dcs, epoch: AtomicU32::new(1) }
    }

    /// Size in bytes of a file or, for photos and thumbnails, of the size with this letter; `None` when there is no such thing.
    pub(crate) fn size(&self, id: i64, variant: &str) -> Option<u64> {
        let (kind, payload) = parts(id)?;
        let mut dice = Dice::new(&[self.seed, id as u64]);
        let full = match kind {
            FileKind::Photo | FileKind::Document if payload < EXTRA => {
                // Eight sizes around the mean whose mean is 1, in eighths.
                let eighths = [1, 2, 4, 4, 6, 8, 15, 24][dice.below(8) as usize];
                (self.mean * eighths / 8).max(1)
            }
            FileKind::Photo | FileKind::Document => 4096 + dice.below(60_000),
            FileKind::Profile => 8000 + dice.below(60_000),
            FileKind::Emoji => 1500 + dice.below(20_000),
            FileKind::Sized => payload >> 16,
        };
        match (kind, variant) {
            (FileKind::Photo, "y") | (FileKind::Profile, "c" | "y") => Some(full),
            (FileKind::Photo | FileKind::Profile, "x" | "b") => Some((full / 3).max(1)),
            (FileKind::Photo | FileKind::Profile, "m" | "a") => Some((full / 12).max(1)),
            (FileKind::Photo | FileKind::Profile, _) => None,
            (_, "") => Some(full),
            (_, "m") => Some((full / 20).clamp(1, 20_000)),
            _ => None,
        }
    }

    /// The DC that has the file.
    pub(crate) fn dc(&self, id: i64) -> i32 {
        self.dcs.get((mix(self.seed ^ mix(id as u64)) % self.dcs.len().max(1) as u64) as usize).copied().unwrap_or_default()
    }

    pub(crate) fn access_hash(&self, id: i64) -> i64 {
        mix(self.seed ^ id as u64 ^ 0xacce55) as i64
    }

    /// The reference that is good now.
    pub(crate) fn reference(&self, id: i64) -> Vec<u8> {
        self.reference_of(id, self.epoch.load(Ordering::Relaxed))
    }

    fn reference_of(&self, id: i64, epoch: u32) -> Vec<u8> {
        let mut reference = epoch.to_le_bytes().to_vec();
        reference.extend(mix(self.seed ^ mix(id as u64 ^ u64::from(epoch) << 1)).to_le_bytes());
        reference
    }

    pub(crate) fn check_reference(&self, id: i64, reference: &[u8]) -> Reference {
        let now = self.epoch.load(Ordering::Relaxed);
        match reference.first_chunk().map(|epoch| u32::from_le_bytes(*epoch)) {
            Some(epoch) if (1..=now).contains(&epoch) && reference == self.reference_of(id, epoch) => {
                if epoch == now {
                    Reference::Good
                } else {
                    Reference::Expired
                }
            }
            _ => Reference::Invalid,
        }
    }

    /// Makes all references given so far void.
    pub(crate) fn expire_references(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_do_not_depend_on_the_parts_they_are_read_in() {
        let whole = file_bytes(77, "", 0, 10_000);
        for (offset, len) in [(0, 1), (7, 9), (4096, 4096), (9_999, 1)] {
            assert_eq!(file_bytes(77, "", offset as u64, len), whole[offset..offset + len]);
        }
        assert_ne!(file_bytes(77, "m", 0, 64), whole[..64]);
        assert_ne!(file_bytes(78, "", 0, 64), whole[..64]);
    }

    #[test]
    fn sizes_follow_the_mean_and_the_id() {
        let files = Files::new(1, 1_000_000, vec![2, 4]);
        let total: u64 = (0..10_000).filter_map(|n| files.size(file_id(FileKind::Document, n), "")).sum();
        assert!((9_500_000_000..10_500_000_000).contains(&total), "{total}");
        assert_eq!(files.size(sized_file_id(5_000_000_000, 3), ""), Some(5_000_000_000));
        assert_eq!(files.size(12, ""), None);
    }

    #[test]
    fn references_expire() {
        let files = Files::new(1, 1, vec![2]);
        let first = files.reference(9);
        assert_eq!(files.check_reference(9, &first), Reference::Good);
        assert_eq!(files.check_reference(8, &first), Reference::Invalid);
        files.expire_references();
        assert_eq!(files.check_reference(9, &first), Reference::Expired);
        assert_eq!(files.check_reference(9, &files.reference(9)), Reference::Good);
    }
}
