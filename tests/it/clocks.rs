//! Machines whose clock is wrong for a while: their snapshots stay in their place, and nobody takes one of them for the latest.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use tgvault::operations::look;
use tgvault::operations::snapshot::choice::{Selection, SnapshotChoice};
use tgvault::repository::{Clock, Machine, Random};

use crate::spelling::{done, run, with_vault};
use crate::support::{Log, World, tempdir, tree};

/// The system's clock, off by so many hours.
#[derive(Clone, Default)]
struct Off(Arc<AtomicI64>);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_hours(self.0.load(Ordering::SeqCst))
    }
}

struct System;

impl Random for System {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(bytes).map_err(std::io::Error::other)
    }
}

const YEAR: i64 = 365 * 24;

async fn world() -> (World, Off) {
    let off = Off::default();
    let mut world = World::new().await;
    world.machine = Machine::new(off.clone(), System);
    (world, off)
}

/// Backs up with the clock off by `hours`. Where the vault is on the disk of that machine, its objects have the same wrong times.
async fn backup(world: &World, off: &Off, hours: i64, content: &str, is_disk: bool) {
    off.0.store(hours, Ordering::SeqCst);
    world.write("file", content.as_bytes());
    let before = world.objects().await;
    world.backup().await;
    if is_disk {
        let time = std::time::SystemTime::now().checked_add(std::time::Duration::from_secs(hours.max(0) as u64 * 3600)).unwrap();
        for name in world.objects().await.into_keys().filter(|name| !before.contains_key(name)) {
            let file = std::fs::File::options().write(true).open(world.root.path().join("vault").join(name)).unwrap();
            file.set_modified(time).unwrap();
        }
    }
    off.0.store(0, Ordering::SeqCst);
}

async fn latest(world: &World) -> String {
    let to = tempdir();
    let restored = world.vault(&world.storage).restore(SnapshotChoice::latest(), to.path()).events(Arc::new(Log::default())).await.unwrap();
    assert_eq!(restored.problems, 0);
    tree(to.path());
    std::fs::read_to_string(to.path().join("file")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_with_a_clock_that_is_ahead_changes_nothing_for_the_others() {
    for is_disk in [false, true] {
        for hours in [2 * YEAR, 1] {
            let (world, off) = world().await;
            backup(&world, &off, 0, "one", is_disk).await;
            backup(&world, &off, hours, "two, ahead", is_disk).await;
            assert_eq!(latest(&world).await, "two, ahead");
            for content in ["three", "four"] {
                backup(&world, &off, 0, content, is_disk).await;
                assert_eq!(latest(&world).await, content, "{is_disk} {hours}");
            }
            let session = world.session(&world.storage, Some(world.unlock()));
            let listed = look::snapshots(&session, &Selection::default(), false).await.unwrap();
            let sequence: Vec<u64> = listed.snapshots.iter().map(|row| row.snapshot.sequence).collect();
            assert_eq!(sequence, [1, 2, 3, 4], "{is_disk} {hours}");
            let ahead: Vec<bool> = listed.times.iter().map(|(_, ahead)| *ahead).collect();
            assert_eq!(ahead, [false, true, false, false], "{is_disk} {hours}");
            // A machine that was never here sees the same.
            let newcomer = world.newcomer(&world.storage, Some(world.unlock()));
            let listed = look::snapshots(&newcomer, &Selection::default(), false).await.unwrap();
            assert_eq!(listed.snapshots.last().unwrap().snapshot.sequence, 4);
            let report = world.verify(true).await;
            assert!(report.wrong.is_empty(), "{:?}", report.wrong);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_back_keeps_the_order_of_a_chain() {
    let (world, off) = world().await;
    for (hours, content) in [(0, "one"), (-10 * YEAR, "two"), (0, "three"), (-1, "four")] {
        backup(&world, &off, hours, content, false).await;
    }
    let session = world.session(&world.storage, Some(world.unlock()));
    let listed = look::snapshots(&session, &Selection::default(), false).await.unwrap();
    assert_eq!(listed.snapshots.len(), 4);
    let said: Vec<_> =
        listed.snapshots.iter().zip(&listed.times).map(|(row, time)| (row.snapshot.sequence, row.snapshot.time, time)).collect();
    assert_eq!(latest(&world).await, "four", "{said:?}");
}

#[test]
fn a_snapshot_of_a_clock_that_was_ahead_is_flagged_and_makes_no_backup_young() {
    use std::process::Command;
    let sandbox = with_vault();
    let work = sandbox.work();
    std::fs::create_dir(work.join("s")).unwrap();
    std::fs::write(work.join("s/a"), "a").unwrap();
    done(&sandbox, "-q backup s");
    // An object in the store that is a week old, and says to be of now.
    let stored = work.join("v/snapshots");
    let touched = Command::new("sh")
        .arg("-c")
        .arg(format!("touch -d '7 days ago' {0}/* {1}/*", stored.display(), work.join("v/mirror/snapshots").display()))
        .status();
    assert!(touched.unwrap().success());
    let listed = run(&sandbox, "-i key.txt snapshots --max-age 2d");
    assert_eq!(listed.code, Some(16), "{listed:?}");
    assert!(listed.stderr.contains("was ahead") && listed.stderr.contains("7 d 0 h old"), "{}", listed.stderr);
    std::fs::write(work.join("s/a"), "b").unwrap();
    done(&sandbox, "-q backup s");
    assert_eq!(run(&sandbox, "-i key.txt snapshots --max-age 2d").code, Some(0));
}
