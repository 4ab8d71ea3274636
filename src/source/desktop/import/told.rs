//! What an export tells of itself before it is taken in: whether it is one, whose it is, and which chats say late what they are.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::fs::{dir, stat};
use crate::model::account::Section;
use crate::model::chat::ChatType;
use crate::model::json;
use crate::model::peer::{Peer, PeerKind};
use crate::source::desktop::convert::peer_of_number;
use crate::source::desktop::html::is_chat_page;
use crate::source::desktop::read::ChatHead;
use crate::source::desktop::repair::repair;
use crate::source::desktop::scan::{Scanner, What};

/// How much of a `result.json` is looked at to see whether it is one.
const SIGNS_BYTES: u64 = 1024 * 1024;

/// How many messages are looked at to see whose the export is.
const OWNER_MESSAGES: u32 = 20_000;

/// The names of the files that an export can be known by, the best first.
const NAMES: [&str; 3] = ["result.json", "messages.html", "export_results.html"];

/// Whether the folder at `path` holds an export of Telegram Desktop: by a file of one of its names, and what is in that.
///
/// # Errors
/// When the folder cannot be opened.
pub fn is_export(path: &Path) -> io::Result<bool> {
    let folder = dir::open_root(path)?;
    Ok(NAMES.iter().any(|name| {
        let Ok(file) = dir::open_file(&folder, *name) else { return false };
        let is_file = rustix::fs::fstat(&file).is_ok_and(|found| stat::file_type(&found) == rustix::fs::FileType::RegularFile);
        is_file && has_signs(name, std::fs::File::from(file).take(SIGNS_BYTES)).unwrap_or(false)
    }))
}

/// Whether a file of this name begins as Telegram Desktop writes it.
pub(super) fn has_signs(name: &str, mut input: impl Read) -> io::Result<bool> {
    if name == "result.json" {
        return has_json_signs(input);
    }
    let mut start = Vec::new();
    input.read_to_end(&mut start)?;
    let title = memchr::memmem::find(start.get(..start.len().min(8192)).unwrap_or_default(), b"<title>Exported Data</title>");
    Ok(if name == "messages.html" { is_chat_page(&start) } else { title.is_some() })
}

