//! Starting a server and holding it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use grammers_tl_types::{enums, functions, types};
use serde::Serialize;
use tokio::net::TcpListener;

use super::connection;
use super::counters::{Load, Request};
use super::faults::Fault;
use super::options::Options;
use super::protocol::rsa::ServerKey;
use super::protocol::session::unix_time;
use super::state::{Push, Shared};
use super::world::chat::Chat;
use super::world::{Kind, MutateError, Mutation, Outcome, Peer};

/// A Telegram server on loopback, on threads of its own. It stops when dropped.
pub struct TelegramServer {
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// One chat as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatInfo {
    /// Who it is with.
    pub peer: Peer,
    /// What it is.
    pub kind: Kind,
    /// Title of a group or channel; empty for users.
    pub title: String,
    /// What a client needs besides the id; of no use for basic groups.
    pub access_hash: i64,
    /// How many messages it has.
    pub messages: usize,
    /// Whether it stands in the dialog list.
    pub listed: bool,
    /// Whether the account has left it.
    pub left: bool,
    /// Whether it is in the archive folder.
    pub archived: bool,
    /// The supergroup that this group became.
    pub migrated_to: Option<Peer>,
}

/// A message with every field zero or absent, to be filled in and given to [`TelegramServer::post`].
pub fn blank_message() -> types::Message {
    super::world::blank_message()
}

/// Made once per process, since it takes a moment.
static PROCESS_KEY: LazyLock<ServerKey> = LazyLock::new(ServerKey::generate);

