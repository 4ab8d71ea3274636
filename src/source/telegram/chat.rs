//! One chat: what is missing of it is read, described and accounted for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::try_join_all;
use grammers_tl_types::{LAYER, enums, functions, types};

use super::convert::json::Object;
use super::dialogs::Dialog;
use super::error::TelegramError;
use super::events::Event;
use super::history::{Mode, PAGE, Page, Reader};
use super::run::{Batch, ChatLog, Run, path};
use super::state::{ChatState, Effect, Seen};
use super::transport::CallError;
use crate::model::chat::{ChatInfo, Topic};
use crate::model::coverage::{Coverage, CoveredRange, IdRange, MediaCoverage, ReasonCount, Verdict};
use crate::model::paths;
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::{ChatEvent, EventRecord, Raw, Record, VERSION};

/// A stretch with more messages than this is read in several parts at once.
const SPLIT_ABOVE: u64 = 1_000;
/// Messages that a part should have at least.
const PART_MESSAGES: u64 = 500;

/// Refusals that say: not for you (any more).
pub(super) const CLOSED: [&str; 9] = [
    "CHANNEL_PRIVATE",
    "CHANNEL_INVALID",
    "CHANNEL_PUBLIC_GROUP_NA",
    "CHAT_FORBIDDEN",
    "CHAT_ID_INVALID",
    "CHAT_ADMIN_REQUIRED",
    "PEER_ID_INVALID",
    "USER_BANNED_IN_CHANNEL",
    "INPUT_USER_DEACTIVATED",
];

/// What was found out about a chat in this run.
#[derive(Default)]
struct Findings {
    ranges: Vec<CoveredRange>,
    server_before: Option<u64>,
    server_after: Option<u64>,
    pts: Option<i32>,
    /// Why something is missing.
    missing: Vec<String>,
    notes: Vec<String>,
    /// The server's word when the chat was closed to us.
    closed: Option<String>,
    own_only: bool,
    topics: Vec<Topic>,
    /// When all messages had been read again, where that was in this run.
    reread: Option<i64>,
}

/// One chat in one run.
pub(super) struct Chat {
    pub(super) run: Arc<Run>,
    pub(super) dialog: Dialog,
    pub(super) log: Arc<ChatLog>,
    pub(super) before: ChatState,
    findings: Mutex<Findings>,
    fetched: AtomicU64,
}

impl Chat {
    pub(super) fn new(run: Arc<Run>, dialog: Dialog) -> Self {
        let before = run.state.chat(dialog.peer);
        let log = run.log(dialog.peer);
        Self { run, dialog, log, before, findings: Mutex::default(), fetched: AtomicU64::new(0) }
    }

