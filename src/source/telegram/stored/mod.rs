//! What earlier runs stored for good, so that a run without the identity knows where to go on.
//!
//! Ids, ranges, media ids and keyed digests: never titles, names or texts. Commit first, then state: an item's effect is applied
//! when its mark comes back in [`crate::source::Source::committed`], so a state that lags costs a little work and loses nothing.
//! [`StateStore`] keeps that order.

mod digests;
mod left_out;
mod messages;
mod missing;
mod ranges;
mod store;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;

use serde::{Deserialize, Serialize};

use crate::model::account::Section;
use crate::model::coverage::Verdict;
use crate::model::part::Part;
use crate::model::peer::Peer;
use crate::model::reason::Reason;

pub(super) use digests::Digests;
pub(super) use left_out::{LeftFile, LeftOut};
pub(super) use messages::{Held, Print};
pub(super) use missing::{Missing, Seen};
pub(super) use ranges::Ranges;
pub(super) use store::StateStore;

/// The version of the stored form. 1 had sentences for reasons, 2 no parts of chats, and digests of media without their names; both are
/// read.
const VERSION: u8 = 3;

/// What is known about one chat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ChatState {
    /// Ids that were paged over completely.
    pub(super) ranges: Ranges,
    /// Ids that were paged over for the account's own messages only.
    #[serde(skip_serializing_if = "Ranges::is_empty")]
    pub(super) own_ranges: Ranges,
    /// The messages that are held.
    pub(super) messages: Held,
    /// The channel's update counter as of the last look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pts: Option<i32>,
    /// Digest of the last `chat.json`, without what changes by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) info: Option<u64>,
    /// Digest of the last `coverage.json`, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) coverage: Option<u64>,
    /// What that coverage says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<VerdictKind>,
    /// The server's count of messages at the last look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_count: Option<u64>,
    /// Whether only the account's own messages are held.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) only_my: bool,
    /// The basic group that it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) migrated_from: Option<Peer>,
    /// Media that its messages name, and what became of them, by reason.
    pub(super) media: MediaCounts,
    /// Media that the options left out.
    #[serde(skip_serializing_if = "LeftOut::is_empty")]
    pub(super) left_out: LeftOut,
    /// When all of it was last looked at again, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reread: Option<i64>,
    /// Where looking at it again goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reread_from: Option<i32>,
    /// Whether it was seen to be gone or left, so that this is told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gone: Option<String>,
    /// Whether something of it could not be read at the last look: the next run looks again, news or not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) again: bool,
    /// Whether its numbers disagree with what was served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) doubt: Option<Doubt>,
    /// Messages that are not whole.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unfinished: BTreeMap<i32, Unfinished>,
    /// What it has beside messages.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) parts: BTreeMap<Part, PartState>,
}

/// What is known about a part of a chat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PartState {
    /// When it was last asked for, Unix seconds.
    pub(super) asked: i64,
    /// Digest of what is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<u64>,
    /// How many entries that has.
    pub(super) held: u64,
    /// How many the server counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counted: Option<u64>,
    /// Its newest entry, where they are numbered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) newest: Option<i64>,
    /// Why it could not be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<Reason>,
}

/// What a stored message lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unfinished {
    /// All but its beginning.
    InPart,
    /// Its media, which this layer of the schema does not have.
    Unsupported { layer: i32 },
}

/// Why a chat is in doubt, as a digest, and how often all of it was read again because of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Doubt {
    pub(super) about: u64,
    #[serde(default)]
    pub(super) readings: u8,
    /// Whether it is about the server's count alone.
    #[serde(default)]
    pub(super) of_count: bool,
    /// By how many the server counts fewer messages than it served.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) fewer: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Readings of a whole chat after which a count that still disagrees is the server's way of counting.
const SETTLING_READINGS: u8 = 2;

impl Doubt {
    /// Whether reading the chat once more would tell nothing new.
    pub(super) fn was_read_again(&self) -> bool {
        self.readings > 0 && (!self.of_count || self.is_settled())
    }

    /// Whether it is only told from now on.
    pub(super) fn is_settled(&self) -> bool {
        self.of_count && self.readings >= SETTLING_READINGS
    }
}

