//! Which snapshots of one group a policy keeps, and why: a pure function of their times and tags.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A span of the calendar, of each of which the last snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From one full hour to the next.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month.
    Month,
    /// Three months.
    Quarter,
    /// A year.
    Year,
}

impl Period {
    /// All of them, the shortest first.
    pub const ALL: [Self; 6] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// As the options say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Quarter => "quarterly",
            Self::Year => "yearly",
        }
    }

    /// What is the same for all times of one period, and no other.
    fn of(self, time: Timestamp, zone: &TimeZone) -> (i64, i64) {
        let at = time.to_zoned(zone.clone());
        let date: Date = at.date();
        let (year, month) = (i64::from(date.year()), i64::from(date.month()));
        match self {
            // By the clock on the wall, but the hour that comes twice when summer time ends is two hours.
            Self::Hour => (time.as_second().div_euclid(3600), 0),
            Self::Day => (year, i64::from(date.day_of_year())),
            Self::Week => (i64::from(date.iso_week_date().year()), i64::from(date.iso_week_date().week())),
            Self::Month => (year, month),
            Self::Quarter => (year, (month - 1) / 3),
            Self::Year => (year, 0),
        }
    }
}

/// What to keep. What it does not name is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The last so many.
    pub last: u64,
    /// Of the last so many periods that have any, the last one of each.
    pub periods: Vec<(Period, u64)>,
    /// All that are not older than this, counted from the newest one.
    pub within: Option<Duration>,
    /// The last one of each period, of those that are not older than this.
    pub within_periods: Vec<(Period, Duration)>,
    /// Those that have one of these tags.
    pub tags: Vec<String>,
}

impl Policy {
    /// Whether it keeps anything at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
            || self.last == 0
                && self.periods.iter().all(|(_, count)| *count == 0)
                && self.within.is_none()
                && self.within_periods.is_empty()
                && self.tags.is_empty()
    }
}

/// What a policy looks at.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// When it was made, as far as that is believed.
    pub time: Timestamp,
    /// Whether that is still to come: then it is kept, and pushes no other out.
    pub is_in_future: bool,
    /// Its tags.
    pub tags: &'a [String],
}

/// A period, as far as it was walked through.
struct Walk<T> {
    period: Period,
    /// How many are left, or how long it goes back.
    bound: T,
    /// The last one that was met.
    met: Option<(i64, i64)>,
}

impl<T> Walk<T> {
    fn new((period, bound): (Period, T)) -> Self {
        Self { period, bound, met: None }
    }

    /// Whether a time is in another period than the one before.
    fn is_next(&mut self, own: (i64, i64)) -> bool {
        self.met.replace(own) != Some(own)
    }
}

