//! From an export's message to a record.

use std::borrow::Cow;
use std::io::Write;
use std::sync::LazyLock;

use jiff::tz::TimeZone;
use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::age::{Age, TYPE_BIT};
use super::rich;
use crate::model::account::Section;
use crate::model::entry::EntryPath;
use crate::model::json::{self, Shape};
use crate::model::media::{Attached, Media, MediaRole, MediaStatus, SkipReason, may_name_file};
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::Extra;

/// Finds the files that an export names.
pub trait Files {
    /// Where the file that the export has at `path` (relative to its root, with `/`) will lie in the backup, and its length in
    /// bytes; `None` if the export does not have it.
    fn find(&mut self, path: &str) -> Option<(EntryPath, u64)>;
}

/// A message taken apart.
#[derive(Debug)]
pub struct Converted {
    /// Its id.
    pub id: i64,
    /// When it was sent, Unix seconds.
    pub date: Option<i64>,
    /// When it was last edited, Unix seconds.
    pub edited: Option<i64>,
    /// The keys of the newest schema, on one line.
    pub message: Box<RawValue>,
    /// Keys of ours that an export written by tgvault has.
    pub extra: Option<Box<RawValue>>,
    /// The files.
    pub media: Vec<Media>,
    /// The age that its keys prove.
    pub age: Age,
}

/// What a message with custom emoji has in it.
static EMOJI_SIGN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"document_id\""));

/// How deep values are searched for files; deeper ones are kept as they are.
const MAX_DEPTH: usize = 64;

/// Takes a message apart; `None` if it is not an object with an integer id.
pub fn message(text: &str, zone: &TimeZone, files: &mut dyn Files) -> Option<Converted> {
    if json::shape(text) != Shape::Object {
        return None;
    }
    let members: Vec<(&str, &str)> = json::members(text).collect();
    let value_of = |key: &str| members.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let id = json::integer(value_of("id")?)?;
    let mut age = Age::default();
    let mut assumed = false;
    let mut time = |key: &str, twin: &str| {
        value_of(twin).and_then(|value| json::digits(value).or_else(|| whole(value))).or_else(|| {
            let value = value_of(key)?;
            let Some(text) = json::text(value) else { return json::integer(value) };
            if let Ok(exact) = text.parse::<jiff::Timestamp>() {
                return Some(exact.as_second());
            }
            let local = crate::model::time::parse_iso(&text)?;
            assumed = true;
            Some(zone.to_zoned(local).ok()?.timestamp().as_second())
        })
    };
    let date = time("date", "date_unixtime");
    // Until 2.1.9 a message that was not edited says 1970, in whatever zone.
    let edited = time("edited", "edited_unixtime").filter(|&unix| unix > 2 * 86_400);
    // A rich message has its words in blocks.
    let is_empty = |text: &str| matches!(text.trim_ascii(), "\"\"" | "[]" | "null");
    let rich = value_of("rich_message").filter(|_| value_of("text").is_none_or(is_empty));

    let mut out = Vec::with_capacity(text.len());
    let mut extra = vec![b'{'];
    let mut found = Found { files, media: Vec::new() };
    let has_emoji = EMOJI_SIGN.find(text.as_bytes()).is_some();
    out.push(b'{');
    for (key, value) in &members {
        age = age.max(Age::of_key(key, value));
        if *key == "attachments" && found.attachments(value) {
            continue;
        }
        if Extra::KEYS.contains(key) {
            member(&mut extra, key);
            let within = match *key {
                "history" => Within::Message,
                "web_page" => Within::WebPage,
                _ => Within::Other,
            };
            found.search(&mut extra, value, within, MAX_DEPTH);
            continue;
        }
        if rich.is_some() && matches!(*key, "text" | "text_entities") {
            continue;
        }
        member(&mut out, key);
        match *key {
            // Digits in quotes, whatever somebody made of them: readers take nothing else.
            "date_unixtime" | "edited_unixtime" => match if *key == "date_unixtime" { date } else { edited } {
                Some(unix) => {
                    let _ = write!(out, "\"{unix}\"");
                }
                None => compact(&mut out, value),
            },
            // A local time means something where its zone is known: it gets the twin that newer exports write.
            "date" | "edited" if value_of(&format!("{key}_unixtime")).is_none() => {
                compact(&mut out, value);
                if let Some(unix) = if *key == "date" { date } else { edited } {
                    let _ = write!(out, ",\"{key}_unixtime\":\"{unix}\"");
                }
            }
            "photo" | "file" | "thumbnail" | "contact_vcard" => found.file(&mut out, &members, key, value),
            "from_id" | "actor_id" | "reply_to_peer_id" => match peer_of_number(value) {
                Some(peer) => {
                    let _ = write!(out, "\"{peer}\"");
                }
                None => compact(&mut out, value),
            },
            _ if has_emoji || may_name_file(key) => found.member(&mut out, key, value, Within::Other, MAX_DEPTH),
            _ => compact(&mut out, value),
        }
    }
    if let Some(rich) = rich {
        let text = rich::text_of(rich);
        let _ = write!(out, ",\"text\":{},\"text_entities\":{}", text.short(), text.long());
    }
    out.push(b'}');
    if assumed {
        let name = zone.iana_name().unwrap_or("local");
        member(&mut extra, "assumed_zone");
        compact(&mut extra, &serde_json::to_string(name).ok()?);
    }
    extra.push(b'}');
    let extra = (extra.len() > 2).then(|| raw(extra)).flatten();
    Some(Converted { id, date, edited, message: raw(out)?, extra, media: found.media, age })
}

