//! Getting a request to the right data centre of Telegram and its answer back: MTProto's connections, pacing and repeating over
//! grammers' layers without sockets.
//!
//! - `server_key`, `key_exchange`: how an authorization key is made.
//! - `proxy`: the way through a SOCKS5, HTTP or MTProxy server. `framing`: how packets stand on a connection.
//! - `connection`: one socket with many requests in flight. `notices`: what the protocol library does not tell of its packets.
//!   `packed`: packed messages that would fill the memory. `nesting`: answers that nobody could read.
//! - `pace`: when a request may go out. `retry`: what to do when it failed.
//! - `pool`: which connections are open. `client`: puts all of it together.
//! - `session`, `centres`, `events`: what it is given, and what it tells. It knows no account, no message and nothing around it.
//!
//! The sockets are driven by code of our own over grammers' sans-I/O layers: docs/decisions/0013 says why.

mod centres;
mod client;
mod connection;
mod error;
mod events;
mod framing;
mod key_exchange;
mod nesting;
mod notices;
mod pace;
mod packed;
mod pool;
mod proxy;
mod proxy_secret;
mod retry;
mod server_key;
mod session;

pub use centres::{AuthorizationKey, DataCentre, DataCentres, TELEGRAM_FIRST_DC};
pub use client::{CallOptions, Client, ClientOptions, Device, TimeLimits};
pub use connection::Pushed;
pub use error::{CallError, RpcError};
pub use events::{Event, Observer};
pub use key_exchange::ExchangeError;
pub use nesting::STACK_BYTES;
pub use pace::{Caps, Pace};
pub use pool::ALL_FILE_CONNECTIONS;
pub use proxy::{Proxy, ProxyError, ProxyKind, ProxyLogin};
pub use proxy_secret::{ProxySecret, ProxySecretError};
pub use server_key::{ServerKey, ServerKeyError};
pub use session::Session;
