//! One backup of the account: what is missing is read, described and accounted for.
//!
//! The way of a run, top to bottom: `source` (the [`crate::source::Source`]) starts `whole`, which lists `dialogs`, begins a takeout,
//! reads the account's `sections` and `collections`, and gives each chat to `chat`. That reads what is missing with `history`, asks `catchup` what
//! changed, and hands messages to `batch`, which has their files fetched (`message_files`) and renders them. `unfinished` fetches the rest of long messages; `people` asks who
//! reacted and voted; `missing` asks again for files
//! that earlier runs could not have. `run` is what all of these share, `ledger` what they find out.
//! Where somebody listened, `live` writes what updates told before all that.
//! `account_coverage`: what of the account could not be had. `listing`: the chats for people.

mod account_coverage;
mod batch;
mod catchup;
mod chat;
mod chat_log;
mod collections;
mod dialogs;
mod forward;
mod history;
mod ledger;
mod listing;
mod live;
mod message_files;
mod missing;
mod people;
mod run;
mod sections;
mod source;
mod unfinished;
mod whole;

pub use forward::Forwarded;
pub use ledger::Deletions;
pub use listing::{ChatSize, ChatSummary, ListingDetail};
pub use source::TelegramSource;
pub use whole::Outcome;
