//! The list of chats for people: what there is, and how much of it.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use grammers_tl_types::{enums, functions};

use super::accounts::Account;
use super::api::Api;
use super::dialogs::{Dialog, DialogReader};
use super::error::TelegramError;
use super::options::ExportOptions;
use super::peers::PeerBook;
use super::source::run_id;
use super::state::StateStore;
use crate::model::chat::ChatType;
use crate::model::peer::Peer;

/// A chat of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatSummary {
    /// The chat.
    pub peer: Peer,
    /// Its type; `None` where Telegram did not tell.
    pub kind: Option<ChatType>,
    /// Its name; `None` for a deleted account.
    pub name: Option<String>,
    /// Public name without `@`.
    pub username: Option<String>,
    /// Whether it is in the archive.
    pub archived: bool,
    /// How much there is, where it was asked for and could be had.
    pub size: Option<ChatSize>,
}

/// How much there is in a chat, as Telegram counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChatSize {
    /// Messages.
    pub messages: u64,
    /// Of these, with a photo.
    pub photos: u64,
    /// With a video, round ones and animations included.
    pub videos: u64,
    /// With a voice message or music.
    pub audio: u64,
    /// With another file.
    pub files: u64,
}

impl Account {
    /// Lists the account's chats in Telegram's order.
    ///
    /// # Cost
    /// A request per 100 chats; with `sizes` two more per chat.
    ///
    /// # Errors
    /// When the list cannot be read; a size that cannot be had is left out.
    pub fn chats(&self, sizes: bool) -> Result<Vec<ChatSummary>, TelegramError> {
        let local = |source| TelegramError::Local { path: self.state.path().display().to_string(), source };
        let state = Arc::new(StateStore::open(self.state.clone(), self.user.user_id).map_err(local)?);
        let api = Api::new(self.client.clone(), &self.name, state, &ExportOptions::default());
        let peers = PeerBook::new(self.user.user_id);
        self.threads.runtime().block_on(list(&api, &peers, sizes))
    }
}

async fn list(api: &Api, peers: &PeerBook, sizes: bool) -> Result<Vec<ChatSummary>, TelegramError> {
    let run = run_id(jiff::Timestamp::now())?;
    let reader = DialogReader { api, peers, run: &run };
    let dialogs = reader.all(&[]).await;
    let dialogs = dialogs.map_err(|error| TelegramError::from_call(&api.account, "the list of chats cannot be read", error))?;
    let summaries = stream::iter(dialogs).map(|dialog| async move {
        let size = if sizes { size_of(api, peers, &dialog).await? } else { None };
        Ok::<_, TelegramError>(ChatSummary {
            peer: dialog.peer,
            kind: peers.chat_type(dialog.peer),
            name: peers.name(dialog.peer),
            username: peers.username(dialog.peer),
            archived: dialog.folder == Some(1),
            size,
        })
    });
    let mut summaries = summaries.buffered(api.client.caps().message_requests.max(1));
    let mut listed = Vec::new();
    while let Some(summary) = summaries.next().await {
        listed.push(summary?);
    }
    Ok(listed)
}

async fn size_of(api: &Api, peers: &PeerBook, dialog: &Dialog) -> Result<Option<ChatSize>, TelegramError> {
    let Some(peer) = peers.input(dialog.peer) else { return Ok(None) };
    let newest = functions::messages::GetHistory {
        peer: peer.clone(),
        offset_id: 0,
        offset_date: 0,
        add_offset: 0,
        limit: 1,
        max_id: 0,
        min_id: 0,
        hash: 0,
    };
    let messages = match api.ask_plainly(&newest).await {
        Ok(enums::messages::Messages::Messages(page)) => page.messages.len() as u64,
        Ok(enums::messages::Messages::Slice(page)) => u64::try_from(page.count).unwrap_or_default(),
        Ok(enums::messages::Messages::ChannelMessages(page)) => u64::try_from(page.count).unwrap_or_default(),
        Ok(enums::messages::Messages::NotModified(page)) => u64::try_from(page.count).unwrap_or_default(),
        Err(error) => {
            api.or_reason("counting messages", error)?;
            return Ok(None);
        }
    };
    let mut size = ChatSize { messages, ..ChatSize::default() };
    type Filter = enums::MessagesFilter;
    let filters = vec![
        Filter::InputMessagesFilterPhotos,
        Filter::InputMessagesFilterVideo,
        Filter::InputMessagesFilterRoundVideo,
        Filter::InputMessagesFilterGif,
        Filter::InputMessagesFilterVoice,
        Filter::InputMessagesFilterMusic,
        Filter::InputMessagesFilterDocument,
    ];
    let request = functions::messages::GetSearchCounters { peer, saved_peer_id: None, top_msg_id: None, filters };
    match api.ask_plainly(&request).await {
        Ok(counters) => {
            for enums::messages::SearchCounter::Counter(counter) in counters {
                let count = u64::try_from(counter.count).unwrap_or_default();
                match counter.filter {
                    Filter::InputMessagesFilterPhotos => size.photos += count,
                    Filter::InputMessagesFilterVideo | Filter::InputMessagesFilterRoundVideo | Filter::InputMessagesFilterGif => {
                        size.videos += count;
                    }
                    Filter::InputMessagesFilterVoice | Filter::InputMessagesFilterMusic => size.audio += count,
                    Filter::InputMessagesFilterDocument => size.files += count,
                    _ => {}
                }
            }
        }
        Err(error) => {
            api.or_reason("counting media", error)?;
        }
    }
    Ok(Some(size))
}
