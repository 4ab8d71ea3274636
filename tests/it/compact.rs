//! Compact: few archives stand for many, every snapshot shows what it showed, and prune frees what none shows.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use tgvault::Vault;
use tgvault::operations::compact::{CompactOptions, CompactReport, compact};
use tgvault::operations::copy::{MirrorOptions, mirror};
use tgvault::operations::events::Silent;
use tgvault::operations::prune::unlock;
use tgvault::operations::snapshot::choice::{Selection, SnapshotChoice};
use tgvault::operations::{OperationError, Session, Stop, look};
use tgvault::source::folder::{FolderOptions, FolderSource};
use tgvault::storage::{FaultKind, Faults, Storage};

use crate::prune::{at_once, forget_these, pass, pruned, stems};
use crate::support::{Log, World, noise, options, tempdir, tree, wrong};

/// Compacts whatever has two archives, or anything that no snapshot shows.
fn all() -> CompactOptions {
    CompactOptions { max_unused_percent: 0.0, ..CompactOptions::default() }
}

async fn compacted(world: &World, storage: &Storage, options: &CompactOptions) -> Result<CompactReport, OperationError> {
    compact(&world.session(storage, Some(world.unlock())), options, Arc::new(Silent), Stop::new()).await
}

/// What each snapshot restores, by its name.
pub async fn restored(session: &Session, stems: &[String]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for stem in stems {
        let to = tempdir();
        let choice = SnapshotChoice { wanted: stem.clone(), among: Selection::default() };
        let done = Vault::from(session.clone()).restore(choice, to.path()).events(Arc::new(Log::default())).await.unwrap();
        assert_eq!((done.problems, done.damaged), (0, 0));
        found.insert(stem.clone(), tree(to.path()));
    }
    found
}

pub async fn restored_in(world: &World) -> BTreeMap<String, BTreeMap<String, String>> {
    restored(&world.session(&world.storage, Some(world.unlock())), &stems(world).await).await
}

/// A world with eight backups of a folder in which everything changes that can.
pub async fn changing() -> World {
    let world = World::new().await;
    let source = world.source();
    for number in 0..8_u64 {
        world.write("log", &noise(number, 40_000));
        world.write(&format!("kept/{number}"), &noise(number + 100, 3_000));
        world.write(&format!("gone/{number}/file"), &noise(number + 200, 20_000));
        if number > 0 {
            fs::remove_dir_all(source.join(format!("gone/{}", number - 1))).unwrap();
        }
        match number {
            2 => fs::hard_link(source.join("kept/0"), source.join("linked")).unwrap(),
            3 => symlink("kept/0", source.join("pointing")).unwrap(),
            // A content that an archive of before has and no state in between.
            5 => world.write("again", &noise(1, 40_000)),
            6 => {
                fs::remove_file(source.join("pointing")).unwrap();
                world.write("pointing/now/a folder", b"");
            }
            _ => {}
        }
        world.backup().await;
    }
    world
}

/// Forgets all snapshots but those with these places.
pub async fn keep(world: &World, places: &[usize]) {
    let forgotten: Vec<String> =
        stems(world).await.into_iter().enumerate().filter(|(at, _)| !places.contains(at)).map(|(_, stem)| stem).collect();
    forget_these(world, &forgotten).await;
}

