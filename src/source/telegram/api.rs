//! Requests of an export: through the takeout where there is one, which is renewed when Telegram ends it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use grammers_tl_types::{Identifiable, RemoteCall, Serializable, enums, functions, types};

use super::error::TelegramError;
use super::events::Event;
use super::options::{ChatClass, ExportOptions};
use super::state::StateStore;
use super::transport::{CallError, CallOptions, Client};

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
pub(super) fn now() -> i64 {
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
pub(super) enum Start {
    /// It is there.
    Open,
    /// Not before so many seconds have passed.
    Delayed(u64),
    /// Telegram does not offer it here.
    Refused(String),
}

/// Makes the requests of one export.
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) account: String,
    state: Arc<StateStore>,
    takeout: RwLock<Takeout>,
    renewing: tokio::sync::Mutex<()>,
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
        file_max_size: files.then(|| i64::try_from(options.max_file_size).unwrap_or(i64::MAX)),
    }
}

impl Api {
    pub(super) fn new(client: Client, account: &str, state: Arc<StateStore>, options: &ExportOptions) -> Self {
        Self {
            client,
            account: account.to_owned(),
            state,
            takeout: RwLock::new(Takeout::None),
            renewing: tokio::sync::Mutex::new(()),
            init: init_request(options),
        }
    }

    fn takeout(&self) -> Takeout {
        *self.takeout.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_takeout(&self, takeout: Takeout) {
        *self.takeout.write().unwrap_or_else(PoisonError::into_inner) = takeout;
        let id = if let Takeout::Open(id) = takeout { Some(id) } else { None };
        if let Err(error) = self.state.change(|state| state.takeout = id) {
            // The id is a convenience: without it the next run asks for a new one.
            tracing::warn!(%error, "the takeout's number could not be kept");
        }
    }

    pub(super) fn has_takeout(&self) -> bool {
        matches!(self.takeout(), Takeout::Open(_))
    }

    /// Begins a takeout, or takes up the one that an earlier run left open.
    pub(super) async fn start_takeout(&self) -> Result<Start, CallError> {
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
                    let seconds = rpc.value.map_or(u64::try_from(wait).unwrap_or_default(), u64::from);
                    let until = now().saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
                    self.state.change(|state| state.takeout_not_before = Some(until)).map_err(CallError::Io)?;
                    Ok(Start::Delayed(seconds))
                }
                // The session is over, or Telegram wants a long wait: that holds for everything else too.
                Some(rpc) if rpc.code == 401 || rpc.wait().is_some() => Err(error),
                Some(rpc) => Ok(Start::Refused(rpc.to_string())),
                None if !error.is_unreachable() && !error.is_wrong_server() => Ok(Start::Refused(error.to_string())),
                None => Err(error),
            },
        }
    }

    async fn init(&self) -> Result<i64, CallError> {
        let enums::account::Takeout::Takeout(takeout) = self.client.call(&self.init).await?;
        self.state.change(|state| state.takeout_not_before = None).map_err(CallError::Io)?;
        Ok(takeout.id)
    }

    /// Ends the takeout; a failure of this costs nothing but a note.
    pub(super) async fn finish_takeout(&self, success: bool) {
        if let Takeout::Open(id) = self.takeout() {
            // First of all: a request that finds it ended must not begin another.
            self.set_takeout(Takeout::None);
            let request = functions::account::FinishTakeoutSession { success };
            if let Err(error) = self.client.call(&InTakeout(id, &request)).await {
                tracing::warn!(%error, "the takeout could not be ended");
            }
        }
    }

    /// Gets a new takeout after `ended` was refused, once for all requests that find out together.
    async fn renew(&self, ended: i64) -> Result<(), CallError> {
        let _guard = self.renewing.lock().await;
        if self.takeout() != Takeout::Open(ended) {
            return Ok(());
        }
        match self.init().await {
            Ok(id) => {
                self.client.observer().event(Event::Note("Telegram ended the takeout; a new one goes on from here".into()));
                self.set_takeout(Takeout::Open(id));
            }
            Err(error) => {
                let what = format!("Telegram ended the takeout and grants no new one ({error}): going on with ordinary requests");
                self.client.observer().event(Event::Note(what));
                self.set_takeout(Takeout::Lost);
            }
        }
        Ok(())
    }

    async fn wrapped<R: RemoteCall>(&self, request: &R, options: CallOptions) -> Result<(R::Return, i32), CallError> {
        /// More renewals for one request than this, and something else is wrong.
        const RENEWALS: usize = 3;
        for _ in 0..RENEWALS {
            let Takeout::Open(id) = self.takeout() else { break };
            match self.client.call_with(&InTakeout(id, request), options).await {
                Err(error) if error.is_any(&["TAKEOUT_INVALID", "TAKEOUT_REQUIRED"]) => self.renew(id).await?,
                result => return result,
            }
        }
        self.client.call_with(request, options).await
    }

    /// Asks the account's data centre.
    pub(super) async fn ask<R: RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        Ok(self.wrapped(request, CallOptions::QUESTION).await?.0)
    }

    /// Asks about the messages of one range, where the account is split into such.
    pub(super) async fn ask_in<R: RemoteCall>(&self, range: Option<&types::MessageRange>, request: &R) -> Result<R::Return, CallError> {
        match range {
            Some(range) if self.has_takeout() => self.ask(&InRange(range, request)).await,
            _ => self.ask(request).await,
        }
    }

    /// Asks for a file's part.
    pub(super) async fn ask_file<R: RemoteCall>(&self, request: &R, dc: i32) -> Result<(R::Return, i32), CallError> {
        self.wrapped(request, CallOptions::file(dc)).await
    }

    /// Asks outside of the takeout.
    pub(super) async fn ask_plainly<R: RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.client.call(request).await
    }

    /// What a failed request means for the run: an error that ends it, or the reason why one thing is missing.
    ///
    /// # Errors
    /// When the login is gone, Telegram wants a longer wait than is accepted, or cannot be reached at all.
    pub(super) fn or_reason(&self, what: &str, error: CallError) -> Result<String, TelegramError> {
        if error.is_unreachable() {
            return Err(TelegramError::from_call(&self.account, format!("Telegram cannot be reached while {what}"), error));
        }
        self.or_file_reason(what, error)
    }

    /// The same for a file: its data centre is one of several, and the others may well answer.
    ///
    /// # Errors
    /// When the login is gone, or Telegram wants a longer wait than is accepted.
    pub(super) fn or_file_reason(&self, what: &str, error: CallError) -> Result<String, TelegramError> {
        match TelegramError::from_call(&self.account, what, error) {
            TelegramError::Call { source, .. } => Ok(match source.rpc() {
                Some(rpc) if !rpc.name.is_empty() => rpc.name.clone(),
                _ => source.to_string(),
            }),
            fatal => Err(fatal),
        }
    }
}
