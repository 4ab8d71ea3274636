//! A Telegram account, live, through its API.
//!
//! The way of a run, top to bottom: `source` (the [`crate::source::Source`]) starts `export`, which lists `dialogs`, begins a takeout
//! through `api`, reads the account's `sections`, and gives each chat to `chat`. That reads what is missing with `history`, asks
//! `catchup` what changed, and hands messages to `run`, which has their files fetched by `media`, rendered by `convert`, and
//! batched into the `outbox`, from which the calling thread feeds the sink.
//!
//! - `transport`: connections, key exchange, pacing, retries. It knows no account and no message.
//! - `accounts`, `login`, `session`, `sealing`: several accounts by name; logging in and out; one sealed file each.
//! - `state`, `held`, `left_out`, `ranges`: what is stored for good; it moves when items are committed, never before.
//! - `loose`: answers of which a part cannot be read.
//! - `peers`: users and chats as described; `listing`: the chats for people; `options`, `events`, `error`: what goes in and comes out.

mod account_coverage;
mod accounts;
mod api;
mod catchup;
mod chat;
mod convert;
mod dialogs;
mod error;
mod events;
mod export;
mod held;
mod history;
mod left_out;
mod listing;
mod login;
mod loose;
mod media;
mod options;
mod outbox;
mod peers;
mod ranges;
mod run;
mod sealing;
mod sections;
mod session;
mod source;
mod state;
mod transport;

pub use accounts::{Account, Accounts, ConnectOptions};
pub use error::TelegramError;
pub use events::{Event, Observer, Observing, Unobserved};
pub use export::Outcome;
pub use listing::{ChatSize, ChatSummary, ListingDetail};
pub use login::{Application, LoginPrompts, LoginWay};
pub use options::{AUTO_TAKEOUT_MESSAGES, ChatClass, ExportOptions, LARGEST_FILE_BYTES, TakeoutUse};
pub use sealing::Sealer;
pub use session::{CustomServer, LoggedIn, Session};
pub use source::TelegramSource;
pub use state::CoverageCounts;
pub use transport::{
    ALL_FILE_CONNECTIONS, CallError, CallOptions, Caps, Client, ClientOptions, Device, ExchangeError, Pace, RpcError, ServerKey,
    ServerKeyError, TimeLimits,
};
