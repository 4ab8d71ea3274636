//! What can go wrong with a store, in words for people.

use std::error::Error;
use std::time::Duration;

/// The error below one of ours.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// The result of a call to a store.
pub(crate) type Result<T, E = StorageError> = std::result::Result<T, E>;

/// Why a store did not do what it was asked.
///
/// Messages name the object or container, never a secret. [`StorageError::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The address of the store cannot be understood.
    #[error("not the address of a store: {reason}")]
    Address {
        /// What is wrong with it; the address itself is left out where it may hold a secret.
        reason: String,
    },

    /// A cloud address without a bucket or container.
    #[error("the address names no bucket or container: '{address}'")]
    NoBucket {
        /// The address without secrets.
        address: String,
    },

    /// A setting (an environment variable, say) that the store's client does not accept.
    #[error("the settings for '{address}' are not usable")]
    Settings {
        /// The address without secrets.
        address: String,
        /// What the client says.
        source: Cause,
    },

    /// The folder, bucket or container does not exist.
    #[error("'{container}' does not exist")]
    NoContainer {
        /// The folder, bucket or container.
        container: String,
        /// The store's answer, where it gave one.
        source: Option<Cause>,
    },

    /// Something on the way to the folder, or the folder itself, is a file.
    #[error("'{container}' cannot be a folder: '{file}' is none")]
    NotAFolder {
        /// The folder of the store.
        container: String,
        /// What is in its place.
        file: String,
        /// The system's answer.
        source: Cause,
    },

    /// Nothing to sign requests with was found.
    #[error("no credentials found for '{container}'")]
    NoCredentials {
        /// The bucket or container.
        container: String,
        /// What was tried.
        source: Cause,
    },

    /// The store does not accept the credentials.
    #[error("'{container}' does not accept these credentials")]
    BadCredentials {
        /// The bucket or container.
        container: String,
        /// The store's answer.
        source: Cause,
    },

    /// The credentials or the file modes do not allow this operation.
    #[error("not allowed to {operation} '{name}'")]
    PermissionDenied {
        /// The verb: read, write, list, delete.
        operation: &'static str,
        /// The object or folder.
        name: String,
        /// The store's answer.
        source: Cause,
    },

    /// The file system is mounted read-only.
    #[error("cannot {operation} '{name}': the file system is read-only")]
    ReadOnly {
        /// The verb: write, delete.
        operation: &'static str,
        /// The object or folder.
        name: String,
        /// The system's answer.
        source: Cause,
    },

    /// No room is left: disk full or quota used up.
    #[error("no room left to {operation} '{name}'")]
    Full {
        /// The verb.
        operation: &'static str,
        /// The object.
        name: String,
        /// The system's answer.
        source: Cause,
    },

    /// The store refuses requests that are made at another time than its own.
    #[error("'{container}' refuses requests because this machine's clock is {}", clock(ahead))]
    WrongClock {
        /// The bucket or container.
        container: String,
        /// How far this machine's clock is ahead of the store's, where the store says its own.
        ahead: Option<jiff::SignedDuration>,
        /// The store's answer.
        source: Cause,
    },

    /// The bucket is in another region than the settings say.
    #[error("'{container}' is in {}", expected.as_ref().map_or("another region".to_owned(), |region| format!("region {region}")))]
    WrongRegion {
        /// The bucket.
        container: String,
        /// Its region, where the store says it.
        expected: Option<String>,
        /// The store's answer.
        source: Cause,
    },

    /// The server speaks HTTP where HTTPS was expected, or the other way round.
    #[error("the server of '{container}' expects {wants}:// addresses")]
    WrongScheme {
        /// The bucket or container.
        container: String,
        /// `http` or `https`.
        wants: &'static str,
        /// What happened.
        source: Cause,
    },

    /// The server's name is not known.
    #[error("the server of '{container}' cannot be found: its name does not resolve")]
    UnknownHost {
        /// The bucket or container.
        container: String,
        /// The system's answer.
        source: Cause,
    },

    /// The server's certificate is not trusted.
    #[error("the server of '{container}' has a certificate that is not trusted")]
    Untrusted {
        /// The bucket or container.
        container: String,
        /// What is wrong with it.
        source: Cause,
    },

    /// The name is taken by an object with other bytes.
    #[error("'{name}' exists already, with other content")]
    Exists {
        /// The object.
        name: String,
    },

    /// There is no such object.
    #[error("'{name}' does not exist")]
    NotFound {
        /// The object.
        name: String,
    },

    /// The object is longer than the caller is ready to hold in memory.
    #[error("'{name}' is {size_bytes} bytes long, more than the {limit_bytes} allowed here")]
    TooLarge {
        /// The object.
        name: String,
        /// Its size.
        size_bytes: u64,
        /// The caller's limit.
        limit_bytes: u64,
    },

    /// The store sent fewer or more bytes than the object or the range has.
    #[error("'{name}': expected {expected_bytes} bytes, the store sent {got_bytes}")]
    WrongLength {
        /// The object.
        name: String,
        /// What was asked for.
        expected_bytes: u64,
        /// What came.
        got_bytes: u64,
    },

    /// A name that no object of ours may have.
    #[error("'{name}' is not a name for an object: {reason}")]
    Name {
        /// The name.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },

    /// A part that is not the last has another length than [`PART_BYTES`](super::PART_BYTES).
    #[error("part {index} of '{name}' has {len_bytes} bytes: every part but the last has exactly {}", super::PART_BYTES)]
    PartSize {
        /// The object.
        name: String,
        /// The part's number, from 0.
        index: usize,
        /// Its length.
        len_bytes: usize,
    },

    /// The store could not be reached, was busy or stopped answering, for longer than the retry budget.
    #[error("cannot {operation} '{name}': the store was not available ({attempts} attempts in {elapsed:.1?})")]
    Unavailable {
        /// The verb.
        operation: &'static str,
        /// The object.
        name: String,
        /// How often it was tried.
        attempts: u32,
        /// How long it was tried.
        elapsed: Duration,
        /// What the store asked us to wait, if it did.
        retry_after: Option<Duration>,
        /// The last failure.
        source: Cause,
    },

    /// Any other failure; trying again at once would not help.
    #[error("cannot {operation} '{name}'")]
    Failed {
        /// The verb.
        operation: &'static str,
        /// The object.
        name: String,
        /// The store's answer.
        source: Cause,
    },
}

