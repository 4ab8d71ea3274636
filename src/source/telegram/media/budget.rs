//! Memory for the parts of files that are fetched ahead.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// What all files share; given in the order in which it was asked for.
///
/// Of several data centres that have something to fetch none gets more than its share, so that files of each are fetched ahead,
/// whatever is read first. One that is alone gets all.
pub(super) struct Budget {
    parts: usize,
    state: Mutex<State>,
}

/// Memory for one part; given back on drop.
pub(super) struct Memory {
    budget: Arc<Budget>,
    dc: i32,
}

#[derive(Default)]
struct State {
    centres: BTreeMap<i32, Centre>,
    asked: u64,
}

#[derive(Default)]
struct Centre {
    /// Parts that it has memory for.
    held: usize,
    /// Who waits, with their place among all.
    waiting: VecDeque<(u64, oneshot::Sender<Memory>)>,
}

impl Budget {
    /// Memory for `parts` parts.
    pub(super) fn new(parts: usize) -> Arc<Self> {
        Arc::new(Self { parts, state: Mutex::default() })
    }

    /// Waits for memory for a part from a data centre; `None` never comes while the budget lives.
    pub(super) async fn part(self: &Arc<Self>, dc: i32) -> Option<Memory> {
        let given = self.state().ask(dc);
        self.give();
        given.await.ok()
    }

    /// Whether there is something to fetch from several data centres.
    pub(super) fn is_shared(&self) -> bool {
        let mut state = self.state();
        state.tidy();
        state.centres.len() > 1
    }

    /// Gives what is free to those who wait.
    fn give(self: &Arc<Self>) {
        loop {
            // The state is let go before anybody is told: memory that nobody takes comes back at once.
            let next = self.state().next(self.parts);
            let Some((dc, tell)) = next else { return };
            let _ = tell.send(Memory { budget: self.clone(), dc });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ask(&mut self, dc: i32) -> oneshot::Receiver<Memory> {
        let (tell, given) = oneshot::channel();
        self.asked += 1;
        self.centres.entry(dc).or_default().waiting.push_back((self.asked, tell));
        given
    }

    /// Forgets who waits no more.
    fn tidy(&mut self) {
        self.centres.retain(|_, centre| {
            while centre.waiting.front().is_some_and(|(_, tell)| tell.is_closed()) {
                centre.waiting.pop_front();
            }
            centre.held > 0 || !centre.waiting.is_empty()
        });
    }

    /// Who gets memory now, and counts it.
    fn next(&mut self, parts: usize) -> Option<(i32, oneshot::Sender<Memory>)> {
        self.tidy();
        if self.centres.values().map(|centre| centre.held).sum::<usize>() >= parts {
            return None;
        }
        let share = parts.div_ceil(self.centres.len().max(1));
        let below = self.centres.iter_mut().filter(|(_, centre)| centre.held < share);
        let (dc, centre) = below
            .filter_map(|(dc, centre)| Some((centre.waiting.front()?.0, dc, centre)))
            .min_by_key(|(place, ..)| *place)
            .map(|(_, dc, centre)| (dc, centre))?;
        let (_, tell) = centre.waiting.pop_front()?;
        centre.held += 1;
        Some((*dc, tell))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(centre) = self.budget.state().centres.get_mut(&self.dc) {
            centre.held -= 1;
        }
        self.budget.give();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures::FutureExt;

    use super::*;

    /// Somebody who wants memory for several parts.
    struct Asking {
        waiting: Vec<Pin<Box<dyn Future<Output = Option<Memory>>>>>,
        has: Vec<Memory>,
    }

    impl Asking {
        fn new(budget: &Arc<Budget>, dc: i32, parts: usize) -> Self {
            let one = || {
                let budget = budget.clone();
                async move { budget.part(dc).await }.boxed_local() as Pin<Box<dyn Future<Output = Option<Memory>>>>
            };
            let mut asking = Self { waiting: std::iter::repeat_with(one).take(parts).collect(), has: vec![] };
            asking.has();
            asking
        }

        /// How many it has by now.
        fn has(&mut self) -> usize {
            for mut one in std::mem::take(&mut self.waiting) {
                match one.as_mut().now_or_never() {
                    Some(memory) => self.has.extend(memory),
                    None => self.waiting.push(one),
                }
            }
            self.has.len()
        }
    }

    #[test]
    fn one_data_centre_takes_all_and_several_share() {
        let budget = Budget::new(8);
        let mut first = Asking::new(&budget, 2, 20);
        assert_eq!((first.has(), budget.is_shared()), (8, false));
        let mut second = Asking::new(&budget, 4, 20);
        assert_eq!((second.has(), budget.is_shared()), (0, true));
        first.has.truncate(2);
        assert_eq!([first.has(), second.has()], [4, 4]);
        first.waiting.clear();
        first.has.clear();
        assert_eq!([first.has(), second.has()], [0, 8]);
    }

    #[test]
    fn who_asks_first_gets_first_and_who_went_away_gets_nothing() {
        let budget = Budget::new(2);
        let mut all: Vec<Asking> = (0..5).map(|_| Asking::new(&budget, 2, 1)).collect();
        all.remove(2);
        assert_eq!(all.iter_mut().map(Asking::has).collect::<Vec<_>>(), [1, 1, 0, 0]);
        all.remove(0);
        assert_eq!(all.iter_mut().map(Asking::has).collect::<Vec<_>>(), [1, 1, 0]);
        drop(all);
        assert!(budget.state().centres.values().all(|centre| centre.held == 0));
    }
}
