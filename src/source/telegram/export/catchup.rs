//! What happened to messages that are held already: edits, deletions, reactions.
//!
//! Channels and supergroups keep an update counter each; a chat whose counter did not move is not asked about. Private chats and
//! basic groups share one for the account. Where Telegram says that too much happened, the recent window is read again.
//! Everything found is a further record, never an overwrite.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::try_join_all;
use futures::{StreamExt, stream};
use grammers_tl_types::{enums, functions, types};

use super::batch::Batch;
use super::chat::{CLOSED, Chat};
use super::chat_log::ChatLog;
use super::dialogs::Dialog;
use super::history::{Mode, PAGE};
use super::ledger::Deletions;
use super::run::{BY_ID, Run};
use crate::model::coverage::IdRange;
use crate::model::peer::{Peer, PeerKind};
use crate::model::reason::Reason;
use crate::model::record::{ChatEvent, DeletionRecord, EventRecord, Evidence, Record};
use crate::source::telegram::error::{TelegramError, Trouble};
use crate::source::telegram::events::Event;
use crate::source::telegram::files::messages_by_id;
use crate::source::telegram::stored::{ChatState, Counters, Effect, Held};
use crate::source::telegram::tl::peer_of;
use crate::source::telegram::wire::CallError;

/// Answers in a row after which a stream of differences counts as endless.
const MAX_DIFFERENCES: usize = 10_000;

/// What updates say about messages, by chat.
#[derive(Default)]
struct Changes {
    /// Messages as they are now.
    now: HashMap<Peer, BTreeMap<i32, enums::Message>>,
    /// Messages that have to be asked for: the update does not carry them whole.
    ask: HashMap<Peer, BTreeSet<i32>>,
    gone: HashMap<Peer, BTreeSet<i32>>,
    /// Deletions without a chat: ids of private chats and basic groups are unique in the account.
    gone_somewhere: BTreeSet<i32>,
    cleared: HashMap<Peer, i64>,
    /// Messages that were not there before; only bots learn of them this way.
    new: HashMap<Peer, BTreeMap<i32, enums::Message>>,
}

fn peer_of_message(message: &enums::Message) -> Option<Peer> {
    match message {
        enums::Message::Message(message) => Some(peer_of(&message.peer_id)),
        enums::Message::Service(message) => Some(peer_of(&message.peer_id)),
        enums::Message::Empty(_) => None,
    }
}

