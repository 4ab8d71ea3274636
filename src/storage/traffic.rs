//! Bytes and requests: counted, and slowed down to the limits.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::options::StorageOptions;

/// What went to and came from a store so far: contents only, without protocol headers; repeated attempts count again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent to the store.
    pub uploaded_bytes: u64,
    /// Bytes received from the store.
    pub downloaded_bytes: u64,
    /// Requests made; on a folder, calls.
    pub requests: u64,
}

/// How much a limit lets through at once after a pause, as time at the limit's rate.
const BURST: Duration = Duration::from_millis(100);

/// The largest piece that is let through in one go, so that a limited line flows instead of jerking.
pub(crate) const PIECE_BYTES: usize = 16 * 1024;

/// Counts and limits the traffic of one store, over all its parallel requests.
#[derive(Debug)]
pub(crate) struct Meter {
    up: Option<Limit>,
    down: Option<Limit>,
    uploaded: AtomicU64,
    downloaded: AtomicU64,
    requests: AtomicU64,
}

/// A token bucket, kept as the time at which everything granted so far will have been paid for.
#[derive(Debug)]
struct Limit {
    bytes_per_s: u64,
    paid_until: Mutex<Option<Instant>>,
}

impl Limit {
    fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s: bytes_per_s.max(1), paid_until: Mutex::new(None) }
    }

    /// Grants `bytes` and says from when on they may move.
    fn reserve(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = now.checked_sub(BURST).unwrap_or(now);
        let start = paid_until.map_or(floor, |t| t.max(floor));
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64);
        *paid_until = Some(start + cost);
        start.max(now)
    }
}

impl Meter {
    pub(crate) fn new(options: &StorageOptions) -> Self {
        Self {
            up: options.limit_upload_bytes_per_s.map(Limit::new),
            down: options.limit_download_bytes_per_s.map(Limit::new),
            uploaded: AtomicU64::new(0),
            downloaded: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            uploaded_bytes: self.uploaded.load(Ordering::Relaxed),
            downloaded_bytes: self.downloaded.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes that go out and says when they may; `None`: at once.
    pub(crate) fn reserve_upload(&self, bytes: usize) -> Option<Instant> {
        self.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
        self.up.as_ref().map(|limit| limit.reserve(bytes))
    }

    /// Counts bytes that came in and says when they may be passed on; `None`: at once.
    pub(crate) fn reserve_download(&self, bytes: usize) -> Option<Instant> {
        self.downloaded.fetch_add(bytes as u64, Ordering::Relaxed);
        self.down.as_ref().map(|limit| limit.reserve(bytes))
    }

    /// Whether uploads are limited at all.
    pub(crate) fn limits_uploads(&self) -> bool {
        self.up.is_some()
    }

    /// As [`Meter::reserve_upload`], and waits.
    pub(crate) async fn upload(&self, bytes: usize) {
        if let Some(at) = self.reserve_upload(bytes) {
            tokio::time::sleep_until(at).await;
        }
    }

    /// As [`Meter::reserve_download`], and waits.
    pub(crate) async fn download(&self, bytes: usize) {
        if let Some(at) = self.reserve_download(bytes) {
            tokio::time::sleep_until(at).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// On a paused clock, the bytes that pass in a given time are exact.
    #[tokio::test(start_paused = true)]
    async fn a_limit_holds_over_parallel_users() {
        let options = StorageOptions { limit_upload_bytes_per_s: Some(100_000), ..StorageOptions::default() };
        let meter = Arc::new(Meter::new(&options));
        for _ in 0..4 {
            let meter = Arc::clone(&meter);
            tokio::spawn(async move {
                let passed = Arc::new(AtomicU64::new(0));
                loop {
                    meter.upload(1_000).await;
                    passed.fetch_add(1_000, Ordering::Relaxed);
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(100)).await;
        let bytes = meter.traffic().uploaded_bytes;
        // 100 s at the limit, the burst of 0.1 s, and one piece that each of the four has reserved and waits for.
        assert!((10_000_000..=10_000_000 + 10_000 + 5_000).contains(&bytes), "{bytes}");
        assert_eq!(meter.traffic().downloaded_bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_waits() {
        let meter = Meter::new(&StorageOptions::default());
        let start = Instant::now();
        meter.upload(usize::MAX / 4).await;
        meter.download(7).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(meter.traffic().downloaded_bytes, 7);
    }
}
