//! One file, part by part.

use std::sync::{Arc, Mutex, PoisonError};

use grammers_tl_types::{enums, functions, types};

use crate::model::media::MediaRole;
use crate::model::peer::{Peer, PeerKind};
use crate::source::telegram::account::Api;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::stored::Seen;
use crate::source::telegram::tl::{FileKey, Location, PeerBook, Want, custom_emoji, document_want, photo_want, story_wants, wants};
use crate::source::telegram::wire::CallError;

/// Bytes per request. Telegram takes up to 1 MiB, but the protocol library cannot read an answer of that size.
pub(super) const PART_BYTES: u64 = 512 << 10;
/// How often one part may come back wrong before the file counts as broken.
const PART_TRIES: usize = 4;
/// How often a file's reference may expire while one part is asked for.
const REFRESHES: usize = 4;

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{0}")]
    Gone(String),
    #[error(transparent)]
    Fatal(#[from] TelegramError),
}

/// Fetches the parts of one file; shared by the requests in flight.
pub(super) struct Download {
    pub(super) api: Arc<Api>,
    pub(super) peers: Arc<PeerBook>,
    pub(super) key: FileKey,
    pub(super) size: u64,
    pub(super) seen: Seen,
    /// The location, and how often it was renewed.
    location: Mutex<(Location, u64)>,
    refreshing: tokio::sync::Mutex<()>,
}

impl Download {
    pub(super) fn new(api: Arc<Api>, peers: Arc<PeerBook>, key: FileKey, size: u64, seen: Seen, location: Location) -> Self {
        Self { api, peers, key, size, seen, location: Mutex::new((location, 0)), refreshing: tokio::sync::Mutex::new(()) }
    }

    /// The data centre that has it, as far as is known.
    pub(super) fn dc(&self) -> i32 {
        self.location().0.dc
    }

