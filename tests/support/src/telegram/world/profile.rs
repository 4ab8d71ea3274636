//! What belongs to the account or to users besides messages: photos, stories, custom emoji.

use grammers_tl_types::{enums, types};

use super::media::Flavour;
use super::people::photo_payload;
use super::{Blank, FIRST_USER, Peer, SELF, World, blank};
use crate::telegram::files::{EXTRA, FileKind, file_id};

/// How many profile photos the account has had.
const OWN_PHOTOS: u64 = 5;
/// How many stories the account has posted, unless it is empty.
const STORIES: i32 = 12;

impl World {
    /// Ids of a user's profile photos, newest first.
    pub(crate) fn user_photos(&self, id: i64) -> Vec<i64> {
        let count = match self.user(id) {
            _ if id == SELF => OWN_PHOTOS,
            enums::User::User(user) if user.photo.is_some() => 1,
            _ => 0,
        };
        (0..count).map(|n| file_id(FileKind::Profile, photo_payload(Peer::User(id), n))).collect()
    }

    /// Ids of the account's stories.
    pub(crate) fn story_ids(&self) -> impl DoubleEndedIterator<Item = i32> + use<> {
        1..=if self.chats.len() > 1 { STORIES } else { 0 }
    }

    /// A story: photos and videos by turns, with a caption, some views and reactions.
    pub(crate) fn story(&self, id: i32) -> enums::StoryItem {
        let date = self.until - (STORIES - id) * 100_000;
        let serial = EXTRA + id as u64;
        let media: enums::MessageMedia = match id % 2 {
            0 => self.photo_media(file_id(FileKind::Photo, serial), date),
            _ => self.document_media(file_id(FileKind::Document, serial), Flavour::Video, date),
        };
        let mut story: types::StoryItem = Blank::zeros(16).object(&media).build();
        story.id = id;
        story.date = date;
        story.expire_date = date + 86_400;
        story.pinned = id % 3 == 0;
        story.public = true;
        story.out = true;
        story.caption = (id % 4 != 0).then(|| format!("Story {id} 🌅"));
        let mut views: types::StoryViews = blank(8);
        views.views_count = 10 * id;
        views.recent_viewers = Some(self.cast());
        views.has_viewers = true;
        story.views = Some(views.into());
        story.into()
    }

    /// A custom emoji's document.
    pub(crate) fn custom_emoji(&self, id: i64) -> enums::Document {
        let stickerset = types::InputStickerSetId { id: 88, access_hash: 8 }.into();
        types::Document {
            id,
            access_hash: self.files.access_hash(id),
            file_reference: self.files.reference(id),
            date: self.start,
            mime_type: "application/x-tgsticker".into(),
            size: self.files.size(id, "").unwrap_or_default() as i64,
            thumbs: None,
            video_thumbs: None,
            dc_id: self.files.dc(id),
            attributes: vec![
                types::DocumentAttributeImageSize { w: 100, h: 100 }.into(),
                types::DocumentAttributeCustomEmoji { free: true, text_color: false, alt: "🦀".into(), stickerset }.into(),
                types::DocumentAttributeFilename { file_name: "emoji.tgs".into() }.into(),
            ],
        }
        .into()
    }

    /// Everybody that rare messages speak of.
    pub(crate) fn extras(&self) -> impl Iterator<Item = Peer> + use<> {
        let channel = self.chats.iter().find(|chat| chat.peer.is_channel()).map(|chat| chat.peer);
        self.cast().into_iter().map(Peer::User).chain(channel)
    }

    /// Users that rare messages speak of.
    pub(crate) fn cast(&self) -> Vec<i64> {
        (0..4.min(self.pool as i64)).map(|n| FIRST_USER + n).collect()
    }
}
