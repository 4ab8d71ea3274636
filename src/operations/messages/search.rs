//! Finding messages of a snapshot by words.

use std::collections::{HashMap, HashSet};

use super::{Folding, fold, lines, pass};
use crate::model::record::{MessageRecord, Record};
use crate::operations::chats::{Chat, OpenChats};
use crate::operations::stop::Stop;
use crate::operations::{OperationError, default_lanes};
use crate::render::search::Query;

/// Bytes of lines that one batch keeps for when its chat is folded; of a batch with more, they are read once more then.
const KEPT_BYTES: usize = 64 * 1024;

/// A message that was found.
#[derive(Debug)]
pub struct Hit<'a> {
    /// Its chat.
    pub chat: &'a Chat,
    /// The message, in the version that counts.
    pub record: &'a MessageRecord,
    /// When it was found to be deleted, Unix seconds.
    pub deleted: Option<i64>,
}

/// What a search went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Chats.
    pub chats: u64,
    /// Lines of messages, earlier versions included.
    pub messages: u64,
    /// Messages that were found.
    pub found: u64,
    /// Batches and lines that could not be read.
    pub unreadable: u64,
}

/// What a batch has.
struct Looked {
    folding: Folding,
    /// The ids of the lines that match.
    ids: Vec<i64>,
    /// Their lines, by their place; `None` where they are too long to be kept.
    kept: Option<Vec<(u32, Vec<u8>)>>,
}

fn look(query: &Query, batch: &[u8]) -> Looked {
    let mut looked = Looked { folding: Folding::default(), ids: Vec::new(), kept: Some(Vec::new()) };
    let mut bytes = 0;
    for (offset, line) in lines(batch) {
        if !looked.folding.add(offset, line) || !query.may_match(line) {
            continue;
        }
        // What looks like a hit is taken apart.
        match query.find(line).next() {
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                looked.folding.bad += 1;
                continue;
            }
            None => continue,
        }
        looked.ids.extend(looked.folding.messages.last().map(|message| message.id));
        bytes += line.len();
        if let Some(kept) = &mut looked.kept {
            kept.push((offset, line.to_vec()));
        }
        if bytes > KEPT_BYTES {
            looked.kept = None;
        }
    }
    looked
}

/// Hands the messages of `wanted` that `query` finds to `each`, chat by chat, each in the version that counts. Earlier versions
/// are not searched. What cannot be read is told to `bad`.
///
/// # Errors
/// When the store fails, or the run is stopped; otherwise what `each` says.
pub fn search(
    chats: &OpenChats,
    wanted: &[Chat],
    query: &Query,
    stop: &Stop,
    bad: &mut dyn FnMut(&str),
    mut each: impl FnMut(&Hit<'_>) -> std::io::Result<()>,
) -> Result<Searched, OperationError> {
    let mut searched = Searched::default();
    let mut failed = 0;
    let told = &mut *bad;
    let mut tell = |(path, error): super::Failed| {
        failed += 1;
        told(&format!("'{path}' cannot be read: {}", crate::operations::restore::with_causes(&error)));
    };
    let mut lines_bad = 0;
    pass(
        chats,
        wanted,
        default_lanes(),
        stop,
        |batch| look(query, batch),
        &mut tell,
        |chat, batches| {
            searched.chats += 1;
            for looked in batches.iter().flatten() {
                searched.messages += looked.folding.messages.len() as u64;
                lines_bad += looked.folding.bad;
            }
            let ids: HashSet<i64> = batches.iter().flatten().flat_map(|looked| looked.ids.iter().copied()).collect();
            if ids.is_empty() {
                return Ok(());
            }
            let foldings = batches.iter().map(|looked| looked.as_ref().map(|looked| &looked.folding));
            let folded = fold(chat, foldings, &|id| ids.contains(&id));
            let current: HashMap<(u32, u32), Option<i64>> =
                folded.map(|message| ((message.current.batch, message.current.offset), message.deleted)).collect();
            for (number, looked) in (0u32..).zip(batches) {
                let Some(looked) = looked.filter(|looked| !looked.ids.is_empty()) else { continue };
                let mut hit = |offset: u32, record: &MessageRecord| -> Result<(), OperationError> {
                    let Some(deleted) = current.get(&(number, offset)) else { return Ok(()) };
                    searched.found += 1;
                    each(&Hit { chat, record, deleted: *deleted }).map_err(OperationError::Output)
                };
                if let Some(kept) = looked.kept {
                    for (offset, line) in kept {
                        if let Ok(Record::Message(record)) = Record::from_line(&line) {
                            hit(offset, &record)?;
                        }
                    }
                    continue;
                }
                let Some(path) = chat.batches.get(number as usize) else { continue };
                let again = chats.read(path)?;
                for found in query.find(&again).flatten() {
                    hit(u32::try_from(found.0).unwrap_or(u32::MAX), &found.1)?;
                }
            }
            Ok(())
        },
    )?;
    if lines_bad > 0 {
        bad(&format!("{lines_bad} lines of the logs cannot be understood"));
    }
    searched.unreadable = failed + lines_bad;
    Ok(searched)
}
