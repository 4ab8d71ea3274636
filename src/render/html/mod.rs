//! Pages in the structure of Telegram Desktop's HTML exports, with our own looks: dark and light, for phones too, usable without
//! scripts.
//!
//! - [`ChatPages`] writes a chat, 1,000 messages a page; [`message`] one message, [`media`] its media, [`call`] a phone call,
//!   [`service`] the sentence of what happened, [`preview`] what a message says in one line.
//! - [`window`] makes the pages of a viewer.
//! - [`overview`] writes a chat's months, and its photos and videos.
//! - [`about`] writes what a chat has beside messages.
//! - [`lists`] writes the summary, the list of chats and the sections of the account.
//! - [`escape`] is the one door for text that people wrote; [`view`] looks into a message.
//!
//! A page is the largest thing in memory, the ids of one chat, and the first words of its last messages.

pub mod about;
pub mod call;
pub mod escape;
pub mod lists;
pub mod media;
pub mod message;
pub mod overview;
pub mod preview;
pub mod service;
pub mod view;
pub mod window;

use std::fmt::Write;

use jiff::tz::TimeZone;

use self::message::Before;
use self::overview::{Frame, Overview, overview_file};
use self::preview::Lines;
use self::view::View;
use super::media_names::Places;
use super::shown::Shown;
use crate::model::chat::ChatType;
use crate::model::peer::{Peer, PeerKind};

/// The page of a chat that tells what it has beside messages.
pub const ABOUT_FILE: &str = "about.html";

/// Messages on one page.
pub const MESSAGES_PER_PAGE: usize = 1000;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Takes finished files of an export.
pub trait Pages {
    /// Why a file cannot be written.
    type Error;

    /// Takes the file at `path`, relative to the export's root.
    ///
    /// # Errors
    /// When the file cannot be written.
    fn page(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), Self::Error>;
}

/// Hands over the style and the script, once for an export.
///
/// # Errors
/// Those of `pages`.
pub fn assets<P: Pages>(pages: &mut P) -> Result<(), P::Error> {
    pages.page("css/style.css", STYLE.as_bytes().to_vec())?;
    pages.page("js/script.js", SCRIPT.as_bytes().to_vec())
}

/// What a message needs to know of its surroundings.
pub struct Page<'a> {
    /// The zone of shown times.
    pub zone: &'a TimeZone,
    /// From the page's folder to the export's root: empty, `../` or `../../`.
    pub up: &'a str,
    /// The page's folder, empty or ending in `/`.
    pub folder: &'a str,
    /// Where a stored media file lies, relative to the export's root, or its placeholder.
    pub place: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The page file that shows a message of this chat; `None` where none does.
    pub page_of: &'a dyn Fn(i64) -> Option<String>,
    /// How many date lines the chat has had so far.
    pub day_lines: &'a mut u64,
    /// The chat's name.
    pub chat: &'a str,
    /// Whose account it is.
    pub owner: &'a mut Owner,
    /// Whether the chat is one of two people.
    pub is_of_two: bool,
    /// What the messages before say, for replies to them.
    pub lines: &'a mut Lines,
}

/// The account's owner, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub peer: Option<Peer>,
    /// The name; messages of a private chat tell it, too.
    pub name: Option<String>,
}

/// Writes the pages of one chat. Messages come ascending by shown id.
pub struct ChatPages<'a, P> {
    name: String,
    folder: String,
    up: &'static str,
    back: Option<&'static str>,
    zone: TimeZone,
    pages: &'a mut P,
    ids: Vec<i64>,
    current: String,
    on_page: usize,
    number: usize,
    before: Before,
    day_lines: u64,
    owner: Owner,
    kind: Option<ChatType>,
    lines: Lines,
    overview: Overview,
    last: Option<Last>,
    has_about: bool,
}

/// The last message of a chat, for the list of chats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// When it was sent, Unix seconds.
    pub sent: i64,
    /// The day, for people.
    pub day: String,
    /// Who said what, in one line.
    pub line: String,
}

/// What the pages of a chat show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// How many messages.
    pub messages: u64,
    /// The last of them.
    pub last: Option<Last>,
}

