//! `doctor`, through the built program, on folders: what it finds, and that it leaves nothing behind.

use std::fs;

use serde_json::Value;
use tgvault_test_support::tree::tree;

use crate::runs::{Machine, lines};

fn verdict(found: &[Value], subject: &str, check: &str) -> String {
    let of = |line: &&Value| line["subject"].as_str().is_some_and(|known| known.starts_with(subject)) && line["check"] == check;
    let line = found.iter().find(of).unwrap_or_else(|| panic!("{subject}: {check} was not checked: {found:?}"));
    line["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn a_sound_machine_passes_and_nothing_is_left_behind() {
    let machine = Machine::new();
    machine.done("-q run");
    let before = tree(&machine.home("disk")).unwrap();
    let run = machine.ends("doctor --json --no-telegram", 0);
    let found = lines(&run, "check");
    for check in [
        "reach",
        "round trip",
        "write",
        "read after write",
        "clock",
        "list after write",
        "conditional put",
        "ranged reads",
        "names",
        "multipart",
        "checksum",
        "speed",
        "delete",
        "vault",
        "key slots",
        "writer",
    ] {
        assert_eq!(verdict(&found, "vault disk", check), "passed", "{check}");
    }
    assert_eq!(verdict(&found, "this machine", "state folder"), "passed");
    let summary = &lines(&run, "summary")[0];
    assert_eq!((&summary["failed"], summary["left"].as_array().unwrap().len()), (&0.into(), 0));
    assert_eq!(tree(&machine.home("disk")).unwrap(), before);
    // Without the large object.
    let quick = machine.done("doctor --no-speed --no-telegram");
    assert!(!quick.contains("multipart") && quick.contains("passed  names"), "{quick}");
}

#[test]
fn what_is_wrong_is_named_with_what_to_do() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.home("disk")).unwrap();
    fs::remove_dir_all(machine.home("other")).unwrap();
    fs::write(machine.home("other"), "a file").unwrap();
    let run = machine.ends("doctor --json --no-telegram", 1);
    let found = lines(&run, "check");
    assert_eq!((verdict(&found, "vault disk", "reach"), verdict(&found, "vault disk", "vault")), ("warned".into(), "warned".into()));
    assert_eq!(verdict(&found, "vault other", "reach"), "failed");
    assert!(found.iter().filter(|line| line["verdict"] == "failed").all(|line| line["hint"].is_string()), "{found:?}");
    // A state that others can read, and a wrong key.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(machine.home(".local/state/tgvault"), PermissionsExt::from_mode(0o755)).unwrap();
    machine.profile("repo = '~/third'");
    machine.done(&format!("-q init -r {}", machine.recipient));
    let (other, _) = tgvault::crypt::keys::generate();
    fs::write(machine.sandbox.work().join("other.txt"), tgvault::crypt::keys::expose(&other)).unwrap();
    let told = machine.ends("-i other.txt doctor --no-speed --no-telegram", 1).stdout;
    assert!(told.contains("warned  state folder") && told.contains("failed  key"), "{told}");
    assert!(machine.done("-i key.txt doctor --no-speed --no-telegram").contains("passed  key: opens the vault"));
}