    pub(super) fn note_missing(&self, what: String) {
        self.findings().missing.push(what);
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn peer(&self) -> Peer {
        self.dialog.peer
    }

    pub(super) fn reader<'a>(&'a self, mode: Mode, range: Option<&'a types::MessageRange>) -> Reader<'a> {
        Reader { run: &self.run, peer: self.peer(), mode, range }
    }

    /// Which of its messages are asked for.
    fn mode(&self) -> Mode {
        let groups_own_only = self.run.options.only_my_messages && self.peer().kind != PeerKind::User;
        // Channels show nothing to those who left; a basic group keeps showing what there was until then.
        let left = self.dialog.left && self.peer().kind == PeerKind::Channel;
        if groups_own_only || left { Mode::Own } else { Mode::All }
    }

    /// Whether this run has anything to look for here.
    pub(super) fn has_news(&self) -> bool {
        // Ids that were paged over for the account's own messages say nothing about the others.
        let mut read = self.before.ranges.clone();
        if self.mode() == Mode::Own || self.before.gone.is_some() {
            read.merge(&self.before.own_ranges);
        }
        let new = self.dialog.top.is_none_or(|top| i64::from(top) > read.last().unwrap_or_default());
        let holes = self.dialog.top.is_some_and(|top| !read.gaps(1, top.into()).is_empty());
        // A run that was stopped may have stored the messages and not their description.
        let undescribed = self.before.info.is_none() || self.before.coverage.is_none();
        new || undescribed
            || (holes && self.run.options.from.is_none() && self.run.options.till.is_none())
            || self.moved()
            || self.before.gone.is_some()
            || self.before.again
    }

    /// Whether the channel's update counter says that something changed.
    pub(super) fn moved(&self) -> bool {
        self.dialog.pts.is_some() && self.dialog.pts != self.before.pts
    }

    /// Does everything there is to do, but for the coverage.
    ///
    /// # Errors
    /// When the run has to end.
    pub(super) async fn export(&self) -> Result<(), TelegramError> {
        let mode = self.mode();
        let result = match self.read(mode).await {
            Err(Trouble::Call(error)) if mode == Mode::All && self.shows_own_only(&error) => {
                self.note("the chat is closed: only the account's own messages are asked for");
                self.findings().closed = error.rpc().map(|rpc| rpc.name.clone());
                self.read(Mode::Own).await
            }
            result => result,
        };
        let result = match result {
            Ok(()) if self.moved() && !self.before.ranges.is_empty() => self.catch_up().await,
            // Whatever could not be read last time may have been a change.
            Ok(()) if self.before.again && !self.before.ranges.is_empty() => self.reread_window().await,
            result => result,
        };
        match result {
            Ok(()) => {}
            Err(Trouble::Run(error)) => return Err(error),
            Err(Trouble::Call(error)) => {
                let closed = error.is_any(&CLOSED);
                let reason = self.run.api.or_reason("reading a chat", error)?;
                let mut findings = self.findings();
                findings.missing.push(format!("its history cannot be read ({reason})"));
                if closed {
                    findings.closed = Some(reason);
                }
            }
        }
        self.tell_closed().await?;
        self.topics().await?;
        self.describe().await?;
        self.settle();
        self.run.tell(Event::ChatDone);
        Ok(())
    }

    /// Whether a refusal leaves the account's own messages to be asked for.
    fn shows_own_only(&self, refusal: &CallError) -> bool {
        let private = self.peer().kind == PeerKind::Channel && refusal.is_any(&CLOSED[..1]);
        private || (self.dialog.left && refusal.is_any(&CLOSED))
    }

    pub(super) fn note(&self, note: &str) {
        self.findings().notes.push(note.to_owned());
    }

    /// Reads what is missing.
    async fn read(&self, mode: Mode) -> Result<(), Trouble> {
        self.findings().own_only = mode == Mode::Own;
        let options = &self.run.options;
        let top = match self.dialog.top {
            Some(top) => top,
            None => {
                let page = self.reader(mode, None).newest().await?;
                self.findings().server_before = page.count;
                page.messages.iter().map(enums::Message::id).max().unwrap_or_default()
            }
        };
        let whole = if options.from.is_some() || options.till.is_some() {
            match self.reader(mode, None).between(options.from, options.till, top).await? {
                Some(range) => range,
                None => return Ok(()),
            }
        } else {
            IdRange { first: 1, last: top.into() }
        };
        // Ids that were paged over for the account's own messages say nothing about the others.
        let mut done = self.run.state.after_pending(self.peer()).ranges;
        if mode == Mode::Own {
            done.merge(&self.before.own_ranges);
        }
        for gap in done.gaps(whole.first, whole.last) {
            for (range, gap) in self.in_ranges(gap) {
                self.fill(mode, range, gap).await?;
            }
        }
        Ok(())
    }

    /// Cuts a gap by the account's message ranges; channels have a space of ids of their own.
    fn in_ranges(&self, gap: IdRange) -> Vec<(Option<&types::MessageRange>, IdRange)> {
        if self.peer().kind == PeerKind::Channel || self.run.ranges.len() < 2 || !self.run.api.has_takeout() {
            return vec![(None, gap)];
        }
        let mut cut: Vec<(Option<&types::MessageRange>, IdRange)> = self
            .run
            .ranges
            .iter()
            .map(|range| {
                let first = gap.first.max(range.min_id.into());
                (Some(range), IdRange { first, last: gap.last.min(range.max_id.into()) })
            })
            .filter(|(_, part)| part.first <= part.last)
            .collect();
        cut.sort_by_key(|(_, part)| part.first);
        cut
    }

    /// Reads one gap, in several parts at once where it is large.
    async fn fill(&self, mode: Mode, range: Option<&types::MessageRange>, gap: IdRange) -> Result<(), Trouble> {
        let (Ok(first), Ok(last)) = (i32::try_from(gap.first), i32::try_from(gap.last)) else { return Ok(()) };
        let page = self.reader(mode, range).upwards(first, last).await?;
        let count = page.count;
        {
            let mut findings = self.findings();
            findings.server_before = findings.server_before.or(count);
        }
        // How many of the chat's messages may lie here: all that are not known yet.
        let expected = count.unwrap_or_default().saturating_sub(self.before.messages.len() as u64);
        let full = page.messages.len() >= usize::try_from(PAGE).unwrap_or_default();
        let reached = page.messages.last().map_or(last, enums::Message::id);
        if !full || expected <= SPLIT_ABOVE || reached >= last {
            return self.stretch(mode, range, IdRange { first: first.into(), last: last.into() }, Some(page)).await;
        }
        // The first page's messages tell how dense the ids are, but only there; parts of equal width even that out well enough.
        let parts = (expected / PART_MESSAGES).clamp(2, self.run.api.client.caps().message_requests.max(2) as u64);
        let width = (i64::from(last) - i64::from(reached)) / i64::try_from(parts).unwrap_or(1) + 1;
        let mut bounds = vec![(IdRange { first: first.into(), last: reached.into() }, Some(page))];
        let mut next = i64::from(reached) + 1;
        while next <= i64::from(last) {
            let end = (next + width - 1).min(last.into());
            bounds.push((IdRange { first: next, last: end }, None));
            next = end + 1;
        }
        try_join_all(bounds.into_iter().map(|(ids, page)| self.stretch(mode, range, ids, page))).await?;
        Ok(())
    }

    /// Reads the ids of one stretch page after page. The next page is under way while one is worked on.
    async fn stretch(&self, mode: Mode, range: Option<&types::MessageRange>, ids: IdRange, first: Option<Page>) -> Result<(), Trouble> {
        let _turn = self.run.stretches.acquire().await.map_err(|_| TelegramError::Stopped)?;
        let (Ok(mut from), Ok(last)) = (i32::try_from(ids.first), i32::try_from(ids.last)) else { return Ok(()) };
        let reader = self.reader(mode, range);
        let mut batch = Batch::default();
        let (mut pages, mut ours) = (0, 0);
        let mut ready = first;
        let result = loop {
            let page = match ready.take() {
                Some(page) => page,
                None => match reader.upwards(from, last).await {
                    Ok(page) => page,
                    Err(error) => break Err(Trouble::Call(error)),
                },
            };
            pages += 1;
            {
                let mut findings = self.findings();
                findings.server_after = page.count.or(findings.server_after);
                findings.pts = page.pts.or(findings.pts);
            }
            let end = match page.messages.last().map(enums::Message::id) {
                // The newest of the stretch is here, or nothing more came: it is complete up to its end.
                None => last,
                Some(id) => id,
            };
            let more = end < last && !page.messages.is_empty();
            let next = async { if more { Some(reader.upwards(end.saturating_add(1), last).await) } else { None } };
            // The account's own messages may be there from a time when nothing else could be had.
            ours += page.messages.len() as u64;
            let mut news = page.messages;
            news.retain(|message| self.is_news(message));
            let (next, added) = tokio::join!(next, self.add(&mut batch, &news));
            if let Err(error) = added {
                break Err(error.into());
            }
            let mut readable = i64::from(from);
            if let Some(gap) = page.unreadable {
                // Not covered: a later version, or Telegram itself, may do better.
                self.note_missing(format!("a message between the ids {} and {} cannot be read by this version", gap.first, gap.last));
                readable = gap.last + 1;
            }
            batch.cover(mode, readable, end.into());
            from = end.saturating_add(1);
            match next {
                None => break Ok(()),
                Some(Ok(page)) => ready = Some(page),
                Some(Err(error)) => break Err(Trouble::Call(error)),
            }
        };
        // What was read is kept, whatever came after it.
        self.run.flush(&self.log, &mut batch).await?;
        if i64::from(from) > ids.first {
            let covered = CoveredRange {
                ids: IdRange { first: ids.first, last: i64::from(from) - 1 },
                pages,
                joined: true,
                server_before: None,
                server_after: None,
                ours,
            };
            self.findings().ranges.push(covered);
        }
        result
    }

    fn is_news(&self, message: &enums::Message) -> bool {
        self.before.messages.get(message.id()).is_none_or(|print| print != self.run.prints.of(message))
    }

    pub(super) async fn add(&self, batch: &mut Batch, messages: &[enums::Message]) -> Result<(), TelegramError> {
        self.run.add_messages(&self.log, batch, messages).await?;
        self.fetched.fetch_add(messages.len() as u64, Ordering::Relaxed);
        self.run.tell(Event::Messages { count: messages.len() as u64 });
        self.run.flush_peers(false).await
    }

    /// Records that the chat was closed to us, once.
    async fn tell_closed(&self) -> Result<(), TelegramError> {
        let closed = self.findings().closed.clone();
        let event = match (closed, &self.before.gone) {
            (Some(reason), None) => ChatEvent::Gone { reason },
            (None, Some(_)) => ChatEvent::Joined,
            _ => return Ok(()),
        };
        let mut batch = Batch::default();
        let record = EventRecord { peer: self.peer(), observed: self.run.observed, run: self.run.id.clone(), event };
        self.run.add_record(&self.log, &mut batch, Record::Event(record), None).await?;
        self.run.flush(&self.log, &mut batch).await
    }

    /// Reads a forum's topics.
    async fn topics(&self) -> Result<(), TelegramError> {
        if !self.run.peers.is_forum(self.peer()) || self.findings().own_only {
            return Ok(());
        }
        let Some(peer) = self.run.peers.input(self.peer()) else { return Ok(()) };
        let mut topics: Vec<Topic> = Vec::new();
        let (mut offset_date, mut offset_id, mut offset_topic) = (0, 0, 0);
        loop {
            let request =
                functions::messages::GetForumTopics { peer: peer.clone(), q: None, offset_date, offset_id, offset_topic, limit: PAGE };
            let enums::messages::ForumTopics::Topics(page) = match self.run.api.ask(&request).await {
                Ok(page) => page,
                Err(error) => {
                    let reason = self.run.api.or_reason("reading a forum's topics", error)?;
                    self.findings().missing.push(format!("its topics cannot be read ({reason})"));
                    return Ok(());
                }
            };
            self.run.learn(&page.users, &page.chats);
            let before = topics.len();
            for topic in &page.topics {
                if let enums::ForumTopic::Topic(topic) = topic
                    && !topics.iter().any(|known| known.id == i64::from(topic.id))
                {
                    topics.push(Topic {
                        id: topic.id.into(),
                        title: topic.title.clone(),
                        icon_emoji_id: topic.icon_emoji_id,
                        closed: topic.closed,
                    });
                    (offset_date, offset_id, offset_topic) = (topic.date, topic.top_message, topic.id);
                }
            }
            if topics.len() == before || topics.len() >= usize::try_from(page.count).unwrap_or_default() {
                break;
            }
        }
        topics.sort_by_key(|topic| topic.id);
        self.findings().topics = topics;
        Ok(())
    }

    /// Writes `chat.json` when it changed.
    async fn describe(&self) -> Result<(), TelegramError> {
        let run = &self.run;
        let peer = self.peer();
        let (topics, own_only) = {
            let findings = self.findings();
            (findings.topics.clone(), findings.own_only)
        };
        let migrated_from = {
            let migrated = run.migrated.lock().unwrap_or_else(PoisonError::into_inner);
            migrated.iter().find(|(_, to)| *to == peer).map(|(from, _)| *from).or(self.before.migrated_from)
        };
        let mut dialog = Object::new();
        dialog.put_flag("pinned", self.dialog.pinned).put_number("folder_id", self.dialog.folder.unwrap_or_default().into());
        dialog.put_number("ttl_period_seconds", self.dialog.ttl.unwrap_or_default().into());
        let steady = dialog.end();
        let mut dialog = Object::new();
        dialog.put_flag("pinned", self.dialog.pinned).put_number("folder_id", self.dialog.folder.unwrap_or_default().into());
        dialog.put_number("ttl_period_seconds", self.dialog.ttl.unwrap_or_default().into());
        dialog.put_number("unread_count", self.dialog.unread.into());
        let info = ChatInfo {
            v: VERSION,
            peer,
            name: run.peers.chat_name(peer),
            kind: run.peers.chat_type(peer),
            full_name: if peer.kind == PeerKind::User { run.peers.name(peer) } else { None },
            username: run.peers.username(peer),
            left: self.dialog.left,
            only_my_messages: own_only,
            migrated_from,
            migrated_to: run.peers.migrated_to(peer),
            topics,
            observed: run.observed,
            run: run.id.clone(),
            dialog: Some(dialog.into_raw()),
            unknown_keys: None,
            raw: self.dialog.raw.clone().map(|bytes| Raw::Tl { layer: LAYER.unsigned_abs(), bytes }),
        };
        let known = (&info.name, &info.kind, &info.full_name, &info.username, info.left, own_only, migrated_from, &info.migrated_to);
        let mut digested = serde_json::to_vec(&known).unwrap_or_default();
        digested.extend(serde_json::to_vec(&info.topics).unwrap_or_default());
        digested.extend(steady.into_bytes());
        let digest = run.prints.of_bytes(&digested);
        if self.before.info == Some(digest) {
            return Ok(());
        }
        let effect = Effect::Info { peer, digest, migrated_from, only_my: own_only };
        run.describe(path(paths::chat_info(peer))?, &info, effect).await?;
        Ok(())
    }

    /// Says in the coverage that all messages were read again in this run, though nothing else was looked for here.
    pub(super) async fn account_for_reread(&self) -> Result<(), TelegramError> {
        self.findings().reread = Some(self.run.observed);
        self.account_for().await
    }

    /// When the oldest of the reactions that are held were read.
    fn reactions_read(&self) -> Option<i64> {
        let first_time = self.before.ranges.is_empty().then_some(self.run.observed);
        self.findings().reread.or(self.before.reread).or(first_time)
    }

    /// Writes `coverage.json` when it changed: once in a run, when all files of the chat are read to their end. The order of two
    /// versions from one run would be anybody's.
    pub(super) async fn account_for(&self) -> Result<(), TelegramError> {
        let run = &self.run;
        run.fetcher.all_read(Some(self.peer())).await;
        let coverage = self.coverage();
        let what = (&coverage.ranges, &coverage.not_returned, &coverage.media, &coverage.notes, &coverage.verdict);
        let steady = (what, coverage.only_my_messages, coverage.reactions_read);
        let digest = run.prints.of_bytes(&serde_json::to_vec(&steady).unwrap_or_default());
        if self.before.coverage == Some(digest) {
            return Ok(());
        }
        run.describe(
            path(paths::coverage(self.peer()))?,
            &coverage,
            Effect::Coverage { peer: self.peer(), digest, verdict: (&coverage.verdict).into() },
        )
        .await?;
        Ok(())
    }

    fn coverage(&self) -> Coverage {
        let run = &self.run;
        let reactions_read = self.reactions_read();
        let findings = self.findings();
        // What earlier runs stored for good, and what this one has on its way.
        let pending = run.state.after_pending(self.peer());
        let mut ranges: Vec<CoveredRange> = Vec::new();
        let read = if findings.own_only {
            let mut read = pending.ranges.clone();
            read.merge(&pending.own_ranges);
            read
        } else {
            pending.ranges.clone()
        };
        for ids in read.iter() {
            let first = i32::try_from(ids.first).unwrap_or(i32::MAX);
            let last = i32::try_from(ids.last).unwrap_or(i32::MAX);
            let ours = pending.messages.ids(first, last).count() as u64;
            let inside = findings.ranges.iter().filter(|range| range.ids.first >= ids.first && range.ids.last <= ids.last);
            let pages = inside.map(|range| range.pages).sum();
            ranges.push(CoveredRange { ids, pages, joined: true, server_before: None, server_after: None, ours });
        }
        if let [only] = ranges.as_mut_slice() {
            only.server_before = findings.server_before.or(self.before.server_count);
            only.server_after = findings.server_after.or(findings.server_before).or(self.before.server_count);
        }
        let mut because = findings.missing.clone();
        let top = i64::from(self.dialog.top.unwrap_or_default());
        let dated = run.options.from.is_some() || run.options.till.is_some();
        if !dated && findings.missing.is_empty() {
            let gaps = read.gaps(1, top);
            if !gaps.is_empty() {
                because.push(format!("{} stretches of its history were not read", gaps.len()));
            }
        }
        if dated {
            because.push("only messages of a period were asked for".into());
        }
        let others = |ids: IdRange| !pending.ranges.gaps(ids.first, ids.last).is_empty();
        if findings.own_only && (pending.ranges.is_empty() || pending.own_ranges.iter().any(others)) {
            because.push("only the account's own messages are held".into());
        }
        if let Some(difference) = ranges.first().filter(|_| ranges.len() == 1 && !dated).and_then(CoveredRange::difference)
            && difference > 0
        {
            because.push(format!("the server counts {difference} messages more than it returned"));
        }
        let mut failed: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
        let mut late = 0_u64;
        for missing in run.state.read().missing.values() {
            if let (Seen::Message(peer, _), Some(reason)) = (&missing.seen, &missing.reason)
                && *peer == self.peer()
            {
                *failed.entry(reason.clone()).or_default() += 1;
                late += u64::from(missing.late);
            }
        }
        for (reason, count) in &failed {
            because.push(format!("{count} files could not be fetched ({reason})"));
        }
        let not_returned = if self.peer().kind == PeerKind::Channel && !findings.own_only { not_returned(&pending) } else { vec![] };
        let verdict = match (because.is_empty(), read.is_empty()) {
            (true, true) if top > 0 => Verdict::Unknown,
            (true, _) => Verdict::Complete,
            (false, _) => Verdict::Incomplete(because),
        };
        Coverage {
            v: VERSION,
            peer: self.peer(),
            observed: run.observed,
            run: run.id.clone(),
            ranges,
            not_returned,
            only_my_messages: findings.own_only,
            media: MediaCoverage {
                wanted: pending.media.wanted,
                stored: pending.media.stored.saturating_sub(late),
                skipped: skipped(&pending),
                failed: failed.into_iter().map(|(reason, count)| ReasonCount { reason, count }).collect(),
            },
            reactions_read,
            notes: findings.notes.clone(),
            verdict,
        }
    }

    /// Lets the chat's counter move once everything of this run is stored.
    fn settle(&self) {
        let findings = self.findings();
        let complete = findings.missing.is_empty();
        self.run.chats_failed.fetch_add(u64::from(!complete), Ordering::Relaxed);
        let looked = Effect::Looked {
            peer: self.peer(),
            pts: if complete { self.dialog.pts.or(findings.pts) } else { None },
            server_count: findings.server_after.or(findings.server_before),
            gone: findings.closed.clone(),
            again: !complete,
        };
        let marks = self.log.marks();
        if self.peer().kind != PeerKind::Channel {
            // History that could not be read does not hold the account's counters up: when it can be, it comes as it is then.
            self.run.private_marks.lock().unwrap_or_else(PoisonError::into_inner).extend(&marks);
        }
        self.run.state.when_all(&marks, looked);
        if self.before.ranges.is_empty() && !findings.own_only {
            let read = Effect::Reread { peer: self.peer(), next: None, done: Some(self.run.observed) };
            self.run.state.when_all(&marks, read);
        }
    }
}

/// Files that were left out on purpose, by reason.
fn skipped(state: &ChatState) -> Vec<ReasonCount> {
    let mut counts = state.media.skipped.clone();
    counts.extend(state.left_out.counts().into_iter().map(|(reason, count)| (reason.word(), count)));
    counts.into_iter().map(|(reason, count)| ReasonCount { reason, count }).collect()
}

/// Ids inside the ranges that no message has.
fn not_returned(state: &ChatState) -> Vec<IdRange> {
    let mut missing = Vec::new();
    for range in state.ranges.iter() {
        let (Ok(first), Ok(last)) = (i32::try_from(range.first), i32::try_from(range.last)) else { continue };
        let mut next = range.first;
        for id in state.messages.ids(first, last) {
            if i64::from(id) > next {
                missing.push(IdRange { first: next, last: i64::from(id) - 1 });
            }
            next = i64::from(id) + 1;
        }
        if next <= range.last {
            missing.push(IdRange { first: next, last: range.last });
        }
    }
    missing
}

/// Why reading stopped: Telegram's answer, or the run.
pub(super) enum Trouble {
    Call(CallError),
    Run(TelegramError),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<TelegramError> for Trouble {
    fn from(error: TelegramError) -> Self {
        Self::Run(error)
    }
}