impl TelegramServer {
    /// Starts a server.
    ///
    /// # Errors
    /// When a port is taken or threads cannot be started.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            .thread_name("telegram-server")
            .enable_all()
            .build()?;
        let mut listeners = Vec::new();
        for (n, dc) in options.dcs.iter().enumerate() {
            let port = options.ports.get(n).copied().unwrap_or(0);
            // Bound without the runtime: the caller may be inside another one.
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            listener.set_nonblocking(true)?;
            listeners.push((*dc, listener));
        }
        let mut dcs = BTreeMap::new();
        for (dc, listener) in &listeners {
            dcs.insert(*dc, listener.local_addr()?);
        }
        let key = options.key.clone().unwrap_or_else(|| PROCESS_KEY.clone());
        let shared = Arc::new(Shared::new(options, key, dcs));
        for (dc, listener) in listeners {
            let listener = {
                let _inside = runtime.enter();
                TcpListener::from_std(listener)?
            };
            let shared = Arc::clone(&shared);
            runtime.spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => drop(tokio::spawn(connection::serve(Arc::clone(&shared), dc, stream))),
                        // Out of file handles: the others' end makes room.
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
            });
        }
        Ok(Self { shared, runtime: Some(runtime) })
    }

    /// The address of the home DC, where a client begins.
    pub fn address(&self) -> SocketAddr {
        let home = self.shared.home();
        self.shared.dcs.get(&home).copied().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// The number of the home DC.
    pub fn home_dc(&self) -> i32 {
        self.shared.home()
    }

    /// Where each DC listens.
    pub fn addresses(&self) -> &BTreeMap<i32, SocketAddr> {
        &self.shared.dcs
    }

    /// The server's RSA key, whose public half clients need.
    pub fn key(&self) -> &ServerKey {
        &self.shared.key
    }

    /// How it was set up.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// All requests so far, or since [`Self::forget_requests`].
    pub fn requests(&self) -> Vec<Request> {
        self.shared.counters.requests()
    }

    /// How many requests there were of each method.
    pub fn methods(&self) -> BTreeMap<String, usize> {
        self.shared.counters.methods()
    }

    /// The load of each DC.
    pub fn loads(&self) -> BTreeMap<i32, Load> {
        self.shared.counters.loads()
    }

    /// Most connections to all DCs that were open at one time.
    pub fn most_connections(&self) -> usize {
        self.shared.counters.most_connections()
    }

    /// The most requests of a DC that came within any stretch of this length.
    pub fn busiest(&self, dc: i32, stretch: Duration) -> usize {
        let times: Vec<Duration> = self.requests().into_iter().filter(|request| request.dc == dc).map(|request| request.at).collect();
        let within = |(n, begin): (usize, &Duration)| times.partition_point(|at| *at < *begin + stretch) - n;
        times.iter().enumerate().map(within).max().unwrap_or(0)
    }

    /// What each takeout was begun with, in order.
    pub fn takeouts(&self) -> Vec<functions::account::InitTakeoutSession> {
        self.shared.login().begun.clone()
    }

    /// Begins a new count of requests and peaks.
    pub fn forget_requests(&self) {
        self.shared.counters.clear();
    }

    /// Adds a fault to the script; it counts requests from now on.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.faults().add(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.shared.faults().clear();
    }

    /// How often each fault struck, in the order of the script.
    pub fn struck(&self) -> Vec<u64> {
        self.shared.faults().struck()
    }

    /// Makes something happen in the account, and tells connected clients.
    ///
    /// # Errors
    /// [`MutateError`] when there is no such chat or message.
    pub fn mutate(&self, mutation: &Mutation) -> Result<Outcome, MutateError> {
        self.shared.mutate(mutation)
    }

    /// Lets things go wrong with the next events that connected clients are told, one after another.
    pub fn spoil_pushes(&self, script: impl IntoIterator<Item = Push>) {
        self.shared.spoil_pushes(script);
    }

    /// Puts a message into a chat as it is, save for its id and peer, and for the date when that is 0. Gives the id.
    /// [`blank_message`] is what to begin with.
    ///
    /// # Errors
    /// [`MutateError`] when there is no such chat.
    pub fn post(&self, peer: Peer, message: types::Message) -> Result<i32, MutateError> {
        let now = unix_time();
        let (outcome, events) = self.shared.world_mut().post(peer, message, now)?;
        self.shared.publish_events(events, now);
        Ok(outcome.ids.first().copied().unwrap_or_default())
    }

    /// What happens when the account's other device scans this login token; false when no such token is good now.
    pub fn accept_login_token(&self, token: &[u8]) -> bool {
        self.shared.accept_login_token(token, unix_time())
    }

    /// The login tokens given out and not used yet.
    pub fn login_tokens(&self) -> Vec<Vec<u8>> {
        self.shared.login().tokens.keys().cloned().collect()
    }

    /// The size in bytes of a file, or of one of its sizes by letter; `None` when there is no such file.
    pub fn file_size(&self, id: i64, variant: &str) -> Option<u64> {
        self.shared.world().files.size(id, variant)
    }

    /// Makes all file references given so far void.
    pub fn expire_references(&self) {
        self.shared.world().files.expire_references();
    }

    /// All chats of the account, those it left or that became supergroups among them.
    pub fn chats(&self) -> Vec<ChatInfo> {
        let world = self.shared.world();
        let info = |chat: &Chat| ChatInfo {
            peer: chat.peer,
            kind: chat.kind,
            title: world.title(chat),
            access_hash: world.access_hash(chat.peer),
            messages: chat.ids().len(),
            listed: chat.listed(),
            left: chat.left,
            archived: chat.archived,
            migrated_to: chat.migrated_to.and_then(|no| Some(world.chats.get(no)?.peer)),
        };
        world.chats.iter().map(info).collect()
    }

    /// The ids of a chat's messages, ascending.
    pub fn message_ids(&self, peer: Peer) -> Vec<i32> {
        self.shared.world().chat(peer).map(|(_, chat)| chat.ids().to_vec()).unwrap_or_default()
    }

    /// A message as it is served now; its bytes are `to_bytes()` of this.
    pub fn message(&self, peer: Peer, id: i32) -> Option<enums::Message> {
        let world = self.shared.world();
        let (_, chat) = world.chat(peer)?;
        world.message(chat, id)
    }
}

impl Shared {
    /// Makes something happen and tells connected clients.
    pub(crate) fn mutate(&self, mutation: &Mutation) -> Result<Outcome, MutateError> {
        let now = unix_time();
        let (outcome, events) = self.world_mut().mutate(mutation, now)?;
        self.publish_events(events, now);
        Ok(outcome)
    }

    fn publish_events(&self, events: Vec<enums::Update>, now: i32) {
        if !events.is_empty() {
            let updates = self.world().envelope(events, now);
            self.publish(&updates);
        }
    }
}

impl Drop for TelegramServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
