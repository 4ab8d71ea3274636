//! Prune: what no snapshot needs goes, in two steps, and nothing else, whatever happens meanwhile.

use std::fs::File;
use std::time::{Duration, SystemTime};

use tgvault::model::digest::Id;
use tgvault::operations::forget::{ForgetOptions, forget};
use tgvault::operations::prune::{PruneOptions, PruneReport, prune, unlock};
use tgvault::operations::{OperationError, Stop};
use tgvault::repository::RepositoryError;
use tgvault::repository::format::names;
use tgvault::storage::{FaultKind, Faults, Storage};

use crate::support::{World, noise, tree, wrong};

/// A world on a disk with three snapshots, each with a file of its own.
async fn world() -> World {
    let world = World::new().await;
    fill(&world).await;
    world
}

async fn fill(world: &World) {
    for number in 0..3 {
        world.write("only", &noise(number + 1, 50_000));
        world.write(&format!("kept/{number}"), &noise(number + 11, 2_000));
        world.backup().await;
    }
}

pub async fn stems(world: &World) -> Vec<String> {
    world.session(&world.storage, None).open().await.unwrap().repository.snapshot_stems().await.unwrap()
}

pub async fn forget_these(world: &World, stems: &[String]) {
    let options = ForgetOptions { named: stems.to_vec(), ..ForgetOptions::default() };
    forget(&world.session(&world.storage, Some(world.unlock())), &options).await.unwrap();
}

pub async fn pruned(world: &World, storage: &Storage, options: &PruneOptions) -> Result<PruneReport, OperationError> {
    prune(&world.session(storage, Some(world.unlock())), options, Stop::new()).await
}

async fn prune_now(world: &World) -> PruneReport {
    pruned(world, &world.storage, &PruneOptions::default()).await.unwrap()
}

/// At once: nothing else writes.
pub fn at_once() -> PruneOptions {
    PruneOptions { grace: Duration::ZERO, is_alone: true, ..PruneOptions::default() }
}

/// Lets time pass by the clock of the store: everything in it becomes older.
pub fn pass(world: &World, hours: u64) {
    fn age(folder: &std::path::Path, by: Duration) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                age(&entry.path(), by);
            } else if let Ok(file) = File::options().write(true).open(entry.path()) {
                let modified: SystemTime = file.metadata().unwrap().modified().unwrap();
                file.set_modified(modified - by).unwrap();
            }
        }
    }
    age(&world.root.path().join("vault"), Duration::from_secs(hours * 3600));
}

