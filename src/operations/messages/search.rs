//! Finding messages of a snapshot by words.
//!
//! The workers that read logs also write what is found in the caller's form, so that both cores have work. What they wrote waits,
//! compressed and within bounds, until its chat is folded and it is known which version of a message counts; of a batch
//! that found no room only the places are kept, and it is read once more then.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Folding, MessageLine, Unreadable, fold, lines, pass};
use crate::archive::frame::{compress_quickly, decompress_small};
use crate::model::json;
use crate::operations::chats::{Chat, OpenChats};
use crate::operations::stop::Stop;
use crate::operations::{OperationError, default_lanes};
use crate::render::html::escape::plain;
use crate::render::log::Batches;
use crate::render::search::{FoundLine, Query};

/// Bytes of what is found that wait for their chats to be folded, all together, for most uses.
pub const KEPT_BYTES: usize = 24 * 1024 * 1024;

/// What is found in one batch is compressed from so many bytes on.
const COMPRESSED_FROM: usize = 4 * 1024;

/// The most that one batch's finds have after decompression: a batch has 64 MiB at most, and a form may say everything twice.
const MOST_BYTES: u64 = 1 << 30;

/// How finds are written.
pub trait Writing: Sync {
    /// Appends a message in the caller's form, and gives the place in `out` where the mark of a deleted one goes.
    fn write(&self, chat: &Chat, found: &FoundLine<'_>, out: &mut Vec<u8>) -> usize;

    /// The mark of a message that was found to be deleted at this time, Unix seconds.
    fn mark(&self, deleted: i64) -> String;

    /// The mark of an earlier version.
    fn earlier(&self) -> &'static str;
}

/// What a search went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Chats.
    pub chats: u64,
    /// Lines of messages, earlier versions included.
    pub messages: u64,
    /// Messages that were found.
    pub found: u64,
    /// What could not be read.
    pub unreadable: Unreadable,
}

/// A line that matches.
#[derive(Clone, Copy)]
struct Place {
    /// Where its line begins in the batch.
    offset: u32,
    /// Where it ends in what was written.
    end: u32,
    /// Where the mark of a deleted message goes.
    mark: u32,
    /// Whether it is the version that counts.
    counts: bool,
    /// When the message was sent, where another version knows it better than this line.
    sent: Option<i64>,
    /// A hash of the text that the line has, where earlier versions are searched.
    says: u64,
    /// Whether the query does not take it at that time, or a later version says the same.
    is_out: bool,
}

/// What was written for a batch.
enum Written {
    Nothing,
    Plain(Vec<u8>),
    Compressed(Vec<u8>),
    /// There was no room for it.
    Dropped,
}

impl Written {
    fn len(&self) -> usize {
        match self {
            Self::Plain(bytes) | Self::Compressed(bytes) => bytes.len(),
            Self::Nothing | Self::Dropped => 0,
        }
    }
}

/// What a batch has.
struct Looked {
    folding: Folding,
    /// The lines that match, in their order.
    places: Vec<Place>,
    written: Written,
}

/// What to search, and how.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a, W> {
    /// These chats.
    pub chats: &'a [Chat],
    /// For this.
    pub query: &'a Query,
    /// In which form finds are wanted.
    pub writing: &'a W,
    /// Whether earlier versions are searched, too.
    pub history: bool,
    /// How many bytes of finds may wait: [`KEPT_BYTES`].
    pub kept_bytes: usize,
}

/// A search that goes on.
struct Going<'a, W> {
    search: &'a Search<'a, W>,
    /// Bytes that are kept now.
    kept: AtomicUsize,
    hasher: RandomState,
}

