//! Signals as shells and systems send them: a terminal that goes away ends a run as a wish does, and what the caller ignores is ignored.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tgvault_test_support::sandbox::DEFAULT_SIGNALS;

use crate::spelling::{done, with_vault};
use crate::support::{count, noise, tree};

/// Starts a slow backup under a shell that runs `before`, and sends it a signal; gives its exit code.
fn signalled(before: &str, signal: &str) -> Option<i32> {
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    (0..40).for_each(|number| fs::write(work.join(format!("s/{number}")), noise(number, 100_000)).unwrap());
    let program = sandbox.command([""; 0]);
    let line = format!("{before}; exec '{}' --limit-upload 1M backup s", env!("CARGO_BIN_EXE_tgvault"));
    // A shell cannot take back what its own caller ignores.
    let mut shell = Command::new("env");
    shell.args([DEFAULT_SIGNALS, "sh", "-c", &line]).current_dir(&work).env_clear().stdout(Stdio::null()).stderr(Stdio::null());
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = shell.spawn().unwrap();
    let began = Instant::now();
    // The journal is the first thing that a run writes.
    while count(&sandbox.home(), |name| name == "head.age") == 0 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let code = child.wait().unwrap().code();
    done(&sandbox, "-q verify");
    code
}

#[test]
fn a_hangup_ends_a_run_like_a_wish_to_end_and_what_is_ignored_stays_so() {
    assert_eq!(signalled("true", "HUP"), Some(130));
    assert_eq!(signalled("true", "TERM"), Some(130));
    assert_eq!(signalled("trap '' HUP", "HUP"), Some(0));
    assert_eq!(signalled("trap '' INT", "INT"), Some(0));
}

/// Whoever interrupts a restore gets the terminal back, nothing half-written stands under its name, and the same command goes on.
#[test]
fn an_interrupted_restore_leaves_nothing_half_and_goes_on() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    // One file is so long that an end has to come in its middle.
    (0..40).for_each(|number| fs::write(work.join(format!("s/{number}")), noise(number, 100_000)).unwrap());
    fs::write(work.join("s/long"), noise(99, 30_000_000)).unwrap();
    done(&sandbox, "-q backup s");
    let whole = tree(&work.join("s"));
    let names = || fs::read_dir(work.join("r")).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let unfinished = || names().filter(|name| name.to_string_lossy().starts_with(".tgvault-restore-")).collect::<BTreeSet<_>>();
    for signal in ["INT", "TERM"] {
        let before = unfinished();
        let mut restore = sandbox.command(["-i", "key.txt", "--limit-download", "1M", "restore", "latest", "--to", "r"]);
        let mut child = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while unfinished().is_subset(&before) && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success());
        // All of it would take half a minute: an end that waits for a file to be whole would be late.
        let sent = Instant::now();
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            if sent.elapsed() > Duration::from_secs(15) {
                child.kill().unwrap();
                panic!("{signal}: the restore did not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(code, Some(130), "{signal}");
        // Where a read was under way, the folder of unfinished files is left for the next restore to remove.
        for (path, said) in tree(&work.join("r")).into_iter().filter(|(path, _)| !path.starts_with(".tgvault-restore-")) {
            assert!(said.starts_with("dir") || whole.get(&path) == Some(&said), "{signal}: {path} is not whole");
        }
    }
    done(&sandbox, "-q -i key.txt restore latest --to r");
    assert_eq!(tree(&work.join("r")), whole);
}
