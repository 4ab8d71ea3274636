//! Objects of any type of the schema, filled with values that fit their names.

use grammers_tl_types::Serializable;

use super::chat::{Chat, Peer};
use super::dice::Dice;
use super::media::FLAVOURS;
use super::schema::{Constructor, Content, SCHEMA};
use super::{SELF, World};
use crate::telegram::files::{EXTRA, FileKind, file_id};

/// Objects nested deeper than this are the smallest of their type.
const DEPTH: usize = 5;
/// What every made text begins with: entities cover its first word.
pub(crate) const MADE_TEXT: &str = "Spécial 🦀";
/// UTF-16 units of the first word of [`MADE_TEXT`].
const FIRST_WORD: i32 = 7;

/// Writes one object, down to its last part.
pub(crate) struct Maker<'w> {
    pub(crate) world: &'w World,
    pub(crate) chat: &'w Chat,
    pub(crate) dice: Dice,
    /// Date of the message around it.
    pub(crate) date: i32,
    /// A type of which a certain constructor is wanted, by number.
    pub(crate) force: Option<(&'static str, usize)>,
    /// Sets every optional field of the outermost object.
    pub(crate) full: bool,
}

impl Maker<'_> {
    /// An object of a type; the outermost, so that its constructor may be chosen by number.
    pub(crate) fn object(&mut self, name: &str, constructor: Option<usize>) -> Vec<u8> {
        let mut out = Vec::new();
        match constructor.and_then(|n| SCHEMA.constructors(name).get(n)) {
            Some(constructor) => self.write(constructor, 0, &mut out),
            None => self.value("", name, 0, &mut out),
        }
        out
    }

    fn write(&mut self, constructor: &Constructor, depth: usize, out: &mut Vec<u8>) {
        out.extend(constructor.id.to_le_bytes());
        let mut flags: Vec<(&str, u32)> = Vec::new();
        for field in &constructor.fields {
            match &field.content {
                Content::Flags => {
                    let bits = self.flags(constructor, &field.name, depth);
                    out.extend(bits.to_le_bytes());
                    flags.push((&field.name, bits));
                }
                Content::Value { name, vector, flag } => {
                    let there = flag.as_ref().is_none_or(|(of, bit)| flags.iter().any(|(name, bits)| name == of && bits >> bit & 1 == 1));
                    match (there, name.as_str(), vector) {
                        (false, ..) | (true, "true", _) => {}
                        (true, _, false) => self.value(&field.name, name, depth + 1, out),
                        (true, _, true) => self.vector(&field.name, name, depth, out),
                    }
                }
            }
        }
    }

    /// Which optional fields there are: one decision per bit, since several fields may share it.
    fn flags(&mut self, constructor: &Constructor, flags: &str, depth: usize) -> u32 {
        let mut bits = 0;
        for field in &constructor.fields {
            let Content::Value { name, flag: Some((of, bit)), .. } = &field.content else { continue };
            let wanted = self.force.is_some_and(|(forced, _)| forced == name) || (depth == 0 && self.full);
            let chance = if depth < 3 { 500 } else { 80 };
            if of == flags && bits >> bit & 1 == 0 && (wanted || self.dice.chance(chance)) {
                bits |= 1 << bit;
            }
        }
        bits
    }

    fn vector(&mut self, field: &str, name: &str, depth: usize, out: &mut Vec<u8>) {
        let count = if depth >= DEPTH { 0 } else { 1 + self.dice.below(2) };
        out.extend(0x1cb5_c415_u32.to_le_bytes());
        out.extend((count as u32).to_le_bytes());
        for _ in 0..count {
            self.value(field, name, depth + 1, out);
        }
    }

    fn value(&mut self, field: &str, name: &str, depth: usize, out: &mut Vec<u8>) {
        let serial = EXTRA + 1000 + self.dice.below(500);
        match name {
            "int" => self.int(field).serialize(out),
            "long" => self.long(field).serialize(out),
            "double" => (self.dice.below(1000) as f64 / 8.0).serialize(out),
            "string" => self.string(field).serialize(out),
            "bytes" => self.dice.next().to_le_bytes().to_vec().serialize(out),
            "int128" => [7_u8; 16].serialize(out),
            "int256" => [7_u8; 32].serialize(out),
            "Peer" => self.peer().to_tl().serialize(out),
            "Photo" => self.world.photo(file_id(FileKind::Photo, serial), self.date).serialize(out),
            "Document" => {
                // A document is the same wherever it is shown.
                let flavour = FLAVOURS[(serial % FLAVOURS.len() as u64) as usize];
                self.world.document(file_id(FileKind::Document, serial), flavour, self.date).serialize(out);
            }
            "Chat" => match self.world.chats.iter().find(|chat| chat.peer.is_channel()).and_then(|chat| self.world.chat_object(chat)) {
                Some(chat) => chat.serialize(out),
                None => grammers_tl_types::enums::Chat::Empty(grammers_tl_types::types::ChatEmpty { id: 1 }).serialize(out),
            },
            "StoryItem" => self.world.story(1 + (serial % 12) as i32).serialize(out),
            "TextWithEntities" => {
                let bold = grammers_tl_types::types::MessageEntityBold { offset: 0, length: FIRST_WORD };
                let text = MADE_TEXT.to_owned();
                grammers_tl_types::enums::TextWithEntities::Entities(grammers_tl_types::types::TextWithEntities {
                    text,
                    entities: vec![bold.into()],
                })
                .serialize(out);
            }
            name => {
                let all = SCHEMA.constructors(name);
                let chosen = match self.force {
                    // Once: the object forced may hold others of its type.
                    Some((forced, n)) if forced == name => {
                        self.force = None;
                        all.get(n)
                    }
                    _ if depth >= DEPTH => all.iter().min_by_key(|constructor| constructor.fields.len()),
                    _ => self.dice.pick(all),
                };
                match chosen {
                    Some(constructor) => self.write(constructor, depth, out),
                    None => unreachable!("the schema has every type that it uses, and here {name} is missing"),
                }
            }
        }
    }

    fn int(&mut self, field: &str) -> i32 {
        match field {
            "offset" => 0,
            "length" => FIRST_WORD,
            "date" | "edit_date" => self.date,
            "saved_date" => self.date - 500,
            "published_date" | "start_date" | "was_online" => self.date - 10_000,
            _ if field.ends_with("date") || field.starts_with("expire") || field.ends_with("until") => self.date + 86_400,
            "dc_id" => self.world.files.dc(1),
            "day" => 1 + self.dice.below(28) as i32,
            "month" => 1 + self.dice.below(12) as i32,
            "year" => 1990 + self.dice.below(20) as i32,
            _ if field.ends_with("msg_id") || field.ends_with("top_id") || field == "channel_post" => 1 + self.dice.below(9) as i32,
            _ => self.dice.below(1000) as i32,
        }
    }

    fn long(&mut self, field: &str) -> i64 {
        match field {
            "channels" | "channel_id" | "community_id" | "linked_chat_id" => self.channel(),
            "chat_id" => super::FIRST_GROUP,
            "document_id" => self.emoji(),
            _ if field.contains("emoji_id") => self.emoji(),
            "users" | "winners" | "recent_voters" | "recent_requesters" => self.user(),
            _ if field.ends_with("user_id")
                || field.ends_with("bot_id")
                || field.ends_with("inviter_id")
                || field.ends_with("creator_id") =>
            {
                self.user()
            }
            _ => self.dice.below(1 << 40) as i64,
        }
    }

    fn string(&mut self, field: &str) -> String {
        match field {
            "url" | "embed_url" | "display_url" | "webapp_url" => format!("https://example.org/{}", self.dice.below(1000)),
            "currency" => "EUR".into(),
            "crypto_currency" => "TON".into(),
            "emoticon" => "🎲".into(),
            "mime_type" => "image/jpeg".into(),
            "vcard" => "BEGIN:VCARD\nVERSION:3.0\nFN:Tëst\nEND:VCARD".into(),
            "phone_number" => "99966123".into(),
            "countries_iso2" => "DE".into(),
            "option" => "0".into(),
            "message" | "text" | "quote_text" => MADE_TEXT.into(),
            "language" => "rust".into(),
            _ => format!("{field} {}", self.dice.below(1000)),
        }
    }

    fn emoji(&mut self) -> i64 {
        file_id(FileKind::Emoji, self.dice.below(200))
    }

    fn user(&mut self) -> i64 {
        let cast = self.world.cast();
        self.dice.pick(&cast).copied().unwrap_or(SELF)
    }

    fn channel(&self) -> i64 {
        self.world.chats.iter().find(|chat| chat.peer.is_channel()).map_or(super::FIRST_CHANNEL, |chat| chat.peer.id())
    }

    fn peer(&mut self) -> Peer {
        match self.dice.below(4) {
            0 => self.chat.peer,
            1 => Peer::Channel(self.channel()),
            _ => Peer::User(self.user()),
        }
    }
}
