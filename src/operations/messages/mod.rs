//! What is done with all messages of a snapshot at once: the logs of its chats stream by, many batches side by side, and what is
//! found in them is folded chat by chat.
//!
//! - [`pass`](fn@pass) reads the batches in the order in which they are stored, which is the fastest.
//! - [`search`] finds messages by words; [`count`] counts them; [`compare`] says what changed between two snapshots; [`files`] says what
//!   people know of stored files.

pub mod compare;
pub mod count;
pub mod files;
pub mod search;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::Sender;

use super::chats::{Chat, OpenChats};
use super::{OperationError, default_lanes};
use crate::model::causes::with_causes;
use crate::model::entry::EntryPath;
use crate::model::fold::{AsOf, Fold, Folded, Location};
use crate::model::paths::{self, Place};
use crate::model::peer::Peer;
use crate::model::record::{ChatEvent, Head, RecordType, VERSION};
use crate::operations::stop::Stop;

/// Bytes of logs that one worker takes at a time.
const SHARE_BYTES: u64 = 8 * 1024 * 1024;

/// What a batch could not be read for.
pub type Failed = (EntryPath, OperationError);

/// What of the logs cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// In words.
    pub told: Vec<String>,
    /// Batches and lines.
    pub count: u64,
    /// Whether the vault has lost or changed any of it.
    pub is_damage: bool,
}

impl Unreadable {
    fn batch(&mut self, (path, error): &Failed) {
        self.told.push(format!("'{path}' cannot be read: {}", with_causes(error)));
        self.count += 1;
        self.is_damage |= error.is_damage();
    }

    fn lines(&mut self, count: u64) {
        if count > 0 {
            self.told.push(format!("{count} lines of the logs cannot be understood"));
            self.count += count;
        }
    }
}

/// The lines of a batch: where each begins, and its bytes without its end.
pub fn lines(batch: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut at = 0;
    let ends = memchr::memchr_iter(b'\n', batch).map(|end| end + 1).chain(std::iter::once(batch.len()));
    let placed = ends.map(move |end| {
        let start = std::mem::replace(&mut at, end);
        (u32::try_from(start).unwrap_or(u32::MAX), batch.get(start..end).unwrap_or_default().trim_ascii_end())
    });
    placed.filter(|(_, line)| !line.is_empty())
}

/// A message's line by its head: 24 bytes, for there may be a million of them.
#[derive(Clone, Copy, Debug)]
pub struct MessageLine {
    /// The message's id.
    pub id: i64,
    /// Where the line begins in its batch, and in the highest bit whether it was read from a page.
    place: u32,
    /// Unix seconds, from 1970 to 2106: times out of that are brought to its ends.
    observed: u32,
    /// The same; 0 where it was not edited.
    edited: u32,
    /// When it was sent, the same; 0 where that is not told.
    date: u32,
}

/// The mark of a line that was read from a page. Batches are shorter by far than the other bits can say.
const OF_PAGE: u32 = 1 << 31;

impl MessageLine {
    /// Where the line begins in its batch.
    pub fn offset(&self) -> u32 {
        self.place & !OF_PAGE
    }

    /// When the line says that the message was sent, Unix seconds.
    pub fn date(&self) -> Option<i64> {
        Some(i64::from(self.date)).filter(|date| *date > 0)
    }

    fn is_page(&self) -> bool {
        self.place & OF_PAGE != 0
    }

    /// Its place; how long it is, nobody asks.
    fn at(&self, batch: u32) -> Location {
        Location { batch, offset: self.offset(), len: 0 }
    }
}

