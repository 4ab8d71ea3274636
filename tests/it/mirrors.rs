//! Mirrors: the same objects in another place, a sound vault at every moment, and no alarm by lagging behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tgvault::operations::copy::{MirrorOptions, MirrorReport, mirror};
use tgvault::operations::events::Silent;
use tgvault::operations::{OperationError, Session, Stop};
use tgvault::repository::format::record::{Forgotten, Known};
use tgvault::state::StateFolder;
use tgvault::storage::{FaultKind, Faults, Storage};
use tgvault_test_support::sandbox::{Run, Sandbox};

use crate::support::{World, noise, options, tree, wrong};

/// The store of the mirror of a world.
fn second(world: &World) -> Storage {
    Storage::open(world.root.path().join("second").to_str().unwrap(), [], options()).unwrap()
}

/// A machine that has no key and has never been here before.
fn keyless(world: &World, storage: &Storage) -> Session {
    Session::new(storage.clone(), StateFolder::open(world.root.path().join("keyless"), None).unwrap())
}

async fn copied(session: &Session, target: &Storage) -> Result<MirrorReport, OperationError> {
    mirror(session, target, &MirrorOptions::default(), Arc::new(Silent), Stop::new()).await
}

/// What both places must hold when a mirror is up to date: everything but leases.
fn same(world: &World) {
    let files = |name: &str| -> BTreeMap<String, Vec<u8>> {
        let root = world.root.path().join(name);
        let names = tree(&root).into_keys().filter(|name| root.join(name).is_file() && !name.starts_with("running/"));
        names.map(|name| (name.clone(), fs::read(root.join(&name)).unwrap())).collect()
    };
    let (first, second) = (files("vault"), files("second"));
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    assert!(first == second, "some object has other bytes");
}