impl ChatState {
    fn add(&mut self, log: &LogEffect) {
        self.ranges.merge(&log.covered);
        self.own_ranges.merge(&log.own);
        self.media.add(&log.media);
        self.migrated_from = log.migrated_from.or(self.migrated_from);
        for (id, files) in &log.left_out {
            self.left_out.set(*id, files);
        }
        for &(id, unfinished) in &log.unfinished {
            match unfinished {
                Some(unfinished) => self.unfinished.insert(id, unfinished),
                None => self.unfinished.remove(&id),
            };
        }
        // Only where some are gone does it matter which were there before.
        let some_went = log.messages.iter().any(|(_, print)| print.is_none());
        let mut came = HashSet::new();
        for &(id, print) in &log.messages {
            match print {
                Some(print) => {
                    if some_went && !self.messages.contains(id) {
                        came.insert(id);
                    }
                    self.messages.insert(id, print);
                }
                None if self.messages.contains(id) => {
                    self.unfinished.remove(&id);
                    self.messages.remove(id);
                    // The server counted it at the last look, unless it came and went since.
                    if !came.remove(&id) {
                        self.server_count = self.server_count.map(|count| count.saturating_sub(1));
                    }
                }
                None => {}
            }
        }
    }
}

/// A [`Verdict`] without its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum VerdictKind {
    Complete,
    Incomplete,
    Unknown,
}

impl From<&Verdict> for VerdictKind {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Complete => Self::Complete,
            Verdict::Incomplete(_) => Self::Incomplete,
            Verdict::Unknown => Self::Unknown,
        }
    }
}

/// How many chats have which verdict, and what is wanted and not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoverageCounts {
    /// Chats of which everything is held that Telegram served.
    pub complete: u64,
    /// Chats of which something is missing, and what is known.
    pub incomplete: u64,
    /// Chats of which nothing can be said.
    pub unknown: u64,
    /// Messages held.
    pub messages: u64,
    /// Files that are wanted and could not be had.
    pub files_missing: u64,
    /// Parts of the account beside its chats that were not served.
    pub parts_missing: u64,
    /// Files that the options left out.
    pub files_left_out: u64,
}

/// Media of a chat, counted over all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct MediaCounts {
    pub(super) wanted: u64,
    pub(super) stored: u64,
    pub(super) skipped: BTreeMap<String, u64>,
}

impl MediaCounts {
    pub(super) fn add(&mut self, other: &Self) {
        self.wanted += other.wanted;
        self.stored += other.stored;
        for (reason, count) in &other.skipped {
            *self.skipped.entry(reason.clone()).or_default() += count;
        }
    }
}

/// The account's common update counters (private chats and basic groups).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) pts: i32,
    pub(super) qts: i32,
    pub(super) date: i32,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    version: u8,
    pub(super) user_id: i64,
    /// The key of all digests here.
    pub(super) key: [u8; 32],
    #[serde(default)]
    pub(super) chats: BTreeMap<Peer, ChatState>,
    /// Digests of the media that are stored.
    #[serde(default)]
    pub(super) media: Digests,
    /// Digests of media that version 2 stored: of their numbers, whatever they are called.
    #[serde(default, skip_serializing_if = "Digests::is_empty")]
    pub(super) nameless_media: Digests,
    /// Digests of the media that are not, with where they were seen.
    #[serde(default)]
    pub(super) missing: BTreeMap<u64, Missing>,
    /// Digests of users and chats as described.
    #[serde(default)]
    pub(super) peers: Digests,
    #[serde(default)]
    pub(super) sections: BTreeMap<Section, u64>,
    /// Parts of the account that were not served, with Telegram's reasons, as the last `account/coverage.json` has them.
    #[serde(default, rename = "missing_parts", alias = "unserved", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unserved: BTreeMap<String, Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) counters: Option<Counters>,
    /// The last chat whose turn it was to be read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rotated: Option<Peer>,
    /// What the backups call the memory that all this is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
    /// A takeout that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) takeout: Option<i64>,
    /// Whether a run with a takeout did not come to its end: what only a takeout tells may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) takeout_owed: bool,
    /// Before this moment Telegram grants no takeout, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) takeout_not_before: Option<i64>,
    /// The moment of the last run, Unix seconds: that of the next is later, whatever the clock says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) moment: Option<i64>,
}

impl State {
    fn new(user_id: i64) -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(Self {
            version: VERSION,
            user_id,
            key,
            chats: BTreeMap::new(),
            media: Digests::default(),
            nameless_media: Digests::default(),
            missing: BTreeMap::new(),
            peers: Digests::default(),
            sections: BTreeMap::new(),
            unserved: BTreeMap::new(),
            counters: None,
            rotated: None,
            memory: None,
            takeout: None,
            takeout_owed: false,
            takeout_not_before: None,
            moment: None,
        })
    }
}

