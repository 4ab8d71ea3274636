//! Photos and documents of messages.

use grammers_tl_types::{enums, types};

use super::World;
use super::dice::mix;
use crate::telegram::files::{FileKind, file_id};

/// The kinds of documents, which clients tell by attributes and by the flags of the message's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    File,
    Video,
    Voice,
    Round,
    Animation,
    Music,
    Sticker,
    AnimatedSticker,
    VideoSticker,
    ImageFile,
}

/// All flavours, in the order in which generated documents take them by turns.
pub(crate) const FLAVOURS: [Flavour; 10] = [
    Flavour::File,
    Flavour::Video,
    Flavour::Voice,
    Flavour::Round,
    Flavour::Animation,
    Flavour::Music,
    Flavour::Sticker,
    Flavour::AnimatedSticker,
    Flavour::VideoSticker,
    Flavour::ImageFile,
];

impl World {
    /// The media of a message that has generated file `serial`: two of five are photos.
    pub(crate) fn file_media(&self, serial: u64, date: i32) -> enums::MessageMedia {
        match serial % 5 {
            0 | 2 => self.photo_media(file_id(FileKind::Photo, serial), date),
            _ => self.document_media(file_id(FileKind::Document, serial), FLAVOURS[(mix(serial) % 10) as usize], date),
        }
    }

    pub(crate) fn photo_media(&self, id: i64, date: i32) -> enums::MessageMedia {
        types::MessageMediaPhoto {
            spoiler: id % 17 == 0,
            live_photo: false,
            photo: Some(self.photo(id, date)),
            ttl_seconds: None,
            video: None,
        }
        .into()
    }

