//! One chat: what is missing of it is read, described and accounted for.

mod accounting;
mod description;
mod doubt;
mod parts;
mod reading;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grammers_tl_types::types;
pub(super) use parts::waiting_since;

use super::batch::Batch;
use super::chat_log::ChatLog;
use super::dialogs::Dialog;
use super::history::{Mode, Reader};
use super::run::Run;
use crate::model::chat::Topic;
use crate::model::coverage::CoveredRange;
use crate::model::part::Part;
use crate::model::peer::{Peer, PeerKind};
use crate::model::reason::Reason;
use crate::model::record::{ChatEvent, EventRecord, Record};
use crate::source::telegram::error::{TelegramError, Trouble};
use crate::source::telegram::events::Event;
use crate::source::telegram::stored::{ChatState, Effect, PartState};
use crate::source::telegram::wire::CallError;

/// Refusals that say: not for you (any more).
pub(super) const CLOSED: [&str; 9] = [
    "CHANNEL_PRIVATE",
    "CHANNEL_INVALID",
    "CHANNEL_PUBLIC_GROUP_NA",
    "CHAT_FORBIDDEN",
    "CHAT_ID_INVALID",
    "CHAT_ADMIN_REQUIRED",
    "PEER_ID_INVALID",
    "USER_BANNED_IN_CHANNEL",
    "INPUT_USER_DEACTIVATED",
];

/// What stands in the place of the server's word about a chat that is held and not listed any more.
const UNLISTED: &str = "not in the list of chats";

/// What was found out about a chat in this run.
#[derive(Default)]
struct Findings {
    ranges: Vec<CoveredRange>,
    server_before: Option<u64>,
    server_after: Option<u64>,
    pts: Option<i32>,
    /// Why something is missing.
    missing: Vec<Reason>,
    notes: Vec<Reason>,
    /// The server's word when the chat was closed to us.
    closed: Option<String>,
    own_only: bool,
    topics: Vec<Topic>,
    /// Whether it has topics that could not be read.
    topics_unread: bool,
    /// The newest message that the list of chats names, where the history does not have it.
    withheld: Option<i32>,
    /// What was found of its parts beside messages.
    parts: BTreeMap<Part, PartState>,
    /// Whether all of it was read again because its numbers had disagreed.
    reread_in_doubt: bool,
    /// When all messages had been read again, where that was in this run.
    reread: Option<i64>,
}

/// One chat in one run.
pub(super) struct Chat {
    pub(super) run: Arc<Run>,
    pub(super) dialog: Dialog,
    pub(super) log: Arc<ChatLog>,
    pub(super) before: ChatState,
    findings: Mutex<Findings>,
    fetched: AtomicU64,
    /// The newest message that something else than the list told of; 0 for none.
    newest: AtomicI32,
}

impl Chat {
    pub(super) fn new(run: Arc<Run>, dialog: Dialog) -> Self {
        // With what updates told already.
        let before = run.state.after_pending(dialog.peer);
        let log = run.ledger.log(dialog.peer);
        Self { run, dialog, log, before, findings: Mutex::default(), fetched: AtomicU64::new(0), newest: AtomicI32::new(0) }
    }

