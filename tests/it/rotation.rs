//! `key rotate` through the program: what is stored from then on is for a new identity, and nothing that was readable is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tgvault::crypt::header;
use tgvault::crypt::keys::{Identities, expose, generate};
use tgvault::operations::OperationError;
use tgvault::repository::RepositoryError;
use tgvault::repository::trust::{self, Anchor};

use crate::keys::{Vault, everything};
use crate::support::World;

/// The vault's encrypted objects but its key slots.
fn sealed(vault: &Vault) -> BTreeSet<PathBuf> {
    let all = ["archives", "snapshots"].into_iter().flat_map(|folder| everything(&vault.path("vault").join(folder)));
    all.map(|(path, _)| path).filter(|path| path.extension().is_some_and(|ending| ending == "age")).collect()
}

fn opens(identities: &Identities, object: &Path) -> bool {
    header::open(&fs::read(object).unwrap(), identities).is_ok()
}

/// A recipient of the vault, with its identity in a file; gives the file's path.
fn person(vault: &Vault, name: &str) -> (String, String) {
    let (secret, recipient) = generate();
    vault.write(name, &format!("{}\n", expose(&secret)));
    (vault.path(name).to_string_lossy().into_owned(), recipient)
}

/// The vault's own identity file, as somebody copies it who opens a slot with `key`.
fn copied(vault: &Vault, key: &str) -> String {
    let key = Identities::parse(&fs::read_to_string(key).unwrap()).unwrap();
    let slots = everything(&vault.path("vault/keys"));
    let mut opened = slots.iter().filter_map(|(_, bytes)| tgvault::crypt::blob::open(bytes, &key, 1 << 16).ok());
    String::from_utf8(opened.next().expect("no slot opens").to_vec()).unwrap()
}

#[test]
fn what_is_stored_after_a_rotation_is_for_the_new_identity_and_all_keys_read_everything() {
    let mut vault = Vault::new();
    let (mara, mara_recipient) = person(&vault, "mara");
    let (leaver, leaver_recipient) = person(&vault, "leaver");
    let second = vault.path("second").to_string_lossy().into_owned();
    vault.done(0, Some("first"), &["key", "add", "-r", &mara_recipient, "-r", &leaver_recipient]);
    // A passphrase costs a second each time: the rest goes by identity, where it can.
    let by_mara = |vault: &Vault, arguments: &[&str]| {
        vault.done(0, None, &["-i", &mara].into_iter().chain(arguments.iter().copied()).collect::<Vec<_>>())
    };
    by_mara(&vault, &["key", "add", "--new-passphrase-file", &second]);
    let (blind, late) = (vault.machine(), vault.machine());
    for (machine, file) in [(blind, "blind.toml"), (late, "late.toml")] {
        let file = vault.path(file).to_string_lossy().into_owned();
        by_mara(&vault, &["key", "export-writer", "--to", &file]);
        if machine == blind {
            vault.done(machine, None, &["key", "import-writer", &file]);
        }
    }
    assert_eq!((vault.backup(0, None).code, vault.backup(blind, None).code), (Some(0), Some(0)));
    let (before, old_slots) = (sealed(&vault), everything(&vault.path("vault/keys")));
    let leaked = copied(&vault, &leaver);
    let leaked_keys = Identities::parse(&leaked).unwrap();
    assert!(before.iter().all(|object| opens(&leaked_keys, object)));

    // A passphrase that nobody gave cannot be used again: that is said, and nothing has changed.
    let refused = vault.run(0, Some("first"), &["key", "rotate", "--remove", &leaver_recipient]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("cannot be encrypted again") && refused.stderr.contains("--remove ID"), "{}", refused.stderr);
    assert_eq!(everything(&vault.path("vault/keys")), old_slots);
    let slots_of_passphrases = |vault: &Vault| -> Vec<String> {
        let listed = by_mara(vault, &["--json", "key", "list"]).stdout;
        let lines = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["kind"] == "passphrase").map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    };
    let given = vault.listed("first", "key").iter().find(|key| key["given"] == true).unwrap()["id"].as_str().unwrap().to_owned();
    let other = slots_of_passphrases(&vault).into_iter().find(|id| *id != given).unwrap();
    let rotated = vault.done(0, Some("first"), &["key", "rotate", "--remove", &leaver_recipient, "--remove", &other]);
    assert!(rotated.stderr.contains("1 earlier identity can still be read"), "{}{}", rotated.stdout, rotated.stderr);
    let listed = by_mara(&vault, &["--json", "key", "list"]).stdout;
    let count = |text: &str| listed.matches(text).count();
    assert_eq!((count("\"key\""), count("\"current\":true"), count("\"current\":false")), (2, 1, 1), "{listed}");

    // The write-only machines know the root key, and take the new recipient from what it signed.
    vault.done(late, None, &["key", "import-writer", &vault.path("late.toml").to_string_lossy()]);
    vault.write("source/later.txt", "written after somebody left");
    for machine in [0, blind, late] {
        let backup = vault.backup(machine, None);
        assert_eq!(backup.code, Some(0), "{machine}: {}", backup.stderr);
    }
    let after: BTreeSet<PathBuf> = sealed(&vault).difference(&before).cloned().collect();
    assert!(after.len() >= 6, "{after:?}");
    let current = Identities::parse(&copied(&vault, &mara)).unwrap();
    for object in &after {
        assert!(!opens(&leaked_keys, object) && opens(&current, object), "{}", object.display());
    }
    assert!(before.iter().all(|object| opens(&current, object)));

    // Who stays reads all of it; who left and who has the old identity do not.
    let listed = by_mara(&vault, &["--json", "snapshots"]).stdout;
    let lines = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let snapshots: Vec<Value> = lines.filter(|line| line["message_type"] == "snapshot").collect();
    assert_eq!(snapshots.len(), 5, "{listed}");
    for id in snapshots.iter().map(|snapshot| snapshot["id"].as_str().unwrap()) {
        by_mara(&vault, &["restore", id, "--to", &vault.path(&format!("out-{id}")).to_string_lossy()]);
    }
    by_mara(&vault, &["verify", "--deep"]);
    vault.write("leaked", &leaked);
    let leaked = vault.path("leaked").to_string_lossy().into_owned();
    assert_eq!(vault.run(0, None, &["-i", &leaver, "snapshots"]).code, Some(12));
    let refused = vault.run(0, None, &["-i", &leaked, "snapshots"]);
    assert_eq!(refused.code, Some(12), "{}", refused.stderr);
    assert!(refused.stderr.contains("before the vault's keys were rotated") && refused.stderr.contains("hint:"), "{}", refused.stderr);

    // A store that shows the old slots again, or lets nobody delete: the same key opens both, and the new one counts.
    for (path, bytes) in &old_slots {
        fs::write(path, bytes).unwrap();
    }
    by_mara(&vault, &["key", "test"]);
    vault.done(0, Some("first"), &["restore", "latest", "--to", &vault.path("out-again").to_string_lossy()]);
    assert_eq!(vault.run(0, None, &["-i", &leaver, "snapshots"]).code, Some(12));
    // Once more, by another key: three identities.
    let first = slots_of_passphrases(&vault).remove(0);
    by_mara(&vault, &["key", "rotate", "--remove", &first]);
    assert_eq!(vault.backup(blind, None).code, Some(0));
    vault.done(0, None, &["-i", &mara, "verify", "--deep"]);
    let last = vault.run(0, None, &["-i", &mara, "key", "rotate", "--remove", &mara_recipient]);
    assert_eq!(last.code, Some(2), "{}", last.stderr);
}