    /// A photo in four sizes; the smallest comes inside the message.
    pub(crate) fn photo(&self, id: i64, date: i32) -> enums::Photo {
        let size = |variant| self.files.size(id, variant).unwrap_or_default() as i32;
        types::Photo {
            has_stickers: false,
            id,
            access_hash: self.files.access_hash(id),
            file_reference: self.files.reference(id),
            date,
            sizes: vec![
                types::PhotoStrippedSize { r#type: "i".into(), bytes: vec![1, 40, 30, id as u8, (id >> 8) as u8] }.into(),
                types::PhotoSize { r#type: "m".into(), w: 320, h: 180, size: size("m") }.into(),
                types::PhotoSize { r#type: "x".into(), w: 800, h: 450, size: size("x") }.into(),
                match id % 3 {
                    0 => types::PhotoSizeProgressive {
                        r#type: "y".into(),
                        w: 1280,
                        h: 720,
                        sizes: vec![size("y") / 4, size("y") / 2, size("y")],
                    }
                    .into(),
                    _ => types::PhotoSize { r#type: "y".into(), w: 1280, h: 720, size: size("y") }.into(),
                },
            ],
            video_sizes: None,
            dc_id: self.files.dc(id),
        }
        .into()
    }

    /// A profile photo in its three sizes.
    pub(crate) fn profile_photo(&self, id: i64, date: i32) -> enums::Photo {
        let size = |variant: &str, side| {
            types::PhotoSize { r#type: variant.into(), w: side, h: side, size: self.files.size(id, variant).unwrap_or_default() as i32 }
                .into()
        };
        types::Photo {
            has_stickers: false,
            id,
            access_hash: self.files.access_hash(id),
            file_reference: self.files.reference(id),
            date,
            sizes: vec![size("a", 160), size("b", 320), size("c", 640)],
            video_sizes: None,
            dc_id: self.files.dc(id),
        }
        .into()
    }

    /// Puts today's file references into a message that was kept from earlier.
    pub(crate) fn refresh(&self, message: &mut enums::Message) {
        let photo = |photo: &mut Option<enums::Photo>| {
            if let Some(enums::Photo::Photo(photo)) = photo {
                photo.file_reference = self.files.reference(photo.id);
            }
        };
        let document = |document: &mut Option<enums::Document>| {
            if let Some(enums::Document::Document(document)) = document {
                document.file_reference = self.files.reference(document.id);
            }
        };
        let enums::Message::Message(types::Message { media: Some(media), .. }) = message else { return };
        match media {
            enums::MessageMedia::Photo(media) => {
                photo(&mut media.photo);
                document(&mut media.video);
            }
            enums::MessageMedia::Document(media) => {
                document(&mut media.document);
                photo(&mut media.video_cover);
            }
            _ => {}
        }
    }

    pub(crate) fn document_media(&self, id: i64, flavour: Flavour, date: i32) -> enums::MessageMedia {
        let is = |f| flavour == f;
        types::MessageMediaDocument {
            nopremium: false,
            spoiler: is(Flavour::Video) && id % 11 == 0,
            video: is(Flavour::Video) || is(Flavour::Round),
            round: is(Flavour::Round),
            voice: is(Flavour::Voice),
            document: Some(self.document(id, flavour, date)),
            alt_documents: None,
            video_cover: None,
            video_timestamp: None,
            ttl_seconds: None,
        }
        .into()
    }

    pub(crate) fn document(&self, id: i64, flavour: Flavour, date: i32) -> enums::Document {
        let n = id & 0xffff_ffff;
        let duration = 3 + n % 600;
        let name = |name: String| types::DocumentAttributeFilename { file_name: name }.into();
        let video = |round: bool, nosound: bool| -> enums::DocumentAttribute {
            types::DocumentAttributeVideo {
                round_message: round,
                supports_streaming: !round,
                nosound,
                duration: duration as f64 + 0.25,
                w: if round { 384 } else { 1280 },
                h: if round { 384 } else { 720 },
                preload_prefix_size: None,
                video_start_ts: None,
                video_codec: None,
            }
            .into()
        };
        let audio = |voice: bool| -> enums::DocumentAttribute {
            types::DocumentAttributeAudio {
                voice,
                duration: duration as i32,
                title: (!voice).then(|| format!("Song {n}")),
                performer: (!voice).then(|| "The Testers".into()),
                waveform: voice.then(|| (0..63).map(|i| (n as u8).wrapping_mul(i)).collect()),
            }
            .into()
        };
        let sticker = || -> enums::DocumentAttribute {
            types::DocumentAttributeSticker {
                mask: false,
                alt: "🙂".into(),
                stickerset: types::InputStickerSetId { id: 77, access_hash: 7 }.into(),
                mask_coords: None,
            }
            .into()
        };
        let image = || -> enums::DocumentAttribute { types::DocumentAttributeImageSize { w: 512, h: 512 }.into() };
        let (mime_type, attributes) = match flavour {
            Flavour::File => ("application/zip", vec![name(format!("archive {n}.zip"))]),
            Flavour::Video => ("video/mp4", vec![video(false, false), name(format!("video {n}.mp4"))]),
            Flavour::Voice => ("audio/ogg", vec![audio(true)]),
            Flavour::Round => ("video/mp4", vec![video(true, false)]),
            Flavour::Animation => {
                ("video/mp4", vec![video(false, true), enums::DocumentAttribute::Animated, name(format!("anim {n}.gif.mp4"))])
            }
            Flavour::Music => ("audio/mpeg", vec![audio(false), name(format!("track/№ {n}.mp3"))]),
            Flavour::Sticker => ("image/webp", vec![image(), sticker(), name("sticker.webp".into())]),
            Flavour::AnimatedSticker => ("application/x-tgsticker", vec![image(), sticker(), name("AnimatedSticker.tgs".into())]),
            Flavour::VideoSticker => ("video/webm", vec![video(false, true), sticker(), name("sticker.webm".into())]),
            Flavour::ImageFile => ("image/png", vec![image(), name(format!("снимок {n}.png"))]),
        };
        let thumb = !matches!(flavour, Flavour::File | Flavour::Voice);
        types::Document {
            id,
            access_hash: self.files.access_hash(id),
            file_reference: self.files.reference(id),
            date,
            mime_type: mime_type.into(),
            size: self.files.size(id, "").unwrap_or_default() as i64,
            thumbs: thumb.then(|| {
                vec![
                    types::PhotoSize { r#type: "m".into(), w: 320, h: 320, size: self.files.size(id, "m").unwrap_or_default() as i32 }
                        .into(),
                ]
            }),
            video_thumbs: None,
            dc_id: self.files.dc(id),
            attributes,
        }
        .into()
    }
}
