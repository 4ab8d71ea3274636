//! Sums: plain lines that `sha256sum -c` reads, with each object's length in a comment line before its own.
//!
//! ```text
//! # 268435999 bytes
//! 9f86d0…  archives/2026/11/0123….tar.zst.age
//! ```

use crate::model::digest::Digest;

/// Archives in one list at most; a snapshot's own lines become a list when there are as many as [`LIST_FROM`].
pub const MAX_LIST_LINES: usize = 1000;

/// A snapshot's own archive lines from which on they are moved into a list that later snapshots share.
pub const LIST_FROM: usize = 100;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumsLine {
    /// Its name below the repository's URL.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// Why a sums file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line} is not one of a sums file: {why}")]
pub struct SumsError {
    line: usize,
    why: &'static str,
}

/// The text of a sums file.
pub fn write<'a>(lines: impl IntoIterator<Item = &'a SumsLine>) -> String {
    lines.into_iter().map(|line| format!("# {} bytes\n{}  {}\n", line.length, line.sha256, line.name)).collect()
}

/// Reads a sums file.
///
/// # Errors
/// When a line has another form, or names what no repository has.
pub fn read(text: &str) -> Result<Vec<SumsLine>, SumsError> {
    let mut sums = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, comment)) = lines.next() {
        let error = |why| SumsError { line: number + 1, why };
        let length = comment.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" bytes")).and_then(|length| length.parse().ok());
        let length = length.ok_or_else(|| error("the comment line with the length is missing"))?;
        let (_, line) = lines.next().ok_or_else(|| error("the digest is missing"))?;
        let (sha256, name) = line.split_once("  ").ok_or_else(|| error("a digest and a name are wanted"))?;
        let sha256 = sha256.parse().map_err(|_| error("the digest is not SHA-256"))?;
        if !super::names::is_sound(name) {
            return Err(error("the name is not one of a repository's objects"));
        }
        sums.push(SumsLine { name: name.to_owned(), length, sha256 });
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_it_wrote() {
        let lines = vec![SumsLine { name: "archives/2026/11/ab.tar.zst.age".into(), length: 7, sha256: Digest([1; 32]) }];
        assert_eq!(read(&write(&lines)).unwrap(), lines);
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn refuses_names_that_lead_elsewhere() {
        let digest = Digest([1; 32]);
        for name in ["../x", "archives/../../etc/passwd", "/etc/passwd", "archives//x", "tgvault.json", "archives/a b"] {
            assert!(read(&format!("# 1 bytes\n{digest}  {name}\n")).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*|(# [0-9]{1,30} bytes\n[0-9a-f]{64}  archives/[a-z./]{0,9}\n){0,3}") {
            let _ = read(&text);
        }
    }
}