fn has_json_signs(input: impl Read) -> io::Result<bool> {
    let mut scanner = Scanner::new(input);
    while let Some(piece) = scanner.next_piece()? {
        let text = || repair(piece.bytes);
        let is_sign = match &piece.what {
            What::ChatBegins { .. } => true,
            What::ChatKey(key) => key == "type" && text().is_some_and(|text| kind_of(&text).is_some()),
            What::Section(key) => key == "about" && text().is_some_and(|text| text.contains("Telegram")) || is_telling_section(key),
            What::Message => text().is_some_and(|text| {
                let kind = json::get(&text, "type").and_then(json::spelling);
                json::get(&text, "id").and_then(json::integer).is_some() && matches!(kind, Some("message" | "service" | "unsupported"))
            }),
            What::Rest => return Ok(false),
            What::Glue | What::ListKey { .. } | What::ChatEnds => false,
        };
        if is_sign {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Sections whose names no other file is likely to have.
fn is_telling_section(key: &str) -> bool {
    matches!(Section::from_key(key), Some(Section::PersonalInformation | Section::FrequentContacts))
}

fn kind_of(text: &str) -> Option<ChatType> {
    ChatType::from_key(json::spelling(text)?)
}

/// What a `result.json` tells of itself.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The user id of the account, where it can be seen.
    pub owner: Option<i64>,
    /// The chats in their order, where their type or id stands behind their messages.
    pub heads: Vec<ChatHead>,
}

/// Looks a `result.json` over: its beginning, or all of it where chats say behind their messages what they are.
pub(super) fn look_over(input: impl Read) -> io::Result<Told> {
    let mut scanner = Scanner::new(input);
    let (mut told, mut heads, mut chat, mut owner) = (Told::default(), Vec::new(), Chat::default(), Owner::default());
    let (mut begun, mut is_late, mut messages) = (false, false, 0u32);
    while let Some(piece) = scanner.next_piece()? {
        match &piece.what {
            What::ChatBegins { .. } => {
                if begun {
                    let Chat { head, senders } = std::mem::take(&mut chat);
                    owner.chat(&head, &senders);
                    heads.push(head);
                }
                begun = true;
            }
            What::ChatKey(key) => {
                begun = true;
                if let Some(text) = repair(piece.bytes) {
                    chat.head.take(key, &text);
                }
            }
            What::Section(key) if key == "personal_information" => {
                let user_id = repair(piece.bytes).and_then(|text| json::integer(json::get(&text, "user_id")?));
                owner.told = user_id.filter(|id| *id > 0);
            }
            What::Message => {
                begun = true;
                is_late |= chat.head.kind.is_none() || chat.head.id.is_none();
                messages = messages.saturating_add(1);
                if owner.told.is_none() && messages <= OWNER_MESSAGES && chat.senders.len() < MANY_SENDERS {
                    chat.senders.extend(repair(piece.bytes).and_then(|text| sender_of(&text)));
                }
                if !is_late && (owner.told.is_some() || messages >= OWNER_MESSAGES) {
                    break;
                }
            }
            _ => {}
        }
    }
    owner.chat(&chat.head, &chat.senders);
    told.owner = owner.id();
    if is_late {
        heads.push(chat.head);
        told.heads = heads;
    }
    Ok(told)
}

/// A chat as it is looked over.
#[derive(Default)]
struct Chat {
    head: ChatHead,
    /// The users that sent messages, [`MANY_SENDERS`] at most.
    senders: BTreeSet<i64>,
}

/// No chat of two has so many senders.
const MANY_SENDERS: usize = 3;

/// Whose the export is. The account's own section says it, and so does the id of Saved Messages. Otherwise it is the one other
/// sender in a chat of two, where that is the same in all of them; the export of a single group does not tell it.
#[derive(Default)]
struct Owner {
    told: Option<i64>,
    seen: BTreeSet<i64>,
}

impl Owner {
    fn chat(&mut self, head: &ChatHead, senders: &BTreeSet<i64>) {
        let kind = head.kind.as_deref().and_then(ChatType::from_key);
        let Some(id) = head.id.filter(|&id| id > 0) else { return };
        match kind {
            Some(ChatType::SavedMessages) => self.told = self.told.or(Some(id)),
            Some(ChatType::PersonalChat | ChatType::BotChat) => {
                let mut others = senders.iter().filter(|&&sender| sender != id);
                // A chat of three or more is not what it says.
                if let (Some(other), None) = (others.next(), others.next()) {
                    self.seen.insert(*other);
                }
            }
            _ => {}
        }
    }

    fn id(&self) -> Option<i64> {
        let mut seen = self.seen.iter();
        self.told.or(seen.next().copied().filter(|_| seen.next().is_none()))
    }
}

/// The user that sent a message.
fn sender_of(message: &str) -> Option<i64> {
    if json::get(message, "type").and_then(json::spelling) != Some("message") {
        return None;
    }
    let from = json::get(message, "from_id")?;
    let sender = match json::spelling(from) {
        Some(text) => text.parse::<Peer>().ok().filter(|peer| peer.kind == PeerKind::User)?.id,
        // Until 2.7.1 ids of senders were numbers, at last with bits for the type.
        None => peer_of_number(from).filter(|peer| peer.kind == PeerKind::User)?.id,
    };
    (sender > 0).then_some(sender)
}

/// The latest moment at which an export in a folder of this name was made, as Telegram Desktop names folders; Unix seconds.
pub(super) fn made_at_latest(folder: &str, zone: &TimeZone) -> Option<i64> {
    let name = folder.rsplit('/').next()?;
    let date = name.strip_prefix("ChatExport_").or_else(|| name.strip_prefix("DataExport_"))?;
    let date: Date = date.get(..10)?.parse().ok()?;
    Some(date.at(23, 59, 59, 0).to_zoned(zone.clone()).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_told_from_other_files() {
        for yes in [
            r#"{"name":"A","type":"personal_chat","id":5,"messages":[]}"#,
            r#"{"id":5,"messages":[{"id":1,"type":"message","text":""}],"name":"A","type":"personal_chat"}"#,
            r#"{"about":"Here is the data you requested. … Telegram …","chats":{}}"#,
            r#"{"chats":{"about":"x","list":[{"name":"A"}]}}"#,
            r#"{"personal_information":{"user_id":7}}"#,
        ] {
            assert!(has_signs("result.json", yes.as_bytes()).unwrap(), "{yes}");
        }
        for no in ["", "{}", "[]", "\0\0", r#"{"type":"report","id":5}"#, r#"{"results":[1,2]}"#, r#"{"messages":[{"id":"x"}]}"#, "{\"a\":"]
        {
            assert!(!has_signs("result.json", no.as_bytes()).unwrap(), "{no}");
        }
        assert!(!has_signs("messages.html", &b"<html>"[..]).unwrap());
    }

    #[test]
    fn the_owner_and_late_heads_are_seen() {
        let told = |json: &str| look_over(json.as_bytes()).unwrap();
        let chat = r#""name":"A","type":"personal_chat","id":5"#;
        let messages = r#""messages":[{"id":1,"type":"message","from_id":"user5"},{"id":2,"type":"message","from_id":"user77"}]"#;
        assert_eq!(told(&format!("{{{chat},{messages}}}")).owner, Some(77));
        assert!(told(&format!("{{{chat},{messages}}}")).heads.is_empty());
        let late = told(&format!("{{\"chats\":{{\"list\":[{{{messages},{chat}}},{{\"messages\":[],{chat}}}]}}}}"));
        assert_eq!(late.heads.iter().map(|head| head.id).collect::<Vec<_>>(), [Some(5), Some(5)]);
        assert_eq!(told(r#"{"personal_information":{"user_id":9},"chats":{}}"#).owner, Some(9));
        assert_eq!(told(&format!("{{\"name\":\"G\",\"type\":\"private_group\",\"id\":5,{messages}}}")).owner, None);
        assert_eq!(late.owner, Some(77), "the other one is known only behind the messages");
        let no_id = messages.replace("\"id\":1,", "\"id\":1,\"x\":");
        assert_eq!(told(&format!("{{\"name\":\"A\",\"type\":\"personal_chat\",{no_id}}}")).owner, None, "either may be the other one");
        let third = messages.replace("user5", "user6");
        assert_eq!(told(&format!("{{{chat},{third}}}")).owner, None, "two others in a chat of two");
        let saved = format!("{{\"type\":\"saved_messages\",\"id\":9,{messages}}}");
        assert_eq!(told(&saved).owner, Some(9));
        let account = |one: &str, other: &str| format!("{{\"chats\":{{\"list\":[{one},{other}]}}}}");
        let second = format!("{{{chat},{}}}", messages.replace("user77", "user78"));
        assert_eq!(told(&account(&format!("{{{chat},{messages}}}"), &second)).owner, None, "chats that say different things");
        assert_eq!(told(&account(&second, &saved)).owner, Some(9));
        let numbers = messages.replace("\"user5\"", "5").replace("\"user77\"", &(77 + (1i64 << 32)).to_string());
        assert_eq!(told(&format!("{{{chat},{numbers}}}")).owner, Some(77));
    }

    #[test]
    fn folders_tell_their_day() {
        let zone = TimeZone::UTC;
        assert_eq!(made_at_latest("/a/ChatExport_2021-05-04", &zone), Some(1_620_172_799));
        assert_eq!(made_at_latest("DataExport_2021-05-04 (2)", &zone), Some(1_620_172_799));
        assert_eq!(made_at_latest("/a/export", &zone), None);
        assert_eq!(made_at_latest("ChatExport_2021-99-04", &zone), None);
    }
}