    fn location(&self) -> (Location, u64) {
        self.location.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The length that the part at `offset` must have.
    fn expected(&self, offset: u64) -> u64 {
        self.size.saturating_sub(offset).min(PART_BYTES)
    }

    /// Fetches the part at `offset`, a multiple of [`PART_BYTES`]. A shorter one than expected means that the file ends there.
    pub(super) async fn part(&self, offset: u64) -> Result<Vec<u8>, FileError> {
        let (mut tries, mut refreshes) = (0, 0);
        loop {
            let (location, generation) = self.location();
            let request = functions::upload::GetFile {
                precise: false,
                cdn_supported: false,
                location: location.input.clone(),
                offset: i64::try_from(offset).unwrap_or(i64::MAX),
                limit: i32::try_from(PART_BYTES).unwrap_or(i32::MAX),
            };
            match self.api.ask_file(&request, location.dc).await {
                Ok((enums::upload::File::File(file), dc)) => {
                    if dc != location.dc {
                        self.moved(dc);
                    }
                    let (length, expected) = (file.bytes.len() as u64, self.expected(offset));
                    if length == expected {
                        return Ok(file.bytes);
                    }
                    // Some files are not as long as Telegram says, and then stay so; their end is where a part comes short.
                    tries += 1;
                    if tries >= PART_TRIES {
                        // Only a file's first part can still tell how long it is.
                        if length < PART_BYTES && (length < expected || offset == 0) {
                            return Ok(file.bytes);
                        }
                        return Err(FileError::Gone(format!("a part came with {length} bytes instead of {expected}")));
                    }
                }
                // Asked for or not: its key and its ciphers are another protocol, and the file's own data centre has the bytes too.
                Ok((enums::upload::File::CdnRedirect(_), _)) => {
                    tries += 1;
                    if tries >= PART_TRIES {
                        return Err(FileError::Gone("Telegram insists on its delivery network (CDN) for this file".into()));
                    }
                }
                Err(error) if is_stale(&error) => {
                    refreshes += 1;
                    if refreshes > REFRESHES {
                        return Err(FileError::Gone(self.api.or_file_reason("fetching a file", error)?));
                    }
                    self.refresh(generation).await?;
                }
                Err(error) => return Err(FileError::Gone(self.api.or_file_reason("fetching a file", error)?)),
            }
        }
    }

    fn moved(&self, dc: i32) {
        self.location.lock().unwrap_or_else(PoisonError::into_inner).0.dc = dc;
    }

    /// Asks for a fresh reference, once for all parts in flight that find the old one stale.
    async fn refresh(&self, generation: u64) -> Result<(), FileError> {
        let _guard = self.refreshing.lock().await;
        if self.location().1 != generation {
            return Ok(());
        }
        let found = match self.look_again().await {
            Ok(found) => found,
            Err(error) => return Err(FileError::Gone(self.api.or_reason("asking for a file again", error)?)),
        };
        let fresh = found.into_iter().find(|want| want.key == self.key).and_then(|want| match want.origin {
            crate::source::telegram::tl::Origin::Remote(location) => Some(location),
            _ => None,
        });
        let Some(fresh) = fresh else {
            return Err(FileError::Gone("what showed the file does not show it any more".into()));
        };
        let mut location = self.location.lock().unwrap_or_else(PoisonError::into_inner);
        *location = (fresh, generation + 1);
        Ok(())
    }

    /// What is to be seen where the file was seen.
    async fn look_again(&self) -> Result<Vec<Want>, CallError> {
        match &self.seen {
            Seen::Message(peer, id) => {
                let messages = messages_by_id(&self.api, &self.peers, *peer, &[*id]).await?;
                Ok(messages.iter().flat_map(wants).collect())
            }
            Seen::Story(id) => {
                let request = functions::stories::GetStoriesById { peer: enums::InputPeer::PeerSelf, id: vec![*id] };
                let enums::stories::Stories::Stories(stories) = self.api.ask(&request).await?;
                Ok(stories
                    .stories
                    .iter()
                    .flat_map(|story| match story {
                        enums::StoryItem::Item(story) => story_wants(&story.media),
                        _ => vec![],
                    })
                    .collect())
            }
            Seen::Userpic(id) => {
                let request = functions::photos::GetUserPhotos { user_id: enums::InputUser::UserSelf, offset: -1, max_id: *id, limit: 1 };
                let photos = match self.api.ask(&request).await? {
                    enums::photos::Photos::Photos(photos) => photos.photos,
                    enums::photos::Photos::Slice(photos) => photos.photos,
                };
                Ok(photos
                    .iter()
                    .filter_map(|photo| match photo {
                        enums::Photo::Photo(photo) => photo_want(photo, MediaRole::Userpic),
                        enums::Photo::Empty(_) => None,
                    })
                    .collect())
            }
            // They were listed a moment ago, and are listed by the next run again.
            Seen::Section(..) | Seen::Part(..) => Ok(vec![]),
            Seen::Emoji(id) => {
                let documents = self.api.ask(&functions::messages::GetCustomEmojiDocuments { document_id: vec![*id] }).await?;
                Ok(documents
                    .iter()
                    .filter_map(|document| match document {
                        enums::Document::Document(document) => document_want(document, MediaRole::CustomEmoji),
                        enums::Document::Empty(_) => None,
                    })
                    .collect())
            }
        }
    }
}

fn is_stale(error: &CallError) -> bool {
    error.rpc().is_some_and(|rpc| rpc.code == 400 && rpc.name.starts_with("FILE_REFERENCE_"))
}

/// Single messages of a chat, as they are now; those that are gone come as empty ones or not at all.
pub(crate) async fn messages_by_id(api: &Api, peers: &PeerBook, peer: Peer, ids: &[i32]) -> Result<Vec<enums::Message>, CallError> {
    let id = ids.iter().map(|&id| types::InputMessageId { id }.into()).collect();
    let answer = match (peer.kind, peers.input_channel(peer)) {
        (PeerKind::Channel, Some(channel)) => api.ask(&functions::channels::GetMessages { channel, id }).await?,
        (PeerKind::Channel, None) => return Err(CallError::Unusable("Telegram did not describe the channel".into())),
        _ => api.ask(&functions::messages::GetMessages { id }).await?,
    };
    Ok(match answer {
        enums::messages::Messages::Messages(page) => page.messages,
        enums::messages::Messages::Slice(page) => page.messages,
        enums::messages::Messages::ChannelMessages(page) => page.messages,
        enums::messages::Messages::NotModified(_) => vec![],
    })
}

/// The ids of custom emoji of many messages, each once.
pub(crate) fn emoji_of(messages: &[enums::Message]) -> Vec<i64> {
    let mut ids: Vec<i64> = messages.iter().flat_map(custom_emoji).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
