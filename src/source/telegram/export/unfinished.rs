//! Messages that are not whole yet: long rich messages, of which a page has only the beginning, and media of a later schema.

use std::borrow::Cow;
use std::collections::BTreeSet;

use grammers_tl_types::{LAYER, enums, functions};

use super::batch::{Batch, lacks};
use super::chat::Chat;
use super::chat_log::ChatLog;
use super::run::{BY_ID, Run};
use crate::model::peer::Peer;
use crate::source::telegram::error::{TelegramError, Trouble};
use crate::source::telegram::files::messages_by_id;
use crate::source::telegram::stored::Unfinished;
use crate::source::telegram::tl::is_in_part;
use crate::source::telegram::wire::CallError;

impl Run {
    /// The same messages, whole where Telegram gives the rest of them.
    pub(super) async fn whole<'a>(&self, peer: Peer, messages: &'a [enums::Message]) -> Result<Cow<'a, [enums::Message]>, TelegramError> {
        if !messages.iter().any(is_in_part) {
            return Ok(Cow::Borrowed(messages));
        }
        let mut all = messages.to_vec();
        for message in all.iter_mut().filter(|message| is_in_part(message)) {
            match self.rest_of(peer, message.id()).await {
                Ok(Some(whole)) => *message = whole,
                Ok(None) => tracing::warn!(%peer, id = message.id(), "the rest of a message is not given"),
                Err(error) => {
                    let reason = self.api.or_reason("asking for the rest of a message", error)?;
                    tracing::warn!(%peer, id = message.id(), reason, "the rest of a message cannot be read");
                }
            }
        }
        Ok(Cow::Owned(all))
    }

    async fn rest_of(&self, peer: Peer, id: i32) -> Result<Option<enums::Message>, CallError> {
        use enums::messages::Messages;
        let Some(peer) = self.peers.input(peer) else { return Ok(None) };
        let (messages, users, chats) = match self.api.ask(&functions::messages::GetRichMessage { peer, id }).await? {
            Messages::Messages(found) => (found.messages, found.users, found.chats),
            Messages::Slice(found) => (found.messages, found.users, found.chats),
            Messages::ChannelMessages(found) => (found.messages, found.users, found.chats),
            Messages::NotModified(_) => return Ok(None),
        };
        self.learn(&users, &chats);
        let is_whole = |message: &enums::Message| {
            matches!(message, enums::Message::Message(message) if message.id == id && message.rich_message.is_some())
                && !is_in_part(message)
        };
        Ok(messages.into_iter().find(is_whole))
    }
}

impl Chat {
    /// Messages that are stored unfinished and that may be had whole by now.
    pub(super) fn to_finish(&self) -> Vec<i32> {
        let later = |unfinished: &Unfinished| match unfinished {
            Unfinished::InPart => true,
            Unfinished::Unsupported { layer } => *layer < LAYER,
        };
        self.before.unfinished.iter().filter(|(_, unfinished)| later(unfinished)).map(|(id, _)| *id).collect()
    }

    /// Asks for such messages again.
    pub(super) async fn finish(&self, log: &ChatLog) -> Result<(), Trouble> {
        let mut batch = Batch::default();
        for ids in self.to_finish().chunks(BY_ID) {
            let asked: BTreeSet<i32> = ids.iter().copied().collect();
            let mut messages = messages_by_id(&self.run.api, &self.run.peers, self.peer(), ids).await?;
            messages.retain(|message| asked.contains(&message.id()));
            let mut whole = self.run.whole(self.peer(), &messages).await?.into_owned();
            // What lacks the same as before need not be written again.
            whole.retain(|message| lacks(message).as_ref() != self.before.unfinished.get(&message.id()));
            self.run.add_messages(log, &mut batch, &whole).await?;
        }
        self.run.flush(log, &mut batch).await?;
        Ok(())
    }
}
