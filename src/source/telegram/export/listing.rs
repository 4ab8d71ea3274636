//! The list of chats for people: what there is, and how much of it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::StreamExt;
use futures::stream;
use grammers_tl_types::{enums, functions};

use super::dialogs::{Dialog, DialogReader, Selection};
use super::source::run_id;
use crate::model::chat::ChatType;
use crate::model::peer::Peer;
use crate::source::telegram::account::{Account, Api};
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::options::ExportOptions;
use crate::source::telegram::stored::StateStore;
use crate::source::telegram::tl::{PeerBook, wants};
use crate::source::telegram::wire::CallError;

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
    /// Bytes of all their files, extrapolated from the newest hundred of each kind; `None` where it was not asked for or not told.
    pub bytes: Option<u64>,
}

impl ChatSize {
    /// Messages with any file.
    pub fn with_files(&self) -> u64 {
        self.photos + self.videos + self.audio + self.files
    }
}

/// How much is asked about each chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingDetail {
    /// What the list itself says.
    Names,
    /// How many messages there are.
    Messages,
    /// How many messages, how many of them with files, and about how many bytes.
    Estimate,
}

impl Account {
    /// Lists the account's chats in Telegram's order.
    ///
    /// # Cost
    /// A request per 100 chats; one more per chat with [`ListingDetail::Messages`], up to nine with [`ListingDetail::Estimate`].
    ///
    /// # Errors
    /// When the list cannot be read; a size that cannot be had is left out.
    pub fn chats(&self, detail: ListingDetail) -> Result<Vec<ChatSummary>, TelegramError> {
        self.chosen_chats(detail, &ExportOptions::default())
    }

    /// Lists the chats of the list that an export with these options would take, whatever it would take of each.
    ///
    /// # Cost
    /// As [`Account::chats`], for the chats that are chosen.
    ///
    /// # Errors
    /// As [`Account::chats`], and when a chat or folder that is named is not there.
    pub fn chosen_chats(&self, detail: ListingDetail, options: &ExportOptions) -> Result<Vec<ChatSummary>, TelegramError> {
        let (api, peers) = self.asking(options)?;
        self.threads.runtime().block_on(list(&api, &peers, detail, options))
    }

    /// What asks for the account outside of a backup: nothing is remembered of it, for no vault has this name.
    pub(super) fn asking(&self, options: &ExportOptions) -> Result<(Api, PeerBook), TelegramError> {
        let file = self.states.of("listing");
        let path = file.place();
        let state = StateStore::open(file, self.user.user_id).map_err(|source| TelegramError::local(path, source))?;
        let state = Arc::new(state.forgetting());
        let api = Api::new(self.client.clone(), self.observer.clone(), &self.name, state, options);
        Ok((api, PeerBook::new(self.user.user_id)))
    }
}

/// The chats of the list that an export with these options would take.
pub(super) async fn chosen(api: &Api, peers: &PeerBook, options: &ExportOptions) -> Result<Vec<Dialog>, TelegramError> {
    let run = run_id(jiff::Timestamp::now())?;
    let reader = DialogReader { api, peers, run: &run, lost: AtomicU64::default() };
    let dialogs = reader.all(&[]).await;
    let mut dialogs = dialogs.map_err(|error| TelegramError::from_call(&api.account, "the list of chats cannot be read", error))?;
    let selection = Selection::new(api, options).await?;
    reader.resolve(&selection, &mut dialogs, false).await?;
    dialogs.retain(|dialog| selection.takes(dialog, peers));
    Ok(dialogs)
}

async fn list(api: &Api, peers: &PeerBook, detail: ListingDetail, options: &ExportOptions) -> Result<Vec<ChatSummary>, TelegramError> {
    let summaries = stream::iter(chosen(api, peers, options).await?).map(|dialog| async move {
        let size = if detail == ListingDetail::Names { None } else { size_of(api, peers, &dialog, detail).await? };
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

async fn size_of(api: &Api, peers: &PeerBook, dialog: &Dialog, detail: ListingDetail) -> Result<Option<ChatSize>, TelegramError> {
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
    if detail == ListingDetail::Messages {
        return Ok(Some(size));
    }
    let mut counted = Vec::new();
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
    let request = functions::messages::GetSearchCounters { peer: peer.clone(), saved_peer_id: None, top_msg_id: None, filters };
    match api.ask_plainly(&request).await {
        Ok(counters) => {
            for enums::messages::SearchCounter::Counter(counter) in counters {
                let count = u64::try_from(counter.count).unwrap_or_default();
                counted.push((counter.filter.clone(), count));
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
    let mut bytes = 0_u64;
    for (filter, count) in counted.into_iter().filter(|(_, count)| *count > 0) {
        match sample(api, &peer, filter).await {
            Ok((0, _)) => {}
            Ok((messages, sampled)) => {
                let all = u128::from(sampled) * u128::from(count.max(messages)) / u128::from(messages);
                bytes = bytes.saturating_add(u64::try_from(all).unwrap_or(u64::MAX));
            }
            Err(error) => {
                api.or_reason("measuring media", error)?;
                return Ok(Some(size));
            }
        }
    }
    size.bytes = Some(bytes);
    Ok(Some(size))
}

/// The newest messages with media of a kind: how many, and the bytes of their files.
async fn sample(api: &Api, peer: &enums::InputPeer, filter: enums::MessagesFilter) -> Result<(u64, u64), CallError> {
    const SAMPLE: i32 = 100;
    let request = functions::messages::Search {
        peer: peer.clone(),
        q: String::new(),
        from_id: None,
        saved_peer_id: None,
        saved_reaction: None,
        top_msg_id: None,
        filter,
        min_date: 0,
        max_date: 0,
        offset_id: 0,
        add_offset: 0,
        limit: SAMPLE,
        max_id: 0,
        min_id: 0,
        hash: 0,
    };
    let messages = match api.ask_plainly(&request).await? {
        enums::messages::Messages::Messages(page) => page.messages,
        enums::messages::Messages::Slice(page) => page.messages,
        enums::messages::Messages::ChannelMessages(page) => page.messages,
        enums::messages::Messages::NotModified(_) => vec![],
    };
    let bytes = messages.iter().flat_map(wants).map(|want| want.size).fold(0, u64::saturating_add);
    Ok((messages.len() as u64, bytes))
}
