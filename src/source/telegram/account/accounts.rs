//! The accounts on this machine, by name: each a sealed session and a sealed state.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grammers_tl_types::{enums, functions};
use tokio::runtime::{Handle, Runtime};

use super::login::{Application, LoginPrompts, LoginWay, log_in};
use super::session::{CustomServer, LoggedIn, Session, SessionStore};
use super::session_string::SessionString;
use super::takeout::now;
use crate::model::keep::{Keep, Kept};
use crate::source::telegram::error::{TelegramError, ends_session};
use crate::source::telegram::events::{Event, Observing, OfConnections};
use crate::source::telegram::wire::{Client, ClientOptions, Device, Pace, Proxy, STACK_BYTES, ServerKey, TimeLimits};

/// How to act for an account.
#[derive(Clone)]
pub struct ConnectOptions {
    /// The application's number, for logins that do not have theirs with them.
    pub api_id: i32,
    /// A server of one's own at its address of now; `None` leaves it to the login.
    pub server: Option<CustomServer>,
    /// The proxy that everything goes through; `None` for direct connections.
    pub proxy: Option<Proxy>,
    /// How to present ourselves.
    pub device: Device,
    /// How hard to work Telegram's servers.
    pub pace: Pace,
    /// Time limits.
    pub limits: TimeLimits,
    /// The longest FLOOD_WAIT that is waited out.
    pub max_wait: Duration,
    /// Who is told what happens.
    pub observer: Observing,
}

/// The accounts of one folder.
#[derive(Clone)]
pub struct Accounts {
    keep: Arc<dyn Keep>,
}

/// An account that can be acted for; it has threads of its own for the network.
pub struct Account {
    pub(crate) name: String,
    pub(crate) user: LoggedIn,
    pub(crate) client: Client,
    pub(crate) observer: Observing,
    session: Arc<SessionStore>,
    pub(crate) states: States,
    pub(crate) threads: Threads,
    /// The moment that the last run called its own.
    observed: Mutex<i64>,
}

/// Where the states of an account's backups are: one for each vault, because what one vault has the other may lack.
#[derive(Clone)]
pub(crate) struct States {
    keep: Arc<dyn Keep>,
    name: String,
}

impl States {
    /// The state of the backups into one vault.
    pub(crate) fn of(&self, vault: &str) -> Kept {
        Kept::new(self.keep.clone(), format!("{}.{vault}.{STATE}", self.name))
    }

    fn remove_all(&self) -> io::Result<()> {
        for file in self.keep.names()? {
            // Names of accounts have no dot.
            if file.split('.').next() == Some(&self.name) && file.ends_with(&format!(".{STATE}")) {
                self.keep.remove(&file)?;
            }
        }
        Ok(())
    }
}

/// The longest name of an account.
const MAX_NAME: usize = 64;
const SESSION: &str = "session";
const STATE: &str = "state";

impl Accounts {
    /// The accounts whose logins and states are kept there.
    pub fn new(keep: Arc<dyn Keep>) -> Self {
        Self { keep }
    }

