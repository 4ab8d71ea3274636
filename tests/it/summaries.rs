//! JSON lines end with the summary, whatever became of the run.

use std::fs;

use crate::spelling::{done, run, with_vault};

#[test]
fn a_restore_ends_with_its_summary() {
    let sandbox = with_vault();
    let work = sandbox.work();
    for folder in ["s", "t"] {
        fs::create_dir(work.join(folder)).unwrap();
        fs::write(work.join(folder).join("a"), "a").unwrap();
        fs::write(work.join(folder).join("b"), "b").unwrap();
        done(&sandbox, &format!("-q backup {folder}"));
    }
    fs::create_dir_all(work.join("blocked/a/folder")).unwrap();
    fs::write(work.join("file"), "").unwrap();
    // What is there, what is in the way, what is not there, nothing that fits, and no folder to restore into.
    let cases = [
        ("latest --to r", 0),
        ("latest --to r", 0),
        ("latest --to blocked", 3),
        ("latest --to r nowhere", 3),
        ("latest --to r --include *.none", 3),
        ("latest --to file", 1),
        ("latest --to all --all-sources", 0),
    ];
    for (arguments, code) in cases {
        let ended = run(&sandbox, &format!("--json -i key.txt restore {arguments}"));
        assert_eq!(ended.code, Some(code), "{arguments}: {ended:?}");
        let last: serde_json::Value = serde_json::from_str(ended.stdout.lines().last().unwrap_or_default()).unwrap();
        assert_eq!(last["message_type"], "summary", "{arguments}: {}", ended.stdout);
    }
    // In words, what else the vault has comes last.
    let ended = run(&sandbox, "-i key.txt restore latest --to words");
    assert!(ended.stderr.contains("the vault also has") || ended.stdout.contains("the vault also has"), "{ended:?}");
}
