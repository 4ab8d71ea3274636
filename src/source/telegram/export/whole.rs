//! One run over an account, from the list of chats to the last counter.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use grammers_tl_types::{enums, functions, types};

use super::catchup::Counting;
use super::chat::{Chat, waiting_since};
use super::dialogs::{Dialog, DialogReader, Selection, means};
use super::ledger::Deletions;
use super::run::{Run, path};
use crate::model::chat_ref::ChatRef;
use crate::model::coverage::{CHAT_LIST, LEFT_CHATS};
use crate::model::paths;
use crate::model::peer::{Peer, PeerKind};
use crate::model::reason::Reason;
use crate::source::telegram::account::Start;
use crate::source::telegram::error::{TelegramError, Trouble, in_words};
use crate::source::telegram::events::Event;
use crate::source::telegram::options::{AUTO_TAKEOUT_MESSAGES, TakeoutUse};
use crate::source::telegram::stored::Effect;
use crate::source::telegram::wire::{self, CallError};

/// Chats that wait for their files to be stored while others are read.
const CHATS_WAITING: usize = 256;

/// What a run did not do and a later one will, and what it noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Chats that wait for a takeout, and the seconds until Telegram may grant it.
    pub takeout_delayed: Option<(u64, u64)>,
    /// Chats that were looked at.
    pub chats: u64,
    /// Of these, chats where something new was looked for.
    pub chats_read: u64,
    /// Chats of which something could not be read this time.
    pub chats_failed: u64,
    /// Files that could not be fetched this time.
    pub files_failed: u64,
    /// Lists of the account that are shorter than the server says.
    pub lists_failed: u64,
    /// What was to be left out and fits no chat, as it was typed.
    pub not_excluded: Vec<String>,
    /// Chats that lost many messages since the last run.
    pub deletions: Deletions,
}

/// Whether the run has its takeout.
enum Decision {
    Go,
    /// Chats that were never read wait.
    Postpone(u64),
}

