//! The index: one JSON line for each entry, so that entries are found without reading the tar.
//!
//! ```text
//! {"path":"a/b.jpg","kind":"file","size":123,"mode":420,"uid":1000,"gid":1000,"mtime":[1790000000,5],
//!  "ctime":[1790000000,5],"inode":77,"sha256":"…","frame":3,"offset":6293504}
//! ```
//! `frame` is the frame in which the member's header starts, `offset` the place of the content's first byte in the tar stream.
//! `in` names the archive that holds the content where it is another one; `length` is this member's share of a file in parts.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use super::{ArchiveError, MAX_INDEX_LINE_BYTES, MEMBER_BYTES, damaged};
use crate::model::digest::{Digest, Id};
use crate::model::entry::{EntryPath, Kind, Metadata, Stamp, Timestamp, Xattr, bytes_as_text};
use crate::model::json;

/// Which part of a long file a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Number of the part, from 1.
    pub n: u32,
    /// Number of all parts.
    pub of: u32,
    /// Ties the parts of one version of the file together.
    pub file: Id,
}

impl Part {
    /// The tar member that holds this part of the file at `path`.
    pub fn member_name(&self, path: &EntryPath) -> Vec<u8> {
        part_name(path, self.n)
    }
}

/// The member name of part `n` of the file at `path`.
pub fn part_name(path: &EntryPath, n: u32) -> Vec<u8> {
    [path.as_bytes(), format!(".tgvault-part-{n:04}").as_bytes()].concat()
}

/// Whether a name is one that only parts of long files may have.
pub fn is_part_name(name: &[u8]) -> bool {
    let Some(at) = name.windows(PART_MARK.len()).rposition(|window| window == PART_MARK) else { return false };
    name.get(at + PART_MARK.len()..).is_some_and(|digits| digits.len() >= 4 && digits.iter().all(u8::is_ascii_digit))
}

const PART_MARK: &[u8] = b".tgvault-part-";

/// Where the content of a file, or of one part of it, is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// SHA-256 of the content.
    pub sha256: Digest,
    /// The archive that holds it; `None` is the archive that this index belongs to.
    pub archive: Option<Id>,
    /// The frame in which the member's header starts.
    pub frame: u32,
    /// The place of the content's first byte in the tar stream.
    pub offset: u64,
    /// True length of the content in bytes.
    pub length: u64,
    /// The source gave fewer bytes than it had declared; the member is filled up with zeros behind `length`.
    pub short: bool,
    /// Set where this is one part of a long file.
    pub part: Option<Part>,
}

/// One entry of a backup, as an archive's index says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Where it belongs.
    pub path: EntryPath,
    /// What it is.
    pub kind: Kind,
    /// Mode, owner, times, attributes.
    pub meta: Metadata,
    /// What tells an unchanged file, where the source has it.
    pub stamp: Option<Stamp>,
    /// Length of the whole file in bytes; 0 for anything else.
    pub size: u64,
    /// Whether the file has holes.
    pub sparse: bool,
    /// Where the content is; `Some` for every file.
    pub content: Option<Located>,
}

