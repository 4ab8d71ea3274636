//! `tgvault search`: messages by words.

use clap::ValueEnum;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::cli::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::span::{Moment, parse_moment};
use super::units;
use crate::model::chat::DELETED_ACCOUNT;
use crate::model::json;
use crate::model::time;
use crate::operations::OperationError;
use crate::operations::chats::OpenChats;
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

    /// Only in this chat, by its name, @username, id or link; may be given several times
    #[arg(long, value_name = "CHAT", allow_negative_numbers = true)]
    pub chat: Vec<String>,

    /// Only messages sent on this day or later: 2024-05-04, or with a time 2024-05-04T12:30
    #[arg(long, value_name = "DATE", value_parser = parse_moment)]
    pub from: Option<Moment>,

    /// Only messages sent until the end of this day, or until this time
    #[arg(long, value_name = "DATE", value_parser = parse_moment)]
    pub till: Option<Moment>,

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

#[derive(Serialize)]
struct Found<'a> {
    message_type: &'static str,
    chat: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
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
    let mut query =
        Query::new(&args.words.join(" ")).map_err(|error| CommandError::usage(error.to_string(), "give fewer or shorter words"))?;
    query.from = args.from.map(|moment| moment.first);
    query.till = args.till.map(|moment| moment.last.saturating_add(1));
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
        let kinds = [
            ("photo", "photo"),
            ("file", "file"),
            ("poll", "poll"),
            ("location_information", "location"),
            ("contact_information", "contact"),
        ];
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
        chat: hit.chat.peer.to_string(),
        name: hit.chat.info.name.as_deref(),
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
    let has_sender = ["from", "actor"].into_iter().any(|key| json::get(message, key).is_some());
    let from = sender(message).unwrap_or_else(|| if has_sender { DELETED_ACCOUNT.to_owned() } else { String::new() });
    units::printable(&format!("  {at}  #{:<8} {from}: {deleted}{media}{shown}", hit.record.id))
}
