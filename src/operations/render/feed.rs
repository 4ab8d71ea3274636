//! Reads chats, names their media, and hands everything to the threads that write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Sender, bounded};

use super::write::{self, BegunChat, Out, Step};
use super::{Counts, Form, RenderOptions};
use crate::model::account::{AccountSection, Section};
use crate::model::causes::with_causes;
use crate::model::chat_part::ChatPart;
use crate::model::entry::{EntryPath, Kind, Timestamp};
use crate::model::kinds::{FileKind, KindChoice};
use crate::model::media::MediaRole;
use crate::model::peer::Peer;
use crate::model::record::MessageRecord;
use crate::operations::OperationError;
use crate::operations::chats::conversation::{Conversation, Message, Span};
use crate::operations::chats::{Chat, Chosen, OpenChats, choose};
use crate::operations::report::Report;
use crate::operations::writing::{Plan, finish, work};
use crate::render::media_names::{LeftOut, MediaNamer, Places, chat_folder};
use crate::target::{TargetFolder, TargetOptions};

/// Messages that are handed over together, at most; and bytes of their lines, about.
const CHUNK_MESSAGES: usize = 500;
const CHUNK_BYTES: u64 = 512 * 1024;

/// How many steps wait for each thread that writes.
const WAITING: usize = 2;

/// Writes Telegram Desktop's layout.
pub(super) fn telegram_desktop(chats: &OpenChats, options: &RenderOptions, report: &Arc<Report>) -> Result<Counts, OperationError> {
    let Form::TelegramDesktop { json, html } = options.form else { return Ok(Counts::default()) };
    let bad = &mut |path: &EntryPath, error: &OperationError| report.problem(path, &with_causes(error));
    let chosen = choose(chats, chats.chats_for(&options.chats, bad)?, &options.chats)?;
    let sections = if options.chats.is_empty() { chats.sections(bad)? } else { Vec::new() };
    if chosen.is_empty() && sections.is_empty() && !chats.is_telegram() {
        return Err(chats.no_chats());
    }
    let single = chosen.len() == 1 && sections.is_empty();
    let logs = chosen.iter().flat_map(|chosen| std::iter::once(&chosen.chat).chain(&chosen.before));
    report.total_bytes.fetch_add(logs.map(|chat| chat.log_bytes).sum(), Ordering::Relaxed);

    let target = match options.dry_run {
        true => None,
        false => Some(TargetFolder::open(&options.to, options.overwrite, TargetOptions::default())?),
    };
    let time = Timestamp { seconds: chats.opened().snapshot().time.as_second(), nanos: 0 };
    let out = Out { target: target.as_ref(), report, files: &options.files, fitting: Mutex::default(), time, written: AtomicU64::new(0) };
    let mut feed = Feed {
        chats,
        options,
        report,
        out: &out,
        namer: MediaNamer::new(options.zone.clone()),
        media: Vec::new(),
        writers: Vec::new(),
        counts: Counts::default(),
    };
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        if json {
            let (send, steps) = bounded(WAITING);
            feed.writers.push(send);
            threads.push(scope.spawn({
                let out = &out;
                move || write::json(&steps, out, single, !html, &options.zone)
            }));
        }
        if html {
            let (send, steps) = bounded(WAITING);
            feed.writers.push(send);
            threads.push(scope.spawn({
                let out = &out;
                move || write::html(&steps, out, single, &options.zone)
            }));
        }
        let fed = feed.everything(sections, &chosen, single);
        // The threads end when nothing more can come.
        feed.writers.clear();
        let ended: Vec<_> = threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        for ended in ended {
            ended.map_err(|_| OperationError::Internal("a thread that writes ended unexpectedly".into()))??;
        }
        fed
    })?;
    let (media, mut counts) = (feed.media, feed.counts);
    out.tell_unmatched();
    counts.written = out.written.load(Ordering::Relaxed);
    let Some(target) = target else {
        plan_media(chats, report, &media);
        return Ok(counts);
    };
    if !report.stop.is_wanted() {
        restore_media(chats, options, report, &target, &media)?;
    }
    if report.stop.is_wanted() {
        return Ok(counts);
    }
    finish(target, report)?;
    Ok(counts)
}

