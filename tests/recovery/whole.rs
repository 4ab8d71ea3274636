//! Vaults as backups make them: whole, damaged, forged; what a key opens; and the chats in them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secrecy::SecretString;
use serde_json::{Value, json};
use tgvault::crypt::keys::expose;
use tgvault::operations::Session;
use tgvault::operations::init::{InitOptions, init};
use tgvault::state::StateFolder;

use crate::support::{self, noise};
use crate::vault::{Vault, block, look, run, words};

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_comes_back_whole() {
    needs_tools!();
    let vault = Vault::new().await;
    let (world, source) = (&vault.world, vault.world.source());
    world.write("chats/result.json", &b"{\"id\": 1, \"text\": \"words\"},\n".repeat(200_000));
    for n in 0..12 {
        world.write(&format!("photos/photo_{n}.jpg"), &noise(n, 40_000 + 300_000 * n as usize));
    }
    world.write("-rf", b"dashes");
    world.write("new\nline/end\n", b"breaks");
    fs::hard_link(source.join("-rf"), source.join("photos/hard")).unwrap();
    symlink("../-rf", source.join("photos/soft")).unwrap();
    fs::create_dir(source.join("nothing")).unwrap();
    fs::set_permissions(source.join("nothing"), fs::Permissions::from_mode(0o555)).unwrap();
    world.backup().await;
    assert_eq!(vault.both().await, look(&source));

    fs::rename(source.join("photos"), source.join("pictures")).unwrap();
    fs::remove_file(source.join("pictures/photo_1.jpg")).unwrap();
    fs::set_permissions(source.join("-rf"), fs::Permissions::from_mode(0o4751)).unwrap();
    world.write("photos", b"a file where a folder was");
    world.backup().await;
    assert_eq!(vault.both().await, look(&source));
    let verified = vault.verify();
    assert!(verified.status.success(), "{}", words(&verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn second_copies_stand_in_and_what_is_damaged_is_told() {
    needs_tools!();
    let vault = Vault::new().await;
    vault.world.write("first.jpg", &noise(1, 300_000));
    vault.world.backup().await;
    vault.world.write("second.jpg", &noise(2, 300_000));
    vault.world.backup().await;
    let whole = look(&vault.world.source());
    for folder in ["keys", "root", "snapshots"] {
        for object in vault.stored(folder).into_iter().filter(|path| !path.to_string_lossy().ends_with(".json.zst.age")) {
            fs::write(object, "damaged").unwrap();
        }
    }
    assert_eq!(look(&vault.recover().0), whole);

    let archives: Vec<PathBuf> = vault.world.archives().iter().map(|name| vault.vault.join(name)).collect();
    assert_eq!(archives.len(), 2);
    let mut bytes = fs::read(&archives[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archives[0], bytes).unwrap();
    let (to, output) = vault.recover();
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("is missing or damaged"), "{}", words(&output));
    let rest = look(&to);
    assert_eq!(rest.len(), 1);
    assert!(rest.iter().all(|(path, said)| whole.get(path) == Some(said)));
}

/// After a rotation the identity file has two keys, which `age` reads as it is; and where the old key slot could not be deleted, the page
/// takes the one that opens more.
#[tokio::test(flavor = "multi_thread")]
async fn a_vault_of_several_identities_comes_back() {
    needs_tools!();
    let vault = Vault::new().await;
    vault.world.write("first.jpg", &noise(1, 300_000));
    vault.world.backup().await;
    let old: Vec<(PathBuf, Vec<u8>)> = vault.stored("keys").into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let rotated =
        tgvault::operations::keys::rotate(&vault.world.session(&vault.world.storage, Some(vault.world.unlock())), &[]).await.unwrap();
    assert_eq!((rotated.former, rotated.renewed.len(), rotated.missed.len()), (1, 1, 0));
    vault.world.write("second.jpg", &noise(2, 300_000));
    vault.world.backup().await;
    for (path, bytes) in old {
        fs::write(path, bytes).unwrap();
    }
    let vault = Vault::of(vault.world);
    let keys = fs::read_to_string(&vault.identity).unwrap().lines().filter(|line| line.starts_with("AGE-SECRET-KEY-")).count();
    assert_eq!((keys, vault.stems().len()), (2, 2));
    assert_eq!(vault.both().await, look(&vault.world.source()));
    assert!(vault.verify().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_pass_a_snapshot_off_as_a_writers() {
    needs_tools!();
    let vault = Vault::new().await;
    vault.world.write("a", b"content");
    vault.world.backup().await;
    assert!(vault.verify().status.success());
    let sums = vault.stored("snapshots").into_iter().rfind(|path| path.extension() == Some("sums".as_ref())).unwrap();
    let forged = fs::read_to_string(&sums).unwrap() + "# 1 bytes\n";
    let copy = vault.vault.join("mirror").join(sums.strip_prefix(&vault.vault).unwrap());
    fs::write(&sums, &forged).unwrap();
    fs::write(copy, &forged).unwrap();
    let (to, output) = vault.recover();
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("no writer has signed"), "{}", words(&output));
    assert!(look(&to).is_empty());
    let verified = vault.verify();
    assert!(!verified.status.success() && words(&verified).contains("its signature is missing or damaged"), "{}", words(&verified));

    let foreign = Vault::new().await;
    let verified = run(&vault.world, "verify", &[vault.vault.as_os_str(), foreign.world.report.root_key.as_str().as_ref()]);
    assert!(!verified.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_one_changed_byte() {
    needs_tools!();
    let vault = Vault::new().await;
    vault.world.write("a", &noise(1, 100_000));
    vault.world.backup().await;
    let archive = vault.vault.join(&vault.world.archives()[0]);
    let mut bytes = fs::read(&archive).unwrap();
    bytes[50_000] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let verified = vault.verify();
    assert!(!verified.status.success() && words(&verified).contains("FAILED"), "{}", words(&verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_opens_its_slot() {
    needs_tools!();
    let root = tempfile::tempdir().unwrap();
    let vault = root.path().join("vault");
    let storage = tgvault::storage::Storage::open(vault.to_str().unwrap(), [], support::options()).unwrap();
    let state = StateFolder::open(root.path().join("state"), None).unwrap();
    let session = Session::new(storage, state);
    let passphrase = SecretString::from("sound horse battery staple");
    init(&session, &InitOptions { passphrase: Some(passphrase.clone()), recipients: Vec::new() }).await.unwrap();
    let slot = fs::read_dir(vault.join("keys")).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let line = block("sh", "passphrase").replace("SLOT.age", &slot);
    // age asks at a terminal: `script` makes one and types what it reads.
    let mut asked = Command::new("timeout")
        .args(["60", "script", "-qec", line.trim(), "/dev/null"])
        .current_dir(root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = asked.stdin.take().unwrap();
    std::io::Write::write_all(&mut typed, format!("{}\n", expose(&passphrase)).as_bytes()).unwrap();
    let output = asked.wait_with_output().unwrap();
    drop(typed);
    let identity = fs::read_to_string(root.path().join("identity.txt")).unwrap_or_else(|_| panic!("{}", words(&output)));
    let mode = fs::metadata(root.path().join("identity.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others can read the identity");
    assert!(identity.contains("AGE-SECRET-KEY-1") && identity.contains("# root secret key: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_can_be_read() {
    needs_tools!();
    let vault = Vault::new().await;
    let root = vault.world.root.path();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample-export");
    let mut taken_in = Command::new(env!("CARGO_BIN_EXE_tgvault"));
    taken_in.env_clear().env("HOME", root).env("TZ", "UTC").arg("--repo").arg(&vault.vault).arg("--state-dir").arg(root.join("state"));
    let output = taken_in.args(["backup", "desktop-export"]).arg(&sample).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let (to, output) = vault.recover();
    assert!(output.status.success(), "{}", words(&output));
    let export: Value = serde_json::from_slice(&fs::read(sample.join("result.json")).unwrap()).unwrap();
    let mut read = 0;
    for chat in export["chats"]["list"].as_array().unwrap() {
        let described = |peer: &&PathBuf| {
            let info: Value = serde_json::from_slice(&fs::read(peer.join("chat.json")).unwrap()).unwrap();
            info["peer"].as_str().unwrap().trim_start_matches(char::is_alphabetic).parse().ok() == chat["id"].as_i64()
        };
        let folders: Vec<PathBuf> = fs::read_dir(to.join("chats")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let output = run(&vault.world, "messages", &[folders.iter().find(described).unwrap().as_os_str()]);
        assert!(output.status.success(), "{}", words(&output));
        let lines = String::from_utf8(output.stdout).unwrap();
        let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let wanted: Vec<Value> = chat["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| {
                let unix = message["date_unixtime"].as_str().unwrap().parse().unwrap();
                let from = if message["from"].is_null() { &message["actor"] } else { &message["from"] };
                let text = match &message["text"] {
                    Value::Array(parts) => parts.iter().map(|part| part["text"].as_str().or(part.as_str()).unwrap()).collect(),
                    text => text.as_str().unwrap().to_owned(),
                };
                json!([message["id"], jiff::Timestamp::from_second(unix).unwrap().to_string(), from, text])
            })
            .collect();
        assert_eq!(told, wanted);
        read += told.len();
    }
    assert!(read > 10);

    // All of them as pages that people can read.
    let output = run(&vault.world, "pages", &[to.as_os_str()]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", words(&output));
    let index = fs::read_to_string(to.join("pages/index.html")).unwrap();
    for (name, count) in [("Mara", 13), ("Lake house", 13), ("Slow Radio", 4), ("saved messages", 3)] {
        let entry = index.lines().find(|line| line.contains(&format!(">{name}<"))).unwrap_or_else(|| panic!("{name}: {index}"));
        assert!(entry.contains(&format!("{count} messages")), "{entry}");
    }
    let page = fs::read_to_string(to.join("pages/user318804522.html")).unwrap();
    for part in ["<h1>Mara</h1>", "Did you get the ferry tickets?", "2024-05-03T16:02:11Z", ">Bus timetable (summer).pdf</a>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let shown = page.match_indices("<img ").count();
    let sources = page.split(" src=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert!(shown > 1 && sources.clone().count() == shown && sources.clone().all(|source| to.join("pages").join(source).is_file()));
}

/// The vault holds its own procedure: signed, and enough to restore it and to verify it.
#[tokio::test(flavor = "multi_thread")]
async fn the_vault_holds_page_and_script() {
    let vault = Vault::new().await;
    vault.world.write("folder/file", b"first");
    vault.world.write("gone", b"gone");
    vault.world.backup().await;
    fs::remove_file(vault.world.source().join("gone")).unwrap();
    fs::rename(vault.world.source().join("folder/file"), vault.world.source().join("moved")).unwrap();
    vault.world.backup().await;
    let kept = vault.vault.join(&vault.world.report.recovery);
    let page = fs::read_to_string(kept.join("recovery.md")).unwrap();
    assert_eq!(page, fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recovery.md")).unwrap());
    let in_vault = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(&vault.vault).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let root_key = vault.world.report.root_key.as_str();
    let folder = vault.world.report.recovery.as_str();
    for name in ["recovery.md", "recover.sh"] {
        in_vault("minisign", &["-Vm", &format!("{folder}{name}"), "-P", root_key]);
    }
    let script = format!("{folder}recover.sh");
    let key = vault.world.root.path().join("key");
    in_vault("bash", &[&script, "open", ".", key.to_str().unwrap(), "../own-identity"]);
    let listed = in_vault("bash", &[&script, "list", ".", "../own-identity"]);
    let stem = listed.lines().rfind(|line| !line.starts_with(' ')).unwrap();
    in_vault("bash", &[&script, "recover", ".", "../own-identity", stem, "../own"]);
    assert_eq!(look(&vault.world.root.path().join("own")), vault.restore().await);
    in_vault("bash", &[&script, "verify", ".", root_key]);
}

/// What `verify` once passed over: slots, second copies, another pair of signed objects, a missing number, a revoked writer's work.
#[tokio::test(flavor = "multi_thread")]
async fn verify_passes_over_nothing() {
    let vault = Vault::new().await;
    for content in [b"first", b"secon", b"third"] {
        vault.world.write("file", content);
        vault.world.backup().await;
    }
    let sound = vault.verify();
    assert!(sound.status.success(), "{}", words(&sound));
    let root = vault.vault.clone();
    let read = |name: &str| fs::read(root.join(name)).unwrap();
    let names = |folder: &str| -> Vec<String> {
        vault.stored(folder).iter().map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()).collect()
    };
    let refused = |what: &str, says: &str, change: &dyn Fn(), names: &[String]| {
        let before: Vec<Vec<u8>> = names.iter().map(|name| read(name)).collect();
        change();
        let found = vault.verify();
        assert!(!found.status.success() && words(&found).contains(says), "{what}: {}", words(&found));
        for (name, bytes) in names.iter().zip(before) {
            let _ = fs::remove_file(root.join(name));
            fs::write(root.join(name), bytes).unwrap();
        }
        assert!(vault.verify().status.success(), "{what} was not undone");
    };
    let put = |name: &str, bytes: &[u8]| {
        fs::remove_file(root.join(name)).unwrap();
        fs::write(root.join(name), bytes).unwrap();
    };
    let slots: Vec<String> = names("keys").into_iter().chain(names("mirror/keys")).collect();
    refused("slots cut", "keys/", &|| slots.iter().for_each(|slot| put(slot, &read(slot)[..40])), &slots);
    let stems: Vec<String> = names("snapshots").into_iter().filter_map(|name| Some(name.strip_suffix(".sums")?.to_owned())).collect();
    let newest = stems.last().unwrap();
    for ending in [".sums", ".minisig", ".json.zst.age"] {
        let second = format!("mirror/{newest}{ending}");
        refused("second copy", "mirror/snapshots/", &|| put(&second, b"changed"), std::slice::from_ref(&second));
    }
    let pair: Vec<String> =
        [".sums", ".minisig"].iter().flat_map(|ending| [format!("{newest}{ending}"), format!("mirror/{newest}{ending}")]).collect();
    let older = |name: &str| name.replace(newest, &stems[0]);
    refused("older pair", "belongs to another snapshot", &|| pair.iter().for_each(|name| put(name, &read(&older(name)))), &pair);
    refused("no signature", "minisig", &|| pair.iter().for_each(|name| fs::remove_file(root.join(name)).unwrap()), &pair);
    let middle: Vec<String> = [".sums", ".minisig", ".json.zst.age"]
        .iter()
        .flat_map(|ending| [format!("{}{ending}", stems[1]), format!("mirror/{}{ending}", stems[1])])
        .collect();
    refused("a gap", "number 2 is missing", &|| middle.iter().for_each(|name| fs::remove_file(root.join(name)).unwrap()), &middle);
    for statement in names("root").into_iter().chain(names("mirror/root")) {
        refused("statement", "root/", &|| put(&statement, b"{}"), std::slice::from_ref(&statement));
    }
    refused("descriptor", "tgvault.json", &|| put("mirror/tgvault.json", b"{}"), &["mirror/tgvault.json".to_owned()]);
}

/// Targets that tools take for something else, and an identity file that an editor of Windows has saved.
#[tokio::test(flavor = "multi_thread")]
async fn odd_targets_and_line_ends() {
    let vault = Vault::new().await;
    vault.world.write("folder/file", b"content");
    vault.world.backup().await;
    let stem = vault.stems().pop().unwrap();
    let text = fs::read_to_string(&vault.identity).unwrap();
    let identity = vault.world.root.path().join("windows:identity.txt");
    fs::write(&identity, format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap();
    for to in ["host:folder", "-dash", "a b", "ä\n:x"] {
        let output = run(&vault.world, "recover", &[vault.vault.as_os_str(), identity.as_os_str(), stem.as_ref(), to.as_ref()]);
        assert!(output.status.success(), "{to:?}: {}", words(&output));
        assert_eq!(look(&vault.world.root.path().join(to)), vault.restore().await, "{to:?}");
    }
}
