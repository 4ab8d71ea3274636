//! A store that fails at each call in turn: what was committed stays, and the next run completes.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use tempfile::TempDir;
use tgvault::storage::{FaultKind, Faults, PART_BYTES, Storage, StorageError, StorageOptions};
use tokio::time::Instant;

use crate::conformance::upload;
use crate::stores::{content, impatient, local, memory};

const KINDS: [FaultKind; 4] = [FaultKind::Refused, FaultKind::AnswerLost, FaultKind::BodyCut, FaultKind::UploadCut];

/// A small backup, as a store sees it; a second run finds what the first one left.
async fn run(storage: &Storage) -> Result<(), StorageError> {
    storage.check().await?;
    if storage.head("archive").await?.is_none() {
        upload(storage, "archive", &archive()).await?;
    }
    storage.put_new("snapshot", Bytes::from_static(b"names the archive")).await?;
    if storage.list("").await?.len() != 2 {
        return Err(StorageError::NotFound { name: "one of two".into() });
    }
    let reader = storage.get_stream("archive").await?;
    let read: Vec<u8> = reader.map_ok(|piece| piece.to_vec()).try_concat().await?;
    assert!(read == archive(), "bytes that were not written");
    Ok(())
}

fn archive() -> Bytes {
    content(2 * PART_BYTES + 100, 5)
}

/// Whatever is visible is whole, and nothing is visible that refers to what is not.
async fn assert_sound(storage: &Storage) {
    let found = storage.list("").await.unwrap();
    for info in &found {
        match info.name.as_str() {
            "archive" => assert_eq!(storage.get("archive", u64::MAX).await.unwrap().unwrap(), archive()),
            "snapshot" => assert_eq!(storage.get("snapshot", 100).await.unwrap().unwrap(), "names the archive"),
            other => panic!("{other}"),
        }
    }
    assert!(found.iter().all(|info| info.name != "snapshot") || found.len() == 2, "a snapshot without its archive: {found:?}");
}

fn stores() -> [(Option<TempDir>, Storage); 2] {
    let (folder, storage) = local(impatient());
    [(None, memory(impatient())), (Some(folder), storage)]
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_may_fail_once_or_for_ever() {
    let faults = Faults::none();
    run(&memory(impatient()).with_faults(&faults)).await.unwrap();
    let calls = faults.calls();
    assert!(calls >= 10, "check, head, begin, three parts, head, finish, put, list, read: {calls}");

    for kind in KINDS {
        for n in 0..calls {
            for lasting in [false, true] {
                for (folder, storage) in stores() {
                    let faults = if lasting { Faults::for_ever(kind, n) } else { Faults::once(kind, n) };
                    let outcome = run(&storage.with_faults(&faults)).await;
                    // A cut body is read again, and when the answer to a finished upload is lost, a look shows that it is there.
                    let may_recover = !lasting && matches!(kind, FaultKind::BodyCut | FaultKind::AnswerLost);
                    assert!(outcome.is_err() || may_recover, "{faults:?} went unnoticed");
                    assert_sound(&storage).await;
                    run(&storage).await.unwrap_or_else(|error| panic!("the run after {faults:?}: {error:?}"));
                    assert_sound(&storage).await;
                    if let Some(folder) = folder {
                        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "{faults:?} left something behind");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_not_seen_above() {
    let faults = Faults::none();
    run(&memory(impatient()).with_faults(&faults)).await.unwrap();
    let patient = StorageOptions { retry_budget: Duration::from_secs(30), ..impatient() };
    for kind in [FaultKind::Refused, FaultKind::AnswerLost, FaultKind::BodyCut] {
        for n in 0..faults.calls() {
            let storage = memory(patient.clone());
            let faults = Faults::once(kind, n).transient();
            run(&storage.with_faults(&faults)).await.unwrap_or_else(|error| panic!("{faults:?}: {error:?}"));
            assert_sound(&storage).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_does_not_hide_another_writer() {
    let storage = memory(impatient());
    storage.put_new("x", Bytes::from_static(b"theirs")).await.unwrap();
    let faults = Faults::once(FaultKind::Refused, 0).transient();
    let outcome = storage.with_faults(&faults).put_new("x", Bytes::from_static(b"ours")).await;
    assert!(matches!(outcome, Err(StorageError::Exists { .. })), "{outcome:?}");
    assert_eq!(storage.get("x", 10).await.unwrap().unwrap(), "theirs");
}

/// While parts are under way, the next one waits: what is in memory is bounded.
#[tokio::test(start_paused = true)]
async fn parts_wait_for_room() {
    let storage =
        Storage::open("memory://", [], StorageOptions { max_in_flight: 2, limit_upload_bytes_per_s: Some(1), ..impatient() }).unwrap();
    let mut upload = storage.upload("x").unwrap();
    let part = content(PART_BYTES, 1);
    let mut taken = 0;
    // The first part passes before the limit bites; at a byte a second no other ever arrives: two are under way, the next waits.
    while let Ok(outcome) = tokio::time::timeout(Duration::from_millis(100), upload.part(part.clone())).await {
        outcome.unwrap();
        taken += 1;
        assert!(taken < 10);
    }
    assert_eq!(taken, 3);
}

/// The clock only moves when everything waits, so the bytes that pass in an hour are exact.
#[tokio::test(start_paused = true)]
async fn limits_hold_for_every_store() {
    let limits = StorageOptions { limit_upload_bytes_per_s: Some(1_000_000), limit_download_bytes_per_s: Some(2_000_000), ..impatient() };
    let storage = memory(limits);
    let body = content(3 * PART_BYTES, 1);
    let started = Instant::now();
    upload(&storage, "x", &body).await.unwrap();
    let upload_s = started.elapsed().as_secs_f64();
    let sent = storage.traffic().uploaded_bytes as f64;
    assert!(sent <= upload_s * 1_000_000.0 + 100_000.0 + PART_BYTES as f64, "{sent} bytes in {upload_s} s of the clock");

    let started = Instant::now();
    for _ in 0..3 {
        storage.get("x", u64::MAX).await.unwrap().unwrap();
    }
    let download_s = started.elapsed().as_secs_f64();
    let received = storage.traffic().downloaded_bytes as f64;
    assert!(received <= download_s * 2_000_000.0 + 200_000.0 + body.len() as f64, "{received} bytes in {download_s} s of the clock");
}
