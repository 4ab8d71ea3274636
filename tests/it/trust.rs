//! Who is believed: roots, writers, signatures, numbers, versions.

use std::sync::Arc;

use tgvault::Vault;
use tgvault::crypt::signature::SigningKey;
use tgvault::model::filter::PathFilter;
use tgvault::operations::OperationError;
use tgvault::operations::find;
use tgvault::operations::init::InitOptions;
use tgvault::operations::look;
use tgvault::operations::session::Session;
use tgvault::operations::snapshot::choice::{Selection, SnapshotChoice};
use tgvault::repository::format::root::{Revocation, Root};
use tgvault::repository::format::{names, sums};
use tgvault::repository::keys::{Identity, unlock};
use tgvault::repository::trust;
use tgvault::repository::{Machine, RepositoryError};
use tgvault::repository::{Repository, trust::Anchor};
use tgvault::state::StateFolder;
use tgvault::storage::Storage;

use crate::support::{Log, World, options, tempdir, tree, wrong};

async fn world() -> World {
    let world = World::in_memory().await;
    world.write("a", b"content");
    world.backup().await;
    world
}

async fn identity(world: &World) -> Arc<Identity> {
    unlock(&world.storage, world.report.repository, &world.unlock()).await.unwrap()
}

async fn root(world: &World) -> Root {
    let anchor = Anchor::Last(world.report.root_key.clone());
    trust::load(&world.storage, world.report.repository, &anchor).await.unwrap().root
}

fn is_trust(result: Result<impl Sized, OperationError>) -> bool {
    matches!(result, Err(OperationError::Repository(error)) if error.is_integrity())
}

async fn open(session: Session) -> Result<(), OperationError> {
    session.open().await.map(drop)
}

