//! Sums: plain lines that every `sha256sum -c` reads, and the lengths that belong to them.
//!
//! ```text
//! 9f86d0…  archives/2026/11/0123….tar.zst.age
//! ```
//! Before format 3, a comment line with the length stood before each: the small tools of busybox and toybox took it for a failure. Now
//! the lengths of a snapshot's sums are in the trusted comment of their signature, those of a list in an object of their own.

use crate::model::digest::Digest;

/// Archives in one list at most; a snapshot's own lines become a list when there are as many as [`LIST_FROM`].
pub const MAX_LIST_LINES: usize = 1000;

/// A snapshot's own archive lines from which on they are moved into a list that later snapshots share.
pub const LIST_FROM: usize = 100;

/// What lengths may take of a trusted comment; minisign reads 8,192 bytes of one.
const MAX_COMMENT_BYTES: usize = 6 * 1024;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumsLine {
    /// Its name below the repository's URL.
    pub name: String,
    /// Its length in bytes, where it is known.
    pub length: Option<u64>,
    /// Its SHA-256.
    pub sha256: Digest,
}

impl SumsLine {
    /// Whether an object of this length can be the one.
    pub fn fits(&self, length: u64) -> bool {
        self.length.is_none_or(|expected| expected == length)
    }
}

/// How a sums file says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A comment line with the length before each line, as before format 3.
    Commented,
    /// Lines for `sha256sum -c` only.
    Plain,
}

/// Why a sums file, or one of lengths, cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line} is not one of a sums file: {why}")]
pub struct SumsError {
    line: usize,
    why: &'static str,
}

/// The text of a sums file.
pub fn write<'a>(lines: impl IntoIterator<Item = &'a SumsLine>, form: Form) -> String {
    let comment = |line: &SumsLine| match form {
        Form::Commented => format!("# {} bytes\n", line.length.unwrap_or(0)),
        Form::Plain => String::new(),
    };
    lines.into_iter().map(|line| format!("{}{}  {}\n", comment(line), line.sha256, line.name)).collect()
}

/// Reads a sums file of either form.
///
/// # Errors
/// When a line has another form, or names what no repository has.
pub fn read(text: &str) -> Result<(Vec<SumsLine>, Form), SumsError> {
    let form = if text.starts_with('#') { Form::Commented } else { Form::Plain };
    let mut sums = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, mut line)) = lines.next() {
        let error = |why| SumsError { line: number + 1, why };
        let mut length = None;
        if form == Form::Commented {
            length = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" bytes")).and_then(|length| length.parse().ok());
            length.ok_or_else(|| error("the comment line with the length is missing"))?;
            line = lines.next().ok_or_else(|| error("the digest is missing"))?.1;
        }
        let (sha256, name) = line.split_once("  ").ok_or_else(|| error("a digest and a name are wanted"))?;
        let sha256 = sha256.parse().map_err(|_| error("the digest is not SHA-256"))?;
        if !super::names::is_sound(name) {
            return Err(error("the name is not one of a repository's objects"));
        }
        sums.push(SumsLine { name: name.to_owned(), length, sha256 });
    }
    Ok((sums, form))
}

/// The word of a trusted comment that says the lengths of `lines`, of as many of the first as there is room for.
pub fn lengths_word(lines: &[SumsLine]) -> String {
    let mut word = "lengths=".to_owned();
    for (at, length) in lines.iter().map_while(|line| line.length).enumerate() {
        let number = length.to_string();
        if word.len() + 1 + number.len() > MAX_COMMENT_BYTES {
            break;
        }
        if at > 0 {
            word.push(',');
        }
        word.push_str(&number);
    }
    word
}

/// Gives `lines` the lengths that the trusted comment of their signature says.
pub fn take_lengths(lines: &mut [SumsLine], comment: &str) {
    let word = comment.split(' ').find_map(|word| word.strip_prefix("lengths=")).unwrap_or_default();
    for (line, length) in lines.iter_mut().zip(word.split(',')) {
        line.length = line.length.or_else(|| length.parse().ok());
    }
}

