//! The accounts on this machine: logging in and out, the session of each, and requests made for one.
//!
//! - `accounts`: several accounts by name. `login`: by phone code, QR code, or as a bot.
//! - `session`: the login as one value, sealed at rest. `session_string`: the same from Telethon or Pyrogram.
//! - `takeout`: requests of an export, through the takeout where there is one.

mod accounts;
mod login;
mod session;
mod session_string;
mod takeout;

pub use accounts::{Account, Accounts, ConnectOptions};
pub use login::{Application, LoginPrompts, LoginWay};
pub use session::{CustomServer, LoggedIn, Session};
pub use session_string::{SessionString, SessionStringError};
pub(super) use takeout::{Api, Start, now};
