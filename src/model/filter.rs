//! Which paths belong: patterns in the manner of restic's `--exclude` and `--include`.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::entry::EntryPath;

/// A pattern that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the pattern '{pattern}' cannot be used: {why}")]
pub struct PatternError {
    /// The pattern as it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// Patterns of which the last one that matches decides.
///
/// - `*.tmp` (no slash): any file or folder with such a name, however deep.
/// - `/cache` (leading slash): only from the top of the source or the snapshot.
/// - `a/b`, `a/**/b`: these components in a row, at any depth; `**` stands for any number of components.
/// - `!keep.tmp`: takes back what an earlier pattern matched.
/// - `./cache` is `/cache`, and so is `a/../cache`; a pattern that leads out of the folder by `..` is refused.
/// - An accented letter is the same whether it is stored as one character or as a letter and its accent.
/// - `*` and `?` never match a slash; `[a-z]` and `{a,b}` work; `\` takes a special character as it is. A slash at the end and a
///   byte order mark at the beginning say nothing.
#[derive(Clone, Debug, Default)]
struct Patterns {
    set: GlobSet,
    /// For each glob of the set, whether a match belongs (`!` makes it false).
    verdicts: Vec<bool>,
    /// As they were written.
    written: Arc<[String]>,
    /// Which of them have matched anything so far; clones share it.
    matched: Arc<[AtomicBool]>,
}

impl Patterns {
    fn parse<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, PatternError> {
        let mut set = GlobSetBuilder::new();
        let (mut verdicts, mut written) = (Vec::new(), Vec::new());
        for pattern in patterns {
            // Editors put a byte order mark before the first line of a file, where nobody sees it.
            let pattern = pattern.as_ref().trim_start_matches('\u{feff}');
            let failed = |why: String| PatternError { pattern: pattern.to_owned(), why };
            let (verdict, rest) = match pattern.strip_prefix('!') {
                Some(rest) => (false, rest),
                None => (true, pattern),
            };
            if let Some(why) = mistake(rest) {
                return Err(failed(why.to_owned()));
            }
            let (anchored, parts) = components(rest).map_err(|why| failed(why.to_owned()))?;
            let rest: String = parts.join("/").nfc().collect();
            if rest.is_empty() {
                return Err(failed("it names nothing".to_owned()));
            }
            let glob = if anchored || rest.starts_with("**/") { rest } else { format!("**/{rest}") };
            let glob = GlobBuilder::new(&glob)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| failed(error.kind().to_string()))?;
            set.add(glob);
            verdicts.push(verdict);
            written.push(pattern.to_owned());
        }
        let set = set
            .build()
            .map_err(|error| PatternError { pattern: error.glob().unwrap_or_default().to_owned(), why: error.kind().to_string() })?;
        let matched = verdicts.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self { set, verdicts, written: written.into(), matched })
    }

    fn matches(&self, path: &[u8]) -> bool {
        if self.verdicts.is_empty() {
            return false;
        }
        let path = composed(path);
        let matching = self.set.matches_candidate(&Candidate::from_bytes(&path));
        for matched in matching.iter().filter_map(|&at| self.matched.get(at)) {
            matched.store(true, Ordering::Relaxed);
        }
        matching.iter().max().and_then(|&last| self.verdicts.get(last)).copied().unwrap_or(false)
    }
}

/// What is written in a way that a path on this system cannot be meant by, if it is.
fn mistake(pattern: &str) -> Option<&'static str> {
    let scheme = pattern.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)))
    {
        return Some("it is a URL, and patterns are paths");
    }
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        // Nothing but a special character is ever escaped; `docs\cache` would silently mean `docscache`.
        if char == '\\' && chars.next().is_some_and(char::is_alphanumeric) {
            return Some(r"write '/' between folders, or '\\' for a backslash in a name");
        }
    }
    None
}

/// Whether a component of a pattern stands for more than itself.
pub fn has_wildcard(component: &str) -> bool {
    component.contains(['*', '?', '[', '{', '\\'])
}

