//! A folder goes in and the same folder comes out, run after run.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{World, noise, tree};

fn fill(world: &World) {
    world.write("a.txt", b"hello");
    world.write("empty", b"");
    world.write("chats/result.json", &b"{\"id\": 1, \"text\": \"words\"},\n".repeat(20_000));
    for n in 0..20 {
        world.write(&format!("photos/photo_{n}.jpg"), &noise(n, 50_000 + 70_000 * n as usize));
    }
    symlink("../a.txt", world.source().join("photos/link")).unwrap();
    fs::hard_link(world.source().join("a.txt"), world.source().join("photos/hard")).unwrap();
    fs::create_dir(world.source().join("nothing")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_out_and_the_second_run_stores_nothing() {
    let world = World::new().await;
    fill(&world);
    let first = world.backup().await;
    assert_eq!(first.counts.problems, 0);
    assert_eq!(world.restored().await, tree(&world.source()));

    let archives = world.archives();
    let second = world.backup().await;
    assert_eq!((second.counts.new_entries, second.counts.stored_bytes), (0, 0));
    assert_eq!(world.archives(), archives);
    assert_eq!(world.restored().await, tree(&world.source()));
    let report = world.verify(true).await;
    assert_eq!((report.wrong, report.lost), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_every_kind_are_followed() {
    let world = World::new().await;
    fill(&world);
    world.backup().await;
    let source = world.source();
    // Changed, deleted, renamed, swapped, of another kind.
    world.write("a.txt", b"hello again");
    fs::remove_file(source.join("photos/photo_3.jpg")).unwrap();
    fs::rename(source.join("photos/photo_4.jpg"), source.join("moved.jpg")).unwrap();
    fs::rename(source.join("photos/photo_5.jpg"), source.join("swap")).unwrap();
    fs::rename(source.join("photos/photo_6.jpg"), source.join("photos/photo_5.jpg")).unwrap();
    fs::rename(source.join("swap"), source.join("photos/photo_6.jpg")).unwrap();
    fs::remove_dir(source.join("nothing")).unwrap();
    world.write("nothing", b"now a file");
    fs::remove_file(source.join("empty")).unwrap();
    world.write("empty/now/a/folder", b"deep");
    fs::remove_file(source.join("photos/link")).unwrap();
    symlink("elsewhere", source.join("photos/link")).unwrap();
    let second = world.backup().await;
    assert_eq!(second.counts.problems, 0);
    assert!(second.counts.new_bytes < 1000, "{:?}", second.counts);
    assert_eq!(world.restored().await, tree(&source));
    // And back again.
    fs::remove_dir_all(source.join("empty")).unwrap();
    world.write("empty", b"");
    fs::remove_file(source.join("nothing")).unwrap();
    fs::create_dir(source.join("nothing")).unwrap();
    world.backup().await;
    assert_eq!(world.restored().await, tree(&source));
    let report = world.verify(true).await;
    assert_eq!((report.wrong, report.lost), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_state_is_rebuilt_with_the_key_and_costs_a_full_backup_without() {
    let world = World::new().await;
    fill(&world);
    world.backup().await;
    let chains = || fs::read_dir(world.root.path().join("state").join(world.report.repository.to_string())).unwrap();
    let forget = || {
        for entry in chains().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_dir()) {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    };
    forget();
    let blind = world.backup().await;
    assert!(blind.counts.new_bytes > 10_000_000);
    forget();
    let session = world.session(&world.storage, Some(world.unlock()));
    let source = tgvault::source::folder::FolderSource::open(&world.source(), Default::default()).unwrap();
    let options = tgvault::operations::backup::BackupOptions { host: "host".into(), lanes: 2, ..Default::default() };
    let seeing = tgvault::operations::backup::backup(
        &session,
        std::sync::Arc::new(source),
        options,
        std::sync::Arc::new(crate::support::Log::default()),
        tgvault::operations::Stop::new(),
    )
    .await
    .unwrap();
    assert_eq!(seeing.counts.new_bytes, 0);
    assert_eq!(world.restored().await, tree(&world.source()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rehashing_stores_nothing_where_nothing_changed_and_finds_what_hides_behind_an_old_time() {
    let world = World::new().await;
    fill(&world);
    // A hard link is noted again whenever its file may have been stored again.
    fs::remove_file(world.source().join("photos/hard")).unwrap();
    // Files that were written a moment ago have no stamp yet.
    std::thread::sleep(std::time::Duration::from_millis(50));
    world.backup().await;
    let rehash = || async {
        let session = world.session(&world.storage, None);
        let source = std::sync::Arc::new(tgvault::source::folder::FolderSource::open(&world.source(), Default::default()).unwrap());
        let options =
            tgvault::operations::backup::BackupOptions { host: "host".into(), lanes: 2, force_rehash: true, ..Default::default() };
        let log = std::sync::Arc::new(crate::support::Log::default());
        tgvault::operations::backup::backup(&session, source, options, log, tgvault::operations::Stop::new()).await.unwrap()
    };
    let unchanged = rehash().await;
    assert_eq!((unchanged.counts.new_entries, unchanged.archives), (0, 0), "{:?}", unchanged.counts);
    // The same length and time, another content.
    let path = world.source().join("photos/photo_2.jpg");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, noise(77, 190_000)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(rehash().await.counts.new_entries, 1);
    assert_eq!(world.restored().await, tree(&world.source()));
}
