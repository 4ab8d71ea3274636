//! The messages of one chat in the order in which they are shown, read from its log.
//!
//! What is damaged or cannot be understood is reported, and the rest goes on without it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::{BatchReader, Chat, OpenChats};
use crate::model::causes::with_causes;
use crate::model::entry::EntryPath;
use crate::model::fold::{AsOf, Folded, FoldedMessages};
use crate::model::json;
use crate::model::peer::MIGRATED_ID_OFFSET;
use crate::model::record::MessageRecord;
use crate::operations::OperationError;
use crate::operations::report::Report;
use crate::render::log::{Batches, ChatLog, LogError};
use crate::render::shown::Shown;

/// Which messages, and how much of their past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Sent at or after this, Unix seconds.
    pub from: Option<i64>,
    /// Sent before this, Unix seconds.
    pub till: Option<i64>,
    /// As they were at this time, Unix seconds.
    pub at: Option<i64>,
    /// With earlier versions.
    pub history: bool,
    /// Only the message with this id.
    pub message: Option<i64>,
}

impl Span {
    fn takes(&self, folded: &Folded) -> bool {
        let dated = |date: i64| self.from.is_none_or(|from| date >= from) && self.till.is_none_or(|till| date < till);
        let in_time = folded.date.map_or(self.from.is_none() && self.till.is_none(), dated);
        // A chat as it was does not have what was gone by then.
        in_time && (self.at.is_none() || self.history || folded.deleted.is_none())
    }
}

/// A message with what is known of its past.
#[derive(Debug)]
pub struct Message {
    /// The version that counts.
    pub record: MessageRecord,
    /// Its earlier versions, first to last, where they are wanted.
    pub earlier: Vec<MessageRecord>,
    /// When its deletion was observed, Unix seconds.
    pub deleted: Option<i64>,
    /// As in [`Shown`].
    pub id_shift: i64,
}

impl Message {
    /// The message as renderers take it.
    pub fn shown(&self) -> Shown<'_> {
        Shown { record: &self.record, id_shift: self.id_shift, deleted: self.deleted, earlier: &self.earlier }
    }
}

/// Where a message lies.
#[derive(Debug)]
pub struct Found {
    part: usize,
    folded: Folded,
}

impl Found {
    /// Bytes of the line of its version that counts.
    pub fn line_bytes(&self) -> u64 {
        u64::from(self.folded.current.len)
    }

    /// When it was sent, Unix seconds, where the source tells.
    pub fn date(&self) -> Option<i64> {
        self.folded.date
    }
}

/// The messages of a chat, those of the basic group that it was before first.
pub struct Conversation {
    span: Span,
    report: Arc<Report>,
    parts: Vec<Part>,
}

/// The log of one peer.
struct Part {
    log: ChatLog<Sound>,
    paths: Vec<EntryPath>,
    folded: FoldedMessages,
    next: Option<Folded>,
    id_shift: i64,
    told: HashSet<u32>,
}

impl Conversation {
    /// Passes over the logs of `chat` and, where it has one, of the basic group that it was before.
    ///
    /// # Errors
    /// When the store fails.
    pub(in crate::operations) fn open(
        chats: &OpenChats,
        chat: &Chat,
        before: Option<&Chat>,
        span: Span,
        report: Arc<Report>,
    ) -> Result<Self, OperationError> {
        let mut parts = Vec::new();
        for (chat, id_shift) in before.map(|before| (before, MIGRATED_ID_OFFSET)).into_iter().chain([(chat, 0)]) {
            parts.push(Part::open(chats, chat, id_shift, span, &report)?);
        }
        Ok(Self { span, report, parts })
    }

    /// Where the next message lies, ascending by the id that is shown.
    pub fn find(&mut self) -> Option<Found> {
        loop {
            let shown = |part: &Part| part.next.as_ref().map(|folded| folded.id.saturating_sub(part.id_shift));
            let lowest = self.parts.iter().filter_map(shown).min()?;
            let mut first = None;
            for (index, part) in self.parts.iter_mut().enumerate() {
                if shown(part) == Some(lowest) {
                    let folded = std::mem::replace(&mut part.next, part.folded.next());
                    // An import of a supergroup has the messages of the basic group, too.
                    first = first.or(folded.map(|folded| Found { part: index, folded }));
                }
            }
            let is_meant = self.span.message.is_none_or(|id| id == lowest);
            if let Some(found) = first.filter(|found| is_meant && self.span.takes(&found.folded)) {
                return Some(found);
            }
        }
    }