/// The way after a leak: rotate, then copy into a new vault. Nothing that was copied out of the old one opens anything in it.
#[test]
fn after_a_leak_a_copy_in_a_new_vault_is_closed_to_the_old_identity() {
    let vault = Vault::new();
    let (mara, recipient) = person(&vault, "mara");
    vault.done(0, Some("first"), &["key", "add", "-r", &recipient]);
    assert_eq!(vault.backup(0, None).code, Some(0));
    let leaked = Identities::parse(&copied(&vault, &mara)).unwrap();
    // The key without a recipient is the passphrase.
    let listed = vault.done(0, None, &["-i", &mara, "--json", "key", "list"]).stdout;
    let lines = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let passphrase = lines.filter(|line| line["kind"] == "passphrase").map(|line| line["id"].as_str().unwrap().to_owned()).next().unwrap();
    vault.done(0, None, &["-i", &mara, "key", "rotate", "--remove", &passphrase]);
    vault.write("source/later.txt", "after the leak");
    assert_eq!(vault.backup(0, None).code, Some(0));
    let (new_key, new_recipient) = person(&vault, "new-key");
    let new = vault.path("new").to_string_lossy().into_owned();
    vault.done(0, None, &["--repo", &new, "init", "-r", &new_recipient]);
    vault.done(0, None, &["-i", &mara, "copy", "--to", &new, "--to-identity", &new_key]);
    vault.done(0, None, &["--repo", &new, "-i", &new_key, "verify", "--deep"]);
    let to = vault.path("out");
    vault.done(0, None, &["--repo", &new, "-i", &new_key, "restore", "latest", "--to", &to.to_string_lossy()]);
    assert_eq!(fs::read_to_string(to.join("later.txt")).unwrap(), "after the leak");
    let mut checked = 0;
    for (path, bytes) in everything(&vault.path("new")).into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "age")) {
        assert!(header::open(&bytes, &leaked).is_err(), "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 4, "{checked}");
}

/// A machine takes another recipient only from one that follows what it has pinned, and only while there is exactly one.
#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_that_nothing_leads_to_is_not_accepted() {
    let world = World::in_memory().await;
    world.write("a", b"content");
    world.backup().await;
    let opened = world.session(&world.storage, Some(world.unlock())).open().await.unwrap();
    let identity = opened.identity().unwrap();
    let trust = trust::load(&world.storage, opened.repository.id, &Anchor::Last(identity.root_key.public().clone())).await.unwrap();
    let stranger = generate().1;
    let named =
        trust::amend(&world.storage, &trust, &identity.root_key, trust.root.time, |root| root.exchange_recipient(&stranger)).await.unwrap();
    // This one follows: the machine says so by encrypting for it, and its holder cannot read on.
    world.write("b", b"more");
    world.backup().await;
    let reads = world.session(&world.storage, Some(world.unlock())).open().await.err();
    assert!(matches!(reads, Some(OperationError::Repository(RepositoryError::Rotated))), "{reads:?}");
    // This one forgets whom the machine has encrypted for.
    trust::amend(&world.storage, &named, &identity.root_key, trust.root.time, |root| {
        root.recipients = vec![tgvault::repository::format::root::RootRecipient::current(generate().1)];
    })
    .await
    .unwrap();
    let refused = world.backup_to(&world.storage).await.err();
    assert!(
        matches!(&refused, Some(OperationError::Repository(RepositoryError::Trust(why))) if why.contains("no longer names")),
        "{refused:?}"
    );
}
