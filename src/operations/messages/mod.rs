//! What is done with all messages of a snapshot at once: the logs of its chats stream by, many batches side by side, and what is
//! found in them is folded chat by chat.
//!
//! - [`pass`](fn@pass) reads the batches in the order in which they are stored, which is the fastest.
//! - [`search`] finds messages by words; [`count`] counts them; [`compare`] says what changed between two snapshots.

pub mod compare;
pub mod count;
pub mod search;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::Sender;

use super::OperationError;
use super::chats::{Chat, OpenChats};
use crate::model::entry::EntryPath;
use crate::model::fold::{AsOf, Fold, FoldedMessages, Location};
use crate::model::paths::{self, Place};
use crate::model::peer::Peer;
use crate::model::record::{Head, RecordType, VERSION};
use crate::operations::stop::Stop;

/// Bytes of logs that one worker takes at a time.
const SHARE_BYTES: u64 = 8 * 1024 * 1024;

/// What a batch could not be read for.
pub type Failed = (EntryPath, OperationError);

/// The lines of a batch: where each begins, and its bytes without its end.
pub fn lines(batch: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut at = 0;
    let placed = batch.split_inclusive(|&byte| byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        (u32::try_from(start).unwrap_or(u32::MAX), line.trim_ascii_end())
    });
    placed.filter(|(_, line)| !line.is_empty())
}

/// A message's line by its head: 40 bytes.
#[derive(Clone, Copy, Debug)]
pub struct MessageLine {
    /// The message's id.
    pub id: i64,
    /// Where the line begins in its batch.
    pub offset: u32,
    len: u32,
    observed: i64,
    date: i64,
    edited: i64,
}

/// The lines of one batch by their heads, for folding them with those of the chat's other batches.
#[derive(Default)]
pub struct Folding {
    /// Messages, in the order of the batch.
    pub messages: Vec<MessageLine>,
    others: Vec<(Head<'static>, u32, u32)>,
    /// Lines that cannot be understood.
    pub bad: u64,
}

impl Folding {
    /// Takes a line in; false if it is not a message.
    pub fn add(&mut self, offset: u32, line: &[u8]) -> bool {
        let Ok(head) = Head::quick(line).map_or_else(|| Head::from_line(line), Ok) else {
            self.bad += 1;
            return false;
        };
        let len = u32::try_from(line.len()).unwrap_or(u32::MAX);
        let Head { v, record, peer, id, observed, date, edited, event, .. } = head;
        match (record, id) {
            (RecordType::Message, Some(id)) => {
                let (date, edited) = (date.unwrap_or(i64::MIN), edited.unwrap_or(i64::MIN));
                self.messages.push(MessageLine { id, offset, len, observed, date, edited });
                true
            }
            _ => {
                self.others.push((Head { v, record, peer, id, observed, run: "".into(), date, edited, event }, offset, len));
                false
            }
        }
    }

    /// Hands the lines to a fold, as those of batch `batch` and run `run`; of messages only those that `wanted` takes.
    fn fold(&self, fold: &mut Fold, peer: Peer, batch: u32, run: &str, wanted: &dyn Fn(i64) -> bool) {
        let some = |time: i64| Some(time).filter(|time| *time > i64::MIN);
        for line in self.messages.iter().filter(|line| wanted(line.id)) {
            let (date, edited, record) = (some(line.date), some(line.edited), RecordType::Message);
            let head =
                Head { v: VERSION, record, peer, id: Some(line.id), observed: line.observed, run: run.into(), date, edited, event: None };
            fold.add(&head, Location { batch, offset: line.offset, len: line.len });
        }
        for (head, offset, len) in &self.others {
            fold.add(&Head { run: run.into(), ..head.clone() }, Location { batch, offset: *offset, len: *len });
        }
    }
}

/// Folds the messages of a chat that `wanted` takes, batch by batch in their order; one that could not be read is left out.
pub fn fold<'a>(chat: &Chat, batches: impl IntoIterator<Item = Option<&'a Folding>>, wanted: &dyn Fn(i64) -> bool) -> FoldedMessages {
    let mut fold = Fold::new();
    for (number, (folding, path)) in batches.into_iter().zip(&chat.batches).enumerate() {
        let run = match (folding, paths::place(path)) {
            (Some(_), Some(Place::Log { run, .. })) => run,
            _ => continue,
        };
        if let Some(folding) = folding {
            folding.fold(&mut fold, chat.peer, u32::try_from(number).unwrap_or(u32::MAX), run.as_str(), wanted);
        }
    }
    fold.finish(AsOf::Now)
}

/// One batch's outcome on its way from a worker.
struct Done<T> {
    chat: usize,
    batch: usize,
    result: Result<T, OperationError>,
}