    /// The id that is shown of a message.
    pub fn shown_id(&self, found: &Found) -> i64 {
        found.folded.id.saturating_sub(self.parts.get(found.part).map_or(0, |part| part.id_shift))
    }

    /// Reads a message; `None` for one that cannot be read, which is reported.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read(&mut self, found: &Found) -> Result<Option<Message>, OperationError> {
        let Some(part) = self.parts.get_mut(found.part) else { return Ok(None) };
        match part.log.versions(&found.folded, self.span.history) {
            Ok((record, earlier)) => {
                // An export of our own says what was known of its deletion.
                let told = || json::get(record.extra.as_ref()?.get(), "deleted_unixtime").and_then(json::digits);
                let deleted = found.folded.deleted.or_else(told);
                Ok(Some(Message { record, earlier, deleted, id_shift: part.id_shift }))
            }
            Err(error) => {
                let batch = batch_of(&error);
                let error = told(error);
                let error = match error {
                    Told::Store(error) => return Err(error),
                    Told::Line(what) => what,
                };
                if part.told.insert(batch)
                    && let Some(path) = part.paths.get(batch as usize)
                {
                    self.report.problem(path, &format!("a message cannot be read, and others of this file may be lost too: {error}"));
                }
                Ok(None)
            }
        }
    }
}

impl Part {
    fn open(chats: &OpenChats, chat: &Chat, id_shift: i64, span: Span, report: &Arc<Report>) -> Result<Self, OperationError> {
        let sound = Sound { reader: chats.log(chat), report: Arc::clone(report), told: Mutex::default() };
        let mut log = ChatLog::new(sound);
        let mut bad: BTreeMap<u32, (u64, String)> = BTreeMap::new();
        let as_of = span.at.map_or(AsOf::Now, AsOf::At);
        let folded = log.fold(as_of, &chat.seen, &mut |error| {
            bad.entry(batch_of(&error)).or_insert_with(|| (0, with_causes(&error))).0 += 1;
        });
        for (batch, (count, first)) in bad {
            if let Some(path) = chat.batches.get(batch as usize) {
                let lines = if count == 1 { "line" } else { "lines" };
                report.problem(path, &format!("{count} {lines} cannot be understood; the first: {first}"));
            }
        }
        let mut folded = match folded.map_err(told) {
            Ok(folded) => folded,
            Err(Told::Store(error)) => return Err(error),
            Err(Told::Line(what)) => return Err(OperationError::Internal(what)),
        };
        let next = folded.next();
        Ok(Self { log, paths: chat.batches.clone(), folded, next, id_shift, told: HashSet::new() })
    }
}

fn batch_of(error: &LogError<OperationError>) -> u32 {
    match error {
        LogError::Batch { batch, .. } => *batch,
        LogError::Line { at, .. } | LogError::NoMessage(at) => at.batch,
    }
}

enum Told {
    /// The store fails.
    Store(OperationError),
    /// One line is wrong.
    Line(String),
}

fn told(error: LogError<OperationError>) -> Told {
    match error {
        LogError::Batch { source, .. } => Told::Store(source),
        other => Told::Line(with_causes(&other)),
    }
}

/// Batches of which the damaged ones are reported and empty.
struct Sound {
    reader: BatchReader,
    report: Arc<Report>,
    told: Mutex<HashSet<u32>>,
}

impl Batches for Sound {
    type Error = OperationError;

    fn count(&self) -> u32 {
        self.reader.count()
    }

    fn load(&self, batch: u32) -> Result<Arc<[u8]>, OperationError> {
        let error = match self.reader.load(batch) {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        if error.is_of_the_store() {
            return Err(error);
        }
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(batch)
            && let Some(path) = self.reader.path(batch)
        {
            self.report.damaged(path, &format!("the messages in it are lost: {}", with_causes(&error)));
        }
        Ok(Arc::from([]))
    }
}
