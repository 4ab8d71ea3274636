//! Reads the pages of Telegram Desktop's HTML exports.
//!
//! Pages tell less than `result.json`: no ids of chats and senders, no time of service messages (their day only, so they get the
//! earliest time that fits, and are marked as approximate), no sizes of media. What they tell becomes the same keys; a service message
//! becomes its sentence, as `information_text`, but for phone calls, which are messages with a block there. The pieces that are handed
//! out, one after the other, are the page.
//!
//! - [`dom`] reads a page into elements, [`message`] an element into keys, [`rich`] those of a rich message; [`loose`] finds what a page
//!   that somebody wrote anew does not call by its name.

pub mod dom;
pub mod loose;
pub mod message;
pub mod rich;

use std::io;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use self::dom::Element;
use self::message::{Folder, Told, quoted};
use super::convert::{self, Files};
use super::read::{Circumstances, Receiver, position};
use crate::model::chat::{ChatInfo, ChatType};
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::{Extra, MessageRecord, Raw, VERSION};

/// A page longer than this is kept as it is. A page has 1,000 messages of at most 4,096 characters.
pub const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;

const UNREADABLE: &str = "this message cannot be read; it is kept as it is, but shown nowhere";

/// Reads the pages of one chat, in their order: `messages.html`, `messages2.html`, ….
pub struct ChatPages {
    circumstances: Circumstances,
    folder: String,
    peer: Option<Peer>,
    kind: Option<ChatType>,
    /// What the list of chats calls it, and its place in that.
    shown_kind: Option<ChatType>,
    position: Option<u64>,
    announced: Option<Peer>,
    from: String,
    when: When,
}

/// What the messages so far tell of the time.
struct When {
    zone: TimeZone,
    /// The last date line.
    day: Option<Date>,
    /// When the last message with a time was sent.
    before: Option<i64>,
    /// When the export was made: later than any of its messages.
    observed: i64,
}

impl When {
    /// The earliest time of a message that has none of its own: not before the message before it, nor before its day, nor after
    /// `next`, the next message that has a time.
    fn earliest(&self, next: Option<i64>) -> i64 {
        let begin = self.day.and_then(|day| Some(day.to_zoned(self.zone.clone()).ok()?.timestamp().as_second()));
        let earliest = self.before.max(begin).unwrap_or(self.observed);
        next.map_or(earliest, |next| earliest.min(next))
    }
}

impl ChatPages {
    /// A chat whose pages lie in `folder` (`chats/chat_01/`, or empty for a single-chat export).
    ///
    /// `peer` and `kind` say which chat it is, where the caller knows: pages tell its name only. Without them the peer is made
    /// up from the name, so that the same chat of a later export is the same peer.
    pub fn new(circumstances: Circumstances, folder: &str, peer: Option<Peer>, kind: Option<ChatType>) -> Self {
        let when = When { zone: circumstances.zone.clone(), day: None, before: None, observed: circumstances.observed };
        Self {
            circumstances,
            folder: folder.to_owned(),
            peer,
            kind,
            shown_kind: None,
            position: None,
            announced: None,
            from: String::new(),
            when,
        }
    }

    /// Says what the list of chats calls it, and which chat of that it is, from 1.
    #[must_use]
    pub fn listed(mut self, kind: Option<ChatType>, position: u64) -> Self {
        (self.shown_kind, self.position) = (kind, Some(position));
        self
    }

    /// Reads the next page.
    ///
    /// # Errors
    /// Those of the receiver. A page that cannot be read is no error: it comes as bytes, after a [`Receiver::problem`].
    pub fn page(&mut self, page: &[u8], files: &mut dyn Files, receiver: &mut dyn Receiver) -> io::Result<()> {
        let text = match std::str::from_utf8(page) {
            Ok(text) if page.len() <= MAX_PAGE_BYTES => text,
            _ => {
                receiver.problem(0, "this page is not UTF-8, or longer than 64 MiB");
                return receiver.bytes(page);
            }
        };
        let (starts, ids): (Vec<usize>, Vec<i64>) = message::starts(text).into_iter().unzip();
        let dom = dom::parse(text, &starts);
        let peer = self.announce(&dom, receiver)?;
        let escaped = memchr::memmem::find(page, b"name=\"generator\" content=\"tgvault\"").is_some_and(|at| at < 4096);
        let mut messages = Vec::new();
        dom.beginning_at(&starts, &mut messages);
        self.compare(&ids, messages.len(), text, receiver);
        let mut unnumbered = Vec::new();
        loose::unnumbered(&dom, &starts, &mut unnumbered);
        if let Some(first) = unnumbered.first() {
            let count = unnumbered.len();
            let what = format!("messages without a number ({count} of them): they are kept as they are, but shown nowhere");
            receiver.problem(first.start as u64, &what);
        }
        let folder = Folder { path: &self.folder.clone(), escaped };
        let mut messages: Vec<_> =
            messages.into_iter().map(|element| (element, message::message(element, &self.circumstances.zone, folder), None)).collect();
        let mut after = None;
        for (_, told, next) in messages.iter_mut().rev() {
            *next = after;
            after = told.as_ref().and_then(|told| told.date).or(after);
        }
        let mut done = 0;
        for (element, told, next) in messages {
            let Some(told) = told else {
                match message::day(element) {
                    Some(day) => self.when.day = Some(day),
                    None if !message::is_day_line(element) => receiver.problem(element.start as u64, UNREADABLE),
                    None => {}
                }
                continue;
            };
            let approximate = told.date.is_none().then(|| self.when.earliest(next));
            let span = page.get(element.start..element.end).unwrap_or_default();
            let Some(record) = self.record(peer, told, approximate, span, files) else {
                receiver.problem(element.start as u64, UNREADABLE);
                continue;
            };
            receiver.bytes(page.get(done..element.start).unwrap_or_default())?;
            receiver.message(record)?;
            done = element.end;
        }
        receiver.bytes(page.get(done..).unwrap_or_default())
    }

