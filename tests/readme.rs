//! The commands of the README and the guides do what these say. The README's main job and its tests are run by `.ci/run`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use secrecy::ExposeSecret;
use serde_json::{Value, json};

fn source(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The block of the README whose fence is followed by `sh name`.
fn block(name: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```sh {name}\n")).unwrap_or_else(|| panic!("README.md has no block {name}"));
    rest.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn the_five_commands_work_as_they_stand() {
    let home = tempfile::tempdir().unwrap();
    let (export, vault) = (home.path().join("export"), home.path().join("vault"));
    fs::create_dir(&export).unwrap();
    fs::write(export.join("result.json"), "{}").unwrap();
    let passphrase = home.path().join("passphrase");
    fs::write(&passphrase, "able baker charlie dog easy fox george how item jig\n").unwrap();
    let lines = block("five");
    assert!(lines.contains("/mnt/disk/vault"), "the README names another vault: {lines}");
    let script = format!("set -euo pipefail\n{}\n", lines.replace("/mnt/disk/vault", vault.to_str().unwrap()));
    let program = Path::new(env!("CARGO_BIN_EXE_tgvault")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let ran = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .envs([("HOME", home.path().as_os_str()), ("PATH", path.as_ref()), ("TGVAULT_PASSPHRASE_FILE", passphrase.as_os_str())])
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("recovery sheet"), "{said}");
    assert_eq!(fs::read_to_string(home.path().join("restored/result.json")).unwrap(), "{}");
}

/// The commands in the blocks of a page, each a line.
fn commands(page: &str) -> Vec<String> {
    let page = fs::read_to_string(source("docs/guide").join(page)).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).map(str::trim).filter(|line| line.starts_with("tgvault "));
    lines.map(str::to_owned).collect()
}

/// A person's folder as the guides have it: an export of an account, with a group of hikers and a chat with user123, and older exports.
fn write_exports(home: &Path) {
    let sample = source("tests/data/sample-export");
    let account = home.join("Downloads/Telegram Desktop/DataExport_2026-11-22");
    fs::create_dir_all(account.parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg("-r").args([&sample, &account]).status().unwrap().success());
    let mut export: Value = serde_json::from_slice(&fs::read(account.join("result.json")).unwrap()).unwrap();
    let said = |id: i64, text: &str, more: Value| {
        let mut message = json!({"id": id, "type": "message", "date": "2024-05-04T10:00:00", "date_unixtime": "1714816800",
            "from": "Jo", "from_id": "user123"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
            .as_object_mut()
            .unwrap()
            .extend(json!({"text": text, "text_entities": [{"type": "plain", "text": text}]}).as_object().unwrap().clone());
        message
    };
    let voice = json!({"file": "voice_messages/hike.ogg", "media_type": "voice_message", "mime_type": "audio/ogg"});
    let hikers = json!({"name": "Hikers", "type": "public_supergroup", "id": 77, "username": "hikers",
        "messages": [said(5, "who has the harbour tickets? see you at eight", json!({})), said(6, "", voice)]});
    let jo = json!({"name": "Jo", "type": "personal_chat", "id": 123, "messages": [said(7, "hello", json!({}))]});
    export["chats"]["list"].as_array_mut().unwrap().extend([hikers.clone(), jo]);
    // The guides look for words that a conversation may have.
    let mara = export["chats"]["list"].as_array_mut().unwrap().iter_mut().find(|chat| chat["name"] == "Mara").unwrap();
    mara["messages"].as_array_mut().unwrap().push(said(1234, "I will see you at the harbour", json!({})));
    fs::write(account.join("result.json"), serde_json::to_vec_pretty(&export).unwrap()).unwrap();
    for (folder, text) in [("DataExport_2021-05-04", &export), ("ChatExport_2023-02-11", &hikers)] {
        let folder = home.join("old").join(folder);
        fs::create_dir_all(folder.join("voice_messages")).unwrap();
        fs::write(folder.join("voice_messages/hike.ogg"), "a voice").unwrap();
        fs::write(folder.join("result.json"), serde_json::to_vec(text).unwrap()).unwrap();
    }
    fs::create_dir_all(account.join("voice_messages")).unwrap();
    fs::write(account.join("voice_messages/hike.ogg"), "a voice").unwrap();
}

#[test]
fn the_guides_commands_work_on_the_vault_that_they_make() {
    tgvault_test_support::needs_programs!("bash", "jq");
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    write_exports(home);
    // Opened with an identity: a passphrase takes seconds, dozens of times.
    let identity = age::x25519::Identity::generate();
    fs::write(home.join("identity"), identity.to_string().expose_secret()).unwrap();
    fs::set_permissions(home.join("identity"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let init = format!(" init -r {}", identity.to_public());
    let program = Path::new(env!("CARGO_BIN_EXE_tgvault")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let vault = home.join("vault");
    let run = |line: &str| -> Output {
        let line = line.replace("/mnt/disk/vault", "\"$TGVAULT_REPO\"").replace("/mnt/second/", "second-");
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("set -euo pipefail\n{line}")]).current_dir(home).env_clear();
        bash.envs([
            ("HOME", home.as_os_str()),
            ("PATH", path.as_ref()),
            ("TGVAULT_REPO", vault.as_os_str()),
            ("TZ", "CET-1CEST,M3.5.0,M10.5.0/3".as_ref()),
        ]);
        bash.env("TGVAULT_IDENTITY", home.join("identity")).output().unwrap()
    };
    let said = |output: &Output| format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (mut root_key, mut snapshot): (Option<String>, Option<String>) = (None, None);
    let mut count = 0;
    for page in ["first-backup.md", "imports.md", "restore.md", "reading.md", "second-copy.md"] {
        for line in commands(page) {
            let line = match &root_key {
                Some(key) => line.replace(" init", &init).replace("RW…", key).replace("3f9a", snapshot.as_deref().unwrap_or("3f9a")),
                None => line.replace(" init", &init),
            };
            // They would go on until somebody ends them; the mount's folder is where this test has its vault.
            let line = line.replace("tgvault browse", "tgvault browse --idle 1s");
            if line.starts_with("tgvault mount") {
                assert!(line.contains(" ~/vault "), "{line}");
                let output = run("mkdir mounted; timeout --signal=INT 2 tgvault mount ~/mounted || test $? = 124");
                assert!(output.status.success() && said(&output).contains("unmounted"), "{page}: {line}\n{}", said(&output));
                continue;
            }
            let output = run(&line);
            assert!(output.status.success(), "{page}: {line}\n{}", said(&output));
            // What finds or shows something shows something; nothing is missing.
            let shows = ["find", "search", "cat", "ls", "snapshots", "stats"].iter().any(|verb| line.contains(&format!("tgvault {verb} ")));
            assert!(!shows || line.contains(" > ") || !output.stdout.is_empty(), "{page}: {line} shows nothing\n{}", said(&output));
            assert!(!said(&output).contains("problem:"), "{page}: {line}\n{}", said(&output));
            if line.contains(" init") && root_key.is_none() {
                root_key = said(&output).split_whitespace().find(|word| word.starts_with("RW") && word.len() > 50).map(str::to_owned);
                assert!(root_key.is_some(), "{}", said(&output));
            }
            if snapshot.is_none() && line.contains(" backup ") {
                let listed = run("tgvault --json snapshots");
                let mut lines = listed.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
                let first = lines.find(|line| line["message_type"] == "snapshot").unwrap_or_else(|| panic!("{}", said(&listed)));
                snapshot = Some(first["id"].as_str().unwrap()[..8].to_owned());
            }
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
    // Parts are restored under the names that an export has.
    for file in ["chats/chat_1/photos/photo_1@04-05-2024_08-15-40.jpg", "result.json"] {
        assert!(home.join("restored").join(file).is_file(), "{file}");
    }
    let found = said(&run("tgvault find 'Bus timetable*'"));
    assert!(found.contains("Bus timetable (summer).pdf") && found.contains("(Mara #1009, 2024-05-04 10:47:20, Mara Lindqvist)"), "{found}");
    let found = said(&run("tgvault find 'photo_1@04-05*' result.json"));
    assert!(found.contains("photo_1@04-05-2024_08-15-40.jpg  (Mara #1004") && found.contains("\nresult.json"), "{found}");
    let listed = said(&run("tgvault search --media photos --chat Mara"));
    assert!(listed.contains("      chats/chat_1/photos/photo_1@04-05-2024_08-15-40.jpg = media/photo/"), "{listed}");
    // A hit comes with the commands that show and restore it.
    let shown = listed.lines().find_map(|line| line.strip_prefix("show the first:")).unwrap().trim();
    assert!(said(&run(shown)).contains("#1004"), "{shown}");
    let restored = listed.lines().find_map(|line| line.strip_prefix("restore the first:")).unwrap().trim();
    let output = run(&restored.replace("DIR", "hit"));
    assert!(output.status.success() && said(&output).contains("1 chat with 1 message"), "{restored}\n{}", said(&output));
    assert!(home.join("hit/photos/photo_1@04-05-2024_08-15-40.jpg").is_file());
    let missing = run("tgvault cat latest --chat Mara --message 4321");
    assert_eq!(missing.status.code(), Some(3), "{}", said(&missing));
}