impl Run {
    /// Runs.
    ///
    /// # Errors
    /// When the run as a whole cannot go on.
    pub(super) async fn export(mut self) -> Result<Outcome, TelegramError> {
        let mut outcome = Outcome::default();
        let heard = self.heard.take();
        self.follows = heard.is_some();
        if let Some(heard) = &heard {
            self.learn_heard(heard);
        }
        if self.bot {
            if let Some(heard) = heard {
                self.write_heard(heard, |_| true).await?;
            }
            let run = Arc::new(self);
            let counting = run.count().await?;
            run.flush_peers(true).await?;
            run.finish(counting);
            outcome.deletions = run.tell_deletions();
            return Ok(outcome);
        }
        self.tell(Event::Section("chats"));
        let reader = DialogReader { api: &self.api, peers: &self.peers, run: &self.id, lost: AtomicU64::default() };
        let mut dialogs = reader.all(&[]).await.map_err(|error| self.no_list(error))?;
        let lost = reader.lost.load(Ordering::Relaxed);
        self.ledger.chats_failed_too(lost);
        self.note_list(lost);
        let selection = Selection::new(&self.api, &self.options).await?;
        let (first, owed) = {
            let state = self.state.read();
            (state.chats.is_empty(), state.takeout_owed)
        };
        // A takeout shows more: chats that were left, and those of the account's other ranges.
        let shows_more = match self.options.takeout {
            TakeoutUse::Never => false,
            TakeoutUse::Always => true,
            TakeoutUse::Auto => first || owed,
        };
        reader.resolve(&selection, &mut dialogs, shows_more).await?;
        // One that is owed is no matter of chats that are named and here.
        let of_this_run = owed && (!selection.is_by_name() || !selection.unmatched(&dialogs, &self.peers).is_empty());
        let decision = self.begin_takeout(&dialogs, &selection, first || of_this_run).await?;
        if self.api.has_takeout() {
            self.plan.taken_out = true;
            self.read_ranges().await?;
            self.list_more(&mut dialogs).await?;
        }
        // Those that were asked for by name and are in neither list.
        let absent: Vec<String> = selection.unmatched(&dialogs, &self.peers).into_iter().map(|(text, _)| text).collect();
        if let (Decision::Go, Some(chat)) = (&decision, absent.first()) {
            // One that an earlier run did not come to the end of goes on without this one.
            if !owed {
                self.api.finish_takeout(false).await;
            }
            return Err(TelegramError::NoSuchChat { chat: chat.clone() });
        }
        outcome.not_excluded = selection.unmatched_exclusions(&dialogs, &self.peers);
        if selection.is_everything() && self.ledger.chats_failed() == 0 {
            self.plan.listed = Some(dialogs.iter().map(|dialog| dialog.peer).collect());
        }
        dialogs.retain(|dialog| selection.takes(dialog, &self.peers));
        // Basic groups that became supergroups are read as themselves, once, with the supergroup that they became.
        if let Decision::Postpone(seconds) = decision {
            let state = self.state.read();
            let before = dialogs.len();
            dialogs.retain(|dialog| state.chats.get(&dialog.peer).is_some_and(|chat| !chat.ranges.is_empty()));
            let waiting = (before - dialogs.len() + absent.len()) as u64;
            outcome.takeout_delayed = (waiting > 0).then_some((waiting, seconds));
        }
        if !selection.is_everything() {
            let chosen: HashSet<Peer> = dialogs.iter().map(|dialog| dialog.peer).collect();
            self.peers.set_aside(|peer| chosen.contains(&peer));
        }
        if self.plan.taken_out {
            self.api.owe_takeout(true);
            // What was begun for all chats does not end with a few.
            self.plan.settles_takeout = !(owed && selection.is_by_name());
        }
        let ends_takeout = self.plan.settles_takeout || !self.plan.taken_out;
        if let Some(heard) = heard {
            let listed: HashSet<Peer> = dialogs.iter().map(|dialog| dialog.peer).collect();
            // A chat that was cleared meanwhile is in no list any more.
            let takes = |peer: Peer| listed.contains(&peer) || selection.takes(&Dialog::bare(peer, false), &self.peers);
            self.write_heard(heard, takes).await?;
        }
        let run = Arc::new(self);
        let result = run.clone().read_all(dialogs, &selection, &mut outcome).await;
        outcome.deletions = run.tell_deletions();
        if ends_takeout {
            run.api.finish_takeout(result.is_ok()).await;
        }
        result.map(|()| outcome)
    }

    fn no_list(&self, error: CallError) -> TelegramError {
        TelegramError::from_call(&self.api.account, "the list of chats cannot be read", error)
    }

    /// Adds the chats that only a takeout lists.
    async fn list_more(&self, dialogs: &mut Vec<Dialog>) -> Result<(), TelegramError> {
        let reader = DialogReader { api: &self.api, peers: &self.peers, run: &self.id, lost: AtomicU64::default() };
        if self.plan.ranges.len() > 1 {
            // Split accounts show each range's chats to those who ask in the range.
            add_new(dialogs, reader.all(&self.plan.ranges).await.map_err(|error| self.no_list(error))?);
        }
        if !self.options.left {
            return Ok(());
        }
        match reader.left().await {
            Ok(left) => {
                self.ledger.part(LEFT_CHATS, None);
                add_new(dialogs, left);
            }
            Err(error) => {
                let error = self.api.or_reason("reading left channels", error)?;
                self.unserved(LEFT_CHATS, path(paths::left_chats())?, Reason::LeftChatsNotListed { error }).await?;
            }
        }
        Ok(())
    }

