//! Reading a chat's history page by page, upwards, over raw requests that a takeout can wrap.

use grammers_tl_types::{enums, functions, types};

use super::run::Run;
use crate::model::coverage::IdRange;
use crate::model::peer::Peer;
use crate::source::telegram::tl::{Loosely, PeerBook};
use crate::source::telegram::wire::CallError;

/// Messages per request.
pub(super) const PAGE: i32 = 100;

/// Which messages of a chat are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// All of them.
    All,
    /// Those that the account wrote.
    Own,
}

/// A page of messages.
pub(super) struct Page {
    /// Ascending by id.
    pub(super) messages: Vec<enums::Message>,
    /// The server's count of all messages.
    pub(super) count: Option<u64>,
    /// A channel's update counter.
    pub(super) pts: Option<i32>,
    /// Ids before the first message where something lies that this version cannot read.
    pub(super) unreadable: Option<IdRange>,
    /// Whether the server calls this everything that the question was about.
    whole: bool,
    /// Whether it surely begins where it was to begin.
    joined: bool,
    /// Whether there may be newer messages than those in it, as far as its length tells.
    pub(super) newer: bool,
}

impl Page {
    fn of(messages: Vec<enums::Message>) -> Self {
        Self { messages, count: None, pts: None, unreadable: None, whole: false, joined: false, newer: false }
    }
}

/// Reads pages of one chat.
pub(super) struct Reader<'a> {
    pub(super) run: &'a Run,
    pub(super) peer: Peer,
    pub(super) mode: Mode,
    /// The account's range of messages that is looked at.
    pub(super) range: Option<&'a types::MessageRange>,
    /// Whether messages beyond the last one asked for are taken where a page has them: the list of chats, which says what the newest
    /// is, may be older than they are.
    pub(super) beyond: bool,
}

fn input(peers: &PeerBook, peer: Peer) -> Result<enums::InputPeer, CallError> {
    peers.input(peer).ok_or_else(|| CallError::Unusable("Telegram did not describe the chat".into()))
}

/// What a page was asked for.
#[derive(Clone, Copy)]
struct Place {
    offset_id: i32,
    offset_date: i32,
    add_offset: i32,
    limit: i32,
}

