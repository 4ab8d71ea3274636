//! How a store is used: limits, retries, patience.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a [`Storage`](super::Storage) behaves towards its store.
#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// At most this many bytes a second go out, over all parallel requests; `None` is no limit.
    pub limit_upload_bytes_per_s: Option<u64>,
    /// At most this many bytes a second come in, over all parallel requests; `None` is no limit.
    pub limit_download_bytes_per_s: Option<u64>,
    /// How long one call is tried again after failures that may pass: refused and broken connections, silence, 408, 429,
    /// 500, 502, 503, 504. A read that goes on counts from its last byte.
    pub retry_budget: Duration,
    /// The pause before the second attempt; it doubles from attempt to attempt, with jitter.
    pub retry_first_delay: Duration,
    /// The longest pause between two attempts, unless the store asks for a longer one.
    pub retry_max_delay: Duration,
    /// How long a new connection may take.
    pub connect_timeout: Duration,
    /// A request during which no byte moves either way for this long is given up and tried again. There is no limit on a
    /// whole request: a slow line needs minutes for one part.
    pub stall_timeout: Duration,
    /// A file of certificates that servers are trusted by, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the owner of an S3 bucket gets full control of every object: elsewhere an object belongs to who put it.
    pub bucket_owner_full_control: bool,
    /// How many parts of one upload are under way at a time; each holds [`PART_BYTES`](super::PART_BYTES) in memory.
    pub max_in_flight: usize,
    /// Who hears that calls have to wait for a store that does not answer.
    pub on_wait: Option<OnWait>,
}

/// A call that waits before it is tried again.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// How often it was tried.
    pub attempts: u32,
    /// How long it waits now.
    pub pause: Duration,
    /// Why it could not be done.
    pub why: &'a dyn std::error::Error,
}

type Hears = dyn Fn(Option<&Waiting<'_>>) + Send + Sync;

/// Hears of each wait, and with `None` when a call that waited has come to its end. It is called from several threads.
#[derive(Clone)]
pub struct OnWait(Arc<Hears>);

impl OnWait {
    /// Hands what is to be heard to `hears`, which must not block.
    pub fn new(hears: impl Fn(Option<&Waiting<'_>>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hears))
    }

    pub(super) fn tell(&self, waiting: Option<&Waiting<'_>>) {
        (self.0)(waiting);
    }
}

impl std::fmt::Debug for OnWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnWait")
    }
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            limit_upload_bytes_per_s: None,
            limit_download_bytes_per_s: None,
            retry_budget: Duration::from_secs(5 * 60),
            retry_first_delay: Duration::from_millis(250),
            retry_max_delay: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(90),
            ca_file: None,
            bucket_owner_full_control: false,
            max_in_flight: 4,
            on_wait: None,
        }
    }
}