    async fn read_all(
        self: Arc<Self>,
        mut dialogs: Vec<Dialog>,
        selection: &Selection,
        outcome: &mut Outcome,
    ) -> Result<(), TelegramError> {
        let counting = self.count().await?;
        for dialog in dialogs.iter_mut().filter(|dialog| dialog.top.is_some()) {
            dialog.top = dialog.top.max(self.ledger.newest(dialog.peer));
        }
        // The account's own things are many small questions, one after another: the chats need not wait for them.
        let sections = async { if self.options.account { self.sections().await } else { Ok(()) } };
        tokio::try_join!(sections, self.clone().read_chats(dialogs, selection, outcome, counting.too_long))?;
        self.fetcher.all_read(None).await;
        self.account_for_parts().await?;
        self.flush_peers(true).await?;
        self.finish(counting);
        if self.plan.settles_takeout && !self.missed_takeout() {
            self.state.when_all_is_stored(Effect::TakenOut);
        }
        outcome.chats_failed = self.ledger.chats_failed();
        outcome.files_failed = self.fetcher.failed();
        outcome.lists_failed = self.ledger.lists_short();
        Ok(())
    }

    /// Reads the chats, and accounts for them. With `reread_privately` the recent messages of private chats and basic groups are read
    /// again: nothing tells what happened to them.
    async fn read_chats(
        self: Arc<Self>,
        mut dialogs: Vec<Dialog>,
        selection: &Selection,
        outcome: &mut Outcome,
        reread_privately: bool,
    ) -> Result<(), TelegramError> {
        {
            // Chats in doubt come first.
            let state = self.state.read();
            dialogs
                .sort_by_key(|dialog| state.chats.get(&dialog.peer).is_none_or(|chat| chat.doubt.is_none_or(|doubt| doubt.is_settled())));
        }
        let kept = self.kept(&dialogs, selection);
        let mut found: BTreeSet<Peer> = self.state.read().misjudged().into_iter().filter(|&peer| kept(peer)).collect();
        // One that follows comes every few minutes: what could not be had is asked for again by those that look at everything.
        if !self.follows {
            found.extend(self.retry_missing(&kept).await?);
        }
        self.tell(Event::Chats { total: dialogs.len() as u64 });
        outcome.chats = dialogs.len() as u64;
        let listed: HashSet<Peer> = dialogs.iter().map(|dialog| dialog.peer).collect();
        let chats = stream::iter(dialogs.iter().cloned()).map(|dialog| {
            let (run, listed) = (self.clone(), &listed);
            async move {
                let chat = Chat::new(run.clone(), dialog);
                if let Some(place) = run.undescribed(&chat)? {
                    run.outbox.problem(place, Reason::NotDescribed.to_string()).await?;
                    chat.note_missing(Reason::NotDescribed);
                    return Ok(Some((chat, None)));
                }
                let recent = chat.dialog.top_date.is_none_or(|date| i64::from(date) >= run.recent());
                if reread_privately && recent && chat.peer().kind != PeerKind::Channel && !chat.before.ranges.is_empty() {
                    match chat.reread_window().await {
                        Ok(()) => {}
                        Err(Trouble::Run(error)) => return Err(error),
                        Err(Trouble::Call(error)) => {
                            run.hold_counters(&error);
                            let error = run.api.or_reason("reading recent messages again", error)?;
                            chat.note_missing(Reason::RecentNotRead { error });
                        }
                    }
                } else if !chat.has_news() {
                    run.tell(Event::ChatDone);
                    return Ok(None);
                }
                chat.export().await?;
                let former =
                    run.ledger.former(chat.peer()).filter(|former| !listed.contains(former) && !selection.excludes(*former, &run.peers));
                let former = match former {
                    Some(former) => Some(Box::pin(run.read_former(former)).await?),
                    None => None,
                };
                Ok::<_, TelegramError>(Some((chat, former)))
            }
        });
        let at_once = self.api.client.caps().message_requests + 2;
        // Others are read while one waits for its files to be stored.
        let accounts = chats.buffer_unordered(at_once).map(|chat| async {
            let Some((chat, former)) = chat? else { return Ok(None) };
            for chat in [Some(&chat), former.as_ref()].into_iter().flatten() {
                chat.account_for().await?;
            }
            Ok::<_, TelegramError>(Some((chat.peer(), chat.before.ranges.is_empty(), former.map(|former| former.peer()))))
        });
        let mut accounts = accounts.buffer_unordered(CHATS_WAITING);
        let (mut read, mut accounted) = (HashMap::new(), BTreeSet::new());
        while let Some(result) = accounts.next().await {
            if let Some((peer, is_new, former)) = result? {
                read.insert(peer, is_new);
                accounted.extend([Some(peer), former].into_iter().flatten());
            }
        }
        outcome.chats_read = read.len() as u64;
        drop(accounts);
        let migrated = self.read_migrated(&listed, &accounted, selection, outcome).await?;
        accounted.extend(migrated);
        accounted.extend(self.tell_unlisted().await?);
        let asked = self.rotate_parts(&dialogs, &read, &accounted).await?;
        read.extend(asked.iter().map(|peer| (*peer, false)));
        accounted.extend(asked);
        accounted.extend(self.rotate(&dialogs, &read).await?);
        self.fetcher.all_read(None).await;
        // Files of chats that were not looked into otherwise came, or failed after all.
        found.extend(self.state.read().misjudged().into_iter().filter(|&peer| kept(peer)));
        for peer in found.difference(&accounted).copied() {
            let dialog = dialogs.iter().find(|dialog| dialog.peer == peer).cloned();
            Chat::new(self.clone(), dialog.unwrap_or_else(|| Dialog::bare(peer, false))).account_for().await?;
        }
        // Chats that were accounted for before a file failed that another chat showed first: their coverage follows with the next run.
        let mistaken: Vec<Peer> = self.state.read().mistaken_chats().into_iter().filter(|&peer| kept(peer)).collect();
        for peer in mistaken {
            self.correct(peer).await?;
        }
        Ok(())
    }

