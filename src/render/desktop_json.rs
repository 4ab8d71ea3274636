//! `result.json` as Telegram Desktop writes it, from stored records.
//!
//! Keys, order, types, placeholders and the rules of leaving out are Telegram Desktop's; what it has no keys for follows at the
//! end of a message: `attachments` (files that no other key names), the keys of [`Extra`](crate::model::record::Extra), and on
//! request `deleted_unixtime` (a string of digits) and `history` (the earlier versions, first to last, as message objects with
//! `observed_unixtime`). Messages of a live backup differ where Telegram Desktop's form breaks readers: a rich message has its plain
//! text, too, and no key stands twice (`send_webview_data` has a `text` before the message's). A message of an unsupported kind, which
//! has an id and a type there and nothing else, gets its date. At the end of a chat follow `full_name`, `username`, `topics` and
//! `only_my_messages` where they are known, and what the chat has beside messages ([`Part`]).
//!
//! The writer holds one message at a time, whatever the length of a chat.

use std::borrow::Cow;
use std::io::{self, Write};

use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use super::earlier;
use super::html::escape::rich_plain;
use super::json_text::{self, Hand, Of};
use super::media_names::Places;
use super::shown::Shown;
use crate::model::account::{AccountSection, Section};
use crate::model::chat::{ChatInfo, ChatType, Topic};
use crate::model::chat_part::ChatPart;
use crate::model::json;
use crate::model::media::{Attached, Media};
use crate::model::part::Part;
use crate::model::record::{MessageRecord, Raw};
use crate::model::time;

/// What the file says about itself. Telegram Desktop puts sentences in the language of its interface here; nobody reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// At the top of an account export.
    pub account: String,
    /// Before the chats.
    pub chats: String,
    /// Before the chats that the account has left.
    pub left_chats: String,
}

impl Default for About {
    fn default() -> Self {
        Self {
            account: "A backup of a Telegram account, written by tgvault in the form of Telegram Desktop's exports.".into(),
            chats: "The chats of this backup.".into(),
            left_chats: "Groups and channels in this backup that the account has left.".into(),
        }
    }
}

/// How to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// The zone of local times.
    pub zone: TimeZone,
    /// Whether keys that Telegram Desktop does not have may follow at the end of messages.
    pub extra_keys: bool,
    /// The texts of an account export.
    pub about: About,
}

impl Options {
    /// Local times of `zone`, extra keys, our own texts.
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, extra_keys: true, about: About::default() }
    }
}

/// What the file says of a chat.
#[derive(Clone, Copy, Debug)]
pub struct ChatHead<'a> {
    /// Its name; `None` for a deleted account.
    pub name: Option<&'a str>,
    /// Its type as the exports spell it; `None` where it is not known.
    pub kind: Option<&'a str>,
    /// Its bare id; `None` where it is not known.
    pub id: Option<i64>,
    /// Whether the account has left it.
    pub left: bool,
    /// What Telegram Desktop does not say of it.
    pub more: ChatMore<'a>,
    /// A JSON object whose members follow at the chat's end.
    pub unknown_keys: Option<&'a str>,
}

/// What follows at a chat's end, where extra keys may.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChatMore<'a> {
    /// The whole name of a person, where Telegram Desktop shows the first name only.
    pub full_name: Option<&'a str>,
    /// The public name, without `@`.
    pub username: Option<&'a str>,
    /// The topics of a forum.
    pub topics: &'a [Topic],
    /// Whether only the account's own messages are there.
    pub only_my_messages: bool,
}

impl ChatMore<'_> {
    /// A JSON object of what is known.
    fn object(&self) -> String {
        let quoted = |text: Option<&str>| text.map(|text| serde_json::Value::from(text).to_string());
        let topics = Some(self.topics).filter(|topics| !topics.is_empty()).and_then(|topics| serde_json::to_string(topics).ok());
        let only_my = self.only_my_messages.then(|| "true".to_owned());
        let (full_name, username) = (quoted(self.full_name), quoted(self.username));
        let all = [("full_name", full_name), ("username", username), ("topics", topics), ("only_my_messages", only_my)];
        let members: Vec<String> = all.into_iter().filter_map(|(key, value)| Some(format!("\"{key}\":{}", value?))).collect();
        format!("{{{}}}", members.join(","))
    }
}

