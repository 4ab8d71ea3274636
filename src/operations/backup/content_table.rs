//! Many contents in little memory: 36 bytes each, where a hash table takes up to 90.

use super::remembered::{ContentKey, Piece};

/// One for each value of a key's first byte: keys are digests, so they spread evenly.
const SHARES: usize = 256;

/// Bytes of a content: its key, archive and frame as numbers of 4 bytes, place and length as numbers of 6.
const BYTES: usize = 16 + 4 + 4 + 6 + 6;

type Row = [u8; BYTES];

/// A share of the contents: rows sorted by key, and behind them some that are not sorted in yet.
#[derive(Default)]
struct Share {
    rows: Vec<Row>,
    sorted: usize,
}

impl Share {
    fn find(&self, key: &ContentKey) -> Option<&Row> {
        let (sorted, recent) = self.rows.split_at_checked(self.sorted)?;
        let found = sorted.binary_search_by(|row| row.as_slice().get(..16).unwrap_or_default().cmp(key)).ok();
        found.and_then(|at| sorted.get(at)).or_else(|| recent.iter().find(|row| row.starts_with(key)))
    }

    fn push(&mut self, row: Row) {
        /// So many are looked through one by one, or an eighth of all.
        const FEW: usize = 32;
        if self.rows.len() == self.rows.capacity() {
            // Doubling would leave a half empty.
            self.rows.reserve_exact(FEW.max(self.rows.len() / 8));
        }
        self.rows.push(row);
        if self.rows.len() - self.sorted > FEW.max(self.sorted / 8) {
            self.rows.sort_unstable();
            self.sorted = self.rows.len();
        }
    }
}

/// Contents by their keys.
pub(super) struct ContentTable(Vec<Share>);

impl Default for ContentTable {
    fn default() -> Self {
        Self(std::iter::repeat_with(Share::default).take(SHARES).collect())
    }
}

impl ContentTable {
    fn share(&self, key: &ContentKey) -> Option<&Share> {
        self.0.get(usize::from(*key.first()?))
    }

    /// Where the content with a key is.
    pub fn find(&self, key: &ContentKey) -> Option<Piece> {
        self.share(key)?.find(key).map(|row| decode(row).1)
    }

    /// Adds a content that is not known yet. One whose place or length takes more than 48 bits stays unknown.
    pub fn add(&mut self, key: ContentKey, piece: Piece) {
        let is_known = self.share(&key).is_some_and(|share| share.find(&key).is_some());
        if let Some(share) = self.0.get_mut(usize::from(key[0]))
            && let Some(row) = encode(&key, &piece)
            && !is_known
        {
            share.push(row);
        }
    }

    /// All contents.
    pub fn iter(&self) -> impl Iterator<Item = (ContentKey, Piece)> {
        self.0.iter().flat_map(|share| &share.rows).map(decode)
    }
}

fn encode(key: &ContentKey, piece: &Piece) -> Option<Row> {
    let six = |value: u64| (value >> 48 == 0).then(|| value.to_le_bytes());
    let (offset, length) = (six(piece.offset)?, six(piece.length)?);
    let numbers = piece.archive.to_le_bytes().into_iter().chain(piece.frame.to_le_bytes());
    let bytes = key.iter().copied().chain(numbers).chain(offset.into_iter().take(6)).chain(length.into_iter().take(6));
    let mut row = [0; BYTES];
    row.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    Some(row)
}

fn decode(row: &Row) -> (ContentKey, Piece) {
    let number = |from: usize, bytes: usize| {
        let bytes = row.iter().skip(from).take(bytes).rev();
        bytes.fold(0_u64, |value, &byte| value << 8 | u64::from(byte))
    };
    let mut key = [0; 16];
    key.iter_mut().zip(row).for_each(|(place, &byte)| *place = byte);
    (key, Piece { archive: number(16, 4) as u32, frame: number(20, 4) as u32, offset: number(24, 6), length: number(30, 6) })
}

/// Lengths of which some content may be: a bit or two for each, so that a length that was never added passes now and then.
#[derive(Default)]
pub(super) struct Lengths(Vec<u64>);

impl Lengths {
    /// Bits, in 2 MiB.
    const BITS: u64 = 1 << 24;

    fn bits(length: u64) -> [(usize, u64); 2] {
        // The golden ratio spreads neighbours.
        let spread = length.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        [spread >> 40, spread >> 16].map(|bit| bit % Self::BITS).map(|bit| ((bit / 64) as usize, 1 << (bit % 64)))
    }

    /// Adds a length.
    pub fn add(&mut self, length: u64) {
        if self.0.is_empty() {
            self.0 = vec![0; (Self::BITS / 64) as usize];
        }
        for (at, bit) in Self::bits(length) {
            if let Some(word) = self.0.get_mut(at) {
                *word |= bit;
            }
        }
    }

    /// Whether a length was added; now and then also where it was not.
    pub fn may_have(&self, length: u64) -> bool {
        Self::bits(length).into_iter().all(|(at, bit)| self.0.get(at).is_some_and(|word| word & bit != 0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn contents_are_found_again(contents in proptest::collection::vec((0..3u8, any::<u16>(), any::<u32>(), 0..1u64 << 48), 0..2000)) {
            let (mut table, mut model) = (ContentTable::default(), HashMap::new());
            for (first, second, number, long) in contents {
                let mut key = [first; 16];
                key[14..].copy_from_slice(&second.to_le_bytes());
                let piece = Piece { archive: number, frame: number / 3, offset: long, length: long / 2 };
                table.add(key, piece);
                model.entry(key).or_insert(piece);
            }
            for (key, piece) in &model {
                prop_assert_eq!(table.find(key), Some(*piece));
            }
            prop_assert_eq!(table.find(&[7; 16]), None);
            prop_assert_eq!(table.iter().collect::<HashMap<_, _>>(), model);
        }
    }

    #[test]
    fn what_does_not_fit_stays_unknown() {
        let mut table = ContentTable::default();
        table.add([1; 16], Piece { archive: 0, frame: 0, offset: 1 << 48, length: 1 });
        assert_eq!(table.find(&[1; 16]), None);
    }

    #[test]
    fn lengths_that_were_added_are_there_and_most_others_are_not() {
        let mut lengths = Lengths::default();
        assert!(!lengths.may_have(5));
        (0..100_000).for_each(|number| lengths.add(number * 7919));
        assert!((0..100_000).all(|number| lengths.may_have(number * 7919)));
        let wrong = (0..100_000).filter(|number| lengths.may_have(number * 7919 + 1)).count();
        assert!(wrong < 5_000, "{wrong}");
    }
}