async fn world() -> World {
    let world = World::new().await;
    for n in 0..3 {
        world.write(&format!("{n}"), &noise(n, 300_000));
        world.backup().await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_key_copies_byte_for_byte_and_only_what_is_new() {
    let world = world().await;
    let (target, session) = (second(&world), keyless(&world, &world.storage));
    let report = copied(&session, &target).await.unwrap();
    assert_eq!((report.snapshots, report.new_snapshots, report.wrong.len()), (3, 3, 0), "{report:?}");
    same(&world);
    let again = copied(&session, &target).await.unwrap();
    assert_eq!((again.new_snapshots, again.objects, again.bytes), (0, 0, 0));
    world.write("more", &noise(9, 300_000));
    world.backup().await;
    let more = copied(&session, &target).await.unwrap();
    assert_eq!(more.new_snapshots, 1);
    assert!(more.bytes < 400_000, "{}", more.bytes);
    same(&world);
    // Restored from the mirror by somebody who has only that.
    let newcomer = world.newcomer(&target, Some(world.unlock()));
    let to = world.root.path().join("restored");
    world.restore_in(&newcomer, &to, &[], Arc::default()).await.unwrap();
    assert_eq!(tree(&to), tree(&world.source()));
    let report = world.verify_in(&newcomer, true).await.unwrap();
    assert_eq!(wrong(&report), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn using_both_raises_no_alarm_and_a_mirror_that_is_set_back_does() {
    let world = world().await;
    let target = second(&world);
    let owner = world.session(&world.storage, Some(world.unlock()));
    copied(&owner, &target).await.unwrap();
    let before = world.root.path().join("before");
    assert!(std::process::Command::new("cp").arg("-r").arg(world.root.path().join("second")).arg(&before).status().unwrap().success());
    world.write("newer", &noise(20, 1000));
    world.backup().await;
    // A statement of trust that the mirror does not have yet.
    tgvault::operations::keys::add(&owner, &[tgvault::operations::keys::NewKey::Recipient(tgvault::crypt::keys::generate().1)])
        .await
        .unwrap();
    let there = world.session(&target, Some(world.unlock()));
    for session in [&owner, &there, &owner, &there] {
        let report = world.verify_in(session, false).await.unwrap();
        assert_eq!(wrong(&report), Vec::<String>::new());
    }
    // Nothing is written into a mirror but by copying.
    let error = world.backup_to(&target).await.unwrap_err();
    assert!(matches!(error, OperationError::IsMirror { .. }), "{error:?}");
    world.backup().await;
    copied(&owner, &target).await.unwrap();
    same(&world);
    // The mirror itself must not be set back.
    fs::rename(world.root.path().join("second"), world.root.path().join("away")).unwrap();
    fs::rename(&before, world.root.path().join("second")).unwrap();
    let report = world.verify_in(&there, false).await.unwrap();
    assert!(wrong(&report).iter().any(|what| what.contains("is gone without a record")), "{:?}", wrong(&report));
    let report = world.verify_in(&owner, false).await.unwrap();
    assert_eq!(wrong(&report), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_named_and_not_copied() {
    let world = world().await;
    let target = second(&world);
    let archive = world.archives().remove(1);
    let mut bytes = world.object(&archive).await;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.replace(&archive, &bytes).await;
    let report = copied(&keyless(&world, &world.storage), &target).await.unwrap();
    let found: Vec<_> = report.wrong.iter().map(|broken| format!("{}: {}", broken.object, broken.what)).collect();
    assert_eq!(found, [format!("{archive}: its SHA-256 does not match")]);
    assert!(target.head(&archive).await.unwrap().is_none());
    assert_eq!(report.new_snapshots, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_target_is_refused_and_stays_as_it_is() {
    let (first, other) = (world().await, World::new().await);
    let owner = first.session(&first.storage, None);
    let at = |path: &Path| Storage::open(path.to_str().unwrap(), [], options()).unwrap();
    let refused = async |session: &Session, target: &Storage| copied(session, target).await.unwrap_err().to_string();
    assert!(refused(&owner, &first.storage).await.contains("same place"));
    assert!(refused(&owner, &at(&first.root.path().join("vault/mirror"))).await.contains("inside"));
    assert!(refused(&owner, &other.storage).await.contains("another vault"));
    let folder = first.root.path().join("holiday");
    fs::create_dir_all(folder.join("archives")).unwrap();
    fs::write(folder.join("archives/photo.jpg"), "x").unwrap();
    assert!(refused(&owner, &at(&folder)).await.contains("something else"));
    assert_eq!(tree(&folder).len(), 2);
    // The wrong way round: out of a copy that lags, into the vault that this machine writes.
    let target = second(&first);
    copied(&owner, &target).await.unwrap();
    first.write("newer", b"x");
    first.backup().await;
    assert!(refused(&first.session(&target, None), &first.storage).await.contains("backups of this machine go there"));
    let stranger = Session::new(target, StateFolder::open(first.root.path().join("stranger"), None).unwrap());
    assert!(refused(&stranger, &first.storage).await.contains("wrong way round"));
}

/// At every call at which either store fails, the mirror is a sound vault or none yet, and the next run ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_at_any_call_leaves_a_sound_mirror() {
    let world = world().await;
    let calls = |faults: &Faults| faults.calls();
    let counted = Faults::none();
    copied(&keyless(&world, &world.storage), &second(&world).with_faults(&counted)).await.unwrap();
    let total = calls(&counted);
    assert!(total > 30, "{total}");
    for n in (0..total).step_by(3) {
        for kind in [FaultKind::Refused, FaultKind::AnswerLost, FaultKind::UploadCut] {
            for folder in ["second", "keyless", "newcomer"] {
                let _ = fs::remove_dir_all(world.root.path().join(folder));
            }
            let way = format!("{kind:?} from {n} on");
            let target = second(&world);
            let ended = copied(&keyless(&world, &world.storage), &target.with_faults(&Faults::for_ever(kind, n))).await;
            if target.head("tgvault.json").await.is_ok_and(|found| found.is_some()) {
                let newcomer = world.newcomer(&target, Some(world.unlock()));
                let report = world.verify_in(&newcomer, false).await.unwrap_or_else(|error| panic!("{way}: {error:?}"));
                let without_copy = |what: &String| !what.ends_with("it is missing") || what.starts_with("archives/");
                let harm: Vec<String> = wrong(&report).into_iter().filter(without_copy).collect();
                assert_eq!((harm, report.lost), (vec![], vec![]), "{way}");
            }
            assert!(ended.is_err() || n >= total - 3, "{way}: {ended:?}");
            copied(&keyless(&world, &world.storage), &target).await.unwrap_or_else(|error| panic!("{way}: {error:?}"));
            same(&world);
        }
    }
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.run(arguments).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_mirrors_takes_a_mirror_of_another_tool_and_says_what_it_did() {
    let world = world().await;
    let (vault, second) = (world.root.path().join("vault"), world.root.path().join("second"));
    let (vault, second) = (vault.to_str().unwrap(), second.to_str().unwrap());
    // As `rclone sync` would leave it, half way.
    assert!(std::process::Command::new("cp").args(["-r", vault, second]).status().unwrap().success());
    fs::remove_dir_all(Path::new(second).join("snapshots")).unwrap();
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let done = run(&sandbox, &["--repo", vault, "copy", "--mirror", "--to", second]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("mirrored 3 snapshots to"), "{done:?}");
    same(&world);
    let json = run(&sandbox, &["--json", "--repo", vault, "copy", "--mirror", "--to", second]);
    let last: serde_json::Value = serde_json::from_str(json.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["command"], &last["new_snapshots"], &last["objects"]), (&"copy".into(), &0.into(), &0.into()));
    let refused = run(&sandbox, &["--repo", second, "backup", "folder", world.source().to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("is a mirror of"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_signed_record_forgets_is_deleted_from_a_mirror() {
    let world = world().await;
    let (target, owner) = (second(&world), world.session(&world.storage, Some(world.unlock())));
    let deleting = MirrorOptions { delete: true, ..MirrorOptions::default() };
    copied(&owner, &target).await.unwrap();
    // Somebody deletes a snapshot without a record: the mirror keeps it, and the copy says so.
    let mut repository = owner.open().await.unwrap().repository;
    let refs: Vec<_> = repository.snapshot_refs().await.unwrap().into_iter().map(|(_, found)| found.unwrap()).collect();
    let last = refs.last().unwrap();
    let names: Vec<String> = world.objects().await.into_keys().filter(|name| name.contains(&last.stem)).collect();
    let mut kept = Vec::new();
    for name in &names {
        kept.push(world.object(name).await);
        world.storage.delete(name).await.unwrap();
    }
    let report = mirror(&owner, &target, &deleting, Arc::new(Silent), Stop::new()).await.unwrap();
    assert_eq!((report.only_there.as_slice(), report.deleted, report.wrong.len()), (&[last.stem.clone()][..], 0, 1), "{report:?}");
    for (name, bytes) in names.iter().zip(kept) {
        world.storage.put_new(name, bytes.into()).await.unwrap();
    }
    // The first is forgotten by a record, and gone from the vault.
    let identity = tgvault::repository::keys::unlock(&world.storage, world.report.repository, &world.unlock()).await.unwrap();
    let first = &refs[0];
    let said = Forgotten { chain: first.signed.chain, snapshots: vec![(first.stem.clone(), first.signed.sequence)] };
    repository.put_record(&identity.root_key, vec![Known::Forgotten(said)]).await.unwrap();
    for name in world.objects().await.into_keys().filter(|name| name.contains(&first.stem)) {
        world.storage.delete(&name).await.unwrap();
    }
    let owner = world.session(&world.storage, Some(world.unlock()));
    let report = mirror(&owner, &target, &deleting, Arc::new(Silent), Stop::new()).await.unwrap();
    assert_eq!((report.deleted, report.wrong.len(), report.only_there.len()), (6, 0, 0), "{report:?}");
    same(&world);
    let report = world.verify_in(&world.session(&target, Some(world.unlock())), true).await.unwrap();
    assert_eq!(wrong(&report), Vec::<String>::new());
}