/// The text of an object with the lengths of a list's archives, a line each.
pub fn write_lengths<'a>(lines: impl IntoIterator<Item = &'a SumsLine>) -> String {
    lines.into_iter().map(|line| format!("{}\n", line.length.unwrap_or(0))).collect()
}

/// Reads the lengths of a list's archives.
///
/// # Errors
/// When a line is no number.
pub fn read_lengths(text: &str) -> Result<Vec<u64>, SumsError> {
    text.lines()
        .enumerate()
        .map(|(number, line)| line.parse().map_err(|_| SumsError { line: number + 1, why: "a length is wanted" }))
        .collect()
}

/// The lists among the lines of a snapshot's sums, each with the lengths that stand behind it.
pub fn lists(lines: &[SumsLine]) -> impl Iterator<Item = (&SumsLine, Option<&SumsLine>)> {
    let is = |line: &SumsLine, ending: &str| line.name.starts_with(super::names::LISTS) && line.name.ends_with(ending);
    lines.iter().enumerate().filter(move |(_, line)| is(line, ".sums")).map(move |(at, line)| {
        let behind = lines.get(at + 1).filter(|behind| is(behind, ".lengths"));
        (line, behind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(name: &str, length: u64) -> SumsLine {
        SumsLine { name: name.into(), length: Some(length), sha256: Digest([1; 32]) }
    }

    #[test]
    fn reads_what_it_wrote_in_either_form() {
        let lines = vec![line("archives/2026/11/ab.tar.zst.age", 7), line("lists/ab.sums", 1_000_000_000_000)];
        assert_eq!(read(&write(&lines, Form::Commented)).unwrap(), (lines.clone(), Form::Commented));
        let (mut plain, form) = read(&write(&lines, Form::Plain)).unwrap();
        assert!(form == Form::Plain && plain.iter().all(|line| line.length.is_none()));
        take_lengths(&mut plain, &format!("tgvault sequence=3 {}", lengths_word(&lines)));
        assert_eq!(plain, lines);
        assert_eq!(read_lengths(&write_lengths(&lines)).unwrap(), [7, 1_000_000_000_000]);
        assert!(read("").unwrap().0.is_empty());
    }

    #[test]
    fn lengths_end_where_a_comment_is_full_and_say_nothing_wrong() {
        let lines = vec![line("archives/2026/11/ab.tar.zst.age", 1_234_567_890); 2000];
        let word = lengths_word(&lines);
        assert!(word.len() <= MAX_COMMENT_BYTES);
        let (mut plain, _) = read(&write(&lines, Form::Plain)).unwrap();
        take_lengths(&mut plain, &word);
        let known = plain.iter().filter(|line| line.length == Some(1_234_567_890)).count();
        assert!(known > 500 && plain.iter().skip(known).all(|line| line.length.is_none()), "{known}");
    }

    #[test]
    fn lists_come_with_the_lengths_behind_them() {
        let lines = [line("lists/a.sums", 1), line("lists/b.sums", 1), line("lists/c.lengths", 2), line("archives/x", 3)];
        let found: Vec<_> = lists(&lines).map(|(list, lengths)| (list.name.as_str(), lengths.map(|line| line.name.as_str()))).collect();
        assert_eq!(found, [("lists/a.sums", None), ("lists/b.sums", Some("lists/c.lengths"))]);
    }

    #[test]
    fn refuses_names_that_lead_elsewhere() {
        let digest = Digest([1; 32]);
        for name in ["../x", "archives/../../etc/passwd", "/etc/passwd", "archives//x", "tgvault.json", "archives/a b"] {
            assert!(read(&format!("# 1 bytes\n{digest}  {name}\n")).is_err(), "{name}");
            assert!(read(&format!("{digest}  {name}\n")).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*|((# [0-9]{1,30} bytes\n)?[0-9a-f]{64}  archives/[a-z./]{0,9}\n){0,3}") {
            if let Ok((mut lines, _)) = read(&text) {
                take_lengths(&mut lines, &text);
            }
            let _ = read_lengths(&text);
        }
    }
}
