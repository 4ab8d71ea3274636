//! What all connections share.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use grammers_tl_types::{enums, functions};
use num_bigint::BigUint;
use tokio::sync::mpsc::UnboundedSender;

use super::counters::Counters;
use super::faults::Faults;
use super::methods::password::Verifier;
use super::methods::search::Searches;
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
    pushes: Mutex<Pushes>,
    /// Made when first asked for, since it takes a moment.
    verifier: OnceLock<Option<Verifier>>,
    pub(crate) searches: Mutex<Searches>,
    /// Ids that clients chose for what they sent.
    forwarded: Mutex<HashSet<i64>>,
}

/// What goes wrong with an event that connected clients are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// Nobody hears of it.
    Lost,
    /// It comes twice.
    Twice,
    /// It comes behind the next one.
    AfterNext,
    /// In its place comes `updatesTooLong`.
    TooLong,
}

/// What is to go wrong, and what is held back.
#[derive(Default)]
struct Pushes {
    script: VecDeque<Push>,
    held: Vec<enums::Updates>,
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
    /// QR tokens.
    pub(crate) tokens: HashMap<Vec<u8>, Token>,
    /// Passwords being checked, by srp id.
    pub(crate) passwords: HashMap<i64, Exchange>,
    /// The takeout that is open.
    pub(crate) takeout: Option<i64>,
    /// What takeouts were begun with.
    pub(crate) begun: Vec<functions::account::InitTakeoutSession>,
}

/// A login token shown as a QR code.
pub(crate) struct Token {
    /// The key that asked for it.
    pub(crate) key: AuthKeyId,
    /// Unix time.
    pub(crate) expires: i32,
    pub(crate) accepted: bool,
}

/// The server's numbers while a password is checked.
pub(crate) struct Exchange {
    pub(crate) secret: BigUint,
    pub(crate) public: Vec<u8>,
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
            pushes: Mutex::default(),
            verifier: OnceLock::new(),
            searches: Mutex::default(),
            forwarded: Mutex::default(),
            counters: Counters::new(),
            options,
            key,
            dcs,
        }
    }

    pub(crate) fn forwarded(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.forwarded.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// What the password is checked against, when there is one.
    pub(crate) fn verifier(&self) -> Option<&Verifier> {
        self.verifier.get_or_init(|| self.options.password.as_deref().map(Verifier::new)).as_ref()
    }

    /// Tells an event to the connections of one key.
    pub(crate) fn tell(&self, key: AuthKeyId, updates: &enums::Updates) {
        self.live().retain(|_, live| live.key != key || live.updates.send(updates.clone()).is_ok());
    }

    /// The account's home DC.
    pub(crate) fn home(&self) -> i32 {
        self.options.dcs.first().copied().unwrap_or_default()
    }

    /// What goes wrong with the next events that are told.
    pub(crate) fn spoil_pushes(&self, script: impl IntoIterator<Item = Push>) {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner).script.extend(script);
    }

    /// Tells an event to every connection of a logged-in client that wants to hear of it, unless that goes wrong.
    pub(crate) fn publish(&self, updates: &enums::Updates) {
        let told = {
            let mut pushes = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut told, later) = match pushes.script.pop_front() {
                None => (vec![updates.clone()], false),
                Some(Push::Lost) => (vec![], false),
                Some(Push::Twice) => (vec![updates.clone(), updates.clone()], false),
                Some(Push::TooLong) => (vec![enums::Updates::TooLong], false),
                Some(Push::AfterNext) => {
                    pushes.held.push(updates.clone());
                    (vec![], true)
                }
            };
            if !later {
                told.append(&mut pushes.held);
            }
            told
        };
        told.iter().for_each(|updates| self.publish_now(updates));
    }

    fn publish_now(&self, updates: &enums::Updates) {
        let users: HashSet<AuthKeyId> = {
            let login = self.login();
            login.keys.iter().filter(|(_, record)| record.access == Access::User && record.dc == self.home()).map(|(id, _)| *id).collect()
        };
        self.live().retain(|_, live| !users.contains(&live.key) || live.updates.send(updates.clone()).is_ok());
    }
}
