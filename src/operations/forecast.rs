//! Forecast: how fast a vault grows, by when its objects were written. It needs no key.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::OperationError;
use super::session::Session;
use crate::repository::format::names;

/// Growth is taken from the last so many days at most.
const WINDOW: SignedDuration = SignedDuration::from_hours(24 * 90);

/// What is written in the first days of a vault is what was there before it, and no growth.
const BEGINNING: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Fewer days than these say nothing.
const LEAST: SignedDuration = SignedDuration::from_hours(24 * 7);

/// What is in a vault, and what came lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Archives among them, which a whole restore reads.
    pub archives: u64,
    /// Their bytes.
    pub archive_bytes: u64,
    /// How it grows; `None` for a vault that is too young to tell.
    pub growth: Option<Growth>,
    /// When there is something to tell about its growth, where there is nothing yet.
    pub tells_from: Option<Timestamp>,
    /// Bytes that are free on the disk of a vault in a folder.
    pub free_bytes: Option<u64>,
}

/// What came in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The span.
    pub within: Duration,
    /// Objects that were written and are still there. What only replaced older archives does not count.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Growth {
    /// Bytes a day.
    pub fn bytes_a_day(&self) -> f64 {
        self.bytes as f64 / self.within.as_secs_f64() * 86_400.0
    }

    /// Objects a day.
    pub fn objects_a_day(&self) -> f64 {
        self.objects as f64 / self.within.as_secs_f64() * 86_400.0
    }
}

impl Forecast {
    /// Days until so many bytes more are there; `None` where it does not grow, or nobody knows how.
    pub fn days_until(&self, more: u64) -> Option<u64> {
        let a_day = self.growth?.bytes_a_day();
        (a_day >= 1.0).then(|| (more as f64 / a_day) as u64)
    }

    /// Of objects with their names, lengths and times at `now`. What is in `replacing` only stands for what was there before.
    fn of<'a>(objects: impl Iterator<Item = (&'a str, u64, Timestamp)> + Clone, replacing: &HashSet<String>, now: Timestamp) -> Self {
        let mut this = Self::default();
        for (name, length, _) in objects.clone() {
            this.objects += 1;
            this.bytes += length;
            if name.starts_with(names::ARCHIVES) {
                this.archives += 1;
                this.archive_bytes += length;
            }
        }
        let Some(first) = objects.clone().map(|(_, _, time)| time).min() else { return this };
        // The store's clock may be ahead of this machine's.
        let now = objects.clone().map(|(_, _, time)| time).max().map_or(now, |last| last.max(now));
        let counts_from = first.saturating_add(BEGINNING).unwrap_or(now);
        let from = now.saturating_sub(WINDOW).map_or(counts_from, |from| from.max(counts_from));
        let within = now.duration_since(from);
        if within < LEAST {
            this.tells_from = first.saturating_add(BEGINNING + LEAST).ok();
            return this;
        }
        let came = objects.filter(|(name, _, time)| *time > from && !replacing.contains(*name));
        let (objects, bytes) = came.fold((0, 0), |(objects, bytes), (_, length, _)| (objects + 1, bytes + length));
        this.growth = Some(Growth { within: within.unsigned_abs(), objects, bytes });
        this
    }
}

/// Looks at all objects of the vault.
///
/// # Errors
/// When there is no vault, or the store fails.
pub async fn forecast(session: &Session) -> Result<Forecast, OperationError> {
    let opened = session.open_locked().await?;
    let repository = &opened.repository;
    let objects = repository.storage.list("").await.map_err(crate::repository::RepositoryError::from)?;
    let replacing = repository.records().await?.standing.all().map(|record| record.object.clone()).collect();
    let each = objects.iter().map(|object| (object.name.as_str(), object.size_bytes, object.modified));
    let forecast = Forecast::of(each, &replacing, repository.machine.now());
    Ok(Forecast { free_bytes: repository.storage.free_bytes(), ..forecast })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["archives/a", "archives/b", "snapshots/c", "archives/d"];

    /// Objects that were written on these days, 1,000,000 bytes each.
    fn on(days: &[i64], now: i64) -> Forecast {
        let time = |day: i64| Timestamp::from_second(1_700_000_000 + day * 86_400).unwrap();
        let objects: Vec<_> = NAMES.iter().zip(days).map(|(name, day)| (*name, 1_000_000, time(*day))).collect();
        Forecast::of(objects.into_iter(), &HashSet::from(["archives/d".to_owned()]), time(now))
    }

    #[test]
    fn the_beginning_is_no_growth_and_neither_is_what_replaces() {
        let young = on(&[0, 1, 3], 13);
        assert_eq!((young.growth, young.bytes, young.archives), (None, 3_000_000, 2));
        assert_eq!(young.tells_from.unwrap().as_second(), 1_700_000_000 + 14 * 86_400);
        // Ten days are looked at, in which one object came.
        let grown = on(&[0, 8, 3, 9], 17);
        assert_eq!(grown.growth, Some(Growth { within: Duration::from_hours(240), objects: 1, bytes: 1_000_000 }));
        assert_eq!(grown.days_until(5_000_000), Some(50));
        // Of an old vault, ninety days.
        let old = on(&[0, 8, 100, 50], 110);
        assert_eq!(old.growth.unwrap(), Growth { within: Duration::from_hours(24 * 90), objects: 1, bytes: 1_000_000 });
        let still = on(&[0, 1, 2], 400);
        assert_eq!((still.growth.unwrap().bytes, still.days_until(1)), (0, None));
        assert_eq!(Forecast::of(std::iter::empty(), &HashSet::new(), Timestamp::UNIX_EPOCH), Forecast::default());
    }

    #[test]
    fn times_at_the_ends_of_all_time_are_borne() {
        let objects = [("a", 1, Timestamp::MIN), ("b", 1, Timestamp::MAX)];
        for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            assert_eq!(Forecast::of(objects.into_iter(), &HashSet::new(), now).objects, 2);
        }
    }
}
