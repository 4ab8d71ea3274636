//! What a restore fetches: no more than it needs.

use std::sync::Arc;

use crate::support::{Log, World, noise, tempdir};

#[tokio::test(flavor = "multi_thread")]
async fn one_small_file_costs_its_frames_and_not_its_archive() {
    let world = World::in_memory().await;
    for n in 0..40 {
        world.write(&format!("videos/{n}.mp4"), &noise(n, 1_000_000));
    }
    world.write("videos/20.txt", b"one small file");
    world.backup().await;
    let stored: u64 = world.objects().await.iter().filter(|(name, _)| name.starts_with("archives/")).map(|(_, bytes)| bytes).sum();
    let archives = world.objects().await.keys().filter(|name| name.starts_with("archives/")).count() as u64;
    assert!(stored > 40_000_000);
    let before = world.storage.traffic();
    let to = tempdir();
    let session = world.session(&world.storage, Some(world.unlock()));
    let summary = world.restore_in(&session, to.path(), &["videos/20.txt"], Arc::new(Log::default())).await.unwrap();
    assert_eq!((summary.bytes, summary.problems), (14, 0));
    assert_eq!(std::fs::read(to.path().join("videos/20.txt")).unwrap(), b"one small file");
    let after = world.storage.traffic();
    let fetched = after.downloaded_bytes - before.downloaded_bytes;
    // Each archive's header (4 KiB) and tail with its index (129 KiB or less), once for the listing and once for the content,
    // one frame of 2 MiB with the chunks that it shares with its neighbours, and the small objects.
    let bound = archives * 140_000 + 140_000 + 2_400_000 + 60_000;
    assert!(fetched < bound, "{fetched} bytes were fetched, {bound} would do");
    assert!(after.requests - before.requests < 30 + 5 * archives, "{} requests", after.requests - before.requests);
}
