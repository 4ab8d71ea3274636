//! Passphrases: generated ones, and how strong a chosen one is.

use std::collections::HashSet;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// How many words a generated passphrase has: 11 bits each, 110 in all.
pub const WORDS: usize = 10;

/// The bits of strength below which a chosen passphrase is refused. Together with scrypt's work this is out of reach of
/// anybody who rents machines, also for years.
pub const LEAST_BITS: f64 = 70.0;

/// Where the strength estimate of one piece ends: `zxcvbn` counts guesses in 64 bits and stays at the last number.
const MOST_BITS_OF_A_PIECE: f64 = 64.0;

/// The longest piece that is judged at once, so that [`MOST_BITS_OF_A_PIECE`] is not met.
const MAX_PIECE_CHARS: usize = 16;

/// Draws a passphrase of [`WORDS`] words from the 2,048 of BIP-39's English list.
///
/// # Errors
/// When the system gives no randomness.
pub fn generate() -> Result<SecretString, getrandom::Error> {
    let list = bip39::Language::English.word_list();
    let mut random = Zeroizing::new([0_u8; 2 * WORDS]);
    getrandom::fill(random.as_mut())?;
    // 65,536 is a multiple of 2,048: the remainder is as even as the random number. Room for ten words of eight letters
    // from the start, so that growing leaves no copies behind.
    let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
    for pair in random.chunks_exact(2) {
        let number = pair.iter().fold(0_usize, |number, &byte| number << 8 | usize::from(byte));
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(list.get(number % list.len()).copied().unwrap_or_default());
    }
    Ok(SecretString::from(text.as_str()))
}

/// A word of a passphrase that looks generated, which is not in the list of words.
pub struct Typo {
    /// Its place, from 1.
    place: usize,
    word: Zeroizing<String>,
    /// The nearest words of the list.
    near: Vec<&'static str>,
}

impl Typo {
    /// The same without the word, for where others may read it.
    pub fn without_words(&self) -> String {
        format!("word {} of the passphrase is not in the list of words", self.place)
    }
}

impl std::fmt::Display for Typo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "word {}, '{}', is not in the list", self.place, super::units::printable(&self.word))?;
        if !self.near.is_empty() {
            write!(f, ": {}?", self.near.join(" or "))?;
        }
        Ok(())
    }
}

/// The first word that is not in the list, where most of the others are: somebody has mistyped a generated passphrase.
pub fn typo(passphrase: &SecretString) -> Option<Typo> {
    /// Letters by which a word of the list may differ from what was typed.
    const MOST_CHANGES: usize = 2;
    let list = bip39::Language::English.word_list();
    let words: Vec<Zeroizing<String>> = passphrase
        .expose_secret()
        .split(|c: char| c.is_whitespace() || "-_,.;".contains(c))
        .filter(|word| !word.is_empty())
        .map(|word| Zeroizing::new(word.to_lowercase()))
        .collect();
    let unknown = |word: &String| !list.contains(&word.as_str());
    let strangers = words.iter().filter(|word| unknown(word)).count();
    if words.len() < WORDS - 2 || strangers * 3 > words.len() {
        return None;
    }
    let (place, word) = words.iter().enumerate().find(|(_, word)| unknown(word))?;
    let distance = |known: &str| strsim::osa_distance(known, word);
    let nearest = list.iter().map(|known| distance(known)).min().filter(|changes| *changes <= MOST_CHANGES);
    let near = nearest.map_or_else(Vec::new, |nearest| list.iter().copied().filter(|known| distance(known) == nearest).take(3).collect());
    Some(Typo { place: place + 1, word: word.clone(), near })
}

/// What a passphrase has that nobody sees, in words; `None` for one that is typed as it is read.
pub fn invisible(passphrase: &SecretString) -> Option<&'static str> {
    let text = passphrase.expose_secret();
    // Of no width: marks of byte order and direction, joiners, soft hyphens.
    let no_width = |letter: char| matches!(letter, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{ad}');
    if text.starts_with('\u{feff}') {
        Some("begins with a byte order mark")
    } else if text.trim() != text {
        Some("has blanks at its ends")
    } else if text.chars().any(|letter| letter.is_control() || no_width(letter)) {
        Some("has a character without width")
    } else {
        None
    }
}

