//! What only a folder can get wrong: links, modes, leftovers, file systems that can do less.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};

use futures::StreamExt;
use rustix::fs::Mode;
use rustix::io::Errno;
use tempfile::TempDir;

use super::super::options::StorageOptions;
use super::*;

fn meter() -> Arc<Meter> {
    Arc::new(Meter::new(&StorageOptions::default()))
}

/// A folder, and a store in it that may do just what `features` allows.
fn store(features: Features) -> (TempDir, LocalBackend) {
    let folder = tempfile::tempdir().unwrap();
    let backend = LocalBackend::with_features(folder.path().to_owned(), meter(), features);
    (folder, backend)
}

fn every_way() -> Vec<(TempDir, LocalBackend)> {
    [Features::all(), Features::named(true, true), Features::named(false, true), Features::named(false, false)].map(store).into()
}

fn hidden_files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

async fn content(store: &LocalBackend, name: &str) -> Result<Bytes> {
    let mut body = store.read(name, None).await?;
    let mut all = Vec::new();
    while let Some(piece) = body.stream.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all.into())
}

#[tokio::test]
async fn create_never_overwrites_whatever_the_file_system_can_do() {
    for (folder, store) in every_way() {
        store.create("a/b/c", Bytes::from_static(b"first")).await.unwrap();
        let again = store.create("a/b/c", Bytes::from_static(b"second")).await;
        assert!(matches!(again, Err(StorageError::Exists { .. })), "{again:?}");
        assert_eq!(content(&store, "a/b/c").await.unwrap(), "first");
        assert!(hidden_files(&folder.path().join("a/b")).is_empty());
    }
}

