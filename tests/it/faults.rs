//! A store that fails at call number n, once and from then on, for every n: nothing committed is harmed, and the next run
//! goes on and ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tgvault::Vault;
use tgvault::model::entry::Kind;
use tgvault::operations::verify::VerifyOptions;
use tgvault::storage::{FaultKind, Faults};

use crate::support::{Log, World, noise, tempdir, tree, verify_options, wrong};

const KINDS: [FaultKind; 4] = [FaultKind::Refused, FaultKind::AnswerLost, FaultKind::BodyCut, FaultKind::UploadCut];

/// The ways in which call `n` and later ones may fail.
fn ways(n: u64) -> Vec<(String, Faults)> {
    let mut ways = Vec::new();
    for kind in KINDS {
        ways.push((format!("{kind:?} at {n}"), Faults::once(kind, n)));
        ways.push((format!("{kind:?} from {n} on"), Faults::for_ever(kind, n)));
    }
    ways
}

fn fill(world: &World) {
    for n in 0..6 {
        world.write(&format!("photos/{n}.jpg"), &noise(n + 1, 30_000));
    }
    world.write("a", b"words");
    world.write("turns", b"a file");
    fs::hard_link(world.source().join("a"), world.source().join("b")).unwrap();
}

fn change(world: &World) {
    let source = world.source();
    world.write("photos/7.jpg", &noise(8, 30_000));
    fs::remove_file(source.join("photos/1.jpg")).unwrap();
    fs::rename(source.join("photos/2.jpg"), source.join("moved.jpg")).unwrap();
    fs::remove_file(source.join("turns")).unwrap();
    world.write("turns/into/a/folder", &noise(9, 5_000));
}

/// What must hold whenever a run has ended, however it did: every snapshot that is listed is whole.
///
/// A run that died between the two copies of an object leaves one; that is no damage, and the next run puts the other back.
pub async fn check_committed(world: &World, way: &str) {
    let report = world.verify(true).await;
    assert_eq!((wrong(&report), report.lost), (vec![], vec![]), "{way}");
}

/// What must hold after the next run without faults.
pub async fn check_recovered(world: &World, way: &str) {
    let report = world.verify(true).await;
    assert_eq!((wrong(&report), report.lost), (vec![], vec![]), "{way}");
    assert_eq!(world.restored().await, tree(&world.source()), "{way}");
    // Also an archive whose put was said to have failed, and had not, is found again and not stored twice.
    assert_eq!(report.unnamed_archives, 0, "{way}");
    assert_numbers(world, way).await;
    assert_overlay(world, way).await;
}

/// The last snapshot's archives, laid over each other as tar alone does it: what stands in the way was removed before.
async fn assert_overlay(world: &World, way: &str) {
    let opened = world.session(&world.storage, Some(world.unlock())).open().await.unwrap();
    let identities = Arc::clone(&opened.identity().unwrap().identities);
    let (_, snapshot) = opened.repository.snapshots(&identities).await.unwrap().snapshots.pop().unwrap();
    let (repository, runtime, told) = (opened.repository.clone(), tokio::runtime::Handle::current(), way.to_owned());
    let laid = tokio::task::spawn_blocking(move || {
        let mut laid: BTreeMap<String, bool> = BTreeMap::new();
        for record in &snapshot.archives {
            let reader = repository.open_archive(record, &identities, &runtime).unwrap();
            let mut entries = Vec::new();
            let own = reader.own_members(&mut |entry| {
                entries.push(entry);
                Ok(())
            });
            for gone in own.unwrap().remove.iter().map(ToString::to_string) {
                laid.retain(|path, _| *path != gone && !path.starts_with(&format!("{gone}/")));
            }
            for entry in entries {
                let (path, is_dir) = (entry.path.to_string(), entry.kind == Kind::Dir);
                assert_eq!(laid.get(&path).unwrap_or(&is_dir), &is_dir, "{told}: '{path}' is laid over another kind");
                let above = path.match_indices('/').map(|(at, _)| &path[..at]);
                assert!(above.into_iter().all(|above| laid.get(above) != Some(&false)), "{told}: '{path}' is laid below a file");
                laid.insert(path, is_dir);
            }
        }
        laid
    });
    let laid: Vec<String> = laid.await.unwrap().into_keys().collect();
    assert_eq!(laid, tree(&world.source()).into_keys().collect::<Vec<_>>(), "{way}");
}

