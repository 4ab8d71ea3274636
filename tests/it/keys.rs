//! Keys that change, through the program: who can read the vault, and which machines may write to it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tgvault_test_support::sandbox::{Run, Sandbox};

const FIRST: &str = "seven purple otters juggle forgotten lanterns beside quartz zebras";
const SECOND: &str = "eleven brass kettles whistle under an abandoned copper bridge";

/// A vault with the passphrase [`FIRST`], and machines that share it.
pub struct Vault {
    pub machines: Vec<Sandbox>,
    shared: tempfile::TempDir,
}

impl Vault {
    pub fn new() -> Self {
        let mut vault = Self { machines: Vec::new(), shared: tempfile::tempdir().unwrap() };
        vault.write("first", FIRST);
        vault.write("second", SECOND);
        let machine = vault.machine();
        vault.done(machine, Some("first"), &["init"]);
        vault.write("source/letter.txt", "nobody but you may read this sentence");
        vault
    }

    /// A further machine; gives its number.
    pub fn machine(&mut self) -> usize {
        let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        sandbox.env([("TGVAULT_REPO", self.path("vault").to_string_lossy().into_owned())]);
        self.machines.push(sandbox);
        self.machines.len() - 1
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.shared.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs on a machine, with the passphrase in the file of this name.
    pub fn run(&self, machine: usize, passphrase: Option<&str>, arguments: &[&str]) -> Run {
        let file = passphrase.map(|name| self.path(name).to_string_lossy().into_owned());
        let mut all = Vec::new();
        if let Some(file) = &file {
            all.extend(["--passphrase-file", file]);
        }
        self.machines[machine].run(all.iter().chain(arguments)).unwrap()
    }

    /// As [`Self::run`]; must succeed.
    pub fn done(&self, machine: usize, passphrase: Option<&str>, arguments: &[&str]) -> Run {
        let run = self.run(machine, passphrase, arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}{}", run.stdout, run.stderr);
        run
    }

    pub fn backup(&self, machine: usize, passphrase: Option<&str>) -> Run {
        let source = self.path("source").to_string_lossy().into_owned();
        self.run(machine, passphrase, &["backup", "folder", &source])
    }

    /// What `key list --json` says, lines of this type.
    pub fn listed(&self, passphrase: &str, message_type: &str) -> Vec<Value> {
        let text = self.done(0, Some(passphrase), &["--json", "key", "list"]).stdout;
        text.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|line: &Value| line["message_type"] == message_type).collect()
    }
}

/// All files below a folder.
pub fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything(&entry.path()));
        } else {
            found.push((entry.path(), fs::read(entry.path()).unwrap()));
        }
    }
    found
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_changed_passphrase_opens_the_vault_and_the_old_one_does_not() {
    let vault = Vault::new();
    assert_eq!(vault.backup(0, None).code, Some(0));
    let slot = fs::read_dir(vault.path("vault/keys")).unwrap().next().unwrap().unwrap();
    let (name, old_slot) = (slot.file_name().into_string().unwrap(), fs::read(slot.path()).unwrap());
    let second = vault.path("second").to_string_lossy().into_owned();
    vault.done(0, Some("first"), &["key", "passwd", "--new-passphrase-file", &second]);
    vault.done(0, Some("second"), &["key", "test"]);
    assert_eq!(vault.run(0, Some("first"), &["snapshots"]).code, Some(12));
    assert_eq!(vault.listed("second", "key").len(), 1);
    vault.done(0, Some("second"), &["verify"]);
    // A store that shows the removed slot again does not give the old passphrase its power back.
    for folder in ["vault/keys", "vault/mirror/keys"] {
        fs::write(vault.path(folder).join(&name), &old_slot).unwrap();
    }
    let refused = vault.run(0, Some("first"), &["snapshots"]);
    assert_eq!(refused.code, Some(12), "{}", refused.stderr);
    assert!(refused.stderr.contains("was removed from the vault"), "{}", refused.stderr);
    vault.done(0, Some("second"), &["snapshots"]);
}

