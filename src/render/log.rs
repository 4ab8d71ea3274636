//! Reads the log of a chat in the order in which it is shown: by message, the version that counts first.
//!
//! The log is passed over once to learn what counts ([`crate::model::fold`]); then lines are fetched by their place, batch by
//! batch. Batches are kept while they are near, at most [`BATCHES_KEPT`] at a time, so memory does not grow with the chat.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use super::html::escape::plain;
use crate::model::fold::{AsOf, Fold, Folded, FoldedMessages, Location, Sighting};
use crate::model::join;
use crate::model::json;
use crate::model::record::{Head, MessageRecord, Raw, Record, RecordError};

/// How many batches, of at most 4 MiB each, are in memory.
pub const BATCHES_KEPT: usize = 3;

/// Gives the batches of one chat's log.
pub trait Batches {
    /// Why a batch cannot be read.
    type Error: Error + 'static;

    /// How many there are. Their numbers, from 0, are the order in which they were written.
    fn count(&self) -> u32;

    /// One batch, whole.
    ///
    /// # Errors
    /// When it cannot be read.
    fn load(&self, batch: u32) -> Result<Arc<[u8]>, Self::Error>;
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError<E: Error + 'static> {
    /// A batch cannot be read.
    #[error("batch {batch} of a chat's log cannot be read")]
    Batch {
        /// Its number, from 0.
        batch: u32,
        /// Why not.
        source: E,
    },
    /// A line is not what it was when the log was passed over, or cannot be understood.
    #[error("the line at byte {} of batch {} of a chat's log cannot be read", at.offset, at.batch)]
    Line {
        /// Where it lies.
        at: Location,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The place is in no batch, or the record there is no message.
    #[error("there is no message at byte {} of batch {} of a chat's log", .0.offset, .0.batch)]
    NoMessage(Location),
}

/// The log of one chat.
pub struct ChatLog<B> {
    batches: B,
    kept: VecDeque<(u32, Arc<[u8]>)>,
}

impl<B: Batches> ChatLog<B> {
    /// The log in `batches`.
    pub fn new(batches: B) -> Self {
        Self { batches, kept: VecDeque::new() }
    }

    /// Passes over the whole log and says what counts. Lines that cannot be understood are handed to `bad`, and the rest counts
    /// without them.
    ///
    /// # Errors
    /// When a batch cannot be had.
    pub fn fold(
        &mut self,
        as_of: AsOf,
        seen: &[Sighting],
        bad: &mut dyn FnMut(LogError<B::Error>),
    ) -> Result<FoldedMessages, LogError<B::Error>> {
        let mut fold = Fold::new();
        self.heads(bad, &mut |head, at| fold.add(head, at))?;
        Ok(fold.finish(as_of, seen))
    }

    /// Passes over the whole log and hands the head of each line to `each`, with its place. Lines that cannot be understood are
    /// handed to `bad`.
    ///
    /// # Errors
    /// When a batch cannot be had.
    pub fn heads(
        &mut self,
        bad: &mut dyn FnMut(LogError<B::Error>),
        each: &mut dyn FnMut(&Head<'_>, Location),
    ) -> Result<(), LogError<B::Error>> {
        for batch in 0..self.batches.count() {
            let bytes = self.batch(batch)?;
            let mut offset = 0usize;
            for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                let start = offset;
                offset += line.len();
                let line = line.trim_ascii_end();
                if line.is_empty() {
                    continue;
                }
                // A batch longer than 4 GiB breaks the form, and its lines there are told as bad.
                let (Ok(start), Ok(len)) = (u32::try_from(start), u32::try_from(line.len())) else {
                    bad(LogError::NoMessage(Location { batch, offset: u32::MAX, len: 0 }));
                    break;
                };
                let at = Location { batch, offset: start, len };
                match Head::from_line(line) {
                    Ok(head) => each(&head, at),
                    Err(source) => bad(LogError::Line { at, source }),
                }
            }
        }
        Ok(())
    }

    /// The message at a place.
    ///
    /// # Errors
    /// When its batch cannot be had, or no message is there.
    pub fn message(&mut self, at: Location) -> Result<MessageRecord, LogError<B::Error>> {
        let bytes = self.batch(at.batch)?;
        let start = at.offset as usize;
        let line = start.checked_add(at.len as usize).and_then(|end| bytes.get(start..end)).ok_or(LogError::NoMessage(at))?;
        match Record::from_line(line).map_err(|source| LogError::Line { at, source })? {
            Record::Message(record) => Ok(record),
            Record::Deletion(_) | Record::Event(_) => Err(LogError::NoMessage(at)),
        }
    }

