//! Media of a message: what it is for, where its bytes lie, and why they do not when they do not.
//!
//! Each Telegram file is stored once per size variant as `media/<kind>/<id>-<variant>.<ext>`, however many messages show it.
//! Files of an imported export have no Telegram id: theirs is `sha256-<hex>`, so equal content is one entry too.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::entry::{EntryPath, PathError};

/// What a file is for in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaRole {
    /// A photo: the message's `photo` key.
    Photo,
    /// A document of any type: the `file` key.
    File,
    /// The still picture of a document: the `thumbnail` key.
    Thumbnail,
    /// A shared contact's vCard: the `contact_vcard` key.
    ContactVcard,
    /// The file behind a custom emoji: a `document_id` key.
    CustomEmoji,
    /// A profile picture.
    Userpic,
    /// A story's photo or video.
    Story,
    /// Something that Telegram Desktop's JSON has no key for (a picture in paid media, a web page's preview).
    Attachment,
}

/// The folder below `media/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MediaKind {
    /// Photos, profile and group pictures included.
    Photo,
    /// Documents: videos, voice, stickers, music, files, and their thumbnails.
    Document,
    /// Small files that come inside a message (vCards).
    Inline,
}

impl MediaKind {
    /// The folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Document => "document",
            Self::Inline => "inline",
        }
    }
}

/// Builds `media/<kind>/<id>-<variant>.<ext>`.
///
/// `id` is Telegram's number or `sha256-<hex>`; `variant` is `full`, or Telegram's letter of a size (`y`, `m`, …); `extension`
/// comes without its dot and may be empty. Other characters than letters, digits, `_` and `-` become `_`.
///
/// # Errors
/// When the result is not a path, which takes an absurdly long part.
pub fn media_path(kind: MediaKind, id: &str, variant: &str, extension: &str) -> Result<EntryPath, PathError> {
    let clean =
        |text: &str| -> String { text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect() };
    let mut path = format!("media/{}/{}-{}", kind.folder(), clean(id), clean(variant));
    if !extension.is_empty() {
        path.push('.');
        path.push_str(&clean(extension));
    }
    EntryPath::new(path)
}

/// Why a file was left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// Larger than the limit that the user set.
    TooLarge,
    /// Of a type that the user did not choose.
    TypeNotChosen,
    /// It destroys itself after being seen, so Telegram does not hand it out.
    SelfDestructing,
    /// Telegram says that it has expired.
    Expired,
    /// The export that the message came from did not have it.
    NotInExport,
}

impl SkipReason {
    /// The word that coverage has for it.
    pub fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Whether a file's bytes are in the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status", content = "reason")]
#[non_exhaustive]
pub enum MediaStatus {
    /// Under [`Media::path`].
    Stored,
    /// Left out on purpose.
    Skipped(SkipReason),
    /// Wanted but not had; the next run tries again. In words, without names or texts.
    Failed(String),
}

/// Whether the value of this key, or what is in it, may be the path of a file: in exports of later versions, any that is not what
/// people wrote.
pub fn may_name_file(key: &str) -> bool {
    !matches!(
        key,
        "text"
            | "text_entities"
            | "from"
            | "actor"
            | "author"
            | "name"
            | "title"
            | "file_name"
            | "performer"
            | "forwarded_from"
            | "saved_from"
            | "via_bot"
            | "question"
            | "description"
            | "href"
            | "url"
            | "data"
            | "information_text"
            | "first_name"
            | "last_name"
            | "members"
            | "action"
            | "type"
            | "place_name"
            | "address"
            | "game_title"
            | "game_description"
            | "caption"
            | "about"
    )
}

/// One file of a message.
///
/// A message's `photo`, `file`, `thumbnail`, `contact_vcard` and `document_id` keys hold the path of a stored file as it is in
/// [`Media::path`], and Telegram Desktop's placeholder otherwise; rendering replaces the paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// What it is for.
    pub role: MediaRole,
    /// Where its bytes lie; `Some` when and only when they are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<EntryPath>,
    /// Telegram's id of the photo or document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Length in bytes as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// MIME type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// The file's own name as its sender had it, not sanitised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For imports: the path that the file had in the export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported_as: Option<String>,
    /// Whether the bytes are there.
    #[serde(flatten)]
    pub status: MediaStatus,
}

/// A file of a message that no key of Telegram Desktop's names: an element of `attachments` at the message's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached<'a> {
    /// What it is for.
    pub role: MediaRole,
    /// Where it lies in the export, or the words in its place.
    pub file: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_paths_hold_no_surprises() {
        let path = media_path(MediaKind::Document, "5", "full", "../x").unwrap();
        assert_eq!(path.to_string(), "media/document/5-full.___x");
        assert_eq!(media_path(MediaKind::Photo, "77", "y", "").unwrap().to_string(), "media/photo/77-y");
    }

    #[test]
    fn media_survive_json() {
        let path = media_path(MediaKind::Photo, "77", "y", "jpg").unwrap();
        for (status, json) in [
            (MediaStatus::Stored, r#"{"role":"photo","path":"media/photo/77-y.jpg","size":5,"status":"stored"}"#),
            (MediaStatus::Skipped(SkipReason::TooLarge), r#"{"role":"photo","size":5,"status":"skipped","reason":"too_large"}"#),
            (
                MediaStatus::Failed("the connection broke".into()),
                r#"{"role":"photo","size":5,"status":"failed","reason":"the connection broke"}"#,
            ),
        ] {
            let media = Media {
                role: MediaRole::Photo,
                path: (status == MediaStatus::Stored).then(|| path.clone()),
                id: None,
                size: Some(5),
                mime: None,
                name: None,
                exported_as: None,
                status,
            };
            assert_eq!(serde_json::to_string(&media).unwrap(), json);
            assert_eq!(serde_json::from_str::<Media>(json).unwrap(), media);
        }
    }
}
