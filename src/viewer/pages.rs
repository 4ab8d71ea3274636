//! The pages that answer.

use std::fmt::Write;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::routes::Moment;
use crate::model::entry::EntryPath;
use crate::model::json;
use crate::model::peer::Peer;
use crate::model::time;
use crate::operations::OperationError;
use crate::operations::browse::{Browser, Summary, Where};
use crate::operations::chats::Chat;
use crate::operations::messages::search::Writing;
use crate::operations::stop::Stop;
use crate::render::html::lists::shown_name;
use crate::render::html::preview;
use crate::render::html::view::View;
use crate::render::html::window::{self, Around, ChatLine};
use crate::render::html::{Pages, assets, escape};
use crate::render::search::{FoundLine, Query};
use crate::render::shown::Shown;

/// Messages on a page: more would take a phone noticeably long.
const WINDOW: usize = 200;

/// Letters of a message that lists show.
const PREVIEW: usize = 120;

/// Hits of a search on a page.
const HITS: usize = 500;

/// Bytes of hits that may wait for their chats to be folded.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// The list of chats.
///
/// # Errors
/// When the store fails.
pub fn chats(browser: &Browser, zone: &TimeZone) -> Result<String, OperationError> {
    let lines: Vec<_> = browser.summaries()?.iter().map(|summary| (shown_name(&summary.info), summary)).collect();
    let lines: Vec<ChatLine<'_>> = lines
        .iter()
        .map(|(name, summary)| ChatLine {
            peer: summary.info.peer,
            name,
            kind: kind(summary),
            last: summary.last.as_ref().and_then(|last| last.record.date).map(|date| when(zone, date)).unwrap_or_default(),
            preview: summary.last.as_ref().map(|last| preview::line(&View::new(&last.record, zone))).unwrap_or_default(),
            messages: summary.messages,
        })
        .collect();
    Ok(window::chats(&browser.snapshot().source.to_string(), &lines, &browser.trouble()))
}

fn kind(summary: &Summary) -> &'static str {
    summary.info.kind.map_or("chat", |kind| kind.in_a_word())
}

fn when(zone: &TimeZone, unix: i64) -> String {
    time::local(zone, unix).map(|at| at.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default()
}

/// The beginning of what was found.
fn snippet(message: &str) -> String {
    let text = json::get(message, "text").map(escape::rich_plain).unwrap_or_default();
    let text =
        if text.trim().is_empty() { json::get(message, "media_type").and_then(json::text).unwrap_or_default().into_owned() } else { text };
    let mut short: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(PREVIEW).collect();
    if short.chars().count() == PREVIEW {
        short.push('…');
    }
    short
}

/// A window of a chat; `None` where there is no such chat.
///
/// # Errors
/// When the store fails.
pub fn chat(browser: &Browser, peer: Peer, at: Moment, zone: &TimeZone) -> Result<Option<String>, OperationError> {
    let at = match at {
        Moment::At(at) => at,
        Moment::Day(day) => match day.to_zoned(zone.clone()) {
            Ok(midnight) => Where::From(midnight.timestamp().as_second()),
            Err(_) => Where::Last,
        },
    };
    let Some(window) = browser.window(peer, at, WINDOW)? else { return Ok(None) };
    let name = shown_name(&window.info);
    let messages: Vec<Shown<'_>> = window.messages.iter().map(|message| message.shown()).collect();
    let around =
        Around { chat: &name, kind: window.info.kind, zone, before: window.before, after: window.after, notice: &browser.trouble() };
    let has = |path: &str| EntryPath::new(path).is_ok_and(|path| browser.file_length(&path).is_some());
    Ok(Some(window::window(&messages, &around, browser.owner(), &has)))
}

/// What a search finds.
///
/// # Errors
/// When the store fails.
pub fn search(browser: &Browser, words: &str, zone: &TimeZone, stop: &Stop) -> Result<String, OperationError> {
    if words.trim().is_empty() {
        return Ok(window::found(words, "", "Type words to search for."));
    }
    let query = match Query::new(words) {
        Ok(query) => query,
        Err(error) => return Ok(window::found(words, "", &format!("{error}: use fewer or shorter words"))),
    };
    let mut hits: Vec<Vec<u8>> = Vec::new();
    let writing = AsHits { zone, browser };
    let searched = browser.search(&query, &writing, KEPT_BYTES, stop, &mut |hit: &[u8]| {
        if hits.len() < HITS {
            hits.push(hit.to_vec());
        }
    })?;
    let summary = match (searched.found, hits.len() as u64) {
        (0, _) => "No message matches.".to_owned(),
        (1, _) => "1 message matches.".to_owned(),
        (all, shown) if all > shown => format!("{all} messages match; the first {shown} are shown."),
        (all, _) => format!("{all} messages match."),
    };
    Ok(window::found(words, &String::from_utf8_lossy(&hits.concat()), &summary))
}

/// Writes hits as links to their messages.
struct AsHits<'a> {
    zone: &'a TimeZone,
    browser: &'a Browser,
}

impl Writing for AsHits<'_> {
    fn write(&self, chat: &Chat, found: &FoundLine<'_>, out: &mut Vec<u8>) -> usize {
        let from = json::get(found.message, "from").and_then(json::text).unwrap_or_default();
        let date = found.date.map(|date| when(self.zone, date)).unwrap_or_default();
        let mut hit = String::new();
        let (shown_in, id) = self.browser.place_of(chat, found.id);
        window::hit(&mut hit, shown_in.peer, &shown_name(shown_in), id, &date, &from, &snippet(found.message));
        out.extend_from_slice(hit.as_bytes());
        // The mark stands in front of the text's end.
        out.len().saturating_sub("</div></div></a>\n".len())
    }

    fn mark(&self, deleted: i64) -> String {
        let mut mark = String::from(" (deleted");
        if let Some(at) = time::local(self.zone, deleted) {
            let _ = write!(mark, ", noticed {}", at.strftime("%Y-%m-%d"));
        }
        mark.push(')');
        mark
    }

    fn earlier(&self) -> &'static str {
        " (earlier version)"
    }
}

/// The style or the script of the pages.
pub fn asset(name: &str) -> Vec<u8> {
    struct One<'a>(&'a str, Vec<u8>);
    impl Pages for One<'_> {
        type Error = std::convert::Infallible;
        fn page(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), Self::Error> {
            if path == self.0 {
                self.1 = bytes;
            }
            Ok(())
        }
    }
    let mut one = One(name, Vec::new());
    let Ok(()) = assets(&mut one);
    one.1
}

/// A page that says one thing.
pub fn plain(title: &str, text: &str) -> String {
    window::plain(title, text)
}

/// Everything that answers need.
pub struct Shelf {
    /// The snapshot.
    pub browser: Browser,
    /// The zone of shown times.
    pub zone: TimeZone,
    /// Ends what takes long.
    pub stop: Stop,
}

/// Shared by all connections.
pub type SharedShelf = Arc<Shelf>;
