//! A vault in which a later version has been at work: a key slot, a record and keys of statements that this program does not know. It
//! uses what it knows, and carries the rest along.
//!
//! The vault is `tests/data/format/v3-later`, of this test's own making (`cargo test --test it later_kinds::write -- --ignored`), and never
//! changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tgvault::crypt::keys::expose;
use tgvault::repository::format::names;
use tgvault::repository::format::root::{Root, Slot};
use tgvault::repository::trust::{self, Anchor};
use tgvault_test_support::sandbox::{Run, Sandbox};

use crate::golden::copy_folder;
use crate::support::World;

/// The slot of a later kind.
const SLOT: &str = "5105105105105105105105105105105a";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format/v3-later")
}

struct Later(Sandbox);

impl Later {
    fn new() -> Self {
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        copy_folder(&data().join("vault"), &sandbox.work().join("vault"));
        fs::copy(data().join("identity.txt"), sandbox.work().join("identity")).unwrap();
        fs::set_permissions(sandbox.work().join("identity"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(sandbox.work().join("source")).unwrap();
        fs::write(sandbox.work().join("source/b"), "more").unwrap();
        Self(sandbox)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.0.run(["--repo", "vault", "-i", "identity"].iter().chain(arguments)).unwrap()
    }

    fn done(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        run
    }

    /// The statement with the highest number.
    fn newest(&self) -> Value {
        let found = fs::read_dir(self.0.work().join("vault/root")).unwrap().map(|entry| entry.unwrap().path());
        let statements = found.filter(|path| path.extension().is_some_and(|end| end == "json"));
        let read = statements.map(|path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap());
        read.max_by_key(|statement| statement["number"].as_u64()).unwrap()
    }
}

#[test]
fn what_a_later_version_added_is_passed_over_and_carried_along() {
    let later = Later::new();
    let before = later.newest();
    assert!(before["policy"].is_object() && before["writers"][0]["note"].is_string(), "{before}");

    // Every command reads.
    let listed = later.done(&["--json", "key", "list"]).stdout;
    let kinds: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(kinds.iter().any(|key| key["id"] == SLOT && key["kind"] == "unknown" && key["sound"] == true), "{listed}");
    assert!(later.done(&["key", "list"]).stdout.contains("unknown"));
    for arguments in [&["key", "test"][..], &["snapshots"], &["verify", "--deep"], &["recovery-sheet"], &["doctor"], &["stats"]] {
        later.done(arguments);
    }
    later.done(&["restore", "latest", "--to", "out"]);
    assert_eq!(fs::read_to_string(later.0.work().join("out/a")).unwrap(), "content");

    // What this program adds stands beside what it does not know.
    later.done(&["backup", "source", "--host", "new"]);
    let (_, recipient) = tgvault::crypt::keys::generate();
    later.done(&["key", "add", "-r", &recipient]);
    let after = later.newest();
    assert!(after["number"].as_u64() > before["number"].as_u64());
    assert_eq!(after["policy"], before["policy"]);
    assert!(after["slots"].as_array().unwrap().contains(&before["slots"][1]), "{after}");
    let note = |statement: &Value| statement["writers"].as_array().unwrap().iter().find_map(|writer| writer.get("note").cloned());
    assert_eq!(note(&after), note(&before));

    // It cannot encrypt the vault's identity again for what it does not know, and does not lose that key silently.
    let refused = later.run(&["key", "rotate"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains(SLOT), "{refused:?}");
    later.done(&["forget", "--keep-last", "1"]);
    later.done(&["snapshots"]);
    later.done(&["key", "remove", SLOT]);
    later.done(&["key", "rotate"]);
    later.done(&["verify", "--deep"]);
    assert_eq!(later.newest()["policy"], before["policy"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes tests/data/format/v3-later: by hand, once"]
async fn write_the_vault_of_a_later_version() {
    assert!(!data().exists(), "it is written, and never changes");
    let world = World::new().await;
    world.write("a", b"content");
    world.backup().await;
    let opened = world.session(&world.storage, Some(world.unlock())).open().await.unwrap();
    let (repository, identity) = (&opened.repository, opened.identity().unwrap());

    // An age file as any, but for a stanza that nobody here can read.
    let sealed = b"age-encryption.org/v1\n-> later 1 AAAA\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- \
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789abcdef0123456789abcdef"
        .to_vec();
    let slot =
        json!({"id": SLOT, "kind": {"later": {"public": "age1later1…"}}, "sha256": tgvault::crypt::digest::sha256(&sealed), "since": 4});
    let slot: Slot = serde_json::from_value(slot).unwrap();
    for name in [names::mirror(&names::key_slot(slot.id)), names::key_slot(slot.id)] {
        world.storage.put_new(&name, sealed.clone().into()).await.unwrap();
    }
    let trust = trust::load(&world.storage, repository.id, &Anchor::Last(identity.root_key.public().clone())).await.unwrap();
    let change = |root: &mut Root| {
        root.slots.push(slot);
        let mut value = serde_json::to_value(&*root).unwrap();
        value["policy"] = json!({"signers": 2, "of": ["one", "two"]});
        value["writers"][0]["note"] = json!("the laptop");
        *root = serde_json::from_value(value).unwrap();
    };
    trust::amend(&world.storage, &trust, &identity.root_key, trust.root.time, change).await.unwrap();

    let time = jiff::Timestamp::now();
    let stem = names::snapshot_stem(time, tgvault::repository::Machine::default().id().unwrap());
    let says = json!([{"kind": "pardoned", "chain": repository.id, "numbers": [1, 2]}]);
    let record = json!({"format": "3.0", "repository": repository.id, "time": time, "says": says, "because": "a later version says so"});
    let (name, text) = (names::record(&stem), serde_json::to_string_pretty(&record).unwrap());
    let signature = identity.root_key.sign(text.as_bytes(), &format!("tgvault repository={} record={stem}", repository.id)).unwrap();
    for (name, bytes) in [(names::signature(&name), signature), (name, text)] {
        world.storage.put_new(&names::mirror(&name), bytes.clone().into()).await.unwrap();
        world.storage.put_new(&name, bytes.into()).await.unwrap();
    }
    copy_folder(&world.root.path().join("vault"), &data().join("vault"));
    fs::write(data().join("identity.txt"), format!("# a key for tests, which opens nothing else\n{}\n", expose(&world.secret))).unwrap();
}
