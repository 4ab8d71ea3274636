//! Requests of an export: through the takeout where there is one, which is renewed when Telegram ends it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grammers_tl_types::{Identifiable, RemoteCall, Serializable, enums, functions, types};

use crate::source::telegram::error::TelegramError;
use crate::source::telegram::events::{Event, Observing};
use crate::source::telegram::options::{ChatClass, ExportOptions};
use crate::source::telegram::stored::StateStore;
use crate::source::telegram::wire::{CallError, CallOptions, Client};

/// How long the end of a takeout is waited for: everything is stored, and Telegram ends it by itself some day.
const FINISH_WITHIN: Duration = Duration::from_secs(30);
/// Renewals for one request, after which something else is wrong.
const RENEWALS_OF_ONE: usize = 3;
/// Renewals in one run: the user's devices are told of each.
const RENEWALS: usize = 10;

/// `invokeWithTakeout` around a request that is only borrowed.
struct InTakeout<'a, R>(i64, &'a R);

impl<R: RemoteCall> Serializable for InTakeout<'_, R> {
    fn serialize(&self, buffer: &mut impl Extend<u8>) {
        functions::InvokeWithTakeout::<()>::CONSTRUCTOR_ID.serialize(buffer);
        self.0.serialize(buffer);
        self.1.serialize(buffer);
    }
}

impl<R: RemoteCall> RemoteCall for InTakeout<'_, R> {
    type Return = R::Return;
}

/// `invokeWithMessagesRange` likewise.
struct InRange<'a, R>(&'a types::MessageRange, &'a R);

impl<R: RemoteCall> Serializable for InRange<'_, R> {
    fn serialize(&self, buffer: &mut impl Extend<u8>) {
        functions::InvokeWithMessagesRange::<()>::CONSTRUCTOR_ID.serialize(buffer);
        enums::MessageRange::Range(self.0.clone()).serialize(buffer);
        self.1.serialize(buffer);
    }
}

impl<R: RemoteCall> RemoteCall for InRange<'_, R> {
    type Return = R::Return;
}

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// Whether there is a takeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takeout {
    None,
    Open(i64),
    /// Telegram ended it and grants no other for now.
    Lost,
}

/// How the takeout began.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It is there.
    Open,
    /// Not before so many seconds have passed.
    Delayed(u64),
    /// Telegram does not offer it here.
    Refused(String),
    /// It may at another time.
    Failed(String),
}

/// Makes the requests of one export.
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) observer: Observing,
    pub(crate) account: String,
    state: Arc<StateStore>,
    takeout: RwLock<Takeout>,
    renewing: tokio::sync::Mutex<()>,
    renewals: AtomicUsize,
    init: functions::account::InitTakeoutSession,
}

/// What a takeout is asked for. `files` and `file_max_size` share a flag: one without the other is a malformed request.
fn init_request(options: &ExportOptions) -> functions::account::InitTakeoutSession {
    let has = |class| !options.chats.is_empty() || options.classes.contains(&class);
    let files = options.account || (options.takes_media() && options.max_file_size > 0);
    functions::account::InitTakeoutSession {
        contacts: options.account,
        message_users: has(ChatClass::Personal) || has(ChatClass::Bots),
        message_chats: has(ChatClass::PrivateGroups),
        message_megagroups: has(ChatClass::PrivateGroups) || has(ChatClass::PublicGroups),
        message_channels: has(ChatClass::PrivateChannels) || has(ChatClass::PublicChannels),
        files,
        // A takeout for files of no bytes is refused, and pictures of the account come whatever the limit is.
        file_max_size: files.then(|| i64::try_from(options.max_file_size.max(1)).unwrap_or(i64::MAX)),
    }
}

impl Api {
    pub(crate) fn new(client: Client, observer: Observing, account: &str, state: Arc<StateStore>, options: &ExportOptions) -> Self {
        Self {
            client,
            observer,
            account: account.to_owned(),
            state,
            takeout: RwLock::new(Takeout::None),
            renewing: tokio::sync::Mutex::new(()),
            renewals: AtomicUsize::new(0),
            init: init_request(options),
        }
    }