/// Why each of the candidates, which are sorted by time, oldest first, is kept; those without a reason are not.
pub fn reasons(policy: &Policy, candidates: &[Candidate<'_>], zone: &TimeZone) -> Vec<Vec<String>> {
    let mut kept: Vec<Vec<String>> = vec![Vec::new(); candidates.len()];
    let newest = candidates.iter().filter(|candidate| !candidate.is_in_future).map(|candidate| candidate.time).max();
    let is_within = |time: Timestamp, span: Duration| newest.is_some_and(|newest| newest.duration_since(time).unsigned_abs() <= span);
    let mut last_left = policy.last;
    let mut periods: Vec<Walk<u64>> = policy.periods.iter().copied().map(Walk::new).collect();
    let mut within: Vec<Walk<Duration>> = policy.within_periods.iter().copied().map(Walk::new).collect();
    for (candidate, why) in candidates.iter().zip(&mut kept).rev() {
        if candidate.is_in_future {
            why.push("its time is still to come".into());
            continue;
        }
        why.extend(policy.tags.iter().filter(|tag| candidate.tags.contains(tag)).map(|tag| format!("tag {tag}")));
        if last_left > 0 {
            last_left -= 1;
            why.push("last".into());
        }
        if policy.within.is_some_and(|span| is_within(candidate.time, span)) {
            why.push("within".into());
        }
        for walk in &mut periods {
            if walk.is_next(walk.period.of(candidate.time, zone)) && walk.bound > 0 {
                walk.bound -= 1;
                why.push(walk.period.name().into());
            }
        }
        for walk in &mut within {
            if is_within(candidate.time, walk.bound) && walk.is_next(walk.period.of(candidate.time, zone)) {
                why.push(format!("within {}", walk.period.name()));
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn candidate(time: Timestamp) -> Candidate<'static> {
        Candidate { time, is_in_future: false, tags: &[] }
    }

    /// The hours, counted from a Sunday's evening, at which a snapshot was made, and the places of those that are kept.
    fn kept(policy: &Policy, hours: &[i64]) -> Vec<usize> {
        let start = at("2026-11-29T18:00:00Z");
        let candidates: Vec<_> = hours.iter().map(|hour| candidate(start + jiff::SignedDuration::from_hours(*hour))).collect();
        let reasons = reasons(policy, &candidates, &TimeZone::UTC);
        (0..hours.len()).filter(|at| !reasons[*at].is_empty()).collect()
    }

    #[test]
    fn the_last_of_each_period_is_kept() {
        let every_three: Vec<i64> = (0..40).map(|n| n * 3).collect();
        let policy = |period, count| Policy { periods: vec![(period, count)], ..Policy::default() };
        assert_eq!(kept(&Policy { last: 3, ..Policy::default() }, &every_three), [37, 38, 39]);
        assert_eq!(kept(&policy(Period::Hour, 2), &every_three), [38, 39]);
        // 18:00 on Sunday, then 8 a day: the last of a day is the one at 21:00.
        assert_eq!(kept(&policy(Period::Day, 3), &every_three), [25, 33, 39]);
        assert_eq!(kept(&policy(Period::Week, 2), &every_three), [1, 39]);
        assert_eq!(kept(&policy(Period::Month, 5), &every_three), [9, 39]);
        assert_eq!(kept(&policy(Period::Year, 5), &every_three), [39]);
        assert_eq!(kept(&policy(Period::Quarter, 5), &every_three), [39]);
        let within = Policy { within: Some(Duration::from_secs(6 * 3600)), ..Policy::default() };
        assert_eq!(kept(&within, &every_three), [37, 38, 39]);
        let within = Policy { within_periods: vec![(Period::Day, Duration::from_secs(48 * 3600))], ..Policy::default() };
        assert_eq!(kept(&within, &every_three), [25, 33, 39]);
    }

    #[test]
    fn what_is_in_the_future_is_kept_and_counts_for_nothing() {
        let tags = ["keep".to_owned()];
        let now = at("2026-12-01T00:00:00Z");
        let hour = |n| now + jiff::SignedDuration::from_hours(n);
        let candidates = [
            Candidate { tags: &tags, ..candidate(hour(-9)) },
            candidate(hour(-2)),
            candidate(hour(-1)),
            Candidate { is_in_future: true, ..candidate(hour(1000)) },
        ];
        let policy = Policy { last: 1, tags: tags.to_vec(), ..Policy::default() };
        let found = reasons(&policy, &candidates, &TimeZone::UTC);
        assert_eq!(found, [vec!["tag keep"], vec![], vec!["last"], vec!["its time is still to come"]]);
        assert!(Policy::default().is_empty() && !policy.is_empty());
    }

    proptest! {
        /// Whatever was kept is kept again when it is asked a second time of what is left.
        #[test]
        fn a_policy_keeps_what_it_kept(hours in proptest::collection::btree_set(0_i64..5_000, 1..60), counts in proptest::array::uniform7(0_u64..5)) {
            let periods = Period::ALL.into_iter().zip(counts.into_iter().skip(1)).collect();
            let policy = Policy { last: counts[0], periods, ..Policy::default() };
            let hours: Vec<i64> = hours.into_iter().collect();
            let first: Vec<i64> = kept(&policy, &hours).into_iter().map(|at| hours[at]).collect();
            let again: Vec<i64> = kept(&policy, &first).into_iter().map(|at| first[at]).collect();
            prop_assert_eq!(first, again);
        }
    }
}
