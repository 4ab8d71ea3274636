//! A Telegram server for tests: real MTProto 2.0 on loopback, with an account generated from a seed.
//!
//! [`TelegramServer::start`] gives a handle by which a test sees what clients asked, makes things happen in the account
//! ([`Mutation`]) and makes things go wrong ([`Fault`]). The program `telegram-server` is the same on the command line.
//!
//! - `protocol`: transport, handshake, encryption, sessions
//! - `connection`: one client; `dispatch`: one request; `methods`: what each method answers
//! - `world`: the account; `files`: the bytes of its files
//! - `faults`, `counters`: what goes wrong and what was seen
//!
//! It knows layer 230 of the schema and nothing of any client.

mod connection;
mod counters;
mod dispatch;
mod faults;
mod files;
mod methods;
mod options;
mod protocol;
mod server;
mod state;
mod target;
mod world;

pub use counters::{Load, Request};
pub use faults::{Effect, Fault, When};
pub use files::file_bytes;
pub use options::Options;
pub use protocol::rsa::{KeyError, ServerKey};
pub use server::{ChatInfo, TelegramServer, blank_message};
pub use state::Push;
pub use world::{Kind, MutateError, Mutation, Outcome, Peer, SELF};
