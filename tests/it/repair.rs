//! `tgvault repair`, through the built program, and vaults of format 1 that go on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use tgvault::repository::format::names;
use tgvault::repository::format::root::RootRecipient;
use tgvault::repository::keys::Identity;
use tgvault::repository::trust::{self, Anchor};
use tgvault::storage::Storage;
use tgvault_test_support::sandbox::{Run, Sandbox};

use crate::support::options;

/// A copy of a vault of format 1, and machines that never were there.
struct Old {
    sandbox: Sandbox,
    identity: PathBuf,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            let _ = fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Old {
    fn new() -> Self {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format/v1-draft/good");
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        copy(&data.join("vault"), &sandbox.work().join("vault"));
        let identity = sandbox.work().join("identity");
        fs::copy(data.join("identity.txt"), &identity).unwrap();
        fs::create_dir(sandbox.work().join("source")).unwrap();
        fs::write(sandbox.work().join("source/file"), "content").unwrap();
        Self { sandbox, identity }
    }

    /// A run of the machine whose state is in `state`.
    fn run(&self, state: &str, key: bool, arguments: &[&str]) -> Run {
        let mut command = self.sandbox.command(["--repo", "vault", "--state-dir", state]);
        if key {
            command.arg("-i").arg(&self.identity);
        }
        command.args(arguments).output().unwrap().into()
    }

    fn ends(&self, state: &str, key: bool, arguments: &[&str], code: i32) -> Run {
        let run = self.run(state, key, arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        run
    }

    fn storage(&self) -> Storage {
        Storage::open(self.sandbox.work().join("vault").to_str().unwrap(), [], options()).unwrap()
    }

    async fn secrets(&self) -> Arc<Identity> {
        let text = SecretString::from(fs::read_to_string(&self.identity).unwrap());
        let storage = self.storage();
        let id = tgvault::repository::find(&storage).await.unwrap();
        tgvault::repository::keys::unlock(&storage, id, &tgvault::repository::keys::Unlock::IdentityFile(text)).await.unwrap()
    }

    /// Writes an object and its second copy, as no program would: over what is there.
    fn overwrite(&self, name: &str, bytes: &[u8]) {
        for name in [name.to_owned(), names::mirror(name)] {
            let path = self.sandbox.work().join("vault").join(name);
            let _ = fs::remove_file(&path);
            fs::write(path, bytes).unwrap();
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.sandbox.work().join("vault").join(name)).unwrap()
    }
}

#[test]
fn a_vault_of_format_1_takes_new_machines_and_is_sound() {
    let old = Old::new();
    for machine in ["one", "two"] {
        old.ends(machine, true, &["backup", "source", "--host", machine], 0);
        old.ends(machine, false, &["backup", "source", "--host", machine], 0);
    }
    old.ends("one", false, &["verify"], 0);
    old.ends("new", true, &["verify", "--deep"], 0);
    old.ends("new", true, &["restore", "latest", "--to", "restored"], 0);
    assert_eq!(fs::read(old.sandbox.work().join("restored/file")).unwrap(), b"content");
    // A program that knows only format 1 stops at the last number, and says why.
    let notice = String::from_utf8(old.read("root/2.json")).unwrap();
    assert!(notice.contains("needs a newer tgvault"), "{notice}");
    let statement = String::from_utf8(old.read("root/1.json")).unwrap();
    assert!(statement.contains("writers"));
}

/// Two machines had one number on a store that lets both have it: nobody could open the vault.
#[test]
fn a_vault_that_nobody_could_open_is_usable_again() {
    let old = Old::new();
    let other = String::from_utf8(old.read("root/1.json")).unwrap().replace("\"number\": 1", "\"number\": 2");
    old.overwrite("root/2.json", other.as_bytes());
    old.overwrite("root/2.minisig", &old.read("root/1.minisig"));
    let refused = old.ends("new", true, &["restore", "latest", "--to", "out"], 15);
    assert!(refused.stderr.contains("hint: ") && refused.stderr.contains("`tgvault repair`"), "{refused:?}");
    let before = (old.read("root/2.json"), old.read("root/2.minisig"));
    old.ends("new", false, &["repair"], 12);
    let repaired = old.ends("new", true, &["repair"], 0);
    assert!(repaired.stdout.contains("root/2.json") && repaired.stdout.contains("1 machine may write"), "{repaired:?}");
    assert_eq!(before, (old.read("root/2.json"), old.read("root/2.minisig")), "nothing is overwritten");
    let again = old.ends("new", true, &["repair"], 0);
    assert!(again.stdout.contains("nothing to repair"), "{again:?}");
    old.ends("new", true, &["verify", "--deep"], 0);
    old.ends("new", true, &["restore", "latest", "--to", "out"], 0);
    old.ends("new", true, &["backup", "source", "--host", "new"], 0);
    old.ends("new", false, &["verify"], 0);
}

/// Two key holders exchanged the recipient at the same time: nobody writes until one of them has said which holds.
#[tokio::test(flavor = "multi_thread")]
async fn two_recipients_at_once_stop_backups_until_they_are_one() {
    let old = Old::new();
    old.ends("one", true, &["backup", "source", "--host", "one"], 0);
    let (storage, identity) = (old.storage(), old.secrets().await);
    let anchor = Anchor::Last(identity.root_key.public().clone());
    let trust = trust::load(&storage, identity.repository(), &anchor).await.unwrap();
    for _ in 0..2 {
        let recipient = tgvault::crypt::keys::generate().1;
        trust::amend(&storage, &trust, &identity.root_key, trust.root.time, |root| root.recipients.push(RootRecipient::current(recipient)))
            .await
            .unwrap();
    }
    for (machine, key) in [("one", false), ("new", true)] {
        let stopped = old.ends(machine, key, &["backup", "source", "--host", machine], 1);
        assert!(stopped.stderr.contains("3 current recipients") && stopped.stderr.contains("`tgvault repair`"), "{stopped:?}");
    }
    old.ends("new", true, &["restore", "latest", "--to", "out"], 0);
    let repaired = old.ends("one", true, &["repair"], 0);
    assert_eq!(repaired.stdout.lines().filter(|line| line.contains("no longer encrypted for")).count(), 2, "{repaired:?}");
    old.ends("one", false, &["backup", "source", "--host", "one"], 0);
    old.ends("new", true, &["backup", "source", "--host", "new"], 0);
    old.ends("new", true, &["verify", "--deep"], 0);
}

/// The statement that named a machine is lost: with the key at hand the next backup says it again, and what it wrote is believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_statement_is_lost_says_it_again() {
    let old = Old::new();
    let before: Vec<String> = old.storage().list("root").await.unwrap().into_iter().map(|object| object.name).collect();
    old.ends("one", true, &["backup", "source", "--host", "one"], 0);
    for object in old.storage().list("root").await.unwrap() {
        if names::parse_statement(&object.name).is_some_and(|(_, sha256)| sha256.is_some()) && !before.contains(&object.name) {
            old.overwrite(&object.name, b"{}");
        }
    }
    // The machine itself has kept what it said; nobody else can read on.
    old.ends("new", true, &["verify"], 15);
    let repaired = old.ends("new", true, &["repair"], 0);
    assert!(repaired.stderr.contains("what a damaged statement alone said is lost"), "{repaired:?}");
    let refused = old.ends("one", false, &["backup", "source", "--host", "one"], 12);
    assert!(refused.stderr.contains("hint: "), "{refused:?}");
    old.ends("one", true, &["backup", "source", "--host", "one"], 0);
    old.ends("one", false, &["verify"], 0);
}