/// Reads the logs of `wanted`: `look` is called for each batch, side by side on `workers` threads, and `each` once for each chat, in
/// their order, with what came of its batches; `None` for a batch that could not be read, which `failed` is told.
///
/// # Errors
/// When the store fails as a whole, `each` fails, or the run is stopped.
pub fn pass<T: Send>(
    chats: &OpenChats,
    wanted: &[Chat],
    workers: usize,
    stop: &Stop,
    look: impl Fn(&[u8]) -> T + Sync,
    failed: &mut dyn FnMut(Failed),
    mut each: impl FnMut(&Chat, Vec<Option<T>>) -> Result<(), OperationError>,
) -> Result<(), OperationError> {
    let shares = shares(chats, wanted);
    let numbers: BTreeMap<&EntryPath, (usize, usize)> = wanted
        .iter()
        .enumerate()
        .flat_map(|(chat, of)| of.batches.iter().enumerate().map(move |(batch, path)| (path, (chat, batch))))
        .collect();
    let next = AtomicUsize::new(0);
    let ending = AtomicBool::new(false);
    let work = |done: &Sender<Result<Done<T>, OperationError>>| {
        while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.is_wanted() || ending.load(Ordering::Relaxed) {
                return;
            }
            let swept = chats.sweep(share, &mut |path, content| {
                let Some(&(chat, batch)) = numbers.get(path) else { return };
                // A receiver that is gone has been told to end.
                let _ = done.send(Ok(Done { chat, batch, result: content.map(&look) }));
            });
            if let Err(error) = swept {
                let _ = done.send(Err(error));
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = crossbeam_channel::bounded(2 * workers.max(1));
        for _ in 0..workers.max(1) {
            let (sender, work) = (sender.clone(), &work);
            scope.spawn(move || work(&sender));
        }
        drop(sender);
        let mut ended = (|| {
            let mut gathered: BTreeMap<usize, (usize, Vec<Option<T>>)> = BTreeMap::new();
            let mut turn = 0;
            let mut emit = |turn: &mut usize, gathered: &mut BTreeMap<usize, (usize, Vec<Option<T>>)>| {
                while let Some(chat) = wanted.get(*turn) {
                    let is_whole = chat.batches.is_empty() || gathered.get(turn).is_some_and(|(left, _)| *left == 0);
                    if !is_whole {
                        break;
                    }
                    let batches = gathered.remove(turn).map(|(_, batches)| batches).unwrap_or_default();
                    each(chat, batches)?;
                    *turn += 1;
                }
                Ok::<(), OperationError>(())
            };
            emit(&mut turn, &mut gathered)?;
            for done in &receiver {
                let Done { chat, batch, result } = done?;
                let count = wanted.get(chat).map_or(0, |chat| chat.batches.len());
                let (left, batches) = gathered.entry(chat).or_insert_with(|| (count, (0..count).map(|_| None).collect()));
                *left -= 1;
                match result {
                    Ok(result) => {
                        if let Some(slot) = batches.get_mut(batch) {
                            *slot = Some(result);
                        }
                    }
                    Err(error) => {
                        let path = wanted.get(chat).and_then(|chat| chat.batches.get(batch));
                        if let Some(path) = path {
                            failed((path.clone(), error));
                        }
                    }
                }
                emit(&mut turn, &mut gathered)?;
            }
            Ok(())
        })();
        if ended.is_ok() && stop.is_wanted() {
            ended = Err(OperationError::Interrupted);
        }
        // Workers that wait to send find nobody, and those that read end after their share.
        ending.store(true, Ordering::Relaxed);
        drop(receiver);
        ended
    })
}

/// All batches in the order in which they are stored, in shares of about [`SHARE_BYTES`].
fn shares<'a>(chats: &OpenChats, wanted: &'a [Chat]) -> Vec<Vec<&'a EntryPath>> {
    let place = |path: &EntryPath| {
        let place = chats.tree().get(path)?.places()?.first().copied()?;
        Some((place.archive, place.offset))
    };
    let size = |path: &EntryPath| chats.tree().get(path).map_or(0, |entry| entry.size);
    let mut all: Vec<&EntryPath> = wanted.iter().flat_map(|chat| &chat.batches).collect();
    all.sort_by_cached_key(|path| place(path));
    let (mut shares, mut share, mut bytes) = (Vec::new(), Vec::new(), 0);
    for path in all {
        bytes += size(path);
        share.push(path);
        if bytes >= SHARE_BYTES {
            shares.push(std::mem::take(&mut share));
            bytes = 0;
        }
    }
    shares.push(share);
    shares
}
