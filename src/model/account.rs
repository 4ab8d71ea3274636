//! The account's own sections, in the shapes that Telegram Desktop's exports have.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::json;
use super::media::Media;
use super::paths::RunId;
use super::record::Raw;

/// The name of an account where the user gives none.
pub const DEFAULT_ACCOUNT: &str = "main";

/// A section of an account export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Section {
    /// `{user_id, first_name, last_name, phone_number, username?, bio?}`.
    PersonalInformation,
    /// `[{date?, date_unixtime?, photo}]`, newest first.
    ProfilePictures,
    /// `[{date, date_unixtime, expires, expires_unixtime, pinned, media}]`.
    Stories,
    /// `[…]`: the music of the profile, as messages without a sender.
    ProfileMusic,
    /// `{about, list: [{user_id?, first_name, last_name, phone_number, date, date_unixtime}]}`: all numbers that the account saved.
    /// Only a takeout tells them.
    Contacts,
    /// The same for those of the contacts that are on Telegram, which is what there is without a takeout. No export has it:
    /// [`join_contacts`] makes one list of both.
    TelegramContacts,
    /// `{about, list: [{id, category, type, name, rating}]}`.
    FrequentContacts,
    /// `{about, list: […]}`: the sessions of Telegram's own apps.
    Sessions,
    /// `{about, list: […]}`: sites where the account logged in with Telegram.
    WebSessions,
    /// Whatever the server's file holds.
    OtherData,
    /// `[{chat, chat_id, date, date_unixtime, text, …}]`: what was written and not sent.
    Drafts,
    /// `[{title, date, date_unixtime, from, from_id, stars, …}]`: gifts that the account got.
    Gifts,
    /// `[{title, album_id, stories: [id]}]`: albums of the account's stories.
    StoryAlbums,
    /// `[{shortcut, id, messages}]`: answers that a business account has ready.
    QuickReplies,
    /// Top-level keys of an imported export that this version does not know, as the members of one object.
    UnknownKeys,
}

impl Section {
    /// All sections in the order of the exports.
    pub const ALL: [Self; 15] = [
        Self::PersonalInformation,
        Self::ProfilePictures,
        Self::Stories,
        Self::ProfileMusic,
        Self::Contacts,
        Self::TelegramContacts,
        Self::FrequentContacts,
        Self::Sessions,
        Self::WebSessions,
        Self::OtherData,
        Self::Drafts,
        Self::Gifts,
        Self::StoryAlbums,
        Self::QuickReplies,
        Self::UnknownKeys,
    ];

    /// The top-level key in `result.json` (where [`Section::is_exported`]), and the file's name in the backup.
    pub fn key(self) -> &'static str {
        match self {
            Self::PersonalInformation => "personal_information",
            Self::ProfilePictures => "profile_pictures",
            Self::Stories => "stories",
            Self::ProfileMusic => "profile_music",
            Self::Contacts => "contacts",
            Self::TelegramContacts => "telegram_contacts",
            Self::FrequentContacts => "frequent_contacts",
            Self::Sessions => "sessions",
            Self::WebSessions => "web_sessions",
            Self::OtherData => "other_data",
            Self::Drafts => "drafts",
            Self::Gifts => "gifts",
            Self::StoryAlbums => "story_albums",
            Self::QuickReplies => "quick_replies",
            Self::UnknownKeys => "unknown_keys",
        }
    }

    /// Whether it is a top-level key of the exports.
    pub fn is_exported(self) -> bool {
        !matches!(self, Self::TelegramContacts | Self::UnknownKeys)
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

/// Makes one list of the contacts, as exports have it: the saved ones, and those with a number of their own that Telegram listed
/// after that. Gives back what is no contacts as it is.
pub fn join_contacts(sections: Vec<AccountSection>) -> Vec<AccountSection> {
    let (mut joined, mut listed) = (Vec::with_capacity(sections.len()), None);
    for section in sections {
        if section.section == Section::TelegramContacts { listed = Some(section) } else { joined.push(section) }
    }
    let Some(listed) = listed else { return joined };
    match joined.iter_mut().find(|section| section.section == Section::Contacts) {
        Some(saved) if saved.observed < listed.observed => {
            if let Some(value) = with_more(&saved.value, &listed.value) {
                saved.value = value;
            }
        }
        Some(_) => {}
        None => joined.push(AccountSection { section: Section::Contacts, ..listed }),
    }
    joined
}

/// The first list with those entries of the second whose numbers it lacks, sorted by name.
fn with_more(saved: &RawValue, listed: &RawValue) -> Option<Box<RawValue>> {
    let entries =
        |value: &'_ RawValue| json::get(value.get(), "list").map(|list| json::elements(list).map(str::to_owned).collect::<Vec<_>>());
    let text = |entry: &str, key: &str| json::get(entry, key).and_then(json::text).unwrap_or_default().into_owned();
    let number = |entry: &str| text(entry, "phone_number").chars().filter(char::is_ascii_digit).collect::<String>();
    let mut all = entries(saved)?;
    let known: BTreeSet<String> = all.iter().map(|entry| number(entry)).collect();
    all.extend(entries(listed)?.into_iter().filter(|entry| !number(entry).is_empty() && !known.contains(&number(entry))));
    all.sort_by_key(|entry| format!("{} {}", text(entry, "first_name"), text(entry, "last_name")).to_lowercase());
    let about = json::get(saved.get(), "about").unwrap_or("\"\"");
    RawValue::from_string(format!("{{\"about\":{about},\"list\":[{}]}}", all.join(","))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(section: Section, observed: i64, numbers: &[(&str, &str)]) -> AccountSection {
        let list: Vec<serde_json::Value> =
            numbers.iter().map(|(name, number)| serde_json::json!({"first_name": name, "last_name": "", "phone_number": number})).collect();
        let value = serde_json::value::to_raw_value(&serde_json::json!({"about": "", "list": list})).unwrap();
        AccountSection { v: 1, section, observed, run: RunId::unknown(), value, media: vec![], raw: vec![] }
    }

    fn names(sections: &[AccountSection]) -> Vec<String> {
        let [contacts] = sections else { panic!("{} sections", sections.len()) };
        assert_eq!(contacts.section, Section::Contacts);
        let value: serde_json::Value = serde_json::from_str(contacts.value.get()).unwrap();
        value["list"].as_array().unwrap().iter().map(|entry| entry["first_name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn contacts_of_two_lists_become_one() {
        let saved = || section(Section::Contacts, 10, &[("Bea", "+1 23"), ("Dan", "+456")]);
        let listed = |observed| section(Section::TelegramContacts, observed, &[("Beate", "+123"), ("Cy", "+789"), ("Al", "")]);
        assert_eq!(names(&join_contacts(vec![saved(), listed(11)])), ["Bea", "Cy", "Dan"]);
        // What was listed before the saved ones may be gone from the account since.
        assert_eq!(names(&join_contacts(vec![saved(), listed(9)])), ["Bea", "Dan"]);
        assert_eq!(names(&join_contacts(vec![listed(9)])), ["Beate", "Cy", "Al"]);
        assert_eq!(names(&join_contacts(vec![saved()])), ["Bea", "Dan"]);
    }
}
