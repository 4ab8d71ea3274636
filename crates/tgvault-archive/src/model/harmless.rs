//! Characters that a terminal obeys instead of showing them.

use std::fmt::Write;

/// Whether a terminal only shows this character: no control character, and no mark that turns the direction of what follows or
/// ends its line.
pub fn is_harmless(character: char) -> bool {
    let turns = matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    !character.is_control() && !turns
}

/// Text with whatever a terminal would obey escaped, so that no name or tag can drive a terminal.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmless(character) {
            shown.push(character);
        } else {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", character.escape_default());
        }
    }
    shown
}
