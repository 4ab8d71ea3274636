//! What updates told since it was last written down: contents that nobody can ask for later, in the order of their coming.
//!
//! A message that is deleted a minute after it was sent, and what a message said between two edits, are in no history and in no
//! difference. They are kept here until the next run writes them. Everything else that happens is found by counters that move only
//! with what is stored ([`super::stored`]): so this may be dropped, or be incomplete, without a hole in what can be asked for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use grammers_tl_types::{Serializable, enums};

use super::tl::peer_of;
use crate::model::peer::Peer;

/// Bytes that are held at most. Beyond, contents are left out and counted: this is for a store that does not answer, or a flood.
const MOST_BYTES: usize = 32 << 20;

/// What a piece of news takes beside its content.
const OVERHEAD: usize = 64;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A message as it came, serialised: as a type it takes kilobytes even when it says little.
    Message {
        id: i32,
        bytes: Box<[u8]>,
        /// Whether it was there before.
        edited: bool,
    },
    /// Messages that were deleted.
    Gone(Vec<i32>),
    /// Reactions to a message changed.
    Reacted(i32),
    /// The history up to this message was cleared.
    Cleared(i64),
}

/// It, with where and when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct News {
    /// `None` where the update does not tell: ids of private chats and basic groups are unique in the account.
    pub(super) peer: Option<Peer>,
    /// When it came, Unix seconds.
    pub(super) at: i64,
    /// Whether it came while a run was under way, which may have been told of its end before anybody held it.
    pub(super) is_doubtful: bool,
    pub(super) what: What,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub(super) users: HashMap<i64, enums::User>,
    pub(super) chats: HashMap<i64, enums::Chat>,
    pub(super) news: Vec<News>,
    bytes: usize,
    left_out: u64,
    /// Whether something happened that has no content here.
    stirred: bool,
    recent: Recent,
}

/// The last versions of messages that came, by a digest: whoever fills gaps is told some of them twice.
#[derive(Clone, Debug, Default)]
struct Recent {
    digests: HashSet<u64>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

/// So many of them are known.
const MOST_RECENT: usize = 16 * 1024;

impl Recent {
    /// Takes note of a version; false where it came before.
    fn is_new(&mut self, peer: Peer, message: &enums::Message) -> bool {
        // Without what a server may tell otherwise each time, such as references to files and how often it was seen.
        let version = match message {
            enums::Message::Message(message) => {
                let reactions = message.reactions.as_ref().map(Serializable::to_bytes);
                Some((&message.message, message.edit_date, reactions, message.media.as_ref().map(std::mem::discriminant)))
            }
            _ => None,
        };
        let digest = self.hasher.hash_one((peer, message.id(), version));
        if !self.digests.insert(digest) {
            return false;
        }
        self.order.push_back(digest);
        if self.order.len() > MOST_RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.digests.remove(&oldest);
        }
        true
    }
}

fn id_and_peer(message: &enums::Message) -> Option<(i32, Peer)> {
    match message {
        enums::Message::Message(message) => Some((message.id, peer_of(&message.peer_id))),
        enums::Message::Service(message) => Some((message.id, peer_of(&message.peer_id))),
        enums::Message::Empty(_) => None,
    }
}

impl Heard {
    /// Whether nothing happened that a run would look for.
    pub fn is_empty(&self) -> bool {
        self.news.is_empty() && !self.stirred
    }

    /// Bytes that its contents take, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many contents did not fit.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes all of it out.
    pub(super) fn take_out(&mut self) -> Self {
        let recent = std::mem::take(&mut self.recent);
        Self { recent: Recent::default(), ..std::mem::replace(self, Self { recent, ..Self::default() }) }
    }

    /// Takes note that a run has ended: what came meanwhile is in doubt.
    pub(super) fn doubt(&mut self) {
        self.news.iter_mut().for_each(|news| news.is_doubtful = true);
    }

    /// Takes note that something may have happened which nothing told.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    /// Takes updates in, with the users and chats that they name.
    pub(super) fn take_in(&mut self, updates: Vec<enums::Update>, users: Vec<enums::User>, chats: Vec<enums::Chat>, at: i64) {
        let before = (self.news.len(), self.stirred);
        for update in updates {
            self.update(update, at);
        }
        // Who is online, and what was read, is no news.
        if before == (self.news.len(), self.stirred) {
            return;
        }
        for user in users {
            // One that is described in passing lacks what a full description had.
            let is_min = matches!(&user, enums::User::User(user) if user.min);
            if is_min && self.users.contains_key(&user.id()) {
                continue;
            }
            self.bytes += user.to_bytes().len() + OVERHEAD;
            self.bytes -= self.users.insert(user.id(), user).map_or(0, |old| (old.to_bytes().len() + OVERHEAD).min(self.bytes));
        }
        for chat in chats {
            let is_min = matches!(&chat, enums::Chat::Channel(channel) if channel.min);
            if is_min && self.chats.contains_key(&chat.id()) {
                continue;
            }
            self.bytes += chat.to_bytes().len() + OVERHEAD;
            self.bytes -= self.chats.insert(chat.id(), chat).map_or(0, |old| (old.to_bytes().len() + OVERHEAD).min(self.bytes));
        }
    }

