//! What a run finds out on the way, for those of its parts that come later.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chat_log::ChatLog;
use crate::model::peer::Peer;
use crate::model::reason::Reason;

/// The account's parts that were asked for in a run; with the reason why they could not be had.
pub(super) type Parts = BTreeMap<&'static str, Option<Reason>>;

/// People that a message does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum People {
    /// Who reacted to it.
    Reactors,
    /// Who voted in its poll.
    Voters,
}

/// Requests for what chats have beside messages, in one run: the next ones go on. Telegram counts them apart, and is strict with them.
const MOST_DETAILS: u32 = 5_000;
/// How many of them are for chats without news: a run that finds nothing new stays cheap.
const MOST_IN_TURNS: u32 = 100;

/// What is found out. All of it is short work on maps, so that one lock is enough.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    /// The marks of this run's items that the account's update counters wait for.
    private_marks: Vec<u64>,
    /// Whether something could not be read that the counters must not move past.
    counters_held: bool,
    newest: HashMap<Peer, i32>,
    /// Basic groups, and the supergroup that each became.
    migrated: Vec<(Peer, Peer)>,
    peers_batches: u32,
    chats_failed: u64,
    parts: Parts,
    corrected: HashSet<(Peer, u64)>,
    /// Of how many messages it could not be read who reacted, or who voted, by chat, and why.
    unread_people: BTreeMap<(Peer, People), (u64, String)>,
    /// Requests for what chats have beside messages.
    details: u32,
    logs: HashMap<Peer, Arc<ChatLog>>,
    /// How many messages are gone from each chat, as this run found.
    gone: BTreeMap<Peer, u64>,
    /// Chats whose history was cleared.
    cleared: BTreeSet<Peer>,
}

/// So many deletions in one chat in one run are worth a word to the user: somebody may be clearing up.
const MANY_DELETIONS: u64 = 50;

/// Deletions that the user should hear of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletions {
    /// Chats that lost many messages, or were cleared.
    pub chats: u64,
    /// Messages that went from these chats, as far as the backup has them.
    pub messages: u64,
}

impl Ledger {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log of a chat: one in a run, whoever adds to it.
    pub(super) fn log(&self, peer: Peer) -> Arc<ChatLog> {
        self.pages().logs.entry(peer).or_insert_with(|| Arc::new(ChatLog::new(peer))).clone()
    }

    /// The number of the next batch of users and chats.
    pub(super) fn next_peers_batch(&self) -> u32 {
        let mut pages = self.pages();
        pages.peers_batches += 1;
        pages.peers_batches
    }

    /// Lets the account's counters wait for these items.
    pub(super) fn counters_wait_for(&self, marks: &[u64]) {
        self.pages().private_marks.extend(marks);
    }

    /// Keeps the account's counters where they are.
    pub(super) fn hold_counters(&self) {
        self.pages().counters_held = true;
    }

    /// What the counters wait for; `None` where they stay.
    pub(super) fn before_counters(&self) -> Option<Vec<u64>> {
        let pages = self.pages();
        (!pages.counters_held).then(|| pages.private_marks.clone())
    }

    /// Takes note of a message that updates told of: the list of chats may be older.
    pub(super) fn heard_of(&self, peer: Peer, id: i32) {
        let mut pages = self.pages();
        let newest = pages.newest.entry(peer).or_insert(id);
        *newest = id.max(*newest);
    }

    /// The newest message of a chat that updates told of.
    pub(super) fn newest(&self, peer: Peer) -> Option<i32> {
        self.pages().newest.get(&peer).copied()
    }

    /// Takes note that a basic group became a supergroup. Of two that claim the same group the first one has it.
    pub(super) fn migrated(&self, group: Peer, to: Peer) {
        let mut pages = self.pages();
        if !pages.migrated.iter().any(|(from, _)| *from == group) {
            pages.migrated.push((group, to));
        }
    }

    /// The group that a supergroup was before, as far as this run found.
    pub(super) fn former(&self, of: Peer) -> Option<Peer> {
        self.pages().migrated.iter().find(|(_, to)| *to == of).map(|(from, _)| *from)
    }

    /// All such groups.
    pub(super) fn formers(&self) -> BTreeSet<Peer> {
        self.pages().migrated.iter().map(|(from, _)| *from).collect()
    }

    /// Takes note that a message is gone.
    pub(super) fn gone(&self, peer: Peer) {
        *self.pages().gone.entry(peer).or_default() += 1;
    }

    /// Takes note that the history of a chat was cleared.
    pub(super) fn cleared(&self, peer: Peer) {
        self.pages().cleared.insert(peer);
    }