impl<'a, P: Pages> ChatPages<'a, P> {
    /// A chat of an account export in `folder` (`chats/chat_01/`), or with an empty folder a single-chat export.
    pub fn new(name: &str, folder: &str, zone: TimeZone, pages: &'a mut P) -> Self {
        let single = folder.is_empty();
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            up: if single { "" } else { "../../" },
            back: (!single).then_some("../../lists/chats.html#allow_back"),
            zone,
            pages,
            ids: Vec::new(),
            current: String::new(),
            on_page: 0,
            number: 0,
            before: Before::default(),
            day_lines: 0,
            owner: Owner::default(),
            kind: None,
            lines: Lines::default(),
            overview: Overview::default(),
            last: None,
            has_about: false,
        }
    }

    /// Says what kind of chat it is: in one of two people, whoever it is not is the owner.
    #[must_use]
    pub fn of_kind(mut self, kind: Option<ChatType>) -> Self {
        self.kind = kind;
        self
    }

    /// Says that a page of the chat tells what it has beside messages: the first one links to it.
    #[must_use]
    pub fn with_about(mut self) -> Self {
        self.has_about = true;
        self
    }

    /// Says whose account it is, which phone calls show.
    #[must_use]
    pub fn owned_by(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// Writes the next message.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn message(&mut self, shown: Shown<'_>, names: &Places) -> Result<(), P::Error> {
        if self.on_page == MESSAGES_PER_PAGE {
            self.end_page(true)?;
        }
        if self.on_page == 0 {
            self.begin_page();
        }
        let id = shown.record.id.saturating_sub(shown.id_shift);
        self.ids.push(id);
        let (ids, number) = (&self.ids, self.number);
        let page_of = |id: i64| {
            let index = ids.binary_search(&id).ok()?;
            let page = index / MESSAGES_PER_PAGE + 1;
            Some(if page == number { String::new() } else { page_file(page) })
        };
        let place = |stored: &str| names.shown(stored);
        let peer = shown.record.peer;
        let mut page = Page {
            zone: &self.zone,
            up: self.up,
            folder: &self.folder,
            place: &place,
            page_of: &page_of,
            day_lines: &mut self.day_lines,
            chat: &self.name,
            owner: &mut self.owner,
            is_of_two: match self.kind {
                Some(kind) => matches!(kind, ChatType::PersonalChat | ChatType::BotChat),
                None => peer.kind == PeerKind::User && !peer.is_made_up(),
            },
            lines: &mut self.lines,
        };
        message::message(&mut self.current, shown, &mut page, &mut self.before);
        self.on_page += 1;
        let view = View::new(shown.record, &self.zone);
        let (name, words) = page.lines.get(id).unwrap_or_default();
        if let Some(sent) = shown.record.date.filter(|sent| self.last.as_ref().is_none_or(|last| last.sent <= *sent)) {
            let line = if name.is_empty() { words.to_owned() } else { format!("{name}: {words}") };
            self.last = Some(Last { sent, day: view.local().map(view::day).unwrap_or_default(), line });
        }
        let label = if name.is_empty() { &self.name } else { name };
        let frame = Frame { name: &self.name, folder: &self.folder, up: self.up };
        self.overview.add(&view, (id, &page_file(self.number), label), &page, &frame, self.pages)
    }

    fn begin_page(&mut self) {
        self.number += 1;
        // Each page tells its day anew.
        self.before = Before::default();
        frame_begin(&mut self.current, self.up, self.back, &self.name, "chat_page");
        let about = format!("<a class=\"tool\" href=\"{ABOUT_FILE}\">About this chat</a>");
        let about = if self.number == 1 && self.has_about { about } else { String::new() };
        let _ = writeln!(
            self.current,
            "<div class=\"tools\">{about}<a class=\"tool\" href=\"{}\">Months, photos and videos</a></div>",
            overview_file(1)
        );
        self.current.push_str("<div class=\"history\">\n");
        if self.number > 1 {
            let _ =
                writeln!(self.current, "<a class=\"pagination block_link\" href=\"{}\">Previous messages</a>", page_file(self.number - 1));
        }
    }

    fn end_page(&mut self, more: bool) -> Result<(), P::Error> {
        if more {
            let _ = writeln!(self.current, "<a class=\"pagination block_link\" href=\"{}\">Next messages</a>", page_file(self.number + 1));
        }
        self.current.push_str("</div>");
        frame_end(&mut self.current);
        self.on_page = 0;
        let path = format!("{}{}", self.folder, page_file(self.number));
        self.pages.page(&path, std::mem::take(&mut self.current).into_bytes())
    }

    fn write_overview(&mut self) -> Result<(), P::Error> {
        let frame = Frame { name: &self.name, folder: &self.folder, up: self.up };
        std::mem::take(&mut self.overview).finish(&frame, self.pages)
    }

    /// Writes the last page and the overview, and says what the pages show.
    ///
    /// # Errors
    /// Those of the pages.
    pub fn finish(mut self) -> Result<Written, P::Error> {
        if self.ids.is_empty() {
            if self.folder.is_empty() {
                self.begin_page();
                self.current.push_str("<div class=\"message service\"><div class=\"body details\">No exported messages</div></div>\n");
                self.end_page(false)?;
                self.write_overview()?;
            }
            return Ok(Written::default());
        }
        self.end_page(false)?;
        self.write_overview()?;
        Ok(Written { messages: self.ids.len() as u64, last: self.last })
    }
}

/// `messages.html`, `messages2.html`, …
fn page_file(number: usize) -> String {
    if number == 1 { "messages.html".to_owned() } else { format!("messages{number}.html") }
}

/// The beginning of a page, up to and including the opening of its body. `up` leads to the export's root.
fn frame_begin(out: &mut String, up: &str, back: Option<&str>, title: &str, class: &str) {
    begin(out, (up, FILE_POLICY, "Exported Data"), back, title, class);
}

/// What a page in a file may do: whoever serves pages says so in their headers.
const FILE_POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file: data:; media-src 'self' file:; style-src 'self' file: 'unsafe-inline'; script-src 'self' file:; base-uri 'none'; form-action 'none'\">\n";

/// As [`frame_begin`]; `(up, policy, tab)` has the path to the root, the policy that stands in the page, and the name of its tab.
fn begin(out: &mut String, (up, policy, tab): (&str, &str, &str), back: Option<&str>, title: &str, class: &str) {
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>");
    escape::text(out, tab);
    let _ = write!(
        out,
        "</title>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{policy}<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"generator\" content=\"tgvault\">\n<link rel=\"stylesheet\" href=\"{up}css/style.css\">\n<script src=\"{up}js/script.js\" defer></script>\n</head>\n<body>\n<div class=\"page_wrap\">\n<div class=\"page_header\">"
    );
    let tag = if back.is_some() { "a" } else { "div" };
    match back {
        Some(back) => {
            let _ = write!(out, "<a class=\"content block_link\" href=\"{back}\">");
        }
        None => out.push_str("<div class=\"content\">"),
    }
    // Tools that read pages line by line look for the name on the line after this.
    out.push_str("<div class=\"text bold\">\n");
    escape::text(out, title);
    let _ = write!(out, "\n</div></{tag}></div>\n<div class=\"page_body {class}\">\n");
}

fn frame_end(out: &mut String) {
    out.push_str("\n</div>\n</div>\n</body>\n</html>\n");
}