impl<'a> ChatHead<'a> {
    /// What a stored description says.
    pub fn of(chat: &'a ChatInfo) -> Self {
        Self {
            name: chat.name.as_deref().or_else(|| chat.title().filter(|_| chat.is_partial)),
            kind: Some(chat.kind_word()),
            id: (!chat.peer.is_made_up()).then_some(chat.peer.id),
            left: chat.left,
            more: ChatMore {
                full_name: chat.full_name.as_deref(),
                username: chat.username.as_deref(),
                topics: &chat.topics,
                only_my_messages: chat.only_my_messages,
            },
            unknown_keys: chat.unknown_keys.as_deref().map(RawValue::get),
        }
    }
}

enum Place {
    /// Inside the account's object.
    Root,
    /// Inside `chats.list` or `left_chats.list`.
    List { left: bool },
    /// Inside a chat's `messages`.
    Messages { left: Option<bool>, more: String, unknown_keys: Option<String>, parts: Vec<(Part, String, Places)> },
}

/// Writes one `result.json`. The calls must come in the file's order: sections as in [`Section::ALL`], chats, left chats.
pub struct DesktopJson<W: Write> {
    out: W,
    buffer: Vec<u8>,
    more: Vec<u8>,
    options: Options,
    place: Place,
    first: bool,
    unknown_keys: Option<(String, Places)>,
}

/// Written out when the buffer is longer, in bytes.
const FLUSH_AT: usize = 128 * 1024;

/// The level of a chat's keys in an account export: root, `chats`, `list`, chat.
const CHAT_LEVEL: usize = 3;

impl<W: Write> DesktopJson<W> {
    /// Begins an account export.
    pub fn account(out: W, options: Options) -> Self {
        let mut writer = Self::begin(out, options, Place::Root);
        writer.buffer.push(b'{');
        let about = writer.options.about.account.clone();
        writer.key("about", 0);
        json_text::quoted(&mut writer.buffer, &about);
        writer
    }

    /// Begins the export of a single chat.
    pub fn single_chat(out: W, chat: ChatHead<'_>, options: Options) -> Self {
        let mut writer = Self::begin(out, options, Place::Root);
        writer.chat_keys(chat, 0);
        writer.place = writer.messages_of(chat, None);
        writer
    }

    fn begin(out: W, options: Options, place: Place) -> Self {
        Self { out, buffer: Vec::new(), more: Vec::new(), options, place, first: true, unknown_keys: None }
    }

    fn key(&mut self, key: &str, level: usize) {
        json_text::begin_member(&mut self.buffer, &mut self.first, key, level);
    }

