//! The messages of a chat that are stored: their ids with fingerprints, in 12 bytes each, in memory as in the file.
//!
//! An account of many million messages has as many entries here, and all of them are in memory in every run.

use std::fmt;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Entries in a block: inserting in the middle moves so many at most.
const BLOCK: usize = 1024;
/// Bytes of an entry in the stored form; a multiple of 3, so that entries can be encoded one after another.
const ENTRY_BYTES: usize = 12;
/// Characters of an entry in base64.
const ENTRY_CHARACTERS: usize = ENTRY_BYTES / 3 * 4;

/// A fingerprint that does not ask for the alignment of a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print([u8; 8]);

impl From<u64> for Print {
    fn from(print: u64) -> Self {
        Self(print.to_le_bytes())
    }
}

impl From<Print> for u64 {
    fn from(print: Print) -> Self {
        Self::from_le_bytes(print.0)
    }
}

impl fmt::Debug for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from(*self))
    }
}

/// Ids with their fingerprints, ascending.
#[derive(Clone, Default)]
pub(crate) struct Held {
    /// Blocks of ascending entries, none of them empty.
    blocks: Vec<Vec<(i32, Print)>>,
}

impl Held {
    /// The block that `id` is in, or would be put into.
    fn block_of(&self, id: i32) -> usize {
        self.blocks.partition_point(|block| block.first().is_some_and(|(first, _)| *first <= id)).saturating_sub(1)
    }

    pub(crate) fn get(&self, id: i32) -> Option<u64> {
        let block = self.blocks.get(self.block_of(id))?;
        let position = block.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        block.get(position).map(|(_, print)| (*print).into())
    }

    pub(crate) fn contains(&self, id: i32) -> bool {
        self.get(id).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The ids from `first` to `last`, ascending.
    pub(crate) fn ids(&self, first: i32, last: i32) -> impl Iterator<Item = i32> {
        let blocks = self.blocks.get(self.block_of(first)..).unwrap_or_default();
        let entries = blocks.iter().flatten().map(|(id, _)| *id);
        entries.skip_while(move |id| *id < first).take_while(move |id| *id <= last)
    }

    /// Takes a message in, or its new fingerprint.
    pub(crate) fn insert(&mut self, id: i32, print: Print) {
        let index = self.block_of(id);
        let last = index + 1 == self.blocks.len();
        let Some(block) = self.blocks.get_mut(index) else {
            self.blocks.push(vec![(id, print)]);
            return;
        };
        match block.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(position) => {
                if let Some(entry) = block.get_mut(position) {
                    entry.1 = print;
                }
            }
            // History mostly comes in the order of its ids: full blocks, not halves, stay behind.
            Err(position) if position == block.len() && last && block.len() >= BLOCK => self.blocks.push(vec![(id, print)]),
            Err(position) => {
                block.insert(position, (id, print));
                if block.len() > BLOCK {
                    let upper = block.split_off(BLOCK / 2);
                    block.shrink_to_fit();
                    self.blocks.insert(index + 1, upper);
                }
            }
        }
    }

    pub(crate) fn remove(&mut self, id: i32) {
        let index = self.block_of(id);
        if let Some(block) = self.blocks.get_mut(index)
            && let Ok(position) = block.binary_search_by_key(&id, |(id, _)| *id)
        {
            block.remove(position);
            if block.is_empty() {
                self.blocks.remove(index);
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = (i32, Print)> {
        self.blocks.iter().flatten().copied()
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.entries().eq(other.entries())
    }
}

impl Eq for Held {}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries()).finish()
    }
}

/// The stored form, written a block at a time.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(BLOCK * ENTRY_BYTES);
        for block in &self.blocks {
            bytes.clear();
            for (id, print) in block {
                bytes.extend_from_slice(&id.to_le_bytes());
                bytes.extend_from_slice(&print.0);
            }
            Base64Display::new(&bytes, &BASE64).fmt(f)?;
        }
        Ok(())
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;

        impl Visitor<'_> for Reading {
            type Value = Held;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("ids with fingerprints")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Held, E> {
                let mut held = Held::default();
                for block in text.as_bytes().chunks(BLOCK * ENTRY_CHARACTERS) {
                    let bytes = BASE64.decode(block).map_err(E::custom)?;
                    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
                    if !rest.is_empty() {
                        return Err(E::custom("a list ends in the middle of an entry"));
                    }
                    for &[a, b, c, d, ref print @ ..] in entries {
                        held.insert(i32::from_le_bytes([a, b, c, d]), Print(*print));
                    }
                }
                held.blocks.iter_mut().for_each(Vec::shrink_to_fit);
                Ok(held)
            }
        }

        deserializer.deserialize_str(Reading)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn is_an_ordered_map_and_survives_its_file(
            changes in proptest::collection::vec((0..5_000_i32, any::<u64>(), 0..8_u8), 0..6_000),
            ascending in any::<bool>(),
            (first, last) in (0..5_000_i32, 0..5_000_i32),
        ) {
            let mut changes = changes;
            if ascending {
                changes.sort_by_key(|(id, ..)| *id);
            }
            let (mut held, mut expected) = (Held::default(), BTreeMap::new());
            for (id, print, what) in changes {
                if what == 0 {
                    held.remove(id);
                    expected.remove(&id);
                } else {
                    held.insert(id, print.into());
                    expected.insert(id, print);
                }
            }
            prop_assert_eq!(held.len(), expected.len());
            prop_assert_eq!(held.is_empty(), expected.is_empty());
            prop_assert!((0..5_000).all(|id| held.get(id) == expected.get(&id).copied()));
            let ids: Vec<i32> = held.ids(first, last).collect();
            let wanted: Vec<i32> = expected.keys().copied().filter(|id| (first..=last).contains(id)).collect();
            prop_assert_eq!(ids, wanted);
            let stored = serde_json::to_string(&held).unwrap();
            let packed: Vec<u8> = expected.iter().flat_map(|(id, print)| id.to_le_bytes().into_iter().chain(print.to_le_bytes())).collect();
            prop_assert_eq!(&stored, &format!("\"{}\"", BASE64.encode(packed)));
            prop_assert_eq!(&serde_json::from_str::<Held>(&stored).unwrap(), &held);
            prop_assert_eq!(serde_json::from_reader::<_, Held>(stored.as_bytes()).unwrap(), held);
        }
    }

    #[test]
    fn an_entry_takes_12_bytes() {
        assert_eq!((size_of::<(i32, Print)>(), size_of::<(i32, Option<Print>)>()), (12, 16));
        assert!(serde_json::from_str::<Held>("\"AAAAAAA\"").is_err());
    }
}