    /// Chats whose missing files are asked for again: those of this run, and where no chat was left out all that there ever were.
    fn kept(&self, dialogs: &[Dialog], selection: &Selection) -> impl Fn(Peer) -> bool {
        let here: HashSet<Peer> = {
            let state = self.state.read();
            let before = |peer: Peer| state.chats.get(&peer).and_then(|chat| chat.migrated_from);
            dialogs.iter().flat_map(|dialog| [Some(dialog.peer), before(dialog.peer)]).flatten().collect()
        };
        let everything = selection.is_everything();
        move |peer| everything || here.contains(&peer)
    }

    /// Says which chats that are held Telegram lists no more: once, and without asking for them.
    async fn tell_unlisted(self: &Arc<Self>) -> Result<Vec<Peer>, TelegramError> {
        let Some(listed) = self.plan.listed.as_ref().filter(|_| self.options.from.is_none() && self.options.till.is_none()) else {
            return Ok(vec![]);
        };
        let mut unlisted = self.state.read().unlisted(listed);
        let formers = self.ledger.formers();
        unlisted.retain(|peer| !formers.contains(peer));
        for &peer in &unlisted {
            Chat::new(self.clone(), Dialog::bare(peer, false)).tell_unlisted().await?;
        }
        if !unlisted.is_empty() {
            let what = format!("{} of the chats in the backup are no longer in the chat list; the backup keeps them", unlisted.len());
            self.tell(Event::Note(what));
        }
        Ok(unlisted)
    }

