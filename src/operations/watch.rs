//! Watching an account: what happens is stored soon after, in small runs; now and then a whole backup looks at everything.
//!
//! This decides when something is to be stored, and what happens when it cannot be. What a run does is [`super::backup`]'s, as for
//! any other: its counters move with what it committed, so the next one finds what was missed however this one ended.

use std::time::{Duration, Instant};

use super::stop::Stop;
use crate::source::telegram::{Heard, Listener, Stir};

/// How soon what may have been missed is looked for.
const DOUBT_AFTER: Duration = Duration::from_secs(5);
/// Before a run is tried again that failed; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);
/// How long the end waits for what Telegram has pushed already.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How often it is looked whether to stop, and a sign of life is given.
const TICK: Duration = Duration::from_millis(100);

/// When to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// What happened is stored at most so long after.
    pub flush: Duration,
    /// So many bytes of it are stored at once.
    pub flush_bytes: usize,
    /// After so long everything is looked at.
    pub whole: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        const HOUR: u64 = 60 * 60;
        Self { flush: Duration::from_secs(5 * 60), flush_bytes: 8 << 20, whole: Duration::from_secs(24 * HOUR) }
    }
}

/// What a run is to store.
#[derive(Debug)]
pub enum Due {
    /// What was heard, and what else is new in the chats.
    News(Box<Heard>),
    /// Everything.
    Whole,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ran {
    /// What was due is stored.
    Stored,
    /// It is not, and may be later; after so long, where that is known.
    Later(Option<Duration>),
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    News,
    Whole,
    Nothing,
}

impl Pace {
    /// What is due, by what was heard and when everything was looked at.
    fn next(&self, stir: &Stir, looked: Instant, now: Instant) -> Next {
        let patience = if stir.is_in_doubt { DOUBT_AFTER.min(self.flush) } else { self.flush };
        let waited = stir.since.is_some_and(|since| now.saturating_duration_since(since) >= patience);
        if now.saturating_duration_since(looked) >= self.whole {
            Next::Whole
        } else if waited || stir.bytes >= self.flush_bytes {
            Next::News
        } else {
            Next::Nothing
        }
    }
}

/// Stores what the listener hears by `run`, until `stop` is wanted, when it stores the rest. Everything was looked at just before.
///
/// `alive` is called while there is nothing to do, with whether updates can come. What `run` could not store is kept and tried again,
/// within the listener's bounds; how the last run ended says whether all of it is stored.
///
/// # Errors
/// Those of `run` that end the watch.
pub async fn watch<E>(
    listener: &Listener,
    pace: Pace,
    stop: &Stop,
    mut run: impl AsyncFnMut(Due) -> Result<Ran, E>,
    mut alive: impl FnMut(&Stir),
) -> Result<Ran, E> {
    listener.run_ended();
    let mut stir = listener.stir();
    let mut looked = Instant::now();
    let (mut pause, mut not_before) = (FIRST_PAUSE, None);
    loop {
        let (now, heard) = (Instant::now(), stir.borrow_and_update().clone());
        alive(&heard);
        if stop.is_wanted() || heard.has_ended {
            if !heard.has_ended {
                listener.settle(LAST_WORD).await;
            }
            let heard = stir.borrow().clone();
            return if heard.since.is_some() { run(Due::News(Box::new(listener.take()))).await } else { Ok(Ran::Stored) };
        }
        let waits = not_before.is_some_and(|not_before| now < not_before);
        let next = if waits { Next::Nothing } else { pace.next(&heard, looked, now) };
        let ran = match next {
            Next::Nothing => {
                let _ = tokio::time::timeout(TICK, stir.changed()).await;
                continue;
            }
            Next::Whole => {
                let ran = run(Due::Whole).await?;
                looked = Instant::now();
                ran
            }
            Next::News => {
                let heard = listener.take();
                let kept = heard.clone();
                let ran = run(Due::News(Box::new(heard))).await?;
                if let Ran::Later(_) = ran {
                    listener.put_back(kept);
                }
                ran
            }
        };
        listener.run_ended();
        (pause, not_before) = match ran {
            Ran::Stored => (FIRST_PAUSE, None),
            Ran::Later(after) => ((pause * 2).min(LONGEST_PAUSE), Some(Instant::now() + after.unwrap_or(pause))),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_depends_on_what_was_heard_and_when() {
        let pace = Pace::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let stir = |since: Option<u64>, bytes, is_in_doubt| Stir { since: since.map(at), bytes, is_in_doubt, ..Stir::default() };
        for (heard, now, expected) in [
            (stir(None, 0, false), 86_399, Next::Nothing),
            (stir(None, 0, false), 86_400, Next::Whole),
            (stir(Some(10), 500, false), 309, Next::Nothing),
            (stir(Some(10), 500, false), 310, Next::News),
            (stir(Some(10), 8 << 20, false), 10, Next::News),
            (stir(Some(10), 0, true), 14, Next::Nothing),
            (stir(Some(10), 0, true), 15, Next::News),
        ] {
            assert_eq!(pace.next(&heard, begin, at(now)), expected, "{heard:?} at {now}");
        }
    }
}
