//! `coverage --certificate`, checked with what its page says and nothing of ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tgvault_test_support::sandbox::{Run, Sandbox};

use crate::golden::copy_folder;

struct Account(Sandbox);

impl Account {
    fn new() -> Self {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format/account-of-reasons");
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        copy_folder(&data.join("vault"), &sandbox.work().join("vault"));
        fs::copy(data.join("passphrase"), sandbox.work().join("passphrase")).unwrap();
        fs::set_permissions(sandbox.work().join("passphrase"), fs::Permissions::from_mode(0o600)).unwrap();
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/certificate.md")).unwrap();
        let script = page.split_once("```bash check\n").and_then(|(_, rest)| rest.split_once("\n```")).unwrap().0;
        fs::write(sandbox.work().join("check.sh"), format!("{script}\n")).unwrap();
        Self(sandbox)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.0.run(["--repo", "vault", "--passphrase-file", "passphrase"].iter().chain(arguments)).unwrap()
    }

    fn check(&self, arguments: &[&str]) -> Output {
        Command::new("bash").arg("check.sh").args(arguments).current_dir(self.0.work()).output().unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.work().join(name)).unwrap()
    }
}

#[test]
fn a_certificate_is_checked_without_this_program_and_has_no_names() {
    tgvault_test_support::needs_programs!("bash", "minisign", "jq", "sha256sum");
    let account = Account::new();
    let done = account.run(&["--json", "coverage", "--certificate", "one.json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let lines: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = lines.iter().find(|line| line["message_type"] == "certificate").unwrap();
    let key = said["key"].as_str().unwrap();
    let second = account.run(&["coverage", "--certificate", "two.json", "--previous", "one.json"]);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(second.stderr.contains("minisign -Vm FILE -P"), "{second:?}");

    // The same as `coverage` says, chat by chat, and no name of a chat.
    let (text, shown) =
        (account.read("two.json"), |wanted: &str| lines.iter().filter(|line| line["message_type"] == wanted).collect::<Vec<_>>());
    let certificate: Value = serde_json::from_str(&text).unwrap();
    let chats = certificate["chats"].as_array().unwrap();
    assert_eq!(chats.len(), shown("chat_coverage").len());
    for (chat, line) in chats.iter().zip(shown("chat_coverage")) {
        assert_eq!((&chat["peer"], &chat["verdict"], &chat["messages"]), (&line["chat"], &line["verdict"], &line["messages"]));
        if let Some(name) = line["name"].as_str().filter(|name| name.len() > 3) {
            assert!(!text.contains(name), "{name}");
        }
    }
    assert_eq!(certificate["account_missing"].as_array().unwrap().len(), shown("account_coverage").len());
    assert_eq!(certificate["previous"], said["sha256"]);
    assert!(text.contains("\"reasons\""), "the vault has nothing incomplete: {text}");

    let checked = account.check(&[key, "one.json", "two.json"]);
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(checked.stdout.iter().filter(|byte| **byte == b'\n').count(), 2);
    // In the wrong order, changed, and by another key.
    assert!(!account.check(&[key, "two.json", "one.json"]).status.success());
    let other = tgvault::crypt::signature::SigningKey::generate().unwrap();
    assert!(!account.check(&[other.public().as_str(), "one.json"]).status.success());
    fs::write(account.0.work().join("one.json"), account.read("one.json").replacen("\"complete\"", "\"unknown\"", 1)).unwrap();
    assert!(!account.check(&[key, "one.json"]).status.success());

    // Nothing is overwritten, and what is no certificate has no successor.
    let again = account.run(&["coverage", "--certificate", "two.json"]);
    assert_eq!((again.code, account.read("two.json") == text), (Some(1), true), "{again:?}");
    let wrong = account.run(&["coverage", "--certificate", "three.json", "--previous", "check.sh"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(!account.0.work().join("three.json").exists());
}
