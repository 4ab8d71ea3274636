//! A Telegram account, live, through its API.
//!
//! - `session`, `sealing`: the login, one sealed file per account.
//! - `transport`: connections, key exchange, pacing, retries.

mod events;
mod sealing;
mod session;
mod transport;

pub use events::{Event, Observer, Observing, Unobserved};
pub use sealing::Sealer;
pub use session::{CustomServer, Session};
pub use transport::{
    CallError, CallOptions, Caps, Client, ClientOptions, Device, ExchangeError, Pace, RpcError, ServerKey, ServerKeyError, TimeLimits,
};
