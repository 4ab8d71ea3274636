//! The open connections of one account: which one is next, and where there may be another.
//!
//! Connections for files are bounded over all data centres together, because that is what Telegram throttles. They go where
//! the files are: a data centre with more than its share gives one up for another that asks for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::connection::{Clock, Connection};
use super::pace::Purpose;

/// File connections over all data centres. Past about 20 connections an account is throttled hard; Telegram Desktop itself
/// has up to 8 of a data centre (peers' reports, not measured by us).
pub const ALL_FILE_CONNECTIONS: usize = 8;

/// A connection that is given up may finish what it is doing for so long.
const GRACE: Duration = Duration::from_secs(1);
/// A data centre that was not asked for so long needs no connections for files.
const IDLE: Duration = Duration::from_secs(5);
/// For so long a data centre that could not be reached is not asked for files: its files fail at once instead of one by one.
const DOWN: Duration = Duration::from_secs(5 * 60);

/// The right to have one more file connection open; it lives in the connection.
pub(super) type Place = OwnedSemaphorePermit;

/// What is known about one data centre in this run.
#[derive(Default)]
pub(super) struct Centre {
    /// Held while a key is made or the login carried over, so that it happens once however many requests need it.
    pub(super) setup: tokio::sync::Mutex<()>,
    /// Counts keys made and logins carried over, to tell whether somebody did it meanwhile.
    pub(super) generation: AtomicU64,
    pub(super) clock: Arc<Clock>,
    messages: Slots,
    files: Slots,
    /// Held by the one who asks first, until the data centre accepts the login: the others would all be refused before.
    first: tokio::sync::Mutex<()>,
    proven: AtomicBool,
    /// How often in a row those who asked first could not reach it.
    unreached: AtomicU32,
    down_until: Mutex<Option<Instant>>,
}

impl Centre {
    pub(super) fn is_down(&self) -> bool {
        self.down_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| until > Instant::now())
    }

    pub(super) fn set_down(&self) {
        self.unreached.store(0, Ordering::Relaxed);
        *self.down_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + DOWN);
    }

    /// Takes note that who asked first could not reach it; gives how often in a row that was. They take turns, so each alone would
    /// have to try as often as all together need to.
    pub(super) fn was_unreached(&self) -> u32 {
        self.unreached.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Waits for others to find out whether the login counts here; gives the turn to find out where nobody has.
    pub(super) async fn first(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self.proven.load(Ordering::Acquire) {
            return None;
        }
        let first = self.first.lock().await;
        (!self.proven.load(Ordering::Acquire)).then_some(first)
    }

    /// Takes note that it accepts the login.
    pub(super) fn set_proven(&self) {
        self.unreached.store(0, Ordering::Relaxed);
        self.proven.store(true, Ordering::Release);
    }

    pub(super) fn slots(&self, purpose: Purpose) -> &Slots {
        match purpose {
            Purpose::Messages => &self.messages,
            Purpose::Files => &self.files,
        }
    }

    /// Closes everything: its key is worth nothing any more.
    pub(super) fn close(&self) {
        self.messages.lock().clear();
        self.files.lock().clear();
        self.proven.store(false, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

/// The open connections to one data centre for one purpose.
#[derive(Default)]
pub(super) struct Slots {
    open: Mutex<Vec<Arc<Connection>>>,
    /// Held while a connection is being opened.
    pub(super) opening: tokio::sync::Mutex<()>,
    /// When one was last asked for.
    asked: Mutex<Option<Instant>>,
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The least busy open connection, and how many there are.
    pub(super) fn best(&self) -> (Option<Arc<Connection>>, usize) {
        let mut open = self.lock();
        open.retain(|connection| !connection.is_closed());
        (open.iter().min_by_key(|connection| connection.in_flight()).cloned(), open.len())
    }

    pub(super) fn add(&self, connection: &Arc<Connection>) {
        self.lock().push(connection.clone());
    }

    pub(super) fn give_up(&self, connection: &Arc<Connection>) {
        self.lock().retain(|open| !Arc::ptr_eq(open, connection));
    }

    pub(super) fn note_asked(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_idle(&self) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|asked| asked.elapsed() > IDLE)
    }
}

/// All data centres.
pub(super) struct Pool {
    centres: Mutex<HashMap<i32, Arc<Centre>>>,
    places: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { centres: Mutex::default(), places: Arc::new(Semaphore::new(ALL_FILE_CONNECTIONS)) }
    }

    pub(super) fn centre(&self, dc: i32) -> Arc<Centre> {
        self.centres.lock().unwrap_or_else(PoisonError::into_inner).entry(dc).or_default().clone()
    }

    /// How many data centres files come from just now.
    pub(super) fn file_centres(&self) -> usize {
        let centres = self.centres.lock().unwrap_or_else(PoisonError::into_inner);
        centres.values().filter(|centre| centre.files.best().1 > 0 && !centre.files.is_idle()).count()
    }

    /// A place for one more file connection of a centre that has `open` of them; `None` where it has its share.
    pub(super) async fn place(&self, open: usize) -> Option<Place> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Some(place);
        }
        let retired = self.retire(open)?;
        if let Ok(place) = timeout(GRACE, self.places.clone().acquire_owned()).await {
            return place.ok();
        }
        // Its requests are made again elsewhere.
        if let Some(connection) = retired.upgrade() {
            connection.close();
        }
        self.places.clone().acquire_owned().await.ok()
    }

    /// Takes a connection out of use where there are most; it closes when the last one lets go that waits for an answer.
    fn retire(&self, open: usize) -> Option<Weak<Connection>> {
        let centres: Vec<Arc<Centre>> = self.centres.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let (centre, _) = centres
            .iter()
            .filter_map(|centre| {
                let (best, count) = centre.files.best();
                best?;
                (count > open + 1 || centre.files.is_idle()).then_some((centre, count))
            })
            .max_by_key(|(centre, count)| (centre.files.is_idle(), *count))?;
        let (best, _) = centre.files.best();
        let best = best?;
        centre.files.give_up(&best);
        Some(Arc::downgrade(&best))
    }
}
