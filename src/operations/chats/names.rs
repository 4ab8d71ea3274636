//! Chats by names that people remember in part: the beginning of one, without its pictures, or with a letter wrong.

use super::Chat;
use crate::model::harmless::printable;
use crate::model::peer::Peer;

/// Names that are suggested, at most.
const MOST_SUGGESTED: usize = 5;

/// What comes near a name that is nobody's.
pub(super) enum Nearly {
    /// The one chat whose name is the same but for case, pictures and signs, or begins so.
    One(Peer),
    /// Chats with similar names, for people; none where none is similar.
    Like(Vec<String>),
}

/// Looks for what was meant by a name that none of the chats has.
pub(super) fn nearly(all: &[&Chat], typed: &str) -> Nearly {
    let wanted = plain(typed);
    if wanted.is_empty() {
        return Nearly::Like(Vec::new());
    }
    let names = |chat: &Chat| [&chat.info.full_name, &chat.info.name].into_iter().flatten().map(|name| plain(name)).collect::<Vec<_>>();
    let fitting = |fits: &dyn Fn(&str) -> bool| -> Vec<&Chat> {
        all.iter().copied().filter(|chat| names(chat).iter().any(|name| fits(name))).collect()
    };
    // The same name goes before names that only begin so.
    for fits in [&(|name: &str| name == wanted) as &dyn Fn(&str) -> bool, &|name: &str| name.starts_with(&wanted)] {
        match fitting(fits).as_slice() {
            [] => {}
            [chat] => return Nearly::One(chat.peer),
            several => return Nearly::Like(shown(several)),
        }
    }
    let close = |name: &str| is_a_typo(&wanted, name) || name.split(' ').any(|word| is_a_typo(&wanted, word)) || name.contains(&wanted);
    Nearly::Like(shown(&fitting(&close)))
}

/// Small letters and digits of a name, its words one space apart: no pictures, no signs.
fn plain(name: &str) -> String {
    let spaced: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whether one letter is wrong, missing, too many, or in its neighbour's place; two in long names.
fn is_a_typo(typed: &str, name: &str) -> bool {
    /// Letters from which on a name may have two mistakes.
    const LONG: usize = 8;
    let allowed = if typed.chars().count() >= LONG { 2 } else { 1 };
    typed.chars().count() > 2 && strsim::osa_distance(typed, name) <= allowed
}

fn shown(chats: &[&Chat]) -> Vec<String> {
    let named =
        |chat: &&Chat| chat.info.title().map_or_else(|| chat.peer.to_string(), |name| format!("'{}' ({})", printable(name), chat.peer));
    chats.iter().take(MOST_SUGGESTED).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_by_letters_and_digits() {
        assert_eq!(plain("\u{1f525} Book  Club!"), "book club");
        assert!(is_a_typo("mraa", "mara") && is_a_typo("marra", "mara") && is_a_typo("lindquist", "lindqvist"));
        assert!(!is_a_typo("mara", "tim") && !is_a_typo("a", "b"));
    }
}
