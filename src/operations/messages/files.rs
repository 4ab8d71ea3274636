//! Stored files by what people know of them: the names that they had, and the chat, sender and time of the first message that shows them.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Unreadable, lines, pass};
use crate::model::causes::with_causes;
use crate::model::chat::DELETED_ACCOUNT;
use crate::model::entry::{EntryPath, Kind};
use crate::model::filter::PathFilter;
use crate::model::json;
use crate::model::media::{Media, MediaRole, MediaStatus};
use crate::model::peer::Peer;
use crate::operations::chats::imported::{each_file, imports};
use crate::operations::chats::{Chat, OpenChats};
use crate::operations::stop::Stop;
use crate::operations::{OperationError, default_lanes};
use crate::source::desktop::import::ImportedFile;

/// A message that shows a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownIn {
    /// The chat.
    pub peer: Peer,
    /// What it is called.
    pub chat: Option<String>,
    /// The message's id.
    pub id: i64,
    /// When it was sent, Unix seconds.
    pub date: Option<i64>,
    /// Who sent it.
    pub from: Option<String>,
}

/// What people know of a stored file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownFile {
    /// The name that it was sent with, or that it had in an export.
    pub name: Option<String>,
    /// The first message that shows it.
    pub shown_in: Option<ShownIn>,
}

/// Files that fit a pattern, by their stored paths or by the names that people know.
#[derive(Debug, Default)]
pub struct KnownFiles {
    /// By the paths under which they are stored.
    pub files: BTreeMap<EntryPath, KnownFile>,
    /// Files of imports that are stored as messages (`result.json`, pages), with their sizes.
    pub apart: BTreeMap<EntryPath, u64>,
    /// What could not be read.
    pub unreadable: Unreadable,
}

/// Hands the files of all imports to `each`. A list that cannot be read is told to `bad`, and the rest goes on without it.
fn imported(chats: &OpenChats, bad: &mut dyn FnMut(&OperationError), each: &mut dyn FnMut(ImportedFile)) -> Result<(), OperationError> {
    for run in imports(chats) {
        match each_file(chats, &run, each) {
            Ok(()) => {}
            Err(error) if error.is_of_the_store() => return Err(error),
            Err(error) => bad(&error),
        }
    }
    Ok(())
}

/// The names that files had in imports, by the paths under which they are stored; a later import's names go before those of an earlier.
/// Lists that cannot be read are told to `bad`.
///
/// # Errors
/// When the store fails.
pub fn imported_names(chats: &OpenChats, bad: &mut dyn FnMut(&OperationError)) -> Result<HashMap<EntryPath, EntryPath>, OperationError> {
    let mut names = HashMap::new();
    imported(chats, bad, &mut |file| names.extend(file.stored.map(|stored| (stored, file.path))))?;
    Ok(names)
}

#[derive(Deserialize)]
struct Seen<'a> {
    id: i64,
    #[serde(default)]
    date: Option<i64>,
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(default)]
    media: Vec<Media>,
}

/// The files of `wanted` that `filter` takes by one of their names.
///
/// # Errors
/// When the store fails, or the run is stopped.
pub fn known_files(chats: &OpenChats, wanted: &[Chat], filter: &PathFilter, stop: &Stop) -> Result<KnownFiles, OperationError> {
    let mut known = KnownFiles::default();
    let mut unreadable = Unreadable::default();
    let mut unread = Vec::new();
    imported(chats, &mut |error| unread.push(with_causes(error)), &mut |file| {
        let Some(stored) = file.stored else {
            if file.kind == Kind::File && filter.takes(&file.path) {
                known.apart.insert(file.path, file.size);
            }
            return;
        };
        if filter.takes(&stored) || filter.takes(&file.path) {
            known.files.entry(stored).or_default().name = Some(name_of(&file.path));
        }
    })?;
    unreadable.told.extend(unread);
    let of_imports: HashMap<EntryPath, KnownFile> = std::mem::take(&mut known.files).into_iter().collect();
    let mut shown: BTreeMap<EntryPath, KnownFile> = BTreeMap::new();
    pass(
        chats,
        wanted,
        default_lanes(),
        stop,
        |chat, batch| look(chat, batch, filter, &of_imports),
        &mut |failed| unreadable.batch(&failed),
        |_, batches| {
            for (path, file) in batches.into_iter().flatten().flatten() {
                shown.entry(path).or_insert(file);
            }
            Ok(())
        },
    )?;
    for (path, file) in of_imports {
        let known = shown.entry(path).or_default();
        known.name = known.name.take().or(file.name);
    }
    (known.files, known.unreadable) = (shown, unreadable);
    Ok(known)
}

