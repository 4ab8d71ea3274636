//! The Telegram server, driven by grammers over loopback through the real key exchange.

mod client;
mod history;
mod login;