/// Unix seconds in 32 bits.
fn short(unix: i64) -> u32 {
    u32::try_from(unix.max(0)).unwrap_or(u32::MAX)
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
        let Ok(head) = Head::quick(line).map_or_else(|| Head::from_line(line), |(head, _)| Ok(head)) else {
            self.bad += 1;
            return false;
        };
        let len = u32::try_from(line.len()).unwrap_or(u32::MAX);
        let Head { v, record, peer, id, observed, date, edited, event, is_page, .. } = head;
        match (record, id) {
            (RecordType::Message, Some(id)) => {
                let [edited, date] = [edited, date].map(|time| time.map_or(0, |time| short(time).max(1)));
                let place = offset & !OF_PAGE | if is_page { OF_PAGE } else { 0 };
                self.messages.push(MessageLine { id, place, observed: short(observed), edited, date });
                true
            }
            _ => {
                let run = "".into();
                self.others.push((Head { v, record, peer, id, observed, run, date, edited, event, is_page }, offset, len));
                false
            }
        }
    }

    /// The number of the message whose line begins there, among the messages of the batch.
    pub fn number_at(&self, offset: u32) -> Option<usize> {
        self.messages.binary_search_by_key(&offset, MessageLine::offset).ok()
    }

    /// The message whose line begins there.
    fn line_at(&self, offset: u32) -> Option<&MessageLine> {
        self.messages.get(self.number_at(offset)?)
    }

    /// Whether a message's line follows another of the same id, or ids do not ascend.
    fn is_disordered(&self) -> bool {
        !self.messages.is_sorted_by(|one, next| one.id < next.id)
    }

    /// The lowest and the highest id of its messages.
    fn ids(&self) -> Option<(i64, i64)> {
        let lowest = self.messages.iter().map(|line| line.id).min()?;
        Some((lowest, self.messages.iter().map(|line| line.id).max()?))
    }

    /// Hands the messages' lines that `wanted` takes to a fold, as those of batch `batch` and run `run`.
    fn fold(&self, fold: &mut Fold, peer: Peer, batch: u32, run: &str, wanted: &dyn Fn(i64) -> bool) {
        for line in self.messages.iter().filter(|line| wanted(line.id)) {
            let (id, observed, record) = (Some(line.id), i64::from(line.observed), RecordType::Message);
            let edited = Some(i64::from(line.edited)).filter(|edited| *edited > 0);
            let (v, run, is_page, date) = (VERSION, run.into(), line.is_page(), line.date());
            fold.add(&Head { v, record, peer, id, observed, run, date, edited, event: None, is_page }, line.at(batch));
        }
    }
}

