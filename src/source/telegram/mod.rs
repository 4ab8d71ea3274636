//! A Telegram account, live, through its API.
//!
//! - `session`, `sealing`: the login, one sealed file per account.
//! - `accounts`, `login`: several accounts by name; logging in and out.
//! - `convert`, `peers`: from Telegram's types to the stored form.
//! - `transport`: connections, key exchange, pacing, retries.

mod accounts;
mod convert;
mod error;
mod events;
mod login;
mod options;
mod outbox;
mod peers;
mod ranges;
mod sealing;
mod session;
mod state;
mod transport;

pub use accounts::{Account, Accounts, ConnectOptions};
pub use error::TelegramError;
pub use events::{Event, Observer, Observing, Unobserved};
pub use login::{Application, LoginPrompts, LoginWay};
pub use options::{AUTO_TAKEOUT_MESSAGES, ChatClass, ExportOptions, LARGEST_FILE_BYTES, MediaType, TakeoutUse};
pub use sealing::Sealer;
pub use session::{CustomServer, LoggedIn, Session};
pub use transport::{
    CallError, CallOptions, Caps, Client, ClientOptions, Device, ExchangeError, Pace, RpcError, ServerKey, ServerKeyError, TimeLimits,
};