/// The components of a pattern without `.` and `..`, and whether it begins at the top.
fn components(pattern: &str) -> Result<(bool, Vec<&str>), &'static str> {
    let mut is_anchored = pattern.starts_with('/') || pattern.starts_with("./");
    let mut parts = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                // At any depth it would take more than the one path that is written.
                is_anchored = true;
                match parts.pop() {
                    None => return Err("it leads out of the folder"),
                    Some(above) if has_wildcard(above) => return Err("'..' cannot follow a wildcard"),
                    Some(_) => {}
                }
            }
            part => parts.push(part),
        }
    }
    Ok((is_anchored, parts))
}

/// A path with its accents composed (NFC), as patterns are; some systems store names the other way.
fn composed(path: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(path) {
        Ok(text) if !text.is_ascii() && !is_nfc(text) => Cow::Owned(text.nfc().collect::<String>().into_bytes()),
        _ => Cow::Borrowed(path),
    }
}

/// Says which entries of a source or a snapshot are wanted.
///
/// An entry is wanted when no exclude pattern matches it or a folder it lies in, and, where there are include patterns, one of
/// them matches it or a folder it lies in.
#[derive(Clone, Debug, Default)]
pub struct PathFilter {
    include: Patterns,
    exclude: Patterns,
}

impl PathFilter {
    /// Takes everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Builds a filter from patterns as the user writes them; with no `include` pattern everything is included.
    ///
    /// # Errors
    /// When a pattern is empty or malformed.
    pub fn new<S: AsRef<str>>(include: impl IntoIterator<Item = S>, exclude: impl IntoIterator<Item = S>) -> Result<Self, PatternError> {
        Ok(Self { include: Patterns::parse(include)?, exclude: Patterns::parse(exclude)? })
    }

    /// Whether the filter lets everything through.
    pub fn is_everything(&self) -> bool {
        self.include.verdicts.is_empty() && self.exclude.verdicts.is_empty()
    }

    /// The patterns that have matched nothing so far, as they were written. What lies in a folder that is left out as a whole is
    /// compared with none.
    pub fn unmatched(&self) -> impl Iterator<Item = &str> {
        [&self.include, &self.exclude].into_iter().flat_map(|patterns| {
            let pairs = patterns.written.iter().zip(patterns.matched.iter());
            pairs.filter(|(_, matched)| !matched.load(Ordering::Relaxed)).map(|(written, _)| written.as_str())
        })
    }

    /// Whether an exclude pattern matches `path` itself; a walk that asks this of every folder before it enters needs no more.
    pub fn excludes(&self, path: &EntryPath) -> bool {
        self.exclude.matches(path.as_bytes())
    }

    /// Whether the entry at `path` is wanted, the folders it lies in considered.
    pub fn takes(&self, path: &EntryPath) -> bool {
        let bytes = path.as_bytes();
        let mut included = self.include.verdicts.is_empty();
        let ends = bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at);
        for end in ends.chain([bytes.len()]) {
            let prefix = bytes.get(..end).unwrap_or(bytes);
            if self.exclude.matches(prefix) {
                return false;
            }
            included = included || self.include.matches(prefix);
        }
        included
    }
}