    /// Asks chats without news what they have beside messages, where that was long ago; gives those whose coverage is written.
    async fn rotate_parts(
        self: &Arc<Self>,
        dialogs: &[Dialog],
        read: &HashMap<Peer, bool>,
        accounted: &BTreeSet<Peer>,
    ) -> Result<Vec<Peer>, TelegramError> {
        self.ledger.details_in_turns();
        let quiet = |dialog: &&Dialog| !read.contains_key(&dialog.peer) && !accounted.contains(&dialog.peer);
        let mut waiting: Vec<(i64, Dialog)> = {
            let state = self.state.read();
            let turn = |dialog: &Dialog| waiting_since(self, &state, dialog.peer);
            dialogs.iter().filter(|dialog| !dialog.left).filter(quiet).filter_map(|dialog| Some((turn(dialog)?, dialog.clone()))).collect()
        };
        waiting.sort_by_key(|(since, dialog)| (*since, dialog.peer));
        let asked = stream::iter(waiting).map(|(_, dialog)| self.clone().ask_parts(dialog));
        let mut asked = asked.buffered(self.api.client.caps().message_requests);
        let mut peers = Vec::new();
        while let Some(peer) = asked.next().await {
            peers.extend(peer?);
        }
        Ok(peers)
    }

    async fn ask_parts(self: Arc<Self>, dialog: Dialog) -> Result<Option<Peer>, TelegramError> {
        if !self.ledger.has_details_left() || self.peers.input(dialog.peer).is_none() {
            return Ok(None);
        }
        let chat = Chat::new(self, dialog);
        chat.parts().await?;
        chat.account_for().await?;
        Ok(Some(chat.peer()))
    }

    /// The moment from which on messages count as recent.
    fn recent(&self) -> i64 {
        self.observed.saturating_sub(i64::try_from(self.options.recheck.as_secs()).unwrap_or(i64::MAX))
    }

    fn undescribed(&self, chat: &Chat) -> Result<Option<crate::model::entry::EntryPath>, TelegramError> {
        if self.peers.input(chat.peer()).is_some() {
            return Ok(None);
        }
        path(paths::chat_folder(chat.peer())).map(Some)
    }

    /// Reads a group that is a supergroup now: what of it is held may be from before its last messages.
    async fn read_former(self: &Arc<Self>, peer: Peer) -> Result<Chat, TelegramError> {
        self.tell(Event::ChatFound);
        let chat = Chat::new(self.clone(), Dialog::bare(peer, false));
        chat.export().await?;
        Ok(chat)
    }

    /// Reads the groups that supergroups were before, where they are neither listed nor read yet: those found in this run, and those that
    /// an earlier one found and did not come to. Says which were read.
    async fn read_migrated(
        self: &Arc<Self>,
        listed: &HashSet<Peer>,
        done: &BTreeSet<Peer>,
        selection: &Selection,
        outcome: &mut Outcome,
    ) -> Result<HashSet<Peer>, TelegramError> {
        let mut found = self.ledger.formers();
        found.extend(self.state.read().unread_before(listed));
        let mut read = HashSet::new();
        for peer in found {
            if selection.excludes(peer, &self.peers) {
                outcome.not_excluded.retain(|text| !means(&ChatRef::new(text), peer, &self.peers));
                continue;
            }
            if !listed.contains(&peer) && !done.contains(&peer) {
                self.read_former(peer).await?.account_for().await?;
                read.insert(peer);
            }
        }
        Ok(read)
    }

    /// Lets the account's counters move once all private messages of this run are stored.
    fn finish(&self, counting: Counting) {
        if let (Some(counters), Some(marks)) = (counting.now, self.ledger.before_counters()) {
            self.state.when_all(&marks, Effect::Counters(counters));
        }
    }

    /// Takes note of chats that the list has and that could not be read from it.
    fn note_list(&self, lost: u64) {
        self.ledger.part(CHAT_LIST, (lost > 0).then_some(Reason::ChatsNotRead { count: lost }));
    }

