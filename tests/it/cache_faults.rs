//! What a machine keeps of a vault may be deleted, cut, changed, foreign or shared: that costs requests, and nothing else. And whatever
//! it has of what the store no longer shows, it says so.

use std::fs;
use std::path::{Path, PathBuf};

use tgvault::model::filter::PathFilter;
use tgvault::operations::snapshot::choice::{Selection, SnapshotChoice};
use tgvault::operations::{OperationError, look};
use tgvault::repository::RepositoryError;
use tgvault::storage::Counts;

use crate::round_trips::Aged;

const COMMANDS: [&str; 5] = ["snapshots", "ls", "restore", "find", "verify --quick"];

/// Runs everything that reads, each as a process of its own would; gives how many requests it took. What is read is checked there.
async fn all(vault: &Aged) -> usize {
    vault.counts.take();
    for command in COMMANDS {
        vault.run(command, &vault.session(vault.state())).await;
    }
    vault.counts.take().len()
}

/// The folder of the newest machine's cache.
fn cache_of(vault: &Aged) -> PathBuf {
    vault.state().path().join(vault.world.report.repository.to_string()).join("cache")
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let found: Vec<PathBuf> = found.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "age")).collect();
    assert!(!found.is_empty());
    found
}

fn change(vault: &Aged, change: impl Fn(&mut Vec<u8>)) {
    for path in segments(&cache_of(vault)) {
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_damaged_costs_requests_and_nothing_else() {
    let mut vault = Aged::of(12, Counts::default()).await;
    let mut foreign = Aged::of(10, Counts::default()).await;
    vault.newcomer();
    let other_key = cache_of(&vault);
    let cold = all(&vault).await;
    vault.newcomer();
    assert_eq!(all(&vault).await, cold);
    let warm = all(&vault).await;
    assert!(warm < cold, "{warm} {cold}");
    // A machine of the other vault with the same key.
    let state = foreign.newcomer();
    fs::copy(vault.state().path().join("machine.key"), state.path().join("machine.key")).unwrap();
    foreign.run("snapshots", &foreign.session(foreign.state())).await;
    let other_vault = cache_of(&foreign);
    let instead = |folder: &Path| {
        let own = cache_of(&vault);
        fs::remove_dir_all(&own).unwrap();
        fs::create_dir(&own).unwrap();
        for path in segments(folder) {
            fs::copy(&path, own.join(path.file_name().unwrap())).unwrap();
        }
    };
    type Fault<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let faults: [Fault<'_>; 9] = [
        ("deleted", Box::new(|| fs::remove_dir_all(cache_of(&vault)).unwrap())),
        ("empty", Box::new(|| change(&vault, Vec::clear))),
        ("cut in the middle", Box::new(|| change(&vault, |bytes| bytes.truncate(bytes.len() / 2)))),
        ("cut at the end", Box::new(|| change(&vault, |bytes| bytes.truncate(bytes.len() - 1)))),
        ("flipped in the header", Box::new(|| change(&vault, |bytes| bytes[60] ^= 1))),
        (
            "flipped in a piece",
            Box::new(|| {
                change(&vault, |bytes| {
                    let middle = bytes.len() / 3;
                    bytes[middle] ^= 1;
                })
            }),
        ),
        (
            "flipped at the end",
            Box::new(|| {
                change(&vault, |bytes| {
                    let last = bytes.len() - 20;
                    bytes[last] ^= 1;
                })
            }),
        ),
        ("of another vault", Box::new(|| instead(&other_vault))),
        ("of another machine", Box::new(|| instead(&other_key))),
    ];
    for (name, fault) in faults {
        fault();
        let again = all(&vault).await;
        assert!(again <= cold, "{name}: {again} instead of {cold}");
        let afterwards = all(&vault).await;
        assert!(afterwards <= warm, "{name}: {afterwards} instead of {warm}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_share_a_cache_and_lose_nothing() {
    let mut vault = Aged::of(12, Counts::default()).await;
    vault.newcomer();
    all(&vault).await;
    let warm = all(&vault).await;
    vault.newcomer();
    for _ in 0..3 {
        futures::join!(all(&vault), all(&vault), all(&vault));
    }
    assert!(all(&vault).await <= warm);
}

/// Everything that stands for the newest snapshot, and nothing else.
async fn take_away_the_newest(vault: &Aged) -> String {
    let objects = vault.world.objects().await;
    let newest = objects.keys().rfind(|name| name.starts_with("snapshots/") && name.ends_with(".json.zst.age")).unwrap();
    let stem = newest.trim_end_matches(".json.zst.age").to_owned();
    for name in objects.keys().filter(|name| name.trim_start_matches("mirror/").starts_with(&stem)) {
        vault.world.storage.delete(name).await.unwrap();
    }
    stem.trim_start_matches("snapshots/").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_set_back_is_noticed_though_the_cache_has_newer_things() {
    // A pack has the newest as well.
    let mut vault = Aged::of(16, Counts::default()).await;
    vault.newcomer();
    all(&vault).await;
    let stem = take_away_the_newest(&vault).await;
    let session = || vault.session(vault.state());
    let listed = look::snapshots(&session(), &Selection::default(), false).await.unwrap();
    assert_eq!(listed.snapshots.len(), 15);
    assert!(listed.broken.iter().any(|broken| broken.contains(&stem)), "{:?}", listed.broken);
    let ended = look::ls(&session(), &SnapshotChoice::latest(), &[], &PathFilter::everything(), |_, _| Ok(())).await;
    assert!(matches!(&ended, Err(OperationError::Repository(RepositoryError::Gone { stem: gone, .. })) if *gone == stem), "{ended:?}");
    // One who was never here cannot know.
    let state = vault.newcomer();
    let session = vault.session(state);
    assert_eq!(look::snapshots(&session, &Selection::default(), false).await.unwrap().broken, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_gone_is_noticed_though_its_index_is_at_hand() {
    let mut vault = Aged::of(12, Counts::default()).await;
    vault.newcomer();
    all(&vault).await;
    let objects = vault.world.objects().await;
    let (archive, _) = objects.iter().find(|(name, _)| name.starts_with("archives/")).unwrap();
    vault.world.storage.delete(archive).await.unwrap();
    let mut entries = 0;
    let each = |_: &_, _: &_| {
        entries += 1;
        Ok(())
    };
    let session = vault.session(vault.state());
    look::ls(&session, &SnapshotChoice::latest(), &[], &PathFilter::everything(), each).await.unwrap();
    assert!(entries > 300, "{entries}");
    // The names are known. That the contents are not, the next backup sees to, and a restore says so.
    assert!(session.open().await.unwrap().damaged_archives().unwrap().contains(archive));
    let to = vault.world.root.path().join("out");
    let log = std::sync::Arc::new(crate::support::Log::default());
    let done = tgvault::Vault::from(session).restore(SnapshotChoice::latest(), &to).events(log.clone()).await.unwrap();
    assert!(done.damaged > 0 && log.0.lock().unwrap().iter().any(|said| said.contains("missing")), "{:?}", log.0.lock().unwrap());
}
