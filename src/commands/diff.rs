//! `tgvault diff`: what differs between two snapshots.

use serde::Serialize;

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::reading::{Unread, chat_title};
use super::units;
use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::operations::chats::OpenChats;
use crate::operations::look::{self, Change, DiffSummary};
use crate::operations::messages::compare::{ChatChange, compare};
use crate::operations::snapshot::OpenSnapshot;
use crate::operations::snapshot::choice::SnapshotChoice;

const EXAMPLES: &str = "\
Examples:
  tgvault diff 3f9a latest            # + added, - removed, M modified, U metadata
  tgvault diff 3f9a latest --chats        # changes per chat
  tgvault diff 3f9a latest --chat @hikers";

/// Options of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The older snapshot: `latest`, or the first digits of its ID
    #[arg(value_parser = parse_snapshot)]
    pub from: String,

    /// The newer snapshot
    #[arg(value_parser = parse_snapshot)]
    pub to: String,

    /// Compare only the chats of a Telegram account, not its files
    #[arg(long)]
    pub chats: bool,

    /// Only this chat, by name, @username, ID or link; may be repeated
    #[arg(long, value_name = "CHAT", allow_negative_numbers = true)]
    pub chat: Vec<String>,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

#[derive(Serialize)]
struct ChatLine<'a> {
    message_type: &'static str,
    chat: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    came: u64,
    changed: u64,
    went: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    change: &'static str,
    path: &'a EntryPath,
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    added: u64,
    removed: u64,
    modified: u64,
    metadata: u64,
    added_bytes: u64,
    removed_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Messages>,
}

/// Messages of all chats.
#[derive(Clone, Copy, Default, Serialize)]
struct Messages {
    came: u64,
    changed: u64,
    went: u64,
}

/// Compares the two.
///
/// # Errors
/// When no key fits, or a snapshot cannot be read.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let opened = context.session(Keys::Needed).await?.open().await?;
    let output = &context.output;
    let (mut from, mut to) = (args.select.choose(&args.from), args.select.choose(&args.to));
    let only_chats = args.chats || !args.chat.is_empty();
    let open = async |choice: &SnapshotChoice, with_chats: bool| match with_chats {
        true => OpenChats::open_with_chats(&opened, choice).await,
        false => OpenSnapshot::open_in(&opened, choice).await.map(OpenChats::of),
    };
    let (mut earlier, mut later) = (open(&from, only_chats).await?, open(&to, only_chats).await?);
    if !only_chats && earlier.is_telegram() != later.is_telegram() {
        (earlier, later) = (open(&from, true).await?, open(&to, true).await?);
    }
    for (choice, chats) in [(&mut from, &earlier), (&mut to, &later)] {
        if let Some(said) = chats.stands_in() {
            output.say(said);
            *choice = SnapshotChoice::of(chats.opened().snapshot());
        }
    }
    let (messages, exit) = chats(earlier, later, &args.chat, context).await?;
    if only_chats {
        return match messages {
            Some(messages) => conclude(DiffSummary::default(), Some(messages), true, output).map(|()| exit),
            None => Err(OperationError::NoChats { snapshot: args.to.clone() }.into()),
        };
    }
    let mut lines = output.lines();
    let compared = look::diff_in(&opened, &from, &to, |change, path| {
        let (word, sign) = match change {
            Change::Added => ("added", '+'),
            Change::Removed => ("removed", '-'),
            Change::Modified => ("modified", 'M'),
            Change::Metadata => ("metadata", 'U'),
        };
        if lines.is_json() {
            lines.json(&Line { message_type: "change", change: word, path })
        } else {
            lines.line(&format!("{sign}  {path}"))
        }
    });
    let compared = compared.await;
    lines.finish()?;
    conclude(compared?, messages, false, output)?;
    Ok(exit)
}

fn conclude(summary: DiffSummary, messages: Option<Messages>, chats_only: bool, output: &Output) -> Result<(), CommandError> {
    if output.is_json() {
        return output.json(&Summary {
            message_type: "summary",
            command: "diff",
            added: summary.added,
            removed: summary.removed,
            modified: summary.modified,
            metadata: summary.metadata,
            added_bytes: summary.added_bytes,
            removed_bytes: summary.removed_bytes,
            messages,
        });
    }
    if let Some(Messages { came, changed, went }) = messages {
        let [came, changed, went] = [came, changed, went].map(units::count);
        output.say(&format!("messages: {came} came, {changed} changed, {went} went"));
    }
    if !chats_only {
        output.say(&format!(
            "added {} ({}), removed {} ({}), modified {}, metadata of {}",
            units::count(summary.added),
            units::bytes(summary.added_bytes),
            units::count(summary.removed),
            units::bytes(summary.removed_bytes),
            units::count(summary.modified),
            units::count(summary.metadata)
        ));
    }
    Ok(())
}

/// Prints what changed in each chat that is called so, or in all of them, where both snapshots have chats; and says how the
/// run ends by what could not be read.
async fn chats(
    earlier: OpenChats,
    later: OpenChats,
    names: &[String],
    context: &Context,
) -> Result<(Option<Messages>, Exit), CommandError> {
    let (output, stop, names) = (context.output.clone(), context.heeded.stop(), names.to_vec());
    let compared = tokio::task::spawn_blocking(move || {
        if !earlier.is_telegram() || !later.is_telegram() {
            return Ok((None, Exit::Done));
        }
        let mut unread = Unread::new(&output);
        unread.lost(&earlier);
        unread.lost(&later);
        let (mut earlier_chats, mut later_chats) = (unread.chosen(&earlier, &[])?, unread.chosen(&later, &[])?);
        if !names.is_empty() {
            // A chat that is new, gone or renamed has the name in one of them only.
            let wanted = later.called(earlier_chats.iter().chain(&later_chats), &names)?;
            earlier_chats.retain(|chat| wanted.contains(&chat.peer));
            later_chats.retain(|chat| wanted.contains(&chat.peer));
        }
        let mut lines = output.lines();
        let mut total = Messages::default();
        let unreadable = compare((&earlier, earlier_chats), (&later, later_chats), &stop, |chat, change| {
            let ChatChange { came, changed, went } = change;
            total = Messages { came: total.came + came, changed: total.changed + changed, went: total.went + went };
            if lines.is_json() {
                let (chat, name) = (chat.peer.to_string(), chat.info.name.as_deref());
                return lines.json(&ChatLine { message_type: "chat_change", chat, name, came, changed, went });
            }
            let [came, changed, went] = [came, changed, went].map(units::count);
            lines.line(&format!("{}: {came} came, {changed} changed, {went} went", chat_title(chat)))
        });
        lines.finish()?;
        unread.logs(&unreadable?);
        Ok::<_, CommandError>((Some(total), unread.exit()))
    });
    compared.await.map_err(OperationError::from)?
}