#[tokio::test]
async fn uploads_never_overwrite_and_leave_nothing_when_aborted() {
    for (folder, store) in every_way() {
        let sink = store.begin("x").await.unwrap();
        sink.put(1, Bytes::from_static(b"tail")).await.unwrap();
        sink.put(0, Bytes::from(vec![7; PART_BYTES])).await.unwrap();
        let len = PART_BYTES as u64 + 4;
        assert!(matches!(sink.finish(len + 1).await, Err(StorageError::Failed { .. })), "a wrong length is noticed");
        assert!(store.head("x").await.unwrap().is_none(), "nothing shows before the end");
        sink.finish(len).await.unwrap();
        assert_eq!(store.head("x").await.unwrap().unwrap().size_bytes, len);

        let second = store.begin("x").await.unwrap();
        second.put(0, Bytes::from_static(b"other")).await.unwrap();
        assert!(matches!(second.finish(5).await, Err(StorageError::Exists { .. })));
        second.abort().await.unwrap();
        second.abort().await.unwrap();
        assert!(matches!(second.put(0, Bytes::new()).await, Err(StorageError::NotFound { .. })));
        assert_eq!(store.head("x").await.unwrap().unwrap().size_bytes, len);
        assert_eq!(hidden_files(folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn one_of_many_writers_wins() {
    // Not without any safe way: there the last check and the rename are two steps, and the module says so.
    for features in [Features::all(), Features::named(true, true), Features::named(false, true)] {
        let (_folder, store) = store(features);
        let writers = (0..16).map(|i| store.create("lease", Bytes::from(vec![i; 10])));
        let wins = futures::future::join_all(writers).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(wins, 1);
    }
}

#[tokio::test]
async fn only_the_owner_reads() {
    for (folder, store) in every_way() {
        store.create("archives/2026/x", Bytes::from_static(b"x")).await.unwrap();
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("archives"), mode("archives/2026"), mode("archives/2026/x")), (0o700, 0o700, 0o600));
    }
}

#[tokio::test]
async fn an_absent_root_is_an_error_everywhere_and_only_prepare_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("disk/vault");
    let store = LocalBackend::new(root.clone(), meter());
    let absent = |outcome: Result<()>| assert!(matches!(outcome, Err(StorageError::NoContainer { .. })), "{outcome:?}");
    absent(store.check().await);
    absent(store.list("").await.map(drop));
    absent(store.list("snapshots").await.map(drop));
    absent(store.read("x", None).await.map(drop));
    absent(store.head("x").await.map(drop));
    absent(store.create("a/x", Bytes::new()).await);
    absent(store.begin("a/x").await.map(drop));
    absent(store.delete("x").await);
    assert!(!root.exists());

    store.prepare().await.unwrap();
    store.prepare().await.unwrap();
    store.check().await.unwrap();
    assert_eq!(store.list("snapshots").await.unwrap(), []);
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn listing_follows_moved_folders_and_reports_what_it_cannot_see() {
    let (folder, store) = store(Features::all());
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(elsewhere.path().join("2026")).unwrap();
    fs::write(elsewhere.path().join("2026/a"), "abc").unwrap();
    fs::write(elsewhere.path().join("Photo of me.jpg"), "not ours").unwrap();
    fs::write(elsewhere.path().join(".hidden"), "not ours").unwrap();
    symlink(elsewhere.path(), folder.path().join("archives")).unwrap();
    symlink("/etc/hostname", folder.path().join("link")).unwrap();
    let found = store.list("").await.unwrap();
    assert_eq!(found.iter().map(|o| (o.name.as_str(), o.size_bytes)).collect::<Vec<_>>(), [("archives/2026/a", 3)]);

    symlink("loop", elsewhere.path().join("loop")).unwrap();
    assert!(store.list("").await.is_err(), "a link that leads nowhere may hide a folder");
    fs::remove_file(elsewhere.path().join("loop")).unwrap();
    symlink(".", elsewhere.path().join("loop")).unwrap();
    assert!(store.list("").await.is_err(), "a loop has no complete listing");
}

#[tokio::test]
async fn links_and_pipes_are_not_objects() {
    let (folder, store) = store(Features::all());
    symlink("/etc/hostname", folder.path().join("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for name in ["link", "pipe", "folder"] {
        assert!(content(&store, name).await.is_err(), "{name}");
        assert!(store.head(name).await.unwrap().is_none(), "{name}");
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_later() {
    let (folder, store) = store(Features::named(true, true));
    let old = folder.path().join(".tgvault-partial-0000000000000000");
    fs::write(&old, "half").unwrap();
    let two_days_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 3600);
    File::options().write(true).open(&old).unwrap().set_modified(two_days_ago).unwrap();
    fs::write(folder.path().join(".tgvault-partial-0000000000000001"), "in work").unwrap();
    store.create("x", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(hidden_files(folder.path()), [".tgvault-partial-0000000000000001"]);
}

#[tokio::test]
async fn a_folder_that_vanished_is_made_again() {
    let (folder, store) = store(Features::all());
    store.create("a/x", Bytes::from_static(b"x")).await.unwrap();
    fs::remove_dir_all(folder.path().join("a")).unwrap();
    store.create("a/x", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(content(&store, "a/x").await.unwrap(), "x");
}

/// What the system says, in words that tell a user what to do.
#[tokio::test]
async fn failures_of_the_system_are_told_apart() {
    let (folder, store) = store(Features::all());
    let told = |errno: Errno| store.disk.explain("write", "x".into(), io::Error::from(errno));
    assert!(matches!(told(Errno::ROFS), StorageError::ReadOnly { operation: "write", .. }));
    assert!(matches!(told(Errno::ACCESS), StorageError::PermissionDenied { .. }));
    assert!(matches!(told(Errno::PERM), StorageError::PermissionDenied { .. }));
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
        assert!(matches!(told(errno), StorageError::Full { .. }), "{errno}");
    }
    assert!(matches!(told(Errno::NOENT), StorageError::NotFound { .. }));
    assert!(matches!(told(Errno::IO), StorageError::Failed { .. }));
    assert!(told(Errno::STALE).is_transient());
    fs::remove_dir(folder.path()).unwrap();
    assert!(matches!(told(Errno::NOENT), StorageError::NoContainer { .. }));
}
