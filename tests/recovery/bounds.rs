//! What recovery takes: room on the disk, memory, and how long a path may be.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::noise;
use crate::vault::{Vault, block, look, words};

/// Bytes that the files below a folder take.
fn taken(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { taken(&entry.path()) } else { entry.metadata().map_or(0, |meta| meta.len()) }).sum()
}

/// The page says: the largest state, and twice the content of the largest archive.
#[tokio::test(flavor = "multi_thread")]
async fn the_room_that_the_page_names_is_enough() {
    needs_tools!();
    let mut vault = Vault::new().await;
    vault.world.lanes = 1;
    // A state of 30 MB that shrinks to a tenth; moved files are read out of the archive that has them.
    for number in 0..10 {
        vault.world.write(&format!("large/{number}"), &noise(number, 3_000_000));
    }
    vault.world.backup().await;
    fs::rename(vault.world.source().join("large/3"), vault.world.source().join("moved")).unwrap();
    fs::remove_dir_all(vault.world.source().join("large")).unwrap();
    vault.world.backup().await;
    let stem = vault.stems().pop().unwrap();
    let script = vault.world.root.path().join("recover.sh");
    fs::write(&script, block("bash", "recover")).unwrap();
    let (to, work) = (vault.world.root.path().join("to"), vault.world.root.path().join("to.recovery"));
    let mut command = Command::new("bash");
    command.arg(&script).args([vault.vault.as_os_str(), vault.identity.as_os_str(), stem.as_ref(), to.as_os_str()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut most_in_target, mut most_in_work) = (0, 0);
    let ended = loop {
        (most_in_target, most_in_work) = (most_in_target.max(taken(&to)), most_in_work.max(taken(&work)));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    assert!(ended.success());
    // What is looked at now and then is never more than it was.
    let content = 30_000_000;
    assert!(most_in_target <= content + 1_000_000, "{most_in_target}");
    assert!(most_in_work <= 2 * content + 4_000_000, "{most_in_work}");
    assert_eq!(look(&to), look(&vault.world.source()));
}

/// A path that no tool can open at once is said, and the rest comes back.
#[tokio::test(flavor = "multi_thread")]
async fn paths_that_are_too_long_are_named() {
    needs_tools!();
    let vault = Vault::new().await;
    vault.world.write("short", b"short");
    let name = "d".repeat(200);
    let deep =
        "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do mkdir \"$1\" && cd \"$1\" || exit 1; done; echo deep >file";
    let made = Command::new("bash").args(["-c", deep, "deep", &name]).current_dir(vault.world.source()).status().unwrap();
    assert!(made.success());
    vault.world.backup().await;
    let (to, output) = vault.recover();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("too long") || words(&output).contains("recover: "), "{}", words(&output));
    assert!(words(&output).contains(&name), "{}", words(&output));
    assert_eq!(fs::read(to.join("short")).unwrap(), b"short");
    // `rm -rf` walks step by step, unlike what removes the test's folder.
    let removed = Command::new("rm").arg("-rf").args([to, vault.world.source()]).status().unwrap();
    assert!(removed.success());
}

/// Messages are read one by one: a log that is larger than the memory is no trouble.
#[tokio::test(flavor = "multi_thread")]
async fn messages_take_little_memory_however_many_there_are() {
    needs_tools!();
    let vault = Vault::new().await;
    let chat = vault.world.root.path().join("chat");
    fs::create_dir(&chat).unwrap();
    let count = 120_000_u64;
    let text = "some words that a message has, and a few more of them ".repeat(4);
    let mut lines = String::new();
    for id in 1..=count {
        let line =
            json!({"record": "message", "id": id, "observed": 7, "date": 1_650_000_000 + id, "message": {"from": "Bob", "text": text}});
        lines.push_str(&line.to_string());
        lines.push('\n');
        // Later versions of some.
        if id % 10 == 0 {
            let line = json!({"record": "message", "id": id, "observed": 8, "edited": 9, "date": 1_650_000_000 + id, "message": {"from": "Bob", "text": "edited"}});
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
    }
    fs::write(chat.join("1.jsonl"), &lines).unwrap();
    assert!(lines.len() > 35_000_000);
    let script = vault.world.root.path().join("messages.sh");
    fs::write(&script, block("bash", "messages")).unwrap();
    // Each of the programs may have 160 MiB, libraries and locale included: `jq -s` takes ten times what it reads.
    let line = "ulimit -v 163840; exec bash \"$1\" \"$2\"";
    let output = Command::new("bash").args(["-c", line, "limited"]).args([&script, &chat]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.lines().count() as u64, count);
    assert_eq!(told.matches("edited").count() as u64, count / 10);
}
