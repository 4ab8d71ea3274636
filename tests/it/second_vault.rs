//! Copies in a second vault with keys of its own: the same states, and nothing of the first vault's keys.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use tgvault::Vault;
use tgvault::crypt::keys::{expose, generate};
use tgvault::operations::copy::{CopyOptions, CopyReport, copy};
use tgvault::operations::events::Silent;
use tgvault::operations::init::InitOptions;
use tgvault::operations::snapshot::choice::Selection;
use tgvault::operations::{OperationError, Session, Stop};
use tgvault::repository::keys::Unlock;
use tgvault::state::StateFolder;
use tgvault::storage::{FaultKind, Faults, Storage};
use tgvault_test_support::sandbox::Sandbox;

use crate::support::{World, noise, options, tree, wrong};

/// A vault of somebody else, in a folder of a world.
struct Other {
    storage: Storage,
    secret: SecretString,
    state: PathBuf,
}

impl Other {
    async fn new(world: &World, name: &str) -> Self {
        let storage = Storage::open(world.root.path().join(name).to_str().unwrap(), [], options()).unwrap();
        let (secret, recipient) = generate();
        let this = Self { storage, secret, state: world.root.path().join("state") };
        let made = InitOptions { passphrase: None, recipients: vec![recipient] };
        Vault::from(this.session(&this.storage, false)).init(&made).await.unwrap();
        this
    }

    fn session(&self, storage: &Storage, with_key: bool) -> Session {
        let unlock = with_key.then(|| Unlock::IdentityFile(SecretString::from(expose(&self.secret))));
        Session { unlock, ..Session::new(storage.clone(), StateFolder::open(self.state.clone(), None).unwrap()) }
    }
}

async fn copied(world: &World, to: &Session, snapshots: &[&str]) -> Result<CopyReport, OperationError> {
    let snapshots = snapshots.iter().map(|name| (*name).to_owned()).collect();
    let options = CopyOptions { snapshots, among: Selection::default(), lanes: 2 };
    copy(&world.session(&world.storage, Some(world.unlock())), to, &options, Arc::new(Silent), Stop::new()).await
}

/// The state of the newest snapshot of a vault, restored.
async fn restored(world: &World, session: &Session) -> std::collections::BTreeMap<String, String> {
    let to = tempfile::tempdir_in(world.root.path()).unwrap();
    world.restore_in(session, to.path(), &[], Arc::default()).await.unwrap();
    tree(to.path())
}

async fn world() -> World {
    let world = World::new().await;
    for n in 0..3 {
        world.write(&format!("{n}/file"), &noise(n, 300_000));
        world.write("same/words", b"words that compress, words that compress");
        world.backup().await;
    }
    world
}