/// The files of messages that have a version without them: an export may have been made without files.
///
/// # Errors
/// When the store fails, or the run is stopped.
pub fn left_out(chats: &OpenChats, wanted: &[Chat], stop: &Stop) -> Result<HashMap<(Peer, i64), Vec<EntryPath>>, OperationError> {
    let mut found = HashMap::new();
    let look = |_: &Chat, batch: &[u8]| {
        let mut messages: Vec<(i64, bool, Vec<EntryPath>)> = Vec::new();
        for (_, line) in lines(batch).filter(|(_, line)| memchr::memmem::find(line, b"\"media\"").is_some()) {
            let Ok(seen) = serde_json::from_slice::<Seen<'_>>(line) else { continue };
            let own = seen.media.into_iter().filter(|media| media.role != MediaRole::Thumbnail);
            let (mut lacks, mut stored) = (false, Vec::new());
            for media in own {
                match media.path.filter(|_| media.status == MediaStatus::Stored) {
                    Some(path) => stored.push(path),
                    None => lacks = true,
                }
            }
            messages.push((seen.id, lacks, stored));
        }
        messages
    };
    pass(chats, wanted, default_lanes(), stop, look, &mut |_| {}, |chat, batches| {
        let mut files: HashMap<i64, (bool, Vec<EntryPath>)> = HashMap::new();
        for (id, lacks, stored) in batches.into_iter().flatten().flatten() {
            let known = files.entry(id).or_default();
            known.0 |= lacks;
            for path in stored {
                if !known.1.contains(&path) {
                    known.1.push(path);
                }
            }
        }
        let files = files.into_iter().filter(|(_, (lacks, stored))| *lacks && !stored.is_empty());
        found.extend(files.map(|(id, (_, stored))| ((chat.peer, id), stored)));
        Ok(())
    })?;
    Ok(found)
}

/// The last part of a path.
fn name_of(path: &EntryPath) -> String {
    String::from_utf8_lossy(path.file_name()).into_owned()
}

/// The files of one batch that are wanted.
fn look(chat: &Chat, batch: &[u8], filter: &PathFilter, imported: &HashMap<EntryPath, KnownFile>) -> Vec<(EntryPath, KnownFile)> {
    let mut found = Vec::new();
    for (_, line) in lines(batch) {
        // Most messages have no files, and are never taken apart.
        if memchr::memmem::find(line, b"\"media\"").is_none() {
            continue;
        }
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(line) else { continue };
        let message = seen.message.get();
        let own_name = || json::get(message, "file_name").and_then(json::text).filter(|name| !name.is_empty());
        for media in seen.media.into_iter().filter(|media| media.status == MediaStatus::Stored) {
            let Some(path) = media.path else { continue };
            let name = own_name().filter(|_| media.role == MediaRole::File);
            let fits = |name: &str| EntryPath::new(name).is_ok_and(|name| filter.takes(&name));
            if !(imported.contains_key(&path) || filter.takes(&path) || name.as_deref().is_some_and(fits)) {
                continue;
            }
            let sender = ["from", "actor"].into_iter().find_map(|key| json::get(message, key));
            let from = sender.map(|from| json::text(from).map_or_else(|| DELETED_ACCOUNT.to_owned(), |from| from.into_owned()));
            let chat_name = chat.info.title().map(str::to_owned);
            let shown_in = ShownIn { peer: chat.peer, chat: chat_name, id: seen.id, date: seen.date, from };
            found.push((path, KnownFile { name: name.map(|name| name.into_owned()), shown_in: Some(shown_in) }));
        }
    }
    found
}
