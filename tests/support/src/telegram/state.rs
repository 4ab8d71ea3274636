//! What all connections share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use grammers_tl_types::enums;
use tokio::sync::mpsc::UnboundedSender;

use super::counters::Counters;
use super::faults::Faults;
use super::options::Options;
use super::protocol::crypto::{AuthKey, AuthKeyId};
use super::protocol::rsa::ServerKey;
use super::world::World;

/// A running server.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) key: ServerKey,
    /// Where each DC listens.
    pub(crate) dcs: BTreeMap<i32, std::net::SocketAddr>,
    pub(crate) counters: Counters,
    world: RwLock<World>,
    login: Mutex<Login>,
    faults: Mutex<Faults>,
    live: Mutex<HashMap<u64, Live>>,
}

/// A connection that may be told of events.
pub(crate) struct Live {
    pub(crate) key: AuthKeyId,
    pub(crate) updates: UnboundedSender<enums::Updates>,
}

/// Who may do what.
#[derive(Default)]
pub(crate) struct Login {
    pub(crate) keys: HashMap<AuthKeyId, KeyRecord>,
    /// Codes sent: hash to phone number.
    pub(crate) codes: HashSet<String>,
    /// Logins on the way to another DC: bytes given out by `auth.exportAuthorization`.
    pub(crate) exported: HashMap<Vec<u8>, Access>,
    /// QR tokens: the key that asked for each, and whether it was accepted.
    pub(crate) tokens: HashMap<Vec<u8>, (AuthKeyId, bool)>,
    /// Passwords being checked: srp id to the server's secret and public number.
    pub(crate) passwords: HashMap<i64, (Vec<u8>, Vec<u8>)>,
    /// The takeout that is open.
    pub(crate) takeout: Option<i64>,
}

/// An authorisation key and what it may do.
pub(crate) struct KeyRecord {
    pub(crate) key: AuthKey,
    pub(crate) dc: i32,
    pub(crate) salt: i64,
    pub(crate) access: Access,
    pub(crate) sessions: HashSet<i64>,
}

/// How far a key is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    None,
    /// The code was right, the password is still wanted.
    Password,
    User,
    Bot,
}

impl Shared {
    pub(crate) fn new(options: Options, key: ServerKey, dcs: BTreeMap<i32, std::net::SocketAddr>) -> Self {
        Self {
            world: RwLock::new(World::generate(&options)),
            login: Mutex::default(),
            faults: Mutex::new(Faults::new(options.faults.clone())),
            live: Mutex::default(),
            counters: Counters::new(),
            options,
            key,
            dcs,
        }
    }

    pub(crate) fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn world_mut(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn login(&self) -> MutexGuard<'_, Login> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn live(&self) -> MutexGuard<'_, HashMap<u64, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account's home DC.
    pub(crate) fn home(&self) -> i32 {
        self.options.dcs.first().copied().unwrap_or_default()
    }

    /// Tells an event to every connection of a logged-in client that wants to hear of it.
    pub(crate) fn publish(&self, updates: &enums::Updates) {
        let users: HashSet<AuthKeyId> = {
            let login = self.login();
            login.keys.iter().filter(|(_, record)| record.access == Access::User && record.dc == self.home()).map(|(id, _)| *id).collect()
        };
        self.live().retain(|_, live| !users.contains(&live.key) || live.updates.send(updates.clone()).is_ok());
    }
}