pub async fn is_sound(world: &World) {
    for deep in [false, true] {
        let report = world.verify(deep).await;
        assert_eq!((wrong(&report), report.lost), (vec![], vec![]));
    }
    let quick = world.locked(&world.storage).verify().with(|options| options.quick = true).await.unwrap();
    assert_eq!(wrong(&quick), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_archives_stand_for_many_and_prune_frees_the_rest() {
    let world = changing().await;
    keep(&world, &[1, 4, 7]).await;
    let (was, before, archives) = (restored_in(&world).await, world.archive_bytes().await, world.archives().len());
    let dry = compacted(&world, &world.storage, &CompactOptions { dry_run: true, ..all() }).await.unwrap();
    assert_eq!(world.archives().len(), archives);
    let done = compacted(&world, &world.storage, &all()).await.unwrap();
    assert_eq!((done.replaced, done.unused_bytes), (dry.replaced, dry.unused_bytes));
    // Three changes of the state, and contents that later ones point at.
    assert!(done.replaced.archives >= 8 && done.written.archives <= 5, "{done:?}");
    assert!(done.unused_bytes > 200_000, "{done:?}");
    assert_eq!(restored_in(&world).await, was);
    is_sound(&world).await;
    let freed = pruned(&world, &world.storage, &at_once()).await.unwrap();
    assert!(freed.deleted.bytes > 250_000, "{freed:?}");
    assert!(world.archive_bytes().await < before * 2 / 3);
    assert_eq!(world.archives().len() as u64, done.written.archives);
    assert_eq!(restored_in(&world).await, was);
    is_sound(&world).await;
    // Once more there is nothing to do.
    assert_eq!(compacted(&world, &world.storage, &all()).await.unwrap().replaced.archives, 0);
}

/// A machine without a key goes on: what it knows to be in the old archives is in the new ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_after_it_uploads_only_changes() {
    let world = changing().await;
    keep(&world, &[4, 7]).await;
    compacted(&world, &world.storage, &all()).await.unwrap();
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    let source = world.source();
    world.write("new", &noise(999, 5_000));
    fs::rename(source.join("kept/3"), source.join("kept/renamed")).unwrap();
    let locked = world.session(&world.storage, None);
    let source = || Arc::new(FolderSource::open(&world.source(), FolderOptions::default()).unwrap());
    let (done, _) = world.backup_in(&locked, source()).await.unwrap();
    assert_eq!(done.counts.new_bytes, 5_000, "{done:?}");
    is_sound(&world).await;
    let now = restored_in(&world).await;
    assert_eq!(now.values().last().unwrap(), &tree(&world.source()));
    // All of it once more, and with what was renamed.
    for number in 0..3 {
        world.write("log", &noise(number + 50, 30_000));
        world.backup_in(&locked, source()).await.unwrap();
    }
    let was = restored_in(&world).await;
    compacted(&world, &world.storage, &all()).await.unwrap();
    assert_eq!(restored_in(&world).await, was);
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    assert_eq!(restored_in(&world).await, was);
    is_sound(&world).await;
    // A machine that was never here begins with what the snapshots say.
    let (newcomer, _) = world.backup_in(&world.newcomer(&world.storage, Some(world.unlock())), source()).await.unwrap();
    assert_eq!(newcomer.counts.new_bytes, 0, "{newcomer:?}");
    is_sound(&world).await;
}

/// A snapshot of which the record did not know: what it needs of the old archives stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_backup_at_the_same_time_points_at_stays() {
    let world = World::new().await;
    world.write("a", &noise(1, 30_000));
    world.backup().await;
    world.write("a", &noise(2, 30_000));
    world.backup().await;
    keep(&world, &[1]).await;
    // The machine knows the first content, which no snapshot shows any more. Its backup began before the record was there.
    compacted(&world, &world.storage, &all()).await.unwrap();
    let records = world.root.path().join("vault/records");
    let hidden = world.root.path().join("hidden");
    let mirrored = world.root.path().join("vault/mirror/records");
    let hidden_mirror = world.root.path().join("hidden-mirror");
    fs::rename(&records, &hidden).unwrap();
    fs::rename(&mirrored, &hidden_mirror).unwrap();
    world.write("b", &noise(1, 30_000));
    let done = world.backup().await;
    assert_eq!(done.counts.new_bytes, 0, "{done:?}");
    for (from, to) in [(&hidden, &records), (&hidden_mirror, &mirrored)] {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            fs::rename(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    is_sound(&world).await;
    assert_eq!(world.restored().await, tree(&world.source()));
    let was = restored_in(&world).await;
    compacted(&world, &world.storage, &all()).await.unwrap();
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    assert_eq!(restored_in(&world).await, was);
    is_sound(&world).await;
}

/// Cut short at any call to the store, it has replaced all or nothing, and a prune removes what it left.
#[tokio::test(flavor = "multi_thread")]
async fn cut_short_anywhere_it_changes_nothing() {
    let world = changing().await;
    keep(&world, &[7]).await;
    let was = restored_in(&world).await;
    let archives = world.archives().len();
    for n in (0..60).step_by(3) {
        let faults = Faults::for_ever(FaultKind::Refused, n);
        if compacted(&world, &world.storage.with_faults(&faults), &all()).await.is_ok() {
            break;
        }
        unlock(&world.session(&world.storage, None), true).await.unwrap();
    }
    assert_eq!(restored_in(&world).await, was);
    is_sound(&world).await;
    pass(&world, 50);
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    compacted(&world, &world.storage, &all()).await.unwrap();
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    assert!(world.archives().len() < archives);
    assert_eq!(restored_in(&world).await, was);
    is_sound(&world).await;
}

/// A mirror follows, and a machine with the same content in two folders borrows what was moved.
#[tokio::test(flavor = "multi_thread")]
async fn mirrors_and_borrowed_archives_follow() {
    let world = changing().await;
    let other = world.root.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::copy(world.source().join("kept/0"), other.join("same")).unwrap();
    let source = || Arc::new(FolderSource::open(&other, FolderOptions::default()).unwrap());
    let session = world.session(&world.storage, Some(world.unlock()));
    let (borrowed, _) = world.backup_in(&session, source()).await.unwrap();
    assert_eq!(borrowed.counts.new_bytes, 0, "{borrowed:?}");
    let was = restored_in(&world).await;
    compacted(&world, &world.storage, &all()).await.unwrap();
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    assert_eq!(restored_in(&world).await, was);
    is_sound(&world).await;
    fs::write(other.join("more"), b"more").unwrap();
    let (again, _) = world.backup_in(&session, source()).await.unwrap();
    assert_eq!(again.counts.new_bytes, 4, "{again:?}");
    is_sound(&world).await;
    let to = tempdir();
    let target = Storage::open(to.path().join("mirror").to_str().unwrap(), [], options()).unwrap();
    let report = mirror(&session, &target, &MirrorOptions::default(), Arc::new(Silent), Stop::new()).await.unwrap();
    assert!(report.wrong.is_empty(), "{report:?}");
    let mirrored = world.newcomer(&target, Some(world.unlock()));
    assert_eq!(wrong(&world.verify_in(&mirrored, true).await.unwrap()), [""; 0]);
    assert_eq!(restored(&mirrored, &stems(&world).await).await, restored_in(&world).await);
    assert!(look::snapshots(&mirrored, &Selection::default(), true).await.unwrap().broken.is_empty());
}
