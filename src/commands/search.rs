//! `tgvault search`: messages by words.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::reading::{Unread, chat_title};
use super::span::{Moment, check_order, parse_moment};
use super::units;
use crate::model::chat::DELETED_ACCOUNT;
use crate::model::entry::EntryPath;
use crate::model::json;
use crate::model::kinds::KindChoice;
use crate::model::media::{Media, MediaRole, MediaStatus};
use crate::model::peer::Peer;
use crate::model::time;
use crate::operations::chats::{Chat, Joined, OpenChats};
use crate::operations::messages::files::{imported_names, left_out};
use crate::operations::messages::search::{KEPT_BYTES, Search, Searched, Writing, search};
use crate::operations::{OperationError, Stop};
use crate::render::html::escape::plain;
use crate::render::search::{FoundLine, Query};
use crate::render::terminal::harmless;

const EXAMPLES: &str = "\
Examples:
  tgvault search harbour tickets                  # messages with both words
  tgvault search \"see you at\" --chat Mara --from 2024-05-01
  tgvault search --media voice-messages --chat @hikers
  tgvault search --snapshot 3f9a --json привет";

/// Letters of a message that one line shows, at most.
const SHOWN: usize = 160;

/// Options of `search`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Find messages that contain all of these words; quote a phrase to match it exactly
    ///
    /// Without words, all messages match.
    #[arg(value_name = "TEXT")]
    pub words: Vec<String>,

    /// Search this snapshot: `latest`, or the first digits of its ID
    #[arg(long, value_name = "SNAPSHOT", default_value = "latest", value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Only this chat, by name, @username, ID or link; may be repeated
    #[arg(long, value_name = "CHAT", allow_negative_numbers = true)]
    pub chat: Vec<String>,

    /// Only messages sent on or after this day or time: 2024-05-04 or 2024-05-04T12:30
    #[arg(long, value_name = "DATE", value_parser = parse_moment)]
    pub from: Option<Moment>,

    /// Only messages sent up to the end of this day, or up to this time
    #[arg(long, value_name = "DATE", value_parser = parse_moment)]
    pub till: Option<Moment>,

    /// Only messages with these: photos, videos, voice-messages, video-messages, stickers, gifs, files, music, any, none
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub media: Vec<KindChoice>,

    /// Earlier versions, too: what messages said before they were edited
    #[arg(long)]
    pub history: bool,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

#[derive(Serialize)]
struct Found<'a> {
    message_type: &'static str,
    chat: Peer,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Cow<'a, str>>,
    text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Cow<'a, str>>,
    /// Its stored files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stored: Vec<StoredFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited: Option<Timestamp>,
}

/// A file of a message.
#[derive(Serialize)]
struct StoredFile<'a> {
    /// Where it is stored.
    path: EntryPath,
    /// The path that it had in an export.
    #[serde(skip_serializing_if = "Option::is_none")]
    exported_as: Option<&'a EntryPath>,
}

/// What searches of media know of files.
#[derive(Default)]
struct FileNames {
    /// The paths that files had in exports.
    exported: HashMap<EntryPath, EntryPath>,
    /// The files of messages of which a later export left them out.
    left_out: HashMap<(Peer, i64), Vec<EntryPath>>,
}

impl FileNames {
    fn of_chats(chats: &OpenChats, wanted: &[Chat], stop: &Stop, unread: &mut Unread) -> Result<Self, OperationError> {
        let bad = &mut |error: &OperationError| unread.tell(&format!("some names of files are not known: {error}"), error.is_damage());
        let exported = imported_names(chats, bad)?;
        // Only exports leave out what an earlier one had.
        let left_out = if exported.is_empty() { HashMap::new() } else { left_out(chats, wanted, stop)? };
        Ok(Self { exported, left_out })
    }

