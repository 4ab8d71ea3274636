//! The stores that the suite runs on, started once for all tests of this program.

use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tgvault::storage::{Storage, StorageOptions};
use tgvault_test_support::stores::Bucket;
use tgvault_test_support::stores::azurite::Azurite;
use tgvault_test_support::stores::gcs::Gcs;
use tgvault_test_support::stores::moto::Moto;
use tgvault_test_support::stores::s3s::S3s;
use tokio::sync::OnceCell;

/// Patience for tests: enough for a server on a busy machine, little enough for a test of what is never answered.
pub fn options() -> StorageOptions {
    StorageOptions {
        retry_budget: Duration::from_secs(30),
        retry_first_delay: Duration::from_millis(10),
        retry_max_delay: Duration::from_millis(200),
        ..StorageOptions::default()
    }
}

/// As [`options`], for failures that do not pass.
pub fn impatient() -> StorageOptions {
    StorageOptions { retry_budget: Duration::from_millis(200), ..options() }
}

pub async fn moto() -> &'static Moto {
    static SERVER: OnceCell<Moto> = OnceCell::const_new();
    SERVER.get_or_init(|| async { tokio::task::spawn_blocking(Moto::start).await.unwrap().unwrap() }).await
}

pub async fn azurite() -> &'static Azurite {
    static SERVER: OnceCell<Azurite> = OnceCell::const_new();
    SERVER.get_or_init(|| async { tokio::task::spawn_blocking(Azurite::start).await.unwrap().unwrap() }).await
}

pub async fn s3s() -> &'static S3s {
    static SERVER: OnceCell<S3s> = OnceCell::const_new();
    SERVER.get_or_init(|| async { S3s::start().unwrap() }).await
}

pub async fn gcs() -> &'static Gcs {
    static SERVER: OnceCell<Gcs> = OnceCell::const_new();
    SERVER.get_or_init(|| async { Gcs::start().unwrap() }).await
}

/// Opens a bucket, below a prefix.
pub fn open(bucket: &Bucket, options: StorageOptions) -> Storage {
    Storage::open(&format!("{}/some/prefix", bucket.url), bucket.env.clone(), options).unwrap()
}

/// A store in a folder that goes with the test.
pub fn local(options: StorageOptions) -> (TempDir, Storage) {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path().to_str().unwrap(), [], options).unwrap();
    (folder, storage)
}

pub fn memory(options: StorageOptions) -> Storage {
    Storage::open("memory://", [], options).unwrap()
}

/// Bytes that differ everywhere, so that a piece in the wrong place shows.
pub fn content(len: usize, seed: u64) -> Bytes {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}
