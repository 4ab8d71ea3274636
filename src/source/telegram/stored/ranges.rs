//! Sets of message ids as closed ranges.

use serde::{Deserialize, Serialize};

use crate::model::coverage::IdRange;

/// Ascending ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ranges(Vec<IdRange>);

impl Ranges {
    /// Adds the ids from `first` to `last`; nothing when there are none.
    pub(crate) fn add(&mut self, mut first: i64, mut last: i64) {
        if first > last {
            return;
        }
        let begin = self.0.partition_point(|range| range.last.saturating_add(1) < first);
        let end = self.0.partition_point(|range| range.first <= last.saturating_add(1));
        for range in self.0.drain(begin..end.max(begin)) {
            first = first.min(range.first);
            last = last.max(range.last);
        }
        self.0.insert(begin, IdRange { first, last });
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        for range in &other.0 {
            self.add(range.first, range.last);
        }
    }

    #[cfg(test)]
    pub(crate) fn contains(&self, id: i64) -> bool {
        let position = self.0.partition_point(|range| range.last < id);
        self.0.get(position).is_some_and(|range| range.first <= id)
    }

    /// What is missing between `first` and `last`, ascending.
    pub(crate) fn gaps(&self, first: i64, last: i64) -> Vec<IdRange> {
        let mut gaps = Vec::new();
        let mut next = first;
        for range in &self.0 {
            if range.last < next {
                continue;
            }
            if range.first > last {
                break;
            }
            if range.first > next {
                gaps.push(IdRange { first: next, last: range.first - 1 });
            }
            next = range.last.saturating_add(1);
        }
        if next <= last {
            gaps.push(IdRange { first: next, last });
        }
        gaps
    }

    /// The ranges, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = IdRange> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The highest id.
    pub(crate) fn last(&self) -> Option<i64> {
        self.0.last().map(|range| range.last)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_a_set(adds in prop::collection::vec((0_i64..60, -2_i64..12), 0..20), window in (0_i64..60, 0_i64..30)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (first, length) in adds {
                ranges.add(first, first + length);
                set.extend(first..=first + length);
            }
            for id in -1..90 {
                prop_assert_eq!(ranges.contains(id), set.contains(&id), "{}", id);
            }
            let apart = ranges.0.windows(2).all(|pair| pair[0].last + 1 < pair[1].first);
            prop_assert!(apart);
            let (first, last) = (window.0, window.0 + window.1);
            let missing: BTreeSet<i64> = ranges.gaps(first, last).iter().flat_map(|gap| gap.first..=gap.last).collect();
            let expected: BTreeSet<i64> = (first..=last).filter(|id| !set.contains(id)).collect();
            prop_assert_eq!(missing, expected);
        }
    }
}
