//! Reads a `result.json` from its first byte to its last and hands out what it holds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read};

use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use super::age::Age;
use super::convert::{self, Files};
use super::repair::{repair, valid_text};
use super::scan::{Piece, Scanner, What};
use crate::model::account::{AccountSection, Section};
use crate::model::chat::{ChatInfo, ChatType, Topic};
use crate::model::chat_part::ChatPart;
use crate::model::harmless::printable;
use crate::model::json;
use crate::model::part::Part;
use crate::model::paths::RunId;
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::{MessageRecord, Raw, VERSION};

/// A message longer than this is kept, and not taken apart: its record would not fit in memory a few times. Telegram's own limits
/// keep messages below 1 MB.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Takes what an export holds, in the file's order.
///
/// The bytes of [`Receiver::bytes`] and the raw bytes of each [`Receiver::message`], in the order of the calls, are the file.
pub trait Receiver {
    /// Bytes that belong to no message.
    ///
    /// # Errors
    /// Any error ends the reading.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// A message; its [`MessageRecord::raw`] is [`Raw::Json`] (or [`Raw::Html`]) with the bytes as they stand in the file.
    ///
    /// # Errors
    /// Any error ends the reading.
    fn message(&mut self, record: MessageRecord) -> io::Result<()>;

    /// A chat, before its messages; again after them if the file told more of it there.
    ///
    /// # Errors
    /// Any error ends the reading.
    fn chat(&mut self, chat: ChatInfo) -> io::Result<()>;

    /// A section of the account.
    ///
    /// # Errors
    /// Any error ends the reading.
    fn section(&mut self, section: AccountSection) -> io::Result<()>;

    /// What a chat has beside its messages, as our own exports tell it.
    ///
    /// # Errors
    /// Any error ends the reading.
    fn part(&mut self, part: ChatPart) -> io::Result<()> {
        let _ = part;
        Ok(())
    }

    /// Something that was not understood; its bytes have been handed out nevertheless.
    fn problem(&mut self, offset: u64, what: &str);
}

/// What is known of an export from outside.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The zone of the machine that made the export: exports before 4.0 hold local times only.
    pub zone: TimeZone,
    /// When the export was made, Unix seconds.
    pub observed: i64,
    /// The run that takes it in.
    pub run: RunId,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Chats.
    pub chats: u64,
    /// Messages that became records.
    pub messages: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The age of the schema, as far as its keys tell.
    pub age: Age,
    /// Whether the file was an outline of an export from its first byte to its last.
    pub whole: bool,
}

/// What a chat is, where that is known before it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatHead {
    /// Its name.
    pub name: Option<String>,
    /// The word for its type.
    pub kind: Option<String>,
    /// Its id.
    pub id: Option<i64>,
}

impl ChatHead {
    /// Takes one of the chat's keys; false if it says nothing of this.
    pub fn take(&mut self, key: &str, value: &str) -> bool {
        match key {
            "name" => self.name = json::text(value).map(Into::into),
            "type" => self.kind = json::text(value).map(Into::into),
            "id" => self.id = json::integer(value),
            _ => return false,
        }
        true
    }
}

#[derive(Default)]
struct Chat {
    head: ChatHead,
    left: bool,
    full_name: Option<String>,
    username: Option<String>,
    topics: Vec<Topic>,
    /// Whether the file lists the topics.
    has_topics: bool,
    /// The topic that this is the export of.
    topic: Option<i64>,
    /// Whether it stands in a list of chats.
    in_list: bool,
    only_my_messages: bool,
    parts: Vec<(Part, String)>,
    unknown: Vec<(String, String)>,
    peer: Option<Peer>,
    /// Whether it told something since it was announced.
    told_more: bool,
}

impl Chat {
    /// Takes one of its keys that a later version may have, or we.
    fn take(&mut self, key: String, value: String) {
        if let Some(part) = Part::from_key(&key).filter(|part| is_shaped_as(*part, &value)) {
            self.parts.push((part, value));
            return;
        }
        self.told_more = true;
        let text = || json::text(&value).map(Into::into);
        match &*key {
            "full_name" if text().is_some() => self.full_name = text(),
            "username" if text().is_some() => self.username = text(),
            "topics" if !self.has_topics && serde_json::from_str::<Vec<Topic>>(&value).is_ok() => {
                self.topics = serde_json::from_str(&value).unwrap_or_default();
                self.has_topics = true;
            }
            "only_my_messages" if value.trim() == "true" => self.only_my_messages = true,
            _ => self.unknown.push((key, value)),
        }
    }
}