    pub(super) fn note_missing(&self, what: Reason) {
        self.findings().missing.push(what);
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn peer(&self) -> Peer {
        self.dialog.peer
    }

    /// The newest message that is known of; `None` where nothing told.
    fn top(&self) -> Option<i32> {
        let told = Some(self.newest.load(Ordering::Relaxed)).filter(|&id| id > 0);
        self.dialog.top.max(told)
    }

    /// Takes note of the server's count of messages.
    pub(super) fn counted(&self, count: Option<u64>) {
        let mut findings = self.findings();
        findings.server_after = count.or(findings.server_after);
    }

    /// The server's count of messages, where it was asked in this run.
    pub(super) fn server_count(&self) -> Option<u64> {
        let findings = self.findings();
        findings.server_after.or(findings.server_before)
    }

    /// Takes note of a message that the list may not have.
    pub(super) fn heard_of(&self, id: i32) {
        self.newest.fetch_max(id, Ordering::Relaxed);
    }

    pub(super) fn reader<'a>(&'a self, mode: Mode, range: Option<&'a types::MessageRange>) -> Reader<'a> {
        Reader { run: &self.run, peer: self.peer(), mode, range, beyond: false }
    }

    /// Which of its messages are asked for.
    fn mode(&self) -> Mode {
        let groups_own_only = self.run.options.only_my_messages && self.peer().kind != PeerKind::User;
        // Channels show nothing to those who left; a basic group keeps showing what there was until then.
        let left = self.dialog.left && self.peer().kind == PeerKind::Channel;
        if groups_own_only || left { Mode::Own } else { Mode::All }
    }

    /// Whether this run has anything to look for here.
    pub(super) fn has_news(&self) -> bool {
        // Ids that were paged over for the account's own messages say nothing about the others.
        let mut read = self.before.ranges.clone();
        if self.mode() == Mode::Own || self.before.gone.is_some() {
            read.merge(&self.before.own_ranges);
        }
        let new = self.dialog.top.is_none_or(|top| i64::from(top) > read.last().unwrap_or_default());
        let holes = self.dialog.top.is_some_and(|top| !read.gaps(1, top.into()).is_empty());
        // A run that was stopped may have stored the messages and not their description.
        let undescribed = self.before.info.is_none() || self.before.coverage.is_none();
        new || undescribed
            || (holes && self.run.options.from.is_none() && self.run.options.till.is_none())
            || self.moved()
            || self.before.gone.is_some()
            || self.before.again
            || self.before.doubt.is_some_and(|doubt| !doubt.is_settled())
            || !self.to_finish().is_empty()
    }

    /// Whether the channel's update counter says that something changed.
    pub(super) fn moved(&self) -> bool {
        self.dialog.pts.is_some() && self.dialog.pts != self.before.pts
    }

    /// Does everything there is to do, but for the coverage.
    ///
    /// # Errors
    /// When the run has to end.
    pub(super) async fn export(&self) -> Result<(), TelegramError> {
        let mode = self.mode();
        let result = match self.read(mode).await {
            Err(Trouble::Call(error)) if mode == Mode::All && self.shows_own_only(&error) => {
                self.note(Reason::NoAccess);
                self.findings().closed = error.rpc().map(|rpc| rpc.name.clone());
                self.read(Mode::Own).await
            }
            result => result,
        };
        let result = match result {
            Ok(()) if self.moved() && !self.before.ranges.is_empty() => self.catch_up().await,
            // Whatever could not be read last time may have been a change.
            Ok(()) if self.before.again && !self.before.ranges.is_empty() => self.reread_window().await,
            result => result,
        };
        let result = match result {
            // What came after the list of chats: no request where that is read already.
            Ok(()) if self.newest.load(Ordering::Relaxed) > 0 => self.read(self.mode()).await,
            result => result,
        };
        let result = match result {
            Ok(()) => self.finish(&self.log).await,
            result => result,
        };
        let result = match result {
            Ok(()) => self.read_in_doubt().await,
            result => result,
        };
        let result = match result {
            Ok(()) => self.check_newest().await,
            result => result,
        };
        match result {
            Ok(()) => {}
            Err(Trouble::Run(error)) => return Err(error),
            Err(Trouble::Call(error)) => {
                let closed = error.is_any(&CLOSED);
                let reason = self.run.api.or_reason("reading a chat", error)?;
                let mut findings = self.findings();
                findings.missing.push(Reason::HistoryNotRead { error: reason.clone() });
                if closed {
                    findings.closed = Some(reason);
                }
            }
        }
        self.tell_closed().await?;
        self.topics().await?;
        self.parts().await?;
        self.describe().await?;
        self.settle();
        self.run.tell(Event::ChatDone);
        Ok(())
    }

    /// Whether a refusal leaves the account's own messages to be asked for.
    fn shows_own_only(&self, refusal: &CallError) -> bool {
        let private = self.peer().kind == PeerKind::Channel && refusal.is_any(&CLOSED[..1]);
        private || (self.dialog.left && refusal.is_any(&CLOSED))
    }

    pub(super) fn note(&self, note: Reason) {
        self.findings().notes.push(note);
    }

    /// Records that the chat was closed to us, once.
    async fn tell_closed(&self) -> Result<(), TelegramError> {
        let closed = self.findings().closed.clone();
        let event = match (closed, &self.before.gone) {
            (Some(reason), None) => ChatEvent::Gone { reason },
            // Of one that was only not listed nothing was recorded, and left ones show what the account itself wrote.
            (None, Some(reason)) if reason != UNLISTED && !self.dialog.left => ChatEvent::Joined,
            _ => return Ok(()),
        };
        let mut batch = Batch::default();
        let record = EventRecord { peer: self.peer(), observed: self.run.observed, run: self.run.id.clone(), event };
        self.run.add_record(&self.log, &mut batch, Record::Event(record), None).await?;
        self.run.flush(&self.log, &mut batch).await
    }

    /// Lets the chat's counter move once everything of this run is stored.
    fn settle(&self) {
        let server_count = self.server_count();
        let findings = self.findings();
        let complete = findings.missing.is_empty();
        // A chat that was closed to us before and still is stays incomplete, and is no news in every run.
        let known = findings.closed.is_some() && self.before.gone.is_some() && findings.missing.len() == 1;
        self.run.ledger.chats_failed_too(u64::from(!complete && !known));
        let looked = Effect::Looked {
            peer: self.peer(),
            pts: if complete { self.dialog.pts.or(findings.pts) } else { None },
            server_count,
            // One that was left is in no other list than a takeout's.
            gone: findings.closed.clone().or_else(|| self.before.gone.clone().filter(|_| self.dialog.left)),
            again: !complete,
        };
        let marks = self.log.marks();
        if self.peer().kind != PeerKind::Channel {
            // History that could not be read does not hold the account's counters up: when it can be, it comes as it is then.
            self.run.ledger.counters_wait_for(&marks);
        }
        self.run.state.when_all(&marks, looked);
        if self.before.ranges.is_empty() && !findings.own_only {
            let read = Effect::Reread { peer: self.peer(), next: None, done: Some(self.run.observed), server_count: None };
            self.run.state.when_all(&marks, read);
        }
    }
}
