//! Streaming one file of a snapshot, or the messages of a chat.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::OperationError;
use super::chats::conversation::{Conversation, Found, Message, Span};
use super::chats::imported::{self, Together};
use super::chats::{Chat, Chosen, OpenChats, choose};
use super::events::{Event, Events};
use super::report::Report;
use super::session::Session;
use super::snapshot::choice::SnapshotChoice;
use super::snapshot::{OpenSnapshot, meant};
use super::stop::Stop;
use crate::model::causes::with_causes;
use crate::model::entry::{EntryPath, Kind};
use crate::model::harmless::printable;
use crate::source::desktop::import::ImportedFile;

/// Writes the content of one file to `out`: one that is stored at this path, or else the one that had it in the last import that has
/// such a file. Unlike a restore it cannot take back what it has written: a content that turns out wrong is an error after its last byte.
///
/// # Errors
/// When there is no such file, it cannot be read or written, or its SHA-256 does not match.
pub async fn cat<W: Write + Send + 'static>(
    session: &Session,
    choice: &SnapshotChoice,
    path: EntryPath,
    mut out: W,
) -> Result<(), OperationError> {
    let chats = OpenChats::of(OpenSnapshot::open_exactly(&session.open().await?, choice).await?);
    tokio::task::spawn_blocking(move || {
        let (opened, tree) = (chats.opened(), chats.opened().tree());
        let path = meant(opened.snapshot(), tree, std::slice::from_ref(&path)).pop().unwrap_or(path);
        let missing = || opened.missing(OperationError::NoSuchPath { path: path.to_string(), snapshot: opened.snapshot().id.to_string() });
        // An older version is never given out under the right name.
        if tree.is_unproven(&path) {
            return Err(missing());
        }
        let mut stored = path.clone();
        if tree.get(&path).is_none() {
            let mut file = imported::named(&chats, &path)?.ok_or_else(missing)?;
            if let Kind::Hardlink { target } = &file.kind {
                file = imported::named(&chats, target)?.ok_or_else(missing)?;
            }
            match (file.kind == Kind::File, &file.stored) {
                (false, _) => return Err(OperationError::NotAFile { path: path.to_string() }),
                (true, Some(content)) => stored = content.clone(),
                (true, None) => return put_together(&chats, &file, out),
            }
        }
        let mut entry = tree.get(&stored).ok_or_else(missing)?;
        if let Kind::Hardlink { target } = &entry.kind {
            entry = tree.get(target).ok_or_else(missing)?;
        }
        opened.stream_entry(&path, &entry, &mut |piece| out.write_all(piece))?;
        out.flush().map_err(OperationError::Output)
    })
    .await?
}

/// Writes a file of an import that was taken apart into records.
fn put_together(chats: &OpenChats, file: &ImportedFile, mut out: impl Write) -> Result<(), OperationError> {
    let mut failed = None;
    let all = chats.chats(&mut |path, error| {
        failed.get_or_insert_with(|| OperationError::Form { path: path.to_string(), why: with_causes(error) });
    })?;
    match imported::Originals::new(chats, all).put_together(file, &mut out)? {
        Together::Whole => out.flush().map_err(OperationError::Output),
        Together::Damaged(_) => Err(failed.unwrap_or(OperationError::Content { path: file.path.to_string() })),
        Together::Unwritten(error) => Err(OperationError::Output(error)),
    }
}

/// Which messages to read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The chat, by its name, `@username` or id.
    pub chat: String,
    /// Only so many messages at the end.
    pub last: Option<usize>,
    /// Which of its messages.
    pub span: Span,
}

/// What went wrong while a conversation was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Things that could not be read.
    pub problems: u64,
    /// Things that are damaged in the vault; they count as problems, too.
    pub damaged: u64,
}

/// Hands the messages of one chat to `each`, in the order in which they are shown.
///
/// # Errors
/// When there is no such chat or several go by that name, the store fails, or `each` fails. What cannot be read is reported.
pub async fn conversation(
    session: &Session,
    choice: &SnapshotChoice,
    options: ReadOptions,
    events: Arc<dyn Events>,
    stop: Stop,
    mut each: impl FnMut(&Chat, &Message) -> io::Result<()> + Send + 'static,
) -> Result<Trouble, OperationError> {
    let chats = OpenChats::open_with_chats(&session.open().await?, choice).await?;
    let report = Arc::new(Report::new(events, stop));
    if let Some(said) = chats.stands_in() {
        report.events.event(&Event::Note(said));
    }
    for what in chats.opened().lost() {
        report.lost(what);
    }
    let ReadOptions { chat: wanted, last, span } = options;
    tokio::task::spawn_blocking(move || {
        let wanted_one = std::slice::from_ref(&wanted);
        let all = chats.chats_for(wanted_one, &mut |path, error| report.problem(path, &with_causes(error)))?;
        let chosen = choose(&chats, all, wanted_one)?;
        let [Chosen { chat, before }] = chosen.as_slice() else {
            let peers = chosen.iter().map(|chosen| chosen.chat.peer.to_string()).collect();
            return Err(OperationError::SeveralChats { chat: printable(&wanted), peers });
        };
        let mut conversation = Conversation::open(&chats, chat, before.as_ref(), span, Arc::clone(&report))?;
        let mut queue: VecDeque<Found> = VecDeque::new();
        let mut read = |conversation: &mut Conversation, found: &Found| match conversation.read(found)? {
            Some(message) => each(chat, &message).map_err(OperationError::Output),
            None => Ok(()),
        };
        while let Some(found) = conversation.find() {
            if report.stop.is_wanted() {
                return Err(OperationError::Interrupted);
            }
            match last {
                None => read(&mut conversation, &found)?,
                Some(last) => {
                    queue.push_back(found);
                    if queue.len() > last {
                        queue.pop_front();
                    }
                }
            }
        }
        for found in &queue {
            read(&mut conversation, found)?;
        }
        let (problems, damaged) = (report.problems.load(Ordering::Relaxed), report.damaged.load(Ordering::Relaxed));
        Ok(Trouble { problems, damaged })
    })
    .await?
}