    /// The names, sorted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let files = self.keep.names()?;
        let accounts = files.iter().filter_map(|file| file.strip_suffix(SESSION)?.strip_suffix('.'));
        let mut names: Vec<String> = accounts.filter(|name| check_name(name).is_ok()).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    /// Opens an account that is logged in. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no such account, it is not logged in, or its file cannot be opened.
    pub fn open(&self, name: &str, options: &ConnectOptions) -> Result<Account, TelegramError> {
        let session = self.load(name)?;
        if let (Some(session), Some(server)) = (&session, &options.server) {
            session.follow(server).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput => TelegramError::Invalid(error.to_string()),
                _ => self.local(name, error),
            })?;
        }
        let user = session.as_ref().and_then(|session| session.read().user.clone());
        match (session, user) {
            (Some(session), Some(user)) => self.account(name, session, user, options),
            _ => Err(TelegramError::LoginNeeded { account: name.to_owned(), why: "there is no login on this machine".into() }),
        }
    }

    /// Logs in and keeps the session under `name`; a login that is there already is replaced once the new one is complete.
    ///
    /// # Errors
    /// When Telegram refuses, no answer is given, or the session cannot be saved.
    pub fn login(
        &self,
        name: &str,
        way: LoginWay,
        application: &Application,
        options: &ConnectOptions,
        prompts: &mut dyn LoginPrompts,
    ) -> Result<Account, TelegramError> {
        check_name(name)?;
        // In memory until it is complete: half a login is worth nothing, and an old one stays usable.
        let session = SessionStore::new(Session::new(options.server.clone()), None);
        let client = client(session.clone(), application.api_id, options)?;
        let threads = Threads::new()?;
        let user = threads.block_on(log_in(&client, &session, application, way, prompts))?;
        let known = self.load(name).ok().flatten();
        let before = known.as_ref().and_then(|known| known.read().user.clone());
        if let Some(before) = before.filter(|before| before.user_id != user.user_id) {
            // Two people's chats in one chain of backups could not be told apart.
            let _ = threads.block_on(client.call(&functions::auth::LogOut {}));
            let what = format!("account '{name}' is user {} on this machine, and this is user {}", before.user_id, user.user_id);
            return Err(TelegramError::Invalid(what));
        }
        drop(client);
        let complete = SessionStore::new(session.read().clone(), Some(self.file(name, SESSION)));
        complete.change(|session| session.api_id = Some(application.api_id)).map_err(|source| self.local(name, source))?;
        if let Some(known) = known.filter(|known| known.read().user.is_some()) {
            threads.block_on(end_former(known, options));
        }
        drop(threads);
        self.account(name, complete, user, options)
    }

    /// Takes over a session that another program logged in, asks Telegram whether it holds, and keeps it under `name`. It stays one
    /// session: nothing here ends it unless `logout` is asked for.
    ///
    /// # Errors
    /// When the session belongs to other servers, Telegram does not know it (any more), or it cannot be saved.
    pub fn import(&self, name: &str, string: &SessionString, api_id: i32, options: &ConnectOptions) -> Result<Account, TelegramError> {
        check_name(name)?;
        let mut session = Session::new(options.server.clone());
        if string.is_test && options.server.is_none() {
            let what = "this session is with Telegram's test servers: name the server with --telegram-server and --telegram-server-key";
            return Err(TelegramError::Invalid(what.into()));
        }
        let Some(centre) = session.dcs.get_mut(string.dc) else {
            let what = format!("this session belongs to data centre {}, which is not known here", string.dc);
            return Err(TelegramError::Invalid(what));
        };
        centre.key = Some(string.key.clone());
        session.home_dc = string.dc;
        session.api_id = Some(api_id);
        // Not known yet; and still a login, for which no other key may be made in silence.
        session.user = Some(LoggedIn { user_id: 0, bot: false });
        let session = SessionStore::new(session, None);
        let client = client(session.clone(), api_id, options)?;
        let threads = Threads::new()?;
        let asked = threads.block_on(client.call(&functions::users::GetUsers { id: vec![enums::InputUser::UserSelf] }));
        let users = asked.map_err(|error| match error.rpc() {
            Some(rpc) if rpc.is("SESSION_PASSWORD_NEEDED") => {
                TelegramError::Login("the login behind this session was never completed: its password is missing".into())
            }
            Some(rpc) if rpc.is("AUTH_KEY_DUPLICATED") => TelegramError::Login(
                "Telegram has ended this session because it was in use at two places at once; make a new one, and use it here only".into(),
            ),
            _ if ends_session(&error) => TelegramError::Login("Telegram does not know this session: it was ended, or never existed".into()),
            _ => TelegramError::from_call(name, "the session cannot be checked", error),
        })?;
        let user = users.into_iter().find_map(|user| match user {
            enums::User::User(user) => Some(LoggedIn { user_id: user.id, bot: user.bot }),
            enums::User::Empty(_) => None,
        });
        let user = user.ok_or_else(|| TelegramError::Login("Telegram does not say whose session this is".into()))?;
        drop(client);
        // One that cannot be read may be somebody else's: it is not written over.
        let known = self.load(name)?.filter(|known| known.read().user.is_some());
        if let Some(before) = known.as_ref().and_then(|known| known.read().user.clone()).filter(|before| before.user_id != user.user_id) {
            // Unlike a new login, this session may be somebody's everyday one: it is left as it is.
            let what = format!("account '{name}' is user {} on this machine, and this is user {}", before.user_id, user.user_id);
            return Err(TelegramError::Invalid(what));
        }
        let complete = SessionStore::new(session.read().clone(), Some(self.file(name, SESSION)));
        complete.change(|session| session.user = Some(user.clone())).map_err(|source| self.local(name, source))?;
        // Ending a former session that is this very one would end what was just taken over.
        if let Some(known) = known.filter(|known| !known.read().is_same(&complete.read())) {
            threads.block_on(end_former(known, options));
        }
        drop(threads);
        self.account(name, complete, user, options)
    }

    /// Ends the session at Telegram and removes it, with the state of its backups, from this machine.
    ///
    /// # Errors
    /// When Telegram cannot be reached (the files stay), or the files cannot be removed.
    pub fn logout(&self, name: &str, options: &ConnectOptions) -> Result<(), TelegramError> {
        let account = self.open(name, options)?;
        match account.threads.block_on(account.client.call(&functions::auth::LogOut {})) {
            Ok(_) => {}
            // Telegram ended it before us.
            Err(error) if ends_session(&error) => {}
            Err(source) => return Err(TelegramError::Call { what: "the session could not be ended at Telegram".into(), source }),
        }
        account.session.erase().and_then(|()| account.states.remove_all()).map_err(|source| self.local(name, source))
    }

    fn load(&self, name: &str) -> Result<Option<Arc<SessionStore>>, TelegramError> {
        check_name(name)?;
        SessionStore::load(self.file(name, SESSION)).map_err(|source| self.local(name, source))
    }

    fn file(&self, name: &str, extension: &str) -> Kept {
        Kept::new(self.keep.clone(), format!("{name}.{extension}"))
    }

    fn local(&self, name: &str, source: io::Error) -> TelegramError {
        TelegramError::local(self.file(name, SESSION).place(), source)
    }

    fn account(&self, name: &str, session: Arc<SessionStore>, user: LoggedIn, options: &ConnectOptions) -> Result<Account, TelegramError> {
        let api_id = session.read().api_id.unwrap_or(options.api_id);
        let client = client(session.clone(), api_id, options)?;
        let observer = options.observer.clone();
        let states = States { keep: self.keep.clone(), name: name.to_owned() };
        let observed = Mutex::new(i64::MIN);
        Ok(Account { name: name.to_owned(), user, client, observer, session, states, threads: Threads::new()?, observed })
    }
}

