//! The login as one value: data centres, their authorization keys, who is logged in; sealed at rest.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grammers_tl_types::types;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::model::keep::Kept;
use crate::source::telegram::wire::{self, AuthorizationKey, DataCentre, DataCentres, ServerKey, TELEGRAM_FIRST_DC};

/// The version of the stored form.
const VERSION: u8 = 1;

/// A server other than Telegram's production data centres.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomServer {
    /// Where it answers.
    pub address: SocketAddr,
    /// Which data centre that is; 2 where nothing else is known.
    pub dc: i32,
    /// Its RSA public key as PEM.
    pub key_pem: String,
}

impl CustomServer {
    /// Whether both have the same public key, however it is written down.
    fn has_key_of(&self, other: &Self) -> bool {
        self.key_pem == other.key_pem
            || matches!((ServerKey::from_pem(&self.key_pem), ServerKey::from_pem(&other.key_pem)), (Ok(own), Ok(other)) if own == other)
    }
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedIn {
    /// The user's number.
    pub user_id: i64,
    /// Whether it is a bot.
    pub bot: bool,
}

/// Everything that a later run needs to act for the account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    version: u8,
    /// The data centre that holds the account.
    pub home_dc: i32,
    /// The data centres by number.
    pub dcs: DataCentres,
    /// `None` for Telegram itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<CustomServer>,
    /// `None` until the login is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<LoggedIn>,
    /// The application's number that the login was made with: Telegram knows the session by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_id: Option<i32>,
}

impl Session {
    /// A session without a login, with Telegram or a server of one's own.
    pub fn new(server: Option<CustomServer>) -> Self {
        let (home_dc, dcs) = match &server {
            Some(server) => (server.dc, DataCentres::at(server.dc, server.address)),
            None => (TELEGRAM_FIRST_DC, DataCentres::of_telegram()),
        };
        Self { version: VERSION, home_dc, dcs, server, user: None, api_id: None }
    }

    /// Whether both are one session at Telegram, which knows it by its key.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let key = |session: &Self| session.dcs.get(session.home_dc).and_then(|centre| centre.key.as_ref().map(AuthorizationKey::bytes));
        self.home_dc == other.home_dc && matches!((key(self), key(other)), (Some(own), Some(other)) if own == other)
    }

    /// Follows a server of one's own to where it answers now; its data centre stays the same.
    ///
    /// # Errors
    /// In words, when the login is with another server.
    fn follow(&mut self, server: &CustomServer) -> Result<bool, &'static str> {
        match &self.server {
            None => Err("this account is logged in at Telegram itself, not at the server that is named"),
            Some(known) if known == server => Ok(false),
            Some(known) if !known.has_key_of(server) => Err(
                "this account is logged in at a server with another public key: check the key that is given, or log in again if the server has a new one",
            ),
            Some(known) if known.dc != server.dc => Err("this account is logged in at a server with another data centre's number"),
            Some(_) => {
                if let Some(dc) = self.dcs.get_mut(server.dc) {
                    dc.addresses = vec![server.address];
                    dc.pinned = true;
                }
                self.server = Some(server.clone());
                Ok(true)
            }
        }
    }
}

/// The session in use; each change is on disk before it is relied on.
pub(crate) struct SessionStore {
    session: Mutex<Session>,
    file: Option<Kept>,
}

impl SessionStore {
    /// A session that is kept in `file`, or in memory only.
    pub(crate) fn new(session: Session, file: Option<Kept>) -> Arc<Self> {
        Arc::new(Self { session: Mutex::new(session), file })
    }

    /// Reads the session in `file`; `None` where there is none.
    pub(crate) fn load(file: Kept) -> io::Result<Option<Arc<Self>>> {
        let Some(bytes) = file.load()? else { return Ok(None) };
        let session: Session = serde_json::from_slice(&bytes).map_err(|error| {
            // The parser's message could quote what it read.
            io::Error::new(io::ErrorKind::InvalidData, format!("the session is damaged at byte {}", error.column()))
        })?;
        if session.version != VERSION {
            let what = format!("the session has version {}, and this program knows {VERSION}", session.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Some(Self::new(session, Some(file))))
    }

    pub(crate) fn read(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the session and saves it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Session) -> T) -> io::Result<T> {
        let mut session = self.read();
        let result = change(&mut session);
        self.save(&session)?;
        Ok(result)
    }

    fn save(&self, session: &Session) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let bytes = Zeroizing::new(serde_json::to_vec(session).map_err(io::Error::other)?);
        file.save(&bytes)
    }

    pub(crate) fn follow(&self, server: &CustomServer) -> io::Result<()> {
        let mut session = self.read();
        let changed = session.follow(server).map_err(|what| io::Error::new(io::ErrorKind::InvalidInput, what))?;
        if changed { self.save(&session) } else { Ok(()) }
    }

    /// Forgets the login for good.
    pub(crate) fn erase(&self) -> io::Result<()> {
        let mut session = self.read();
        *session = Session::new(session.server.clone());
        self.file.as_ref().map_or(Ok(()), Kept::remove)
    }
}

impl wire::Session for SessionStore {
    fn home(&self) -> i32 {
        self.read().home_dc
    }

    fn is_logged_in(&self) -> bool {
        self.read().user.is_some()
    }

    fn centre(&self, dc: i32) -> Option<DataCentre> {
        self.read().dcs.get(dc).cloned()
    }

    fn move_home(&self, dc: i32) -> io::Result<()> {
        self.change(|session| session.home_dc = dc)
    }

    fn set_key(&self, dc: i32, key: Option<AuthorizationKey>) -> io::Result<()> {
        self.change(|session| {
            if let Some(known) = session.dcs.get_mut(dc) {
                known.key = key;
            }
        })
    }

    fn learn(&self, config: &types::Config) -> io::Result<()> {
        let mut session = self.read();
        if session.dcs.learn(config) { self.save(&session) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::keep::testing::Memory;

    #[test]
    fn a_session_survives_its_file_and_shows_no_key() {
        let file = Kept::new(Arc::new(Memory::default()), "a");
        assert!(SessionStore::load(file.clone()).unwrap().is_none());
        let store = SessionStore::new(Session::new(None), Some(file.clone()));
        let key = AuthorizationKey::new(Zeroizing::new([0xAB; 256]));
        store.change(|session| session.dcs.get_mut(2).unwrap().key = Some(key)).unwrap();
        let loaded = SessionStore::load(file.clone()).unwrap().unwrap();
        assert_eq!(loaded.read().dcs.get(2).unwrap().key.as_ref().unwrap().bytes()[..], [0xAB; 256]);
        assert!(!format!("{:?}", loaded.read()).contains("171"));
        loaded.erase().unwrap();
        assert!(SessionStore::load(file).unwrap().is_none());
    }
}