    /// A message with its earlier versions, first to last; none of them unless `history`.
    ///
    /// A page of an HTML export tells less of a message than anything else: where it says what an earlier version said, that one
    /// counts. What the version that counts leaves out, an earlier one tells: see [`join`].
    ///
    /// # Errors
    /// As [`ChatLog::message`].
    pub fn versions(&mut self, folded: &Folded, history: bool) -> Result<(MessageRecord, Vec<MessageRecord>), LogError<B::Error>> {
        let current = self.message(folded.current)?;
        let is_page = |record: &MessageRecord| matches!(record.raw, Some(Raw::Html { .. }));
        let mut earlier = Vec::new();
        for &at in &folded.earlier {
            earlier.push(self.message(at)?);
        }
        let counts = earlier.iter().chain([&current]).any(is_page).then(|| join::counts(earlier.iter().chain([&current])));
        let better = is_page(&current).then(|| earlier.iter().rposition(|record| tells_more(record, &current))).flatten();
        let mut current = match better {
            Some(index) => {
                let better = earlier.remove(index);
                earlier.push(current);
                better
            }
            None => current,
        };
        join::set(&mut current, counts.unwrap_or_default());
        join::complete(&mut current, &earlier);
        if !history {
            earlier.clear();
        }
        Ok((current, earlier))
    }

    fn batch(&mut self, batch: u32) -> Result<Arc<[u8]>, LogError<B::Error>> {
        if let Some(index) = self.kept.iter().position(|(number, _)| *number == batch)
            && let Some(found) = self.kept.remove(index)
        {
            let bytes = Arc::clone(&found.1);
            self.kept.push_back(found);
            return Ok(bytes);
        }
        let bytes = self.batches.load(batch).map_err(|source| LogError::Batch { batch, source })?;
        if self.kept.len() >= BATCHES_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((batch, Arc::clone(&bytes)));
        Ok(bytes)
    }
}

/// Whether `record` is no page's, and says the same as `page`.
fn tells_more(record: &MessageRecord, page: &MessageRecord) -> bool {
    let is_service = |record: &MessageRecord| json::get(record.message.get(), "type").and_then(json::spelling) == Some("service");
    let text = |record: &MessageRecord| json::get(record.message.get(), "text").map(plain).unwrap_or_default();
    // What a page says of a service message is a sentence of its own.
    let same = || is_service(record) || is_service(page) || text(record).trim() == text(page).trim();
    !matches!(record.raw, Some(Raw::Html { .. })) && same()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;

    use super::*;

    struct Memory(Vec<String>, Cell<usize>);

    impl Batches for &Memory {
        type Error = io::Error;

        fn count(&self) -> u32 {
            u32::try_from(self.0.len()).unwrap()
        }

        fn load(&self, batch: u32) -> Result<Arc<[u8]>, io::Error> {
            self.1.set(self.1.get() + 1);
            let text = self.0.get(batch as usize).ok_or(io::ErrorKind::NotFound)?;
            Ok(text.as_bytes().into())
        }
    }

    fn line(id: i64, edited: Option<i64>, observed: i64, text: &str) -> String {
        let edited = edited.map(|edited| format!("\"edited\":{edited},")).unwrap_or_default();
        format!(
            "{{\"v\":1,\"record\":\"message\",\"peer\":\"user1\",\"id\":{id},\"observed\":{observed},\"run\":\"r\",\"date\":{id},{edited}\"message\":{{\"text\":\"{text}\"}}}}\n"
        )
    }

    #[test]
    fn messages_come_in_order_each_batch_loaded_few_times() {
        // Twenty batches; later ones edit messages of the first.
        let mut batches: Vec<String> = (0..20).map(|batch| (0..10).map(|n| line(batch * 10 + n, None, 1, "old")).collect()).collect();
        batches.push(line(3, Some(50), 60, "new") + "not a record\n" + &line(999, None, 60, "last"));
        let memory = Memory(batches, Cell::new(0));
        let mut log = ChatLog::new(&memory);
        let mut bad = Vec::new();
        let folded: Vec<Folded> = log.fold(AsOf::Now, &[], &mut |error| bad.push(error.to_string())).unwrap().collect();
        assert_eq!(bad.len(), 1);
        assert_eq!(memory.1.get(), 21);
        assert_eq!(folded.len(), 201);
        let mut texts = Vec::new();
        for one in &folded {
            let (record, earlier) = log.versions(one, true).unwrap();
            assert_eq!(record.id, one.id);
            texts.push((record.message.get().to_owned(), earlier.len()));
        }
        assert_eq!(texts[3], (r#"{"text":"new"}"#.to_owned(), 1));
        assert_eq!(texts[200].0, r#"{"text":"last"}"#);
        assert!(memory.1.get() <= 21 + 23, "{} loads", memory.1.get());
        let nowhere = Location { batch: 0, offset: 5_000_000, len: 10 };
        assert!(matches!(log.message(nowhere), Err(LogError::NoMessage(_))));
        assert!(matches!(log.message(Location { batch: 99, ..nowhere }), Err(LogError::Batch { batch: 99, .. })));
    }
}