#[test]
fn a_recipient_is_added_and_removed_and_the_last_key_stays() {
    let vault = Vault::new();
    let (secret, recipient) = tgvault::crypt::keys::generate();
    vault.write("identity", &format!("{}\n", tgvault::crypt::keys::expose(&secret)));
    let identity = vault.path("identity").to_string_lossy().into_owned();
    assert_eq!(vault.run(0, None, &["-i", &identity, "snapshots"]).code, Some(12));
    vault.done(0, Some("first"), &["key", "add", "-r", &recipient]);
    vault.done(0, None, &["-i", &identity, "key", "test"]);
    // Twice is not two keys.
    vault.done(0, Some("first"), &["key", "add", "-r", &recipient]);
    let keys = vault.listed("first", "key");
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.iter().any(|key| key["recipient"] == recipient.as_str()) && keys.iter().any(|key| key["given"] == true), "{keys:?}");
    vault.done(0, None, &["verify"]);

    let passphrase = keys.iter().find(|key| key["kind"] == "passphrase").unwrap()["id"].as_str().unwrap().to_owned();
    vault.done(0, None, &["-i", &identity, "key", "remove", &passphrase]);
    assert_eq!(vault.run(0, Some("first"), &["snapshots"]).code, Some(12));
    let last = vault.run(0, None, &["-i", &identity, "key", "remove", &recipient]);
    assert_eq!(last.code, Some(2), "{}", last.stderr);
    assert!(last.stderr.contains("the only one that works"), "{}", last.stderr);
    vault.done(0, None, &["-i", &identity, "key", "test"]);
    assert_eq!(vault.run(0, None, &["-i", &identity, "key", "remove", "ffffffffffffffffffffffffffffffff"]).code, Some(2));
}

