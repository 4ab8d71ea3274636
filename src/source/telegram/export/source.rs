//! The account as a [`Source`].

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::ledger::Ledger;
use super::run::{Plan, Run};
use super::whole::Outcome;
use crate::model::paths::RunId;
use crate::source::telegram::account::{Account, Api};
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::files::{Fetcher, Next, Out, outbox};
use crate::source::telegram::heard::Heard;
use crate::source::telegram::options::{Detail, ExportOptions, TakeoutUse};
use crate::source::telegram::stored::{CoverageCounts, StateStore};
use crate::source::telegram::tl::{Fingerprints, PeerBook};
use crate::source::{Sink, Source, SourceError, SourceName};

/// How long to wait for an item before looking whether the run is to end.
const LOOK_UP: Duration = Duration::from_millis(200);

/// Backs up a Telegram account.
pub struct TelegramSource {
    account: Arc<Account>,
    options: Arc<ExportOptions>,
    /// What the next listing begins with.
    heard: Mutex<Option<Heard>>,
    state: Arc<StateStore>,
    outcome: Mutex<Outcome>,
    /// Why the state could not be saved after a commit.
    state_error: Mutex<Option<io::Error>>,
}

impl TelegramSource {
    /// Makes a source of an account, for backups into the vault that is called `vault` here: what was stored for good is remembered
    /// for each vault.
    ///
    /// # Errors
    /// When the state of its earlier runs cannot be opened.
    pub fn new(account: impl Into<Arc<Account>>, options: ExportOptions, vault: &str) -> Result<Self, TelegramError> {
        let account = account.into();
        let file = account.states.of(vault);
        let path = file.place();
        let state = StateStore::open(file, account.user.user_id).map_err(|source| TelegramError::local(path, source))?;
        let state = if options.dry_run { state.forgetting() } else { state };
        Ok(Self {
            account,
            options: Arc::new(options),
            heard: Mutex::default(),
            state: Arc::new(state),
            outcome: Mutex::default(),
            state_error: Mutex::default(),
        })
    }

    /// The same for a run that follows the account: it begins with what was heard, and looks at what is new only.
    #[must_use]
    pub fn following(self, heard: Heard) -> Self {
        let options = ExportOptions {
            account: false,
            left: false,
            details: vec![Detail::None],
            takeout: TakeoutUse::Never,
            recheck_budget: 0,
            ..ExportOptions::clone(&self.options)
        };
        Self { options: Arc::new(options), heard: Mutex::new(Some(heard)), ..self }
    }

    /// What the last listing left for later.
    pub fn outcome(&self) -> Outcome {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What can be said about the chats that are stored, by the coverage that each of them has in the vault.
    pub fn coverage(&self) -> CoverageCounts {
        self.state.read().coverage()
    }

    /// Why the state could not be saved, if that happened: the next run will do some of the work again.
    pub fn state_error(&self) -> Option<io::Error> {
        self.state_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Requests made so far.
    pub fn requests(&self) -> u64 {
        self.account.requests()
    }

    fn keep_error(&self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, "the state of the Telegram account could not be saved");
            *self.state_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    fn unreadable(&self, error: TelegramError) -> SourceError {
        match error {
            TelegramError::Stopped => SourceError::Stopped(crate::source::Stopped),
            error => SourceError::Telegram { account: self.account.name.clone(), source: error },
        }
    }
}

/// Names a run so that later ones sort after earlier ones, those of the same second too.
pub(super) fn run_id(time: jiff::Timestamp) -> Result<RunId, TelegramError> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| TelegramError::Invalid(format!("no randomness: {error}")))?;
    let id = format!("{}{:06}Z-{:08x}", time.strftime("%Y%m%dT%H%M%S"), time.subsec_microsecond(), u32::from_le_bytes(random));
    id.parse().map_err(|_| TelegramError::Invalid("the clock gives no date".into()))
}

/// Ends the background work when the listing ends, however it ends.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Source for TelegramSource {
    fn name(&self) -> SourceName {
        SourceName { kind: "telegram".into(), name: self.account.name.clone() }
    }

    fn lists_everything(&self) -> bool {
        false
    }

    fn continues(&self, memory: &str, anew: bool) {
        let kept = self.state.continues(memory, anew);
        self.keep_error(kept);
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).take();
        let id = run_id(jiff::Timestamp::now()).map_err(|error| self.unreadable(error))?;
        self.state.begin();
        let clock = self.account.next_moment();
        let (observed, before) = self.state.begins_at(clock).unwrap_or_else(|error| {
            self.keep_error(Err(error));
            (clock, None)
        });
        let (outbox, inbox) = outbox();
        let client = self.account.client.clone();
        let prints = Arc::new(Fingerprints::new(self.state.read().key));
        let api = Arc::new(Api::new(client, self.account.observer.clone(), &self.account.name, self.state.clone(), &self.options));
        let peers = Arc::new(PeerBook::new(self.account.user.user_id));
        let runtime = self.account.threads.runtime().clone();
        let fetcher = Fetcher::new(
            api.clone(),
            peers.clone(),
            prints.clone(),
            outbox.clone(),
            self.state.clone(),
            self.options.clone(),
            runtime.clone(),
        );
        let stretches = api.client.caps().message_requests + 2;
        let run = Run {
            api,
            peers,
            prints,
            outbox,
            fetcher,
            state: self.state.clone(),
            options: self.options.clone(),
            id,
            observed,
            before: before.unwrap_or(i64::MIN),
            bot: self.account.user.bot,
            plan: Plan::default(),
            stretches: Semaphore::new(stretches),
            emoji: tokio::sync::Mutex::new(HashMap::new()),
            ledger: Ledger::default(),
            heard,
            follows: false,
        };
        let (done, result) = crossbeam_channel::bounded(1);
        let _task = AbortOnDrop(runtime.spawn(async move {
            let _ = done.send(run.export().await);
        }));
        loop {
            let out = match inbox.next(LOOK_UP) {
                Next::Out(out) => out,
                // Nothing comes while Telegram lets us wait; the user's wish to end must not wait with it.
                Next::Nothing if sink.is_stopped() => return Err(crate::source::Stopped.into()),
                Next::Nothing => continue,
                Next::End => break,
            };
            match out {
                Out::Item(item) => sink.item(item)?,
                Out::Problem(problem) => sink.problem(problem),
            }
        }
        let saved = self.state.flush();
        self.keep_error(saved);
        match result.recv() {
            Ok(Ok(outcome)) => {
                *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
                Ok(())
            }
            Ok(Err(error)) => Err(self.unreadable(error)),
            Err(_) => Err(self.unreadable(TelegramError::Invalid("the work on the network broke down".into()))),
        }
    }

    fn committed(&self, marks: &[u64]) {
        let saved = self.state.committed(marks);
        self.keep_error(saved);
    }
}