/// The patterns in the text of an `--exclude-file`: one a line; empty lines and lines that start with `#` are left out, and
/// `\#` begins a pattern that starts with `#`.
pub fn pattern_lines(text: &str) -> impl Iterator<Item = &str> {
    text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text).unwrap()
    }

    fn taken(include: &[&str], exclude: &[&str], paths: &[&str]) -> Vec<String> {
        let filter = PathFilter::new(include, exclude).unwrap();
        paths.iter().filter(|text| filter.takes(&path(text))).map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_name_matches_at_any_depth_and_takes_its_folder_along() {
        let paths = ["a.tmp", "x/a.tmp", "x/a.tmp.bak", "x/b.tmp/deep/file", "tmp"];
        assert_eq!(taken(&[], &["*.tmp"], &paths), ["x/a.tmp.bak", "tmp"]);
    }

    #[test]
    fn a_leading_slash_anchors_and_inner_slashes_do_not() {
        let paths = ["cache", "x/cache", "a/b", "x/a/b", "x/a/c/b", "a/c/d/b"];
        assert_eq!(taken(&[], &["/cache"], &paths), ["x/cache", "a/b", "x/a/b", "x/a/c/b", "a/c/d/b"]);
        assert_eq!(taken(&[], &["a/b"], &paths), ["cache", "x/cache", "x/a/c/b", "a/c/d/b"]);
        assert_eq!(taken(&[], &["/a/**/b"], &paths), ["cache", "x/cache", "x/a/b", "x/a/c/b"]);
        assert_eq!(taken(&[], &["x/*"], &paths), ["cache", "a/b", "a/c/d/b"]);
    }

    #[test]
    fn a_later_pattern_takes_back_an_earlier_one() {
        let paths = ["a.log", "keep.log", "x/keep.log", "y.txt"];
        assert_eq!(taken(&[], &["*.log", "!/keep.log"], &paths), ["keep.log", "y.txt"]);
        assert_eq!(taken(&[], &["!keep.log", "*.log"], &paths), ["y.txt"]);
    }

    #[test]
    fn includes_choose_and_excludes_win() {
        let paths = ["photos/1.jpg", "photos/raw/1.dng", "music/1.ogg", "photos2"];
        assert_eq!(taken(&["/photos/"], &["*.dng"], &paths), ["photos/1.jpg"]);
    }

    #[test]
    fn names_that_are_not_utf8_are_matched_too() {
        let filter = PathFilter::new([], ["*.tmp"]).unwrap();
        assert!(!filter.takes(&EntryPath::new(b"\xff\xfe.tmp".to_vec()).unwrap()));
        assert!(filter.takes(&EntryPath::new(b"\xff\xfe.tmq".to_vec()).unwrap()));
    }

    #[test]
    fn what_matched_nothing_is_known() {
        let filter = PathFilter::new([], ["*.tmp", "./cache/", "\u{feff}keep", "!never"]).unwrap();
        let other = filter.clone();
        assert!(other.excludes(&path("cache")) && other.excludes(&path("a/keep")) && !other.excludes(&path("a/cache")));
        assert_eq!(filter.unmatched().collect::<Vec<_>>(), ["*.tmp", "!never"]);
    }

    #[test]
    fn bad_patterns_are_named() {
        for bad in ["", "!", "/", "a[", "{a", "../x", "a/../../b", "*/../b", "a/..", "./", r"a\b", r"C:\Users\x", "s3://b/x", "a\\"] {
            let error = PathFilter::new([], [bad]).unwrap_err().to_string();
            assert!(error.contains(&format!("'{bad}'")), "{error}");
        }
    }

    #[test]
    fn a_way_that_stays_inside_is_the_path_it_leads_to() {
        let paths = ["b", "x/b", "a/b", "c/d"];
        assert_eq!(taken(&[], &["a/../b"], &paths), ["x/b", "a/b", "c/d"]);
        assert_eq!(taken(&[], &["/c/./e/../d"], &paths), ["b", "x/b", "a/b"]);
    }

    #[test]
    fn accents_are_the_same_composed_and_decomposed() {
        let paths = ["caf\u{e9}/x", "cafe\u{301}/x", "cafe/x"];
        for pattern in ["caf\u{e9}", "cafe\u{301}", "/caf*"] {
            let left = taken(&[], &[pattern, "!cafe"], &paths);
            assert_eq!(left, ["cafe/x"], "{pattern}");
        }
    }

    #[test]
    fn special_characters_can_be_escaped() {
        assert_eq!(taken(&[], &[r"a\\b", r"\*x", r"two\ words", r"\.git"], &["a\\b", "*x", "yx", "two words", ".git", "ab"]), ["yx", "ab"]);
    }

    #[test]
    fn an_exclude_file_has_comments_and_escapes() {
        let lines: Vec<&str> = pattern_lines("\u{feff}# why\n\n *.tmp \r\n\\#literal\n").collect();
        assert_eq!(lines, ["*.tmp", "\\#literal"]);
        assert_eq!(taken(&[], &lines, &["#literal", "a.tmp", "b"]), ["b"]);
    }
}
