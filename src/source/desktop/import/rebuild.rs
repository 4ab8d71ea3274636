//! Learning from a snapshot what earlier imports stored, on a machine that does not know it (any more).

use std::collections::{HashMap, HashSet};
use std::io;

use super::IMPORTS;
use super::run::{says_of_chat, says_of_topic};
use crate::model::account::AccountSection;
use crate::model::chat::{ChatInfo, TopicInfo};
use crate::model::entry::EntryPath;
use crate::model::paths::{self, Place, RunId};
use crate::model::peer::Peer;
use crate::model::record::{Raw, Record};
use crate::source::Sink;
use crate::source::desktop::content::content;
use crate::source::desktop::known::Remembered;

/// Reads the logs that imports have written, as far as a key is at hand, into `known`.
///
/// # Errors
/// Never for what cannot be read: that is stored again.
pub(super) fn rebuild(known: &Remembered, sink: &mut dyn Sink) -> io::Result<()> {
    let folder = |name: &str| EntryPath::new(name).map_err(io::Error::other);
    let runs: HashSet<RunId> = sink.files_before(&folder(IMPORTS)?).iter().filter_map(run_of).collect();
    if runs.is_empty() {
        return Ok(());
    }
    let mut unread = 0u64;
    // For each chat and run, the highest id so far: what comes behind a higher one is nobody's first.
    let mut highest: HashMap<(Peer, RunId), i64> = HashMap::new();
    for path in sink.files_before(&folder("chats")?).into_iter().chain(sink.files_before(&folder("account")?)) {
        let place = paths::place(&path);
        if matches!(&place, Some(Place::Log { run, .. }) if !runs.contains(run)) {
            continue;
        }
        let bytes = match (&place, sink.read_before(&path)) {
            (Some(Place::Log { .. } | Place::ChatInfo(_) | Place::Topic(..) | Place::Account(_)), Ok(Some(bytes))) => bytes,
            (_, Ok(None)) => {
                sink.note(
                    "this machine does not know what earlier imports of this account stored, and has no key to look: what they stored is \
                     stored again. Give a passphrase or an identity once to go on from there instead",
                );
                return Ok(());
            }
            (_, Ok(Some(_))) => continue,
            (_, Err(_)) => {
                unread += 1;
                continue;
            }
        };
        match place {
            Some(Place::Log { peer, run, seq }) => {
                let (mut notes, mut observed, mut says) = (Vec::new(), i64::MIN, Vec::new());
                for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    let Ok(Record::Message(record)) = Record::from_line(line) else { continue };
                    observed = record.observed;
                    let highest = highest.entry((peer, run.clone())).or_insert(i64::MIN);
                    let raw = match &record.raw {
                        Some(Raw::Json { bytes, .. } | Raw::Html { bytes }) if record.id > *highest => Some(bytes.as_slice()),
                        _ => None,
                    };
                    *highest = record.id.max(*highest);
                    says.clear();
                    content(&record, &mut says);
                    notes.push(known.note(record.id, &says, raw));
                }
                known.rebuild_batch(peer, &run, observed, seq, &mut notes);
            }
            Some(Place::ChatInfo(_)) => match serde_json::from_slice::<ChatInfo>(&bytes) {
                Ok(chat) if runs.contains(&chat.run) => {
                    known.rebuild_description(&path, chat.observed, chat.is_partial, &says_of_chat(&chat)?)
                }
                _ => {}
            },
            Some(Place::Topic(..)) => match serde_json::from_slice::<TopicInfo>(&bytes) {
                Ok(told) if runs.contains(&told.run) => known.rebuild_description(&path, told.observed, false, &says_of_topic(&told)?),
                _ => {}
            },
            Some(Place::Account(_)) => match serde_json::from_slice::<AccountSection>(&bytes) {
                Ok(section) if runs.contains(&section.run) => {
                    known.rebuild_description(&path, section.observed, false, section.value.get().as_bytes());
                }
                _ => {}
            },
            _ => {}
        }
    }
    sink.note("read the list of imported messages from the vault, because this machine had lost it");
    if unread > 0 {
        sink.note(&format!("{unread} files from earlier imports could not be read; their contents are stored again"));
    }
    Ok(())
}

fn run_of(path: &EntryPath) -> Option<RunId> {
    std::str::from_utf8(path.components().nth(1)?).ok()?.parse().ok()
}
