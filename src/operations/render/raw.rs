//! Logs, account and media as they are stored.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::feed::wanted;
use super::{Counts, RenderOptions};
use crate::model::causes::with_causes;
use crate::model::entry::{EntryPath, Kind};
use crate::model::kinds::FileKind;
use crate::model::paths::{self, Place};
use crate::model::peer::Peer;
use crate::operations::OperationError;
use crate::operations::chats::conversation::Conversation;
use crate::operations::chats::{Chat, Chosen, OpenChats, choose};
use crate::operations::messages::count_messages;
use crate::operations::report::Report;
use crate::operations::writing::{Plan, finish, work};
use crate::target::{TargetFolder, TargetOptions};

/// Writes them.
pub(super) fn raw(chats: &OpenChats, options: &RenderOptions, report: &Arc<Report>) -> Result<Counts, OperationError> {
    if !chats.is_telegram() {
        return Err(chats.no_chats());
    }
    let bad = &mut |path: &EntryPath, error: &OperationError| report.problem(path, &with_causes(error));
    let chosen = choose(chats, chats.chats_for(&options.chats, bad)?, &options.chats)?;
    let mut counts = Counts { chats: chosen.len() as u64, ..Counts::default() };
    let everything = options.chats.is_empty();
    let peers: BTreeSet<Peer> = both(&chosen).map(|chat| chat.peer).collect();
    // Which media belong to chosen chats, or are of a chosen kind, only the messages tell.
    let named = if everything && options.media.is_empty() { None } else { Some(media_of(chats, options, &chosen, report, &mut counts)?) };

    if named.is_none() {
        let all: Vec<Chat> = both(&chosen).cloned().collect();
        counts.messages = count_messages(chats, &all, &report.stop)?;
    }

    let target = match options.dry_run {
        true => None,
        false => Some(TargetFolder::open(&options.to, options.overwrite, TargetOptions::default())?),
    };
    let mut plan = Plan::default();
    for (number, path, entry) in chats.opened().tree().numbered().filter(|(_, _, entry)| entry.kind == Kind::File) {
        let takes = match paths::place(&path) {
            Some(
                Place::Log { peer, .. } | Place::ChatInfo(peer) | Place::Coverage(peer) | Place::Topic(peer, _) | Place::ChatPart(peer, _),
            ) => peers.contains(&peer),
            Some(Place::Peers | Place::Account(_) | Place::AccountCoverage) => everything,
            Some(Place::Media) => named.as_ref().is_none_or(|named| named.contains(&path)),
            Some(Place::Seen(_)) | None => false,
        };
        if !takes {
            continue;
        }
        let Some(target) = &target else {
            super::planned(report, &path, entry.size);
            continue;
        };
        report.total_entries.fetch_add(1, Ordering::Relaxed);
        report.total_bytes.fetch_add(entry.size, Ordering::Relaxed);
        match target.wants(&path, &entry.kind, entry.stored_size(), entry.mtime()) {
            Ok(true) => plan.add(number, &entry),
            Ok(false) => {
                report.kept.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => report.refused(&path, error)?,
        }
    }
    let Some(target) = target else { return Ok(counts) };
    work(chats.opened().contents(), chats.opened().tree(), &target, plan, options.lanes, report)?;
    if !report.stop.is_wanted() {
        finish(target, report)?;
    }
    Ok(counts)
}

/// The chats and the basic groups that they were.
fn both(chosen: &[Chosen]) -> impl Iterator<Item = &Chat> {
    chosen.iter().flat_map(|chosen| std::iter::once(&chosen.chat).chain(&chosen.before))
}

/// The media that messages of these chats name, in any version.
fn media_of(
    chats: &OpenChats,
    options: &RenderOptions,
    chosen: &[Chosen],
    report: &Arc<Report>,
    counts: &mut Counts,
) -> Result<BTreeSet<EntryPath>, OperationError> {
    let mut named = BTreeSet::new();
    let span = super::Span { history: true, ..super::Span::default() };
    for chat in both(chosen) {
        let mut conversation = Conversation::open(chats, chat, None, span, Arc::clone(report))?;
        while let Some(found) = conversation.find() {
            if report.stop.is_wanted() {
                return Ok(named);
            }
            let Some(message) = conversation.read(&found)? else { continue };
            counts.messages += 1;
            for record in std::iter::once(&message.record).chain(&message.earlier) {
                let media = record.media.iter().filter(|media| wanted(options, FileKind::of_stored(media, record.message.get())));
                named.extend(media.filter_map(|media| media.path.clone()));
            }
        }
        let parts = chats.parts(chat.peer, &mut |path, error| report.problem(path, &with_causes(error)))?;
        let media = parts.iter().flat_map(|part| &part.media).filter(|media| wanted(options, FileKind::of_stored(media, "{}")));
        named.extend(media.filter_map(|media| media.path.clone()));
    }
    Ok(named)
}
