//! What a request is about, for faults and the log.

use grammers_tl_types::{Deserializable, Identifiable, enums, functions};

/// The peer or file, and the place in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// Bare id of a peer or file.
    pub(crate) peer: Option<i64>,
    /// Message id, or bytes.
    pub(crate) offset: Option<i64>,
    /// Messages, or bytes.
    pub(crate) limit: Option<i64>,
}

impl Target {
    /// Reads the arguments of the methods that read pages and parts; of others nothing is told.
    pub(crate) fn of(id: u32, arguments: &[u8]) -> Self {
        Self::read(id, arguments).unwrap_or_default()
    }

    fn read(id: u32, arguments: &[u8]) -> Option<Self> {
        let page = |peer: &enums::InputPeer, offset: i32, limit: i32| Self {
            peer: peer_id(peer),
            offset: Some(offset.into()),
            limit: Some(limit.into()),
        };
        let only = |peer: Option<i64>| Self { peer, ..Self::default() };
        Some(match id {
            functions::messages::GetHistory::CONSTRUCTOR_ID => {
                let r = functions::messages::GetHistory::from_bytes(arguments).ok()?;
                page(&r.peer, r.offset_id, r.limit)
            }
            functions::messages::Search::CONSTRUCTOR_ID => {
                let r = functions::messages::Search::from_bytes(arguments).ok()?;
                page(&r.peer, r.offset_id, r.limit)
            }
            functions::messages::GetDialogs::CONSTRUCTOR_ID => {
                let r = functions::messages::GetDialogs::from_bytes(arguments).ok()?;
                page(&r.offset_peer, r.offset_id, r.limit)
            }
            functions::messages::GetForumTopics::CONSTRUCTOR_ID => {
                let r = functions::messages::GetForumTopics::from_bytes(arguments).ok()?;
                page(&r.peer, r.offset_topic, r.limit)
            }
            functions::messages::GetMessagesReactions::CONSTRUCTOR_ID => {
                let r = functions::messages::GetMessagesReactions::from_bytes(arguments).ok()?;
                Self { peer: peer_id(&r.peer), offset: r.id.first().map(|id| i64::from(*id)), limit: Some(r.id.len() as i64) }
            }
            functions::upload::GetFile::CONSTRUCTOR_ID => {
                let r = functions::upload::GetFile::from_bytes(arguments).ok()?;
                Self { peer: file_id(&r.location), offset: Some(r.offset), limit: Some(r.limit.into()) }
            }
            functions::channels::GetMessages::CONSTRUCTOR_ID => {
                only(channel_id(&functions::channels::GetMessages::from_bytes(arguments).ok()?.channel))
            }
            functions::channels::GetFullChannel::CONSTRUCTOR_ID => {
                only(channel_id(&functions::channels::GetFullChannel::from_bytes(arguments).ok()?.channel))
            }
            functions::updates::GetChannelDifference::CONSTRUCTOR_ID => {
                let r = functions::updates::GetChannelDifference::from_bytes(arguments).ok()?;
                Self { peer: channel_id(&r.channel), offset: Some(r.pts.into()), limit: Some(r.limit.into()) }
            }
            functions::messages::GetFullChat::CONSTRUCTOR_ID => {
                only(Some(functions::messages::GetFullChat::from_bytes(arguments).ok()?.chat_id))
            }
            functions::channels::GetParticipants::CONSTRUCTOR_ID => {
                let r = functions::channels::GetParticipants::from_bytes(arguments).ok()?;
                Self { peer: channel_id(&r.channel), offset: Some(r.offset.into()), limit: Some(r.limit.into()) }
            }
            functions::channels::GetAdminLog::CONSTRUCTOR_ID => {
                let r = functions::channels::GetAdminLog::from_bytes(arguments).ok()?;
                Self { peer: channel_id(&r.channel), offset: Some(r.max_id), limit: Some(r.limit.into()) }
            }
            functions::messages::GetScheduledHistory::CONSTRUCTOR_ID => {
                only(peer_id(&functions::messages::GetScheduledHistory::from_bytes(arguments).ok()?.peer))
            }
            _ => return None,
        })
    }
}

fn peer_id(peer: &enums::InputPeer) -> Option<i64> {
    use enums::InputPeer as P;
    Some(match peer {
        P::Empty => return None,
        P::PeerSelf => super::world::SELF,
        P::Chat(p) => p.chat_id,
        P::User(p) => p.user_id,
        P::Channel(p) => p.channel_id,
        P::UserFromMessage(p) => p.user_id,
        P::ChannelFromMessage(p) => p.channel_id,
    })
}

fn channel_id(channel: &enums::InputChannel) -> Option<i64> {
    match channel {
        enums::InputChannel::Empty => None,
        enums::InputChannel::Channel(c) => Some(c.channel_id),
        enums::InputChannel::FromMessage(c) => Some(c.channel_id),
    }
}

fn file_id(location: &enums::InputFileLocation) -> Option<i64> {
    use enums::InputFileLocation as L;
    match location {
        L::InputDocumentFileLocation(l) => Some(l.id),
        L::InputPhotoFileLocation(l) => Some(l.id),
        L::InputPeerPhotoFileLocation(l) => Some(l.photo_id),
        _ => None,
    }
}
