//! A Telegram account, live, through its API.
//!
//! Rooms, each of which uses only those above it:
//! - `wire`: the crate `tgvault-mtproto`: connections, key exchange, pacing, retries. It knows no account and no message.
//! - `tl`: from Telegram's types to records; it needs no connection.
//! - `stored`: what is stored for good; it moves when items are committed, never before.
//! - `account`: accounts by name, logging in and out, requests made for one.
//! - `heard`: what updates told and nothing has written down yet. `listen`: whoever listens to them.
//! - `files`: media, fetched ahead within bounds, and the outbox from which the calling thread feeds the sink.
//! - `export`: one run, from the list of chats to the coverage of each.
//!
//! `options`, `events`, `error` are what goes in and comes out.

mod account;
mod error;
mod events;
mod export;
mod files;
mod heard;
mod listen;
mod options;
mod stored;
mod tl;
mod wire;

pub use account::{
    Account, Accounts, Application, ConnectOptions, CustomServer, LoggedIn, LoginPrompts, LoginWay, Session, SessionString,
    SessionStringError,
};
pub use error::TelegramError;
pub use events::{Event, Observer, Observing, Unobserved};
pub use export::{ChatSize, ChatSummary, Deletions, Forwarded, ListingDetail, Outcome, TelegramSource};
pub use heard::Heard;
pub use listen::{Listener, Stir};
pub use options::{AUTO_TAKEOUT_MESSAGES, ChatClass, Detail, ExportOptions, LARGEST_FILE_BYTES, TakeoutUse};
pub use stored::CoverageCounts;
pub use wire::{
    ALL_FILE_CONNECTIONS, CallError, CallOptions, Caps, Client, ClientOptions, Device, Event as ConnectionEvent, ExchangeError, Pace,
    Proxy, ProxyError, ProxyKind, ProxyLogin, ProxySecret, ProxySecretError, RpcError, ServerKey, ServerKeyError, TimeLimits,
};