async fn sound(world: &World, other: &Other) {
    let report = world.verify_in(&other.session(&other.storage, true), true).await.unwrap();
    assert_eq!((wrong(&report), report.lost), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_snapshot_has_the_same_state_and_only_what_is_new_is_copied() {
    let world = world().await;
    let other = Other::new(&world, "other").await;
    // The machine that made the vault writes to it without its key.
    let to = other.session(&other.storage, false);
    let report = copied(&world, &to, &[]).await.unwrap();
    assert_eq!((report.snapshots, report.new_snapshots, report.wrong.len()), (3, 3, 0), "{report:?}");
    sound(&world, &other).await;
    let reader = other.session(&other.storage, true);
    assert_eq!(restored(&world, &reader).await, tree(&world.source()));
    let names = |vault: &Session| {
        let vault = Vault::from(vault.clone());
        async move {
            let found = vault.snapshots(&Selection::default()).await.unwrap().snapshots;
            found.into_iter().map(|row| (row.snapshot.id, row.snapshot.time, row.snapshot.host, row.snapshot.source)).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(&reader).await, names(&world.session(&world.storage, Some(world.unlock()))).await);
    // No byte of an archive but its plain inside is the same, and the first vault's key opens nothing here.
    let archive = world.archives().remove(0);
    let (first, second) = (world.object(&archive).await, other.storage.get(&archive, 1 << 30).await.unwrap().unwrap());
    let pieces: std::collections::HashSet<&[u8]> = first.windows(32).collect();
    assert!(second.windows(32).skip(100).all(|piece| !pieces.contains(piece)));
    let stranger = Session { unlock: Some(world.unlock()), ..other.session(&other.storage, false) };
    assert!(stranger.open().await.is_err());
    let again = copied(&world, &to, &[]).await.unwrap();
    assert_eq!((again.snapshots, again.new_snapshots, again.archives, again.bytes), (3, 0, 0, 0));
    fs::remove_file(world.source().join("1/file")).unwrap();
    world.write("more", &noise(9, 300_000));
    world.backup().await;
    let more = copied(&world, &to, &[]).await.unwrap();
    assert_eq!(more.new_snapshots, 1);
    assert!(more.bytes < 700_000, "{}", more.bytes);
    sound(&world, &other).await;
    assert_eq!(restored(&world, &reader).await, tree(&world.source()));
    // Backups go on in the second vault, which has all of it already.
    let source = tgvault::source::folder::FolderSource::open(&world.source(), Default::default()).unwrap();
    let (made, _) = world.backup_in(&reader, Arc::new(source)).await.unwrap();
    assert_eq!((made.counts.new_bytes, made.counts.entries > 0), (0, true));
    sound(&world, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_snapshot_alone_is_whole_and_its_indexes_have_second_copies_there() {
    let world = world().await;
    let other = Other::new(&world, "other").await;
    let report = copied(&world, &other.session(&other.storage, false), &["latest"]).await.unwrap();
    assert_eq!((report.snapshots, report.new_snapshots), (1, 1));
    sound(&world, &other).await;
    let reader = other.session(&other.storage, true);
    assert_eq!(restored(&world, &reader).await, tree(&world.source()));
    // An archive that is lost there is named by what it held.
    let listed = other.storage.list("archives").await.unwrap();
    let archive = listed.into_iter().max_by_key(|object| object.size_bytes).unwrap().name;
    other.storage.delete(&archive).await.unwrap();
    let report = world.verify_in(&reader, false).await.unwrap();
    assert!(report.lost.iter().any(|(_, path)| path.to_string().ends_with("file")), "{report:?}");
    assert_eq!(report.lost_unknown, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_keeps_what_needs_it_from_being_copied_and_nothing_else() {
    let world = world().await;
    let other = Other::new(&world, "other").await;
    // The last archive: only the last snapshot needs it.
    let mut last: Vec<String> = Vec::new();
    let session = world.session(&world.storage, Some(world.unlock()));
    for (_, found) in session.open().await.unwrap().repository.snapshot_refs().await.unwrap() {
        last = found.unwrap().sums.into_iter().map(|line| line.name).filter(|name| name.starts_with("archives/")).collect();
    }
    let archive = last.last().unwrap();
    let mut bytes = world.object(archive).await;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.replace(archive, &bytes).await;
    let report = copied(&world, &other.session(&other.storage, false), &[]).await.unwrap();
    assert_eq!((report.snapshots, report.new_snapshots, report.wrong.len()), (3, 2, 2), "{report:?}");
    assert_eq!(&report.wrong[0].object, archive);
    sound(&world, &other).await;
    let error = copied(&world, &world.session(&world.storage, Some(world.unlock())), &[]).await.unwrap_err();
    assert!(error.to_string().contains("same place"), "{error}");
}

/// Whatever call of the target fails, it is sound, and the next run finds what is there, also with the state of this machine lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_at_any_call_stays_sound_and_the_next_copy_ends() {
    let world = world().await;
    let counted = Faults::none();
    let first = Other::new(&world, "counted").await;
    copied(&world, &first.session(&first.storage.with_faults(&counted), false), &[]).await.unwrap();
    let total = counted.calls();
    assert!(total > 20, "{total}");
    for n in (0..total).step_by(4) {
        for (kind, forgets) in [(FaultKind::Refused, false), (FaultKind::AnswerLost, true), (FaultKind::UploadCut, n % 8 == 0)] {
            let way = format!("{kind:?} from {n} on, forgets: {forgets}");
            let name = format!("other-{n}-{kind:?}");
            let mut other = Other::new(&world, &name).await;
            let failing = other.storage.with_faults(&Faults::for_ever(kind, n));
            let ended = copied(&world, &other.session(&failing, false), &[]).await;
            sound(&world, &other).await;
            if forgets {
                other.state = world.root.path().join(format!("state-{n}"));
            }
            let report =
                copied(&world, &other.session(&other.storage, forgets), &[]).await.unwrap_or_else(|error| panic!("{way}: {error:?}"));
            assert!(report.wrong.is_empty() && (ended.is_err() || report.archives == 0), "{way}: {report:?} after {ended:?}");
            sound(&world, &other).await;
            let there = other.storage.list("archives").await.unwrap().len();
            assert_eq!(there, world.archives().len(), "{way}: no archive is stored twice");
            fs::remove_dir_all(world.root.path().join(&name)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_copies_with_two_keys_and_resumes_after_a_kill() {
    let world = World::new().await;
    for n in 0..40 {
        world.write(&format!("{n}"), &noise(n, 2_000_000));
        if n % 4 == 3 {
            world.backup().await;
        }
    }
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let work = sandbox.work();
    let (other, other_recipient) = generate();
    let write_key = |name: &str, secret: &SecretString| {
        let path = work.join(name);
        fs::write(&path, expose(secret)).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (key, other_key) = (write_key("key", &world.secret), write_key("other-key", &other));
    let (vault, target) = (world.root.path().join("vault"), work.join("target"));
    let (vault, target) = (vault.to_str().unwrap().to_owned(), target.to_str().unwrap().to_owned());
    let made = sandbox.run(["--repo", &target, "init", "-r", &other_recipient]).unwrap();
    assert_eq!(made.code, Some(0), "{made:?}");
    let line = ["--repo", &vault, "-i", &key, "copy", "--to", &target, "--to-identity", &other_key];
    let mut child = sandbox.command(line).env("TGVAULT_LIMIT_UPLOAD", "20M").spawn().unwrap();
    let archives = PathBuf::from(&target).join("archives");
    while crate::support::count(&archives, |name| name.ends_with(".age")) < 2 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait_with_output().unwrap();
    let done = sandbox.run(["--json"].into_iter().chain(line)).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    let last: serde_json::Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["snapshots"], &last["wrong"]), (&10.into(), &serde_json::json!([])));
    assert!(last["archives"].as_u64().unwrap() <= 8, "{last}");
    let checked = sandbox.run(["--repo", &target, "-i", &other_key, "verify", "--deep"]).unwrap();
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let to = work.join("restored");
    let restored = sandbox.run(["--repo", &target, "-i", &other_key, "restore", "latest", "--to", to.to_str().unwrap()]).unwrap();
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(tree(&to), tree(&world.source()));
    let refused = sandbox.run(["--repo", &vault, "-i", &key, "copy", "--mirror", "--to", &target]).unwrap();
    assert_eq!(refused.code, Some(2), "{refused:?}");
}