#[derive(Serialize, Deserialize)]
struct Target(#[serde(with = "bytes_as_text")] Vec<u8>);

#[derive(Serialize, Deserialize)]
struct Line {
    path: EntryPath,
    kind: KindName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(default, skip_serializing_if = "is_default")]
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ctime: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<Xattr>,
    #[serde(default, skip_serializing_if = "is_default")]
    sparse: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    archive: Option<Id>,
    #[serde(default, skip_serializing_if = "is_default")]
    frame: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    short: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    File,
    Dir,
    Symlink,
    Hardlink,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<&IndexEntry> for Line {
    fn from(entry: &IndexEntry) -> Self {
        let (kind, target) = match &entry.kind {
            Kind::File => (KindName::File, None),
            Kind::Dir => (KindName::Dir, None),
            Kind::Symlink { target } => (KindName::Symlink, Some(Target(target.clone()))),
            Kind::Hardlink { target } => (KindName::Hardlink, Some(Target(target.as_bytes().to_vec()))),
        };
        let content = entry.content.as_ref();
        Self {
            path: entry.path.clone(),
            kind,
            target,
            size: entry.size,
            mode: entry.meta.mode,
            uid: entry.meta.uid,
            gid: entry.meta.gid,
            mtime: entry.meta.mtime,
            ctime: entry.stamp.map(|stamp| stamp.ctime),
            inode: entry.stamp.map(|stamp| stamp.inode),
            xattrs: entry.meta.xattrs.clone(),
            sparse: entry.sparse,
            sha256: content.map(|content| content.sha256),
            archive: content.and_then(|content| content.archive),
            frame: content.map_or(0, |content| content.frame),
            offset: content.map_or(0, |content| content.offset),
            length: content.filter(|content| content.length != entry.size).map(|content| content.length),
            short: content.is_some_and(|content| content.short),
            part: content.and_then(|content| content.part),
        }
    }
}

impl TryFrom<Line> for IndexEntry {
    type Error = ArchiveError;

    fn try_from(line: Line) -> Result<Self, ArchiveError> {
        let wrong = |what: &str| damaged(format!("its index says of {:?}: {what}", line.path));
        let kind = match (line.kind, line.target) {
            (KindName::File, None) => Kind::File,
            (KindName::Dir, None) => Kind::Dir,
            (KindName::Symlink, Some(target)) if !target.0.is_empty() && !target.0.contains(&0) => Kind::Symlink { target: target.0 },
            (KindName::Hardlink, Some(target)) => {
                Kind::Hardlink { target: EntryPath::new(target.0).map_err(|error| damaged(format!("a hard link's target: {error}")))? }
            }
            _ => return Err(wrong("kind and target do not fit")),
        };
        let length = line.length.unwrap_or(line.size);
        if (kind == Kind::File) != line.sha256.is_some() || (kind != Kind::File && line.size != 0) {
            return Err(wrong("content where none belongs, or none where it does"));
        }
        let has_end = line.offset.checked_add(length).is_some();
        if length > line.size || length > MEMBER_BYTES || (length < line.size && line.part.is_none()) || !has_end {
            return Err(wrong("lengths that cannot be"));
        }
        if line.part.is_some_and(|part| part.n == 0 || part.n > part.of) {
            return Err(wrong("a part that cannot be"));
        }
        let content = line.sha256.map(|sha256| Located {
            sha256,
            archive: line.archive,
            frame: line.frame,
            offset: line.offset,
            length,
            short: line.short,
            part: line.part,
        });
        let stamp = line.ctime.zip(line.inode).map(|(ctime, inode)| Stamp { ctime, inode });
        let meta = Metadata { mode: line.mode & 0o7777, uid: line.uid, gid: line.gid, mtime: line.mtime, xattrs: line.xattrs };
        Ok(Self { path: line.path, kind, meta, stamp, size: line.size, sparse: line.sparse, content })
    }
}

impl IndexEntry {
    /// Appends the entry's line to `out`.
    ///
    /// # Errors
    /// Does not happen with this type; the serializer's word otherwise.
    pub fn write_line(&self, out: &mut Vec<u8>) -> Result<(), ArchiveError> {
        serde_json::to_writer(&mut *out, &Line::from(self)).map_err(|error| damaged(error.to_string()))?;
        out.push(b'\n');
        Ok(())
    }

    /// Reads one line.
    ///
    /// # Errors
    /// When it is not an index line, or says what cannot be.
    pub fn parse_line(line: &[u8]) -> Result<Self, ArchiveError> {
        let line: Line = serde_json::from_slice(line).map_err(|error| damaged(format!("an index line: {}", json::place(&error))))?;
        line.try_into()
    }
}

/// Reads index lines from `input` to its end and hands each entry to `each`.
///
/// # Errors
/// When a line is damaged or longer than [`MAX_INDEX_LINE_BYTES`], reading fails, or `each` does.
pub fn read_lines(mut input: impl BufRead, each: &mut dyn FnMut(IndexEntry) -> Result<(), ArchiveError>) -> Result<(), ArchiveError> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let got = std::io::Read::take(&mut input, MAX_INDEX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut line)?;
        match line.last() {
            None => return Ok(()),
            Some(b'\n') if got > 1 => each(IndexEntry::parse_line(&line)?)?,
            Some(_) => return Err(damaged("an index line is cut or too long")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_path() -> impl Strategy<Value = EntryPath> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..12), 1..4)
            .prop_filter_map("no path", |parts| EntryPath::new(parts.join(&b'/')).ok())
    }

    prop_compose! {
        fn any_entry()(
            path in any_path(),
            kind in 0..4,
            target in prop::collection::vec(1u8.., 1..20),
            link in any_path(),
            numbers in any::<(u32, u32, i64, u32, u64, u64)>(),
            flags in any::<(bool, bool, bool)>(),
            xattrs in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..9), prop::collection::vec(any::<u8>(), 0..9)), 0..3),
            length in 0..=MEMBER_BYTES,
        ) -> IndexEntry {
            let kind = match kind {
                0 => Kind::Dir,
                1 => Kind::Symlink { target },
                2 => Kind::Hardlink { target: link },
                _ => Kind::File,
            };
            let (uid, gid, seconds, nanos, inode, more) = numbers;
            let part = flags.2.then_some(Part { n: 1, of: 2, file: Id([1; 16]) });
            let content = (kind == Kind::File).then_some(Located {
                sha256: Digest([uid as u8; 32]),
                archive: flags.1.then_some(Id([9; 16])),
                frame: gid,
                offset: inode,
                length,
                short: flags.0,
                part,
            });
            let size = if kind != Kind::File { 0 } else if part.is_some() { length.saturating_add(more) } else { length };
            let time = Timestamp::from((seconds, nanos));
            IndexEntry {
                path,
                kind,
                meta: Metadata { mode: uid & 0o7777, uid, gid, mtime: time, xattrs: xattrs.into_iter().map(|(name, value)| Xattr { name, value }).collect() },
                stamp: flags.0.then_some(Stamp { ctime: time, inode }),
                size,
                sparse: flags.1,
                content,
            }
        }
    }

    proptest! {
        #[test]
        fn any_entry_survives_its_line(entries in prop::collection::vec(any_entry(), 0..5)) {
            let mut bytes = Vec::new();
            for entry in &entries {
                entry.write_line(&mut bytes).unwrap();
            }
            let mut read = Vec::new();
            read_lines(bytes.as_slice(), &mut |entry| { read.push(entry); Ok(()) }).unwrap();
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_lines(bytes.as_slice(), &mut |_| Ok(()));
        }
    }

    #[test]
    fn refuses_what_cannot_be() {
        let sha = "0".repeat(64);
        for bad in [
            r#"{"path":"../x","kind":"dir","mode":0,"uid":0,"gid":0,"mtime":[0,0]}"#.to_owned(),
            r#"{"path":"x","kind":"file","mode":0,"uid":0,"gid":0,"mtime":[0,0]}"#.to_owned(),
            r#"{"path":"x","kind":"symlink","mode":0,"uid":0,"gid":0,"mtime":[0,0]}"#.to_owned(),
            format!(r#"{{"path":"x","kind":"file","size":1,"length":9,"mode":0,"uid":0,"gid":0,"mtime":[0,0],"sha256":"{sha}"}}"#),
            format!(r#"{{"path":"x","kind":"file","size":99999999999999,"mode":0,"uid":0,"gid":0,"mtime":[0,0],"sha256":"{sha}"}}"#),
            format!(r#"{{"path":"x","kind":"dir","mode":0,"uid":0,"gid":0,"mtime":[0,0],"sha256":"{sha}"}}"#),
        ] {
            assert!(IndexEntry::parse_line(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn part_names_are_recognised() {
        let path = EntryPath::new("v/film.mp4").unwrap();
        assert_eq!(part_name(&path, 3), b"v/film.mp4.tgvault-part-0003");
        assert!(is_part_name(b"film.mp4.tgvault-part-0003") && is_part_name(b"x.tgvault-part-12345"));
        assert!(!is_part_name(b"film.mp4") && !is_part_name(b"x.tgvault-part-1") && !is_part_name(b"x.tgvault-part-000a"));
    }
}