    /// The stored files of a message, thumbnails left out.
    fn of(&self, peer: Peer, found: &FoundLine<'_>) -> Vec<StoredFile<'_>> {
        let media: Vec<Media> = found.media.and_then(|media| serde_json::from_str(media).ok()).unwrap_or_default();
        let stored = media.into_iter().filter(|media| media.status == MediaStatus::Stored && media.role != MediaRole::Thumbnail);
        let mut paths: Vec<EntryPath> = stored.filter_map(|media| media.path).collect();
        if paths.is_empty() {
            paths.extend(self.left_out.get(&(peer, found.id)).into_iter().flatten().cloned());
        }
        paths.into_iter().map(|path| StoredFile { exported_as: self.exported.get(&path), path }).collect()
    }
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    snapshot: String,
    chats: u64,
    messages: u64,
    found: u64,
    unreadable: u64,
}

/// Searches.
///
/// # Errors
/// When no key fits, there is no such chat, or the snapshot cannot be read.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let mut query =
        Query::new(&typed(&args.words)).map_err(|error| CommandError::usage(error.to_string(), "use fewer or shorter words"))?;
    check_order(args.from, args.till)?;
    query.from = args.from.map(|moment| moment.first);
    query.till = args.till.map(|moment| moment.last.saturating_add(1));
    query.media.clone_from(&args.media);
    let session = context.session(Keys::Needed).await?;
    let chats = OpenChats::open_with_chats(&session.open().await?, &args.select.choose(&args.snapshot)).await?;
    chats.stands_in().into_iter().for_each(|said| context.output.say(said));
    let snapshot = chats.opened().snapshot().id.to_string();
    let (output, stop, names, history) = (context.output.clone(), context.heeded.stop_soon(), args.chat.clone(), args.history);
    let shows_files = args.media.iter().any(|kind| *kind != KindChoice::None);
    let searched = tokio::task::spawn_blocking(move || {
        let mut unread = Unread::new(&output);
        unread.lost(&chats);
        let mut wanted = unread.chosen(&chats, &names)?;
        let joined = Joined::order(&mut wanted);
        let titled: HashMap<Peer, Option<String>> = wanted.iter().map(|chat| (chat.peer, chat.info.name.clone())).collect();
        let titles: HashMap<Peer, String> = wanted.iter().map(|chat| (chat.peer, chat_title(chat))).collect();
        let files = if shows_files { FileNames::of_chats(&chats, &wanted, &stop, &mut unread)? } else { FileNames::default() };
        let mut lines = output.lines();
        let (mut last, mut first) = (None, None);
        let is_json = lines.is_json();
        let each = |chat: &Chat, written: &[u8]| {
            let peer = joined.inside(chat.peer).unwrap_or(chat.peer);
            if !is_json && last != Some(peer) {
                if last.is_some() {
                    lines.line("")?;
                }
                lines.line(titles.get(&peer).map_or("", String::as_str))?;
                last = Some(peer);
                first.get_or_insert((peer, id_in(written)));
            }
            lines.bytes(written)
        };
        let searched = if is_json {
            let writing = &AsJson { files, joined: joined.clone(), names: titled };
            search(&chats, &Search { chats: &wanted, query: &query, writing, history, kept_bytes: KEPT_BYTES }, &stop, each)
        } else {
            let writing = &AsLines { zone: TimeZone::system(), files: shows_files.then_some(files), joined: joined.clone() };
            search(&chats, &Search { chats: &wanted, query: &query, writing, history, kept_bytes: KEPT_BYTES }, &stop, each)
        };
        lines.finish()?;
        let mut searched = searched?;
        searched.chats = searched.chats.saturating_sub(joined.count());
        unread.logs(&searched.unreadable);
        Ok::<_, CommandError>((searched, unread, first))
    });
    let (searched, unread, first) = searched.await.map_err(OperationError::from)??;
    if context.output.is_json() {
        let (Searched { chats, messages, found, .. }, unreadable) = (searched, unread.count);
        context.output.json(&Summary { message_type: "summary", command: "search", snapshot, chats, messages, found, unreadable })?;
    } else if searched.found == 0 {
        context.output.say("no message matches");
    } else {
        context.output.say(&format!(
            "found {} among {} in {}",
            units::counted(searched.found, "message"),
            units::counted(searched.messages, "stored version"),
            units::counted(searched.chats, "chat")
        ));
        if let Some((chat, Some(id))) = first {
            let (which, select) = (&args.snapshot, selected(&args.select));
            let message = format!("--chat {chat} --message {id}{select}");
            context.output.say(&format!("show the first:    tgvault cat {which} {message}"));
            context.output.say(&format!("restore the first: tgvault restore {which} --to DIR {message}"));
        }
    }
    Ok(unread.exit())
}

