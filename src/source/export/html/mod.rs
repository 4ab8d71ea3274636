//! Reads the pages of Telegram Desktop's HTML exports.
//!
//! Pages tell less than `result.json`: no ids of chats and senders, no time of service messages (their day only), no sizes of
//! media. What they tell becomes the same keys; a service message becomes its sentence, as `information_text`. The pieces that
//! are handed out, one after the other, are the page.
//!
//! - [`dom`] reads a page into elements, [`message`] an element into keys.

pub mod dom;
pub mod message;

use std::io;

use self::dom::Element;
use self::message::{Folder, Told, quoted};
use super::convert::{self, Files};
use super::read::{Circumstances, Receiver};
use crate::model::chat::{ChatInfo, ChatType};
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::{Extra, MessageRecord, Raw, VERSION};

/// A page longer than this is kept as it is. A page has 1,000 messages of at most 4,096 characters.
pub const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;

/// Reads the pages of one chat, in their order: `messages.html`, `messages2.html`, ….
pub struct ChatPages {
    circumstances: Circumstances,
    folder: String,
    peer: Option<Peer>,
    kind: Option<ChatType>,
    announced: Option<Peer>,
    from: String,
    date: Option<i64>,
}

impl ChatPages {
    /// A chat whose pages lie in `folder` (`chats/chat_01/`, or empty for a single-chat export).
    ///
    /// `peer` and `kind` say which chat it is, where the caller knows: pages tell its name only. Without them the peer is made
    /// up from the name, so that the same chat of a later export is the same peer.
    pub fn new(circumstances: Circumstances, folder: &str, peer: Option<Peer>, kind: Option<ChatType>) -> Self {
        Self { circumstances, folder: folder.to_owned(), peer, kind, announced: None, from: String::new(), date: None }
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
        let dom = dom::parse(text);
        let peer = self.announce(&dom, receiver)?;
        let escaped = memchr::memmem::find(page, b"name=\"generator\" content=\"tgvault\"").is_some_and(|at| at < 4096);
        let mut messages = Vec::new();
        dom.find_all("message", &mut messages);
        let mut done = 0;
        for element in messages {
            let folder = Folder { path: &self.folder, escaped };
            let Some(told) = message::message(element, &self.circumstances.zone, folder) else { continue };
            let span = page.get(element.start..element.end).unwrap_or_default();
            let Some(record) = self.record(peer, told, span, files) else {
                receiver.problem(element.start as u64, "this message cannot be read; it is kept as it is, but shown nowhere");
                continue;
            };
            receiver.bytes(page.get(done..element.start).unwrap_or_default())?;
            receiver.message(record)?;
            done = element.end;
        }
        receiver.bytes(page.get(done..).unwrap_or_default())
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
            kind: self.kind,
            full_name: None,
            username: None,
            left: false,
            only_my_messages: false,
            migrated_from: None,
            migrated_to: None,
            topics: Vec::new(),
            observed: self.circumstances.observed,
            run: self.circumstances.run.clone(),
            dialog: None,
            unknown_keys: None,
            raw: None,
        })?;
        Ok(peer)
    }

    fn record(&mut self, peer: Peer, told: Told, span: &[u8], files: &mut dyn Files) -> Option<MessageRecord> {
        let Told { id, kind, joined, from, keys, .. } = told;
        let mut text = format!("{{\"id\":{id},\"type\":\"{kind}\"");
        // A service message has a day only: the time of the message before it is near enough to find it by.
        let approximate = told.date.is_none();
        let date = told.date.or(self.date);
        if let Some(unix) = told.date {
            self.date = Some(unix);
            text.push_str(&format!(",\"date\":\"\",\"date_unixtime\":\"{unix}\""));
        }
        if kind == "message" {
            if !joined {
                self.from = from;
            }
            let name = if self.from == "Deleted Account" { "null".to_owned() } else { quoted(&self.from) };
            text.push_str(&format!(",\"from\":{name}"));
        }
        text.push_str(&keys);
        text.push('}');
        let converted = convert::message(&text, &self.circumstances.zone, files)?;
        let extra = Extra {
            forwarded_date_unixtime: told.forwarded_date.map(crate::model::record::Digits),
            approximate_date: approximate,
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

/// Whether these are the first bytes of a page of messages.
pub fn is_chat_page(page: &[u8]) -> bool {
    let start = page.get(..page.len().min(8192)).unwrap_or_default();
    let has = |part: &[u8]| memchr::memmem::find(start, part).is_some();
    has(b"<title>Exported Data</title>") && has(b"chat_page")
}