impl Account {
    /// The account's name on this machine.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who is logged in.
    pub fn user(&self) -> &LoggedIn {
        &self.user
    }

    /// Asks Telegram whether the session still holds.
    ///
    /// # Errors
    /// [`TelegramError::LoginNeeded`] when Telegram ended it; otherwise that Telegram cannot be asked.
    pub fn check(&self) -> Result<(), TelegramError> {
        let asked = self.threads.block_on(self.client.call(&functions::updates::GetState {}));
        asked.map(drop).map_err(|error| TelegramError::from_call(&self.name, "the session cannot be checked", error))
    }

    /// The moment of a run, Unix seconds: later than that of the one before, since what a run saw gone counts only after it was last seen.
    pub(crate) fn next_moment(&self) -> i64 {
        let mut last = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now().max(last.saturating_add(1));
        *last
    }

    /// Requests made so far.
    pub fn requests(&self) -> u64 {
        self.client.requests()
    }
}

/// Ends the session at Telegram that a new login has replaced: nobody has its key any more, and it would stay open for ever.
async fn end_former(former: Arc<SessionStore>, options: &ConnectOptions) {
    /// A server that is gone need not hold up a login.
    const PATIENCE: Duration = Duration::from_secs(20);
    // A copy in memory: the file belongs to the new login.
    let session = SessionStore::new(former.read().clone(), None);
    if let Some(server) = &options.server {
        // Where that is another server, the former one is asked at its own address.
        let _ = session.follow(server);
    }
    let api_id = session.read().api_id.unwrap_or(options.api_id);
    let ended = match client(session, api_id, options) {
        Ok(client) => match tokio::time::timeout(PATIENCE, client.call(&functions::auth::LogOut {})).await {
            Ok(Ok(_)) => Ok(()),
            // Telegram ended it before us.
            Ok(Err(error)) if ends_session(&error) => return,
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        },
        Err(error) => Err(error.to_string()),
    };
    options.observer.event(Event::Note(match ended {
        Ok(()) => "the account was logged in here before: that session is ended".to_owned(),
        Err(why) => format!("the account was logged in here before, and that session could not be ended ({why}): see Settings > Devices"),
    }));
}

fn client(session: Arc<SessionStore>, api_id: i32, options: &ConnectOptions) -> Result<Client, TelegramError> {
    let keys = match &session.read().server {
        Some(server) => vec![ServerKey::from_pem(&server.key_pem).map_err(|error| TelegramError::Invalid(error.to_string()))?],
        None => ServerKey::telegram(),
    };
    let options = ClientOptions {
        api_id,
        device: options.device.clone(),
        caps: options.pace.caps(),
        limits: options.limits,
        max_wait: options.max_wait,
        proxy: options.proxy.clone(),
        keys,
        observer: Arc::new(OfConnections(options.observer.clone())),
    };
    Ok(Client::new(session, options))
}

/// The threads that an account's network work runs on.
///
/// Two: decoding pages and decrypting files is the work, and the archive wants the other cores.
pub(crate) struct Threads {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Threads {
    fn new() -> Result<Self, TelegramError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("telegram")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build();
        runtime
            .map(|runtime| Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
            .map_err(|source| TelegramError::Local { path: "the network threads".into(), source })
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.handle
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.handle.block_on(work)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Without waiting: the drop may happen where waiting is forbidden, and everything that matters is on disk.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Names become file names.
fn check_name(name: &str) -> Result<(), TelegramError> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '+' | '@');
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(TelegramError::Invalid(format!("an account's name is 1 to {MAX_NAME} letters, digits, '-', '_', '+' or '@'")))
    }
}
