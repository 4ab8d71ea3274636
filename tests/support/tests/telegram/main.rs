//! The Telegram server, driven by grammers over loopback through the real key exchange.

mod client;
mod details;
mod faults;
mod files;
mod history;
mod lists;
mod login;
mod program;
mod takeout;
mod updates;
