//! Options of Telegram commands as they are typed: words out of a list, and spans of time.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

use crate::commands::units::printable;
use crate::source::telegram::{ChatClass, Pace, TakeoutUse};

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

/// Reads a span of time: a number with `h`, `d` or `w`; 0 may stand alone.
///
/// # Errors
/// When it is none.
pub fn span(text: &str) -> Result<Duration, String> {
    const HOUR: u64 = 60 * 60;
    let malformed = || format!("'{}' is not a span of time; write a number and h, d or w, as in 30d", printable(text));
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| malformed())?;
    let hours = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        "" if number == 0 => 0,
        _ => return Err(malformed()),
    };
    number.checked_mul(hours * HOUR).map(Duration::from_secs).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_spans_are_read_as_people_type_them() {
        assert_eq!(chat_class("private-groups"), Ok(ChatClass::PrivateGroups));
        assert_eq!(pace("fast"), Ok(Pace::Fast));
        assert_eq!(takeout("never"), Ok(TakeoutUse::Never));
        assert!(chat_class("people").unwrap_err().contains("private-groups"));
        assert_eq!(span("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(span("0"), Ok(Duration::ZERO));
        for bad in ["", "d", "3", "3y", "-1d"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
