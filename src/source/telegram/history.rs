//! Reading a chat's history page by page, upwards, over raw requests that a takeout can wrap.

use grammers_tl_types::{enums, functions, types};

use super::loose::Loosely;
use super::peers::PeerBook;
use super::run::Run;
use super::transport::CallError;
use crate::model::coverage::IdRange;
use crate::model::peer::Peer;

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
}

/// Reads pages of one chat.
pub(super) struct Reader<'a> {
    pub(super) run: &'a Run,
    pub(super) peer: Peer,
    pub(super) mode: Mode,
    /// The account's range of messages that is looked at.
    pub(super) range: Option<&'a types::MessageRange>,
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
            Messages::Messages(m) => {
                // Without a slice this is everything that the question was about, not everything in the chat.
                (Page { messages: m.messages, count: None, pts: None, unreadable: None }, m.users, m.chats)
            }
            Messages::Slice(m) => {
                let count = u64::try_from(m.count).ok().filter(|_| !m.inexact);
                (Page { messages: m.messages, count, pts: None, unreadable: None }, m.users, m.chats)
            }
            Messages::ChannelMessages(m) => {
                let count = u64::try_from(m.count).ok().filter(|_| !m.inexact);
                (Page { messages: m.messages, count, pts: Some(m.pts), unreadable: None }, m.users, m.chats)
            }
            Messages::NotModified(m) => {
                (Page { messages: vec![], count: u64::try_from(m.count).ok(), pts: None, unreadable: None }, vec![], vec![])
            }
        };
        self.run.learn(&users, &chats);
        page.messages.retain(|message| !matches!(message, enums::Message::Empty(_)));
        // In place: a message takes some kilobytes even when it says little.
        page.messages.sort_unstable_by_key(enums::Message::id);
        page.messages.dedup_by_key(|message| message.id());
        page
    }

    /// The first messages from id `from` on, at most a page of them, none beyond `last`.
    ///
    /// # Errors
    /// When Telegram refuses.
    pub(super) async fn upwards(&self, from: i32, last: i32) -> Result<Page, CallError> {
        match self.window(from, last, 0, PAGE).await {
            Err(CallError::Unreadable(_)) => self.around(from, last).await,
            Ok(page) if page.messages.is_empty() => self.confirmed(page, from, last).await,
            page => page,
        }
    }

    /// Asks for an empty page once more, from its other end: nothing is taken for complete, or for deleted, on the word of one answer.
    async fn confirmed(&self, empty: Page, from: i32, last: i32) -> Result<Page, CallError> {
        let mut newest = self.ask(Place { offset_id: last.saturating_add(1), offset_date: 0, add_offset: 0, limit: 1 }).await?;
        newest.messages.retain(|message| (from..=last).contains(&message.id()));
        let Some(at) = newest.messages.first().map(enums::Message::id) else { return Ok(empty) };
        // Downwards from there: a server may well answer this way what it does not answer the other.
        let mut page = self.ask(Place { offset_id: at.saturating_add(1), offset_date: 0, add_offset: 0, limit: PAGE }).await?;
        page.messages.retain(|message| (from..=last).contains(&message.id()));
        if page.messages.len() < usize::try_from(PAGE).unwrap_or_default() {
            return Ok(if page.messages.is_empty() { newest } else { page });
        }
        Err(CallError::Unusable("Telegram gives an empty page where it has messages".into()))
    }

    /// Up to `limit` messages from id `from` on, without the first `skip` of them.
    async fn window(&self, from: i32, last: i32, skip: i32, limit: i32) -> Result<Page, CallError> {
        let mut page = self.ask(Place { offset_id: from, offset_date: 0, add_offset: -(skip + limit), limit }).await?;
        // Near the newest message servers fill the page with older ones.
        page.messages.retain(|message| (from..=last).contains(&message.id()));
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
            None => Ok(Page { messages: vec![], count: None, pts: None, unreadable: None }),
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