/// Tells which media would be fetched.
fn plan_media(chats: &OpenChats, report: &Report, media: &[(EntryPath, EntryPath)]) {
    for (place, stored) in media {
        if let Some(entry) = chats.opened().tree().get(stored) {
            super::planned(report, place, entry.size);
        }
    }
}

/// Restores media to their places.
fn restore_media(
    chats: &OpenChats,
    options: &RenderOptions,
    report: &Report,
    target: &TargetFolder,
    media: &[(EntryPath, EntryPath)],
) -> Result<(), OperationError> {
    let mut plan = Plan::default();
    for (place, stored) in media {
        let Some((number, entry)) = chats.opened().tree().find(stored) else { continue };
        report.total_entries.fetch_add(1, Ordering::Relaxed);
        report.total_bytes.fetch_add(entry.size, Ordering::Relaxed);
        match target.wants(place, &Kind::File, entry.stored_size(), entry.mtime()) {
            Ok(true) => plan.add_at(place.clone(), (number, &entry)),
            Ok(false) => {
                report.kept.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => report.refused(place, error)?,
        }
    }
    work(chats.opened().contents(), chats.opened().tree(), target, plan, options.lanes, report)
}

/// Nobody takes the steps any more: the thread that did says why.
struct Gone;

struct Feed<'a> {
    chats: &'a OpenChats,
    options: &'a RenderOptions,
    report: &'a Arc<Report>,
    out: &'a Out<'a>,
    namer: MediaNamer,
    /// Where each stored file goes.
    media: Vec<(EntryPath, EntryPath)>,
    writers: Vec<Sender<Step>>,
    counts: Counts,
}