    /// Writes a section of the account.
    ///
    /// # Errors
    /// Those of the output; [`io::ErrorKind::InvalidInput`] after the first chat.
    pub fn section(&mut self, section: &AccountSection, names: &Places) -> io::Result<()> {
        if !matches!(self.place, Place::Root) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "sections of the account come before the chats"));
        }
        if section.section == Section::UnknownKeys {
            self.unknown_keys = Some((section.value.get().to_owned(), names.clone()));
            return Ok(());
        }
        self.key(section.section.key(), 0);
        let place = |stored: &str| names.shown(stored);
        let of = match section.section {
            Section::ProfilePictures | Section::Stories => Of::Pictures,
            Section::ProfileMusic => Of::Message,
            Section::OtherData => Of::Floats,
            _ => Of::Other,
        };
        Hand { zone: &self.options.zone, place: &place }.value(&mut self.buffer, section.value.get(), 1, of);
        self.flush_if_long()
    }

    /// Begins a chat of an account export.
    ///
    /// # Errors
    /// Those of the output; [`io::ErrorKind::InvalidInput`] for a chat that is not left after one that is.
    pub fn begin_chat(&mut self, chat: ChatHead<'_>) -> io::Result<()> {
        if let Place::Messages { left, .. } = self.place
            && left.is_some()
        {
            self.end_chat()?;
        }
        match self.place {
            Place::List { left } if left == chat.left => {}
            Place::List { left: true } | Place::Messages { .. } => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "chats come before the chats that were left"));
            }
            Place::Root | Place::List { left: false } => {
                if let Place::List { .. } = self.place {
                    self.end_list();
                }
                self.begin_list(chat.left);
            }
        }
        json_text::begin_element(&mut self.buffer, &mut self.first, CHAT_LEVEL - 1);
        self.chat_keys(chat, CHAT_LEVEL);
        self.place = self.messages_of(chat, Some(chat.left));
        Ok(())
    }

    fn begin_list(&mut self, left: bool) {
        let about = if left { &self.options.about.left_chats } else { &self.options.about.chats }.clone();
        self.key(if left { "left_chats" } else { "chats" }, 0);
        self.buffer.push(b'{');
        self.first = true;
        self.key("about", 1);
        json_text::quoted(&mut self.buffer, &about);
        self.key("list", 1);
        self.buffer.push(b'[');
        self.first = true;
        self.place = Place::List { left };
    }

    fn end_list(&mut self) {
        json_text::new_line(&mut self.buffer, 2);
        self.buffer.push(b']');
        json_text::new_line(&mut self.buffer, 1);
        self.buffer.push(b'}');
        self.first = false;
    }

    fn chat_keys(&mut self, chat: ChatHead<'_>, level: usize) {
        self.buffer.push(b'{');
        self.first = true;
        if !chat.kind.and_then(ChatType::from_key).is_some_and(ChatType::is_nameless) {
            self.key("name", level);
            self.text_or_null(chat.name);
        }
        self.key("type", level);
        self.text_or_null(Some(chat.kind.unwrap_or(ChatType::PersonalChat.key())));
        if let Some(id) = chat.id {
            self.key("id", level);
            self.buffer.extend_from_slice(id.to_string().as_bytes());
        }
        self.key("messages", level);
        self.buffer.push(b'[');
        self.first = true;
    }

    fn messages_of(&self, chat: ChatHead<'_>, left: Option<bool>) -> Place {
        let more = if self.options.extra_keys { chat.more.object() } else { "{}".to_owned() };
        Place::Messages { left, more, unknown_keys: chat.unknown_keys.map(Into::into), parts: Vec::new() }
    }

    /// Takes what the chat has beside messages, which follows at its end.
    pub fn parts(&mut self, found: &[ChatPart], names: &Places) {
        if let Place::Messages { parts, .. } = &mut self.place
            && self.options.extra_keys
        {
            *parts = found.iter().map(|part| (part.part, part.value.get().to_owned(), names.clone())).collect();
        }
    }

    fn text_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => json_text::quoted(&mut self.buffer, text),
            None => self.buffer.extend_from_slice(b"null"),
        }
    }

    /// Writes the next message of the chat.
    ///
    /// # Errors
    /// Those of the output; [`io::ErrorKind::InvalidInput`] outside of a chat.
    pub fn message(&mut self, shown: Shown<'_>, names: &Places) -> io::Result<()> {
        let level = match self.place {
            Place::Messages { left: None, .. } => 1,
            Place::Messages { left: Some(_), .. } => CHAT_LEVEL + 1,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "a message outside of a chat")),
        };
        self.more.clear();
        if self.options.extra_keys {
            extra_keys(&mut self.more, shown, names, &self.options.zone);
        }
        json_text::begin_element(&mut self.buffer, &mut self.first, level);
        let place = |stored: &str| names.shown(stored);
        let hand = Hand { zone: &self.options.zone, place: &place };
        let message = as_it_came(shown.record);
        hand.message(&mut self.buffer, &message, &self.more, level + 1, shown.id_shift, is_live(shown.record));
        self.flush_if_long()
    }

    fn end_chat(&mut self) -> io::Result<()> {
        let Place::Messages { left, more, unknown_keys, parts } = std::mem::replace(&mut self.place, Place::Root) else { return Ok(()) };
        let level = if left.is_some() { CHAT_LEVEL } else { 0 };
        json_text::new_line(&mut self.buffer, level + 1);
        self.buffer.push(b']');
        self.first = false;
        self.members(Some(&more), level, &Places::default());
        for (part, value, names) in &parts {
            json_text::begin_member(&mut self.buffer, &mut self.first, part.key(), level);
            let place = |stored: &str| names.shown(stored);
            let of = match part {
                Part::ProfilePictures | Part::Stories => Of::Pictures,
                Part::ScheduledMessages => Of::Message,
                _ => Of::Other,
            };
            Hand { zone: &self.options.zone, place: &place }.value(&mut self.buffer, value, level + 1, of);
        }
        // An export of ours that was taken in may have told of the same.
        let told: Vec<&str> = parts.iter().map(|(part, ..)| part.key()).collect();
        self.members_but(unknown_keys.as_deref(), level, &Places::default(), &told);
        json_text::new_line(&mut self.buffer, level);
        self.buffer.push(b'}');
        self.first = false;
        if let Some(left) = left {
            self.place = Place::List { left };
        }
        self.flush_if_long()
    }

    fn members(&mut self, object: Option<&str>, level: usize, names: &Places) {
        self.members_but(object, level, names, &[]);
    }

    fn members_but(&mut self, object: Option<&str>, level: usize, names: &Places, told: &[&str]) {
        let place = |stored: &str| names.shown(stored);
        for (key, value) in object.map(json::members).into_iter().flatten().filter(|(key, _)| !told.contains(key)) {
            json_text::begin_member(&mut self.buffer, &mut self.first, key, level);
            Hand { zone: &self.options.zone, place: &place }.value(&mut self.buffer, value, level + 1, Of::Other);
        }
    }

    /// Ends the file and returns the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        let single = matches!(self.place, Place::Messages { left: None, .. });
        self.end_chat()?;
        if let Place::List { .. } = self.place {
            self.end_list();
        }
        if !single {
            let unknown = self.unknown_keys.take();
            let (unknown, names) = unknown.unwrap_or_default();
            self.members(Some(&unknown), 0, &names);
            self.buffer.extend_from_slice(b"\n}");
        }
        self.out.write_all(&self.buffer)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn flush_if_long(&mut self) -> io::Result<()> {
        if self.buffer.len() >= FLUSH_AT {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// The members that follow at a message's end, as one object.
fn extra_keys(more: &mut Vec<u8>, shown: Shown<'_>, names: &Places, zone: &TimeZone) {
    more.push(b'{');
    let mut comma = false;
    let mut member = |more: &mut Vec<u8>, key: &str, value: &[u8]| {
        if std::mem::replace(&mut comma, true) {
            more.push(b',');
        }
        let _ = write!(more, "\"{key}\":");
        more.extend_from_slice(value);
    };
    let own: Vec<&str> = json::members(shown.record.message.get()).map(|(key, _)| key).collect();
    let date = shown.record.date.filter(|_| !own.contains(&"date") && !own.contains(&"date_unixtime"));
    if let Some((unix, local)) = date.and_then(|unix| Some((unix, time::local(zone, unix)?))) {
        member(more, "date", format!("\"{}\"", time::iso(local)).as_bytes());
        member(more, "date_unixtime", format!("\"{unix}\"").as_bytes());
    }
    let rich = json::get(shown.record.message.get(), "rich_message").filter(|_| is_live(shown.record) && !own.contains(&"text"));
    if let Some(rich) = rich {
        let text = serde_json::Value::from(rich_plain(rich));
        member(more, "text", text.to_string().as_bytes());
        member(more, "text_entities", serde_json::json!([{"type": "plain", "text": text}]).to_string().as_bytes());
    }
    let attachments = attachments(shown.record, names);
    if !attachments.is_empty() {
        member(more, "attachments", attachments.as_bytes());
    }
    let earlier = earlier::of(&shown);
    if let Some(extra) = &shown.record.extra {
        // What an import told of a deletion does not count where there is more.
        let told = |key: &str| match key {
            _ if own.contains(&key) => true,
            "deleted_unixtime" => shown.deleted.is_some(),
            "attachments" => !attachments.is_empty(),
            "history" => !earlier.is_empty(),
            _ => false,
        };
        for (key, value) in json::members(extra.get()).filter(|(key, _)| !told(key)) {
            member(more, key, value.as_bytes());
        }
    }
    if let Some(deleted) = shown.deleted {
        member(more, "deleted_unixtime", format!("\"{deleted}\"").as_bytes());
    }
    if !earlier.is_empty() {
        let mut history = vec![b'['];
        for (index, version) in earlier.iter().enumerate() {
            if index > 0 {
                history.push(b',');
            }
            let object = version.message.trim_ascii_end();
            let Some((object, observed)) = object.strip_suffix('}').zip(version.observed.filter(|_| !version.told)) else {
                history.extend_from_slice(object.as_bytes());
                continue;
            };
            history.extend_from_slice(object.trim_ascii_end().as_bytes());
            if json::members(version.message).next().is_some() {
                history.push(b',');
            }
            let _ = write!(history, "\"observed_unixtime\":\"{observed}\"}}");
        }
        history.push(b']');
        member(more, "history", &history);
    }
    more.push(b'}');
}

/// The message without the text that an import was given for its blocks: there it had none.
fn as_it_came(record: &MessageRecord) -> Cow<'_, str> {
    let message = record.message.get();
    let Some(Raw::Json { bytes, .. }) = record.raw.as_ref().filter(|_| json::get(message, "rich_message").is_some()) else {
        return Cow::Borrowed(message);
    };
    if json::members(&String::from_utf8_lossy(bytes)).any(|(key, _)| key == "text") {
        return Cow::Borrowed(message);
    }
    let left = json::members(message).filter(|(key, _)| !matches!(*key, "text" | "text_entities"));
    let left: Vec<String> = left.map(|(key, value)| format!("\"{key}\":{value}")).collect();
    Cow::Owned(format!("{{{}}}", left.join(",")))
}

/// Whether this is no import: what an import said is said again as it was.
fn is_live(record: &MessageRecord) -> bool {
    matches!(record.raw, Some(Raw::Tl { .. }))
}

/// The files of a message that no other key names, as an array of objects: paid media, their still pictures, emoji of polls and the
/// like. Empty where there are none.
fn attachments(record: &MessageRecord, names: &Places) -> String {
    let extra = record.extra.as_deref().map_or("", RawValue::get);
    let object = |media: &Media| {
        let path = media.path.as_ref()?.to_string();
        let is_named = record.message.get().contains(&path) || extra.contains(&path);
        let file = names.shown(&path).filter(|_| !is_named)?;
        serde_json::to_string(&Attached { role: media.role, file: file.into() }).ok()
    };
    let all: Vec<String> = record.media.iter().filter_map(object).collect();
    if all.is_empty() { String::new() } else { format!("[{}]", all.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::peer::{MIGRATED_ID_OFFSET, Peer};

    fn record(id: i64, message: &str, extra: Option<&str>) -> MessageRecord {
        MessageRecord {
            peer: Peer::chat(4),
            id,
            observed: 77,
            run: "r".parse().unwrap(),
            date: None,
            edited: None,
            message: RawValue::from_string(message.into()).unwrap(),
            extra: extra.map(|extra| RawValue::from_string(extra.into()).unwrap()),
            media: vec![],
            raw: None,
        }
    }

    fn head(left: bool) -> ChatHead<'static> {
        let more = ChatMore { username: Some("g"), ..ChatMore::default() };
        ChatHead { name: None, kind: Some("private_group"), id: Some(4), left, more, unknown_keys: Some(r#"{"later":[1]}"#) }
    }

    fn written(shown: Shown<'_>, extra_keys: bool) -> serde_json::Value {
        let options = Options { extra_keys, ..Options::new(TimeZone::UTC) };
        let mut json = DesktopJson::single_chat(Vec::new(), head(false), options);
        json.message(shown, &Places::default()).unwrap();
        serde_json::from_slice(&json.finish().unwrap()).unwrap()
    }

    #[test]
    fn ids_of_a_migrated_group_are_shifted_where_they_are_its_own() {
        let message = r#"{"id":10,"reply_to_message_id":9,"action":"pin_message","message_id":8,"text":"10"}"#;
        let one = record(10, message, None);
        let shown = Shown { id_shift: MIGRATED_ID_OFFSET, ..Shown::plain(&one) };
        let value = written(shown, true);
        let message = &value["messages"][0];
        assert_eq!((&message["id"], &message["reply_to_message_id"]), (&(-999_999_990).into(), &(-999_999_991).into()));
        assert_eq!((&message["message_id"], &message["text"]), (&(-999_999_992).into(), &"10".into()));
        assert_eq!((&value["later"], &value["username"]), (&serde_json::json!([1]), &"g".into()));
        let other = record(10, r#"{"id":10,"reply_to_message_id":9,"reply_to_peer_id":"channel1"}"#, None);
        let value = written(Shown { id_shift: MIGRATED_ID_OFFSET, ..Shown::plain(&other) }, true);
        assert_eq!(value["messages"][0]["reply_to_message_id"], 9);
    }

    #[test]
    fn extra_facts_follow_at_the_end_or_not_at_all() {
        let now = record(5, r#"{"id":5,"text":"b"}"#, Some(r#"{"topic_id":3,"id":99}"#));
        let earlier = [record(5, r#"{"id":5,"text":"a"}"#, None), record(5, "{}", None)];
        let shown = Shown { record: &now, id_shift: 0, deleted: Some(88), earlier: &earlier };
        assert_eq!(
            written(shown, true)["messages"][0],
            serde_json::json!({"id": 5, "text": "b", "topic_id": 3, "deleted_unixtime": "88",
                "history": [{"id": 5, "text": "a", "observed_unixtime": "77"}, {"observed_unixtime": "77"}]})
        );
        assert_eq!(written(shown, false)["messages"][0], serde_json::json!({"id": 5, "text": "b"}));
    }

    #[test]
    fn no_key_stands_twice_whatever_an_import_told() {
        let told = r#"{"history":[{"id":5,"text":"0"}],"deleted_unixtime":"7"}"#;
        let (now, earlier) = (record(5, r#"{"id":5,"text":"b"}"#, Some(told)), [record(5, r#"{"id":5,"text":"a"}"#, None)]);
        let mut more = Vec::new();
        let shown = Shown { record: &now, id_shift: 0, deleted: Some(88), earlier: &earlier };
        extra_keys(&mut more, shown, &Places::default(), &TimeZone::UTC);
        let history = r#"[{"id":5,"text":"0"},{"id":5,"text":"a","observed_unixtime":"77"}]"#;
        assert_eq!(String::from_utf8(more).unwrap(), format!(r#"{{"deleted_unixtime":"88","history":{history}}}"#));
    }

    #[test]
    fn calls_out_of_order_are_refused() {
        let names = Places::default();
        let one = record(5, "{}", None);
        let mut json = DesktopJson::account(Vec::new(), Options::new(TimeZone::UTC));
        assert!(json.message(Shown::plain(&one), &names).is_err());
        json.begin_chat(head(true)).unwrap();
        json.message(Shown::plain(&one), &names).unwrap();
        assert!(json.begin_chat(head(false)).is_err());
        json.begin_chat(head(true)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&json.finish().unwrap()).unwrap();
        assert_eq!(value["left_chats"]["list"].as_array().unwrap().len(), 2);
        assert_eq!(value["chats"], serde_json::Value::Null);
    }
}
