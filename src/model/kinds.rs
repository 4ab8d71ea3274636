//! The kinds of media that people choose by, and the words for them: the same in backups, restores and searches.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::harmless::printable;
use super::json;
use super::media::{Media, MediaRole};

/// What a file in a message is to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A photo or a profile picture.
    Photo,
    /// A video.
    Video,
    /// A voice message.
    VoiceMessage,
    /// A round video.
    VideoMessage,
    /// A sticker or a custom emoji.
    Sticker,
    /// An animation.
    Gif,
    /// Anything else.
    File,
    /// A piece of music.
    Music,
}

impl FileKind {
    /// All of them. Sealed states keep a kind by its place in this list.
    pub const ALL: [Self; 8] =
        [Self::Photo, Self::Video, Self::VoiceMessage, Self::VideoMessage, Self::Sticker, Self::Gif, Self::File, Self::Music];

    /// The kind of the file that a message has, by Telegram Desktop's object for it; `None` for one without.
    pub fn of_message(message: &str) -> Option<Self> {
        let (mut kind, mut has_photo, mut has_file) = (None, false, false);
        for (key, value) in json::members(message) {
            match key {
                "media_type" => kind = json::spelling(value),
                "photo" => has_photo = true,
                "file" => has_file = true,
                _ => {}
            }
        }
        match Self::of_media_type(kind) {
            Self::File if has_photo => Some(Self::Photo),
            Self::File if !has_file => None,
            kind => Some(kind),
        }
    }

    /// The kind of a stored file of a message; `None` for what comes inside messages.
    pub fn of_stored(media: &Media, message: &str) -> Option<Self> {
        let mime = media.mime.as_deref().unwrap_or_default();
        match media.role {
            MediaRole::ContactVcard => None,
            MediaRole::Photo | MediaRole::Userpic => Some(Self::Photo),
            MediaRole::CustomEmoji => Some(Self::Sticker),
            MediaRole::Story | MediaRole::Attachment if mime.starts_with("video/") => Some(Self::Video),
            MediaRole::Story => Some(Self::Photo),
            MediaRole::Attachment if mime.starts_with("image/") => Some(Self::Photo),
            MediaRole::Attachment => Some(Self::File),
            MediaRole::File | MediaRole::Thumbnail => Some(Self::of_media_type(json::get(message, "media_type").and_then(json::spelling))),
        }
    }

    /// What Telegram Desktop writes as `media_type`; nothing for photos, and for files that are nothing else.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Video => "video_file",
            Self::VoiceMessage => "voice_message",
            Self::VideoMessage => "video_message",
            Self::Music => "audio_file",
            Self::Sticker => "sticker",
            Self::Gif => "animation",
            Self::Photo | Self::File => "",
        }
    }

    fn of_media_type(media_type: Option<&str>) -> Self {
        let named = media_type.filter(|word| !word.is_empty());
        Self::ALL.into_iter().find(|kind| Some(kind.media_type()) == named).unwrap_or(Self::File)
    }
}

/// A choice of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum KindChoice {
    /// `photos`.
    Photos,
    /// `videos`, without round ones.
    Videos,
    /// `voice-messages`.
    VoiceMessages,
    /// `video-messages`: round ones.
    VideoMessages,
    /// `stickers`, custom emoji included.
    Stickers,
    /// `gifs`.
    Gifs,
    /// `files`: everything else, music included.
    Files,
    /// `music` alone.
    Music,
    /// `any` of them.
    Any,
    /// `none` of them.
    None,
}

