//! The joint between [`Storage`](super::Storage) and the kinds of stores.
//!
//! A backend does one attempt of one call. It says by [`StorageError::is_transient`] whether another attempt makes sense;
//! repeating, comparing and aborting are done once, above.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;

use super::conditions::Conditions;
use super::error::{Result, StorageError};

/// What a store knows about an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The name below the store's prefix.
    pub name: String,
    /// The stored length in bytes.
    pub size_bytes: u64,
    /// When it was written, by the store's clock.
    pub modified: Timestamp,
}

/// The bytes of an object or of a range of it, on their way.
pub(crate) struct Body {
    /// The length of the whole object.
    pub size_bytes: u64,
    /// The bytes; may end early or fail in the middle.
    pub stream: BoxStream<'static, Result<Bytes>>,
}

/// What a store does when a name is to be created that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It refuses, as it should.
    Refused,
    /// It overwrites the object, whatever was asked.
    Overwritten,
    /// It says that it knows no such condition.
    Unknown,
}

/// One kind of store, one attempt a call. Names have passed [`check_name`].
pub(crate) trait Backend: Debug + Send + Sync + 'static {
    /// Creates an object, or answers [`StorageError::Exists`] without looking at the content.
    fn create<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<()>>;

    /// Begins an object of several parts.
    fn begin<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<dyn PartSink>>>;

    /// Removes what was sent of an upload that another process began; one that is gone is no error.
    fn abandon<'a>(&'a self, name: &'a str, id: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Removes what was sent of uploads of this name whose ids nobody knows; `false` where the store does not say which there are.
    fn abandon_lost<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async { Ok(true) })
    }

    /// Opens an object, or a non-empty range of it, for reading; [`StorageError::NotFound`] if it is absent.
    fn read<'a>(&'a self, name: &'a str, range: Option<Range<u64>>) -> BoxFuture<'a, Result<Body>>;

    /// What is known about an object; `None` if it is absent.
    fn head<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>>;

    /// Every object below a folder (`""` is all), in any order.
    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>>;

    /// What is known of how the store takes "only if it does not exist yet".
    fn conditions(&self) -> Conditions {
        Conditions::Honoured
    }

    /// Takes it as known, from an earlier use of the same store.
    fn assume(&self, _conditions: Conditions) {}

    /// Where the store is, in the same words each time; `None` where what it makes of conditions is known beforehand.
    fn place(&self) -> Option<&str> {
        None
    }

    /// Creates an object whose name is taken, without a look beforehand.
    fn create_again<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<Taken>> {
        let created = self.create(name, body);
        Box::pin(async move {
            match created.await {
                Ok(()) => Ok(Taken::Overwritten),
                Err(StorageError::Exists { .. }) => Ok(Taken::Refused),
                Err(error) => Err(error),
            }
        })
    }

    /// Overwrites an object; `None` where the store is none of which that is asked.
    fn overwrite<'a>(&'a self, _name: &'a str, _body: Bytes) -> BoxFuture<'a, Result<Option<()>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Deletes an object; an absent one is no error.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Removes a folder and those in it as far as they are empty; buckets have no folders.
    fn remove_empty<'a>(&'a self, _folder: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Finds out whether the folder, bucket or container exists and may be listed.
    fn check<'a>(&'a self) -> BoxFuture<'a, Result<()>>;

    /// Makes the folder if it is one; checks that the container exists where it cannot be made.
    fn prepare<'a>(&'a self) -> BoxFuture<'a, Result<()>>;
}

/// An object on its way in. Dropping it leaves it to [`PartSink::abort`], which the caller owes.
pub(crate) trait PartSink: Debug + Send + Sync + 'static {
    /// Writes part `index` (from 0); all but the last have [`PART_BYTES`](super::PART_BYTES). May be repeated.
    fn put<'a>(&'a self, index: usize, body: Bytes) -> BoxFuture<'a, Result<()>>;

    /// Makes the object appear, whole, with `len_bytes` in all.
    fn finish<'a>(&'a self, len_bytes: u64) -> BoxFuture<'a, Result<()>>;

    /// The store's name for the upload, where it outlives this process.
    fn id(&self) -> Option<&str>;

    /// Removes what was sent; an upload that is gone is no error.
    fn abort<'a>(&'a self) -> BoxFuture<'a, Result<()>>;
}

/// The longest name, in bytes; short enough for every store and, with the folder before it, for file systems.
const NAME_LIMIT: usize = 512;

/// Admits names of segments from `A-Z a-z 0-9 . _ -`, joined by `/`. A segment that begins with a dot is none of ours:
/// that keeps `..` out, and unfinished files apart.
pub(crate) fn check_name(name: &str) -> Result<()> {
    match name_fault(name) {
        None => Ok(()),
        Some(reason) => Err(StorageError::Name { name: name.escape_debug().to_string(), reason }),
    }
}

/// As [`check_name`] for a folder to list: `""` is everything, one `/` at the end is allowed. Gives the name without it.
pub(crate) fn check_folder(folder: &str) -> Result<&str> {
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    if !folder.is_empty() {
        check_name(folder)?;
    }
    Ok(folder)
}

pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > NAME_LIMIT {
        return Some("it must have 1 to 512 bytes");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)) {
        return Some("only letters, digits, '.', '_', '-' and '/' are used");
    }
    if name.split('/').any(|segment| segment.is_empty() || segment.starts_with('.')) {
        return Some("no segment may be empty or begin with a dot");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_prefix() {
        for good in ["tgvault.json", "archives/2026/11/0af.tar.zst.age", "a-b_c.D"] {
            check_name(good).unwrap();
        }
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.hidden", "a b", "a\0", "ä", "a\\b", &"x".repeat(513)] {
            assert!(matches!(check_name(bad), Err(StorageError::Name { .. })), "{bad:?}");
        }
        assert_eq!(check_folder("").unwrap(), "");
        assert_eq!(check_folder("snapshots/").unwrap(), "snapshots");
        assert!(check_folder("../x").is_err());
        assert!(check_folder("/").unwrap().is_empty());
    }
}
