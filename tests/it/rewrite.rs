//! Rewrite: what is taken out of every snapshot is gone, and everything else is as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tgvault::model::filter::PathFilter;
use tgvault::operations::copy::{MirrorOptions, mirror};
use tgvault::operations::events::Silent;
use tgvault::operations::rewrite::{RewriteOptions, RewriteReport, rewrite};
use tgvault::operations::{OperationError, Stop};
use tgvault::source::folder::{FolderOptions, FolderSource};
use tgvault::storage::Storage;

use crate::compact::{changing, is_sound, keep, restored_in};
use crate::prune::{at_once, pruned};
use crate::spelling::{done, run, with_vault};
use crate::support::{World, noise, options, tempdir, tree};

async fn rewritten(world: &World, patterns: &[&str], dry_run: bool) -> Result<RewriteReport, OperationError> {
    let exclude = PathFilter::new(&[], patterns).unwrap();
    let options = RewriteOptions { exclude, chats: Vec::new(), dry_run, host: "test".into() };
    rewrite(&world.session(&world.storage, Some(world.unlock())), &options, Arc::new(Silent), Stop::new()).await
}

async fn bytes_in(storage: &Storage) -> u64 {
    storage.list("archives/").await.unwrap().iter().map(|object| object.size_bytes).sum()
}

