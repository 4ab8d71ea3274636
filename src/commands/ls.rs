//! `tgvault ls`: what a snapshot holds.

use serde::Serialize;

use super::arguments::Part;
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::output::Lines;
use super::reading::{Unread, chat_title};
use super::units;
use crate::model::chat::ChatType;
use crate::model::entry::{EntryPath, Kind, bytes_as_text};
use crate::model::peer::Peer;
use crate::operations::chats::{Chat, Joined, OpenChats};
use crate::operations::messages::files::{KnownFile, ShownIn};
use crate::operations::snapshot::OpenSnapshot;
use crate::operations::{OperationError, look};
use crate::repository::tree::TreeEntry;

const EXAMPLES: &str = "\
Examples:
  tgvault ls latest
  tgvault ls --chats latest
  tgvault ls latest --chat @hikers
  tgvault ls -l latest media/photo";

/// Options of `ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which snapshot, and what of it.
    #[command(flatten)]
    pub part: Part,

    /// Also show mode, owner, size and time
    #[arg(short = 'l', long)]
    pub long: bool,

    /// List only the chats of a Telegram account
    #[arg(long, conflicts_with = "paths")]
    pub chats: bool,

    /// Only this chat, by name, @username, ID or link; may be repeated
    #[arg(long, value_name = "CHAT", allow_negative_numbers = true, conflicts_with = "paths")]
    pub chat: Vec<String>,
}

#[derive(Serialize)]
struct ChatLine<'a> {
    message_type: &'static str,
    chat: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    left: bool,
    /// The basic group that it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    batches: usize,
    log_bytes: u64,
}

/// One entry, as `ls` and `find` print it.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    message_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    path: &'a EntryPath,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target<'a>>,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    /// Seconds and nanoseconds since 1970: times before that, and beyond any calendar, occur in file systems.
    mtime: (i64, u32),
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The name that a file of a chat was sent with, or had in an export.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The first message that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    shown_in: Option<InMessage<'a>>,
}

/// A message, as `find` names it.
#[derive(Serialize)]
struct InMessage<'a> {
    chat: Peer,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_name: Option<&'a str>,
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
}

/// A file of an import that is stored as messages.
#[derive(Serialize)]
struct Imported<'a> {
    message_type: &'static str,
    path: &'a EntryPath,
    size: u64,
}

/// Where a link leads.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Target<'a>(#[serde(serialize_with = "bytes_as_text::serialize")] &'a [u8]);

/// Lists the entries.
///
/// # Errors
/// When no key fits, or a path is not in the snapshot.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let paths = args.part.paths()?;
    let opened = context.session(Keys::Needed).await?.open().await?;
    let (mut lines, mut exit) = (context.output.lines(), Exit::Done);
    let choice = args.part.choice();
    if paths.is_empty() {
        let only_chats = args.chats || !args.chat.is_empty();
        let chats = if only_chats {
            OpenChats::open_with_chats(&opened, &choice).await?
        } else {
            OpenChats::of(OpenSnapshot::open_in(&opened, &choice).await?)
        };
        chats.stands_in().into_iter().for_each(|said| context.output.say(said));
        let (mut unread, names) = (Unread::new(&context.output), args.chat.clone());
        let (returned, told) = tokio::task::spawn_blocking(move || {
            unread.lost(&chats);
            let told = if only_chats || chats.is_telegram() { print_chats(&chats, &names, &mut lines, &mut unread) } else { Ok(()) };
            (lines, told.map(|()| unread.exit()))
        })
        .await
        .map_err(OperationError::from)?;
        lines = returned;
        if only_chats || told.is_err() {
            lines.finish()?;
            return told;
        }
        exit = told?;
    }
    let shown = look::ls_in(&opened, &choice, &paths, &|_| true, |path, entry| print(&mut lines, None, path, entry, args.long, None)).await;
    // What was printed before an error is printed all the same.
    lines.finish()?;
    shown?;
    Ok(exit)
}

/// Prints the chats of a snapshot that are called so, or all of them.
fn print_chats(chats: &OpenChats, names: &[String], lines: &mut Lines, unread: &mut Unread) -> Result<(), CommandError> {
    let mut described = unread.described(chats, names)?;
    let joined = Joined::order(&mut described);
    let mut group: Option<&Chat> = None;
    for chat in &described {
        // It is listed with the supergroup that comes next.
        if joined.inside(chat.peer).is_some() {
            group = Some(chat);
            continue;
        }
        let before = group.take();
        let (batches, log_bytes) = before.map_or((0, 0), |group| (group.batches.len(), group.log_bytes));
        let (batches, log_bytes) = (batches + chat.batches.len(), log_bytes + chat.log_bytes);
        let kind = chat.info.kind.map(ChatType::key);
        let printed = if lines.is_json() {
            lines.json(&ChatLine {
                message_type: "chat",
                chat: chat.peer.to_string(),
                name: chat.info.name.as_deref(),
                username: chat.info.username.as_deref(),
                kind,
                left: chat.info.left,
                before: before.map(|group| group.peer.to_string()),
                batches,
                log_bytes,
            })
        } else {
            let kind = kind.map(|kind| format!("{}, ", kind.replace('_', " "))).unwrap_or_default();
            let left = if chat.info.left { "left, " } else { "" };
            let before = before.map(|group| format!(" (before: {})", group.peer)).unwrap_or_default();
            lines.line(&format!("{}: {kind}{left}{} of log{before}", chat_title(chat), units::bytes(log_bytes)))
        };
        printed.map_err(CommandError::Output)?;
    }
    Ok(())
}