/// Whether a value may be that part of a chat, and no key of a later Telegram Desktop.
fn is_shaped_as(part: Part, value: &str) -> bool {
    json::shape(value) == if part == Part::About { json::Shape::Object } else { json::Shape::Array }
}

/// Reads the `result.json` in `input`.
///
/// # Errors
/// Those of the input and the receiver. A file that is broken somewhere is no error: what is behind that place comes as bytes,
/// after a [`Receiver::problem`].
pub fn read_json(
    input: impl Read,
    circumstances: Circumstances,
    files: &mut dyn Files,
    receiver: &mut dyn Receiver,
) -> io::Result<Summary> {
    read_json_with(input, circumstances, Vec::new(), files, receiver)
}

/// As [`read_json`]; `heads` says what the chats are, in their order, where the file tells it behind their messages.
///
/// # Errors
/// As [`read_json`].
pub fn read_json_with(
    input: impl Read,
    circumstances: Circumstances,
    heads: Vec<ChatHead>,
    files: &mut dyn Files,
    receiver: &mut dyn Receiver,
) -> io::Result<Summary> {
    let (summary, made_up, heads) = (Summary::default(), HashMap::new(), heads.into_iter());
    let mut reader = Reader { circumstances, files, receiver, summary, chat: None, heads, made_up, unknown: Vec::new() };
    let mut scanner = Scanner::new(input);
    while let Some(piece) = scanner.next_piece()? {
        reader.summary.bytes += piece.bytes.len() as u64;
        reader.piece(piece)?;
    }
    reader.end_chat()?;
    reader.unknown_sections()?;
    match scanner.broken() {
        Some(broken) => reader.receiver.problem(broken.offset, broken.why),
        None => reader.summary.whole = true,
    }
    Ok(reader.summary)
}

struct Reader<'a> {
    circumstances: Circumstances,
    files: &'a mut dyn Files,
    receiver: &'a mut dyn Receiver,
    summary: Summary,
    chat: Option<Chat>,
    heads: std::vec::IntoIter<ChatHead>,
    /// How many chats without an id had this type and name.
    made_up: HashMap<(String, String), u32>,
    unknown: Vec<(String, String)>,
}