    fn takeout(&self) -> Takeout {
        *self.takeout.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn use_takeout(&self, takeout: Takeout) {
        *self.takeout.write().unwrap_or_else(PoisonError::into_inner) = takeout;
    }

    fn set_takeout(&self, takeout: Takeout) {
        self.use_takeout(takeout);
        self.keep(if let Takeout::Open(id) = takeout { Some(id) } else { None });
    }

    /// Keeps the number of a takeout that is open for the next run.
    fn keep(&self, id: Option<i64>) {
        if let Err(error) = self.state.change(|state| state.takeout = id) {
            // The number is a convenience: without it the next run asks for a new one.
            tracing::warn!(%error, "the takeout's number could not be kept");
        }
    }

    /// Remembers whether what only a takeout tells is still to be had: until a run with one came to its end, or there will be none.
    pub(crate) fn owe_takeout(&self, owed: bool) {
        if let Err(error) = self.state.change(|state| state.takeout_owed = owed) {
            tracing::warn!(%error, "the state could not be saved");
        }
    }

    pub(crate) fn has_takeout(&self) -> bool {
        matches!(self.takeout(), Takeout::Open(_))
    }

    /// Begins a takeout, or takes up the one that an earlier run left open.
    pub(crate) async fn start_takeout(&self) -> Result<Start, CallError> {
        if self.has_takeout() {
            return Ok(Start::Open);
        }
        let (left, not_before) = {
            let state = self.state.read();
            (state.takeout, state.takeout_not_before)
        };
        if let Some(id) = left {
            self.set_takeout(Takeout::Open(id));
            return Ok(Start::Open);
        }
        let wait = not_before.unwrap_or_default().saturating_sub(now());
        let asked = self.init().await;
        match asked {
            Ok(id) => {
                self.set_takeout(Takeout::Open(id));
                Ok(Start::Open)
            }
            Err(error) => match error.rpc() {
                Some(rpc) if rpc.is("TAKEOUT_INIT_DELAY") => {
                    Ok(Start::Delayed(rpc.value.map_or(u64::try_from(wait).unwrap_or_default(), u64::from)))
                }
                // The session is over, or Telegram wants a long wait: that holds for everything else too.
                Some(rpc) if rpc.code == 401 || rpc.wait().is_some() => Err(error),
                Some(rpc) if rpc.code >= 500 || rpc.code < 0 => Ok(Start::Failed(rpc.to_string())),
                Some(rpc) => Ok(Start::Refused(rpc.to_string())),
                None if !error.is_unreachable() && !error.is_wrong_server() => Ok(Start::Refused(error.to_string())),
                None => Err(error),
            },
        }
    }

    /// Asks for a takeout; remembers until when Telegram grants none.
    async fn init(&self) -> Result<i64, CallError> {
        // Where it fails for the moment, the run goes on without: that is not worth minutes.
        let answer = self.client.call_with(&self.init, CallOptions::BRIEF).await;
        let answer = answer.map(|(enums::account::Takeout::Takeout(takeout), _)| takeout.id);
        let not_before = match &answer {
            Ok(_) => None,
            Err(error) => match error.rpc().filter(|rpc| rpc.is("TAKEOUT_INIT_DELAY")).and_then(|rpc| rpc.value) {
                Some(seconds) => Some(now().saturating_add(seconds.into())),
                None => return answer,
            },
        };
        self.state.change(|state| state.takeout_not_before = not_before).map_err(CallError::Io)?;
        answer
    }

    /// Ends the takeout, and one that an earlier run could not end. One that an earlier run did not come to the end of stays for the next
    /// that needs it. A failure costs nothing but a note.
    pub(crate) async fn finish_takeout(&self, success: bool) {
        let id = match self.takeout() {
            Takeout::Open(id) => Some(id),
            Takeout::None => {
                let state = self.state.read();
                state.takeout.filter(|_| !state.takeout_owed)
            }
            Takeout::Lost => None,
        };
        let Some(id) = id else { return };
        // First of all: a request that finds it ended must not begin another.
        self.use_takeout(Takeout::None);
        let request = InTakeout(id, &functions::account::FinishTakeoutSession { success });
        let failure = match tokio::time::timeout(FINISH_WITHIN, self.client.call(&request)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(CallError::TimedOut(FINISH_WITHIN)),
        };
        if let Some(error) = &failure {
            tracing::warn!(%error, "the takeout could not be ended");
        }
        // Where nothing was heard of it, the next run takes it up, or ends it.
        if failure.is_none_or(|error| error.rpc().is_some()) {
            self.keep(None);
        }
    }

    /// Gets a new takeout after `ended` was refused, once for all requests that find out together. The request that asks has had
    /// `renewals` of them.
    async fn renew(&self, ended: i64, renewals: usize) {
        let _guard = self.renewing.lock().await;
        if self.takeout() != Takeout::Open(ended) {
            return;
        }
        if renewals >= RENEWALS_OF_ONE || self.renewals.fetch_add(1, Ordering::Relaxed) >= RENEWALS {
            return self.give_up("again and again");
        }
        match self.init().await {
            Ok(id) => {
                self.observer.event(Event::Note("Telegram ended the takeout; continuing with a new one".into()));
                self.set_takeout(Takeout::Open(id));
            }
            Err(error) => self.give_up(&format!("and grants no new one ({error})")),
        }
    }

    /// Goes on without a takeout, and says so.
    fn give_up(&self, why: &str) {
        let what = format!("Telegram ended the takeout {why}: going on with ordinary requests");
        self.observer.event(Event::Note(what));
        self.set_takeout(Takeout::Lost);
    }

    async fn wrapped<R: RemoteCall>(&self, request: &R, options: CallOptions) -> Result<(R::Return, i32), CallError> {
        for renewals in 0.. {
            let Takeout::Open(id) = self.takeout() else { break };
            match self.client.call_with(&InTakeout(id, request), options).await {
                Err(error) if error.is_any(&["TAKEOUT_INVALID", "TAKEOUT_REQUIRED"]) => self.renew(id, renewals).await,
                result => return result,
            }
        }
        self.client.call_with(request, options).await
    }

    /// Asks the account's data centre.
    pub(crate) async fn ask<R: RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        Ok(self.wrapped(request, CallOptions::QUESTION).await?.0)
    }

