//! Memory for the parts of files that are fetched ahead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all files share, one permit a part; given in the order in which it was asked for.
pub(super) struct Budget {
    all: Arc<Semaphore>,
    /// Of several data centres none may have more than half, so that files of each are fetched ahead, whatever is read first.
    dcs: Mutex<HashMap<i32, Arc<Semaphore>>>,
    half: usize,
}

/// Memory for one part; given back on drop.
pub(super) struct Memory {
    _all: OwnedSemaphorePermit,
    _dc: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// Memory for `parts` parts.
    pub(super) fn new(parts: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(parts)), dcs: Mutex::default(), half: parts.div_ceil(2) }
    }

    /// Waits for memory for a part from one of several data centres, or with `None` from the only one; `None` never comes while the
    /// budget lives.
    pub(super) async fn part(&self, dc: Option<i32>) -> Option<Memory> {
        let half = dc.map(|dc| {
            let mut dcs = self.dcs.lock().unwrap_or_else(PoisonError::into_inner);
            dcs.entry(dc).or_insert_with(|| Arc::new(Semaphore::new(self.half))).clone()
        });
        let dc = match half {
            Some(half) => Some(half.acquire_owned().await.ok()?),
            None => None,
        };
        Some(Memory { _all: self.all.clone().acquire_owned().await.ok()?, _dc: dc })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn no_data_centre_takes_all_and_together_they_take_no_more() {
        let budget = Budget::new(8);
        let granted = |dc: Option<i32>| -> Vec<Memory> { std::iter::from_fn(|| budget.part(dc).now_or_never().flatten()).collect() };
        assert_eq!(granted(None).len(), 8);
        let (first, second) = (granted(Some(2)), granted(Some(4)));
        assert_eq!([first.len(), second.len(), granted(Some(5)).len()], [4, 4, 0]);
        drop(first);
        let third = granted(Some(5));
        assert_eq!([granted(Some(4)).len(), third.len()], [0, 4]);
    }
}
