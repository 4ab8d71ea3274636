//! Who reacted to a message and who voted in a poll, where Telegram shows more than it sends along: asked for on request, because each
//! such message costs a request of its own.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use futures::stream;
use grammers_tl_types::{enums, functions, types};

use super::ledger::People;
use super::run::Run;
use crate::model::peer::Peer;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::options::Detail;
use crate::source::telegram::tl::votes;
use crate::source::telegram::wire::CallError;

/// People in one answer.
const PAGE: i32 = 100;

/// Whether more people reacted than the message names, and the others may be asked for.
fn lacks_people(message: &enums::Message) -> bool {
    let reactions = match message {
        enums::Message::Message(message) => message.reactions.as_ref(),
        enums::Message::Service(message) => message.reactions.as_ref(),
        enums::Message::Empty(_) => None,
    };
    let Some(enums::MessageReactions::Reactions(reactions)) = reactions else { return false };
    let named = reactions.recent_reactions.as_ref().map_or(0, Vec::len);
    let counted = reactions.results.iter().map(|enums::ReactionCount::Count(result)| i64::from(result.count)).fold(0, i64::saturating_add);
    reactions.can_see_list && i64::try_from(named).is_ok_and(|named| counted > named)
}

fn poll_of(message: &enums::Message) -> Option<(&types::Poll, &types::PollResults)> {
    let enums::Message::Message(message) = message else { return None };
    let Some(enums::MessageMedia::Poll(media)) = &message.media else { return None };
    let (enums::Poll::Poll(poll), enums::PollResults::Results(results)) = (&media.poll, &media.results);
    Some((poll, results))
}

impl Run {
    /// The same messages with everybody who reacted to them.
    pub(super) async fn with_reactors<'a>(
        &self,
        peer: Peer,
        messages: Cow<'a, [enums::Message]>,
    ) -> Result<Cow<'a, [enums::Message]>, TelegramError> {
        if !self.options.takes(Detail::Reactions) || !messages.iter().any(lacks_people) {
            return Ok(messages);
        }
        let ids: Vec<i32> = messages.iter().filter(|message| lacks_people(message)).map(enums::Message::id).collect();
        let mut asked = stream::iter(ids.clone()).map(|id| self.reactors(peer, id)).buffered(self.api.client.caps().message_requests);
        let mut found = Vec::new();
        while let Some(people) = asked.next().await {
            found.push(people);
        }
        drop(asked);
        let mut all = messages.into_owned();
        for (id, people) in ids.into_iter().zip(found) {
            let Some(people) = self.or_unread(peer, People::Reactors, people)? else { continue };
            let reactions = all.iter_mut().find(|message| message.id() == id).and_then(|message| match message {
                enums::Message::Message(message) => message.reactions.as_mut(),
                enums::Message::Service(message) => message.reactions.as_mut(),
                enums::Message::Empty(_) => None,
            });
            if let Some(enums::MessageReactions::Reactions(reactions)) = reactions {
                reactions.recent_reactions = Some(people);
            }
        }
        Ok(Cow::Owned(all))
    }

    async fn reactors(&self, peer: Peer, id: i32) -> Result<Vec<enums::MessagePeerReaction>, CallError> {
        let Some(peer) = self.peers.input(peer) else { return Ok(vec![]) };
        let (mut people, mut offset, mut asked) = (vec![], None, HashSet::new());
        while asked.insert(offset.clone()) {
            let request = functions::messages::GetMessageReactionsList {
                peer: peer.clone(),
                id,
                reaction: None,
                offset: offset.clone(),
                limit: PAGE,
            };
            let enums::messages::MessageReactionsList::List(page) = self.api.ask(&request).await?;
            self.learn(&page.users, &page.chats);
            people.extend(page.reactions);
            match page.next_offset {
                Some(next) => offset = Some(next),
                None => break,
            }
        }
        Ok(people)
    }

    /// Who voted in the polls among messages, by message.
    pub(super) async fn poll_votes(&self, peer: Peer, messages: &[enums::Message]) -> Result<HashMap<i32, String>, TelegramError> {
        let mut told = HashMap::new();
        if !self.options.takes(Detail::Votes) {
            return Ok(told);
        }
        let is_open = |message: &&enums::Message| {
            poll_of(message).is_some_and(|(poll, results)| poll.public_voters && results.total_voters.is_none_or(|voters| voters > 0))
        };
        let ids: Vec<i32> = messages.iter().filter(is_open).map(enums::Message::id).collect();
        let mut asked = stream::iter(ids.clone()).map(|id| self.votes_of(peer, id)).buffered(self.api.client.caps().message_requests);
        let mut found = Vec::new();
        while let Some(people) = asked.next().await {
            found.push(people);
        }
        for (id, people) in ids.into_iter().zip(found) {
            let poll = messages.iter().find(|message| message.id() == id).and_then(poll_of);
            if let (Some(people), Some((poll, _))) = (self.or_unread(peer, People::Voters, people)?, poll) {
                told.insert(id, votes(&people, &poll.answers, &self.peers));
            }
        }
        Ok(told)
    }

    async fn votes_of(&self, peer: Peer, id: i32) -> Result<Vec<enums::MessagePeerVote>, CallError> {
        let Some(peer) = self.peers.input(peer) else { return Ok(vec![]) };
        let (mut people, mut offset, mut asked) = (vec![], None, HashSet::new());
        while asked.insert(offset.clone()) {
            let request = functions::messages::GetPollVotes { peer: peer.clone(), id, option: None, offset: offset.clone(), limit: PAGE };
            let enums::messages::VotesList::List(page) = self.api.ask(&request).await?;
            self.learn(&page.users, &page.chats);
            people.extend(page.votes);
            match page.next_offset {
                Some(next) => offset = Some(next),
                None => break,
            }
        }
        Ok(people)
    }

    /// What was found; of what Telegram does not give, the chat's coverage says so.
    fn or_unread<T>(&self, peer: Peer, what: People, found: Result<T, CallError>) -> Result<Option<T>, TelegramError> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                let reason = match error.rpc() {
                    // The run goes on without: it is not worth a longer wait.
                    Some(rpc) if rpc.wait().is_some() => rpc.name.clone(),
                    _ => self.api.or_reason("asking who reacted or voted", error)?,
                };
                self.ledger.people_unread(peer, what, reason);
                Ok(None)
            }
        }
    }
}
