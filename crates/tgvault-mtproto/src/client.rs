//! The pool: a request goes in, finds its data centre, its turn and a connection, and is asked again where that helps.
//!
//! `dial` makes connections.

mod dial;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grammers_tl_types::{Deserializable, Identifiable, LAYER, RemoteCall, Serializable, enums, functions, name_for_id};
use tokio::sync::broadcast;
use tokio::time::timeout;

use super::connection::{Connection, Heartbeat, Pushed};
use super::error::{CallError, RpcError};
use super::events::{Event, Observing};
use super::pace::{Caps, LaneKey, Outlook, Pacer, Purpose};
use super::pool::{Centre, Place, Pool};
use super::proxy::Proxy;
use super::retry::{Attempt, Decision, MAX_FAILURES, decide};
use super::server_key::ServerKey;
use super::session::Session;

/// How the program presents itself to Telegram; the user sees it in the list of active sessions.
#[derive(Clone, Debug)]
pub struct Device {
    /// The device's model.
    pub model: String,
    /// The operating system and its version.
    pub system: String,
    /// The program's version.
    pub version: String,
}

impl Default for Device {
    fn default() -> Self {
        Self { model: "tgvault".into(), system: std::env::consts::OS.into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// How long things may take before they count as failed.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// To reach an address.
    pub connect: Duration,
    /// To agree on a key.
    pub exchange: Duration,
    /// To answer a request.
    pub answer: Duration,
    /// Between two signs of life on an idle connection.
    pub silence: Duration,
    /// Before a failed request is made again for the first time; doubled each time after.
    pub pause: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(10), exchange: seconds(30), answer: seconds(60), silence: seconds(100), pause: Duration::from_millis(500) }
    }
}

/// What a [`Client`] is made with.
pub struct ClientOptions {
    /// The application's number from my.telegram.org.
    pub api_id: i32,
    /// How to present ourselves.
    pub device: Device,
    /// The bounds to stay below.
    pub caps: Caps,
    /// Time limits.
    pub limits: TimeLimits,
    /// The longest FLOOD_WAIT that is waited out.
    pub max_wait: Duration,
    /// The proxy that all connections go through; `None` for direct ones.
    pub proxy: Option<Proxy>,
    /// The keys by which servers are recognised.
    pub keys: Vec<ServerKey>,
    /// Who is told about waits.
    pub observer: Observing,
}

/// How one request is made.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
    /// The data centre; `None` for the account's own.
    pub dc: Option<i32>,
    /// Whether it goes over the connections for files.
    pub files: bool,
    /// Whether it may be sent again when it is unclear whether it arrived.
    pub repeatable: bool,
    /// How often it is made at most, waits that the server asks for apart.
    pub tries: u32,
    /// The longest wait that the server may ask for, where that is shorter than for others.
    pub patience: Option<Duration>,
}

impl CallOptions {
    /// A question to the home data centre.
    pub const QUESTION: Self = Self { dc: None, files: false, repeatable: true, tries: MAX_FAILURES, patience: None };
    /// The same for what can be done without: it is given up soon.
    pub const BRIEF: Self = Self { tries: 3, ..Self::QUESTION };
    /// The same for what is nice to have: a long wait for it would hold up the rest.
    pub const EXTRA: Self = Self { tries: 3, patience: Some(Duration::from_secs(30)), ..Self::QUESTION };
    /// A request that changes something and must not be made twice.
    pub const ONCE: Self = Self { repeatable: false, ..Self::QUESTION };

    /// A file part from this data centre.
    pub const fn file(dc: i32) -> Self {
        Self { dc: Some(dc), files: true, ..Self::QUESTION }
    }
}

/// Parts of one file in flight, whatever the pace.
const MIN_FILE_WINDOW: usize = 2;

/// How often more a connection is tried for a request that must not be made twice: somebody waits for its outcome.
const MOST_DIALS: u32 = 2;

