//! How fast we ask: fixed caps that the user chooses, and below them a window per method and data centre that learns.
//!
//! Additive increase, multiplicative decrease, as TCP does it: every answer widens the window a little, every FLOOD_WAIT halves it and
//! stops the lane for as long as the server said. A lane that is down to one request at a time and is told to wait again
//! spaces its requests out, twice as far each time, and draws them together slowly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How hard the source may work Telegram's servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// One request at a time, 2.5 requests a second at most, one file connection per data centre.
    Gentle,
    /// No more than Telegram Desktop in ordinary use: one connection for messages, two for files per data centre.
    #[default]
    Normal,
    /// As fast as the servers let us: for a first backup, with the user watching.
    Fast,
}

/// The bounds that [`Pace`] stands for; never exceeded, whatever the windows learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Connections for everything but files.
    pub message_connections: usize,
    /// Requests in flight over them.
    pub message_requests: usize,
    /// Connections for files, per data centre.
    pub file_connections: usize,
    /// File parts in flight, per data centre.
    pub file_requests: usize,
    /// Time between two requests of one method, at least.
    pub interval: Duration,
}

impl Pace {
    /// The caps of this pace.
    ///
    /// Telegram throttles an account that keeps more than about 20 connections, and a single one carries about 10 MB/s;
    /// Telegram Desktop itself uses up to 8 file connections per data centre (peers' reports, not measured by us).
    pub fn caps(self) -> Caps {
        let ms = Duration::from_millis;
        match self {
            Self::Gentle => Caps { message_connections: 1, message_requests: 1, file_connections: 1, file_requests: 2, interval: ms(400) },
            Self::Normal => Caps { message_connections: 1, message_requests: 4, file_connections: 2, file_requests: 8, interval: ms(0) },
            Self::Fast => Caps { message_connections: 2, message_requests: 16, file_connections: 8, file_requests: 48, interval: ms(0) },
        }
    }
}

/// What a connection is for. Files have connections of their own, so that a slow or silent data centre holds up files only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    Messages,
    Files,
}

/// A method at a data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    pub(super) purpose: Purpose,
    pub(super) dc: i32,
    /// The method's constructor number.
    pub(super) method: u32,
}

/// Requests given up one after the other in a lane after which it is left alone for a while.
const MOST_IN_VAIN: u32 = 5;
/// For so long what goes into such a lane fails at once instead of one by one.
const SHUT: Duration = Duration::from_secs(5 * 60);

/// How far the requests of a lane are apart that is down to one at a time.
#[derive(Clone, Copy, Debug)]
struct Spacing {
    /// At first.
    first: Duration,
    /// At most: beyond it, waiting is what FLOOD_WAIT itself says.
    most: Duration,
}

/// What a request has to expect in its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It is worth being patient. With the lane's successes so far.
    Good(u64),
    /// The last ones were given up. Likewise.
    Poor(u64),
    /// Many were given up, and the server need not be asked; with its last word.
    None(String),
}

#[derive(Debug)]
struct Lane {
    spacings: Spacing,
    /// Answers that were no complaints.
    successes: u64,
    /// Refusals since the last of them, and what they asked us to wait.
    refused: (u32, Duration),
    /// Requests given up since then, and the server's word.
    in_vain: (u32, String),
    shut_until: Option<Instant>,
    window: f64,
    cap: usize,
    in_flight: usize,
    base: Duration,
    spacing: Duration,
    next: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Now,
    At(Instant),
    WhenOneLeaves,
}

impl Lane {
    fn new(cap: usize, base: Duration, spacings: Spacing) -> Self {
        // Half the cap to begin with: there is no slow start to wait for, and no burst at the full cap.
        let window = (cap as f64 / 2.0).max(1.0);
        let in_vain = (0, String::new());
        let refused = (0, Duration::ZERO);
        Self { spacings, successes: 0, refused, in_vain, shut_until: None, window, cap, in_flight: 0, base, spacing: base, next: None }
    }

    fn outlook(&self, now: Instant) -> Outlook {
        match self.in_vain.0 {
            0 => Outlook::Good(self.successes),
            _ if self.shut_until.is_some_and(|until| until > now) => Outlook::None(self.in_vain.1.clone()),
            _ => Outlook::Poor(self.successes),
        }
    }

    fn gave_up(&mut self, now: Instant, since: u64, word: String) {
        // Where others had their answers meanwhile, it is about this request.
        if self.successes > since {
            return;
        }
        self.in_vain = (self.in_vain.0.saturating_add(1), word);
        if self.in_vain.0 >= MOST_IN_VAIN {
            self.shut_until = Some(now + SHUT);
            // Those who stand in line hear of it at once.
            (self.spacing, self.next) = (self.base, None);
        }
    }

    fn try_enter(&mut self, now: Instant) -> Entry {
        if let Some(next) = self.next
            && next > now
        {
            return Entry::At(next);
        }
        if self.in_flight as f64 + 1.0 > self.window.max(1.0) {
            return Entry::WhenOneLeaves;
        }
        self.in_flight += 1;
        self.next = (!self.spacing.is_zero()).then(|| now + self.spacing);
        Entry::Now
    }

