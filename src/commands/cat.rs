//! `tgvault cat`: one file of a snapshot, or the messages of a chat, to standard output.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::value::RawValue;

use super::arguments::{Select, entry_path, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::progress::Reporter;
use super::span::SpanArgs;
use super::units;
use crate::model::peer::Peer;
use crate::operations::cat::{ReadOptions, Trouble, cat, conversation};
use crate::operations::chats::Chat;
use crate::operations::chats::conversation::Message;
use crate::render::terminal::Conversation;

const EXAMPLES: &str = "\
Examples:
  tgvault cat latest result.json | jq .personal_information
  tgvault cat latest photos/photo_1@04-05-2024_08-15-40.jpg > photo.jpg

Of a Telegram account or export:
  tgvault cat latest --chat Mara --last 50
  tgvault cat latest --chat @hikers --from 2024-05-01 --history
  tgvault cat latest --chat Mara --at 2026-03-01 --json";

/// Options of `cat`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `latest`, or the first digits of a snapshot's id
    #[arg(value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Path of the file in the snapshot
    #[arg(required_unless_present = "chat", conflicts_with = "chat")]
    pub path: Option<OsString>,

    /// Print the messages of this chat, given by name, @username, ID or link
    #[arg(long, value_name = "CHAT", allow_negative_numbers = true)]
    pub chat: Option<String>,

    /// Only the last NUMBER messages
    #[arg(long, value_name = "NUMBER", requires = "chat")]
    pub last: Option<usize>,

    /// Which messages.
    #[command(flatten)]
    pub span: SpanArgs,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

/// Bytes that go to standard output at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// Writes the file or the messages.
///
/// # Errors
/// When there is no such file or chat, no key fits, or a content is not what was stored.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    if let Some(chat) = &args.chat {
        return messages(chat, args, context).await;
    }
    if args.span.narrows() {
        return Err(CommandError::usage(
            "--from, --till, --at, --history and --message select messages of a chat",
            "name the chat with --chat NAME",
        ));
    }
    let path = entry_path(args.path.as_deref().unwrap_or_default())?;
    let session = context.session(Keys::Needed).await?;
    let stdout = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
    cat(&session, &args.select.choose(&args.snapshot), path, stdout).await?;
    Ok(Exit::Done)
}

/// A message as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    chat: Peer,
    message: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<&'a RawValue>,
    /// When its deletion was found, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Earlier<'a>>,
}

#[derive(Serialize)]
struct Earlier<'a> {
    /// When it was seen so, Unix seconds.
    observed: i64,
    message: &'a RawValue,
}

async fn messages(chat: &str, args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let options = ReadOptions { chat: chat.to_owned(), last: args.last, span: args.span.span()? };
    let session = context.session(Keys::Needed).await?;
    let (json, zone) = (context.output.is_json(), TimeZone::system());
    let reporter = Arc::new(Reporter::new(&context.output, "read", "message"));
    let mut stdout = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
    let mut lines = Conversation::new(options.span.history);
    let (shown, wanted) = (Arc::new(AtomicU64::new(0)), options.span.message);
    let counted = Arc::clone(&shown);
    let each = move |chat: &Chat, message: &Message| {
        counted.fetch_add(1, Ordering::Relaxed);
        if json {
            print_json(&mut stdout, chat, message)?;
        } else {
            stdout.write_all(lines.message(message.shown(), &zone).as_bytes())?;
        }
        Ok(())
    };
    let (choice, stop) = (args.select.choose(&args.snapshot), context.heeded.stop_soon());
    let read = conversation(&session, &choice, options, reporter.clone(), stop, each).await;
    reporter.finish();
    let Trouble { problems, damaged } = read?;
    if damaged > 0 {
        context.output.warn(&format!("{} in the vault", units::counted(damaged, "damaged file")));
        return Ok(Exit::Integrity);
    }
    if problems > 0 {
        context.output.warn(&format!("{} could not be read", units::counted(problems, "entry")));
        return Ok(Exit::Incomplete);
    }
    if let Some(id) = wanted.filter(|_| shown.load(Ordering::Relaxed) == 0) {
        context.output.warn(&format!("this chat has no message {id} that the options select"));
        return Ok(Exit::Incomplete);
    }
    Ok(Exit::Done)
}

fn print_json(out: &mut impl Write, chat: &Chat, message: &Message) -> io::Result<()> {
    let line = Line {
        message_type: "message",
        chat: chat.peer,
        message: &message.record.message,
        extra: message.record.extra.as_deref(),
        deleted: message.deleted,
        earlier: message.earlier.iter().map(|earlier| Earlier { observed: earlier.observed, message: &earlier.message }).collect(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}