    /// Reports where fewer messages were found than the page has, and where it breaks off.
    fn compare(&self, ids: &[i64], found: usize, page: &str, receiver: &mut dyn Receiver) {
        if found != ids.len() {
            receiver.problem(0, &format!("this page has {} messages and date lines, of which {found} could be read", ids.len()));
        }
        let end = page.get(page.floor_char_boundary(page.len().saturating_sub(256))..).unwrap_or_default();
        if !end.to_ascii_lowercase().contains("</html") {
            receiver.problem(page.len() as u64, "this page breaks off: what came after this place is not in it");
        }
    }

    fn announce(&mut self, dom: &Element<'_>, receiver: &mut dyn Receiver) -> io::Result<Peer> {
        if let Some(peer) = self.announced {
            return Ok(peer);
        }
        let name = dom.find("page_header").and_then(|header| header.find("text")).map(Element::text).unwrap_or_default();
        let kind = self.kind.map_or(PeerKind::User, |kind| match kind {
            ChatType::PrivateGroup => PeerKind::Chat,
            ChatType::PrivateSupergroup | ChatType::PublicSupergroup => PeerKind::Channel,
            ChatType::PrivateChannel | ChatType::PublicChannel => PeerKind::Channel,
            _ => PeerKind::User,
        });
        let peer = self.peer.unwrap_or_else(|| Peer::made_up(kind, &[b"html", name.as_bytes()]));
        self.announced = Some(peer);
        receiver.chat(ChatInfo {
            v: VERSION,
            peer,
            name: Some(name),
            kind: self.kind.or(self.shown_kind),
            other_kind: None,
            is_partial: true,
            full_name: None,
            username: None,
            left: false,
            only_my_messages: false,
            migrated_from: None,
            migrated_to: None,
            topics: Vec::new(),
            observed: self.circumstances.observed,
            run: self.circumstances.run.clone(),
            dialog: self.position.and_then(position),
            unknown_keys: None,
            raw: None,
        })?;
        Ok(peer)
    }

    /// `approximate` is the time of a message that tells none.
    fn record(&mut self, peer: Peer, told: Told, approximate: Option<i64>, span: &[u8], files: &mut dyn Files) -> Option<MessageRecord> {
        let Told { id, kind, joined, from, keys, .. } = told;
        let mut text = format!("{{\"id\":{id},\"type\":\"{kind}\"");
        let date = told.date.or(approximate);
        self.when.before = told.date.or(self.when.before);
        // An unsupported message has an id and a type in JSON, and nothing else.
        if let Some(unix) = date.filter(|_| kind != "unsupported") {
            text.push_str(&format!(",\"date\":\"\",\"date_unixtime\":\"{unix}\""));
        }
        // Phone calls are messages on a page.
        if kind == "message" || told.date.is_some() {
            if !joined {
                self.from = from;
            }
            let key = if kind == "message" { "from" } else { "actor" };
            match self.from.as_str() {
                // Who sent it stands on a page that is not here, or nowhere.
                "" => {}
                "Deleted Account" => text.push_str(&format!(",\"{key}\":null")),
                name => text.push_str(&format!(",\"{key}\":{}", quoted(name))),
            }
        }
        text.push_str(&keys);
        text.push('}');
        let converted = convert::message(&text, &self.circumstances.zone, files)?;
        let extra = Extra {
            forwarded_date_unixtime: told.forwarded_date.map(crate::model::record::Digits),
            approximate_date: approximate.is_some(),
            ..Extra::default()
        };
        Some(MessageRecord {
            peer,
            id,
            observed: self.circumstances.observed,
            run: self.circumstances.run.clone(),
            date,
            edited: None,
            message: converted.message,
            extra: extra.to_raw().ok()?,
            media: converted.media,
            raw: Some(Raw::Html { bytes: span.to_vec() }),
        })
    }
}

/// The chats of `lists/chats.html` in their order: the folder of each, and what kind of chat it is, as far as the page shows it.
pub fn listed_chats(page: &str) -> Vec<(String, Option<ChatType>)> {
    let dom = dom::parse(page, &[]);
    let mut entries = Vec::new();
    dom.find_all("entry", &mut entries);
    let of = |entry: &&Element<'_>| {
        let link = entry.attribute("href")?;
        let path = link.split('#').next()?.trim_start_matches("../");
        let kind = match entry.find("info").map(Element::text).unwrap_or_default().as_str() {
            "private" => Some(ChatType::PersonalChat),
            "bot" => Some(ChatType::BotChat),
            "group" => Some(ChatType::PrivateGroup),
            "channel" => Some(ChatType::PrivateChannel),
            _ => None,
        };
        Some((path.get(..path.rfind('/')? + 1)?.to_owned(), kind))
    };
    entries.iter().filter_map(of).collect()
}

/// Whether these are the first bytes of a page of messages, as Telegram Desktop or an editor writes it.
pub fn is_chat_page(page: &[u8]) -> bool {
    let start = String::from_utf8_lossy(page.get(..page.len().min(16 * 1024)).unwrap_or_default()).to_ascii_lowercase();
    let title = start.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).map(|(title, _)| title.trim());
    title == Some("exported data") && start.contains("chat_page")
}

/// The number of a page by the name of its file, from 1: `messages.html`, `messages2.html`.
pub fn page_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("messages")?.strip_suffix(".html")?;
    if number.is_empty() { Some(1) } else { number.parse().ok() }
}
