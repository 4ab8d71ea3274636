//! Files: fetched ahead in parts, handed over in order, with memory that is bounded whatever their size.
//!
//! A file is offered to the sink once its first part is here, so that one that cannot be had at all is known before its message
//! is written. The rest is fetched in the background out of one budget that all files share; a file that is being read gets
//! an allowance of its own, so that it never waits for memory that files before it in nobody's hands are holding.
//! Of several data centres none has more than half of the budget, and each has one long file read at a time: so all have something to do.
//! Files and batches go through the `outbox` to the thread that feeds the sink.

mod budget;
mod content;
mod download;
mod fetcher;
mod outbox;
mod unread;

pub(super) use download::{emoji_of, messages_by_id};
pub(super) use fetcher::Fetcher;
pub(super) use outbox::{Next, Out, Outbox, outbox};