/// Estimates a passphrase's strength: log₂ of the guesses that a good cracker needs.
///
/// `zxcvbn` judges it as a whole, which finds repetitions and sequences. Where its count is at its end, what the pieces add up
/// to is the answer: words and runs of characters, each counted once.
pub fn strength_bits(passphrase: &SecretString) -> f64 {
    let text = passphrase.expose_secret();
    let whole = bits(text);
    if whole < MOST_BITS_OF_A_PIECE - 0.5 {
        return whole;
    }
    let mut seen = HashSet::new();
    let words = text.split(|character: char| character.is_whitespace() || character.is_ascii_punctuation());
    words.flat_map(pieces).filter(|piece| seen.insert(*piece)).map(bits).sum()
}

fn bits(text: &str) -> f64 {
    if text.is_empty() { 0.0 } else { (zxcvbn::zxcvbn(text, &["tgvault", "telegram"]).guesses_log10() * f64::log2(10.0)).max(0.0) }
}

/// Cuts a long word into pieces that can be judged.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.char_indices().nth(MAX_PIECE_CHARS).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strength(text: &str) -> f64 {
        strength_bits(&SecretString::from(text))
    }

    #[test]
    fn generated_ones_have_ten_words_of_the_list_and_are_strong() {
        let list = bip39::Language::English.word_list();
        let mut seen = HashSet::new();
        for _ in 0..20 {
            let passphrase = generate().unwrap();
            let words: Vec<&str> = passphrase.expose_secret().split(' ').collect();
            assert_eq!(words.len(), WORDS);
            assert!(words.iter().all(|word| list.contains(word)));
            assert!(strength_bits(&passphrase) > LEAST_BITS, "{}", strength_bits(&passphrase));
            assert!(seen.insert(passphrase.expose_secret().to_owned()));
        }
    }

    #[test]
    fn a_mistyped_word_is_named_with_what_was_meant() {
        let said = |text: &str| typo(&SecretString::from(text)).map(|typo| (typo.to_string(), typo.without_words()));
        let right = "able about above absent bord abstract absurd abuse access accident";
        let (named, unnamed) = said(right).unwrap();
        assert!(named.starts_with("word 5, 'bord', is not in the list: ") && named.contains("board"), "{named}");
        assert!(unnamed.contains("word 5") && !unnamed.contains("bord"), "{unnamed}");
        assert!(said("Able-about above  absent board abstract absurd abuse access accident").is_none());
        assert!(said("hunter2").is_none() && said("gravel tundra oxidize parakeet velvet sardine mosaic quench").is_none());
    }

    #[test]
    fn what_nobody_sees_is_noticed() {
        let of = |text: &str| invisible(&SecretString::from(text));
        for bad in ["\u{feff}correct", " correct", "correct\t", "correct\u{a0}", "cor\u{200b}rect", "cor\u{7}rect", "\u{3000}x"] {
            assert!(of(bad).is_some(), "{bad:?}");
        }
        for good in ["correct horse battery", "häßlich ñ 漢字", "a  b"] {
            assert!(of(good).is_none(), "{good:?}");
        }
    }

    #[test]
    fn guessable_ones_are_weak_however_long() {
        for weak in [
            "",
            "password",
            "Tr0ub4dor&3",
            "correct horse",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "passwordpasswordpasswordpasswordpasswordpassword",
            "to be or not to be that is the question",
            "1234567890123456789012345678901234567890",
        ] {
            assert!(strength(weak) < LEAST_BITS, "{weak}: {}", strength(weak));
        }
    }

    #[test]
    fn random_ones_are_strong_enough() {
        for strong in ["hq7Vz0pXw2LmRt9sKc4bYfJd", "gravel tundra oxidize parakeet velvet sardine mosaic quench"] {
            assert!(strength(strong) >= LEAST_BITS, "{strong}: {}", strength(strong));
        }
    }
}
