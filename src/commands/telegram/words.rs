//! Options of Telegram commands as they are typed: words out of a list, and spans of time.

use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

use crate::commands::units::printable;
use crate::source::telegram::{ChatClass, Detail, Pace, TakeoutUse};

/// Reads one word of a closed list, as the profile has it too.
fn word<T: DeserializeOwned>(text: &str, list: &str) -> Result<T, String> {
    let input: StrDeserializer<'_, Error> = serde::de::IntoDeserializer::into_deserializer(text);
    T::deserialize(input).map_err(|_| format!("'{}' is none of {list}", printable(text)))
}

/// Reads a type of chats.
///
/// # Errors
/// When it is none.
pub fn chat_class(text: &str) -> Result<ChatClass, String> {
    word(text, "personal, bots, private-groups, public-groups, private-channels, public-channels")
}

/// Reads what else is to be saved.
///
/// # Errors
/// When it is no such word.
pub fn detail(text: &str) -> Result<Detail, String> {
    let list = "about, members, pictures, stories, scheduled, drafts, music, gifts, quick-replies, reactions, votes, admin-log, usual, all, \
                none";
    word(text, list)
}

/// Reads when to use a takeout.
///
/// # Errors
/// When it is no such word.
pub fn takeout(text: &str) -> Result<TakeoutUse, String> {
    word(text, "always, auto, never")
}

/// Reads a pace.
///
/// # Errors
/// When it is none.
pub fn pace(text: &str) -> Result<Pace, String> {
    word(text, "gentle, normal, fast")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_people_type_them() {
        assert_eq!(chat_class("private-groups"), Ok(ChatClass::PrivateGroups));
        assert_eq!(detail("admin-log"), Ok(Detail::AdminLog));
        assert_eq!(pace("fast"), Ok(Pace::Fast));
        assert_eq!(takeout("never"), Ok(TakeoutUse::Never));
        assert!(chat_class("people").unwrap_err().contains("private-groups"));
    }
}