/// A whole number that is written with a fraction of nothing but zeros.
fn whole(value: &str) -> Option<i64> {
    let (number, zeros) = value.trim_ascii().split_once('.')?;
    zeros.bytes().all(|byte| byte == b'0').then(|| number.parse().ok()).flatten()
}

/// A section of the account with its files found.
pub fn section(text: &str, files: &mut dyn Files, section: Section) -> Option<(Box<RawValue>, Vec<Media>)> {
    let within = match section {
        Section::ProfilePictures => Within::Pictures(MediaRole::Userpic),
        Section::Stories => Within::Pictures(MediaRole::Story),
        Section::ProfileMusic => Within::Message,
        _ => Within::Other,
    };
    let mut out = Vec::with_capacity(text.len());
    let mut found = Found { files, media: Vec::new() };
    found.search(&mut out, text, within, MAX_DEPTH);
    Some((raw(out)?, found.media))
}

fn raw(bytes: Vec<u8>) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(bytes).ok()?).ok()
}

fn member(out: &mut Vec<u8>, key: &str) {
    if out.len() > 1 && out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends `value` without the white space between its tokens.
pub fn compact(out: &mut Vec<u8>, value: &str) {
    let bytes = value.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' {
            let start = at;
            at += 1;
            while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
                at += found + 1;
                if bytes.get(at - 1) == Some(&b'"') {
                    break;
                }
                at += 1;
            }
            out.extend_from_slice(bytes.get(start..at).unwrap_or_default());
        } else {
            if !byte.is_ascii_whitespace() {
                out.push(byte);
            }
            at += 1;
        }
    }
}

/// The peer that exports before 2.7.2 wrote as a number.
pub(super) fn peer_of_number(value: &str) -> Option<Peer> {
    let number = json::integer(value).filter(|&number| number > 0)?;
    match number / TYPE_BIT {
        0 => Some(Peer::user(number)),
        1 => Some(Peer::user(number - TYPE_BIT)),
        // A basic group cannot send: what wrote as a chat is a channel or supergroup.
        2 => Some(Peer { kind: PeerKind::Channel, id: number - 2 * TYPE_BIT }),
        _ => None,
    }
}

struct Found<'a> {
    files: &'a mut dyn Files,
    media: Vec<Media>,
}

