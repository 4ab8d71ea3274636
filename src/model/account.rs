//! The account's own sections, in the shapes that Telegram Desktop's exports have.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::media::Media;
use super::paths::RunId;
use super::record::Raw;

/// The name of an account where the user gives none.
pub const DEFAULT_ACCOUNT: &str = "main";

/// A section of an account export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// `{user_id, first_name, last_name, phone_number, username?, bio?}`.
    PersonalInformation,
    /// `[{date?, date_unixtime?, photo}]`, newest first.
    ProfilePictures,
    /// `[{date, date_unixtime, expires, expires_unixtime, pinned, media}]`.
    Stories,
    /// `{about, list: [{user_id?, first_name, last_name, phone_number, date, date_unixtime}]}`.
    Contacts,
    /// `{about, list: [{id, category, type, name, rating}]}`.
    FrequentContacts,
    /// `{about, list: […]}`: the sessions of Telegram's own apps.
    Sessions,
    /// `{about, list: […]}`: sites where the account logged in with Telegram.
    WebSessions,
    /// Whatever the server's file holds.
    OtherData,
    /// Top-level keys of an imported export that this version does not know, as the members of one object.
    UnknownKeys,
}

impl Section {
    /// All sections in the order of the exports.
    pub const ALL: [Self; 9] = [
        Self::PersonalInformation,
        Self::ProfilePictures,
        Self::Stories,
        Self::Contacts,
        Self::FrequentContacts,
        Self::Sessions,
        Self::WebSessions,
        Self::OtherData,
        Self::UnknownKeys,
    ];

    /// The top-level key in `result.json` (but for [`Section::UnknownKeys`]), and the file's name in the backup.
    pub fn key(self) -> &'static str {
        match self {
            Self::PersonalInformation => "personal_information",
            Self::ProfilePictures => "profile_pictures",
            Self::Stories => "stories",
            Self::Contacts => "contacts",
            Self::FrequentContacts => "frequent_contacts",
            Self::Sessions => "sessions",
            Self::WebSessions => "web_sessions",
            Self::OtherData => "other_data",
            Self::UnknownKeys => "unknown_keys",
        }
    }

    /// The section with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.key() == key)
    }
}

/// `account/<section>.json`: one section as it was found last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountSection {
    /// Version of the form, [`super::record::VERSION`].
    pub v: u32,
    /// Which one.
    pub section: Section,
    /// When it was found, Unix seconds.
    pub observed: i64,
    /// By which run.
    pub run: RunId,
    /// The section in Telegram Desktop's shape, media keys as in [`super::media::Media`].
    pub value: Box<RawValue>,
    /// The files that `value` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// The server's own bytes, one item for each answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raw: Vec<Raw>,
}