/// Prints a file of an import that is stored as messages: `cat` puts it together again.
pub(super) fn print_imported(lines: &mut Lines, path: &EntryPath, size: u64) -> std::io::Result<()> {
    match lines.is_json() {
        true => lines.json(&Imported { message_type: "imported", path, size }),
        false => lines.line(&format!("{path}  (of an import: tgvault cat latest {})", units::shell_word(path.to_string().as_ref()))),
    }
}

/// What people know of a file of a chat, behind its path.
fn known_as(known: &KnownFile) -> String {
    let mut text = String::new();
    if let Some(name) = &known.name {
        text.push_str(&format!("  {}", units::printable(name)));
    }
    if let Some(ShownIn { peer, chat, id, date, from }) = &known.shown_in {
        let chat = chat.as_deref().map_or_else(|| peer.to_string(), units::printable);
        let at = date.and_then(|date| jiff::Timestamp::from_second(date).ok()).map(|time| format!(", {}", units::time(time)));
        let from = from.as_deref().map(|from| format!(", {}", units::printable(from)));
        text.push_str(&format!("  ({chat} #{id}{}{})", at.unwrap_or_default(), from.unwrap_or_default()));
    }
    text
}

/// Prints one entry, a file of a chat with what people know of it.
pub(super) fn print(
    lines: &mut Lines,
    snapshot: Option<String>,
    path: &EntryPath,
    entry: &TreeEntry,
    long: bool,
    known: Option<&KnownFile>,
) -> std::io::Result<()> {
    let meta = entry.meta();
    let (kind, target) = match &entry.kind {
        Kind::File => ("file", None),
        Kind::Dir => ("dir", None),
        Kind::Symlink { target } => ("symlink", Some(target.as_slice())),
        Kind::Hardlink { target } => ("hardlink", Some(target.as_bytes())),
    };
    if lines.is_json() {
        return lines.json(&Line {
            message_type: "entry",
            snapshot,
            path,
            kind,
            target: target.map(Target),
            size: entry.size,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime.into(),
            sha256: entry.sha256().map(|digest| digest.to_string()),
            name: known.and_then(|known| known.name.as_deref()),
            shown_in: known.and_then(|known| known.shown_in.as_ref()).map(|shown| InMessage {
                chat: shown.peer,
                chat_name: shown.chat.as_deref(),
                id: shown.id,
                date: shown.date.and_then(|date| jiff::Timestamp::from_second(date).ok()),
                from: shown.from.as_deref(),
            }),
        });
    }
    let mut text = String::new();
    if let Some(id) = &snapshot {
        text.push_str(units::short_id(id));
        text.push_str("  ");
    }
    if long {
        let time = jiff::Timestamp::from_second(meta.mtime.seconds).map_or_else(|_| meta.mtime.seconds.to_string(), units::time);
        text.push_str(&format!(
            "{}  {:>5} {:>5}  {:>14}  {time}  ",
            mode(&entry.kind, meta.mode),
            meta.uid,
            meta.gid,
            units::count(entry.size)
        ));
    }
    text.push_str(&path.to_string());
    match (&entry.kind, target) {
        (Kind::Dir, _) => text.push('/'),
        (_, Some(target)) if long => text.push_str(&format!(" -> {}", units::printable(&String::from_utf8_lossy(target)))),
        _ => {}
    }
    known.into_iter().for_each(|known| text.push_str(&known_as(known)));
    lines.line(&text)
}

/// Kind and permission bits in the manner of `ls -l`.
fn mode(kind: &Kind, mode: u32) -> String {
    let first = match kind {
        Kind::File => '-',
        Kind::Dir => 'd',
        Kind::Symlink { .. } => 'l',
        Kind::Hardlink { .. } => 'h',
    };
    let special = [(0o4000, 's', 'S'), (0o2000, 's', 'S'), (0o1000, 't', 'T')];
    let mut text = String::from(first);
    for (shift, (bit, with_x, without_x)) in [6, 3, 0].into_iter().zip(special) {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (mode & bit != 0, bits & 1 != 0) {
            (true, true) => with_x,
            (true, false) => without_x,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_look_as_in_ls() {
        assert_eq!(mode(&Kind::File, 0o644), "-rw-r--r--");
        assert_eq!(mode(&Kind::Dir, 0o1777), "drwxrwxrwt");
        assert_eq!(mode(&Kind::File, 0o6710), "-rws--s---");
        assert_eq!(mode(&Kind::File, 0o6700), "-rws--S---");
    }
}