/// The stems of the snapshots there are.
async fn stems(world: &World) -> Vec<String> {
    let opened = world.session(&world.storage, None).open().await.unwrap();
    opened.repository.snapshot_stems().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_by_another_key_is_refused_by_everybody() {
    let world = world().await;
    let forger = SigningKey::generate().unwrap();
    let mut forged = root(&world).await;
    forged.number = 2;
    forged.root_key = forger.public().clone();
    trust::put(&world.storage, forged, &forger).await.unwrap();
    assert!(is_trust(open(world.session(&world.storage, None)).await));
    assert!(is_trust(open(world.newcomer(&world.storage, Some(world.unlock()))).await));
    assert!(is_trust(open(world.newcomer(&world.storage, None)).await));
    assert!(is_trust(world.backup_to(&world.storage).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_repository_by_another_root_is_refused_by_who_knows_the_first() {
    let world = world().await;
    // The forger makes a sound repository of the same name and puts it in the first one's place.
    let other = Storage::open("memory://", [], options()).unwrap();
    let folder = tempdir();
    let forger = Identity::generate(world.report.repository).unwrap();
    let slot = forger.recipient_slot(&tgvault::crypt::keys::generate().1, &Machine::default()).unwrap().put(&other).await.unwrap();
    let key = SigningKey::generate().unwrap();
    let writer = tgvault::repository::format::root::Writer::new(Machine::default().id().unwrap(), key.public().clone());
    Repository::init(other.clone(), &forger, vec![slot], writer, &Machine::default()).await.unwrap();
    assert!(is_trust(open(world.session(&other, None)).await));
    // The sheet's key tells a new machine.
    let state = StateFolder::open(folder.path().join("state"), None).unwrap();
    let session = Session { root_key: Some(world.report.root_key.clone()), ..Session::new(other.clone(), state) };
    assert!(is_trust(open(session).await));
    let identity_of_first = world.newcomer(&other, Some(world.unlock()));
    let result = open(identity_of_first).await;
    assert!(matches!(result, Err(OperationError::Repository(RepositoryError::WrongKey { .. } | RepositoryError::Trust(_)))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_set_back_is_noticed_by_who_was_here_before() {
    let world = world().await;
    let identity = identity(&world).await;
    let before: Vec<String> = world.objects().await.into_keys().collect();
    let mut newer = root(&world).await;
    newer.number = 2;
    trust::put(&world.storage, newer, &identity.root_key).await.unwrap();
    open(world.session(&world.storage, None)).await.unwrap();
    for name in world.objects().await.into_keys().filter(|name| !before.contains(name)) {
        world.storage.delete(&name).await.unwrap();
    }
    let result = world.backup_to(&world.storage).await;
    let Err(OperationError::Repository(RepositoryError::Trust(why))) = &result else { panic!("{result:?}") };
    assert!(why.contains("set back"), "{why}");
    // Who is new here cannot know.
    open(world.newcomer(&world.storage, Some(world.unlock()))).await.unwrap();
}

/// A statement whose signature was taken away counted once: it is not taken for one that nobody finished.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_without_its_signature_is_noticed() {
    let world = world().await;
    let identity = identity(&world).await;
    let mut newer = root(&world).await;
    newer.number = 2;
    let name = trust::put(&world.storage, newer, &identity.root_key).await.unwrap().names.remove(0);
    for name in [names::signature(&name), names::mirror(&names::signature(&name))] {
        world.storage.delete(&name).await.unwrap();
    }
    assert!(is_trust(open(world.newcomer(&world.storage, Some(world.unlock()))).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_writer_is_believed_up_to_its_last_number() {
    let world = world().await;
    world.write("a", b"second");
    world.backup().await;
    let stem = stems(&world).await.pop().unwrap();
    let opened = world.session(&world.storage, None).open().await.unwrap();
    let signed = opened.repository.snapshot_ref(&stem).await.unwrap().signed;
    let identity = identity(&world).await;
    let mut revoking = root(&world).await;
    revoking.number = 2;
    revoking.revoked.push(Revocation::new(signed.writer, vec![(signed.chain, 1)]));
    trust::put(&world.storage, revoking, &identity.root_key).await.unwrap();

    let report = world.verify(true).await;
    assert!(wrong(&report).iter().any(|finding| finding.contains(&stem) && finding.contains("revoked")), "{:?}", wrong(&report));
    let to = tempdir();
    let log = Arc::new(Log::default());
    let summary = world.restore_from(&world.storage, to.path(), Arc::clone(&log)).await.unwrap();
    assert_eq!(std::fs::read(to.path().join("a")).unwrap(), b"content");
    assert!(summary.damaged > 0, "an older snapshot was restored without a word");
    assert!(log.0.lock().unwrap().iter().any(|said| said.contains("passed over")));
}

/// Copies the four files of a snapshot to another place, perhaps under another name.
async fn copy_snapshot(from: &World, stem: &str, to: &Storage, new_stem: &str) {
    for (old, new) in [
        (names::snapshot(stem), names::snapshot(new_stem)),
        (names::sums(stem), names::sums(new_stem)),
        (names::signature(&names::sums(stem)), names::signature(&names::sums(new_stem))),
    ] {
        to.put_new(&new, from.object(&old).await.into()).await.unwrap();
        to.put_new(&names::mirror(&new), from.object(&old).await.into()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_another_repository_or_under_another_name_is_not_believed() {
    let (one, two) = (world().await, world().await);
    let stem = stems(&one).await.pop().unwrap();
    copy_snapshot(&one, &stem, &two.storage, &stem).await;
    let moved = two.verify(true).await;
    assert!(wrong(&moved).iter().any(|finding| finding.contains(&stem) && finding.contains("not trusted")), "{:?}", wrong(&moved));
    assert_eq!(moved.snapshots, 1);

    let renamed = stem.replacen("2026", "2027", 1).replacen("20", "29", 1);
    copy_snapshot(&one, &stem, &one.storage, &renamed).await;
    let report = one.verify(true).await;
    assert!(
        wrong(&report).iter().any(|finding| finding.contains(&renamed) && finding.contains("another snapshot")),
        "{:?}",
        wrong(&report)
    );
    // Neither is anybody's parent or latest.
    two.write("a", b"newer");
    two.backup().await;
    let to = tempdir();
    two.restore_from(&two.storage, to.path(), Arc::new(Log::default())).await.unwrap();
    assert_eq!(tree(to.path()), tree(&two.source()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_snapshot_and_replaced_sums_are_not_believed() {
    let world = world().await;
    world.write("a", b"second");
    world.backup().await;
    let stem = stems(&world).await.pop().unwrap();
    let (sums_name, signature) = (names::sums(&stem), names::signature(&names::sums(&stem)));
    let original = world.object(&sums_name).await;
    // Sums that a forger has made fit for other bytes.
    let (mut lines, form) = sums::read(std::str::from_utf8(&original).unwrap()).unwrap();
    lines[0].sha256 = tgvault::model::digest::Digest([1; 32]);
    for name in [sums_name.clone(), names::mirror(&sums_name)] {
        world.replace(&name, sums::write(&lines, form).as_bytes()).await;
    }
    let report = world.verify(false).await;
    assert!(wrong(&report).iter().any(|finding| finding.contains(&stem) && finding.contains("not trusted")), "{:?}", wrong(&report));
    for name in [sums_name.clone(), names::mirror(&sums_name)] {
        world.replace(&name, &original).await;
    }
    assert_eq!(wrong(&world.verify(false).await), Vec::<String>::new());
    for name in [signature.clone(), names::mirror(&signature)] {
        world.storage.delete(&name).await.unwrap();
    }
    let report = world.verify(false).await;
    assert!(wrong(&report).iter().any(|finding| finding.contains(&stem)), "{:?}", wrong(&report));
    // A backup goes on all the same, and what it makes is sound.
    world.write("a", b"third");
    world.backup().await;
    let to = tempdir();
    world.restore_from(&world.storage, to.path(), Arc::new(Log::default())).await.unwrap();
    assert_eq!(tree(to.path()), tree(&world.source()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_missing_is_reported() {
    let world = world().await;
    for content in [b"second", b"third!"] {
        world.write("a", content);
        world.backup().await;
    }
    let stem = stems(&world).await.remove(1);
    for name in world.objects().await.into_keys().filter(|name| name.contains(&stem)) {
        world.storage.delete(&name).await.unwrap();
    }
    let report = world.verify(false).await;
    let gone: Vec<String> = wrong(&report).into_iter().filter(|finding| finding.contains("are gone")).collect();
    assert_eq!(gone.len(), 1, "{:?}", wrong(&report));
    assert!(gone[0].contains("snapshots 2 are gone"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_named() {
    let world = world().await;
    let text = String::from_utf8(world.object(names::DESCRIPTOR).await).unwrap();
    let newer = text.replace("\"3.0\"", "\"4.0\"");
    assert_ne!(text, newer);
    for name in [names::DESCRIPTOR.to_owned(), names::mirror(names::DESCRIPTOR)] {
        world.replace(&name, newer.as_bytes()).await;
    }
    let result = world.backup_to(&world.storage).await;
    assert!(matches!(&result, Err(OperationError::Repository(RepositoryError::Newer { found, .. })) if found == "4.0"), "{result:?}");
    // A newer minor version is read.
    let minor = text.replace("\"3.0\"", "\"3.9\"");
    for name in [names::DESCRIPTOR.to_owned(), names::mirror(names::DESCRIPTOR)] {
        world.replace(&name, minor.as_bytes()).await;
    }
    world.backup().await;
}

/// The newest snapshot is taken away, both copies: who has seen it says so, whatever is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_seen_and_is_gone_is_missed() {
    let world = world().await;
    let choice = |wanted: &str| SnapshotChoice { wanted: wanted.into(), ..SnapshotChoice::latest() };
    let (reader, backups) = (|| world.newcomer(&world.storage, Some(world.unlock())), tempdir());
    world.write("a", b"second");
    world.backup().await;
    // One who has only read.
    look::stats(&reader(), &choice("latest")).await.unwrap();
    let (first, stem) = (stems(&world).await.remove(0), stems(&world).await.pop().unwrap());
    let first_id = first.split_once('-').unwrap().1.to_owned();
    for name in world.objects().await.into_keys().filter(|name| name.contains(&stem)) {
        world.storage.delete(&name).await.unwrap();
    }
    let is_gone = |result: Result<(), OperationError>| matches!(result, Err(OperationError::Repository(RepositoryError::Gone { stem: found, sequence: 2 })) if found == stem);
    for session in [reader(), world.session(&world.storage, Some(world.unlock()))] {
        let log = Arc::new(Log::default());
        let to = tempfile::tempdir_in(backups.path()).unwrap();
        let summary = world.restore_in(&session, to.path(), &[], Arc::clone(&log)).await.unwrap();
        assert_eq!((summary.damaged, std::fs::read(to.path().join("a")).unwrap().as_slice()), (1, b"content".as_slice()));
        assert!(log.0.lock().unwrap().iter().any(|said| said.contains("is gone")), "{:?}", log.0.lock().unwrap());
        assert!(is_gone(look::stats(&session, &choice("latest")).await.map(drop)));
        assert!(is_gone(find::find(&session, &Selection::default(), &PathFilter::everything(), |_, _, _| Ok(())).await));
        look::stats(&session, &choice(&first_id)).await.unwrap();
        let listed = Vault::from(session.clone()).snapshots(&Selection::default()).await.unwrap();
        assert_eq!((listed.snapshots.len(), listed.broken.len()), (1, 1), "{:?}", listed.broken);
        let report = world.verify_in(&session, false).await.unwrap();
        assert!(wrong(&report).iter().any(|finding| finding.contains(&stem) && finding.contains("gone")), "{:?}", wrong(&report));
    }
    // Who is new here cannot know.
    let state = StateFolder::open(world.root.path().join("third"), None).unwrap();
    let third = Session { unlock: Some(world.unlock()), ..Session::new(world.storage.clone(), state) };
    look::stats(&third, &choice("latest")).await.unwrap();
    // A backup says it and goes on; from then on the chain has a new head, and a gap.
    let source = tgvault::source::folder::FolderSource::open(&world.source(), Default::default()).unwrap();
    let (_, said) = world.backup_in(&world.session(&world.storage, None), Arc::new(source)).await.unwrap();
    assert!(said.iter().any(|said| said.contains("is gone")), "{said:?}");
    assert_eq!(world.restored().await, tree(&world.source()));
    look::stats(&reader(), &choice("latest")).await.unwrap();
    let report = world.verify(false).await;
    assert!(wrong(&report).iter().any(|finding| finding.contains("snapshots 2 are gone")), "{:?}", wrong(&report));
    // And when nothing is left, that is not called an empty vault.
    for name in world.objects().await.into_keys().filter(|name| name.contains("snapshots/")) {
        world.storage.delete(&name).await.unwrap();
    }
    let result = world.restore_from(&world.storage, backups.path(), Arc::new(Log::default())).await.map(drop);
    assert!(matches!(result, Err(OperationError::Repository(RepositoryError::Gone { .. }))), "{result:?}");
}

/// A passphrase costs a second each time: it is not tried where what this machine keeps is enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_unlocks_only_when_it_must() {
    let world = world().await;
    let wrong = || Some(tgvault::repository::keys::Unlock::IdentityFile(tgvault::crypt::keys::generate().0));
    let backup = async |session: Session| {
        let source = tgvault::source::folder::FolderSource::open(&world.source(), Default::default()).unwrap();
        world.backup_in(&session, Arc::new(source)).await.map(|(summary, _)| summary.counts.new_bytes)
    };
    assert_eq!(backup(world.session(&world.storage, wrong())).await.unwrap(), 0);
    // Who has no record of earlier runs, or is new here, needs the right one.
    world.forget_chains();
    for session in [world.session(&world.storage, wrong()), world.newcomer(&world.storage, wrong())] {
        let result = backup(session).await;
        assert!(matches!(result, Err(OperationError::Repository(RepositoryError::WrongKey { .. }))), "{result:?}");
    }
    assert_eq!(backup(world.session(&world.storage, Some(world.unlock()))).await.unwrap(), 0);
    backup(world.newcomer(&world.storage, Some(world.unlock()))).await.unwrap();
}

/// What lies in a store beside the vault is nobody's business, and is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_objects_harm_nothing() {
    let world = world().await;
    let stem = stems(&world).await.pop().unwrap();
    for name in [
        "README.txt",
        "archives/notes.txt",
        "archives/2026/11/00.tar.zst.age",
        "snapshots/x.txt",
        "lists/readme",
        "keys/other.age",
        "root/notes.json.bak",
        "mirror/strange",
        "running/garbage.json",
    ] {
        world.storage.put_new(name, b"foreign".to_vec().into()).await.unwrap();
    }
    world.write("b", b"more");
    world.backup().await;
    assert_eq!(world.restored().await, tree(&world.source()));
    let report = world.verify(true).await;
    assert_eq!((wrong(&report), report.unnamed_archives), (vec![], 2));
    assert_eq!(world.object("archives/notes.txt").await, b"foreign");
    assert!(stems(&world).await.contains(&stem));
    // A place that holds a vault, or parts of one, takes no other.
    let state = StateFolder::open(world.root.path().join("third"), None).unwrap();
    let vault = Vault::new(world.storage.clone(), state);
    let options = InitOptions { passphrase: None, recipients: vec![tgvault::crypt::keys::generate().1] };
    assert!(matches!(vault.init(&options).await, Err(OperationError::Repository(RepositoryError::Occupied { .. }))));
}
