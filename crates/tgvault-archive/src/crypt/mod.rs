//! Encryption, digests and signatures: the only place that knows age, SHA-256 and minisign.
//!
//! - [`header`]: the age header of a stored object, written and opened by the `age` crate.
//! - [`payload`]: the 64 KiB chunks behind it, sealed and opened one by one so that they can be read at any place.
//! - [`blob`]: small things sealed whole: snapshots, key slots, local state.
//! - [`passphrase`]: how much work and memory one takes.
//! - [`keys`]: recipients and identities as users write them.
//! - [`digest`]: SHA-256 over streams; [`signature`]: minisign.

pub mod blob;
pub mod digest;
pub mod header;
pub mod keys;
pub mod passphrase;
pub mod payload;
pub mod signature;

/// Why something could not be encrypted, decrypted or checked.
#[derive(Debug, thiserror::Error)]
pub enum CryptError {
    /// None of the identities fits any recipient of the file.
    #[error("none of the given keys opens this: it was encrypted for somebody else, or the passphrase is wrong")]
    WrongKey,
    /// The bytes are not an age file, or its header was changed.
    #[error("not a valid age file: {0}")]
    Header(String),
    /// The header is longer than the bytes at hand.
    #[error("the age header is not complete")]
    Incomplete,
    /// A chunk did not authenticate: the file was changed or cut.
    #[error("the encrypted data was changed or cut at chunk {chunk}")]
    Chunk {
        /// Number of the 64 KiB chunk, from 0.
        chunk: u64,
    },
    /// The file demands more work for its passphrase than is accepted.
    #[error("the passphrase of this file needs a work factor of {wanted}, more than the {accepted} that are accepted")]
    WorkFactor {
        /// log₂ N that the file asks for.
        wanted: u8,
        /// log₂ N that is accepted.
        accepted: u8,
    },
    /// The system does not give the memory that a passphrase takes.
    #[error("a passphrase needs {} MiB of memory for a moment, and the system does not give that much", needed_bytes / 1024 / 1024)]
    Memory {
        /// What is needed.
        needed_bytes: u64,
    },
    /// A recipient or an identity cannot be read.
    #[error("{0}")]
    Key(String),
    /// A signature is missing its form, was made by another key, or does not fit the signed bytes.
    #[error("the signature does not hold: {0}")]
    Signature(String),
    /// The content is larger than what it may be.
    #[error("sealed content of more than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: u64,
    },
    /// The cipher refused; does not happen with keys of the right length.
    #[error("the cipher failed")]
    Cipher,
    /// Reading or writing failed underneath.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