/// The number of a message in its line.
fn id_in(line: &[u8]) -> Option<i64> {
    let line = String::from_utf8_lossy(line);
    line.split_once(" #")?.1.split_whitespace().next()?.parse().ok()
}

/// The options that select a snapshot, as they are typed again.
fn selected(select: &Select) -> String {
    let words = [("--host", &select.host), ("--source", &select.source)];
    let one = words.into_iter().filter_map(|(option, value)| Some((option, value.as_ref()?)));
    let all = one.chain(select.tags.iter().map(|tag| ("--tag", tag)));
    all.map(|(option, value)| format!(" {option} {}", units::shell_word(value.as_ref()))).collect()
}

/// What of a message is shown, found in one pass over it.
#[derive(Default)]
struct Shown<'a> {
    from: Option<Cow<'a, str>>,
    /// Whether it has a sender that nobody knows by a name any more.
    is_nameless: bool,
    /// Its text, or what happened.
    words: Cow<'a, str>,
    /// The kind of its file.
    media: Option<Cow<'a, str>>,
    /// Its file's name.
    file: Option<Cow<'a, str>>,
}

impl<'a> Shown<'a> {
    fn of(message: &'a str) -> Self {
        let (mut shown, mut actor, mut instead) = (Self::default(), None, [None, None, None]);
        let (mut kind, mut is_photo) = (None, false);
        let text_of = |value: &'a str| json::text(value);
        for (key, value) in json::members(message) {
            match key {
                "from" | "actor" if text_of(value).is_none() => shown.is_nameless = true,
                "from" => shown.from = text_of(value),
                "actor" => actor = text_of(value),
                "text" => shown.words = text_of(value).unwrap_or_else(|| plain(value).into()),
                "media_type" => shown.media = text_of(value),
                "file_name" => shown.file = text_of(value),
                "photo" => is_photo = true,
                "file" => kind = kind.or(Some("file")),
                "location_information" => kind = kind.or(Some("location")),
                "contact_information" => kind = kind.or(Some("contact")),
                "poll" => {
                    kind = kind.or(Some("poll"));
                    instead[0] = json::get(value, "question").map(plain).map(Cow::Owned);
                }
                "information_text" => instead[1] = text_of(value),
                "action" => instead[2] = text_of(value),
                _ => {}
            }
        }
        shown.from = shown.from.or(actor);
        shown.media = shown.media.or(if is_photo { Some("photo") } else { kind }.map(Cow::Borrowed));
        if shown.words.is_empty() {
            shown.words = instead.into_iter().flatten().next().unwrap_or_default();
        }
        shown
    }
}

