//! The batches of one chat's log, fetched a little ahead of the reader.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::operations::snapshot::OpenSnapshot;
use crate::render::log::Batches;

/// How many batches are fetched ahead while a reader goes from one to the next: each takes 4 MiB, and as much while it is fetched.
const AHEAD: usize = 1;

type Loading = JoinHandle<Result<Arc<[u8]>, OperationError>>;

/// Gives the batches of one chat's log.
pub struct BatchReader {
    snapshot: OpenSnapshot,
    paths: Vec<EntryPath>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<u32>,
    ahead: VecDeque<(u32, Loading)>,
}

impl BatchReader {
    pub(super) fn new(snapshot: OpenSnapshot, paths: Vec<EntryPath>) -> Self {
        Self { snapshot, paths, state: Mutex::default() }
    }

    /// The path of a batch.
    pub fn path(&self, batch: u32) -> Option<&EntryPath> {
        self.paths.get(batch as usize)
    }

    /// The batch as it is being fetched already, if it is. What lies before it is not needed any more.
    fn take_ahead(state: &mut State, batch: u32) -> Option<Loading> {
        let at = state.ahead.iter().position(|(number, _)| *number == batch)?;
        state.ahead.drain(..=at).next_back().map(|(_, loading)| loading)
    }

    fn fetch_ahead(&self, state: &mut State, batch: u32) {
        let count = self.count();
        let near = |number: u32| number > batch && number - batch <= AHEAD as u32;
        let (kept, stale) = state.ahead.drain(..).partition(|(number, _)| near(*number));
        state.ahead = kept;
        join(stale);
        for next in (batch..count).skip(1).take(AHEAD) {
            if state.ahead.iter().any(|(number, _)| *number == next) {
                continue;
            }
            let Some(path) = self.paths.get(next as usize).cloned() else { return };
            let snapshot = self.snapshot.clone();
            // Without a thread the batch is read when it is asked for.
            let Ok(loading) = std::thread::Builder::new().name("batch".into()).spawn(move || read(&snapshot, &path)) else { return };
            state.ahead.push_back((next, loading));
        }
    }
}

impl Batches for BatchReader {
    type Error = OperationError;

    fn count(&self) -> u32 {
        u32::try_from(self.paths.len()).unwrap_or(u32::MAX)
    }

    fn load(&self, batch: u32) -> Result<Arc<[u8]>, OperationError> {
        let missing = || OperationError::Internal(format!("a log has no batch {batch}"));
        let path = self.paths.get(batch as usize).ok_or_else(missing)?;
        let loading = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let loading = Self::take_ahead(&mut state, batch);
            let goes_on = state.last.map_or(batch == 0, |last| last.checked_add(1) == Some(batch));
            if goes_on {
                self.fetch_ahead(&mut state, batch);
            }
            state.last = Some(batch);
            loading
        };
        match loading {
            Some(loading) => loading.join().unwrap_or_else(|_| Err(OperationError::Internal("a thread ended unexpectedly".into()))),
            None => read(&self.snapshot, path),
        }
    }
}

impl Drop for BatchReader {
    /// Threads that read from the store must not outlive the run.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        join(std::mem::take(&mut state.ahead));
    }
}

fn join(ahead: VecDeque<(u32, Loading)>) {
    for (_, loading) in ahead {
        let _ = loading.join();
    }
}

fn read(snapshot: &OpenSnapshot, path: &EntryPath) -> Result<Arc<[u8]>, OperationError> {
    snapshot.read(path).map(Into::into)
}