    /// Begins a takeout where the options and the work ask for one; with `at_once` whatever the work is.
    async fn begin_takeout(&self, dialogs: &[Dialog], selection: &Selection, at_once: bool) -> Result<Decision, TelegramError> {
        let wanted = match self.options.takeout {
            TakeoutUse::Never => false,
            TakeoutUse::Always => true,
            TakeoutUse::Auto => at_once || self.expects_much(dialogs, selection),
        };
        if !wanted {
            return Ok(Decision::Go);
        }
        loop {
            let started = self.api.start_takeout().await;
            match started.map_err(|error| TelegramError::from_call(&self.api.account, "the takeout cannot begin", error))? {
                Start::Open => return Ok(Decision::Go),
                Start::Refused(reason) => {
                    self.api.owe_takeout(false);
                    self.tell(Event::Note(format!("Telegram does not offer a takeout here ({reason}): continuing with ordinary requests")));
                    return Ok(Decision::Go);
                }
                Start::Failed(reason) => {
                    self.api.owe_takeout(true);
                    self.tell(Event::Note(format!(
                        "Telegram cannot begin a takeout at the moment ({reason}): continuing with ordinary requests; the next run asks again"
                    )));
                    return Ok(Decision::Go);
                }
                Start::Delayed(seconds) => {
                    let words = in_words(seconds);
                    self.tell(Event::Note(format!(
                        "Telegram grants the export in {words}: sooner, when you confirm it in a Telegram app on another device"
                    )));
                    if !self.options.wait_for_takeout {
                        return Ok(Decision::Postpone(seconds));
                    }
                    // Asked again now and then: a confirmation on another device ends the wait.
                    let pause = seconds.clamp(1, 15 * 60);
                    self.tell(Event::Connection(wire::Event::Waiting { method: "account.initTakeoutSession", seconds: pause }));
                    tokio::time::sleep(Duration::from_secs(pause)).await;
                }
            }
        }
    }

    /// Whether there are chats that were never read, or many new messages.
    fn expects_much(&self, dialogs: &[Dialog], selection: &Selection) -> bool {
        let state = self.state.read();
        let mut expected = 0_u64;
        for dialog in dialogs.iter().filter(|dialog| selection.takes(dialog, &self.peers)) {
            // A chat that was looked at before and gave nothing is no reason for a takeout every day.
            let known = state.chats.get(&dialog.peer);
            match known.and_then(|chat| chat.ranges.last()) {
                None if known.is_none_or(|chat| chat.coverage.is_none()) => return true,
                // Ids are dense in channels only; elsewhere all chats of the account share them.
                Some(last) if dialog.peer.kind == PeerKind::Channel => {
                    let new = i64::from(dialog.top.unwrap_or_default()).saturating_sub(last);
                    expected = expected.saturating_add(u64::try_from(new).unwrap_or_default());
                }
                None | Some(_) => {}
            }
        }
        expected > AUTO_TAKEOUT_MESSAGES
    }

    async fn read_ranges(&mut self) -> Result<(), TelegramError> {
        match self.api.ask(&functions::messages::GetSplitRanges {}).await {
            Ok(ranges) => {
                let mut ranges: Vec<types::MessageRange> = ranges
                    .into_iter()
                    .map(|enums::MessageRange::Range(range)| range)
                    .filter(|range| range.min_id <= range.max_id)
                    .collect();
                ranges.sort_by_key(|range| range.min_id);
                self.plan.ranges = ranges;
            }
            Err(error) => {
                let reason = self.api.or_reason("reading the account's message ranges", error)?;
                self.tell(Event::Note(format!("the account's message ranges are unknown ({reason}): treating them as one")));
            }
        }
        Ok(())
    }
}

/// Adds chats that are not in the list yet.
fn add_new(dialogs: &mut Vec<Dialog>, more: Vec<Dialog>) {
    let mut known: HashMap<Peer, usize> = dialogs.iter().enumerate().map(|(position, dialog)| (dialog.peer, position)).collect();
    for dialog in more {
        if let std::collections::hash_map::Entry::Vacant(free) = known.entry(dialog.peer) {
            free.insert(dialogs.len());
            dialogs.push(dialog);
        }
    }
}