impl Found<'_> {
    /// A media key of a message.
    fn file(&mut self, out: &mut Vec<u8>, members: &[(&str, &str)], key: &str, value: &str) {
        let role = match key {
            "photo" => MediaRole::Photo,
            "thumbnail" => MediaRole::Thumbnail,
            "contact_vcard" => MediaRole::ContactVcard,
            _ => MediaRole::File,
        };
        self.path(out, value, role, members);
    }

    fn path(&mut self, out: &mut Vec<u8>, value: &str, role: MediaRole, members: &[(&str, &str)]) {
        match json::text(value).filter(|path| !path.is_empty()) {
            Some(path) => self.named(out, path, value, role, members),
            None => compact(out, value),
        }
    }

    /// As [`Self::path`], with the path that `value` stands for.
    fn named(&mut self, out: &mut Vec<u8>, path: Cow<'_, str>, value: &str, role: MediaRole, members: &[(&str, &str)]) {
        let value_of = |key: &str| members.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        let owned = |key: &str| value_of(key).and_then(json::text).map(Cow::into_owned);
        let (name, mime, size) = match role {
            MediaRole::File => (owned("file_name"), owned("mime_type"), value_of("file_size")),
            MediaRole::Photo => (None, Some("image/jpeg".to_owned()), value_of("photo_file_size")),
            MediaRole::Thumbnail => (None, Some("image/jpeg".to_owned()), value_of("thumbnail_file_size")),
            _ => (None, None, None),
        };
        let mut media = Media {
            role,
            path: None,
            id: None,
            size: size.and_then(json::integer).and_then(|size| u64::try_from(size).ok()),
            mime,
            name,
            exported_as: None,
            status: MediaStatus::Skipped(SkipReason::NotInExport),
        };
        if let Some((stored, size)) = self.files.find(&path) {
            let _ = serde_json::to_writer(&mut *out, &stored);
            media.path = Some(stored);
            media.size = Some(size);
            media.exported_as = Some(path.into_owned());
            media.status = MediaStatus::Stored;
        } else {
            compact(out, value);
            match placeholder(&path) {
                Some(reason) => media.status = MediaStatus::Skipped(reason),
                None => media.exported_as = Some(path.into_owned()),
            }
        }
        if !self.media.contains(&media) {
            self.media.push(media);
        }
    }

    /// Files that no key of Telegram Desktop's names. False if they are something else.
    fn attachments(&mut self, value: &str) -> bool {
        let Ok(all) = serde_json::from_str::<Vec<Attached<'_>>>(value) else { return false };
        for Attached { role, file } in all {
            self.named(&mut Vec::new(), file, "", role, &[]);
        }
        true
    }

    /// A value that may hold custom emoji, or, by what it is part of, other files.
    fn search(&mut self, out: &mut Vec<u8>, value: &str, within: Within, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return compact(out, value) };
        match json::shape(value) {
            Shape::Object => {
                let members: Vec<(&str, &str)> = json::members(value).collect();
                out.push(b'{');
                for (key, value) in &members {
                    member(out, key);
                    match within.role(key, value) {
                        Some(role) => self.path(out, value, role, &members),
                        None => self.member(out, key, value, Within::Other, depth),
                    }
                }
                out.push(b'}');
            }
            Shape::Array => {
                out.push(b'[');
                for (index, element) in json::elements(value).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.search(out, element, within, depth);
                }
                out.push(b']');
            }
            _ => compact(out, value),
        }
    }

    /// The value of a key that need not be known: where it is the path of a file of the export, that is one of the message.
    fn member(&mut self, out: &mut Vec<u8>, key: &str, value: &str, within: Within, depth: usize) {
        match json::shape(value) {
            Shape::String if may_name_file(key) => self.unnamed(out, value),
            Shape::Array if may_name_file(key) => {
                out.push(b'[');
                for (index, element) in json::elements(value).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    if json::shape(element) == Shape::String {
                        self.unnamed(out, element)
                    } else {
                        self.search(out, element, within, depth)
                    }
                }
                out.push(b']');
            }
            _ => self.search(out, value, within, depth),
        }
    }

    /// A text that may be the path of a file of the export.
    fn unnamed(&mut self, out: &mut Vec<u8>, value: &str) {
        let path = json::text(value).filter(|path| path.contains(['/', '.']) && !path.contains('\n') && self.files.find(path).is_some());
        match path {
            Some(path) => {
                let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
                let known = self.media.len();
                self.named(out, path, value, MediaRole::Attachment, &[]);
                if let Some(media) = self.media.get_mut(known) {
                    media.mime = mime_of(&extension).map(Into::into);
                }
            }
            None => compact(out, value),
        }
    }
}

/// The MIME type of pictures and videos: of other files nobody asks for it.
fn mime_of(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mov" => "video/quicktime",
        _ => return None,
    })
}

/// What a value is part of.
#[derive(Clone, Copy)]
enum Within {
    /// Earlier versions of a message.
    Message,
    /// The preview of a link.
    WebPage,
    /// Pictures of the account, for this.
    Pictures(MediaRole),
    /// Anything else.
    Other,
}

impl Within {
    /// What the file is for that a key names; `None` for keys that name none.
    fn role(self, key: &str, value: &str) -> Option<MediaRole> {
        match (self, key) {
            // In polls and gifts this is Telegram's number of the emoji, not a file.
            (_, "document_id") if json::digits(value).is_some() => None,
            (_, "document_id") => json::text(value).filter(|text| text != "(unavailable)").map(|_| MediaRole::CustomEmoji),
            (Self::Message, "photo") => Some(MediaRole::Photo),
            (Self::Message, "file") => Some(MediaRole::File),
            (Self::Message, "thumbnail") => Some(MediaRole::Thumbnail),
            (Self::Message, "contact_vcard") => Some(MediaRole::ContactVcard),
            (Self::WebPage, "photo") => Some(MediaRole::Attachment),
            (Self::Pictures(role), "photo" | "media") => Some(role),
            _ => None,
        }
    }
}

/// Why a file is not there, told by the text in its place.
fn placeholder(path: &str) -> Option<SkipReason> {
    let inner = path.strip_prefix('(')?.strip_suffix(')')?;
    Some(if inner.contains("exceeds maximum size") {
        SkipReason::TooLarge
    } else if inner.contains("not included") {
        SkipReason::TypeNotChosen
    } else {
        SkipReason::NotInExport
    })
}
