//! What updates told becomes records, before anything is asked: what follows finds it held, and asks for the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use grammers_tl_types::{Deserializable, enums};

use super::batch::Batch;
use super::chat_log::ChatLog;
use super::history::date_of;
use super::run::{BY_ID, Run};
use crate::model::coverage::IdRange;
use crate::model::peer::{Peer, PeerKind};
use crate::model::record::Evidence;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::events::Event;
use crate::source::telegram::files::messages_by_id;
use crate::source::telegram::heard::{Heard, News, What};
use crate::source::telegram::stored::Held;

/// The news of one chat on their way into its log.
struct Writing<'a> {
    run: &'a Run,
    log: &'a ChatLog,
    held: Held,
    /// Messages that these news changed: their fingerprints by now, `None` for gone ones.
    by_now: HashMap<i32, Option<u64>>,
    /// Messages of whose end these news tell: an earlier run may have found it already, and holds them no more.
    ending: BTreeSet<i32>,
    batch: Batch,
    /// Messages that came while the run before was under way: it may have been told of their end and moved on, or have read a later version.
    doubtful: BTreeSet<i32>,
    /// Versions that wait to be written together: of different messages, and seen in the same second.
    group: Vec<enums::Message>,
    seen: i64,
    only_own: bool,
}

impl Run {
    /// Writes down what was heard of the chats that `takes` wants.
    pub(super) async fn write_heard(&self, heard: Heard, takes: impl Fn(Peer) -> bool) -> Result<(), TelegramError> {
        if heard.left_out() > 0 {
            let what = format!(
                "{} changes came faster than they could be stored: what can still be read is read now, what was deleted or edited again \
                 meanwhile is lost",
                heard.left_out()
            );
            self.tell(Event::Note(what));
        }
        self.learn_heard(&heard);
        for (peer, news) in self.by_peer(heard.news) {
            if takes(peer) {
                self.write_news(peer, news).await?;
            }
        }
        Ok(())
    }

    /// Takes note of everybody who was named.
    pub(super) fn learn_heard(&self, heard: &Heard) {
        let users: Vec<enums::User> = heard.users.values().cloned().collect();
        let chats: Vec<enums::Chat> = heard.chats.values().cloned().collect();
        self.learn(&users, &chats);
    }

    /// Sorts news by chat, in the order in which they came.
    fn by_peer(&self, all: Vec<News>) -> BTreeMap<Peer, Vec<News>> {
        let mut owners: HashMap<i32, Peer> = HashMap::new();
        let mut sorted: BTreeMap<Peer, Vec<News>> = BTreeMap::new();
        for news in all {
            match (news.peer, news.what) {
                (Some(peer), what) => {
                    if let What::Message { id, .. } = &what
                        && peer.kind != PeerKind::Channel
                    {
                        owners.insert(*id, peer);
                    }
                    sorted.entry(peer).or_default().push(News { what, ..news });
                }
                (None, What::Gone(ids)) => {
                    let mut whose: BTreeMap<Peer, Vec<i32>> = BTreeMap::new();
                    let state = self.state.read();
                    let privately = || state.chats.iter().filter(|(peer, _)| peer.kind != PeerKind::Channel);
                    for id in ids {
                        let held = || privately().find(|(_, chat)| chat.messages.contains(id)).map(|(peer, _)| *peer);
                        if let Some(peer) = owners.get(&id).copied().or_else(held) {
                            whose.entry(peer).or_default().push(id);
                        }
                    }
                    drop(state);
                    for (peer, ids) in whose {
                        sorted.entry(peer).or_default().push(News {
                            peer: Some(peer),
                            at: news.at,
                            is_doubtful: false,
                            what: What::Gone(ids),
                        });
                    }
                }
                (None, _) => {}
            }
        }
        sorted
    }

    async fn write_news(&self, peer: Peer, news: Vec<News>) -> Result<(), TelegramError> {
        let log = self.ledger.log(peer);
        let before = self.state.after_pending(peer);
        let only_own = before.only_my || (self.options.only_my_messages && peer.kind != PeerKind::User);
        let mut writing = Writing {
            run: self,
            log: &log,
            held: before.messages,
            by_now: HashMap::new(),
            ending: news.iter().flat_map(|news| if let What::Gone(ids) = &news.what { ids.as_slice() } else { &[] }).copied().collect(),
            batch: Batch::default(),
            doubtful: BTreeSet::new(),
            group: Vec::new(),
            seen: 0,
            only_own,
        };
        let mut reacted = BTreeSet::new();
        for News { at, is_doubtful, what, .. } in news {
            match what {
                What::Message { bytes, edited, id } => {
                    if is_doubtful {
                        writing.doubtful.insert(id);
                    }
                    writing.message(&bytes, edited, at).await?;
                }
                What::Gone(ids) => writing.gone(ids).await?,
                What::Cleared(up_to) => writing.cleared(up_to).await?,
                What::Reacted(id) => drop(reacted.insert(id)),
            }
        }
        writing.write().await?;
        writing.ask_for_doubtful().await?;
        writing.reactions(reacted).await?;
        self.flush(&log, &mut writing.batch).await?;
        if peer.kind != PeerKind::Channel {
            self.ledger.counters_wait_for(&log.marks());
        }
        Ok(())
    }
}