/// "20 minutes ahead", in words that fit into a sentence.
fn clock(ahead: &Option<jiff::SignedDuration>) -> String {
    match ahead {
        Some(ahead) => {
            let minutes = ahead.abs().as_mins();
            let (number, unit) = if minutes < 120 { (minutes, "minutes") } else { (minutes / 60, "hours") };
            format!("{number} {unit} {} the store's", if ahead.is_negative() { "behind" } else { "ahead of" })
        }
        None => "not the store's".to_owned(),
    }
}

impl StorageError {
    /// Whether the same call may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// What the user can do about it, as one line without a full stop, or `None` where the message says it all.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Address { .. } => "a folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
            Self::NoBucket { .. } => "write the bucket behind the scheme, as in s3://bucket/prefix",
            Self::Settings { .. } => "check the AWS_*, GOOGLE_* or AZURE_* variables",
            Self::NoContainer { .. } => {
                "check the address; create the bucket with the provider's own tool, or mount the disk that holds the folder"
            }
            Self::NotAFolder { .. } => "name a folder, or one that is still to be made, but no file",
            Self::NoCredentials { container, .. } => match container.split(':').next() {
                Some("gs") => "set GOOGLE_APPLICATION_CREDENTIALS to the path of a service account's key file",
                Some("az" | "adl" | "azure" | "abfs" | "abfss") => {
                    "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY; logins of other tools are not read"
                }
                Some("s3" | "s3a") => "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; profiles of other tools are not read",
                _ => {
                    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY; profiles of other tools are not read"
                }
            },
            Self::BadCredentials { .. } => "check the key, the secret and the account, and that the key was not revoked or expired",
            Self::PermissionDenied { .. } => {
                "the credentials or the folder's owner and mode must allow reading, listing and creating below this prefix; where each machine has a storage user of its own, all of them need --bucket-owner-full-control (docs/guide/stores.md)"
            }
            Self::ReadOnly { .. } => "mount it writable, or choose another store",
            Self::Full { .. } => "free some room or raise the quota, then run the same command again: it resumes where it stopped",
            Self::WrongClock { .. } => "set the clock, best by NTP (`timedatectl set-ntp true`), then run the same command again",
            Self::WrongRegion { .. } => "set AWS_REGION to the bucket's region",
            Self::WrongScheme { wants: "http", .. } => {
                "check the port; if the server really has no encryption of its own, write http:// in its address"
            }
            Self::WrongScheme { .. } => "write https:// in the server's address, or check the port",
            Self::UnknownHost { .. } => "check the server's name in the settings, the region, and that this machine is online",
            Self::Untrusted { .. } => {
                "if the server has a private certificate authority, name its certificate with --ca-file, AWS_CA_BUNDLE or SSL_CERT_FILE; otherwise check the clock, and who answers there"
            }
            Self::Unavailable { .. } => "check the network, then run the same command again: it resumes where it stopped",
            Self::Exists { .. }
            | Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::WrongLength { .. }
            | Self::Name { .. }
            | Self::PartSize { .. }
            | Self::Failed { .. } => return None,
        })
    }

    /// A failure worth another attempt.
    pub(crate) fn transient(operation: &'static str, name: &str, source: impl Into<Cause>) -> Self {
        Self::Unavailable { operation, name: name.into(), attempts: 1, elapsed: Duration::ZERO, retry_after: None, source: source.into() }
    }
}
