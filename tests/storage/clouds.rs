//! What only servers can show: uploads that leave nothing, credentials, buckets that do not exist, servers that can do less.

use std::time::Duration;

use bytes::Bytes;
use tgvault::storage::{PART_BYTES, Storage, StorageError, Upload};
use tgvault_test_support::Port;
use tgvault_test_support::gate::{Action, Gate};
use tgvault_test_support::stores::{Bucket, azurite::ACCOUNT};

use crate::conformance::upload;
use crate::stores::{azurite, content, gcs, impatient, moto, open, options, s3s};

/// An upload with parts at the server.
async fn begun(storage: &Storage, name: &str) -> Upload {
    let mut upload = storage.upload(name).unwrap();
    for _ in 0..6 {
        upload.part(content(PART_BYTES, 3)).await.unwrap();
    }
    upload
}

/// Checks, with a way to count unfinished uploads, that each way out leaves none.
async fn leaves_nothing(storage: &Storage, open_uploads: impl AsyncFn() -> usize) {
    let aborted = begun(storage, "aborted").await;
    assert!(open_uploads().await >= 1, "the server must show an unfinished upload for this test to mean anything");
    aborted.abort().await.unwrap();
    assert_eq!(open_uploads().await, 0);

    // The abort of a dropped upload goes on in the background; a minute is far beyond what it takes.
    let gone = async || {
        for _ in 0..6_000 {
            if open_uploads().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a dropped upload is still there");
    };
    drop(begun(storage, "dropped").await);
    gone().await;

    let mut cancelled = storage.upload("cancelled").unwrap();
    let send = async {
        loop {
            cancelled.part(content(PART_BYTES, 3)).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(50), send).await.is_err());
    drop(cancelled);
    tokio::time::sleep(Duration::from_millis(50)).await;
    gone().await;
    assert_eq!(storage.list("").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_end_early_leave_nothing_on_moto() {
    tgvault_test_support::needs_servers!("moto");
    let server = moto().await;
    let bucket = server.bucket().await.unwrap();
    leaves_nothing(&open(&bucket, options()), async || server.open_uploads(&bucket).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_end_early_leave_nothing_on_azurite() {
    tgvault_test_support::needs_servers!("azurite");
    let server = azurite().await;
    let bucket = server.bucket().await.unwrap();
    leaves_nothing(&open(&bucket, options()), async || server.open_uploads(&bucket).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_end_early_leave_nothing_on_s3s() {
    // A server of its own: it counts unfinished uploads over all buckets.
    let server = tgvault_test_support::stores::s3s::S3s::start().unwrap();
    let bucket = server.bucket().unwrap();
    leaves_nothing(&open(&bucket, options()), async || server.open_uploads().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_end_early_leave_nothing_on_our_server_for_google() {
    let server = tgvault_test_support::stores::gcs::Gcs::start().unwrap();
    let bucket = server.bucket();
    leaves_nothing(&open(&bucket, options()), async || server.open_uploads()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named() {
    tgvault_test_support::needs_servers!("moto", "azurite");
    let buckets = [
        ("moto", moto().await.bucket().await.unwrap()),
        ("s3s", s3s().await.bucket().unwrap()),
        ("azurite", azurite().await.bucket().await.unwrap()),
        ("gcs", gcs().await.bucket()),
    ];
    for (server, bucket) in buckets {
        let missing = Bucket { url: bucket.url.replace("bucket-", "missing-"), ..bucket };
        let storage = open(&missing, impatient());
        let named = |what: &str, outcome: Result<(), StorageError>| match outcome {
            Err(StorageError::NoContainer { container, .. }) => assert!(container.contains("missing-"), "{server}: {what}: {container}"),
            other => panic!("{server}: {what}: {other:?}"),
        };
        named("check", storage.check().await);
        named("prepare", storage.prepare().await);
        named("list", storage.list("snapshots").await.map(drop));
        let get = storage.get("x", 10).await;
        let put = storage.put_new("x", Bytes::from_static(b"x")).await;
        let upload = upload(&storage, "y", &content(PART_BYTES + 1, 1)).await;
        if server == "s3s" {
            // It looks for the object only, and makes the bucket by itself.
            assert!(matches!((&get, &put, &upload), (Ok(None), Ok(()), Ok(()))), "{get:?} {put:?} {upload:?}");
        } else {
            named("get", get.map(drop));
            named("put", put);
            named("upload", upload);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_told_from_missing_rights() {
    tgvault_test_support::needs_servers!("azurite");
    // moto checks no signature; our own server for Google neither.
    let secret = "c2VjcmV0LXRoYXQtbXVzdC1ub3Qtc2hvdw==";
    let s3 = s3s().await.bucket().unwrap();
    let azure = azurite().await.bucket().await.unwrap();
    for bucket in [
        s3.clone().with_env("AWS_SECRET_ACCESS_KEY", secret),
        s3.with_env("AWS_ACCESS_KEY_ID", "nobody"),
        azure.with_env("AZURE_STORAGE_ACCOUNT_KEY", secret),
    ] {
        let storage = open(&bucket, impatient());
        for outcome in [storage.check().await, storage.put_new("x", Bytes::from_static(b"x")).await, storage.list("").await.map(drop)] {
            let error = outcome.unwrap_err();
            assert!(matches!(error, StorageError::BadCredentials { .. }), "{error:?}");
            assert!(!format!("{error} {error:?} {:?}", storage).contains(secret));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_only_may_be_read() {
    let bucket = s3s().await.bucket().unwrap();
    open(&bucket, options()).put_new("there", Bytes::from_static(b"there")).await.unwrap();
    let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let gate = Gate::start(Some(bucket.address), move |seen| match seen.method.as_str() {
        "GET" | "HEAD" => Action::Forward,
        _ => Action::Answer(403, vec![], denied),
    })
    .unwrap();
    let storage = open(&bucket.with_env("AWS_ENDPOINT_URL", &gate.url()), impatient());
    storage.check().await.unwrap();
    assert_eq!(storage.get("there", 10).await.unwrap().unwrap(), "there");
    for outcome in [
        storage.put_new("x", Bytes::from_static(b"x")).await,
        upload(&storage, "x", &content(PART_BYTES + 1, 1)).await,
        storage.delete("there").await,
    ] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, StorageError::PermissionDenied { operation: "write" | "delete", .. }), "{error:?}");
        assert!(error.hint().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials() {
    let nobody = Port::reserve().unwrap();
    let nowhere = format!("http://{}", nobody.address());
    let variables = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>();

    let disabled = variables(&[("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_ENDPOINT_URL", &nowhere)]);
    let error = Storage::open("s3://bucket/x", disabled, options()).unwrap_err();
    assert!(matches!(error, StorageError::NoCredentials { .. }), "{error:?}");

    let half = variables(&[("AWS_ACCESS_KEY_ID", "half")]);
    let error = Storage::open("s3://bucket/x", half, options()).unwrap_err();
    assert!(matches!(error, StorageError::Settings { .. }), "{error:?}");

    let no_role = variables(&[("AWS_METADATA_ENDPOINT", &nowhere), ("AWS_ENDPOINT_URL", &nowhere)]);
    let no_identity =
        variables(&[("AZURE_MSI_ENDPOINT", &nowhere), ("AZURE_STORAGE_ACCOUNT", ACCOUNT), ("AZURE_STORAGE_ENDPOINT", &nowhere)]);
    for (address, env) in [("s3://bucket/x", no_role), ("az://container/x", no_identity)] {
        let storage = Storage::open(address, env, options()).unwrap();
        let error = storage.check().await.unwrap_err();
        assert!(matches!(error, StorageError::NoCredentials { .. }), "{address}: {error:?}");
    }
}

/// Names that mean something to the clients only without their prefix (`TOKEN`, `ENDPOINT`) are other programs' variables.
#[tokio::test(flavor = "multi_thread")]
async fn variables_of_other_programs_change_nothing() {
    let bucket = s3s().await.bucket().unwrap();
    let bucket =
        ["TOKEN", "REGION", "ENDPOINT", "BUCKET", "ACCESS_KEY_ID"].iter().fold(bucket, |bucket, name| bucket.with_env(name, "stray"));
    open(&bucket, impatient()).check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_prefixes_of_one_bucket_are_two_stores() {
    tgvault_test_support::needs_servers!("moto");
    let bucket = moto().await.bucket().await.unwrap();
    let at = |prefix: &str| Storage::open(&format!("{}{prefix}", bucket.url), bucket.env.clone(), options()).unwrap();
    let (root, a, ab) = (at(""), at("/a"), at("/a-b/c%20d/"));
    a.put_new("x", Bytes::from_static(b"a")).await.unwrap();
    ab.put_new("x", Bytes::from_static(b"ab")).await.unwrap();
    assert_eq!(a.list("").await.unwrap().len(), 1);
    assert_eq!(ab.list("").await.unwrap().len(), 1);
    assert_eq!(a.get("x", 9).await.unwrap().unwrap(), "a");
    assert_eq!(root.get("a/x", 9).await.unwrap().unwrap(), "a");
}

/// Some servers answer a conditional put with 501, some ignore the condition and overwrite.
#[tokio::test(flavor = "multi_thread")]
async fn servers_without_conditional_puts_lose_nothing() {
    tgvault_test_support::needs_servers!("moto");
    for refuses in [true, false] {
        let bucket = moto().await.bucket().await.unwrap();
        let gate = Gate::start(Some(bucket.address), move |seen| match seen.header("if-none-match") {
            Some(_) if refuses => Action::Answer(501, vec![], "<Error><Code>NotImplemented</Code></Error>"),
            Some(_) => Action::ForwardWithout("if-none-match"),
            None => Action::Forward,
        })
        .unwrap();
        let storage = open(&bucket.with_env("AWS_ENDPOINT_URL", &gate.url()), options());
        for name in ["a", "b"] {
            storage.put_new(name, Bytes::from_static(b"first")).await.unwrap();
            storage.put_new(name, Bytes::from_static(b"first")).await.unwrap();
            let second = storage.put_new(name, Bytes::from_static(b"second")).await;
            assert!(matches!(second, Err(StorageError::Exists { .. })), "{second:?}");
            assert_eq!(storage.get(name, 10).await.unwrap().unwrap(), "first");
        }
    }
}