#[test]
fn a_damaged_slot_does_not_count_as_the_one_that_is_left() {
    let vault = Vault::new();
    let second = vault.path("second").to_string_lossy().into_owned();
    vault.done(0, Some("first"), &["key", "add", "--new-passphrase-file", &second]);
    let keys = vault.listed("first", "key");
    let other = keys.iter().find(|key| key["given"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    let own = keys.iter().find(|key| key["given"] == true).unwrap()["id"].as_str().unwrap().to_owned();
    for folder in ["vault/keys", "vault/mirror/keys"] {
        fs::write(vault.path(folder).join(format!("{other}.age")), b"nothing of use").unwrap();
    }
    let listed = vault.run(0, Some("first"), &["key", "list"]);
    assert_eq!(listed.code, Some(15), "{}", listed.stdout);
    assert!(listed.stdout.contains("missing or damaged"), "{}", listed.stdout);
    assert_eq!(vault.run(0, Some("first"), &["key", "remove", &own]).code, Some(2));
    vault.done(0, Some("first"), &["key", "remove", &other]);
    assert_eq!(vault.listed("first", "key").len(), 1);
}

#[test]
fn a_generated_passphrase_is_printed_on_the_sheet() {
    let vault = Vault::new();
    let sheet = vault.path("sheet.txt").to_string_lossy().into_owned();
    vault.done(0, Some("first"), &["key", "passwd", "--generate-passphrase", "--sheet", &sheet]);
    let text = fs::read_to_string(&sheet).unwrap();
    let mut words: Vec<(u32, &str)> = Vec::new();
    for line in text.lines().skip_while(|line| !line.trim_start().starts_with("passphrase")).take(5) {
        let tokens: Vec<&str> = line.split_whitespace().filter(|word| *word != "passphrase").collect();
        words.extend(tokens.chunks(2).map(|pair| (pair[0].parse::<u32>().unwrap(), pair[1])));
    }
    words.sort_unstable();
    assert_eq!(words.len(), 10, "{text}");
    vault.write("third", &words.iter().map(|(_, word)| *word).collect::<Vec<_>>().join(" "));
    vault.done(0, Some("third"), &["key", "test"]);
    assert_eq!(vault.run(0, Some("first"), &["key", "test"]).code, Some(12));
    let again = vault.done(0, Some("third"), &["recovery-sheet"]).stdout;
    assert!(again.contains("the one you chose (not printed)") && again.contains("root key"), "{again}");
}

#[test]
fn a_writer_of_a_file_backs_up_and_can_read_nothing() {
    let mut vault = Vault::new();
    assert_eq!(vault.backup(0, None).code, Some(0));
    let file = vault.path("writer.toml").to_string_lossy().into_owned();
    vault.done(0, Some("first"), &["key", "export-writer", "--to", &file]);
    let other = vault.machine();
    assert_eq!(vault.backup(other, None).code, Some(12), "not authorised yet");
    vault.done(other, None, &["key", "import-writer", &file]);
    vault.write("source/second.txt", "this one is secret as well");
    let first = vault.backup(other, None);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    // Incremental, from what this machine keeps.
    let again = vault.machines[other].run(["--json", "backup", "folder", &vault.path("source").to_string_lossy()]).unwrap();
    let summary: Value = serde_json::from_str(again.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((again.code, &summary["new_entries"]), (Some(0), &Value::from(0)), "{}", again.stdout);
    vault.done(0, None, &["verify"]);
    assert_eq!(vault.listed("first", "writer").len(), 2);

    // Nothing that this machine holds reads what is stored, nor does the file that made it a writer: not as it lies there, and not
    // opened with the machine's own key.
    fs::rename(vault.path("writer.toml"), vault.machines[other].home().join("writer.toml")).unwrap();
    let held = everything(vault.machines[other].folder());
    let machine_key = held.iter().find(|(path, _)| path.ends_with("machine.key")).unwrap();
    let own = tgvault::crypt::keys::Identities::parse(std::str::from_utf8(&machine_key.1).unwrap()).unwrap();
    let mut opened = 0;
    for (path, bytes) in &held {
        let plain = tgvault::crypt::blob::open(bytes, &own, 1 << 24);
        opened += usize::from(plain.is_ok());
        let plain = plain.map(|plain| plain.to_vec()).unwrap_or_default();
        for secret in ["AGE-SECRET-KEY", "root secret key", "secret as well", "nobody but you", FIRST] {
            let is_there = holds(bytes, secret) || holds(&plain, secret);
            assert!(!is_there || (path == &machine_key.0 && secret == "AGE-SECRET-KEY"), "{secret} in {}", path.display());
        }
    }
    assert!(opened > 2, "nothing was opened");
    let own = machine_key.0.to_string_lossy().into_owned();
    assert_eq!(vault.run(other, None, &["-i", &own, "snapshots"]).code, Some(12));
    assert_eq!(vault.run(other, None, &["snapshots"]).code, Some(12));
}

#[test]
fn a_writer_file_does_not_fit_another_vault() {
    let mut vault = Vault::new();
    let file = vault.path("writer.toml").to_string_lossy().into_owned();
    vault.done(0, Some("first"), &["key", "export-writer", "--to", &file]);
    // Somebody puts a vault of their own in the place.
    fs::rename(vault.path("vault"), vault.path("true-vault")).unwrap();
    let thief = vault.machine();
    vault.done(thief, Some("second"), &["init"]);
    let other = vault.machine();
    let refused = vault.run(other, None, &["key", "import-writer", &file]);
    assert_eq!(refused.code, Some(15), "{}", refused.stderr);
    assert_eq!(vault.backup(other, None).code, Some(12));
    let broken = vault.path("broken.toml").to_string_lossy().into_owned();
    vault.write("broken.toml", "version = 1\n");
    assert_eq!(vault.run(other, None, &["key", "import-writer", &broken]).code, Some(2));
}

#[test]
fn a_revoked_machine_can_no_longer_write_and_what_it_wrote_before_is_kept() {
    let mut vault = Vault::new();
    assert_eq!(vault.backup(0, None).code, Some(0));
    let stolen = vault.machine();
    assert_eq!(vault.backup(stolen, Some("first")).code, Some(0));
    vault.write("source/more.txt", "more");
    assert_eq!(vault.backup(stolen, None).code, Some(0));
    let before = tempfile::tempdir().unwrap();
    // The thief keeps the vault as it was, to write into it what the others would not see.
    assert!(std::process::Command::new("cp").arg("-a").arg(vault.path("vault")).arg(before.path()).status().unwrap().success());

    let writers = vault.listed("first", "writer");
    let id = writers.iter().find(|writer| writer["this_machine"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    vault.done(0, Some("first"), &["key", "revoke", &id]);
    let snapshots = vault.done(0, Some("first"), &["--json", "snapshots"]).stdout;
    assert_eq!(snapshots.lines().count(), 3, "{snapshots}");
    vault.done(0, None, &["verify"]);

    // A snapshot that it signs afterwards is not accepted.
    let copy = before.path().join("vault").to_string_lossy().into_owned();
    vault.write("source/forged.txt", "forged");
    let source = vault.path("source").to_string_lossy().into_owned();
    vault.done(stolen, None, &["--repo", &copy, "backup", "folder", &source]);
    for folder in ["archives", "snapshots", "mirror/snapshots"] {
        let from = before.path().join("vault").join(folder);
        assert!(
            std::process::Command::new("cp")
                .args(["-a", "-n", "-T"])
                .arg(from)
                .arg(vault.path("vault").join(folder))
                .status()
                .unwrap()
                .success()
        );
    }
    let listed = vault.run(0, Some("first"), &["--json", "snapshots"]);
    assert_eq!(listed.code, Some(15), "{}{}", listed.stdout, listed.stderr);
    assert_eq!(listed.stdout.lines().filter(|line| line.contains("\"snapshot\"")).count(), 3, "{}", listed.stdout);
    assert_eq!(vault.run(0, None, &["verify"]).code, Some(15));
    let refused = vault.backup(stolen, None);
    assert_eq!(refused.code, Some(12), "{}", refused.stderr);
    assert!(refused.stderr.contains("was revoked"), "{}", refused.stderr);
}
