//! Healing a vault from its mirror: what was lost or damaged is read again from then on, and nothing is overwritten.

use std::fs;
use tgvault::operations::Stop;

use tgvault::operations::copy::{MirrorOptions, mirror};
use tgvault::operations::events::Silent;
use tgvault::storage::Storage;
use tgvault_test_support::sandbox::Sandbox;

use crate::support::{World, noise, options, tree, wrong};

/// A world with three snapshots, and a mirror of it.
async fn world() -> (World, Storage) {
    let world = World::new().await;
    for n in 0..3 {
        world.write(&format!("{n}"), &noise(n, 300_000));
        world.backup().await;
    }
    let second = Storage::open(world.root.path().join("second").to_str().unwrap(), [], options()).unwrap();
    let session = world.session(&world.storage, None);
    mirror(&session, &second, &MirrorOptions::default(), std::sync::Arc::new(Silent), Stop::new()).await.unwrap();
    (world, second)
}

async fn flip(world: &World, name: &str) {
    let mut bytes = world.object(name).await;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.replace(name, &bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_damaged_is_healed_from_the_mirror_without_a_key() {
    let (world, _) = world().await;
    let archives = world.archives();
    let cut = world.object(&archives[0]).await;
    world.replace(&archives[0], &cut[..cut.len() / 2]).await;
    flip(&world, &archives[2]).await;
    world.storage.delete(&archives[1]).await.unwrap();
    let snapshot = world.objects().await.into_keys().find(|name| name.starts_with("snapshots/") && name.ends_with(".age")).unwrap();
    for copy in [snapshot.clone(), format!("mirror/{snapshot}")] {
        world.storage.delete(&copy).await.unwrap();
    }
    let damaged = world.object(&archives[0]).await;
    assert!(wrong(&world.verify(false).await).len() > 2);

    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let at = |name: &str| world.root.path().join(name).to_str().unwrap().to_owned();
    let (vault, second) = (at("vault"), at("second"));
    let healed = sandbox.run(["--json", "--repo", &vault, "repair", "--from", &second]).unwrap();
    assert_eq!(healed.code, Some(0), "{healed:?}");
    let last: serde_json::Value = serde_json::from_str(healed.stdout.lines().last().unwrap()).unwrap();
    let names: Vec<&str> = last["healed"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&archives[0].as_str()) && names.contains(&archives[1].as_str()), "{names:?}");
    // The damaged one is as it was; its second copy counts.
    assert_eq!(world.object(&archives[0]).await, damaged);
    let quick = sandbox.run(["--repo", &vault, "verify", "--quick"]).unwrap();
    assert_eq!(quick.code, Some(0), "{quick:?}");
    for deep in [false, true] {
        let report = world.verify(deep).await;
        assert_eq!((wrong(&report), report.lost), (vec![], vec![]));
    }
    assert_eq!(world.restored().await, tree(&world.source()));
    world.write("after", b"the healing");
    assert_eq!(world.backup().await.counts.new_bytes, 11, "nothing is stored again");
    assert_eq!(world.restored().await, tree(&world.source()));
    // A mirror of the healed vault has a sound archive under its own name.
    let third = Storage::open(&at("third"), [], options()).unwrap();
    let session = world.session(&world.storage, None);
    let report = mirror(&session, &third, &MirrorOptions::default(), std::sync::Arc::new(Silent), Stop::new()).await.unwrap();
    assert_eq!(report.wrong, []);
    assert!(third.head(&archives[0]).await.unwrap().is_some());
    let newcomer = world.newcomer(&third, Some(world.unlock()));
    assert_eq!(wrong(&world.verify_in(&newcomer, true).await.unwrap()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_copy_has_not_either_is_named_and_stored_again_by_the_next_backup() {
    let (world, second) = world().await;
    let archives = world.archives();
    world.storage.delete(&archives[0]).await.unwrap();
    second.delete(&archives[0]).await.unwrap();
    let stranger = World::new().await;
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let at = |world: &World, name: &str| world.root.path().join(name).to_str().unwrap().to_owned();
    let (vault, second) = (at(&world, "vault"), at(&world, "second"));
    let left = sandbox.run(["--repo", &vault, "repair", "--quick", "--from", &second]).unwrap();
    assert_eq!(left.code, Some(15), "{left:?}");
    assert!(left.stdout.contains(&archives[0]) && left.stdout.contains("the copy does not have it"), "{left:?}");
    let refused = sandbox.run(["--repo", &vault, "repair", "--from", &at(&stranger, "vault")]).unwrap();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    world.backup().await;
    assert_eq!(world.restored().await, tree(&world.source()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_copy_it_says_what_is_lost_and_the_next_backup_stores_it_again() {
    let world = World::new().await;
    world.write("photos/a.jpg", &noise(1, 300_000));
    world.backup().await;
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let key = sandbox.work().join("key");
    fs::write(&key, tgvault::crypt::keys::expose(&world.secret)).unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let vault = world.root.path().join("vault");
    let run = |more: &[&str]| {
        let line = ["--repo", vault.to_str().unwrap(), "-i", key.to_str().unwrap(), "repair"];
        sandbox.run(line.iter().chain(more)).unwrap()
    };
    let sound = run(&[]);
    assert_eq!(sound.code, Some(0), "{sound:?}");
    world.storage.delete(&world.archives()[0]).await.unwrap();
    let lost = run(&[]);
    assert_eq!(lost.code, Some(15), "{lost:?}");
    assert!(lost.stdout.lines().any(|line| line.starts_with("lost: snapshot ") && line.contains("photos/a.jpg")), "{lost:?}");
    let json = run(&["--json"]);
    let last: serde_json::Value = serde_json::from_str(json.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["damaged_archives"], &last["lost_files"], json.code), (&1.into(), &1.into(), Some(15)), "{json:?}");
    world.backup().await;
    assert_eq!(world.restored().await, tree(&world.source()));
}