    fn update(&mut self, update: enums::Update, at: i64) {
        use enums::Update;
        match update {
            Update::NewMessage(update) => self.message(update.message, false, at),
            Update::NewChannelMessage(update) => self.message(update.message, false, at),
            Update::EditMessage(update) => self.message(update.message, true, at),
            Update::EditChannelMessage(update) => self.message(update.message, true, at),
            Update::DeleteMessages(update) => self.push(None, at, What::Gone(update.messages)),
            Update::DeleteChannelMessages(update) => {
                self.push(Some(Peer::channel(update.channel_id)), at, What::Gone(update.messages));
            }
            Update::MessageReactions(update) => self.push(Some(peer_of(&update.peer)), at, What::Reacted(update.msg_id)),
            Update::ChannelAvailableMessages(update) => {
                self.push(Some(Peer::channel(update.channel_id)), at, What::Cleared(update.available_min_id.into()));
            }
            // Chats that come, go, or changed in a way that has to be asked for.
            Update::Channel(_) | Update::Chat(_) | Update::ChannelTooLong(_) | Update::PtsChanged => self.stirred = true,
            _ => {}
        }
    }

    fn message(&mut self, message: enums::Message, edited: bool, at: i64) {
        match id_and_peer(&message) {
            Some((id, peer)) => {
                if self.recent.is_new(peer, &message) {
                    self.push(Some(peer), at, What::Message { id, bytes: message.to_bytes().into(), edited });
                }
            }
            // One of the account's own, told by its number alone.
            None => self.stirred = true,
        }
    }

    fn push(&mut self, peer: Option<Peer>, at: i64, what: What) {
        let bytes = OVERHEAD
            + match &what {
                What::Message { bytes, .. } => bytes.len(),
                What::Gone(ids) => ids.len() * size_of::<i32>(),
                What::Reacted(_) | What::Cleared(_) => 0,
            };
        if self.bytes + bytes > MOST_BYTES {
            self.left_out += 1;
            self.stirred = true;
            return;
        }
        self.bytes += bytes;
        self.news.push(News { peer, at, is_doubtful: false, what });
    }

    /// Puts what was taken out and could not be written before what came meanwhile.
    pub(super) fn put_back(&mut self, mut earlier: Self) {
        let later = std::mem::take(self);
        earlier.recent = later.recent;
        earlier.stirred |= later.stirred;
        earlier.left_out += later.left_out;
        for news in later.news {
            earlier.push(news.peer, news.at, news.what);
        }
        earlier.users.extend(later.users);
        earlier.chats.extend(later.chats);
        *self = earlier;
    }
}

#[cfg(test)]
mod tests {
    use grammers_tl_types::types;

    use super::*;

    fn gone(ids: Vec<i32>) -> enums::Update {
        types::UpdateDeleteMessages { messages: ids, pts: 1, pts_count: 1 }.into()
    }

    #[test]
    fn what_is_taken_out_and_put_back_comes_first_and_stays_bounded() {
        let mut heard = Heard::default();
        heard.take_in(vec![types::UpdateUser { user_id: 1 }.into()], vec![], vec![], 5);
        assert!(heard.is_empty(), "a user's new picture is no news");
        heard.take_in(vec![gone(vec![1])], vec![], vec![], 5);
        let earlier = heard.take_out();
        heard.take_in(vec![gone(vec![2]), types::UpdateChannel { channel_id: 3 }.into()], vec![], vec![], 6);
        heard.put_back(earlier);
        let ids: Vec<_> = heard.news.iter().map(|news| news.what.clone()).collect();
        assert_eq!(ids, [What::Gone(vec![1]), What::Gone(vec![2])]);
        assert_eq!(heard.left_out(), 0);
        let many = vec![gone(vec![0; 1 << 20]); 9];
        heard.take_in(many, vec![], vec![], 7);
        assert!(heard.bytes() <= MOST_BYTES && heard.left_out() == 2, "{} bytes, {} left out", heard.bytes(), heard.left_out());
    }
}