async fn is_sound(world: &World) {
    let report = world.verify(true).await;
    assert_eq!((wrong(&report), report.lost), (vec![], vec![]));
    assert_eq!(world.restored().await, tree(&world.source()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_forgotten_snapshots_needed_is_marked_and_a_day_later_deleted() {
    let world = World::new().await;
    world.write("only", &noise(1, 50_000));
    world.backup().await;
    let first = tree(&world.source());
    for number in 2..4 {
        world.write("only", &noise(number, 50_000));
        world.backup().await;
    }
    let is_whole = async || {
        assert_eq!(wrong(&world.verify(true).await), [""; 0]);
        assert_eq!(world.restored().await, first);
    };
    let (stems, before) = (stems(&world).await, world.archive_bytes().await);
    pass(&world, 30);
    forget_these(&world, &stems[1..]).await;
    let dry = pruned(&world, &world.storage, &PruneOptions { dry_run: true, ..PruneOptions::default() }).await.unwrap();
    assert!(dry.marked.bytes > 100_000 && dry.deleted.objects == 0, "{dry:?}");
    let marked = prune_now(&world).await;
    assert_eq!((marked.marked, marked.deleted.objects, world.archive_bytes().await), (dry.marked, 0, before));
    is_whole().await;
    // Too early.
    pass(&world, 23);
    assert_eq!(prune_now(&world).await.deleted.objects, 0);
    pass(&world, 2);
    let deleted = prune_now(&world).await;
    assert_eq!(deleted.deleted, marked.marked);
    assert!(world.archive_bytes().await < before - 100_000);
    is_whole().await;
    let objects = world.objects().await;
    assert!(stems[1..].iter().all(|stem| !objects.keys().any(|name| name.contains(stem.as_str()))), "{objects:?}");
    assert!(!objects.keys().any(|name| name.starts_with("marks/") || name.starts_with("locks/")), "{objects:?}");
    // The next backup stores what changed, and no more.
    world.write("new", &noise(99, 1_000));
    let next = world.backup().await;
    assert_eq!(next.counts.new_entries, 2);
    is_sound(&world).await;
    assert_eq!(world.backup().await.counts.new_entries, 0);
}

/// The machine's own last snapshot is forgotten and gone: it stores again what only that one had.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_last_snapshot_is_gone_goes_on() {
    let world = world().await;
    let stems = stems(&world).await;
    forget_these(&world, &stems[1..]).await;
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    world.write("new", &noise(99, 1_000));
    world.backup().await;
    is_sound(&world).await;
    // As well where it sees the marks only.
    let newest = self::stems(&world).await.pop().unwrap();
    pass(&world, 30);
    forget_these(&world, &[newest]).await;
    assert!(prune_now(&world).await.marked.objects > 0);
    world.backup().await;
    pass(&world, 30);
    assert!(prune_now(&world).await.deleted.objects > 0);
    is_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remains_of_crashed_runs_go_when_they_are_old_and_forged_snapshots_change_nothing() {
    let world = world().await;
    let newest = stems(&world).await.pop().unwrap();
    let orphan = names::archive(jiff::Timestamp::now(), Id([7; 16]));
    world.storage.put_new(&orphan, "an archive that nobody named".into()).await.unwrap();
    // A snapshot that nobody may have signed names it.
    let forged = format!("{}-{}", newest.split_once('-').unwrap().0, Id([8; 16]));
    let sums = format!("{}  {orphan}\n{}  {}\n", "0".repeat(64), "0".repeat(64), names::snapshot(&forged));
    let signature = world.object(&names::signature(&names::sums(&newest))).await;
    for (name, bytes) in [(names::sums(&forged), sums.into_bytes()), (names::signature(&names::sums(&forged)), signature)] {
        world.storage.put_new(&name, bytes.into()).await.unwrap();
    }
    world.storage.put_new(&names::snapshot(&forged), "sealed".into()).await.unwrap();
    // While it is new, its writer may be on the way: nothing at all is deleted.
    let young = pruned(&world, &world.storage, &PruneOptions { grace: Duration::from_secs(7200), ..at_once() }).await.unwrap();
    assert_eq!((young.deleted.objects, young.untrusted.len()), (0, 1), "{young:?}");
    pass(&world, 30);
    let marked = prune_now(&world).await;
    assert_eq!((marked.marked.objects, marked.untrusted.len()), (1, 1), "{marked:?}");
    pass(&world, 30);
    assert_eq!(prune_now(&world).await.deleted.objects, 1);
    assert!(!world.objects().await.contains_key(&orphan));
    assert!(world.objects().await.contains_key(&names::snapshot(&forged)));
    assert_eq!(world.restored().await, tree(&world.source()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_while_a_snapshot_is_missing_that_nobody_forgot() {
    let world = world().await;
    let stems = stems(&world).await;
    forget_these(&world, &stems[..1]).await;
    for name in world.objects().await.into_keys().filter(|name| name.contains(&stems[1])) {
        world.storage.delete(&name).await.unwrap();
    }
    let before = world.objects().await;
    let refused = pruned(&world, &world.storage, &at_once()).await;
    assert!(matches!(refused, Err(OperationError::Repository(RepositoryError::Unsafe { .. }))), "{refused:?}");
    assert_eq!(world.objects().await, before);
    // Who says that they are lost may go on.
    let options = ForgetOptions { lost: true, ..ForgetOptions::default() };
    forget(&world.session(&world.storage, Some(world.unlock())), &options).await.unwrap();
    assert!(pruned(&world, &world.storage, &at_once()).await.unwrap().deleted.objects > 0);
    is_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_stops_it() {
    let world = World::in_memory().await;
    for number in 0..110 {
        world.write("a", format!("{number}").as_bytes());
        world.backup().await;
    }
    let stems = stems(&world).await;
    forget_these(&world, &stems[..50]).await;
    let list = world.objects().await.into_keys().find(|name| name.starts_with("lists/") && name.ends_with(".sums")).unwrap();
    let sound = world.object(&list).await;
    for name in [list.clone(), names::mirror(&list)] {
        world.storage.delete(&name).await.unwrap();
    }
    let refused = pruned(&world, &world.storage, &at_once()).await;
    assert!(matches!(refused, Err(OperationError::Repository(RepositoryError::Unsafe { .. }))), "{refused:?}");
    world.storage.put_new(&list, sound.into()).await.unwrap();
    assert!(pruned(&world, &world.storage, &at_once()).await.unwrap().deleted.objects > 150);
    assert_eq!(world.restored().await, tree(&world.source()));
    // The lists of a snapshot that is gone are made again.
    let newest = self::stems(&world).await.pop().unwrap();
    forget_these(&world, &[newest]).await;
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    world.backup().await;
    is_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_progress_holds_back_what_was_marked_after_it_began() {
    let world = world().await;
    let stems = stems(&world).await;
    pass(&world, 30);
    forget_these(&world, &stems[..2]).await;
    let repository = world.session(&world.storage, None).open().await.unwrap().repository;
    repository.put_lease(Id([5; 16]), 1, jiff::Timestamp::now(), None).await.unwrap();
    assert!(prune_now(&world).await.marked.objects > 0);
    pass(&world, 24);
    let held = prune_now(&world).await;
    assert_eq!((held.deleted.objects, held.waits_for.len()), (0, 1), "{held:?}");
    pass(&world, 2);
    // The lease has expired.
    assert!(prune_now(&world).await.deleted.objects > 0);
    is_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_prune_at_a_time_and_a_lock_that_was_left_can_be_removed() {
    let world = world().await;
    let repository = world.session(&world.storage, None).open().await.unwrap().repository;
    let (lock, _) = repository.take_lock("tgvault prune", "elsewhere").await.unwrap();
    let refused = pruned(&world, &world.storage, &PruneOptions::default()).await;
    let Err(OperationError::Repository(RepositoryError::Locked { holder, .. })) = &refused else { panic!("{refused:?}") };
    assert!(holder.contains("on elsewhere"), "{holder}");
    let session = world.session(&world.storage, None);
    assert_eq!(unlock(&session, false).await.unwrap().1.len(), 1);
    assert_eq!(unlock(&session, true).await.unwrap().0.len(), 1);
    prune_now(&world).await;
    // One that has expired keeps nobody out.
    repository.take_lock("tgvault prune", "elsewhere").await.unwrap();
    pass(&world, 7);
    prune_now(&world).await;
    assert!(!world.objects().await.contains_key(&lock));
}

/// Whichever call fails, once or for ever: what is kept is whole, and the next prune ends the work.
#[tokio::test(flavor = "multi_thread")]
async fn it_may_fail_at_any_call() {
    for kind in [FaultKind::Refused, FaultKind::AnswerLost] {
        for is_for_ever in [false, true] {
            let mut n = 0;
            loop {
                let world = World::in_memory().await;
                fill(&world).await;
                let stems = stems(&world).await;
                forget_these(&world, &stems[..2]).await;
                let faults = if is_for_ever { Faults::for_ever(kind, n) } else { Faults::once(kind, n) };
                let ended = pruned(&world, &world.storage.with_faults(&faults), &at_once()).await;
                let way = format!("{kind:?} {is_for_ever} {n}");
                assert_eq!(wrong(&world.verify(true).await), [""; 0], "{way}");
                assert_eq!(world.restored().await, tree(&world.source()), "{way}");
                if faults.calls() <= n {
                    assert!(ended.is_ok() && n > 20, "{way}");
                    break;
                }
                // A lock may have been left.
                unlock(&world.session(&world.storage, None), true).await.unwrap();
                pruned(&world, &world.storage, &at_once()).await.unwrap();
                world.backup().await;
                assert_eq!(wrong(&world.verify(true).await), [""; 0], "{way}");
                assert!(!world.objects().await.keys().any(|name| name.contains(&stems[0])), "{way}");
                n += 3;
            }
        }
    }
}
