//! `drill`, through the built program.

use std::fs;

use crate::runs::{Machine, lines};

#[test]
fn a_sample_comes_back_as_on_a_new_machine_and_what_does_not_is_named() {
    let machine = Machine::new();
    machine.profile("repo = '~/disk'");
    for number in 0..30 {
        fs::write(machine.home(&format!("a/{number}")), vec![number; 5000]).unwrap();
    }
    machine.done("-q backup . --host here");
    machine.done(&format!("-q backup {} --host here", machine.home("a").display()));
    let drilled = lines(&machine.ends("-i key.txt drill --json --files 500", 0), "drilled");
    assert_eq!(drilled.len(), 2, "each source");
    let letters = drilled.iter().find(|line| line["source"].as_str().unwrap().ends_with("/a")).unwrap();
    // Of 31 files, 500 draws miss one in 400,000 cases at most once.
    assert_eq!((&letters["files"], &letters["whole_bytes"]), (&31.into(), &150_006.into()));
    assert_eq!(letters["bytes"], letters["whole_bytes"]);
    assert!(machine.done("-i key.txt drill").contains("a whole restore of"));
    assert_eq!(fs::read_dir(machine.sandbox.folder().join("tmp")).unwrap().count(), 0, "nothing is left behind");
    // Without a key, stored bytes are checked, and somebody is reminded.
    let reminder = machine.home("reminder.json");
    machine.profile(&format!("repo = '~/disk'\n[hooks]\nfailed = 'cat > {}'", reminder.display()));
    let reminded = machine.ends("drill --alert", 0);
    assert!(reminded.stderr.contains("no key was given") && reminded.stdout.contains("checked checksums"), "{reminded:?}");
    assert!(fs::read_to_string(&reminder).unwrap().contains("\"event\":\"drill-due\""));
    // What is lost does not come back.
    fs::remove_dir_all(machine.home("disk/archives")).unwrap();
    let lost = machine.ends("-i key.txt drill --json", 15);
    let is_told =
        |line: &serde_json::Value| line["lost"].as_u64() > Some(0) || line["failed"].as_array().is_some_and(|failed| !failed.is_empty());
    assert!(lines(&lost, "drilled").iter().all(is_told), "{lost:?}");
}
