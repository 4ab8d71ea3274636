//! `tgvault stats`: how much a snapshot holds, and what it takes in the store.

use std::collections::BTreeMap;

use serde::Serialize;

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::reading::{Unread, chat_title};
use super::{forecast, units};
use crate::operations::chats::{Chat, Joined, OpenChats};
use crate::operations::messages::count::{ChatCount, MediaCount, count};
use crate::operations::snapshot::choice::SnapshotChoice;
use crate::operations::{OperationError, look};

const EXAMPLES: &str = "\
Examples:
  tgvault stats
  tgvault stats 3f9a --json
  tgvault stats --forecast    # growth, costs, room";

/// Options of `stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `latest`, or the first digits of a snapshot's id
    #[arg(default_value = "latest", value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Show how the vault grows, what that costs, and how long there is room; needs no key
    #[arg(long, conflicts_with_all = ["snapshot", "tags", "host", "source"])]
    pub forecast: bool,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

/// What of a chat is counted.
#[derive(Serialize)]
struct ChatLine<'a> {
    message_type: &'static str,
    chat: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    messages: u64,
    deleted: u64,
    by_year: BTreeMap<i16, u64>,
    by_kind: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct MediaLine {
    message_type: &'static str,
    kind: &'static str,
    files: u64,
    bytes: u64,
}

/// What all chats hold.
#[derive(Default)]
struct Messages {
    chats: u64,
    messages: u64,
    deleted: u64,
    by_chat: Vec<(u64, String)>,
    by_year: BTreeMap<i16, u64>,
    by_kind: BTreeMap<&'static str, u64>,
    media: BTreeMap<&'static str, MediaCount>,
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    snapshot: String,
    files: u64,
    dirs: u64,
    symlinks: u64,
    hardlinks: u64,
    bytes: u64,
    archives: u64,
    stored_bytes: u64,
    unfinished_uploads: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chats: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<u64>,
}

/// Counts.
///
/// # Errors
/// When no key fits, or the snapshot cannot be read.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    if args.forecast {
        forecast::run(context).await?;
        return Ok(Exit::Done);
    }
    let opened = context.session(Keys::Needed).await?.open().await?;
    let output = &context.output;
    let mut choice = args.select.choose(&args.snapshot);
    let chats = OpenChats::open_with_chats(&opened, &choice).await?;
    if let Some(said) = chats.stands_in() {
        output.say(said);
        choice = SnapshotChoice::of(chats.opened().snapshot());
    }
    let stats = look::stats_in(&opened, &choice).await?;
    let (messages, exit) = count_messages(chats, context).await?.map_or((None, Exit::Done), |(messages, exit)| (Some(messages), exit));
    let id = stats.snapshot.to_string();
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "stats",
            snapshot: id,
            files: stats.files,
            dirs: stats.dirs,
            symlinks: stats.symlinks,
            hardlinks: stats.hardlinks,
            bytes: stats.bytes,
            archives: stats.archives,
            stored_bytes: stats.stored_bytes,
            unfinished_uploads: stats.unfinished_uploads,
            chats: messages.as_ref().map(|messages| messages.chats),
            messages: messages.as_ref().map(|messages| messages.messages),
            deleted: messages.as_ref().map(|messages| messages.deleted),
        })?;
    } else {
        let rows = [
            ["snapshot".to_owned(), units::short_id(&id).to_owned()],
            ["files".to_owned(), units::count(stats.files)],
            ["folders".to_owned(), units::count(stats.dirs)],
            ["symbolic links".to_owned(), units::count(stats.symlinks)],
            ["hard links".to_owned(), units::count(stats.hardlinks)],
            ["content".to_owned(), units::bytes(stats.bytes)],
            ["archives".to_owned(), units::count(stats.archives)],
            ["stored".to_owned(), units::bytes(stats.stored_bytes)],
        ];
        output.text(&units::columns(&rows, &[1]))?;
        if stats.unfinished_uploads > 0 {
            output.say(&super::verify::unfinished(stats.unfinished_uploads));
        }
        if let Some(messages) = messages {
            output.text(&messages.text())?;
        }
    }
    Ok(exit)
}