    /// Asks about the messages of one range, where the account is split into such.
    pub(crate) async fn ask_in<R: RemoteCall>(&self, range: Option<&types::MessageRange>, request: &R) -> Result<R::Return, CallError> {
        match range {
            Some(range) if self.has_takeout() => self.ask(&InRange(range, request)).await,
            _ => self.ask(request).await,
        }
    }

    /// Asks for a file's part.
    pub(crate) async fn ask_file<R: RemoteCall>(&self, request: &R, dc: i32) -> Result<(R::Return, i32), CallError> {
        self.wrapped(request, CallOptions::file(dc)).await
    }

    /// Asks outside of the takeout.
    pub(crate) async fn ask_plainly<R: RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.client.call(request).await
    }

    /// Asks outside of the takeout for what is nice to have: a longer wait is an error of this request alone.
    pub(crate) async fn ask_extra<R: RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        Ok(self.client.call_with(request, CallOptions::EXTRA).await?.0)
    }

    /// What a failed request means for the run: an error that ends it, or the reason why one thing is missing.
    ///
    /// # Errors
    /// When the login is gone, Telegram wants a longer wait than is accepted, or cannot be reached at all.
    pub(crate) fn or_reason(&self, what: &str, error: CallError) -> Result<String, TelegramError> {
        if error.is_unreachable() {
            return Err(TelegramError::from_call(&self.account, format!("Telegram cannot be reached while {what}"), error));
        }
        self.or_file_reason(what, error)
    }

    /// The same for a file: its data centre is one of several, and the others may well answer.
    ///
    /// # Errors
    /// When the login is gone, or Telegram wants a longer wait than is accepted.
    pub(crate) fn or_file_reason(&self, what: &str, error: CallError) -> Result<String, TelegramError> {
        match TelegramError::from_call(&self.account, what, error) {
            TelegramError::Call { source, .. } => Ok(match source.rpc() {
                Some(rpc) if !rpc.name.is_empty() => rpc.name.clone(),
                _ => source.to_string(),
            }),
            fatal => Err(fatal),
        }
    }
}
