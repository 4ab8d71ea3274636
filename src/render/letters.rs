//! Letters as a search compares them, in any script: how they were typed does not count.
//!
//! One letter has many spellings: `é` is one code point or two, `Ａ` is as wide as `漢`, `ﬁ` is one sign, `STRASSE` is `Straße` in
//! capitals, `Σ` ends words as `ς`. [`folded`] gives one form to all of them: Unicode's NFKC without case, without signs that
//! nobody sees, and without the marks for vowels that Arabic and Hebrew can do without. Turkish `İ` and `ı` are `i`, because those
//! who type without a Turkish keyboard write them so.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The form of `text` in which words are compared.
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_into(&mut out, text);
    out
}

/// Appends the form of `text` in which words are compared.
pub fn fold_into(out: &mut String, text: &str) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        if let Some(new) = out.get_mut(start..) {
            new.make_ascii_lowercase();
        }
        return;
    }
    // Nothing is composed across a space, so that one rare letter does not slow down a whole text.
    for piece in text.split_inclusive(' ') {
        let start = out.len();
        for letter in piece.chars() {
            if letter.is_ascii() {
                out.push(letter.to_ascii_lowercase());
            } else if stands_alone(letter) {
                out.extend(letter.to_lowercase());
            } else {
                out.truncate(start);
                fold_slowly(out, piece);
                break;
            }
        }
    }
}

/// Whether a letter's form is its lower case, and it changes no letter beside it: most of what is written is of these.
fn stands_alone(letter: char) -> bool {
    matches!(letter,
        'À'..='Ö' | 'Ø'..='Þ' | 'à'..='ÿ'
        | 'Ѐ'..='ҁ' | 'Ҋ'..='ԯ'
        | 'Α'..='Ρ' | 'Σ'..='Ω' | 'ά'..='ί' | 'α'..='ρ' | 'σ'..='ώ'
        | 'א'..='ת' | 'ء'..='غ' | 'ف'..='ي'
        | 'ぁ'..='ゖ' | 'ァ'..='ー' | '、'..='】'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '가'..='힣'
        | '–' | '—' | '‘'..='”' | '«' | '»' | '•' | '€'
        | '\u{1F300}'..='\u{1FAFF}')
}

fn fold_slowly(out: &mut String, text: &str) {
    let seen: String = text.chars().filter(|letter| !is_unseen(*letter)).nfkc().flat_map(without_case).collect();
    let mut dotless = String::with_capacity(seen.len());
    for letter in seen.chars() {
        // The dot is what is left of `İ`.
        if letter != '\u{307}' || !dotless.ends_with('i') {
            dotless.push(letter);
        }
    }
    out.extend(dotless.nfkc().filter(|letter| !is_unseen(*letter)));
}

/// Lower, upper and lower case again: `ẞ` is `ß` is `SS` is `ss`, and `ς` is `Σ` is `σ`.
fn without_case(letter: char) -> impl Iterator<Item = char> {
    letter.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Signs that show as nothing, and marks that a text has or has not as its writer likes.
fn is_unseen(letter: char) -> bool {
    matches!(letter,
        // Default_Ignorable_Code_Point, roughly: soft hyphens, joiners, marks of direction, variants.
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}'
        // Arabic tatweel and vowel marks (those of hamza and madda make letters and stay), Hebrew points.
        | '\u{640}' | '\u{64B}'..='\u{652}' | '\u{656}'..='\u{65F}' | '\u{670}' | '\u{6D6}'..='\u{6DC}' | '\u{6DF}'..='\u{6E4}'
        | '\u{6E7}' | '\u{6E8}' | '\u{6EA}'..='\u{6ED}'
        | '\u{591}'..='\u{5BD}' | '\u{5BF}' | '\u{5C1}' | '\u{5C2}' | '\u{5C4}' | '\u{5C5}' | '\u{5C7}')
}

/// The letters by which a text may have a word without having it letter for letter, upper and lower case aside.
///
/// It tells texts that must be folded to know from those that need not be.
#[derive(Clone, Debug)]
pub struct Disguises {
    /// One bit for each code point below U+10000.
    low: Box<[u64]>,
}

/// Letters below U+10000 that stand for others, or change what stands before them, with the letters that come of them; none for
/// those that nobody sees.
static STAND_INS: LazyLock<Vec<(char, Box<str>)>> = LazyLock::new(|| {
    let mut found = Vec::new();
    let mut form = String::new();
    for letter in ('\u{80}'..='\u{FFFF}').filter(|letter| !stands_alone(*letter)) {
        form.clear();
        fold_slowly(&mut form, letter.encode_utf8(&mut [0; 4]));
        if is_joined(letter) {
            form.push(letter);
        } else if form.chars().eq([letter]) {
            continue;
        }
        let parts: String = form.chars().chain(form.nfd()).collect();
        found.push((letter, parts.into()));
    }
    found
});

impl Disguises {
    /// Those of a word in its folded form.
    pub fn of(word: &str) -> Self {
        let mut parts: BTreeSet<char> = word.chars().chain(word.nfd()).collect();
        if parts.contains(&'i') {
            // The dot of `İ`.
            parts.insert('\u{307}');
        }
        let mut low = vec![0u64; 0x1_0000 / 64].into_boxed_slice();
        for (letter, made_of) in STAND_INS.iter() {
            if (is_unseen(*letter) || made_of.chars().any(|part| parts.contains(&part)))
                && let Some(bits) = low.get_mut(*letter as usize / 64)
            {
                *bits |= 1 << (*letter as usize % 64);
            }
        }
        Self { low }
    }