    fn succeeded(&mut self) {
        self.successes += 1;
        (self.refused, self.in_vain.0) = ((0, Duration::ZERO), 0);
        if self.spacing > self.base {
            self.spacing = self.spacing.mul_f64(0.9).max(self.base);
            if self.spacing < self.spacings.first / 4 {
                self.spacing = self.base;
            }
        } else {
            self.window = (self.window + 1.0 / self.window).min(self.cap as f64);
        }
    }

    fn slow_down(&mut self, now: Instant, wait: Duration) {
        let until = now + wait;
        // Requests that were in flight together are refused together: they are one sign, not many.
        let same_sign = self.next.is_some_and(|next| next > now + self.spacing);
        if !same_sign {
            self.refused = (self.refused.0.saturating_add(1), self.refused.1.saturating_add(wait));
            if self.window < 1.5 {
                self.spacing = (self.spacing * 2).clamp(self.spacings.first, self.spacings.most);
            }
            self.window = (self.window / 2.0).max(1.0);
        }
        self.next = Some(self.next.map_or(until, |next| next.max(until)));
    }
}

#[derive(Default)]
struct State {
    lanes: HashMap<LaneKey, Lane>,
    /// Where those who want to enter a lane stand in line.
    doors: HashMap<LaneKey, Arc<tokio::sync::Mutex<()>>>,
    messages_in_flight: usize,
    files_in_flight: HashMap<i32, usize>,
    /// Open file connections of each data centre.
    file_connections: HashMap<i32, usize>,
}

/// The one place that decides when a request may go out.
pub(super) struct Pacer {
    caps: Caps,
    spacings: Spacing,
    state: Mutex<State>,
    left: Notify,
}

/// The right to have one request in flight; given back on drop.
pub(super) struct Permit {
    pacer: Arc<Pacer>,
    key: LaneKey,
}