impl KindChoice {
    /// Each word with its choice.
    const WORDS: [(&'static str, Self); 10] = [
        ("photos", Self::Photos),
        ("videos", Self::Videos),
        ("voice-messages", Self::VoiceMessages),
        ("video-messages", Self::VideoMessages),
        ("stickers", Self::Stickers),
        ("gifs", Self::Gifs),
        ("files", Self::Files),
        ("music", Self::Music),
        ("any", Self::Any),
        ("none", Self::None),
    ];

    /// The choice of this word. In the singular and by some other names it is understood, too.
    fn of_word(word: &str) -> Option<Self> {
        let known = |word: &str| Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, choice)| *choice);
        known(word).or_else(|| known(&format!("{word}s"))).or(match word {
            "voice" => Some(Self::VoiceMessages),
            "round-videos" => Some(Self::VideoMessages),
            "animation" | "animations" => Some(Self::Gifs),
            "audio" => Some(Self::Music),
            _ => None,
        })
    }

    /// Whether files of this kind are chosen.
    pub fn takes(self, kind: FileKind) -> bool {
        match self {
            Self::Photos => kind == FileKind::Photo,
            Self::Videos => kind == FileKind::Video,
            Self::VoiceMessages => kind == FileKind::VoiceMessage,
            Self::VideoMessages => kind == FileKind::VideoMessage,
            Self::Stickers => kind == FileKind::Sticker,
            Self::Gifs => kind == FileKind::Gif,
            Self::Files => matches!(kind, FileKind::Music | FileKind::File),
            Self::Music => kind == FileKind::Music,
            Self::Any => true,
            Self::None => false,
        }
    }

    /// Whether files of this kind are among the choices. Who chooses nothing takes everything.
    pub fn take(choices: &[Self], kind: FileKind) -> bool {
        choices.is_empty() || choices.iter().any(|choice| choice.takes(kind))
    }
}

/// No kind has this name.
#[derive(Debug, thiserror::Error)]
#[error("'{}' is none of {}", printable(.0), KindChoice::WORDS.map(|(word, _)| word).join(", "))]
pub struct UnknownKind(String);

impl FromStr for KindChoice {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        Self::of_word(word).ok_or_else(|| UnknownKind(word.to_owned()))
    }
}

impl TryFrom<String> for KindChoice {
    type Error = UnknownKind;

    fn try_from(word: String) -> Result<Self, UnknownKind> {
        word.parse()
    }
}

impl From<KindChoice> for &'static str {
    fn from(choice: KindChoice) -> Self {
        KindChoice::WORDS.iter().find(|(_, known)| *known == choice).map_or("any", |(word, _)| word)
    }
}

impl fmt::Display for KindChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str((*self).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_kind_that_its_keys_say() {
        for (message, kind) in [
            (r#"{"photo":"x"}"#, Some(FileKind::Photo)),
            (r#"{"file":"x"}"#, Some(FileKind::File)),
            (r#"{"file":"x","media_type":"video_message"}"#, Some(FileKind::VideoMessage)),
            (r#"{"file":"x","media_type":"audio_file"}"#, Some(FileKind::Music)),
            (r#"{"file":"x","media_type":"something_new"}"#, Some(FileKind::File)),
            (r#"{"text":"x"}"#, None),
        ] {
            assert_eq!(FileKind::of_message(message), kind, "{message}");
        }
    }

    #[test]
    fn every_word_is_understood_and_music_is_of_the_files() {
        for (word, choice) in KindChoice::WORDS {
            assert_eq!(word.parse::<KindChoice>().unwrap(), choice);
            assert_eq!(choice.to_string(), word);
            assert_eq!(serde_json::to_string(&[choice]).unwrap(), format!("[\"{word}\"]"));
            assert_eq!(serde_json::from_str::<KindChoice>(&format!("\"{word}\"")).unwrap(), choice);
        }
        assert_eq!(KindChoice::of_word("photo"), Some(KindChoice::Photos));
        assert_eq!(KindChoice::of_word("voice"), Some(KindChoice::VoiceMessages));
        assert_eq!(KindChoice::of_word("pictures"), None);
        let refused = serde_json::from_str::<KindChoice>("\"smell\"").unwrap_err().to_string();
        assert!(refused.starts_with("'smell' is none of photos, videos"), "{refused}");
        assert!(KindChoice::Files.takes(FileKind::Music) && KindChoice::Music.takes(FileKind::Music));
        assert!(!KindChoice::Music.takes(FileKind::File) && !KindChoice::Videos.takes(FileKind::VideoMessage));
        for kind in FileKind::ALL {
            assert!(KindChoice::take(&[], kind) && KindChoice::take(&[KindChoice::None, KindChoice::Any], kind));
            assert!(!KindChoice::take(&[KindChoice::None], kind));
        }
    }
}
