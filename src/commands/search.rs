//! `tgvault search`: messages by words.

use clap::ValueEnum;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::cli::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::units;
use crate::model::json;
use crate::model::time;
use crate::operations::OperationError;
use crate::operations::chats::{Chat, OpenChats};
use crate::operations::messages::search::{Hit, search};
use crate::render::html::escape::plain;
use crate::render::search::{MediaFilter, Query};

const EXAMPLES: &str = "\
Examples:
  tgvault search harbour tickets                      messages with both words, anywhere and in any case
  tgvault search '\"see you at\"' --chat Mara --from 2024-05-01 --till 2024-05-31
  tgvault search --media voice --chat @hikers         all voice messages of a chat
  tgvault search --snapshot 3f9a --json привет";

/// Letters of a message that one line shows, at most.
const SHOWN: usize = 160;

/// Options of `search`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Words that a message must have, all of them; what stands in double quotes is one. Without any, all messages
    #[arg(value_name = "TEXT")]
    pub words: Vec<String>,

    /// In this snapshot: `latest`, or the first digits of an id
    #[arg(long, value_name = "SNAPSHOT", default_value = "latest", value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Only in this chat: its name, @username, or user123, chat123, channel123; may be given several times
    #[arg(long, value_name = "NAME")]
    pub chat: Vec<String>,

    /// Only messages sent on this day or later: 2024-05-04, or with a time 2024-05-04T12:30
    #[arg(long, value_name = "DATE", value_parser = parse_first)]
    pub from: Option<i64>,

    /// Only messages sent until the end of this day, or until this time
    #[arg(long, value_name = "DATE", value_parser = parse_last)]
    pub till: Option<i64>,

    /// Only messages with such media
    #[arg(long, value_name = "KIND", value_enum)]
    pub media: Option<Media>,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

/// Kinds of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Media {
    /// Any file
    Any,
    /// Photos
    Photo,
    /// Videos, round ones included
    Video,
    /// Voice messages
    Voice,
    /// Music
    Audio,
    /// Stickers
    Sticker,
    /// Animations
    Animation,
    /// Other files
    File,
}

impl From<Media> for MediaFilter {
    fn from(media: Media) -> Self {
        match media {
            Media::Any => Self::Any,
            Media::Photo => Self::Photo,
            Media::Video => Self::Video,
            Media::Voice => Self::Voice,
            Media::Audio => Self::Audio,
            Media::Sticker => Self::Sticker,
            Media::Animation => Self::Animation,
            Media::File => Self::File,
        }
    }
}

/// The first second of a day, or a point in time.
fn parse_first(text: &str) -> Result<i64, String> {
    span(text, &TimeZone::system()).map(|(first, _)| first)
}

/// The last second of a day, or a point in time.
fn parse_last(text: &str) -> Result<i64, String> {
    span(text, &TimeZone::system()).map(|(_, last)| last)
}

fn span(text: &str, zone: &TimeZone) -> Result<(i64, i64), String> {
    let wrong = || format!("'{}' is no date; write 2024-05-04, or 2024-05-04T12:30:00", units::printable(text));
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok((at.as_second(), at.as_second()));
    }
    let unix = |time| zone.to_ambiguous_zoned(time).compatible().map(|zoned| zoned.timestamp().as_second()).map_err(|_| wrong());
    if text.len() <= "2024-05-04".len() {
        let day: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
        let next = day.tomorrow().map_err(|_| wrong())?;
        return Ok((unix(day.at(0, 0, 0, 0))?, unix(next.at(0, 0, 0, 0))? - 1));
    }
    let at = unix(text.parse().map_err(|_| wrong())?)?;
    Ok((at, at))
}

#[derive(Serialize)]
struct Found<'a> {
    message_type: &'static str,
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<&'a str>,
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<String>,
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
    let mut query = Query::new(&args.words.join(" ")).map_err(|error| CommandError::usage(error.to_string(), "give fewer or shorter words"))?;
    query.from = args.from;
    query.till = args.till.map(|last| last.saturating_add(1));
    query.media = args.media.map(Into::into);
    let session = context.session(Keys::Needed).await?;
    let chats = OpenChats::open(&session, &args.select.choose(&args.snapshot)).await?;
    let snapshot = chats.snapshot().id.to_string();
    let (output, stop, names) = (context.output.clone(), context.heeded.stop(), args.chat.clone());
    let searched = tokio::task::spawn_blocking(move || {
        let warn = |text: &str| output.warn(text);
        chats.lost().iter().for_each(|lost| warn(lost));
        let wanted = super::chosen(&chats, &names, &mut |text| warn(text))?;
        let mut lines = output.lines();
        let zone = TimeZone::system();
        let mut last = None;
        let each = |hit: &Hit<'_>| {
            if lines.is_json() {
                return lines.json(&found(hit));
            }
            if last != Some(hit.chat.peer) {
                if last.is_some() {
                    lines.line("")?;
                }
                lines.line(&super::chat_title(hit.chat))?;
                last = Some(hit.chat.peer);
            }
            lines.line(&line(hit, &zone))
        };
        let searched = search(&chats, &wanted, &query, &stop, &mut |text| warn(text), each);
        lines.finish()?;
        Ok::<_, CommandError>((searched?, chats.lost().len() as u64))
    });
    let (searched, lost) = searched.await.map_err(OperationError::from)??;
    let unreadable = searched.unreadable + lost;
    if context.output.is_json() {
        let crate::operations::messages::search::Searched { chats, messages, found, .. } = searched;
        context.output.json(&Summary { message_type: "summary", command: "search", snapshot, chats, messages, found, unreadable })?;
    } else if searched.found == 0 {
        context.output.say("nothing matches");
    } else {
        context.output.say(&format!(
            "found {} among {} in {}",
            units::counted(searched.found, "message"),
            units::count(searched.messages),
            units::counted(searched.chats, "chat")
        ));
    }
    Ok(if unreadable > 0 { Exit::Incomplete } else { Exit::Done })
}

