//! Memory for the parts of files that are fetched ahead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// What all files share; given to files in the order in which they were begun, which is the one in which they are read.
///
/// Of several data centres that have something to fetch none gets more than its share, so that files of each are fetched ahead,
/// whatever is read first. One that is alone gets all.
pub(super) struct Budget {
    parts: usize,
    state: Mutex<State>,
}

/// A file's place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

impl Place {
    /// Before all others: somebody reads the file already.
    pub(super) const FIRST: Self = Self(0);
}

/// Memory for one part; given back on drop.
pub(super) struct Memory {
    budget: Arc<Budget>,
    dc: i32,
}

#[derive(Default)]
struct State {
    centres: BTreeMap<i32, Centre>,
    begun: u64,
    asked: u64,
}

#[derive(Default)]
struct Centre {
    /// Parts that it has memory for.
    held: usize,
    /// Who waits, in order: parts of files in the order of these, and of one file as they were asked for.
    waiting: BTreeMap<(Place, u64), oneshot::Sender<Memory>>,
}

impl Budget {
    /// Memory for `parts` parts.
    pub(super) fn new(parts: usize) -> Arc<Self> {
        Arc::new(Self { parts, state: Mutex::default() })
    }

    /// The place of a file that begins now.
    pub(super) fn place(&self) -> Place {
        let mut state = self.state();
        state.begun += 1;
        Place(state.begun)
    }

    /// Waits for memory for a part of a file from a data centre; `None` never comes while the budget lives.
    pub(super) async fn part(self: &Arc<Self>, dc: i32, place: Place) -> Option<Memory> {
        let given = self.state().ask(dc, place);
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
    fn ask(&mut self, dc: i32, place: Place) -> oneshot::Receiver<Memory> {
        let (tell, given) = oneshot::channel();
        self.asked += 1;
        self.centres.entry(dc).or_default().waiting.insert((place, self.asked), tell);
        given
    }

    /// Forgets who waits no more.
    fn tidy(&mut self) {
        self.centres.retain(|_, centre| {
            while centre.waiting.first_entry().is_some_and(|first| first.get().is_closed()) {
                centre.waiting.pop_first();
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
        let below = self.centres.iter_mut().filter(|(_, centre)| centre.held < share && !centre.waiting.is_empty());
        let (dc, centre) = below.min_by_key(|(_, centre)| centre.waiting.keys().next().copied())?;
        let (_, tell) = centre.waiting.pop_first()?;
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
            Self::at(budget, dc, parts, budget.place())
        }

        fn at(budget: &Arc<Budget>, dc: i32, parts: usize, place: Place) -> Self {
            let one = || {
                let budget = budget.clone();
                async move { budget.part(dc, place).await }.boxed_local() as Pin<Box<dyn Future<Output = Option<Memory>>>>
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
    fn earlier_files_come_first_whenever_they_ask() {
        let budget = Budget::new(2);
        let (first, second) = (budget.place(), budget.place());
        let mut later = Asking::at(&budget, 2, 4, second);
        let mut earlier = Asking::at(&budget, 2, 1, first);
        let mut read = Asking::at(&budget, 2, 1, Place::FIRST);
        assert_eq!([later.has(), earlier.has(), read.has()], [2, 0, 0]);
        later.has.pop();
        assert_eq!([later.has(), earlier.has(), read.has()], [1, 0, 1]);
        later.has.pop();
        assert_eq!([later.has(), earlier.has(), read.has()], [0, 1, 1]);
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