impl Pacer {
    /// With the pause after a first failure, by which it measures how patient to be.
    pub(super) fn new(caps: Caps, pause: Duration) -> Arc<Self> {
        let spacings = Spacing { first: pause / 2, most: pause * 10 };
        Arc::new(Self { caps, spacings, state: Mutex::default(), left: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request of this kind may go out: who comes first goes first, because what is asked for first is read first.
    pub(super) async fn enter(self: &Arc<Self>, key: LaneKey) -> Permit {
        let door = self.state().doors.entry(key).or_default().clone();
        let _first = door.lock().await;
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            match self.try_enter(key, Instant::now()) {
                Entry::Now => return Permit { pacer: self.clone(), key },
                Entry::At(time) => sleep_until(time).await,
                Entry::WhenOneLeaves => left.await,
            }
        }
    }

    /// Takes note of how many file connections to a data centre are open: each carries its part of the requests.
    pub(super) fn note_file_connections(&self, dc: i32, open: usize) {
        self.state().file_connections.insert(dc, open);
    }

    fn try_enter(&self, key: LaneKey, now: Instant) -> Entry {
        let mut state = self.state();
        let state = &mut *state;
        let Caps { message_requests, file_requests, file_connections, .. } = self.caps;
        let (cap, now_at_most, in_all) = match key.purpose {
            Purpose::Messages => (message_requests, message_requests, &mut state.messages_in_flight),
            Purpose::Files => {
                // More would only wait on the way, and hold up what is read first.
                let open = state.file_connections.get(&key.dc).copied().unwrap_or_default().clamp(1, file_connections);
                (file_requests, file_requests * open / file_connections, state.files_in_flight.entry(key.dc).or_default())
            }
        };
        if *in_all >= now_at_most {
            return Entry::WhenOneLeaves;
        }
        let base = if key.purpose == Purpose::Messages { self.caps.interval } else { Duration::ZERO };
        let entry = state.lanes.entry(key).or_insert_with(|| Lane::new(cap, base, self.spacings)).try_enter(now);
        if entry == Entry::Now {
            *in_all += 1;
        }
        entry
    }

    /// What a request of this kind has to expect.
    pub(super) fn outlook(&self, key: LaneKey) -> Outlook {
        self.state().lanes.get(&key).map_or(Outlook::Good(0), |lane| lane.outlook(Instant::now()))
    }

    /// How often in a row requests of this kind were told to wait, and how long.
    pub(super) fn refused(&self, key: LaneKey) -> (u32, Duration) {
        self.state().lanes.get(&key).map_or((0, Duration::ZERO), |lane| lane.refused)
    }

    /// Takes note of a request that was given up, because the server only ever said "later": with the successes of the lane when it
    /// began.
    pub(super) fn gave_up(&self, key: LaneKey, since: u64, word: String) {
        if let Some(lane) = self.state().lanes.get_mut(&key) {
            lane.gave_up(Instant::now(), since, word);
        }
    }

    /// Takes note of an answer that was not a complaint.
    pub(super) fn succeeded(&self, key: LaneKey) {
        if let Some(lane) = self.state().lanes.get_mut(&key) {
            lane.succeeded();
        }
    }

    /// Takes note of the server's "too fast, wait".
    pub(super) fn slow_down(&self, key: LaneKey, wait: Duration) {
        if let Some(lane) = self.state().lanes.get_mut(&key) {
            lane.slow_down(Instant::now(), wait);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut state = self.pacer.state();
            match self.key.purpose {
                Purpose::Messages => state.messages_in_flight = state.messages_in_flight.saturating_sub(1),
                Purpose::Files => {
                    if let Some(count) = state.files_in_flight.get_mut(&self.key.dc) {
                        *count = count.saturating_sub(1);
                    }
                }
            }
            if let Some(lane) = state.lanes.get_mut(&self.key) {
                lane.in_flight = lane.in_flight.saturating_sub(1);
            }
        }
        self.pacer.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_the_same_table() {
        let guide = include_str!("../../../docs/guide/telegram.md");
        for (name, pace) in [("gentle", Pace::Gentle), ("normal", Pace::Normal), ("fast", Pace::Fast)] {
            let Caps { message_connections, message_requests, file_connections, file_requests, interval } = pace.caps();
            let row = format!(
                "| {name} | {message_connections} | {message_requests} | {file_connections} | {file_requests} | {} ms |\n",
                interval.as_millis()
            );
            assert!(guide.contains(&row), "{row}");
        }
    }

    const PAUSE: Duration = Duration::from_millis(500);

    fn lane(cap: usize) -> Lane {
        Lane::new(cap, Duration::ZERO, Spacing { first: PAUSE / 2, most: PAUSE * 20 })
    }

    #[test]
    fn a_kind_of_request_that_is_refused_without_end_is_left_alone_for_a_while() {
        let (mut lane, now) = (lane(4), Instant::now());
        let word = || "FLOOD_WAIT_0 (420)".to_owned();
        lane.succeeded();
        for _ in 1..MOST_IN_VAIN {
            lane.gave_up(now, 1, word());
            assert_eq!(lane.outlook(now), Outlook::Poor(1));
        }
        // Others had their answers.
        lane.gave_up(now, 0, word());
        assert_eq!(lane.outlook(now), Outlook::Poor(1));
        lane.gave_up(now, 1, word());
        assert_eq!(lane.outlook(now), Outlook::None(word()));
        let later = now + SHUT;
        assert_eq!(lane.outlook(later), Outlook::Poor(1));
        lane.gave_up(later, 1, word());
        assert_eq!(lane.outlook(later), Outlook::None(word()));
        lane.succeeded();
        assert_eq!(lane.outlook(later), Outlook::Good(2));
    }

    fn entered(lane: &mut Lane, now: Instant) -> usize {
        let mut count = 0;
        while lane.try_enter(now) == Entry::Now {
            count += 1;
        }
        lane.in_flight = 0;
        count
    }

    #[test]
    fn the_window_grows_to_the_cap_and_halves_on_complaint() {
        let (mut lane, now) = (lane(16), Instant::now());
        assert_eq!(entered(&mut lane, now), 8);
        for _ in 0..1_000 {
            lane.succeeded();
        }
        assert_eq!(entered(&mut lane, now), 16);
        lane.slow_down(now, Duration::from_secs(5));
        lane.slow_down(now, Duration::from_secs(5));
        assert_eq!(lane.try_enter(now), Entry::At(now + Duration::from_secs(5)));
        assert_eq!(entered(&mut lane, now + Duration::from_secs(5)), 8, "several complaints at once are one sign");
    }

    #[test]
    fn a_lane_that_is_told_to_wait_again_and_again_spaces_out_and_recovers() {
        let (mut lane, mut now) = (lane(4), Instant::now());
        for _ in 0..6 {
            lane.slow_down(now, Duration::from_secs(60));
            now += Duration::from_secs(120);
        }
        assert_eq!(lane.try_enter(now), Entry::Now);
        lane.in_flight = 0;
        assert!(matches!(lane.try_enter(now), Entry::At(time) if time >= now + Duration::from_secs(2)));
        for _ in 0..1_000 {
            lane.succeeded();
        }
        assert_eq!(entered(&mut lane, now + Duration::from_secs(60)), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_cap_is_ever_in_flight() {
        let pacer = Pacer::new(Pace::Fast.caps(), PAUSE);
        let running = Arc::new(Mutex::new((0_usize, 0_usize)));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..500_u32 {
            let (pacer, running) = (pacer.clone(), running.clone());
            tasks.spawn(async move {
                let key = LaneKey { purpose: Purpose::Messages, dc: 2, method: number % 5 };
                let _permit = pacer.enter(key).await;
                {
                    let mut running = running.lock().unwrap();
                    running.0 += 1;
                    running.1 = running.1.max(running.0);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                running.lock().unwrap().0 -= 1;
                pacer.succeeded(key);
            });
        }
        while let Some(result) = tasks.join_next().await {
            result.unwrap();
        }
        assert_eq!(running.lock().unwrap().1, Pace::Fast.caps().message_requests);
    }
}