/// Every chain is a line: no number twice.
async fn assert_numbers(world: &World, way: &str) {
    let session = world.session(&world.storage, Some(world.unlock()));
    let opened = session.open().await.unwrap();
    let mut seen = BTreeMap::new();
    for (stem, found) in opened.repository.snapshot_refs().await.unwrap() {
        let signed = found.unwrap().signed;
        let twin = seen.insert((signed.chain, signed.sequence), stem.clone());
        assert_eq!(twin, None, "{way}: {stem} has the number of another");
    }
}

async fn stored_bytes(world: &World) -> u64 {
    world.objects().await.iter().filter(|(name, _)| name.starts_with("archives/")).map(|(_, bytes)| bytes).sum()
}

/// Runs `prepare`, then a backup with faults at call n, then one without, for n = 0, 1, … until the faults come too late.
async fn faulty_backups(prepare: impl AsyncFn(&World)) {
    let reference = {
        let world = World::in_memory().await;
        prepare(&world).await;
        world.backup().await;
        stored_bytes(&world).await
    };
    for n in 0.. {
        let mut too_late = true;
        for (way, faults) in ways(n) {
            let world = World::in_memory().await;
            prepare(&world).await;
            let failing = world.storage.with_faults(&faults);
            let first = world.backup_to(&failing).await;
            too_late &= faults.calls() <= n;
            check_committed(&world, &way).await;
            if first.is_ok() {
                assert_eq!(world.restored().await, tree(&world.source()), "{way}");
            }
            world.backup().await;
            check_recovered(&world, &way).await;
            // Archives of a run's own, removals and references, are small; contents are not.
            let stored = stored_bytes(&world).await;
            assert!(stored < reference + 20_000, "{way}: {stored} bytes are stored, {reference} would do");
        }
        if too_late {
            assert!(n > 8, "a backup makes more than {n} calls");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_backup_survives_a_fault_at_every_call() {
    faulty_backups(async |world| fill(world)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_backup_survives_a_fault_at_every_call() {
    faulty_backups(async |world| {
        fill(world);
        world.backup().await;
        change(world);
    })
    .await;
}

/// An archive and second copies are lost; a run that mends this fails at any call: the next one mends it all the same, and what it
/// makes needs nothing of what is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_mended_also_after_a_fault_at_every_call() {
    for n in 0.. {
        let mut too_late = true;
        for kind in [FaultKind::Refused, FaultKind::AnswerLost] {
            let way = format!("{kind:?} from {n} on");
            let world = World::in_memory().await;
            fill(&world);
            world.backup().await;
            change(&world);
            world.backup().await;
            let mut names = world.objects().await.into_keys().filter(|name| name.starts_with("archives/"));
            world.storage.delete(&names.next().unwrap()).await.unwrap();
            for name in world.objects().await.into_keys().filter(|name| name.starts_with("mirror/snapshots/")) {
                world.storage.delete(&name).await.unwrap();
            }
            let faults = Faults::for_ever(kind, n);
            let _ = world.backup_to(&world.storage.with_faults(&faults)).await;
            too_late &= faults.calls() <= n;
            world.backup().await;
            assert_eq!(world.restored().await, tree(&world.source()), "{way}");
            let session = world.newcomer(&world.storage, Some(world.unlock()));
            let last = session.open().await.unwrap().repository.snapshot_stems().await.unwrap().pop().unwrap();
            let options = VerifyOptions { snapshots: vec![last.split_once('-').unwrap().1.to_owned()], ..verify_options(true) };
            let report = Vault::from(session).verify().options(options).await.unwrap();
            assert_eq!((wrong(&report), report.lost, report.lost_unknown), (vec![], vec![], vec![]), "{way}");
            let report = world.verify(false).await;
            let copies: Vec<String> = wrong(&report).into_iter().filter(|finding| finding.contains("mirror/")).collect();
            assert_eq!(copies, Vec::<String>::new(), "{way}");
        }
        if too_late {
            assert!(n > 8, "a backup that mends makes more than {n} calls");
            return;
        }
    }
}

/// A failure that may pass is tried again: the run does not even notice.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again() {
    for n in 0.. {
        let mut too_late = true;
        for kind in [FaultKind::Refused, FaultKind::AnswerLost, FaultKind::BodyCut] {
            let way = format!("{kind:?} at {n}, once");
            let world = World::in_memory().await;
            fill(&world);
            world.backup().await;
            change(&world);
            let faults = Faults::once(kind, n).transient();
            let result = world.backup_to(&world.storage.with_faults(&faults)).await;
            too_late &= faults.calls() <= n;
            assert!(result.is_ok(), "{way}: {result:?}");
            check_recovered(&world, &way).await;
        }
        if too_late {
            return;
        }
    }
}

/// Each file that is in the target under its name has its right content.
fn assert_nothing_wrong(target: &Path, source: &BTreeMap<String, String>, way: &str) {
    for (path, said) in tree(target).into_iter().filter(|(_, said)| said.starts_with("file")) {
        let size_and_digest = |said: &str| said.split(' ').skip(3).take(2).map(str::to_owned).collect::<Vec<_>>();
        if let Some(wanted) = source.get(&path) {
            assert_eq!(size_and_digest(&said), size_and_digest(wanted), "{way}: {path}");
        } else {
            assert!(path.contains(".tgvault"), "{way}: {path} is strange");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_never_gives_anything_wrong_for_right() {
    let world = World::in_memory().await;
    fill(&world);
    world.backup().await;
    change(&world);
    world.backup().await;
    let wanted = tree(&world.source());
    for n in 0.. {
        let mut too_late = true;
        for (way, faults) in ways(n) {
            let to = tempdir();
            let log = Arc::new(Log::default());
            let result = world.restore_from(&world.storage.with_faults(&faults), to.path(), Arc::clone(&log)).await;
            too_late &= faults.calls() <= n;
            match result {
                Ok(summary) if summary.problems == 0 && summary.damaged == 0 => assert_eq!(tree(to.path()), wanted, "{way}"),
                Ok(_) => {
                    assert!(!log.0.lock().unwrap().is_empty(), "{way}");
                    assert_nothing_wrong(to.path(), &wanted, &way);
                }
                Err(_) => assert_nothing_wrong(to.path(), &wanted, &way),
            }
        }
        if too_late {
            assert!(n > 8, "a restore makes more than {n} calls");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_never_calls_what_it_could_not_read_sound() {
    let world = World::in_memory().await;
    fill(&world);
    world.backup().await;
    for n in 0.. {
        let mut too_late = true;
        for (way, faults) in ways(n) {
            let session = world.session(&world.storage.with_faults(&faults), Some(world.unlock()));
            let result = world.verify_in(&session, true).await;
            let met = faults.calls() > n;
            too_late &= !met;
            if let Ok(report) = result {
                // A small object has a second copy to read instead, and of some only the existence is asked.
                let is_sure = !way.contains("on") || !met || !report.wrong.is_empty();
                assert!(is_sure, "{way}: {:?}", wrong(&report));
            }
            let clean = world.verify(true).await;
            assert_eq!(wrong(&clean), Vec::<String>::new(), "{way}");
        }
        if too_late {
            return;
        }
    }
}