impl Changes {
    fn take(&mut self, updates: Vec<enums::Update>) {
        for update in updates {
            match update {
                enums::Update::EditMessage(update) => self.message(update.message),
                enums::Update::EditChannelMessage(update) => self.message(update.message),
                enums::Update::DeleteMessages(update) => self.gone_somewhere.extend(update.messages),
                enums::Update::DeleteChannelMessages(update) => {
                    self.gone.entry(Peer::channel(update.channel_id)).or_default().extend(update.messages);
                }
                enums::Update::MessageReactions(update) => {
                    self.ask.entry(peer_of(&update.peer)).or_default().insert(update.msg_id);
                }
                enums::Update::ChannelAvailableMessages(update) => {
                    self.cleared.insert(Peer::channel(update.channel_id), update.available_min_id.into());
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, message: enums::Message) {
        if let Some(peer) = peer_of_message(&message) {
            self.now.entry(peer).or_default().insert(message.id(), message);
        }
    }

    fn peers(&self) -> BTreeSet<Peer> {
        let keys = self.now.keys().chain(self.ask.keys()).chain(self.gone.keys()).chain(self.cleared.keys()).chain(self.new.keys());
        keys.copied().collect()
    }
}

/// Where the account's counters are, and whether too much happened to be told one by one.
pub(super) struct Counting {
    pub(super) now: Option<Counters>,
    pub(super) too_long: bool,
}

impl Run {
    /// Catches up with private chats where there is something to go on from, and says where the counters are now.
    pub(super) async fn count(&self) -> Result<Counting, TelegramError> {
        let before = self.state.read().counters;
        let counted = match before {
            Some(before) => match self.catch_up_privately(before).await {
                Ok(Some(now)) => Ok(Counting { now: Some(now), too_long: false }),
                Ok(None) => self.counters().await.map(|now| Counting { now: Some(now), too_long: true }),
                Err(Trouble::Run(error)) => return Err(error),
                Err(Trouble::Call(error)) => Err(error),
            },
            None => self.counters().await.map(|now| Counting { now: Some(now), too_long: false }),
        };
        match counted {
            Ok(counting) => Ok(counting),
            Err(error) => {
                let reason = self.api.or_reason("asking what changed", error)?;
                self.tell(Event::Note(format!("Telegram does not report changes ({reason}): rereading recent messages")));
                Ok(Counting { now: None, too_long: before.is_some() })
            }
        }
    }

    /// Writes down what updates said about messages that are held.
    async fn apply(&self, mut changes: Changes) -> Result<(), TelegramError> {
        if !changes.gone_somewhere.is_empty() {
            {
                let state = self.state.read();
                for (peer, chat) in state.chats.iter().filter(|(peer, _)| peer.kind != PeerKind::Channel) {
                    let here: BTreeSet<i32> = changes.gone_somewhere.iter().copied().filter(|id| chat.messages.contains(*id)).collect();
                    if !here.is_empty() {
                        changes.gone.entry(*peer).or_default().extend(here);
                    }
                }
            }
            // What this run has just written down, too: no later one is told of its end.
            for peer in self.state.pending_chats().into_iter().filter(|peer| peer.kind != PeerKind::Channel) {
                let held = self.state.after_pending(peer).messages;
                let here: BTreeSet<i32> = changes.gone_somewhere.iter().copied().filter(|id| held.contains(*id)).collect();
                if !here.is_empty() {
                    changes.gone.entry(peer).or_default().extend(here);
                }
            }
        }
        for peer in changes.peers() {
            let log = self.ledger.log(peer);
            let held = self.state.after_pending(peer).messages;
            let new: Vec<enums::Message> = changes.new.remove(&peer).unwrap_or_default().into_values().collect();
            if held.is_empty() && new.is_empty() {
                continue;
            }
            let mut now = changes.now.remove(&peer).unwrap_or_default();
            let mut ask = changes.ask.remove(&peer).unwrap_or_default();
            ask.extend(self.maybe_outdated(peer, &held, &now));
            let ask: Vec<i32> = ask.into_iter().filter(|id| held.contains(*id)).collect();
            for page in ask.chunks(BY_ID) {
                match messages_by_id(&self.api, &self.peers, peer, page).await {
                    Ok(messages) => now.extend(messages.into_iter().map(|message| (message.id(), message))),
                    Err(error) => {
                        if peer.kind != PeerKind::Channel {
                            self.hold_counters(&error);
                        }
                        let reason = self.api.or_reason("asking for changed messages", error)?;
                        tracing::warn!(%peer, reason, "changed messages cannot be read");
                    }
                }
            }
            let changed: Vec<enums::Message> =
                now.into_values().filter(|message| held.get(message.id()).is_some_and(|print| print != self.prints.of(message))).collect();
            let mut batch = Batch::default();
            self.add_messages(&log, &mut batch, &changed).await?;
            self.add_messages(&log, &mut batch, &new).await?;
            let gone: Vec<i32> = changes.gone.remove(&peer).unwrap_or_default().into_iter().filter(|id| held.contains(*id)).collect();
            for id in gone {
                self.add_deletion(&log, &mut batch, id, Evidence::Update).await?;
            }
            if let Some(up_to) = changes.cleared.remove(&peer) {
                self.add_clearing(&log, &mut batch, up_to).await?;
            }
            self.flush(&log, &mut batch).await?;
            if peer.kind != PeerKind::Channel {
                self.ledger.counters_wait_for(&log.marks());
            }
        }
        Ok(())
    }

    /// Messages of which this run holds another version already, by their ids or from the history: what a difference tells of them may be
    /// the older one. Only the server knows.
    fn maybe_outdated(&self, peer: Peer, held: &Held, told: &BTreeMap<i32, enums::Message>) -> Vec<i32> {
        let state = self.state.read();
        let before = |id: i32| state.chats.get(&peer).and_then(|chat| chat.messages.get(id));
        let differs = |id: i32, message: &enums::Message| held.get(id).is_some_and(|print| print != self.prints.of(message));
        told.iter().filter(|(id, message)| differs(**id, message) && held.get(**id) != before(**id)).map(|(id, _)| *id).collect()
    }

    /// Keeps the account's counters where they are, because a change is known and not read; not for a chat that is closed to us, where
    /// it never will be.
    pub(super) fn hold_counters(&self, error: &CallError) {
        if !error.is_any(&CLOSED) {
            self.ledger.hold_counters();
        }
    }

    /// Tells of chats that lost many messages in this run, or all.
    pub(super) fn tell_deletions(&self) -> Deletions {
        let chats = self.ledger.deletions();
        for (peer, count) in &chats {
            let what = match count {
                0 => "the history was cleared".to_owned(),
                _ => format!("{count} messages were deleted"),
            };
            self.tell(Event::Note(format!("{peer}: {what} since the last run; the backup keeps what it has")));
        }
        Deletions { chats: chats.len() as u64, messages: chats.values().sum() }
    }

    /// Appends that the history of a chat was cleared up to a message.
    pub(super) async fn add_clearing(&self, log: &ChatLog, batch: &mut Batch, up_to: i64) -> Result<(), TelegramError> {
        self.ledger.cleared(log.peer);
        let event = ChatEvent::Cleared { up_to: Some(up_to) };
        let record = EventRecord { peer: log.peer, observed: self.observed, run: self.id.clone(), event };
        self.add_record(log, batch, Record::Event(record), None).await
    }

    pub(super) async fn add_deletion(&self, log: &ChatLog, batch: &mut Batch, id: i32, evidence: Evidence) -> Result<(), TelegramError> {
        self.ledger.gone(log.peer);
        let record = DeletionRecord { peer: log.peer, id: id.into(), observed: self.observed, run: self.id.clone(), evidence };
        self.add_record(log, batch, Record::Deletion(record), Some(id)).await
    }

    /// The account's update counters as they are.
    pub(super) async fn counters(&self) -> Result<Counters, CallError> {
        let enums::updates::State::State(state) = self.api.ask_plainly(&functions::updates::GetState {}).await?;
        Ok(Counters { pts: state.pts, qts: state.qts, date: state.date })
    }

    /// Catches up with private chats and basic groups since `from`; `None` says that too much happened.
    pub(super) async fn catch_up_privately(&self, from: Counters) -> Result<Option<Counters>, Trouble> {
        let mut at = from;
        let mut changes = Changes::default();
        for _ in 0..MAX_DIFFERENCES {
            let request = functions::updates::GetDifference {
                pts: at.pts,
                pts_limit: None,
                pts_total_limit: None,
                date: at.date,
                qts: at.qts,
                qts_limit: None,
            };
            let (new, updates, users, chats, state, more) = match self.api.ask_plainly(&request).await? {
                enums::updates::Difference::Empty(empty) => {
                    self.apply(changes).await?;
                    return Ok(Some(Counters { date: empty.date, ..at }));
                }
                enums::updates::Difference::Difference(d) => (d.new_messages, d.other_updates, d.users, d.chats, d.state, false),
                enums::updates::Difference::Slice(d) => (d.new_messages, d.other_updates, d.users, d.chats, d.intermediate_state, true),
                enums::updates::Difference::TooLong(_) => {
                    self.apply(changes).await?;
                    return Ok(None);
                }
            };
            self.learn(&users, &chats);
            for message in new {
                let Some(peer) = peer_of_message(&message).filter(|peer| peer.id >= 0) else { continue };
                if self.bot {
                    changes.new.entry(peer).or_default().insert(message.id(), message);
                } else {
                    self.ledger.heard_of(peer, message.id());
                }
            }
            changes.take(updates);
            let enums::updates::State::State(state) = state;
            let next = Counters { pts: state.pts, qts: state.qts, date: state.date };
            if !more {
                self.apply(changes).await?;
                return Ok(Some(next));
            }
            // A part that leads nowhere would come for ever.
            if (next.pts, next.qts) == (at.pts, at.qts) {
                break;
            }
            at = next;
        }
        self.apply(changes).await?;
        Ok(None)
    }

    /// Looks at old messages again, chat after chat, those first that were not looked at for the longest time.
    ///
    /// Chats that were `read` in this run, for the first time or not, have their coverage already: how old their reactions are now
    /// is told there the next time. Gives the others whose coverage is written.
    pub(super) async fn rotate(self: &Arc<Self>, dialogs: &[Dialog], read: &HashMap<Peer, bool>) -> Result<Vec<Peer>, TelegramError> {
        let mut budget = self.options.recheck_budget;
        let mut accounted = Vec::new();
        if budget == 0 {
            return Ok(accounted);
        }
        let mut order: Vec<(Option<i64>, &Dialog)> = {
            let state = self.state.read();
            let wanted = |chat: &ChatState| !chat.ranges.is_empty() && !chat.only_my;
            let is_new = |peer: Peer| read.get(&peer).is_some_and(|&first_time| first_time);
            let known = |dialog: &&Dialog| !is_new(dialog.peer) && state.chats.get(&dialog.peer).is_some_and(wanted);
            dialogs.iter().filter(known).map(|dialog| (state.chats.get(&dialog.peer).and_then(|chat| chat.reread), dialog)).collect()
        };
        // Of chats that were read in the same second, those come first that are behind the last one whose turn it was.
        let last = self.state.read().rotated;
        order.sort_by_key(|(reread, dialog)| (*reread, last.is_some_and(|last| dialog.peer <= last), dialog.peer));
        let order: Vec<Dialog> = order.into_iter().map(|(_, dialog)| dialog.clone()).collect();
        let mut order = order.into_iter().peekable();
        let at_once = self.api.client.caps().message_requests;
        while budget > 0 && order.peek().is_some() {
            // Each chat has its share of the budget before any of them begins: so they can be read side by side.
            let mut shares = Vec::new();
            while budget > 0
                && let Some(dialog) = order.next()
            {
                let chat = Chat::new(self.clone(), dialog);
                let share = chat.pages_to_reread().min(budget);
                budget -= share;
                shares.push((chat, share));
            }
            let mut rereads = stream::iter(shares).map(|(chat, share)| self.reread_share(chat, share, read)).buffer_unordered(at_once);
            while let Some(reread) = rereads.next().await {
                let (left, peer) = reread?;
                budget += left;
                accounted.extend(peer);
            }
        }
        Ok(accounted)
    }

    /// Looks at a chat again within a share of the budget; gives what is left of it, and the chat where its coverage is written.
    async fn reread_share(&self, chat: Chat, share: u32, read: &HashMap<Peer, bool>) -> Result<(u32, Option<Peer>), TelegramError> {
        let peer = chat.peer();
        let from = chat.before.reread_from.unwrap_or(1);
        let Some(last) = chat.before.ranges.last().and_then(|last| i32::try_from(last).ok()) else { return Ok((share, None)) };
        let (stretches, next) = chat.stretches_to_reread(from, last, share);
        let share = share.saturating_sub(u32::try_from(stretches.len()).unwrap_or(u32::MAX));
        // A page each, and none waits for the one before: which messages there may be is known.
        let held = self.state.after_pending(peer).messages;
        let rereads = stretches.into_iter().map(|ids| chat.reread_against(&held, ids));
        match try_join_all(rereads).await {
            Ok(_) => {
                let done = next.is_none().then_some(self.observed);
                let accounts = done.is_some() && !read.contains_key(&peer);
                if accounts {
                    chat.account_for_reread().await?;
                }
                self.state.when_all(&chat.log.marks(), Effect::Reread { peer, next, done, server_count: chat.server_count() });
                Ok((share, accounts.then_some(peer)))
            }
            Err(Trouble::Run(error)) => Err(error),
            Err(Trouble::Call(error)) => {
                let reason = self.api.or_reason("looking at old messages again", error)?;
                tracing::warn!(%peer, reason, "old messages cannot be read again");
                Ok((share, None))
            }
        }
    }
}

impl Chat {
    /// Requests that looking at all the rest of it again takes, about.
    fn pages_to_reread(&self) -> u32 {
        let from = self.before.reread_from.unwrap_or(1);
        let messages = self.before.messages.ids(from, i32::MAX).count();
        u32::try_from(messages / usize::try_from(PAGE).unwrap_or(1) + 1).unwrap_or(u32::MAX)
    }

    /// Cuts the ids from `from` to `last` into stretches with a page of held messages each, `most` at most; and where the rest begins.
    fn stretches_to_reread(&self, from: i32, last: i32, most: u32) -> (Vec<(i32, i32)>, Option<i32>) {
        let page = usize::try_from(PAGE).unwrap_or(1);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let ids: Vec<i32> = self.before.messages.ids(from, last).take(most.saturating_mul(page).saturating_add(1)).collect();
        let ends = ids.chunks(page).take(most).filter_map(|chunk| chunk.last().copied());
        let mut stretches: Vec<(i32, i32)> = Vec::new();
        let mut first = from;
        for end in ends {
            stretches.push((first, end));
            first = end.saturating_add(1);
        }
        if ids.len() > most.saturating_mul(page) {
            return (stretches, Some(first));
        }
        // What lies behind the last message that is held.
        match stretches.last_mut() {
            Some(end) => end.1 = last,
            None if most > 0 => stretches.push((from, last)),
            None => {}
        }
        (stretches, None)
    }

    /// Catches up with a channel or supergroup whose counter moved.
    pub(super) async fn catch_up(&self) -> Result<(), Trouble> {
        let (Some(from), Some(channel)) = (self.before.pts, self.run.peers.input_channel(self.peer())) else {
            return self.reread_window().await;
        };
        match self.channel_difference(from, channel).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.note(Reason::TooManyChanges);
                self.reread_window().await
            }
            // A server that does not know the method, or not for this chat.
            Err(Trouble::Call(error)) if error.rpc().is_some_and(|rpc| matches!(rpc.code, 400 | 403..=406)) => self.reread_window().await,
            Err(error) => Err(error),
        }
    }

    /// Says whether the difference was complete.
    async fn channel_difference(&self, from: i32, channel: enums::InputChannel) -> Result<bool, Trouble> {
        let mut pts = from;
        let mut changes = Changes::default();
        let mut complete = false;
        // An end that lies before what the list of chats says is none.
        let reaches = |pts: i32| self.dialog.pts.is_none_or(|listed| pts >= listed);
        for _ in 0..MAX_DIFFERENCES {
            let request = functions::updates::GetChannelDifference {
                force: false,
                channel: channel.clone(),
                filter: enums::ChannelMessagesFilter::Empty,
                pts,
                limit: 100,
            };
            match self.run.api.ask_plainly(&request).await? {
                enums::updates::ChannelDifference::Empty(empty) => {
                    complete = reaches(empty.pts);
                    break;
                }
                enums::updates::ChannelDifference::TooLong(_) => break,
                enums::updates::ChannelDifference::Difference(difference) => {
                    self.run.learn(&difference.users, &difference.chats);
                    if let Some(newest) = difference.new_messages.iter().map(enums::Message::id).max() {
                        self.heard_of(newest);
                    }
                    changes.take(difference.other_updates);
                    if difference.r#final {
                        complete = reaches(difference.pts);
                        break;
                    }
                    if difference.pts <= pts {
                        break;
                    }
                    pts = difference.pts;
                }
            }
        }
        self.run.apply(changes).await?;
        Ok(complete)
    }