impl<W: Writing> Going<'_, W> {
    fn look(&self, chat: &Chat, batch: &[u8]) -> Looked {
        let mut looked = Looked { folding: Folding::default(), places: Vec::new(), written: Written::Nothing };
        let mut out = Vec::new();
        for (offset, line) in lines(batch) {
            if !looked.folding.add(offset, line) || !self.search.query.may_match(line) {
                continue;
            }
            match FoundLine::open(line) {
                Ok(Some(found)) if self.search.query.matches(&found) => {
                    let mark = self.search.writing.write(chat, &found, &mut out);
                    let [end, mark] = [out.len(), mark].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
                    let says = if self.search.history { self.says(found.message) } else { 0 };
                    looked.places.push(Place { offset, end, mark, counts: false, sent: None, says, is_out: false });
                }
                Ok(_) => {}
                Err(_) => looked.folding.bad += 1,
            }
        }
        looked.folding.messages.shrink_to_fit();
        looked.places.shrink_to_fit();
        looked.written = self.keep(out);
        looked
    }

    /// A hash of what people read of a message. What happened in a chat is a sentence on a page, and keys elsewhere.
    fn says(&self, message: &str) -> u64 {
        let is_service = json::get(message, "type").and_then(json::spelling) == Some("service");
        let text = json::get(message, "text").filter(|_| !is_service).map(plain).unwrap_or_default();
        self.hasher.hash_one(text.trim())
    }

    fn keep(&self, mut out: Vec<u8>) -> Written {
        if out.is_empty() {
            return Written::Nothing;
        }
        let is_small = out.len() < COMPRESSED_FROM;
        let written = match if is_small { None } else { compress_quickly(&out).ok() } {
            Some(compressed) => Written::Compressed(compressed),
            None => {
                out.shrink_to_fit();
                Written::Plain(out)
            }
        };
        let len = written.len();
        let room = self.kept.fetch_add(len, Ordering::Relaxed).saturating_add(len) <= self.search.kept_bytes;
        if room {
            return written;
        }
        self.kept.fetch_sub(len, Ordering::Relaxed);
        Written::Dropped
    }

    /// What was written for the lines of a batch at `places`, anew.
    fn again(&self, chat: &Chat, batch: &[u8], places: &mut [Place]) -> Vec<u8> {
        let mut out = Vec::new();
        for place in places {
            let line = batch.get(place.offset as usize..).unwrap_or_default();
            let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let found = FoundLine::open(line.trim_ascii_end()).ok().flatten();
            let found = found.map(|found| FoundLine { date: place.sent.or(found.date), ..found });
            let mark = found.map_or(out.len(), |found| self.search.writing.write(chat, &found, &mut out));
            [place.end, place.mark] = [out.len(), mark].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
        }
        out
    }
}

/// Hands the messages that are found to `each`, chat by chat, in the wanted form: each in the version that counts, and in earlier ones
/// where these are wanted.
///
/// # Errors
/// When the store fails, or the run is stopped; otherwise what `each` says.
pub fn search<W: Writing>(
    chats: &OpenChats,
    search: &Search<'_, W>,
    stop: &Stop,
    mut each: impl FnMut(&Chat, &[u8]) -> io::Result<()>,
) -> Result<Searched, OperationError> {
    let going = Going { search, kept: AtomicUsize::new(0), hasher: RandomState::new() };
    let mut searched = Searched::default();
    let mut unreadable = Unreadable::default();
    let mut lines_bad = 0;
    pass(
        chats,
        search.chats,
        default_lanes(),
        stop,
        |chat, batch| going.look(chat, batch),
        &mut |failed| unreadable.batch(&failed),
        |chat, mut batches| {
            searched.chats += 1;
            for looked in batches.iter().flatten() {
                searched.messages += looked.folding.messages.len() as u64;
                lines_bad += looked.folding.bad;
            }
            let deleted = settle(chat, &mut batches, search.query);
            let log = chats.log(chat);
            for (number, looked) in (0u32..).zip(batches) {
                let Some(Looked { mut places, written, .. }) = looked else { continue };
                going.kept.fetch_sub(written.len(), Ordering::Relaxed);
                if places.is_empty() {
                    continue;
                }
                if stop.is_wanted() {
                    return Err(OperationError::Interrupted);
                }
                let has_better_times = places.iter().any(|place| place.sent.is_some());
                let text = match if has_better_times { Written::Dropped } else { written } {
                    Written::Plain(bytes) => bytes,
                    Written::Compressed(bytes) => {
                        decompress_small(&bytes, MOST_BYTES).map_err(|error| OperationError::Internal(error.to_string()))?
                    }
                    Written::Nothing | Written::Dropped => {
                        let batch = log.load(number)?;
                        going.again(chat, &batch, &mut places)
                    }
                };
                searched.found += hand_out(chat, number, &places, &text, &deleted, search, &mut each).map_err(OperationError::Output)?;
            }
            Ok(())
        },
    )?;
    unreadable.lines(lines_bad);
    searched.unreadable = unreadable;
    Ok(searched)
}