impl Messages {
    fn add(&mut self, chat: &Chat, count: &ChatCount) {
        self.chats += 1;
        self.messages += count.messages;
        self.deleted += count.deleted;
        self.by_chat.push((count.messages, chat_title(chat)));
        for ((year, kind), number) in &count.by_class {
            *self.by_year.entry(*year).or_default() += number;
            *self.by_kind.entry(kind).or_default() += number;
        }
    }

    fn text(mut self) -> String {
        self.by_chat.sort_by(|a, b| b.cmp(a));
        let mut text = format!("\n{} in {}", units::counted(self.messages, "message"), units::counted(self.chats, "chat"));
        if self.deleted > 0 {
            text.push_str(&format!(", {} of them deleted since", units::count(self.deleted)));
        }
        text.push('\n');
        let chats: Vec<[String; 2]> = self.by_chat.into_iter().map(|(count, title)| [units::count(count), title]).collect();
        let years: Vec<[String; 2]> = self.by_year.into_iter().map(|(year, count)| [units::count(count), year_name(year)]).collect();
        let kind = |(kind, count): (&'static str, u64)| {
            let media = self.media.get(kind).copied().unwrap_or_default();
            let files = if media.files > 0 {
                format!("{}, {}", units::counted(media.files, "file"), units::bytes(media.bytes))
            } else {
                String::new()
            };
            [units::count(count), kind.replace('_', " "), files]
        };
        let kinds: Vec<[String; 3]> = self.by_kind.into_iter().map(kind).collect();
        for part in [units::columns(&chats, &[0]), units::columns(&years, &[0]), units::columns(&kinds, &[0])] {
            text.push('\n');
            text.push_str(&part);
        }
        text
    }
}

fn year_name(year: i16) -> String {
    if year == 0 { "(no date)".to_owned() } else { year.to_string() }
}

/// Counts the messages of a snapshot that has chats; JSON lines are printed at once.
async fn count_messages(chats: OpenChats, context: &Context) -> Result<Option<(Messages, Exit)>, CommandError> {
    let (output, stop) = (context.output.clone(), context.heeded.stop());
    let counted = tokio::task::spawn_blocking(move || {
        if !chats.is_telegram() {
            return Ok(None);
        }
        let mut messages = Messages::default();
        let mut unread = Unread::new(&output);
        unread.lost(&chats);
        let mut wanted = unread.chosen(&chats, &[])?;
        let joined = Joined::order(&mut wanted);
        let mut lines = output.lines();
        // The counts of a basic group, until its supergroup comes.
        let mut before: Option<ChatCount> = None;
        let total = count(&chats, &wanted, &stop, |chat, mut count| {
            if let Some(before) = before.take() {
                count.add(&before);
            }
            if joined.inside(chat.peer).is_some() {
                before = Some(count);
                return Ok(());
            }
            messages.add(chat, &count);
            if !lines.is_json() {
                return Ok(());
            }
            let mut line = ChatLine {
                message_type: "chat_stats",
                chat: chat.peer.to_string(),
                name: chat.info.name.as_deref(),
                messages: count.messages,
                deleted: count.deleted,
                by_year: BTreeMap::new(),
                by_kind: BTreeMap::new(),
            };
            for ((year, kind), number) in &count.by_class {
                *line.by_year.entry(*year).or_default() += number;
                *line.by_kind.entry(kind).or_default() += number;
            }
            lines.json(&line)
        });
        if let Ok(total) = &total
            && lines.is_json()
        {
            for (kind, MediaCount { files, bytes }) in &total.media {
                lines.json(&MediaLine { message_type: "media_stats", kind, files: *files, bytes: *bytes }).map_err(CommandError::Output)?;
            }
        }
        lines.finish()?;
        let total = total?;
        unread.logs(&total.unreadable);
        Ok::<_, CommandError>(Some((Messages { media: total.media, ..messages }, unread.exit())))
    });
    counted.await.map_err(OperationError::from)?
}
