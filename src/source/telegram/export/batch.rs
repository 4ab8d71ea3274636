//! How messages become batches of a chat's log.

use std::collections::HashMap;

use grammers_tl_types::{LAYER, enums};

use super::chat_log::ChatLog;
use super::history::Mode;
use super::run::{BATCH_BYTES, Run, path};
use crate::model::media::{MediaRole, MediaStatus, SkipReason};
use crate::model::paths;
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::{MessageRecord, Record};
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::stored::{Effect, LeftFile, LogEffect, Print, Unfinished};
use crate::source::telegram::tl::{Context, Outcomes, Want, is_in_part, record, with_votes};

/// Lines on their way into a batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<u8>,
    pub(super) effect: LogEffect,
    /// When its messages were seen, where that was before the run.
    pub(super) observed: Option<i64>,
}

impl Run {
    /// Appends messages of a chat to a batch, their files first.
    pub(super) async fn add_messages(&self, log: &ChatLog, batch: &mut Batch, messages: &[enums::Message]) -> Result<(), TelegramError> {
        self.append(log, batch, messages, true).await.map(drop)
    }

    /// Appends messages, and counts their files or not: gives what became of these.
    pub(super) async fn append(
        &self,
        log: &ChatLog,
        batch: &mut Batch,
        messages: &[enums::Message],
        count: bool,
    ) -> Result<Outcomes, TelegramError> {
        let whole = self.whole(log.peer, messages).await?;
        let shown = self.with_reactors(log.peer, whole.clone()).await?;
        let votes = self.poll_votes(log.peer, &shown).await?;
        let (wants, outcomes) = self.files(log.peer, &shown).await?;
        for ((message, as_served), wants) in shown.iter().zip(whole.iter()).zip(&wants) {
            let paths: HashMap<i64, String> = wants
                .iter()
                .filter(|want| want.role == MediaRole::CustomEmoji && outcomes.get(&want.key) == Some(&MediaStatus::Stored))
                .map(|want| (want.key.id, want.path.to_string()))
                .collect();
            let emoji = |id: i64| paths.get(&id).cloned();
            let seen = batch.observed.unwrap_or(self.observed);
            let context = || Context { observed: seen, ..self.context(log.peer, &emoji) };
            let Some(mut record) = record(message, &context(), wants, &outcomes) else { continue };
            if let Some(votes) = votes.get(&message.id()) {
                record.extra = with_votes(record.extra.as_deref(), votes);
            }
            if count {
                let state = self.state.read();
                let chat = state.chats.get(&log.peer);
                let before = chat.map_or((false, 0), |chat| (chat.messages.contains(message.id()), chat.left_out.of(message.id())));
                batch.count(message.id(), &record, &left_out(wants, &outcomes), before);
            }
            if let Some(group) = self.migration(log.peer, message) {
                batch.effect.migrated_from = Some(group);
                self.ledger.migrated(group, log.peer);
            }
            let unfinished = lacks(message);
            let print = if unfinished == Some(Unfinished::InPart) { self.prints.of_part(as_served) } else { self.prints.of(as_served) };
            let was = self.state.read().chats.get(&log.peer).and_then(|chat| chat.unfinished.get(&message.id())).copied();
            if unfinished != was {
                batch.effect.unfinished.push((message.id(), unfinished));
            }
            batch.push(Record::Message(record), message.id(), Some(print))?;
            if batch.lines.len() >= BATCH_BYTES {
                self.flush(log, batch).await?;
            }
        }
        Ok(outcomes)
    }

    /// The basic group that a supergroup says it was: with its first message, or where the group says so too. The same words elsewhere
    /// are somebody's, and lead to chats that are none.
    fn migration(&self, peer: Peer, message: &enums::Message) -> Option<Peer> {
        let enums::Message::Service(service) = message else { return None };
        let enums::MessageAction::ChannelMigrateFrom(from) = &service.action else { return None };
        if peer.kind != PeerKind::Channel || from.chat_id < 0 {
            return None;
        }
        let group = Peer::chat(from.chat_id);
        self.peers.migrated_to(group).map_or(service.id == 1, |to| to == peer).then_some(group)
    }

