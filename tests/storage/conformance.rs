//! What every store must do. Where a server differs from the real thing, the difference is expected by name.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tgvault::storage::{PART_BYTES, Storage, StorageError};

use crate::stores::{azurite, content, gcs, local, memory, moto, open, options, s3s};

/// What a server is known to do otherwise.
#[derive(Default)]
struct Gaps {
    /// Of several writers of one name at the same time, more than one may be told that it won.
    several_winners: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn on_memory() {
    conforms(memory(options()), Gaps::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_folder() {
    let (_folder, storage) = local(options());
    conforms(storage, Gaps::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_by_moto() {
    tgvault_test_support::needs_servers!("moto");
    let bucket = moto().await.bucket().await.unwrap();
    conforms(open(&bucket, options()), Gaps::default()).await;
    assert_eq!(moto().await.open_uploads(&bucket).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_by_s3s() {
    let bucket = s3s().await.bucket().unwrap();
    conforms(open(&bucket, options()), Gaps { several_winners: true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_azure_by_azurite() {
    tgvault_test_support::needs_servers!("azurite");
    let bucket = azurite().await.bucket().await.unwrap();
    conforms(open(&bucket, options()), Gaps::default()).await;
    assert_eq!(azurite().await.open_uploads(&bucket).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_our_own_server_for_google() {
    let bucket = gcs().await.bucket();
    conforms(open(&bucket, options()), Gaps::default()).await;
}

async fn conforms(storage: Storage, gaps: Gaps) {
    storage.prepare().await.unwrap();
    storage.check().await.unwrap();
    nothing_there(&storage).await;
    small_objects(&storage).await;
    names_that_resemble_each_other(&storage).await;
    listing(&storage).await;
    ranges(&storage).await;
    large_uploads(&storage).await;
    uploads_given_up(&storage).await;
    one_writer_wins(&storage, &gaps).await;
    limits_and_refusals(&storage).await;
}

async fn nothing_there(storage: &Storage) {
    assert_eq!(storage.list("").await.unwrap(), []);
    assert_eq!(storage.list("snapshots/").await.unwrap(), []);
    assert_eq!(storage.head("tgvault.json").await.unwrap(), None);
    assert_eq!(storage.get("tgvault.json", 100).await.unwrap(), None);
    assert!(matches!(storage.get_range("tgvault.json", 0..1).await, Err(StorageError::NotFound { .. })));
    assert!(matches!(storage.get_stream("tgvault.json").await, Err(StorageError::NotFound { .. })));
    storage.delete("tgvault.json").await.unwrap();
}

async fn small_objects(storage: &Storage) {
    for (name, body) in [("empty", Bytes::new()), ("keys/one.age", Bytes::from_static(b"one")), ("medium", content(3_000_000, 1))] {
        storage.put_new(name, body.clone()).await.unwrap();
        storage.put_new(name, body.clone()).await.expect("the same bytes again are no conflict");
        let other = storage.put_new(name, Bytes::from_static(b"other")).await;
        assert!(matches!(other, Err(StorageError::Exists { .. })), "{name}: {other:?}");
        assert_eq!(storage.get(name, body.len() as u64).await.unwrap().unwrap(), body, "{name}");

        let info = storage.head(name).await.unwrap().unwrap();
        assert_eq!((info.name.as_str(), info.size_bytes), (name, body.len() as u64));
        let age_s = jiff::Timestamp::now().duration_since(info.modified).as_secs();
        assert!((-5..600).contains(&age_s), "{name} is dated {}", info.modified);
    }
    // A prefix of what is there, of another length.
    assert!(matches!(storage.put_new("keys/one.age", Bytes::from_static(b"on")).await, Err(StorageError::Exists { .. })));
    assert!(matches!(storage.put_new("empty", Bytes::from_static(b"x")).await, Err(StorageError::Exists { .. })));

    storage.delete("empty").await.unwrap();
    assert_eq!(storage.head("empty").await.unwrap(), None);
    storage.put_new("empty", Bytes::from_static(b"now free again")).await.unwrap();
    storage.delete("empty").await.unwrap();
    storage.delete("medium").await.unwrap();
}

async fn names_that_resemble_each_other(storage: &Storage) {
    for name in ["snap/a", "snap/a.sums", "snapshots/a", "snapshots-old/a"] {
        storage.put_new(name, Bytes::from(name)).await.unwrap();
    }
    let names = |found: Vec<tgvault::storage::ObjectInfo>| found.into_iter().map(|info| info.name).collect::<Vec<_>>();
    assert_eq!(names(storage.list("snap").await.unwrap()), ["snap/a", "snap/a.sums"], "whole segments, not letters");
    assert_eq!(names(storage.list("snapshots").await.unwrap()), ["snapshots/a"]);
    for name in ["snap/a", "snap/a.sums", "snapshots/a", "snapshots-old/a"] {
        storage.delete(name).await.unwrap();
    }
}

async fn listing(storage: &Storage) {
    let names: Vec<String> = (0..23).map(|i| format!("archives/2026/{:02}/{i:04x}.tar.zst.age", i % 4)).collect();
    futures::stream::iter(&names)
        .map(|name| storage.put_new(name, Bytes::from(name.clone())))
        .buffer_unordered(8)
        .try_collect::<()>()
        .await
        .unwrap();
    let mut expected = names.clone();
    expected.sort();
    let listed = storage.list("archives").await.unwrap();
    assert_eq!(listed.iter().map(|info| info.name.clone()).collect::<Vec<_>>(), expected);
    assert!(listed.iter().all(|info| info.size_bytes == info.name.len() as u64));
    assert_eq!(storage.list("archives/2026/03").await.unwrap().len(), 5);
    assert_eq!(storage.list("").await.unwrap().len(), 24, "with keys/one.age");
    for name in &names {
        storage.delete(name).await.unwrap();
    }
}

async fn ranges(storage: &Storage) {
    let body = content(1_000_000, 2);
    storage.put_new("ranges", body.clone()).await.unwrap();
    for range in [0..1, 0..1_000_000, 999_999..1_000_000, 65_536..131_072, 5..5] {
        let got = storage.get_range("ranges", range.clone()).await.unwrap();
        assert_eq!(got, body.slice(range.start as usize..range.end as usize), "{range:?}");
    }
    for range in [0..1_000_001, 999_999..1_000_001, 1_000_000..1_000_001, 2_000_000..2_000_010] {
        assert!(storage.get_range("ranges", range.clone()).await.is_err(), "{range:?} is not all there");
    }

    let before = storage.traffic();
    let wanted = [900_000..900_100, 10..20, 20..25, 400_000..400_001, 15..18, 7..7];
    let got = storage.get_ranges("ranges", &wanted).await.unwrap();
    let after = storage.traffic();
    for (range, got) in wanted.iter().zip(&got) {
        assert_eq!(*got, body.slice(range.start as usize..range.end as usize), "{range:?}");
    }
    assert_eq!(after.downloaded_bytes - before.downloaded_bytes, 100 + 15 + 1, "no byte more than asked for");
    assert_eq!(after.requests - before.requests, 3, "ranges that touch are one request");
    storage.delete("ranges").await.unwrap();
}

async fn large_uploads(storage: &Storage) {
    for (name, len) in [("nothing", 0), ("tail", 1_234), ("part", PART_BYTES), ("parts", 2 * PART_BYTES), ("large", 3 * PART_BYTES + 77)] {
        let body = content(len, len as u64);
        let before = storage.traffic().uploaded_bytes;
        upload(storage, name, &body).await.unwrap();
        let sent = storage.traffic().uploaded_bytes - before;
        assert!((len as u64..len as u64 + 4_096).contains(&sent), "{name}: {sent} bytes were sent for {len}");
        assert_eq!(storage.head(name).await.unwrap().unwrap().size_bytes, len as u64, "{name}");
        assert_eq!(read_through(storage, name).await, body, "{name}");
        if len > PART_BYTES {
            let edge = PART_BYTES as u64 - 10..(PART_BYTES as u64 + 10).min(len as u64);
            assert_eq!(storage.get_range(name, edge.clone()).await.unwrap(), body.slice(edge.start as usize..edge.end as usize));
        }
        let again = upload(storage, name, &content(len + 1, 9)).await;
        assert!(matches!(again, Err(StorageError::Exists { .. })), "{name}: {again:?}");
        assert_eq!(storage.head(name).await.unwrap().unwrap().size_bytes, len as u64, "{name} was overwritten");
        storage.delete(name).await.unwrap();
    }
}

/// Uploads in the parts that are asked for.
pub async fn upload(storage: &Storage, name: &str, body: &Bytes) -> Result<(), StorageError> {
    let mut upload = storage.upload(name)?;
    for start in (0..body.len()).step_by(PART_BYTES) {
        upload.part(body.slice(start..body.len().min(start + PART_BYTES))).await?;
    }
    upload.complete().await
}

async fn read_through(storage: &Storage, name: &str) -> Bytes {
    let reader = storage.get_stream(name).await.unwrap();
    let size = reader.size_bytes();
    let all: Vec<u8> = reader.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
    assert_eq!(all.len() as u64, size);
    all.into()
}

async fn uploads_given_up(storage: &Storage) {
    let part = content(PART_BYTES, 5);
    let mut given_up = storage.upload("given-up").unwrap();
    for _ in 0..3 {
        given_up.part(part.clone()).await.unwrap();
    }
    given_up.abort().await.unwrap();
    assert_eq!(storage.head("given-up").await.unwrap(), None);

    storage.upload("never-begun").unwrap().abort().await.unwrap();
    drop(storage.upload("never-begun").unwrap());
    let mut single = storage.upload("never-begun").unwrap();
    single.part(part.clone()).await.unwrap();
    single.abort().await.unwrap();
    assert_eq!(storage.head("never-begun").await.unwrap(), None);

    let mut ragged = storage.upload("ragged").unwrap();
    ragged.part(part.slice(..100)).await.unwrap();
    assert!(matches!(ragged.part(part.clone()).await, Err(StorageError::PartSize { index: 1, .. })));
    let mut fat = storage.upload("ragged").unwrap();
    assert!(matches!(fat.part(content(PART_BYTES + 1, 1)).await, Err(StorageError::PartSize { index: 0, .. })));
    assert_eq!(storage.head("ragged").await.unwrap(), None);
}

async fn one_writer_wins(storage: &Storage, gaps: &Gaps) {
    let writers = (0..8).map(|i| async move { storage.put_new("lease", Bytes::from(vec![i; 100])).await });
    let outcomes = futures::future::join_all(writers).await;
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    for outcome in &outcomes {
        assert!(matches!(outcome, Ok(()) | Err(StorageError::Exists { .. })), "{outcome:?}");
    }
    let found = storage.get("lease", 1_000).await.unwrap().unwrap();
    if gaps.several_winners {
        assert!((1..=8).contains(&won));
    } else {
        assert_eq!(won, 1);
        let winner = outcomes.iter().position(Result::is_ok).unwrap();
        assert_eq!(found, vec![winner as u8; 100]);
    }
    storage.delete("lease").await.unwrap();
}

async fn limits_and_refusals(storage: &Storage) {
    storage.put_new("ten", Bytes::from_static(b"0123456789")).await.unwrap();
    let refused = storage.get("ten", 9).await;
    assert!(matches!(refused, Err(StorageError::TooLarge { size_bytes: 10, limit_bytes: 9, .. })), "{refused:?}");
    assert!(matches!(storage.get("../ten", 9).await, Err(StorageError::Name { .. })));
    assert!(matches!(storage.list("/etc").await, Err(StorageError::Name { .. })));
    assert!(matches!(storage.upload(".ten").map(drop), Err(StorageError::Name { .. })));
    storage.delete("ten").await.unwrap();
}