struct Inner {
    options: ClientOptions,
    session: Arc<dyn Session>,
    pacer: Arc<Pacer>,
    pool: Pool,
    updates: broadcast::Sender<Pushed>,
    requests: AtomicU64,
}

/// Makes requests for one account; clones share everything.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

impl Client {
    /// A client that connects when the first request is made.
    pub fn new(session: Arc<dyn Session>, options: ClientOptions) -> Self {
        let pacer = Pacer::new(options.caps, options.limits.pause);
        let (updates, _) = broadcast::channel(256);
        Self(Arc::new(Inner { options, session, pacer, pool: Pool::new(), updates, requests: AtomicU64::new(0) }))
    }

    /// The data centre that holds the account.
    pub fn home(&self) -> i32 {
        self.0.session.home()
    }

    /// The bounds it stays below.
    pub fn caps(&self) -> Caps {
        self.0.options.caps
    }

    /// How many parts of one file are worth asking for at once: as many as its data centre's share of the connections carries.
    pub fn file_window(&self) -> usize {
        (self.0.options.caps.file_requests / self.file_centres().max(1)).max(MIN_FILE_WINDOW)
    }

    /// How many data centres files come from just now.
    pub fn file_centres(&self) -> usize {
        self.0.pool.file_centres()
    }

    /// What comes in without being asked for; slow receivers lose some.
    pub fn updates(&self) -> broadcast::Receiver<Pushed> {
        self.0.updates.subscribe()
    }

    /// Whether there is a connection to the account's data centre by which updates can come.
    pub fn is_connected(&self) -> bool {
        self.0.pool.centre(self.home()).slots(Purpose::Messages).best().0.is_some()
    }