/// The words as a query has them. A shell takes the quotes off `search "see you"`: what came with spaces was in quotes.
fn typed(words: &[String]) -> String {
    let quoted = |word: &String| {
        if word.contains('"') || !word.trim().contains(char::is_whitespace) { word.clone() } else { format!("\"{}\"", word.trim()) }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn moment(unix: i64) -> Option<Timestamp> {
    Timestamp::from_second(unix).ok()
}

struct AsJson {
    files: FileNames,
    joined: Joined,
    names: HashMap<Peer, Option<String>>,
}

impl Writing for AsJson {
    fn write(&self, chat: &Chat, found: &FoundLine<'_>, out: &mut Vec<u8>) -> usize {
        let Shown { from, words, media, file, .. } = Shown::of(found.message);
        let peer = self.joined.inside(chat.peer).unwrap_or(chat.peer);
        let line = Found {
            message_type: "found",
            chat: peer,
            name: self.names.get(&peer).and_then(Option::as_deref),
            id: self.joined.shown_id(chat.peer, found.id),
            date: found.date.and_then(moment),
            from,
            text: words,
            media,
            file,
            stored: self.files.of(chat.peer, found),
            edited: found.edited.and_then(moment),
        };
        // Neither strings nor writing into memory can fail.
        let _ = serde_json::to_writer(&mut *out, &line);
        out.push(b'\n');
        out.len().saturating_sub(2)
    }

    fn mark(&self, deleted: i64) -> String {
        moment(deleted).map_or_else(String::new, |time| format!(r#","deleted":"{time}""#))
    }

    fn earlier(&self) -> &'static str {
        ",\"earlier\":true"
    }
}

struct AsLines {
    zone: TimeZone,
    /// Where files are shown.
    files: Option<FileNames>,
    joined: Joined,
}

impl Writing for AsLines {
    fn write(&self, chat: &Chat, found: &FoundLine<'_>, out: &mut Vec<u8>) -> usize {
        let Shown { from, is_nameless, words, media, file } = Shown::of(found.message);
        // Writing into memory does not fail.
        let _ = match found.date.and_then(|date| time::local(&self.zone, date)) {
            Some(at) => {
                let (date, hour, minute) = (at.date(), at.hour(), at.minute());
                write!(out, "  {:04}-{:02}-{:02} {hour:02}:{minute:02}", date.year(), date.month(), date.day())
            }
            None => write!(out, "{:18}", ""),
        };
        let _ = write!(out, "  #{:<8} ", self.joined.shown_id(chat.peer, found.id));
        add_harmless(out, &from.unwrap_or(if is_nameless { DELETED_ACCOUNT } else { "" }.into()));
        out.extend_from_slice(b": ");
        let mark = out.len();
        match (media, file) {
            (Some(kind), Some(file)) => add_harmless(out, &format!("[{kind}: {file}] ")),
            (Some(kind), None) => add_harmless(out, &format!("[{kind}] ")),
            (None, _) => {}
        }
        let mut left = SHOWN;
        for (at, word) in words.split_whitespace().enumerate() {
            if at > 0 {
                out.push(b' ');
                left = left.saturating_sub(1);
            }
            let cut = word.char_indices().nth(left).map(|(at, _)| at);
            add_harmless(out, word.get(..cut.unwrap_or(word.len())).unwrap_or_default());
            if cut.is_some() {
                out.extend_from_slice("…".as_bytes());
                break;
            }
            left -= word.chars().count();
        }
        out.push(b'\n');
        for file in self.files.iter().flat_map(|files| files.of(chat.peer, found)) {
            let name = file.exported_as.map(|name| format!("{name} = ")).unwrap_or_default();
            add_harmless(out, &format!("      {name}{}", file.path));
            out.push(b'\n');
        }
        mark
    }

    fn mark(&self, _: i64) -> String {
        "(deleted) ".to_owned()
    }

    fn earlier(&self) -> &'static str {
        "(earlier) "
    }
}

/// Appends text that cannot drive a terminal.
fn add_harmless(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(harmless(text).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_shell_hands_over_in_one_piece_is_one_phrase() {
        let typed = |words: &[&str]| super::typed(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(typed(&["harbour", "tickets"]), "harbour tickets");
        assert_eq!(typed(&["see you at", "eight"]), "\"see you at\" eight");
        assert_eq!(typed(&["\"see you\" at"]), "\"see you\" at");
        assert_eq!(typed(&[" harbour "]), " harbour ");
    }
}
