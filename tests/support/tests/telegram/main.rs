//! The Telegram server, driven by grammers over loopback through the real key exchange.

mod client;
mod faults;
mod files;
mod history;
mod login;
mod takeout;
mod updates;