    /// Whether one of them is in `text`, beside what the word is made of.
    pub fn are_in(&self, text: &str) -> bool {
        !text.is_ascii() && text.chars().any(|letter| !letter.is_ascii() && self.has(letter))
    }

    fn has(&self, letter: char) -> bool {
        match self.low.get(letter as usize / 64) {
            Some(bits) => bits >> (letter as usize % 64) & 1 == 1,
            // Letters of mathematics, rare scripts; not pictures, flags and Chinese.
            None => !matches!(letter, '\u{1F1E6}'..='\u{1F1FF}' | '\u{1F300}'..='\u{1FAFF}' | '\u{20000}'..='\u{2F7FF}'),
        }
    }
}

/// Whether a letter may become one with what stands before it.
fn is_joined(letter: char) -> bool {
    is_combining_mark(letter) || matches!(letter, '\u{1161}'..='\u{11FF}' | '\u{FF9E}' | '\u{FF9F}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_word_have_one_form() {
        for spellings in [
            &["Straße", "STRASSE", "strasse", "straẞe", "Stra\u{AD}ße"][..],
            &["café", "cafe\u{301}", "CAFÉ", "ＣＡＦÉ"],
            &["İstanbul", "istanbul", "ISTANBUL", "ıstanbul", "I\u{307}stanbul"],
            &["ΟΔΟΣ", "οδος", "οδοσ"],
            &["ﬁle", "file", "ＦＩＬＥ", "𝐟𝐢𝐥𝐞"],
            &["ｶﾞｷﾞ", "ガギ", "カ\u{3099}キ\u{3099}"],
            &["한국", "\u{1112}\u{1161}\u{11AB}\u{1100}\u{116E}\u{11A8}"],
            &["مُحَمَّد", "محمد", "محـمد", "ﻣﺤﻤﺪ"],
            &["שָׁלוֹם", "שלום"],
            &["می\u{200C}خواهم", "میخواهم"],
            &["น้ำ", "น\u{e49}\u{e4d}\u{e32}"],
            &["ЁЖИК", "ёжик", "е\u{308}жик"],
            &["❤️", "❤"],
        ] {
            let forms: BTreeSet<String> = spellings.iter().map(|spelling| folded(spelling)).collect();
            assert_eq!(forms.len(), 1, "{spellings:?}: {forms:?}");
        }
        for (one, other) in [("cafe", "café"), ("й", "и"), ("آ", "ا"), ("が", "か"), ("ö", "oe")] {
            assert_ne!(folded(one), folded(other));
        }
    }

    #[test]
    fn letters_that_stand_alone_have_their_lower_case_as_their_form() {
        for letter in ('\u{80}'..=char::MAX).filter(|letter| stands_alone(*letter)) {
            let mut slow = String::new();
            fold_slowly(&mut slow, &letter.to_string());
            assert!(slow.chars().eq(letter.to_lowercase()), "{letter} is {slow}");
            assert!(!is_unseen(letter) && !is_joined(letter), "{letter}");
        }
    }

    #[test]
    fn a_letter_that_is_no_disguise_is_found_by_case_alone() {
        // What a pattern that ignores case finds, and what folding finds, differ in disguises only.
        let stand_ins: BTreeSet<char> = STAND_INS.iter().map(|(letter, _)| *letter).collect();
        for letter in ('\u{80}'..='\u{FFFF}').filter(|letter| !stand_ins.contains(letter)) {
            let form = folded(&letter.to_string());
            if !form.chars().eq([letter]) {
                let pattern = regex::RegexBuilder::new(&regex::escape(&form)).case_insensitive(true).build().unwrap();
                assert!(pattern.is_match(&letter.to_string()), "{letter} is {form}");
            }
        }
    }

    /// Letters that meet each other in nasty ways, and some that do not.
    fn nasty() -> impl Strategy<Value = String> {
        let letters: Vec<char> = "aeikosSKßẞﬁſİıσςΣéÉяйи言カｶがﾞ한ㅎم\u{64E}\u{301}\u{307}\u{308}\u{306}\u{327}\u{345}\u{AD}\u{200D}\u{FE0F}\u{1161}\u{11AB}\u{1112}\u{3099}ΐᾳŉǰ…№½ﷺ\u{a0} "
            .chars()
            .collect();
        proptest::collection::vec(proptest::sample::select(letters), 0..8).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn a_form_is_its_own_form(text in nasty(), other in ".*") {
            prop_assert_eq!(folded(&folded(&text)), folded(&text));
            prop_assert_eq!(folded(&folded(&other)), folded(&other));
        }

        #[test]
        fn nothing_that_folding_finds_is_passed_over(text in nasty(), from in 0usize..8, len in 1usize..4) {
            let form = folded(&text);
            let word: String = form.chars().skip(from).take(len).collect();
            // Nobody looks for a mark without its letter.
            if word.chars().next().is_none_or(is_joined) || folded(&word) != word {
                return Ok(());
            }
            let pattern = regex::RegexBuilder::new(&regex::escape(&word)).case_insensitive(true).build().unwrap();
            prop_assert!(pattern.is_match(&text) || Disguises::of(&word).are_in(&text), "{:?} in {:?}", word, text);
        }
    }
}
