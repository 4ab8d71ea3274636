//! The words by which people choose kinds of media: the same for every command.

use super::units::printable;
use crate::model::kinds::KindChoice;

/// Reads one word.
///
/// # Errors
/// When it is none.
pub fn media_choice(text: &str) -> Result<KindChoice, String> {
    let words = || KindChoice::WORDS.map(|(word, _)| word).join(", ");
    KindChoice::of_word(text).ok_or_else(|| format!("'{}' is none of {}", printable(text), words()))
}