impl Feed<'_> {
    fn everything(&mut self, sections: Vec<AccountSection>, chosen: &[Chosen], single: bool) -> Result<(), OperationError> {
        for section in sections {
            self.namer.section(&section, &mut |media, stored, place| {
                let kind = match (media.role, section.section) {
                    _ if media.mime.as_deref().is_some_and(|mime| mime.starts_with("video/")) => FileKind::Video,
                    (MediaRole::File, Section::ProfileMusic) => FileKind::Music,
                    (MediaRole::File | MediaRole::Attachment, _) => FileKind::File,
                    _ => FileKind::Photo,
                };
                put(self.chats, self.out, &mut self.media, wanted(self.options, Some(kind)), stored, place)
            });
            let places = Arc::new(self.namer.places().clone());
            if self.send(&Step::Section(Arc::new(section), places)).is_err() {
                return Ok(());
            }
        }
        for (index, Chosen { chat, before }) in chosen.iter().enumerate() {
            let folder = if single { String::new() } else { chat_folder(index + 1, chosen.len()) };
            if self.chat(chat, before.as_ref(), folder)?.is_err() {
                return Ok(());
            }
        }
        // Nothing is said when a thread is gone: what it ended with is told.
        let _ = self.send(&Step::End);
        Ok(())
    }

    fn chat(&mut self, chat: &Chat, before: Option<&Chat>, folder: String) -> Result<Result<(), Gone>, OperationError> {
        let mut conversation = Conversation::open(self.chats, chat, before, self.options.span, Arc::clone(self.report))?;
        let parts = self.parts(chat.peer)?;
        self.namer.begin_chat(&folder);
        self.counts.chats += 1;
        let begun = BegunChat { info: chat.info.clone(), folder, has_parts: !parts.is_empty() };
        if self.send(&Step::Chat(Arc::new(begun))).is_err() {
            return Ok(Err(Gone));
        }
        let mut messages: Vec<Message> = Vec::with_capacity(CHUNK_MESSAGES);
        let mut places = Places::default();
        let mut bytes = 0;
        while let Some(found) = conversation.find() {
            let Some(message) = conversation.read(&found)? else { continue };
            for record in std::iter::once(&message.record).chain(&message.earlier) {
                self.name(record, &mut places);
            }
            bytes += found.line_bytes();
            messages.push(message);
            let enough = messages.len() >= CHUNK_MESSAGES || bytes >= CHUNK_BYTES;
            if enough && self.messages(&mut messages, &mut places, &mut bytes).is_err() {
                return Ok(Err(Gone));
            }
        }
        if self.messages(&mut messages, &mut places, &mut bytes).is_err() {
            return Ok(Err(Gone));
        }
        let mut places = Places::default();
        for part in &parts {
            self.namer.part(part, &mut |media, stored, place| {
                let kind = FileKind::of_stored(media, "{}");
                put(self.chats, self.out, &mut self.media, wanted(self.options, kind), stored, place)
            });
            places.copy_media(&part.media, self.namer.places());
        }
        Ok(self.send(&Step::EndChat(Arc::new(parts), Arc::new(places))))
    }

    /// What the chat has beside messages: nothing of it where only some messages are wanted.
    fn parts(&self, of: Peer) -> Result<Vec<ChatPart>, OperationError> {
        // Earlier versions leave nothing out.
        if (Span { history: false, ..self.options.span }) != Span::default() {
            return Ok(Vec::new());
        }
        self.chats.parts(of, &mut |path, error| self.report.problem(path, &with_causes(error)))
    }

    fn messages(&mut self, messages: &mut Vec<Message>, places: &mut Places, bytes: &mut u64) -> Result<(), Gone> {
        let messages = std::mem::replace(messages, Vec::with_capacity(CHUNK_MESSAGES));
        self.counts.messages += messages.len() as u64;
        self.counts.read += *bytes;
        self.report.bytes.fetch_add(std::mem::take(bytes), Ordering::Relaxed);
        self.send(&Step::Messages(Arc::new(messages), Arc::new(std::mem::take(places))))
    }

    fn name(&mut self, record: &MessageRecord, places: &mut Places) {
        if record.media.is_empty() {
            return;
        }
        self.namer.message(record, &mut |media, stored, place| {
            let wanted = wanted(self.options, FileKind::of_stored(media, record.message.get()));
            put(self.chats, self.out, &mut self.media, wanted, stored, place)
        });
        places.copy(record, self.namer.places());
    }

    fn send(&self, step: &Step) -> Result<(), Gone> {
        if self.report.stop.is_wanted() {
            return Err(Gone);
        }
        for writer in &self.writers {
            writer.send(step.clone()).map_err(|_| Gone)?;
        }
        Ok(())
    }
}

/// Whether a kind of media was chosen.
pub(super) fn wanted(options: &RenderOptions, kind: Option<FileKind>) -> bool {
    kind.is_none_or(|kind| KindChoice::take(&options.media, kind))
}

/// Notes where a stored file goes.
fn put(
    chats: &OpenChats,
    out: &Out<'_>,
    media: &mut Vec<(EntryPath, EntryPath)>,
    wanted: bool,
    stored: &EntryPath,
    place: &str,
) -> Result<(), LeftOut> {
    if !wanted {
        return Err(LeftOut::NotChosen);
    }
    let entry = chats.opened().tree().get(stored).filter(|entry| entry.kind == Kind::File && entry.pieces().is_some());
    match (entry, EntryPath::new(place)) {
        (Some(_), Ok(place)) => {
            // Pages and `result.json` name it all the same: it may be there from another run.
            if out.takes(&place) {
                media.push((place, stored.clone()));
            }
            Ok(())
        }
        (None, _) => {
            out.report.problem(stored, "a message has this file, and the snapshot does not: a placeholder stands for it");
            Err(LeftOut::Unavailable)
        }
        (_, Err(error)) => {
            out.report.problem(stored, &format!("it cannot have a place: {error}"));
            Err(LeftOut::Unavailable)
        }
    }
}