/// Folds the messages of a chat that `wanted` takes and hands them to `each`, ascending by id; of their places only batch and offset
/// are told. A batch that could not be read is left out.
///
/// Batches whose ids lie apart from each other's, as those of a first backup do, are folded one by one: it takes no memory, and
/// nothing for messages that have one line and were never deleted.
pub fn fold<'a>(
    chat: &Chat,
    batches: impl IntoIterator<Item = Option<&'a Folding>>,
    wanted: &dyn Fn(i64) -> bool,
    each: &mut dyn FnMut(Folded),
) {
    let mut placed: Vec<((i64, i64), u32, &Folding, &str)> = Vec::new();
    let mut others: Vec<(&Head<'static>, Location)> = Vec::new();
    for (number, (folding, path)) in batches.into_iter().zip(&chat.batches).enumerate() {
        let (Some(folding), Some(run)) = (folding, run_of(path)) else { continue };
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        placed.extend(folding.ids().map(|ids| (ids, number, folding, run)));
        let place = |offset: &u32, len: &u32| Location { batch: number, offset: *offset, len: *len };
        others.extend(folding.others.iter().map(|(head, offset, len)| (head, place(offset, len))));
    }
    placed.sort_by_key(|(ids, number, ..)| (*ids, *number));
    // What concerns the chat as a whole comes first, then what concerns single messages, by their ids.
    others.retain(|(head, _)| head.record != RecordType::Event || matches!(head.event, Some(ChatEvent::Cleared { .. })));
    let concerned = |head: &Head<'_>| head.id.filter(|_| head.record != RecordType::Event);
    others.sort_by_key(|(head, _)| concerned(head));
    let single = others.partition_point(|(head, _)| concerned(head).is_none());
    let mut rest = placed.as_slice();
    while let Some(((first, last), ..)) = rest.first() {
        let mut last = *last;
        let overlap = rest.iter().take_while(|((lowest, highest), ..)| {
            let is_near = *lowest <= last;
            last = if is_near { last.max(*highest) } else { last };
            is_near
        });
        let (near, later) = rest.split_at(overlap.count().max(1));
        rest = later;
        let from = others.partition_point(|(head, _)| concerned(head).is_none_or(|id| id < *first)).max(single);
        let till = others.partition_point(|(head, _)| concerned(head).is_none_or(|id| id <= last)).max(from);
        let concerning = || others.iter().take(single).chain(others.get(from..till).unwrap_or_default());
        if let [(_, number, folding, _)] = near
            && concerning().next().is_none()
            && !folding.is_disordered()
        {
            for line in folding.messages.iter().filter(|line| wanted(line.id)) {
                each(Folded { id: line.id, current: line.at(*number), earlier: Vec::new(), date: line.date(), deleted: None });
            }
            continue;
        }
        let mut fold = Fold::new();
        for (_, number, folding, run) in near {
            folding.fold(&mut fold, chat.peer, *number, run, wanted);
        }
        for (head, at) in concerning() {
            fold.add(head, *at);
        }
        fold.finish(AsOf::Now, &chat.seen).for_each(&mut *each);
    }
}

/// How many messages chats have, each once whatever its versions. Batches that cannot be read are left out: who restores them says so.
///
/// # Errors
/// When the store fails, or the run is stopped.
pub fn count_messages(chats: &OpenChats, wanted: &[Chat], stop: &Stop) -> Result<u64, OperationError> {
    let look = |_: &Chat, batch: &[u8]| {
        let mut folding = Folding::default();
        for (offset, line) in lines(batch) {
            folding.add(offset, line);
        }
        folding
    };
    let mut messages = 0;
    pass(chats, wanted, default_lanes(), stop, look, &mut |_| {}, |chat, batches| {
        fold(chat, batches.iter().map(Option::as_ref), &|_| true, &mut |_| messages += 1);
        Ok(())
    })?;
    Ok(messages)
}

/// The run that wrote a batch.
fn run_of(path: &EntryPath) -> Option<&str> {
    match paths::place(path)? {
        Place::Log { .. } => {
            let name = std::str::from_utf8(path.file_name()).ok()?;
            name.rsplit_once('-').map(|(run, _)| run)
        }
        _ => None,
    }
}

/// One batch's outcome on its way from a worker.
struct Done<T> {
    chat: usize,
    batch: usize,
    result: Result<T, OperationError>,
}

/// Reads the logs of `wanted`: `look` is called for each batch and its chat, side by side on `workers` threads, and `each` once for
/// each chat, in their order, with what came of its batches; `None` for a batch that could not be read, which `failed` is told.
///
/// # Errors
/// When the store fails as a whole, `each` fails, or the run is stopped.
pub fn pass<T: Send>(
    chats: &OpenChats,
    wanted: &[Chat],
    workers: usize,
    stop: &Stop,
    look: impl Fn(&Chat, &[u8]) -> T + Sync,
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
            let swept = chats.opened().sweep(share, &mut |path, content| {
                let Some(&(number, batch)) = numbers.get(path) else { return };
                let Some(chat) = wanted.get(number) else { return };
                // A receiver that is gone has been told to end.
                let _ = done.send(Ok(Done { chat: number, batch, result: content.map(|content| look(chat, content)) }));
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
        let place = chats.opened().tree().get(path)?.places()?.first().copied()?;
        Some((place.archive, place.offset))
    };
    let size = |path: &EntryPath| chats.opened().tree().get(path).map_or(0, |entry| entry.size);
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