    /// Requests made so far, retries included.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Asks the account's data centre.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached after all retries.
    pub async fn call<R: RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        Ok(self.call_with(request, CallOptions::QUESTION).await?.0)
    }

    /// Makes a request in a given way; gives the answer and the data centre that had it.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached after all retries.
    pub async fn call_with<R: RemoteCall>(&self, request: &R, options: CallOptions) -> Result<(R::Return, i32), CallError> {
        let (answer, dc) = self.raw(request.to_bytes(), options).await?;
        let answer = R::Return::from_bytes(&answer).map_err(|error| CallError::Unreadable(error.to_string()))?;
        Ok((answer, dc))
    }

    async fn raw(&self, body: Vec<u8>, options: CallOptions) -> Result<(Vec<u8>, i32), CallError> {
        let inner = &self.0;
        let method = method_of(&body);
        let purpose = if options.files { Purpose::Files } else { Purpose::Messages };
        let mut fixed_dc = options.dc;
        let (mut failures, mut repairs, mut refusals, mut waited) = (0, 0, 0, Duration::ZERO);
        // The successes of its kind when it began.
        let mut since = None;
        loop {
            let (home_dc, logged_in) = (inner.session.home(), inner.session.is_logged_in());
            let dc = fixed_dc.unwrap_or(home_dc);
            let centre = inner.pool.centre(dc);
            let first = if purpose == Purpose::Files { centre.first().await } else { None };
            if purpose == Purpose::Files && centre.is_down() {
                return Err(CallError::Unusable(format!("data centre {dc} cannot be reached")));
            }
            let generation = centre.generation.load(Ordering::Acquire);
            let key = LaneKey { purpose, dc, method };
            if purpose == Purpose::Files {
                inner.pacer.note_file_connections(dc, centre.slots(purpose).best().1);
            }
            let permit = inner.pacer.enter(key).await;
            let (hopeless, successes) = match inner.pacer.outlook(key) {
                Outlook::Good(successes) => (false, successes),
                Outlook::Poor(successes) => (true, successes),
                Outlook::None(word) => return Err(CallError::Unusable(format!("Telegram keeps answering {word} to all like it"))),
            };
            let since_when = *since.get_or_insert(successes);
            // What never went out may go out, however often that is tried.
            let mut unsent = true;
            let result = match self.connection(&centre, dc, purpose).await {
                Ok(connection) => {
                    unsent = false;
                    inner.requests.fetch_add(1, Ordering::Relaxed);
                    let result = self.answer(&connection, body.clone(), dc, method).await;
                    if purpose == Purpose::Files && result.as_ref().map_or_else(accepts_us, |_| true) {
                        centre.set_proven();
                    }
                    // One that the server does not know any more has to be introduced again, which a new one is.
                    let unknown = |error: &CallError| error.is_any(&["CONNECTION_NOT_INITED", "CONNECTION_LAYER_INVALID"]);
                    if result.as_ref().is_err_and(|error| matches!(error, CallError::TimedOut(_)) || unknown(error)) {
                        centre.slots(purpose).give_up(&connection);
                    }
                    result
                }
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(answer) => {
                    inner.pacer.succeeded(key);
                    if failures > 0 {
                        inner.options.observer.event(Event::Connected { dc });
                    }
                    return Ok((answer, dc));
                }
                Err(error) => error,
            };
            let home = dc == home_dc && logged_in;
            let pause = inner.options.limits.pause;
            let repeatable = options.repeatable || (unsent && failures < MOST_DIALS);
            let max_wait = options.patience.map_or(inner.options.max_wait, |patience| patience.min(inner.options.max_wait));
            let asked_to_wait = error.rpc().and_then(RpcError::wait);
            refusals = if asked_to_wait.is_some() { refusals + 1 } else { 0 };
            let (all_refused, all_waited) = inner.pacer.refused(key);
            // A connection that came about and was lost is another matter: it may have come further than the one before.
            let silent = error.is_unreachable() && (unsent || matches!(error, CallError::TimedOut(_)));
            let unreached = if first.is_some() && silent { centre.was_unreached() } else { 0 };
            let attempt = Attempt {
                failures: unreached.max(failures + 1),
                repairs,
                home,
                pause,
                max_wait,
                repeatable,
                refusals: refusals.max(all_refused.saturating_add(1)),
                waited: waited.max(all_waited),
                hopeless,
                tries: options.tries,
            };
            let decision = decide(&error, attempt);
            tracing::debug!(method = name_for_id(method), dc, %error, ?decision, "a request failed");
            // The lane must know before the permit is back, or the next request slips out.
            if let Decision::SlowDown(wait) = decision {
                inner.pacer.slow_down(key, wait);
            }
            drop(permit);
            match decision {
                // Only the home data centre knows whether the account is logged in.
                Decision::Fail if dc != home_dc && logged_in && error.rpc().is_some_and(|rpc| rpc.code == 401) => {
                    return Err(CallError::Unusable(format!("data centre {dc} does not accept the login ({error})")));
                }
                Decision::GiveUp => {
                    inner.pacer.gave_up(key, since_when, error.rpc().map(ToString::to_string).unwrap_or_default());
                    inner.options.observer.event(Event::Connected { dc });
                    return Err(match error {
                        CallError::Rpc(rpc) if rpc.wait().is_some() => CallError::InVain(rpc),
                        error => error,
                    });
                }
                Decision::Fail => {
                    if failures > 0 && !error.is_unreachable() {
                        inner.options.observer.event(Event::Connected { dc });
                    }
                    if purpose == Purpose::Files && error.is_unreachable() {
                        centre.set_down();
                    }
                    return Err(error);
                }
                Decision::SlowDown(wait) => {
                    waited += wait;
                    inner.options.observer.event(Event::Waiting { method: name_for_id(method), seconds: wait.as_secs().max(1) });
                    continue;
                }
                Decision::After(wait) | Decision::Reconnect(wait) => {
                    inner.options.observer.event(Event::Disconnected { dc, why: error.in_short(), seconds: wait.as_secs() });
                    tokio::time::sleep(wait).await;
                }
                Decision::Migrate(to) => {
                    // An account that moved to nowhere could not be asked anything any more.
                    let known = inner.session.centre(to).is_some_and(|known| !known.addresses.is_empty());
                    if !known && failures > 0 {
                        return Err(CallError::UnknownDc(to));
                    }
                    if !known {
                        tokio::time::sleep(pause).await;
                    } else if dc == home_dc && fixed_dc.is_none() && !error.is_any(&["FILE_MIGRATE", "STATS_MIGRATE"]) {
                        inner.session.move_home(to).map_err(CallError::Io)?;
                    } else {
                        fixed_dc = Some(to);
                    }
                    since = since.filter(|_| !known);
                }
                Decision::Authorize => {
                    repairs += 1;
                    if let Err(error) = Box::pin(self.authorize(&centre, dc, generation)).await {
                        tracing::debug!(dc, %error, "the login could not be carried over");
                        tokio::time::sleep(inner.options.limits.pause).await;
                    }
                    continue;
                }
                Decision::NewKey => {
                    repairs += 1;
                    self.forget_key(&centre, dc, generation).await?;
                    let generation = centre.generation.load(Ordering::Acquire);
                    if logged_in && dc != home_dc {
                        // When it fails, the request itself finds out.
                        let _ = Box::pin(self.authorize(&centre, dc, generation)).await;
                    }
                    continue;
                }
            }
            failures += 1;
        }
    }

    /// Waits for an answer, and tells so when it is long in coming.
    async fn answer(&self, connection: &Connection, body: Vec<u8>, dc: i32, method: u32) -> Result<Vec<u8>, CallError> {
        /// Telegram answers within a second or two.
        const LONG: Duration = Duration::from_secs(10);
        let limit = self.0.options.limits.answer;
        let mut request = std::pin::pin!(connection.request(body, limit));
        match timeout(LONG, request.as_mut()).await {
            Ok(answer) => answer,
            Err(_) => {
                let why = format!("no answer to {} so far", name_for_id(method));
                self.0.options.observer.event(Event::Disconnected { dc, why, seconds: limit.saturating_sub(LONG).as_secs() });
                let answer = request.await;
                if !matches!(&answer, Err(error) if error.is_unreachable()) {
                    self.0.options.observer.event(Event::Connected { dc });
                }
                answer
            }
        }
    }

    async fn connection(&self, centre: &Centre, dc: i32, purpose: Purpose) -> Result<Arc<Connection>, CallError> {
        let slots = centre.slots(purpose);
        slots.note_asked();
        let cap = match purpose {
            Purpose::Messages => self.0.options.caps.message_connections,
            Purpose::Files => self.0.options.caps.file_connections,
        };
        loop {
            let (best, open) = slots.best();
            if let Some(best) = &best
                && (best.in_flight() == 0 || open >= cap)
            {
                return Ok(best.clone());
            }
            let opening = match (slots.opening.try_lock(), &best) {
                (Ok(opening), _) => opening,
                // The next one is on its way; this one works already.
                (Err(_), Some(best)) => return Ok(best.clone()),
                (Err(_), None) => slots.opening.lock().await,
            };
            if slots.best().1 != open {
                continue;
            }
            let place = match purpose {
                Purpose::Messages => None,
                Purpose::Files => match (self.0.pool.place(open).await, &best) {
                    (Some(place), _) => Some(place),
                    (None, Some(best)) if !best.is_closed() => return Ok(best.clone()),
                    // Others have one each, and are busy.
                    (None, _) => None,
                },
            };
            let opened = self.open(centre, dc, place).await;
            drop(opening);
            return match (opened, best) {
                (Ok(connection), _) => {
                    slots.add(&connection);
                    Ok(connection)
                }
                // One more would have been nice; the ones that are there still work.
                (Err(_), Some(best)) if !best.is_closed() => Ok(best),
                (Err(error), _) => Err(error),
            };
        }
    }

    /// Opens a connection and introduces us on it.
    async fn open(&self, centre: &Centre, dc: i32, place: Option<Place>) -> Result<Arc<Connection>, CallError> {
        let options = &self.0.options;
        let (stream, framing, mtp) = self.dial(centre, dc).await?;
        let silence = options.limits.silence;
        let heartbeat = Heartbeat { ping_every: silence / 3, silence };
        let connection = Arc::new(Connection::start(stream, framing, mtp, heartbeat, centre.clock.clone(), self.0.updates.clone(), place));
        let introduction = functions::InvokeWithLayer {
            layer: LAYER,
            query: functions::InitConnection {
                api_id: options.api_id,
                device_model: options.device.model.clone(),
                system_version: options.device.system.clone(),
                app_version: options.device.version.clone(),
                system_lang_code: "en".into(),
                lang_pack: String::new(),
                lang_code: "en".into(),
                proxy: None,
                params: None,
                query: functions::help::GetConfig {},
            },
        };
        // The list of data centres is a help, not a need.
        match connection.request(introduction.to_bytes(), options.limits.answer).await {
            Ok(answer) => match enums::Config::from_bytes(&answer) {
                Ok(enums::Config::Config(config)) => self.0.session.learn(&config).map_err(CallError::Io)?,
                Err(error) => tracing::debug!(dc, %error, "the server's configuration cannot be read"),
            },
            Err(CallError::Unreadable(error)) => tracing::debug!(dc, error, "the server's configuration cannot be read"),
            Err(CallError::Rpc(refusal)) if is_of_question(&refusal) => {
                tracing::debug!(dc, %refusal, "the server's configuration is not given")
            }
            Err(error) => return Err(self.of_proxy(error)),
        }
        Ok(connection)
    }

    /// Carries the login over to another data centre, unless somebody did since `generation`.
    async fn authorize(&self, centre: &Centre, dc: i32, generation: u64) -> Result<(), CallError> {
        let connection = self.connection(centre, dc, Purpose::Files).await?;
        let _guard = centre.setup.lock().await;
        if centre.generation.load(Ordering::Acquire) != generation {
            return Ok(());
        }
        let enums::auth::ExportedAuthorization::Authorization(exported) =
            self.call(&functions::auth::ExportAuthorization { dc_id: dc }).await?;
        let import = functions::auth::ImportAuthorization { id: exported.id, bytes: exported.bytes };
        connection.request(import.to_bytes(), self.0.options.limits.answer).await?;
        centre.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Forgets a key that the server does not know (any more), unless somebody did since `generation`.
    async fn forget_key(&self, centre: &Centre, dc: i32, generation: u64) -> Result<(), CallError> {
        let _guard = centre.setup.lock().await;
        if centre.generation.load(Ordering::Acquire) != generation {
            return Ok(());
        }
        self.0.session.set_key(dc, None).map_err(CallError::Io)?;
        centre.close();
        Ok(())
    }
}

/// Whether a data centre that answered with this knows the login.
fn accepts_us(error: &CallError) -> bool {
    error.rpc().is_some_and(|rpc| rpc.code != 401)
}

/// Whether a refusal of the introduction is about the question in it, and not about the connection, the application or the key.
fn is_of_question(refusal: &RpcError) -> bool {
    let about_us = ["CONNECTION_", "API_ID_", "AUTH_KEY_", "SESSION_", "USER_", "PHONE_", "NETWORK_", "INPUT_LAYER_"];
    refusal.code != 401 && !about_us.iter().any(|prefix| refusal.name.starts_with(prefix))
}

/// The method of a request, looking through the wrappers of a takeout.
fn method_of(body: &[u8]) -> u32 {
    let mut rest = body;
    loop {
        let Some((id, after)) = rest.split_first_chunk::<4>() else { return 0 };
        let id = u32::from_le_bytes(*id);
        let header = match id {
            // A takeout's number; a range's constructor and two ids.
            functions::InvokeWithTakeout::<()>::CONSTRUCTOR_ID => 8,
            functions::InvokeWithMessagesRange::<()>::CONSTRUCTOR_ID => 12,
            _ => return id,
        };
        rest = after.get(header..).unwrap_or_default();
    }
}