impl Reader<'_> {
    async fn ask(&self, place: Place) -> Result<Page, CallError> {
        let peer = input(&self.run.peers, self.peer)?;
        let Place { offset_id, offset_date, add_offset, limit } = place;
        let api = &self.run.api;
        let answer = match self.mode {
            Mode::All => {
                let request =
                    functions::messages::GetHistory { peer, offset_id, offset_date, add_offset, limit, max_id: 0, min_id: 0, hash: 0 };
                api.ask_in(self.range, &Loosely(&request)).await?
            }
            Mode::Own => {
                let request = functions::messages::Search {
                    peer,
                    q: String::new(),
                    from_id: Some(enums::InputPeer::PeerSelf),
                    saved_peer_id: None,
                    saved_reaction: None,
                    top_msg_id: None,
                    filter: enums::MessagesFilter::InputMessagesFilterEmpty,
                    min_date: 0,
                    max_date: offset_date,
                    offset_id,
                    add_offset,
                    limit,
                    max_id: 0,
                    min_id: 0,
                    hash: 0,
                };
                api.ask_in(self.range, &Loosely(&request)).await?
            }
        };
        Ok(self.page(answer.0))
    }

    fn page(&self, answer: enums::messages::Messages) -> Page {
        use enums::messages::Messages;
        let (mut page, users, chats) = match answer {
            // Without a slice this is everything that the question was about, not everything in the chat.
            Messages::Messages(m) => (Page { whole: true, ..Page::of(m.messages) }, m.users, m.chats),
            Messages::Slice(m) => {
                let count = u64::try_from(m.count).ok().filter(|_| !m.inexact);
                (Page { count, ..Page::of(m.messages) }, m.users, m.chats)
            }
            Messages::ChannelMessages(m) => {
                let count = u64::try_from(m.count).ok().filter(|_| !m.inexact);
                (Page { count, pts: Some(m.pts), ..Page::of(m.messages) }, m.users, m.chats)
            }
            Messages::NotModified(m) => (Page { count: u64::try_from(m.count).ok(), ..Page::of(vec![]) }, vec![], vec![]),
        };
        self.run.learn(&users, &chats);
        page.messages.retain(|message| !matches!(message, enums::Message::Empty(_)));
        // In place: a message takes some kilobytes even when it says little.
        page.messages.sort_unstable_by_key(enums::Message::id);
        page.messages.dedup_by_key(|message| message.id());
        page
    }

    /// The first messages from id `from` on, about a page of them, none beyond `last` unless the reader takes them.
    ///
    /// # Errors
    /// When Telegram refuses.
    pub(super) async fn upwards(&self, from: i32, last: i32) -> Result<Page, CallError> {
        match self.window(from, last, 0, PAGE).await {
            Err(CallError::Unreadable(_)) => self.around(from, last).await,
            Ok(page) if page.messages.is_empty() => self.confirmed(page, from, last).await,
            Ok(page) if !page.joined && !self.begins_with(&page, from).await? => self.by_offset(from, last).await,
            page => page,
        }
    }

    /// Asks for an empty page once more, from its other end: nothing is taken for complete, or for deleted, on the word of one answer.
    async fn confirmed(&self, empty: Page, from: i32, last: i32) -> Result<Page, CallError> {
        let newest = self.below(last.saturating_add(1), 1).await?;
        let there = newest.messages.iter().any(|message| (from..=last).contains(&message.id()));
        if there { self.by_offset(from, last).await } else { Ok(empty) }
    }

    /// Whether nothing lies between `from` and a page that is shorter than it may be.
    async fn begins_with(&self, page: &Page, from: i32) -> Result<bool, CallError> {
        let Some(lowest) = page.messages.first().map(enums::Message::id).filter(|&lowest| lowest > from) else { return Ok(true) };
        let next = self.below(lowest, 1).await?;
        Ok(next.messages.iter().all(|message| message.id() < from || message.id() >= lowest))
    }

    /// The newest messages before an id, at most `limit`.
    async fn below(&self, offset_id: i32, limit: i32) -> Result<Page, CallError> {
        self.ask(Place { offset_id, offset_date: 0, add_offset: 0, limit }).await
    }

    /// The same as [`Reader::upwards`] where a server takes no negative `add_offset`, or gives pages shorter than were asked for:
    /// downwards in stretches that are small enough.
    async fn by_offset(&self, from: i32, last: i32) -> Result<Page, CallError> {
        let mut found = Page::of(vec![]);
        let (mut lower, mut width) = (from, PAGE);
        while lower <= last && found.messages.len() < usize::try_from(PAGE / 2).unwrap_or_default() {
            let upper = lower.saturating_add(width).min(last.saturating_add(1));
            match self.between_ids(lower, upper).await? {
                Some(page) => {
                    found.messages.extend(page.messages);
                    (found.count, found.pts) = (page.count.or(found.count), page.pts.or(found.pts));
                    if upper == i32::MAX {
                        break;
                    }
                    (lower, width) = (upper, width.saturating_mul(4));
                }
                None => width = (width / 2).max(1),
            }
        }
        if found.messages.is_empty() {
            return Err(CallError::Unusable("Telegram gives an empty page where it has messages".into()));
        }
        Ok(found)
    }

    /// All messages from id `lower` on and before `upper`; `None` where they are too many for memory.
    async fn between_ids(&self, lower: i32, upper: i32) -> Result<Option<Page>, CallError> {
        /// Messages that are held at most.
        const MOST: usize = 200;
        let mut found = Page::of(vec![]);
        let mut at = upper;
        loop {
            let mut page = self.below(at, PAGE).await?;
            (found.count, found.pts) = (page.count.or(found.count), page.pts.or(found.pts));
            let oldest = page.messages.first().map(enums::Message::id);
            page.messages.retain(|message| (lower..at).contains(&message.id()));
            found.messages.extend(page.messages);
            match oldest {
                Some(oldest) if oldest >= at => {
                    return Err(CallError::Unusable("Telegram gives newer messages where it was asked for older ones".into()));
                }
                Some(oldest) if oldest > lower => at = oldest,
                _ => break,
            }
            if found.messages.len() > MOST && upper - lower > 1 {
                return Ok(None);
            }
        }
        found.messages.sort_unstable_by_key(enums::Message::id);
        Ok(Some(found))
    }

    /// Up to `limit` messages from id `from` on, without the first `skip` of them.
    async fn window(&self, from: i32, last: i32, skip: i32, limit: i32) -> Result<Page, CallError> {
        let mut page = self.ask(Place { offset_id: from, offset_date: 0, add_offset: -(skip + limit), limit }).await?;
        let received = page.messages.len();
        let all = page.whole || page.count.is_some_and(|count| count <= received as u64);
        // A page is one piece of the history: with something older in it, or full, it has what lies next to `from`. One that is short
        // may have been cut by the server at the wrong end, to a round number.
        let full = received >= usize::try_from(limit).unwrap_or_default();
        let cut = received >= 10 && received.is_multiple_of(5);
        page.joined = all || full || !cut || page.messages.iter().any(|message| message.id() < from);
        // Near the newest message servers fill the page with older ones.
        let last = if self.beyond { i32::MAX } else { last };
        page.messages.retain(|message| (from..=last).contains(&message.id()));
        let only_newer = page.messages.len() == received;
        page.newer = !all && only_newer && (full || cut);
        Ok(page)
    }

    /// Reads what can be read of a page that cannot be read as a whole: the messages before the one at fault, or the next after it.
    async fn around(&self, from: i32, last: i32) -> Result<Page, CallError> {
        /// Messages in a row that are stepped over before the rest of the stretch is given up.
        const MOST: i32 = 20;
        let mut limit = PAGE / 2;
        while limit > 0 {
            match self.window(from, last, 0, limit).await {
                Err(CallError::Unreadable(_)) => limit /= 2,
                page => return page,
            }
        }
        let mut failure = None;
        for skip in 1..=MOST {
            match self.window(from, last, skip, 1).await {
                Err(CallError::Unreadable(what)) => failure = Some(CallError::Unreadable(what)),
                Err(error) => return Err(error),
                Ok(mut page) => {
                    let end = page.messages.first().map_or(i64::from(last), |message| i64::from(message.id()) - 1);
                    page.unreadable = Some(IdRange { first: from.into(), last: end });
                    return Ok(page);
                }
            }
        }
        // Nothing more that can be read: what there is at the end is left for a later version.
        match failure {
            Some(error) => Err(error),
            None => Ok(Page::of(vec![])),
        }
    }

    /// The newest message, with the chat's count.
    ///
    /// # Errors
    /// When Telegram refuses.
    pub(super) async fn newest(&self) -> Result<Page, CallError> {
        self.ask(Place { offset_id: 0, offset_date: 0, add_offset: 0, limit: 1 }).await
    }

    /// The ids between two moments, `from` inclusive and `till` exclusive; `None` when there are none.
    ///
    /// # Errors
    /// When Telegram refuses.
    pub(super) async fn between(&self, from: Option<i64>, till: Option<i64>, top: i32) -> Result<Option<IdRange>, CallError> {
        let before = async |date: i64| {
            let Ok(offset_date) = i32::try_from(date) else { return Ok(None) };
            let page = self.ask(Place { offset_id: 0, offset_date, add_offset: 0, limit: 1 }).await?;
            // Servers take the date as "at or before" or as "before"; the date itself decides.
            let newest = page.messages.iter().filter(|message| date_of(message).is_some_and(|own| i64::from(own) < date));
            Ok::<_, CallError>(newest.map(enums::Message::id).max())
        };
        let first = match from {
            Some(from) => before(from).await?.map_or(1, |id| i64::from(id) + 1),
            None => 1,
        };
        let last = match till {
            Some(till) => match before(till).await? {
                Some(id) => i64::from(id),
                None => return Ok(None),
            },
            None => i64::from(top),
        };
        Ok((first <= last).then_some(IdRange { first, last }))
    }
}

/// When a message was sent.
pub(super) fn date_of(message: &enums::Message) -> Option<i32> {
    match message {
        enums::Message::Message(message) => Some(message.date),
        enums::Message::Service(message) => Some(message.date),
        enums::Message::Empty(_) => None,
    }
}
