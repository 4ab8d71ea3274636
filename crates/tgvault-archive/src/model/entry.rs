//! Paths, kinds and metadata of the entries of a backup.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::harmless::printable;

/// The longest path that is accepted, in bytes: generous beside Linux' `PATH_MAX` of 4,096, and a bound for hostile input.
pub const MAX_PATH_BYTES: usize = 64 * 1024;

/// Says why a byte string is not an [`EntryPath`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// The path has no component at all.
    #[error("the path is empty")]
    Empty,
    /// The path starts with `/`.
    #[error("the path {0:?} is absolute")]
    Absolute(String),
    /// A component is empty, `.` or `..`.
    #[error("the path {0:?} has an empty, '.' or '..' component")]
    Component(String),
    /// The path contains a NUL byte.
    #[error("the path {0:?} contains a NUL byte")]
    Nul(String),
    /// The path is longer than [`MAX_PATH_BYTES`].
    #[error("a path of {0} bytes is too long")]
    TooLong(usize),
}

/// A relative path inside a backup: components separated by `/`, none of them empty, `.` or `..`, no NUL byte.
///
/// Bytes, not text: file names on Unix need not be UTF-8. In JSON it is a string, or `{"base64": "…"}` where it is not UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryPath(Box<[u8]>);

impl EntryPath {
    /// Checks `bytes` and takes them as a path.
    ///
    /// # Errors
    /// When the bytes do not have the form that the type promises.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, PathError> {
        let bytes: Vec<u8> = bytes.into();
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).into_owned();
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong(bytes.len()));
        }
        if bytes[0] == b'/' {
            return Err(PathError::Absolute(shown()));
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul(shown()));
        }
        if bytes.split(|&byte| byte == b'/').any(|part| matches!(part, b"" | b"." | b"..")) {
            return Err(PathError::Component(shown()));
        }
        Ok(Self(bytes.into_boxed_slice()))
    }

    /// The path's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components, first to last.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/')
    }

    /// The last component.
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|&byte| byte == b'/').next().unwrap_or(&self.0)
    }

    /// The path without its last component; `None` for a path of one component.
    pub fn parent(&self) -> Option<Self> {
        let cut = self.0.iter().rposition(|&byte| byte == b'/')?;
        Some(Self(self.0[..cut].into()))
    }

    /// Whether this lies below the folder `top`.
    pub fn is_below(&self, top: &Self) -> bool {
        self.0.strip_prefix(&*top.0).is_some_and(|rest| rest.first() == Some(&b'/'))
    }

    /// Whether this is `top`, or lies below it.
    pub fn is_at_or_below(&self, top: &Self) -> bool {
        self == top || self.is_below(top)
    }

    /// The path with one more component.
    ///
    /// # Errors
    /// When `name` is not a single valid component, or the result is too long.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Self::new(bytes)
    }
}

/// Shows the path for people: what a terminal would obey escaped, invalid UTF-8 replaced, so that a hostile name cannot drive a terminal.
impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&String::from_utf8_lossy(&self.0)))
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryPath({self})")
    }
}

impl Serialize for EntryPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        bytes_as_text::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for EntryPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(bytes_as_text::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Bytes that are usually text, in JSON: a string, or `{"base64": "…"}` where they are not UTF-8.
pub mod bytes_as_text {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form<'a> {
        Text(std::borrow::Cow<'a, str>),
        Bytes { base64: std::borrow::Cow<'a, str> },
    }

    /// Writes `bytes` in the form above.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Form::Bytes { base64: BASE64.encode(bytes).into() }.serialize(serializer),
        }
    }

    /// Reads either form.
    ///
    /// # Errors
    /// When the input is neither form, or the base64 is not valid.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(text.into_owned().into_bytes()),
            Form::Bytes { base64 } => BASE64.decode(base64.as_bytes()).map_err(serde::de::Error::custom),
        }
    }
}

/// A point in time since the Unix epoch, as file systems keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "(i64, u32)", from = "(i64, u32)")]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000.
    pub nanos: u32,
}

impl From<Timestamp> for (i64, u32) {
    fn from(time: Timestamp) -> Self {
        (time.seconds, time.nanos)
    }
}

impl From<(i64, u32)> for Timestamp {
    fn from((seconds, nanos): (i64, u32)) -> Self {
        Self { seconds, nanos: nanos.min(999_999_999) }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Kind {
    /// A regular file with content.
    File,
    /// A folder.
    Dir,
    /// A symbolic link; the target is kept as it is and never followed.
    Symlink {
        /// The link's target, verbatim.
        #[serde(with = "bytes_as_text")]
        target: Vec<u8>,
    },
    /// A further name of a file that has been listed before.
    Hardlink {
        /// The first name of the file in this backup.
        target: EntryPath,
    },
}

/// One extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Xattr {
    /// The attribute's full name, namespace included (`user.comment`).
    #[serde(with = "bytes_as_text")]
    pub name: Vec<u8>,
    /// Its value.
    #[serde(with = "bytes_as_text")]
    pub value: Vec<u8>,
}

/// What a file system keeps beside the content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission bits, 0o7777 at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// When the content last changed.
    pub mtime: Timestamp,
    /// Extended attributes, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<Xattr>,
}

/// What tells a changed file from an unchanged one, beside kind, size and mtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// When the inode last changed.
    pub ctime: Timestamp,
    /// The inode's number.
    pub inode: u64,
}

impl Stamp {
    /// The number of an inode that is not compared, because it says nothing about the file.
    pub const ANY_INODE: u64 = 0;
    /// A time that is not compared.
    pub const ANY_TIME: Timestamp = Timestamp { seconds: 0, nanos: 0 };

    /// Whether a file with this stamp now can be the one that had `before`: what is not known now is not compared.
    pub fn fits(&self, before: &Self) -> bool {
        (self.inode == Self::ANY_INODE || self.inode == before.inode) && (self.ctime == Self::ANY_TIME || self.ctime == before.ctime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_paths_that_could_leave_the_target() {
        for bad in ["", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a/.", "a\0b"] {
            assert!(EntryPath::new(bad).is_err(), "{bad:?}");
        }
        assert!(EntryPath::new(vec![b'a'; MAX_PATH_BYTES + 1]).is_err());
        assert!(EntryPath::new("..a/b..").is_ok());
    }

    #[test]
    fn paths_survive_json_also_when_they_are_not_utf8() {
        for bytes in [b"a/\xc3\xa9".to_vec(), b"a/\xff\xfe\n".to_vec()] {
            let path = EntryPath::new(bytes).unwrap();
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<EntryPath>(&json).unwrap(), path);
        }
        assert!(serde_json::from_str::<EntryPath>("\"../x\"").is_err());
    }

    #[test]
    fn display_cannot_drive_a_terminal() {
        assert_eq!(EntryPath::new("a\x1b[2J\n").unwrap().to_string(), "a\\u{1b}[2J\\n");
    }
}