/// Notes of all places which of them count and when their messages were sent, and whether the query takes that time; and
/// gives those that were found to be deleted, by batch and offset, with the time. After that nobody needs the heads of lines any more.
fn settle(chat: &Chat, batches: &mut [Option<Looked>], query: &Query) -> HashMap<(u32, u32), i64> {
    let mut places: Vec<Vec<Place>> =
        batches.iter_mut().map(|looked| looked.as_mut().map(|looked| std::mem::take(&mut looked.places)).unwrap_or_default()).collect();
    let (matching, lines) = batches.iter().zip(&places).fold((0, 0), |(matching, lines), (looked, places)| {
        (matching + places.len(), lines + looked.as_ref().map_or(0, |looked| looked.folding.messages.len()))
    });
    let mut deleted = HashMap::new();
    if matching > 0 {
        // Where few are found, the others' heads are passed over.
        let ids: Option<HashSet<i64>> = (matching.saturating_mul(8) < lines).then(|| {
            let found = batches.iter().zip(&places).filter_map(|(looked, places)| Some((looked.as_ref()?, places)));
            found.flat_map(|(looked, places)| places.iter().filter_map(|place| Some(looked.folding.line_at(place.offset)?.id))).collect()
        });
        let foldings = batches.iter().map(|looked| looked.as_ref().map(|looked| &looked.folding));
        fold(chat, foldings, &|id| ids.as_ref().is_none_or(|ids| ids.contains(&id)), &mut |message| {
            // The last one first: an earlier version that people cannot tell from the next is none.
            let mut next = None;
            for (version, counts) in [(&message.current, true)].into_iter().chain(message.earlier.iter().rev().map(|at| (at, false))) {
                let Some(places) = places.get_mut(version.batch as usize) else { continue };
                let Ok(at) = places.binary_search_by_key(&version.offset, |place| place.offset) else { continue };
                let Some(place) = places.get_mut(at) else { continue };
                let looked = batches.get(version.batch as usize).and_then(Option::as_ref);
                let told = looked.and_then(|looked| looked.folding.line_at(version.offset)).and_then(MessageLine::date);
                place.sent = message.date.filter(|date| told != Some(*date));
                place.counts = counts;
                place.is_out = next.replace(place.says) == Some(place.says);
                if counts {
                    deleted.extend(message.deleted.map(|time| ((version.batch, version.offset), time)));
                }
            }
        });
        for (looked, places) in batches.iter().zip(&mut places) {
            let Some(looked) = looked else { continue };
            for place in places {
                let told = || looked.folding.line_at(place.offset).and_then(MessageLine::date);
                place.is_out |= !query.takes_time(place.sent.or_else(told));
            }
        }
    }
    for (looked, places) in batches.iter_mut().zip(places) {
        if let Some(looked) = looked {
            looked.folding = Folding::default();
            looked.places = places;
        }
    }
    deleted
}

/// Hands out what was written for a batch's places that count, and gives their number.
fn hand_out<W: Writing>(
    chat: &Chat,
    batch: u32,
    places: &[Place],
    text: &[u8],
    deleted: &HashMap<(u32, u32), i64>,
    search: &Search<'_, W>,
    each: &mut impl FnMut(&Chat, &[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut count = 0;
    let mut start = 0;
    for place in places {
        let from = std::mem::replace(&mut start, place.end as usize);
        let written = text.get(from..place.end as usize).unwrap_or_default();
        if place.is_out || !(place.counts || search.history) || written.is_empty() {
            continue;
        }
        count += 1;
        let mark = match deleted.get(&(batch, place.offset)) {
            Some(time) => Some(search.writing.mark(*time)),
            None => (!place.counts).then(|| search.writing.earlier().to_owned()),
        };
        match mark {
            None => each(chat, written)?,
            Some(mark) => {
                let (before, after) = written.split_at((place.mark as usize).saturating_sub(from).min(written.len()));
                each(chat, &[before, mark.as_bytes(), after].concat())?;
            }
        }
    }
    Ok(count)
}
