//! State that earlier programs left on a machine, `tests/data/state/`: this program goes on with it. That of a later one is refused.
//!
//! - `v1/`: a vault, the state and the passphrase after `backup desktop-export tests/data/sample-export` by version 0.1.0. Never changed.

use std::fs;

use serde_json::Value;
use tgvault_test_support::sandbox::{Run, Sandbox};

use crate::chats::data;
use crate::restore_as::files;

/// A copy of what an earlier program left.
fn machine(version: &str) -> Sandbox {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    for (path, content) in files(&data("state").join(version)) {
        let path = sandbox.folder().join("old").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    sandbox
}

/// Runs with the old state and no key at all.
fn run(machine: &Sandbox, arguments: &[&str]) -> Run {
    let folder = machine.folder().join("old");
    let place = |name: &str| folder.join(name).to_string_lossy().into_owned();
    machine.run([&["--repo", &place("vault"), "--state-dir", &place("state")], arguments].concat()).unwrap()
}

#[test]
fn state_of_an_earlier_version_is_taken_up() {
    let machine = machine("v1");
    let export = data("sample-export").to_string_lossy().into_owned();
    let again = run(&machine, &["--json", "backup", "desktop-export", &export]);
    assert_eq!(again.code, Some(0), "{}{}", again.stdout, again.stderr);
    let summary: Value = serde_json::from_str(again.stdout.lines().last().unwrap()).unwrap();
    // The machine is authorised, knows the snapshot before, and what the import stored: what is new are notes of this import and
    // descriptions of chats that this version writes anew, but no message and no file.
    assert!(summary["new_bytes"].as_u64().unwrap() < 8192, "{summary}");
    let passphrase = machine.folder().join("old/passphrase").to_string_lossy().into_owned();
    let listed = run(&machine, &["--passphrase-file", &passphrase, "ls", "latest"]).stdout;
    let logs = listed.lines().filter(|line| line.starts_with("chats/") && line.ends_with(".jsonl"));
    assert!(logs.clone().count() == 5 && logs.clone().all(|log| log.contains("/20261130T181519227945Z-")), "{listed}");
    assert_eq!(
        run(&machine, &["--passphrase-file", &passphrase, "snapshots"])
            .stdout
            .lines()
            .filter(|line| line.contains("telegram:main"))
            .count(),
        2
    );
    assert_eq!(fs::read_to_string(machine.folder().join("old/state/version")).unwrap().trim(), "2");
}

#[test]
fn state_of_a_later_version_is_refused_and_not_touched() {
    let machine = machine("v1");
    let state = machine.folder().join("old/state");
    fs::write(state.join("version"), "77\n").unwrap();
    let before = files(&machine.folder().join("old"));
    let export = data("sample-export").to_string_lossy().into_owned();
    for arguments in [&["backup", "desktop-export", &export][..], &["snapshots"], &["verify"]] {
        let refused = run(&machine, arguments);
        assert_eq!(refused.code, Some(1), "{arguments:?}: {}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains("has version 77") && refused.stderr.contains("newer tgvault"), "{}", refused.stderr);
    }
    assert_eq!(files(&machine.folder().join("old")), before);
}
