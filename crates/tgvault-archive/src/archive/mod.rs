//! One archive: an ordinary tar in independent zstd frames in one age file, readable at any place.
//!
//! ```text
//! age header, nonce | 64 KiB sealed chunks of:
//!     zstd frame …  zstd frame        about 2 MiB of tar each, cut at entry starts where possible
//!     zstd frame …                    the archive's own members: .tgvault/<id>/index.jsonl, remove, refs
//!     skippable frame                 trailer: archive id, first frame of its own members
//!     skippable frame                 seek table (zstd seekable format)
//! ```
//! - [`frame`] codes and decodes frames, [`seek`] the trailer and the table, [`member`] tar headers, [`index`] the index lines.
//! - [`writer`] and [`reader`] put them together, [`check`] reads all of one; [`parts`] cuts what is written into parts for a store.
//!
//! Plain `Read` and `Write` throughout: nothing here knows a store or Telegram. Format: `docs/format.md`.

pub mod check;
pub mod frame;
pub mod index;
pub mod member;
pub mod parts;
pub mod reader;
pub mod seek;
pub mod writer;

#[cfg(test)]
mod tests;

use crate::crypt::CryptError;
use crate::model::digest::Digest;

/// Tar bytes in a frame: large enough to compress well, small enough that one photo costs one photo.
pub const FRAME_BYTES: usize = 2 * 1024 * 1024;

/// The largest frame that is read, so that a forged archive cannot ask for any amount of memory.
pub const MAX_FRAME_BYTES: u64 = 8 * 1024 * 1024;

/// The longest content of one tar member; longer files become several members.
pub const MEMBER_BYTES: u64 = 512 * 1024 * 1024;

/// Stored bytes at which an archive is closed.
pub const TARGET_BYTES: u64 = 256 * 1024 * 1024;

/// Bytes of index lines at which an archive is closed, so that an index always fits in memory.
pub const TARGET_INDEX_BYTES: usize = 4 * 1024 * 1024;

/// The longest index line that is read: a path and its attributes.
pub const MAX_INDEX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// Why an archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Encryption or decryption failed.
    #[error(transparent)]
    Crypt(#[from] CryptError),
    /// The object does not begin with the header that the snapshot names.
    #[error("the archive's header is not the one that the snapshot names (expected {expected}, found {found}): it was replaced")]
    ForeignHeader {
        /// What the snapshot says.
        expected: Digest,
        /// What is stored.
        found: Digest,
    },
    /// The object has another length than the snapshot names.
    #[error("the archive has {found} bytes, the snapshot names {expected}")]
    Length {
        /// What the snapshot says, in bytes.
        expected: u64,
        /// What is stored, in bytes.
        found: u64,
    },
    /// The archive's own structure is not what the format says.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// A frame did not read back as it was written; nothing of it was stored.
    #[error("a compressed frame did not decompress to what went in; nothing of it was stored")]
    FrameCheck,
    /// Reading or writing failed underneath.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl ArchiveError {
    /// Whether the stored bytes are wrong, rather than the key or the way to them.
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::ForeignHeader { .. } | Self::Length { .. } | Self::Damaged(_) => true,
            Self::Crypt(error) => !matches!(error, CryptError::WrongKey | CryptError::Key(_) | CryptError::Io(_) | CryptError::Cipher),
            Self::FrameCheck => false,
            Self::Io(error) => matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData),
        }
    }
}

/// A short form for "the archive is damaged".
pub fn damaged(what: impl Into<String>) -> ArchiveError {
    ArchiveError::Damaged(what.into())
}