    /// Reads the recent messages again.
    pub(super) async fn reread_window(&self) -> Result<(), Trouble> {
        let seconds = i64::try_from(self.run.options.recheck.as_secs()).unwrap_or(i64::MAX);
        let since = self.run.observed.saturating_sub(seconds);
        let Some(last) = self.before.ranges.last().and_then(|last| i32::try_from(last).ok()) else { return Ok(()) };
        let mode = if self.before.only_my { Mode::Own } else { Mode::All };
        if let Some(IdRange { first, .. }) = self.reader(mode, None).between(Some(since), None, last).await?
            && let Ok(first) = i32::try_from(first)
        {
            self.reread(first, last).await?;
        }
        Ok(())
    }

    /// Reads held messages again from `first` to `last`.
    pub(super) async fn reread(&self, first: i32, last: i32) -> Result<(), Trouble> {
        // With what this run has found already: a deletion is told once.
        let held = self.run.state.after_pending(self.peer()).messages;
        self.reread_against(&held, (first, last)).await
    }

    /// The same, compared with these.
    async fn reread_against(&self, held: &Held, (first, last): (i32, i32)) -> Result<(), Trouble> {
        let mode = if self.before.only_my { Mode::Own } else { Mode::All };
        let mut batch = Batch::default();
        let mut from = first;
        while from <= last {
            // Beyond its end a range of the account shows nothing, which says nothing about what is there.
            let range = self.range_of(from);
            let upto = range.map_or(last, |range| last.min(range.max_id));
            let page = self.reader(mode, range).upwards(from, upto).await?;
            self.counted(page.count.filter(|_| range.is_none()));
            let end = page.messages.last().map_or(upto, enums::Message::id);
            let here: BTreeSet<i32> = page.messages.iter().map(enums::Message::id).collect();
            let changed: Vec<enums::Message> = page
                .messages
                .into_iter()
                .filter(|message| held.get(message.id()).is_none_or(|print| print != self.run.prints.of(message)))
                .collect();
            self.run.add_messages(&self.log, &mut batch, &changed).await?;
            // What cannot be read is not gone.
            let unread = |id: i32| page.unreadable.is_some_and(|gap| (gap.first..=gap.last).contains(&i64::from(id)));
            let absent: Vec<i32> = held.ids(from, end).filter(|&id| !here.contains(&id) && !unread(id)).collect();
            let gone = self.confirmed_gone(absent).await?;
            let range = IdRange { first: from.into(), last: end.into() };
            for id in gone {
                self.run.add_deletion(&self.log, &mut batch, id, Evidence::Absence { range }).await?;
            }
            from = end.saturating_add(1);
        }
        self.run.flush(&self.log, &mut batch).await?;
        Ok(())
    }

    /// Which of these messages are gone when asked for by their ids: a page that comes short is no evidence of a deletion.
    async fn confirmed_gone(&self, absent: Vec<i32>) -> Result<Vec<i32>, Trouble> {
        let mut there = BTreeSet::new();
        for ids in absent.chunks(BY_ID) {
            let messages = match messages_by_id(&self.run.api, &self.run.peers, self.peer(), ids).await {
                Ok(messages) => messages,
                Err(error) if error.rpc().is_some_and(|rpc| rpc.code == 400) => {
                    self.note(Reason::MaybeDeleted);
                    return Ok(vec![]);
                }
                Err(error) => return Err(error.into()),
            };
            let own = messages.iter().filter(|message| peer_of_message(message) == Some(self.peer()));
            there.extend(own.map(enums::Message::id));
        }
        Ok(absent.into_iter().filter(|id| !there.contains(id)).collect())
    }

    fn range_of(&self, id: i32) -> Option<&types::MessageRange> {
        if self.peer().kind == PeerKind::Channel {
            return None;
        }
        self.run.plan.ranges.iter().find(|range| range.min_id <= id && id <= range.max_id)
    }
}