fn moment(unix: i64) -> Option<String> {
    jiff::Timestamp::from_second(unix).ok().map(|time| time.to_string())
}

fn text_key(message: &str, key: &str) -> Option<String> {
    json::get(message, key).and_then(json::text).map(std::borrow::Cow::into_owned)
}

/// The kind of a message's file, and its name.
fn media_of(message: &str) -> (Option<String>, Option<String>) {
    let has = |key: &str| json::get(message, key).is_some();
    let kind = text_key(message, "media_type").or_else(|| {
        let kinds = [("photo", "photo"), ("file", "file"), ("poll", "poll"), ("location_information", "location"), ("contact_information", "contact")];
        kinds.into_iter().find(|(key, _)| has(key)).map(|(_, kind)| kind.to_owned())
    });
    (kind, text_key(message, "file_name"))
}

/// What a message says in words: its text, or what happened.
fn words_of(message: &str) -> String {
    let text = json::get(message, "text").map(plain).unwrap_or_default();
    if !text.is_empty() {
        return text;
    }
    let question = json::get(message, "poll").and_then(|poll| text_key(poll, "question"));
    question.or_else(|| text_key(message, "information_text")).or_else(|| text_key(message, "action")).unwrap_or_default()
}

fn sender(message: &str) -> Option<String> {
    text_key(message, "from").or_else(|| text_key(message, "actor"))
}

fn found<'a>(hit: &Hit<'a>) -> Found<'a> {
    let message = hit.record.message.get();
    let (media, file) = media_of(message);
    Found {
        message_type: "found",
        peer: hit.chat.peer.to_string(),
        chat: hit.chat.info.name.as_deref(),
        id: hit.record.id,
        date: hit.record.date.and_then(moment),
        from: sender(message),
        text: words_of(message),
        media,
        file,
        edited: hit.record.edited.and_then(moment),
        deleted: hit.deleted.and_then(moment),
    }
}

fn line(hit: &Hit<'_>, zone: &TimeZone) -> String {
    let message = hit.record.message.get();
    let at = hit.record.date.and_then(|date| time::local(zone, date)).map(time::iso);
    let at = at.map_or_else(|| "                ".to_owned(), |at| at.chars().take(16).collect::<String>().replace('T', " "));
    let words = words_of(message).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = words.chars().take(SHOWN).collect();
    if shown.len() < words.len() {
        shown.push('…');
    }
    let (media, file) = media_of(message);
    let media = match (media, file) {
        (Some(kind), Some(file)) => format!("[{kind}: {file}] "),
        (Some(kind), None) => format!("[{kind}] "),
        (None, _) => String::new(),
    };
    let deleted = if hit.deleted.is_some() { "(deleted) " } else { "" };
    let from = sender(message).unwrap_or_default();
    units::printable(&format!("  {at}  #{:<8} {from}: {deleted}{media}{shown}", hit.record.id))
}

/// Tells the wanted chats from the others; all of them when nothing is wanted.
pub(super) fn choose(chats: Vec<Chat>, names: &[String], snapshot: &str) -> Result<Vec<Chat>, CommandError> {
    for name in names {
        if !chats.iter().any(|chat| chat.is_called(name)) {
            return Err(CommandError::usage(
                format!("snapshot {} has no chat called '{}'", super::short_id(snapshot), units::printable(name)),
                "see what there is with `tgvault ls --chats`; a chat goes by its name, @username or id",
            ));
        }
    }
    let is_wanted = |chat: &Chat| names.is_empty() || names.iter().any(|name| chat.is_called(name));
    Ok(chats.into_iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(span("2024-05-04", &zone), Ok((1_714_773_600, 1_714_860_000 - 1)));
        assert_eq!(span("2024-05-04T08:15:40", &zone), Ok((1_714_803_340, 1_714_803_340)));
        assert_eq!(span("2024-05-04T06:15:40Z", &zone), Ok((1_714_803_340, 1_714_803_340)));
        for bad in ["", "yesterday", "2024-13-01", "04.05.2024", "2024-05-04T25:00"] {
            assert!(span(bad, &zone).unwrap_err().contains("is no date"), "{bad}");
        }
    }
}