    /// The chats that lost many messages or all, and how many that were.
    pub(super) fn deletions(&self) -> BTreeMap<Peer, u64> {
        let pages = self.pages();
        let many = pages.gone.iter().filter(|(_, count)| **count >= MANY_DELETIONS).map(|(peer, count)| (*peer, *count));
        let cleared = pages.cleared.iter().map(|peer| (*peer, pages.gone.get(peer).copied().unwrap_or(0)));
        many.chain(cleared).collect()
    }

    /// Takes note of chats of which something could not be read.
    pub(super) fn chats_failed_too(&self, count: u64) {
        self.pages().chats_failed += count;
    }

    /// How many such chats there are so far.
    pub(super) fn chats_failed(&self) -> u64 {
        self.pages().chats_failed
    }

    /// Takes note of a message of which it could not be read who reacted or voted.
    pub(super) fn people_unread(&self, peer: Peer, what: People, error: String) {
        self.pages().unread_people.entry((peer, what)).or_insert((0, error)).0 += 1;
    }

    /// What is to be said of a chat about that.
    pub(super) fn unread_people(&self, of: Peer) -> Vec<Reason> {
        let pages = self.pages();
        let its = pages.unread_people.iter().filter(|((peer, _), _)| *peer == of);
        let told = its.map(|((_, what), (count, error))| match what {
            People::Reactors => Reason::ReactorsNotRead { count: *count, error: error.clone() },
            People::Voters => Reason::VotersNotRead { count: *count, error: error.clone() },
        });
        told.collect()
    }

    /// Takes note of a request for what a chat has beside messages; false where the run has made enough of them.
    pub(super) fn may_ask_details(&self) -> bool {
        let mut pages = self.pages();
        pages.details = pages.details.saturating_add(1);
        pages.details <= MOST_DETAILS
    }

    /// Leaves a few of them for chats whose turn it is.
    pub(super) fn details_in_turns(&self) {
        let mut pages = self.pages();
        pages.details = pages.details.max(MOST_DETAILS - MOST_IN_TURNS);
    }

    /// Whether it may make more of them.
    pub(super) fn has_details_left(&self) -> bool {
        self.pages().details < MOST_DETAILS
    }

    /// Makes no more of them: Telegram wants a wait.
    pub(super) fn no_more_details(&self) {
        self.pages().details = MOST_DETAILS;
    }

    /// Takes note that a part of the account was served, or why not.
    pub(super) fn part(&self, part: &'static str, missing: Option<Reason>) {
        self.pages().parts.insert(part, missing);
    }

    /// Takes note that a part of the account was served, of which the server counts `count` more than it listed.
    pub(super) fn listed(&self, part: &'static str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.part(part, (count > 0).then_some(Reason::ListShort { count }));
    }

    /// How many such parts are short.
    pub(super) fn lists_short(&self) -> u64 {
        self.pages().parts.values().filter(|because| matches!(because, Some(Reason::ListShort { .. }))).count() as u64
    }

    /// All parts so far.
    pub(super) fn parts(&self) -> Parts {
        self.pages().parts.clone()
    }

    /// Whether a chat's messages have yet to say that the file with this digest could not be had after all: true once.
    pub(super) fn corrects(&self, chat: Peer, digest: u64) -> bool {
        self.pages().corrected.insert((chat, digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_wait_for_all_private_items_unless_they_are_held() {
        let ledger = Ledger::default();
        ledger.counters_wait_for(&[1, 2]);
        ledger.counters_wait_for(&[3]);
        assert_eq!(ledger.before_counters(), Some(vec![1, 2, 3]));
        ledger.hold_counters();
        assert_eq!(ledger.before_counters(), None);
    }

    #[test]
    fn the_first_of_two_claims_and_the_newest_of_two_messages_count() {
        let (ledger, group) = (Ledger::default(), Peer::chat(1));
        ledger.migrated(group, Peer::channel(2));
        ledger.migrated(group, Peer::channel(3));
        assert_eq!((ledger.former(Peer::channel(2)), ledger.former(Peer::channel(3))), (Some(group), None));
        for id in [5, 9, 7] {
            ledger.heard_of(group, id);
        }
        assert_eq!((ledger.newest(group), ledger.newest(Peer::chat(2))), (Some(9), None));
        assert!(ledger.corrects(group, 1) && !ledger.corrects(group, 1));
        assert_eq!([ledger.next_peers_batch(), ledger.next_peers_batch()], [1, 2]);
    }
}
