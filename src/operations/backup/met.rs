//! Which entries of the parent's state a run has met: one bit each, by their numbers in the tree.

use std::ops::Range;

/// Marks of entries.
#[derive(Default)]
pub(super) struct Met(Vec<u64>);

impl Met {
    /// Of `count` entries, none of which is marked.
    pub fn none_of(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    /// Marks an entry; gives whether it was marked before.
    pub fn mark(&mut self, number: u32) -> bool {
        let Some(word) = self.0.get_mut(number as usize / 64) else { return false };
        let bit = 1 << (number % 64);
        let was = *word & bit != 0;
        *word |= bit;
        was
    }

    /// Whether an entry is marked.
    pub fn has(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    /// Whether any of some entries is.
    pub fn has_any(&self, mut numbers: Range<u32>) -> bool {
        numbers.any(|number| self.has(number))
    }

    /// How many are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_apart() {
        let mut met = Met::none_of(130);
        assert!(!met.mark(0) && !met.mark(64) && !met.mark(129) && met.mark(64));
        assert_eq!((met.count(), met.has(129), met.has(128)), (3, true, false));
        assert!(met.has_any(60..70) && !met.has_any(65..129) && !met.has_any(200..300));
        // Beyond the end there is nothing to mark.
        assert!(!met.mark(500) && !met.has(500));
    }
}
