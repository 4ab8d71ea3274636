//! Files of more than one tar member: what is stored of them once is not stored again.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::Arc;

use tgvault::archive::MEMBER_BYTES;
use tgvault::operations::backup::{BackupOptions, BackupSummary};
use tgvault::source::folder::{FolderOptions, FolderSource};

use crate::support::{World, noise, tree, wrong};

/// A file of two parts that differ, with a hole in the first.
fn write_long(world: &World, name: &str, seed: u64) {
    let file = File::create(world.source().join(name)).unwrap();
    file.write_all_at(&noise(seed, 70_000), 0).unwrap();
    file.write_all_at(&noise(seed + 1, 70_000), MEMBER_BYTES - 30_000).unwrap();
}

async fn forced(world: &World) -> BackupSummary {
    let source = FolderSource::open(&world.source(), FolderOptions::default()).unwrap();
    let options = |options: &mut BackupOptions| (options.lanes, options.force_rehash) = (2, true);
    world.locked(&world.storage).backup(Arc::new(source)).with(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_long_file_is_referred_to_and_not_stored_again() {
    let world = World::in_memory().await;
    let at = |name: &str| world.source().join(name);
    write_long(&world, "film", 1);
    let first = world.backup().await.counts;
    assert_eq!((first.new_entries, first.new_bytes), (1, MEMBER_BYTES + 40_000));

    // Another mode and time: no content.
    fs::set_permissions(at("film"), Permissions::from_mode(0o600)).unwrap();
    File::options().write(true).open(at("film")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let counts = world.backup().await.counts;
    assert_eq!((counts.new_entries, counts.new_bytes), (1, 0));
    assert!(counts.stored_bytes < 5_000, "{counts:?}");

    // Another name, and one more of the same content beside it, and a further name.
    fs::rename(at("film"), at("moved")).unwrap();
    write_long(&world, "again", 1);
    fs::hard_link(at("again"), at("link")).unwrap();
    let counts = world.backup().await.counts;
    assert_eq!((counts.new_entries, counts.new_bytes, counts.removed), (3, 0, 1));
    assert!(counts.stored_bytes < 5_000, "{counts:?}");

    // Read again by force: nothing has changed, so nothing is noted.
    let counts = forced(&world).await.counts;
    assert_eq!((counts.new_bytes, counts.stored_bytes > 5_000), (0, false), "{counts:?}");
    assert_eq!(counts.new_entries, 1, "the further name alone is noted again: {counts:?}");

    // One byte of the last part: this file is stored again, the other is not touched.
    let file = File::options().write(true).open(at("moved")).unwrap();
    file.write_all_at(b"!", MEMBER_BYTES + 10).unwrap();
    let counts = world.backup().await.counts;
    assert_eq!((counts.new_entries, counts.new_bytes), (1, MEMBER_BYTES + 40_000));
    assert_eq!(world.restored().await, tree(&world.source()));
    let report = world.verify(false).await;
    assert_eq!((wrong(&report), report.lost, report.unnamed_archives), (vec![], vec![], 0));
}