/// What is restored of each snapshot without some of it.
fn without(
    restored: &BTreeMap<String, BTreeMap<String, String>>,
    goes: impl Fn(&str) -> bool,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let stays = |tree: &BTreeMap<String, String>| {
        tree.iter().filter(|(path, _)| !goes(path)).map(|(path, said)| (path.clone(), said.clone())).collect()
    };
    restored.iter().map(|(stem, tree)| (stem.clone(), stays(tree))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_folders_go_from_every_snapshot_and_from_the_store() {
    let world = changing().await;
    // The same content under a name that stays, of the file that goes and of one in the folder that goes; and a file in parts.
    world.write("same as log", &noise(7, 40_000));
    world.write("same as gone", &noise(205, 20_000));
    world.write("long", &noise(300, 3_000_000));
    world.backup().await;
    world.write("long", &noise(301, 3_000_000));
    world.backup().await;
    keep(&world, &[1, 4, 7, 8, 9]).await;
    let (was, before) = (restored_in(&world).await, world.archive_bytes().await);
    let copies = tempdir();
    let target = Storage::open(copies.path().join("mirror").to_str().unwrap(), [], options()).unwrap();
    let session = world.session(&world.storage, Some(world.unlock()));
    mirror(&session, &target, &MirrorOptions::default(), Arc::new(Silent), Stop::new()).await.unwrap();
    let patterns = ["log", "/gone", "long"];
    let dry = rewritten(&world, &patterns, true).await.unwrap();
    assert_eq!((restored_in(&world).await, world.archive_bytes().await), (was.clone(), before));
    let done = rewritten(&world, &patterns, false).await.unwrap();
    assert_eq!((done.compact.excluded, done.compact.replaced), (dry.compact.excluded, dry.compact.replaced));
    assert_eq!(done.compact.excluded.0, 5, "{done:?}");
    let goes = |path: &str| path == "log" || path == "long" || path == "gone" || path.starts_with("gone/");
    let left = without(&was, goes);
    assert!(left.values().last().unwrap().contains_key("same as log"));
    assert_eq!(restored_in(&world).await, left);
    is_sound(&world).await;
    pruned(&world, &world.storage, &at_once()).await.unwrap();
    assert_eq!(restored_in(&world).await, left);
    is_sound(&world).await;
    // Noise cannot be made smaller: both versions of the long file, seven of the other and seven of the folder's are gone.
    let after = world.archive_bytes().await;
    assert!(before - after > 2 * 3_000_000 + 6 * 40_000 + 6 * 20_000, "{before} {after}");
    // A mirror from before it gives up what went when it is told to.
    let mirrored = |delete| {
        let (session, target) = (world.session(&world.storage, Some(world.unlock())), target.clone());
        async move { mirror(&session, &target, &MirrorOptions { delete, ..MirrorOptions::default() }, Arc::new(Silent), Stop::new()).await }
    };
    mirrored(false).await.unwrap();
    assert!(bytes_in(&target).await > after + 6_000_000);
    mirrored(true).await.unwrap();
    assert_eq!(bytes_in(&target).await, after);
    let again = rewritten(&world, &patterns, false).await.unwrap();
    assert_eq!((again.compact.excluded, again.compact.replaced.archives), ((0, 0), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_link_that_stays_stops_it() {
    let world = World::new().await;
    world.write("first", &noise(1, 5_000));
    fs::hard_link(world.source().join("first"), world.source().join("second")).unwrap();
    world.backup().await;
    let was = restored_in(&world).await;
    match rewritten(&world, &["first"], false).await {
        Err(OperationError::LinkedTo { path, target }) => assert_eq!((path.as_str(), target.as_str()), ("second", "first")),
        other => panic!("{other:?}"),
    }
    assert_eq!(restored_in(&world).await, was);
    rewritten(&world, &["second"], false).await.unwrap();
    // It is alone now.
    let left = without(&was, |path| path == "second").into_values().next().unwrap();
    let alone = BTreeMap::from([("first".to_owned(), left["first"].replace("links 2", "links 1"))]);
    assert_eq!(restored_in(&world).await.into_values().collect::<Vec<_>>(), [alone]);
    is_sound(&world).await;
}

/// A source that still has it stores it again, whether or not the machine has a key; nothing that the machine remembers is taken for stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_after_it_is_whole() {
    for has_key in [true, false] {
        let world = World::new().await;
        world.write("stays", &noise(1, 5_000));
        world.write("goes", &noise(2, 7_000));
        world.backup().await;
        world.write("more", b"more");
        world.backup().await;
        rewritten(&world, &["goes"], false).await.unwrap();
        pruned(&world, &world.storage, &at_once()).await.unwrap();
        let session = world.session(&world.storage, has_key.then(|| world.unlock()));
        let source = || Arc::new(FolderSource::open(&world.source(), FolderOptions::default()).unwrap());
        // Renamed, it is the same content under a name that was never taken out.
        fs::rename(world.source().join("goes"), world.source().join("renamed")).unwrap();
        let (summary, notes) = world.backup_in(&session, source()).await.unwrap();
        assert!(notes.iter().any(|note| note.contains("`tgvault rewrite` took something out")), "{notes:?}");
        // Without a key nobody can say what is left of the archive that was rewritten.
        assert_eq!(summary.counts.new_bytes, if has_key { 7_000 } else { 12_000 }, "{notes:?}");
        is_sound(&world).await;
        assert_eq!(restored_in(&world).await.values().last().unwrap(), &tree(&world.source()));
        let (again, notes) = world.backup_in(&session, source()).await.unwrap();
        assert!(again.counts.new_bytes == 0 && !notes.iter().any(|note| note.contains("rewrite")), "{notes:?}");
        is_sound(&world).await;
    }
}

/// An export of a chat `name` whose messages name these files.
fn export(folder: &Path, (name, id): (&str, i64), files: &[(&str, &[u8])]) {
    fs::create_dir_all(folder.join("files")).unwrap();
    let mut messages = Vec::new();
    for (number, (file, content)) in (1..).zip(files) {
        fs::write(folder.join("files").join(file), content).unwrap();
        messages.push(json!({"id": number, "type": "message", "date": "2024-05-04T10:00:00", "date_unixtime": "1714816800",
            "from": name, "from_id": format!("user{id}"), "file": format!("files/{file}"), "file_name": file, "mime_type": "text/plain",
            "text": format!("secret of {name} {number}"), "text_entities": [{"type": "plain", "text": format!("secret of {name} {number}")}]}));
    }
    let chat = json!({"name": name, "type": "personal_chat", "id": id, "messages": messages});
    fs::write(folder.join("result.json"), serde_json::to_vec(&chat).unwrap()).unwrap();
}

#[test]
fn a_chat_goes_with_the_files_that_only_it_shows() {
    let sandbox = with_vault();
    let work = sandbox.work();
    export(&work.join("jo"), ("Jo Miller", 11), &[("own.txt", b"only Jo has this"), ("both.txt", b"both have this")]);
    export(&work.join("max"), ("Max", 12), &[("both.txt", b"both have this"), ("max.txt", b"only Max has this")]);
    done(&sandbox, "-q backup desktop-export jo");
    done(&sandbox, "-q backup desktop-export max");

    // It is not done by mistake.
    for (line, said) in [
        ("-i key.txt rewrite --exclude-chat Max", "cannot be brought back"),
        ("-i key.txt rewrite --yes", "nothing to take out"),
        ("-i key.txt rewrite --yes --exclude-chat Ma", "no chat called 'Ma'"),
        ("-i key.txt rewrite --yes --exclude-chat Nobody", "no chat called 'Nobody'"),
        ("rewrite --yes --exclude-chat Max", "no passphrase or identity was given"),
    ] {
        let refused = run(&sandbox, line);
        assert!(refused.code != Some(0) && refused.stderr.contains(said), "{line}: {:?} {}", refused.code, refused.stderr);
    }
    let nothing = run(&sandbox, "-i key.txt rewrite --yes --exclude *.nothing");
    assert!(nothing.code == Some(3) && nothing.stderr.contains("matches nothing"), "{}", nothing.stderr);
    assert!(run(&sandbox, "-i key.txt search secret").stdout.contains("secret of Jo Miller 2"));

    let dry = done(&sandbox, "--json -i key.txt rewrite --dry-run --exclude-chat user11");
    let summary: Value = serde_json::from_str(dry.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["chats"], &summary["chat_files"]), (&json!(["user11"]), &json!(1)), "{summary}");
    let told = run(&sandbox, "-i key.txt rewrite --yes --exclude-chat user11");
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(told.stderr.contains("Jo Miller") && told.stderr.contains("--as original"), "{}", told.stderr);
    done(&sandbox, "-i key.txt -q prune --grace 0h");

    let found = run(&sandbox, "-i key.txt search secret");
    assert!(!found.stdout.contains("Jo Miller") && found.stdout.contains("secret of Max 2"), "{}", found.stdout);
    assert!(!done(&sandbox, "-i key.txt stats").contains("Jo Miller"));
    done(&sandbox, "-i key.txt restore latest --as files --to r");
    let contents: Vec<String> = tree(&work.join("r"))
        .keys()
        .map(|path| work.join("r").join(path))
        .filter(|path| path.is_file())
        .map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned())
        .collect();
    let has = |text: &str| contents.iter().any(|content| content.contains(text));
    assert!(!has("only Jo has this") && !has("secret of Jo"));
    assert!(has("both have this") && has("only Max has this") && has("secret of Max 1"));
    done(&sandbox, "-i key.txt restore latest --as telegram-desktop --to d");
    done(&sandbox, "-i key.txt verify --deep");
    // The other export is still what it was.
    done(&sandbox, "-i key.txt restore latest --as original --to o");
    assert_eq!(fs::read(work.join("o/result.json")).unwrap(), fs::read(work.join("max/result.json")).unwrap());
}