/// What a batch of a chat's log brings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LogEffect {
    /// Ids that were paged over, for all messages and for the account's own.
    pub(super) covered: Ranges,
    pub(super) own: Ranges,
    /// Messages as they are now, `None` for gone ones.
    pub(super) messages: Vec<(i32, Option<Print>)>,
    pub(super) media: MediaCounts,
    /// What the options left out of messages, now; an empty list where there was something earlier.
    pub(super) left_out: Vec<(i32, Vec<LeftFile>)>,
    /// What messages lack, or do not any more.
    pub(super) unfinished: Vec<(i32, Option<Unfinished>)>,
    /// The basic group that a message says the chat was before.
    pub(super) migrated_from: Option<Peer>,
    /// Digests of files of which messages said that they are stored, and say now that they are not.
    pub(super) told: Vec<u64>,
}

/// What becomes true when an item is stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// A batch of a chat's log.
    Log(Peer, Box<LogEffect>),
    /// A file.
    Media(u64),
    /// Users and chats as described.
    Peers(Vec<u64>),
    /// A section of the account.
    Section(Section, u64),
    /// What of the account could not be had.
    AccountCoverage(BTreeMap<String, Reason>),
    /// A chat's description.
    Info { peer: Peer, digest: u64, migrated_from: Option<Peer>, only_my: bool },
    /// A chat's coverage.
    Coverage { peer: Peer, digest: u64, verdict: VerdictKind },
    /// A part of a chat.
    Part { peer: Peer, part: Part, state: PartState },
    /// Whether a chat's numbers disagree.
    Doubted { peer: Peer, doubt: Option<Doubt> },
    /// All of a chat as of this update counter.
    Looked { peer: Peer, pts: Option<i32>, server_count: Option<u64>, gone: Option<String>, again: bool },
    /// A chat looked at again up to this id, or to its end at this time, with the server's count where it gave one.
    Reread { peer: Peer, next: Option<i32>, done: Option<i64>, server_count: Option<u64> },
    /// All private chats as of these update counters.
    Counters(Counters),
    /// Everything that the takeout was begun for.
    TakenOut,
}

impl State {
    pub(super) fn coverage(&self) -> CoverageCounts {
        let mut counts = CoverageCounts::default();
        let misjudged = self.misjudged();
        for (peer, chat) in &self.chats {
            match chat.verdict {
                Some(VerdictKind::Complete) if misjudged.contains(peer) => counts.incomplete += 1,
                Some(VerdictKind::Complete) => counts.complete += 1,
                Some(VerdictKind::Incomplete) => counts.incomplete += 1,
                Some(VerdictKind::Unknown) | None => counts.unknown += 1,
            }
            counts.messages += chat.messages.len() as u64;
            counts.files_left_out += chat.left_out.counts().values().sum::<u64>();
        }
        counts.parts_missing = self.unserved.len() as u64;
        counts.files_missing = self.missing.values().filter(|missing| missing.reason.is_some()).count() as u64;
        counts
    }

    /// Basic groups that these chats were before, and that were never read, or not to their end.
    pub(super) fn unread_before(&self, chats: &HashSet<Peer>) -> Vec<Peer> {
        let before = self.chats.iter().filter(|(peer, _)| chats.contains(peer)).filter_map(|(_, chat)| chat.migrated_from);
        before.filter(|group| self.chats.get(group).is_none_or(|chat| chat.coverage.is_none() || chat.again)).collect()
    }

    /// Chats that are held as a whole and are not among those `listed`, as long as nothing says so yet. A group that became a supergroup
    /// stands in the list as that.
    pub(super) fn unlisted(&self, listed: &HashSet<Peer>) -> Vec<Peer> {
        let became: HashSet<Peer> = self.chats.values().filter_map(|chat| chat.migrated_from).collect();
        let whole = |chat: &ChatState| chat.verdict == Some(VerdictKind::Complete) && chat.gone.is_none() && !chat.ranges.is_empty();
        let unlisted = self.chats.iter().filter(|(peer, chat)| !listed.contains(peer) && !became.contains(peer) && whole(chat));
        unlisted.map(|(peer, _)| *peer).collect()
    }

    /// Chats whose coverage was written before one of their files turned out not to be had.
    pub(super) fn misjudged(&self) -> BTreeSet<Peer> {
        let of_messages = |missing: &&Missing| missing.reason.is_some() && matches!(missing.seen, Seen::Message(..));
        let failed = self.missing.values().filter(of_messages).flat_map(Missing::chats);
        failed.filter(|peer| self.chats.get(peer).is_some_and(|chat| chat.verdict == Some(VerdictKind::Complete))).collect()
    }

    /// Messages of a chat that still say of a file that it is stored, after it turned out not to be had; by the file's digest.
    pub(super) fn mistaken(&self, chat: Peer) -> BTreeMap<u64, BTreeSet<i32>> {
        let mistaken = self.missing.iter().filter(|(_, missing)| missing.is_mistaken_in(chat));
        mistaken.map(|(digest, missing)| (*digest, missing.shown_in(chat))).filter(|(_, ids)| !ids.is_empty()).collect()
    }

