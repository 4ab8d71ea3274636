//! Bad lines and busy servers, made by a gate before a server.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use tgvault::storage::{PART_BYTES, Storage, StorageError, StorageOptions};
use tgvault_test_support::Port;
use tgvault_test_support::gate::{Action, Gate, Seen};
use tgvault_test_support::stores::gcs::{self, Gcs};
use tgvault_test_support::stores::{Bucket, fresh_name};

use crate::conformance::upload;
use crate::stores::{content, impatient, open, options, s3s};

/// A store behind a gate; s3s-fs, since it checks what arrives.
async fn behind(options: StorageOptions, decide: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> (Gate, Storage, Storage) {
    let bucket = s3s().await.bucket().unwrap();
    let gate = Gate::start(Some(bucket.address), decide).unwrap();
    let plain = open(&bucket, options.clone());
    let gated = open(&bucket.with_env("AWS_ENDPOINT_URL", &gate.url()), options);
    (gate, gated, plain)
}

/// Lets the first request to each target fail, and its repetition pass.
fn first_time(action: Action) -> impl Fn(&Seen) -> Action + Send + Sync {
    let known = Mutex::new(HashSet::new());
    move |seen| {
        let fresh = known.lock().unwrap().insert((seen.method.clone(), seen.target.clone()));
        if fresh { action.clone() } else { Action::Forward }
    }
}

/// Everything that is done to a store, each with its result checked.
async fn everything(storage: &Storage) {
    let large = content(2 * PART_BYTES + 5, 1);
    let small = content(100_000, 2);
    storage.check().await.unwrap();
    storage.put_new("dir/small", small.clone()).await.unwrap();
    upload(storage, "dir/large", &large).await.unwrap();
    assert_eq!(storage.list("dir").await.unwrap().len(), 2);
    assert_eq!(storage.get("dir/small", 1_000_000).await.unwrap().unwrap(), small);
    assert_eq!(storage.get_range("dir/large", 9_000_000..9_500_000).await.unwrap(), large.slice(9_000_000..9_500_000));
    let read: Vec<u8> = storage.get_stream("dir/large").await.unwrap().map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
    assert!(read == large);
    assert_eq!(storage.head("dir/large").await.unwrap().unwrap().size_bytes, large.len() as u64);
    storage.delete("dir/large").await.unwrap();
    storage.delete("dir/small").await.unwrap();
    assert_eq!(storage.list("").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_servers_are_asked_again() {
    let slow_down = "<Error><Code>SlowDown</Code></Error>";
    let timeout = "<Error><Code>RequestTimeout</Code></Error>";
    for (status, body) in [(429, ""), (500, ""), (502, ""), (503, slow_down), (504, ""), (408, ""), (400, timeout)] {
        let action = Action::Answer(status, vec![("retry-after", "0")], body);
        let (gate, storage, _) = behind(options(), first_time(action)).await;
        everything(&storage).await;
        assert!(gate.seen().len() > 20, "every request was made at least twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_broken_connections() {
    for action in [Action::HangUp, Action::ForwardThenHangUp] {
        let (_gate, storage, _) = behind(options(), first_time(action)).await;
        everything(&storage).await;
    }
}

/// Also after the answer to a finished upload was lost, which the server then no longer knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_completed_upload() {
    let server = Gcs::start().unwrap();
    let bucket = server.bucket();
    let gate = Gate::start(Some(bucket.address), first_time(Action::ForwardThenHangUp)).unwrap();
    let env = gcs::env(gate.url().trim_start_matches("http://").parse().unwrap());
    let storage = open(&Bucket { env, ..bucket }, options());
    let body = content(PART_BYTES + 3, 4);
    upload(&storage, "x", &body).await.unwrap();
    assert_eq!(storage.get("x", u64::MAX).await.unwrap().unwrap(), body);
    let completed = gate.seen().iter().filter(|seen| seen.method == "POST" && seen.target.contains("uploadId")).count();
    assert_eq!(completed, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_end_early_or_fall_silent() {
    let patience = StorageOptions { stall_timeout: Duration::from_secs(1), ..options() };
    for (action, options) in [(Action::CutBody(70_000), options()), (Action::SilentAfter(70_000), patience)] {
        let body = content(300_000, 7);
        let reads = AtomicUsize::new(0);
        let (gate, storage, plain) = behind(options, move |seen| match seen.method.as_str() {
            "GET" if reads.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) => action.clone(),
            _ => Action::Forward,
        })
        .await;
        plain.put_new("x", body.clone()).await.unwrap();

        assert_eq!(storage.get("x", 1_000_000).await.unwrap().unwrap(), body);
        assert_eq!(storage.get_range("x", 100..200_100).await.unwrap(), body.slice(100..200_100));
        let before = storage.traffic().downloaded_bytes;
        let read: Vec<u8> = storage.get_stream("x").await.unwrap().map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
        assert!(read == body);
        let fetched = storage.traffic().downloaded_bytes - before;
        assert_eq!(fetched, body.len() as u64, "a stream goes on where it broke off");
        assert!(gate.seen().len() >= 6, "each of the three reads broke off once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers() {
    let options = StorageOptions { stall_timeout: Duration::from_millis(200), ..options() };
    let (gate, storage, _) = behind(options, first_time(Action::Silent)).await;
    storage.check().await.unwrap();
    storage.put_new("x", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(storage.get("x", 1).await.unwrap().unwrap(), "x");
    assert!(gate.seen().len() >= 6);
}

/// A part takes a multiple of the patience for silence, and passes at the first attempt: what counts is that it moves.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_uplink_is_not_a_dead_one() {
    let options = StorageOptions { stall_timeout: Duration::from_secs(2), ..options() };
    let (gate, storage, plain) = behind(options, |seen| match seen.method.as_str() {
        "PUT" => Action::ReadSlowly(Duration::from_millis(40)),
        _ => Action::Forward,
    })
    .await;
    let body = content(PART_BYTES, 11);
    upload(&storage, "x", &body).await.unwrap();
    assert_eq!(plain.get("x", u64::MAX).await.unwrap().unwrap(), body);
    assert_eq!(gate.seen().iter().filter(|seen| seen.method == "PUT").count(), 1);
    assert_eq!(storage.traffic().uploaded_bytes, body.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_up_late() {
    let port = Port::reserve().unwrap();
    let (name, address) = (fresh_name(), port.address());
    let bucket = Bucket { url: format!("gs://{name}"), env: gcs::env(address), address, name: name.clone() };
    let storage = open(&bucket, options());
    let put = tokio::spawn(async move { storage.put_new("x", Bytes::from_static(b"x")).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let server = Gcs::start_on(port).unwrap();
    server.make_bucket(&name);
    put.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_ends_and_the_error_says_so() {
    for action in [Action::HangUp, Action::Answer(503, vec![], "<Error><Code>SlowDown</Code></Error>")] {
        let options = StorageOptions { retry_budget: Duration::from_secs(2), ..options() };
        let (gate, storage, _) = behind(options, move |_| action.clone()).await;
        let error = storage.put_new("x", Bytes::from_static(b"x")).await.unwrap_err();
        assert!(matches!(error, StorageError::Unavailable { attempts: 2.., .. }), "{error:?}");
        assert!(gate.seen().len() >= 2);
        assert!(error.hint().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_is_not_asked_again() {
    for status in [400, 403, 501] {
        let (gate, storage, _) = behind(options(), move |_| Action::Answer(status, vec![], "<Error><Code>No</Code></Error>")).await;
        storage.list("").await.unwrap_err();
        assert_eq!(gate.seen().len(), 1, "{status}");
    }
}

/// The second page of a listing fails: never a short list, and when it passes later, the whole one.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_whole_or_an_error() {
    let server = Gcs::start().unwrap();
    let bucket = server.bucket();
    let plain = open(&bucket, options());
    for i in 0..12 {
        plain.put_new(&format!("a/{i:02}"), Bytes::new()).await.unwrap();
    }
    for (failures, passes) in [(usize::MAX, false), (2, true)] {
        let left = AtomicUsize::new(failures);
        let gate = Gate::start(Some(bucket.address), move |seen| {
            // However it is asked for: as the next page, or as what comes behind the last name.
            let second_page = ["continuation-token", "start-after"].iter().any(|way| seen.target.contains(way));
            let fails = second_page && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            if fails { Action::HangUp } else { Action::Forward }
        })
        .unwrap();
        let env = gcs::env(gate.url().trim_start_matches("http://").parse().unwrap());
        let options = if passes { options() } else { impatient() };
        let listed = open(&Bucket { env, ..bucket.clone() }, options).list("a").await;
        match listed {
            Ok(found) => assert!(passes && found.len() == 12, "{found:?}"),
            Err(error) => assert!(!passes && error.is_transient(), "{error:?}"),
        }
    }
}

/// On S3, status 200 and an error in the body mean that completing an upload failed after all.
#[tokio::test(flavor = "multi_thread")]
async fn a_completion_that_fails_with_status_200() {
    let fault = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>try again</Message></Error>";
    let told = AtomicUsize::new(0);
    let (_gate, storage, plain) = behind(options(), move |seen| {
        let completes = seen.method == "POST" && seen.target.contains("uploadId");
        if completes && told.fetch_add(1, Ordering::SeqCst) == 0 { Action::Answer(200, vec![], fault) } else { Action::Forward }
    })
    .await;
    let body = content(PART_BYTES + 1, 3);
    upload(&storage, "x", &body).await.unwrap();
    assert_eq!(plain.get("x", u64::MAX).await.unwrap().unwrap(), body);
}
