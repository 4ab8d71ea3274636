//! What tells a changed message from an unchanged one: a keyed digest of it, without what changes by itself.
//!
//! The local state keeps 8 bytes per message. They are keyed, so that whoever reads the state cannot test guesses about texts;
//! views, forwards and file references are left out, or every look at a channel would find everything changed.

use grammers_tl_types::{Serializable, enums};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Makes fingerprints under one key.
pub(crate) struct Fingerprints {
    key: Zeroizing<[u8; 32]>,
}

impl Fingerprints {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(key) }
    }

    /// The fingerprint of any bytes.
    pub(crate) fn of_bytes(&self, bytes: &[u8]) -> u64 {
        // A prefix key is a sound MAC here: the digest is cut to 8 of 32 bytes, so it cannot be extended.
        let digest = Sha256::new().chain_update(&self.key[..]).chain_update(bytes).finalize();
        digest.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)).unwrap_or_default()
    }

    /// The fingerprint of a message. A rich one that comes in part has that of the whole one: this is how it is stored.
    pub(crate) fn of(&self, message: &enums::Message) -> u64 {
        let print = self.of_part(message);
        let is_rich = matches!(message, enums::Message::Message(message) if message.rich_message.is_some());
        if is_rich { self.of_bytes(&print.to_le_bytes()) } else { print }
    }

    /// The fingerprint of a rich message that is stored in part, as earlier versions stored all of them: it differs from that of the whole
    /// one, so that whoever looks again finds it changed.
    pub(crate) fn of_part(&self, message: &enums::Message) -> u64 {
        match message {
            enums::Message::Message(message) => {
                let mut steady = message.clone();
                steady.views = None;
                steady.forwards = None;
                steady.replies = None;
                steady.media_unread = false;
                steady.mentioned = false;
                steady.factcheck = None;
                steady.rich_message = None;
                if let Some(media) = &mut steady.media {
                    settle(media);
                }
                if let Some(enums::MessageReplyHeader::Header(reply)) = &mut steady.reply_to {
                    reply.reply_media = None;
                }
                settle_reactions(steady.reactions.as_mut());
                self.of_bytes(&steady.to_bytes())
            }
            // What happened does not change afterwards; only reactions to it do.
            enums::Message::Service(message) => {
                let mut bytes = message.id.to_bytes();
                message.date.serialize(&mut bytes);
                let mut reactions = message.reactions.clone();
                settle_reactions(reactions.as_mut());
                if let Some(reactions) = reactions {
                    reactions.serialize(&mut bytes);
                }
                self.of_bytes(&bytes)
            }
            enums::Message::Empty(message) => self.of_bytes(&message.to_bytes()),
        }
    }
}

/// Whether a message has only the beginning of its rich text with it.
pub(crate) fn is_in_part(message: &enums::Message) -> bool {
    let enums::Message::Message(message) = message else { return false };
    matches!(&message.rich_message, Some(enums::RichMessage::Message(rich)) if rich.part)
}

fn settle_reactions(reactions: Option<&mut enums::MessageReactions>) {
    if let Some(enums::MessageReactions::Reactions(reactions)) = reactions {
        reactions.min = false;
        for enums::MessagePeerReaction::Reaction(recent) in reactions.recent_reactions.iter_mut().flatten() {
            recent.unread = false;
        }
    }
}

fn settle_photo(photo: Option<&mut enums::Photo>) {
    if let Some(enums::Photo::Photo(photo)) = photo {
        photo.file_reference.clear();
        photo.access_hash = 0;
    }
}

fn settle_document(document: Option<&mut enums::Document>) {
    if let Some(enums::Document::Document(document)) = document {
        document.file_reference.clear();
        document.access_hash = 0;
    }
}

fn settle(media: &mut enums::MessageMedia) {
    use enums::MessageMedia as Media;
    match media {
        Media::Photo(media) => {
            settle_photo(media.photo.as_mut());
            settle_document(media.video.as_mut());
        }
        Media::Document(media) => {
            settle_document(media.document.as_mut());
            settle_photo(media.video_cover.as_mut());
            // Transcodes come and go on the server.
            media.alt_documents = None;
        }
        Media::Game(media) => {
            let enums::Game::Game(game) = &mut media.game;
            settle_photo(Some(&mut game.photo));
            settle_document(game.document.as_mut());
        }
        // The page may change for everybody at any time; the message did not.
        Media::WebPage(media) => media.webpage = enums::WebPage::NotModified(blank_page()),
        Media::Poll(media) => {
            if let Some(attached) = &mut media.attached_media {
                settle(attached);
            }
            let enums::PollResults::Results(results) = &mut media.results;
            results.min = false;
            results.has_unread_votes = false;
            results.recent_voters = None;
            results.solution_media = None;
        }
        Media::PaidMedia(media) => media.extended_media.iter_mut().for_each(settle_extended),
        Media::Invoice(media) => media.extended_media.iter_mut().for_each(settle_extended),
        Media::Story(media) => media.story = None,
        Media::Empty
        | Media::Geo(_)
        | Media::Contact(_)
        | Media::Unsupported
        | Media::Venue(_)
        | Media::GeoLive(_)
        | Media::Dice(_)
        | Media::Giveaway(_)
        | Media::GiveawayResults(_)
        | Media::ToDo(_)
        | Media::VideoStream(_) => {}
    }
}

fn settle_extended(media: &mut enums::MessageExtendedMedia) {
    if let enums::MessageExtendedMedia::Media(media) = media {
        settle(&mut media.media);
    }
}

fn blank_page() -> grammers_tl_types::types::WebPageNotModified {
    grammers_tl_types::types::WebPageNotModified { cached_page_views: None }
}