    /// Chats with such messages.
    pub(super) fn mistaken_chats(&self) -> BTreeSet<Peer> {
        let chats = |missing: &Missing| missing.chats().into_iter().filter(|chat| missing.is_mistaken_in(*chat)).collect::<Vec<_>>();
        self.missing.values().flat_map(chats).collect()
    }

    /// Whether a file of a part of a chat is missing that is worth asking for again.
    pub(super) fn lacks_files(&self, peer: Peer, part: Part, most_tries: u32) -> bool {
        let is_its = |missing: &Missing| matches!(missing.seen, Seen::Part(of, its, _) if (of, its) == (peer, part));
        self.missing.values().any(|missing| missing.tries < most_tries && is_its(missing))
    }

    /// The state as this version has it.
    pub(super) fn upgraded(mut self) -> Self {
        if self.version < VERSION {
            self.nameless_media = std::mem::take(&mut self.media);
        }
        Self { version: VERSION, ..self }
    }

    /// Knows a file that is not stored by its number and name.
    pub(super) fn rename_missing(&mut self, nameless: u64, digest: u64) {
        if nameless != digest
            && let Some(missing) = self.missing.remove(&nameless)
        {
            self.missing.entry(digest).or_insert(missing);
        }
    }

    /// Takes note that a file is on its way to the store, whatever kept it from there before.
    pub(super) fn expect(&mut self, digest: u64, seen: Seen) {
        let missing = self.missing.entry(digest).or_insert_with(|| Missing::new(seen));
        missing.reason = None;
        missing.told.clear();
    }

    /// Takes note that a message counts a file as stored that may only be on its way. Gives the reason when it failed there meanwhile.
    pub(super) fn promise(&mut self, digest: u64, chat: Peer, id: i32) -> Option<String> {
        let missing = self.missing.get_mut(&digest)?;
        if missing.late && missing.reason.is_some() {
            return missing.reason.clone();
        }
        if missing.seen != Seen::Message(chat, id) {
            missing.promised.entry(chat).or_default().insert(id);
        }
        None
    }

    /// Takes note that a file could not be had.
    pub(super) fn fail(&mut self, digest: u64, seen: Option<Seen>, reason: String) {
        let told = self.missing.get(&digest).map(|missing| missing.told.clone()).unwrap_or_default();
        if let Some(seen) = seen {
            self.expect(digest, seen);
        }
        if let Some(missing) = self.missing.get_mut(&digest) {
            missing.told = told;
            missing.reason = Some(reason);
            missing.tries = missing.tries.saturating_add(1);
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Log(peer, log) => {
                self.chats.entry(peer).or_default().add(&log);
                for digest in log.told {
                    if let Some(missing) = self.missing.get_mut(&digest).filter(|missing| missing.reason.is_some()) {
                        missing.told.insert(peer);
                    }
                }
            }
            Effect::Media(digest) => {
                self.media.0.insert(digest);
                self.missing.remove(&digest);
            }
            Effect::Peers(digests) => self.peers.0.extend(digests),
            Effect::Section(section, digest) => {
                self.sections.insert(section, digest);
            }
            Effect::AccountCoverage(unserved) => self.unserved = unserved,
            Effect::Info { peer, digest, migrated_from, only_my } => {
                let chat = self.chats.entry(peer).or_default();
                chat.info = Some(digest);
                chat.only_my = only_my;
                chat.migrated_from = migrated_from.or(chat.migrated_from);
            }
            Effect::Coverage { peer, digest, verdict } => {
                let chat = self.chats.entry(peer).or_default();
                (chat.coverage, chat.verdict) = (Some(digest), Some(verdict));
            }
            Effect::Part { peer, part, state } => {
                self.chats.entry(peer).or_default().parts.insert(part, state);
            }
            Effect::Doubted { peer, doubt } => self.chats.entry(peer).or_default().doubt = doubt,
            Effect::Looked { peer, pts, server_count, gone, again } => {
                let chat = self.chats.entry(peer).or_default();
                chat.pts = pts.or(chat.pts);
                chat.server_count = server_count.or(chat.server_count);
                (chat.gone, chat.again) = (gone, again);
            }
            Effect::Reread { peer, next, done, server_count } => {
                let chat = self.chats.entry(peer).or_default();
                chat.server_count = server_count.or(chat.server_count);
                chat.reread_from = next;
                if done.is_some() && chat.reread.is_some() {
                    self.rotated = Some(peer);
                }
                chat.reread = done.or(chat.reread);
            }
            Effect::Counters(counters) => self.counters = Some(counters),
            Effect::TakenOut => self.takeout_owed = false,
        }
    }
}
