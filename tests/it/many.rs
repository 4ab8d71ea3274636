//! Many runs, many archives: merged indexes, lists, and what readers make of them.

use std::fs;

use tgvault::Vault;
use tgvault::repository::format::names;

use crate::support::{World, tree, wrong};

/// Runs with one changed file each are one archive each; past 256 of them a merged index is due, past 100 a list.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_archives_are_merged_and_listed_and_lose_nothing() {
    let world = World::in_memory().await;
    let source = world.source();
    for n in 0..10 {
        world.write(&format!("stays/{n}"), format!("content {n}").as_bytes());
        world.write(&format!("goes/{n}"), format!("content {n}").as_bytes());
    }
    let mut runs = 0;
    for run in 0..=300 {
        world.write(&format!("changing/{}", run % 7), format!("run {run}").as_bytes());
        // Each of these makes archives of its own: deletions, changes of kind, links.
        match run % 50 {
            10 => fs::remove_file(source.join(format!("goes/{}", run / 50))).unwrap(),
            20 => {
                fs::remove_file(source.join(format!("stays/{}", run / 50))).unwrap();
                world.write(&format!("stays/{}/now/a/folder", run / 50), b"deep");
            }
            30 => fs::hard_link(source.join("stays/9"), source.join(format!("link-{run}"))).unwrap(),
            _ => {}
        }
        // Around the run that merges, everything happens in every run.
        if (200..=270).contains(&run) {
            let _ = fs::remove_file(source.join(format!("brief-{}", run - 1)));
            world.write(&format!("brief-{run}"), b"here for one run");
        }
        assert_eq!(world.backup().await.counts.problems, 0, "run {run}");
        runs += 1;
        if run % 60 == 59 || (200..=270).contains(&run) && run % 7 == 0 {
            assert_eq!(world.restored().await, tree(&source), "run {run}");
        }
    }
    assert_eq!(world.restored().await, tree(&source));
    let lists = world.storage.list(names::LISTS).await.unwrap();
    assert!(lists.len() >= 2, "{lists:?}");

    let session = world.session(&world.storage, Some(world.unlock()));
    let opened = session.open().await.unwrap();
    let listed = opened.repository.snapshots(&opened.identity.as_ref().unwrap().identities).await.unwrap();
    let last = &listed.snapshots.last().unwrap().1;
    assert_eq!(last.sequence, runs);
    let merged = last.archives.iter().filter(|record| record.merged).count();
    assert!((1..=3).contains(&merged), "{merged} of {}", last.archives.len());
    // Each snapshot names its archives once, through its lists or itself.
    let covered: usize = last.lists.iter().map(|list| list.archives).sum();
    assert!(covered > 0 && covered <= last.archives.len());

    let report = world.verify(true).await;
    assert_eq!((wrong(&report), report.lost.len(), report.unnamed_archives), (vec![], 0, 0));

    // A machine without state sees the same, and stores nothing.
    world.forget_chains();
    let source = tgvault::source::folder::FolderSource::open(&world.source(), Default::default()).unwrap();
    let (again, _) = world.backup_in(&session, std::sync::Arc::new(source)).await.unwrap();
    assert_eq!((again.counts.new_bytes, again.counts.removed, again.counts.new_entries), (0, 0, 0));
    assert_eq!(world.restored().await, tree(&world.source()));
    let snapshots = Vault::from(session).snapshots(&Default::default()).await.unwrap();
    assert!(snapshots.broken.is_empty());
}