impl Reader<'_> {
    fn piece(&mut self, piece: Piece<'_>) -> io::Result<()> {
        let Piece { what, offset, bytes } = piece;
        match what {
            What::Glue | What::Rest | What::ListKey { .. } => {}
            What::ChatBegins { left } => {
                self.end_chat()?;
                self.chat = Some(Chat { left, in_list: true, head: self.heads.next().unwrap_or_default(), ..Chat::default() });
            }
            What::ChatEnds => self.end_chat()?,
            What::ChatKey(key) => self.chat_key(key, offset, bytes),
            What::Section(key) => self.section(key, offset, bytes)?,
            What::Message => {
                if self.message(offset, bytes)? {
                    return Ok(());
                }
            }
        }
        self.receiver.bytes(bytes)
    }

    fn text(&mut self, offset: u64, bytes: &[u8]) -> Option<String> {
        let text = repair(bytes).map(Cow::into_owned);
        if text.is_none() {
            self.receiver.problem(offset, "this value is not JSON");
        }
        text
    }

    fn chat_key(&mut self, key: String, offset: u64, bytes: &[u8]) {
        let Some(text) = self.text(offset, bytes) else { return };
        let heads = &mut self.heads;
        let chat = self.chat.get_or_insert_with(|| Chat { head: heads.next().unwrap_or_default(), ..Chat::default() });
        if !chat.head.take(&key, &text) {
            chat.take(key, text);
        }
        if chat.peer.is_some() && matches!(key_kind(chat), Some(kind) if Some(kind) != chat.peer.map(|peer| peer.kind)) {
            self.receiver.problem(offset, "the chat's type stands after its messages, which were filed under another");
        }
    }

    /// Says what the chat is, before its first message and where more became known.
    fn announce(&mut self, offset: u64) -> io::Result<Peer> {
        let heads = &mut self.heads;
        let chat = self.chat.get_or_insert_with(|| Chat { head: heads.next().unwrap_or_default(), ..Chat::default() });
        if let Some(peer) = chat.peer
            && !chat.told_more
        {
            return Ok(peer);
        }
        let first_time = chat.peer.is_none();
        // What is new since this version is most likely some kind of channel, and never a person.
        let kind = key_kind(chat).unwrap_or(if chat.head.kind.is_some() { PeerKind::Channel } else { PeerKind::User });
        let made_up = &mut self.made_up;
        let peer = chat.peer.unwrap_or_else(|| match chat.head.id.filter(|&id| id > 0) {
            Some(id) => Peer { kind, id },
            None => {
                let told = (chat.head.kind.clone().unwrap_or_default(), chat.head.name.clone().unwrap_or_default());
                let number = made_up.entry(told.clone()).or_default();
                *number += 1;
                Peer::made_up(kind, &[told.0.as_bytes(), told.1.as_bytes(), &number.to_be_bytes()])
            }
        });
        chat.peer = Some(peer);
        chat.told_more = false;
        if first_time {
            self.summary.chats += 1;
            if let Some(word) = chat.head.kind.as_deref().filter(|word| ChatType::from_key(word).is_none()) {
                let what = format!("this version does not know chats of the type '{}': it is kept as a channel", printable(word));
                self.receiver.problem(offset, &what);
            }
        }
        let is_topic = chat.topic.is_some();
        let info = ChatInfo {
            v: VERSION,
            peer,
            name: chat.head.name.clone().filter(|_| !is_topic),
            kind: chat.head.kind.as_deref().and_then(ChatType::from_key).filter(|_| !is_topic),
            other_kind: chat.head.kind.clone().filter(|word| ChatType::from_key(word).is_none()),
            is_partial: is_topic,
            full_name: chat.full_name.clone(),
            username: chat.username.clone(),
            left: chat.left,
            only_my_messages: chat.only_my_messages,
            migrated_from: None,
            migrated_to: None,
            topics: chat.topics.clone(),
            observed: self.circumstances.observed,
            run: self.circumstances.run.clone(),
            dialog: position(self.summary.chats),
            unknown_keys: object(&chat.unknown),
            raw: None,
        };
        self.receiver.chat(info)?;
        Ok(peer)
    }

    fn end_chat(&mut self) -> io::Result<()> {
        if let Some(chat) = &mut self.chat {
            let parts = std::mem::take(&mut chat.parts);
            let peer = self.announce(self.summary.bytes)?;
            for (part, text) in parts {
                self.part(peer, part, &text)?;
            }
        }
        self.chat = None;
        Ok(())
    }

    fn part(&mut self, peer: Peer, part: Part, text: &str) -> io::Result<()> {
        // Files are named in the same ways as in the sections of an account.
        let like = match part {
            Part::ProfilePictures => Section::ProfilePictures,
            Part::Stories => Section::Stories,
            Part::ScheduledMessages => Section::ProfileMusic,
            _ => Section::UnknownKeys,
        };
        let Some((value, media)) = convert::section(text, self.files, like) else { return Ok(()) };
        let Circumstances { observed, run, .. } = &self.circumstances;
        let raw = Vec::new();
        self.receiver.part(ChatPart { v: VERSION, peer, part, observed: *observed, run: run.clone(), value, media, raw })
    }

    /// Takes note of a topic that a message begins or names.
    ///
    /// The export of a single topic is that of a chat with the topic's name, which begins with the beginning of the topic.
    fn topics(&mut self, bytes: &[u8]) {
        let heads = &mut self.heads;
        let chat = self.chat.get_or_insert_with(|| Chat { head: heads.next().unwrap_or_default(), ..Chat::default() });
        let is_first = chat.peer.is_none();
        if bytes.len() > MAX_MESSAGE_BYTES || chat.has_topics || memchr::memmem::find(bytes, b"\"topic_").is_none() {
            return;
        }
        let Some(text) = repair(bytes) else { return };
        let title = |key: &str| json::get(&text, key).and_then(json::text).filter(|title| !title.is_empty()).map(Cow::into_owned);
        let id = |key: &str| json::get(&text, key).and_then(json::integer);
        let named = match json::get(&text, "action").and_then(json::spelling) {
            Some("topic_created") => id("id").zip(title("title")),
            // Which topic it is, newer exports tell like a reply.
            Some("topic_edit") => id("reply_to_message_id").zip(title("new_title")),
            _ => return,
        };
        let Some((id, title)) = named else { return };
        let is_topic = is_first && !chat.in_list && chat.head.kind.as_deref() == Some(ChatType::PublicSupergroup.key());
        // The topics of a whole chat are told by its messages, as in the export itself.
        if !is_topic && chat.topic.is_none() {
            return;
        }
        chat.told_more = true;
        if is_topic {
            chat.topic = Some(id);
        }
        let name = chat.head.name.clone().filter(|_| is_topic);
        match chat.topics.iter_mut().find(|topic| topic.id == id) {
            Some(topic) if chat.topic != Some(id) => topic.title = title,
            Some(_) => {}
            None => chat.topics.push(Topic { id, title: name.unwrap_or(title), icon_emoji_id: None, closed: false }),
        }
    }

    /// Hands out a message; false if it is not one, with its bytes not handed out yet.
    fn message(&mut self, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        self.topics(bytes);
        let peer = self.announce(offset)?;
        if bytes.len() > MAX_MESSAGE_BYTES {
            self.receiver.problem(offset, "this message is longer than 16 MiB; it is kept as it is, but shown nowhere");
            return Ok(false);
        }
        let zone = &self.circumstances.zone;
        // What `convert` returns has been checked to be JSON: a piece that needs no repair is not checked twice.
        let converted = match valid_text(bytes).and_then(|text| convert::message(text, zone, self.files)) {
            Some(converted) => Some(converted),
            None => repair(bytes).and_then(|text| convert::message(&text, zone, self.files)),
        };
        let Some(converted) = converted else {
            self.receiver.problem(offset, "this is not a message with an id; it is kept as it is, but shown nowhere");
            return Ok(false);
        };
        self.summary.age = self.summary.age.max(converted.age);
        self.summary.messages += 1;
        self.receiver.message(MessageRecord {
            peer,
            id: converted.id,
            observed: self.circumstances.observed,
            run: self.circumstances.run.clone(),
            date: converted.date,
            edited: converted.edited,
            message: converted.message,
            extra: converted.extra,
            media: converted.media,
            raw: Some(Raw::Json { age: self.summary.age.name().into(), bytes: bytes.to_vec() }),
        })?;
        Ok(true)
    }

    fn section(&mut self, key: String, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(text) = self.text(offset, bytes) else { return Ok(()) };
        let known = Section::from_key(&key).filter(|section| section.is_exported());
        let Some(section) = known else {
            if key != "about" {
                self.unknown.push((key, text));
            }
            return Ok(());
        };
        match convert::section(&text, self.files, section) {
            Some((value, media)) => self.receiver.section(self.account_section(section, value, media)),
            None => Ok(()),
        }
    }

    fn unknown_sections(&mut self) -> io::Result<()> {
        let unknown = std::mem::take(&mut self.unknown);
        match object(&unknown) {
            Some(value) => match convert::section(value.get(), self.files, Section::UnknownKeys) {
                Some((value, media)) => self.receiver.section(self.account_section(Section::UnknownKeys, value, media)),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn account_section(&self, section: Section, value: Box<RawValue>, media: Vec<crate::model::media::Media>) -> AccountSection {
        let Circumstances { observed, run, .. } = &self.circumstances;
        AccountSection { v: VERSION, section, observed: *observed, run: run.clone(), value, media, raw: Vec::new() }
    }
}

/// Which chat of the export it is, from 1, so that another export can list the chats in the same order.
pub(super) fn position(number: u64) -> Option<Box<RawValue>> {
    RawValue::from_string(format!("{{\"position\":{number}}}")).ok()
}

fn key_kind(chat: &Chat) -> Option<PeerKind> {
    Some(match chat.head.kind.as_deref().and_then(ChatType::from_key)? {
        ChatType::SavedMessages | ChatType::Replies | ChatType::VerificationCodes | ChatType::PersonalChat | ChatType::BotChat => {
            PeerKind::User
        }
        ChatType::PrivateGroup => PeerKind::Chat,
        ChatType::PrivateSupergroup | ChatType::PublicSupergroup | ChatType::PrivateChannel | ChatType::PublicChannel => PeerKind::Channel,
    })
}

fn object(members: &[(String, String)]) -> Option<Box<RawValue>> {
    if members.is_empty() {
        return None;
    }
    let mut out = vec![b'{'];
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        convert::compact(&mut out, value);
    }
    out.push(b'}');
    RawValue::from_string(String::from_utf8(out).ok()?).ok()
}
