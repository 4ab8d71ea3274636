//! A Telegram account, live, through its API.
//!
//! - `session`, `sealing`: the login, one sealed file per account.
//! - `accounts`, `login`: several accounts by name; logging in and out.
//! - `convert`, `peers`: from Telegram's types to the stored form.
//! - `transport`: connections, key exchange, pacing, retries.

mod accounts;
mod api;
mod catchup;
mod chat;
mod convert;
mod dialogs;
mod error;
mod events;
mod export;
mod history;
mod login;
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
pub use login::{Application, LoginPrompts, LoginWay};
pub use options::{AUTO_TAKEOUT_MESSAGES, ChatClass, ExportOptions, LARGEST_FILE_BYTES, MediaType, TakeoutUse};
pub use sealing::Sealer;
pub use session::{CustomServer, LoggedIn, Session};
pub use source::TelegramSource;
pub use transport::{
    CallError, CallOptions, Caps, Client, ClientOptions, Device, ExchangeError, Pace, RpcError, ServerKey, ServerKeyError, TimeLimits,
};
