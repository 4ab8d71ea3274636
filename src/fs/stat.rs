//! What the system says about a file, in our own words.

use rustix::fs::{FileType, Stat};

use crate::model::entry::{Metadata, Stamp, Timestamp};

/// A file's identity while it is open somewhere or has a name: device and inode.
pub(crate) type FileId = (u64, u64);

/// The identity of what `stat` describes.
#[allow(clippy::unnecessary_cast, reason = "the width of the fields differs between platforms")]
pub(crate) fn id(stat: &Stat) -> FileId {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// The kind of file that `stat` describes.
pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode as _)
}

/// The length in bytes; a negative one, which no sane file system reports, counts as 0.
pub(crate) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// When the content last changed.
pub(crate) fn mtime(stat: &Stat) -> Timestamp {
    timestamp(stat.st_mtime as _, stat.st_mtime_nsec as _)
}

/// When the inode last changed.
pub(crate) fn ctime(stat: &Stat) -> Timestamp {
    timestamp(stat.st_ctime as _, stat.st_ctime_nsec as _)
}

fn timestamp(seconds: i64, nanos: u64) -> Timestamp {
    Timestamp { seconds, nanos: u32::try_from(nanos).unwrap_or(0).min(999_999_999) }
}

/// Mode, owner and time; the extended attributes are read apart.
pub(crate) fn metadata(stat: &Stat) -> Metadata {
    #[allow(clippy::unnecessary_cast, reason = "the width of the field differs between platforms")]
    let mode = stat.st_mode as u32 & 0o7777;
    Metadata { mode, uid: stat.st_uid, gid: stat.st_gid, mtime: mtime(stat), xattrs: Vec::new() }
}

/// What tells an unchanged file from a changed one.
pub(crate) fn stamp(stat: &Stat) -> Stamp {
    Stamp { ctime: ctime(stat), inode: id(stat).1 }
}

/// Whether blocks are missing: the file has holes that a restore should make again.
///
/// Below 4,096 bytes the content may live in the inode itself, which also shows as missing blocks.
#[allow(clippy::unnecessary_cast, reason = "the width of the field differs between platforms")]
pub(crate) fn is_sparse(stat: &Stat) -> bool {
    let size = size(stat);
    size >= 4096 && (stat.st_blocks as u64).saturating_mul(512) < size
}

/// A kind of file in words, for messages.
pub(crate) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "folder",
        FileType::Symlink => "symbolic link",
        FileType::Fifo => "named pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Unknown => "file of unknown kind",
    }
}
