//! The accounts on this machine: logging in and out, the session of each, and requests made for one.
//!
//! - `accounts`: several accounts by name. `login`: by phone code, QR code, or as a bot.
//! - `session`: the login as one value, sealed at rest. `takeout`: requests of an export, through the takeout where there is one.

mod accounts;
mod login;
mod session;
mod takeout;

pub use accounts::{Account, Accounts, ConnectOptions};
pub use login::{Application, LoginPrompts, LoginWay};
pub use session::{CustomServer, LoggedIn, Session};
pub(super) use takeout::{Api, Start, now};