impl Writing<'_> {
    /// What is known of a message by now.
    fn print(&self, id: i32) -> Option<u64> {
        self.by_now.get(&id).copied().unwrap_or_else(|| self.held.get(id))
    }

    fn is_wanted(&self, message: &enums::Message) -> bool {
        let out = match message {
            enums::Message::Message(message) => message.out,
            enums::Message::Service(message) => message.out,
            enums::Message::Empty(_) => return false,
        };
        let options = &self.run.options;
        let date = date_of(message).map(i64::from);
        let in_time = date.is_none_or(|date| options.from.is_none_or(|from| date >= from) && options.till.is_none_or(|till| date < till));
        in_time && (out || !self.only_own)
    }

    async fn message(&mut self, bytes: &[u8], edited: bool, at: i64) -> Result<(), TelegramError> {
        let Ok(message) = enums::Message::from_bytes(bytes) else { return Ok(()) };
        let (id, known) = (message.id(), self.print(message.id()));
        // An edit of what is not held is no reason to hold it, unless it was held until a run between found its end; and what is gone
        // does not come back.
        let is_over = self.by_now.get(&id).is_some_and(Option::is_none);
        let is_foreign = edited && known.is_none() && !self.ending.contains(&id);
        let print = self.run.prints.of(&message);
        if is_over || is_foreign || known == Some(print) || !self.is_wanted(&message) {
            return Ok(());
        }
        // What the run itself finds is later than anything that was heard before it, and what the run before found is earlier.
        let seen = at.max(self.run.before).min(self.run.observed.saturating_sub(1));
        if self.seen != seen || self.group.len() >= BY_ID || self.group.iter().any(|other| other.id() == id) {
            self.write().await?;
        }
        self.seen = seen;
        self.by_now.insert(id, Some(print));
        self.group.push(message);
        Ok(())
    }

    /// Writes the versions that wait.
    async fn write(&mut self) -> Result<(), TelegramError> {
        if self.group.is_empty() {
            return Ok(());
        }
        self.batch.observed = Some(self.seen);
        let added = self.run.add_messages(self.log, &mut self.batch, &self.group).await;
        self.batch.observed = None;
        self.run.tell(Event::Messages { count: self.group.len() as u64 });
        self.group.clear();
        added
    }

    async fn gone(&mut self, ids: Vec<i32>) -> Result<(), TelegramError> {
        let known: BTreeSet<i32> = ids.into_iter().filter(|id| self.print(*id).is_some()).collect();
        if known.is_empty() {
            return Ok(());
        }
        self.write().await?;
        for id in known {
            self.run.add_deletion(self.log, &mut self.batch, id, Evidence::Update).await?;
            self.by_now.insert(id, None);
        }
        Ok(())
    }

    /// Asks which of the messages in doubt are still there, and what they say.
    async fn ask_for_doubtful(&mut self) -> Result<(), TelegramError> {
        let (run, peer) = (self.run, self.log.peer);
        let ids: Vec<i32> = self.doubtful.iter().copied().filter(|id| self.print(*id).is_some()).collect();
        for page in ids.chunks(BY_ID) {
            match messages_by_id(&run.api, &run.peers, peer, page).await {
                Ok(messages) => {
                    let there = messages.iter().filter(|message| !matches!(message, enums::Message::Empty(_)));
                    let there: BTreeSet<i32> = there.map(enums::Message::id).collect();
                    let changed = |message: &enums::Message| self.print(message.id()).is_some_and(|print| print != run.prints.of(message));
                    let changed: Vec<enums::Message> =
                        messages.iter().filter(|message| there.contains(&message.id()) && changed(message)).cloned().collect();
                    run.add_messages(self.log, &mut self.batch, &changed).await?;
                    for id in page.iter().copied().filter(|id| !there.contains(id)) {
                        let range = IdRange { first: id.into(), last: id.into() };
                        run.add_deletion(self.log, &mut self.batch, id, Evidence::Absence { range }).await?;
                        self.by_now.insert(id, None);
                    }
                }
                Err(error) => {
                    let reason = run.api.or_reason("asking for new messages", error)?;
                    tracing::warn!(%peer, reason, "it is not known whether new messages are still there");
                }
            }
        }
        Ok(())
    }

    async fn cleared(&mut self, up_to: i64) -> Result<(), TelegramError> {
        self.write().await?;
        self.run.add_clearing(self.log, &mut self.batch, up_to).await
    }

    /// Asks for messages of which only the reactions are told.
    async fn reactions(&mut self, ids: BTreeSet<i32>) -> Result<(), TelegramError> {
        let (run, peer) = (self.run, self.log.peer);
        let ids: Vec<i32> = ids.into_iter().filter(|id| self.print(*id).is_some()).collect();
        for page in ids.chunks(BY_ID) {
            match messages_by_id(&run.api, &run.peers, peer, page).await {
                Ok(messages) => {
                    let changed = |message: &enums::Message| self.print(message.id()).is_some_and(|print| print != run.prints.of(message));
                    let changed: Vec<enums::Message> = messages.into_iter().filter(changed).collect();
                    run.add_messages(self.log, &mut self.batch, &changed).await?;
                }
                Err(error) => {
                    let reason = run.api.or_reason("asking for new reactions", error)?;
                    tracing::warn!(%peer, reason, "new reactions cannot be read");
                }
            }
        }
        Ok(())
    }
}