    /// Appends another record of a chat.
    pub(super) async fn add_record(
        &self,
        log: &ChatLog,
        batch: &mut Batch,
        record: Record,
        gone: Option<i32>,
    ) -> Result<(), TelegramError> {
        match gone {
            Some(id) => batch.push(record, id, None)?,
            None => record.write_line(&mut batch.lines).map_err(|error| TelegramError::Invalid(error.to_string()))?,
        }
        if batch.lines.len() >= BATCH_BYTES { self.flush(log, batch).await } else { Ok(()) }
    }

    /// Hands a batch over.
    pub(super) async fn flush(&self, log: &ChatLog, batch: &mut Batch) -> Result<(), TelegramError> {
        let (lines, mut effect) = (std::mem::take(&mut batch.lines), std::mem::take(&mut batch.effect));
        // It stays until the batch is stored for good, with those of many others.
        effect.messages.shrink_to_fit();
        let effect = Effect::Log(log.peer, Box::new(effect));
        if lines.is_empty() {
            // Nothing was there: that needs no item to be true.
            self.state.when_all(&[], effect);
            return Ok(());
        }
        let mark = self.state.mark(effect);
        let path = path(paths::log_batch(log.peer, &self.id, log.next_batch(mark)))?;
        self.outbox.file(path, lines, self.observed, mark).await
    }
}

impl Batch {
    /// Counts the media of a message. `before` says whether it was held already, and how many of its files were left out: what was
    /// counted once is not counted again.
    fn count(&mut self, id: i32, record: &MessageRecord, left: &[LeftFile], before: (bool, usize)) {
        let (held, left_before) = before;
        if !left.is_empty() || left_before > 0 {
            self.effect.left_out.push((id, left.to_vec()));
        }
        if held {
            let failed = record.media.iter().filter(|media| matches!(media.status, MediaStatus::Failed(_))).count();
            self.effect.media.stored += left_before.saturating_sub(left.len() + failed) as u64;
            return;
        }
        for media in &record.media {
            self.effect.media.wanted += 1;
            match &media.status {
                MediaStatus::Stored => self.effect.media.stored += 1,
                MediaStatus::Skipped(SkipReason::TooLarge | SkipReason::TypeNotChosen) | MediaStatus::Failed(_) => {}
                MediaStatus::Skipped(reason) => *self.effect.media.skipped.entry(reason.word()).or_default() += 1,
            }
        }
    }

    fn push(&mut self, record: Record, id: i32, print: Option<u64>) -> Result<(), TelegramError> {
        record.write_line(&mut self.lines).map_err(|error| TelegramError::Invalid(error.to_string()))?;
        self.effect.messages.push((id, print.map(Print::from)));
        Ok(())
    }

    /// Takes note that these ids were paged over, and that everything that was there is in the batch or before it.
    pub(super) fn cover(&mut self, mode: Mode, first: i64, last: i64) {
        match mode {
            Mode::All => self.effect.covered.add(first, last),
            Mode::Own => self.effect.own.add(first, last),
        }
    }
}

/// What a message as it is stored lacks.
pub(super) fn lacks(message: &enums::Message) -> Option<Unfinished> {
    let enums::Message::Message(inner) = message else { return None };
    if is_in_part(message) {
        return Some(Unfinished::InPart);
    }
    matches!(inner.media, Some(enums::MessageMedia::Unsupported)).then_some(Unfinished::Unsupported { layer: LAYER })
}

/// The files of a message that the options leave out.
fn left_out(wants: &[Want], outcomes: &Outcomes) -> Vec<LeftFile> {
    let left = |want: &Want| match outcomes.get(&want.key) {
        Some(MediaStatus::Skipped(reason @ (SkipReason::TooLarge | SkipReason::TypeNotChosen))) => {
            Some(LeftFile { kind: want.kind, bytes: u32::try_from(want.judged_size).unwrap_or(u32::MAX), reason: *reason })
        }
        _ => None,
    };
    wants.iter().filter_map(left).collect()
}
