//! Killed at each fsync, link and rename, one after the other: of making a vault, of a backup, and of authorising a machine.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use tgvault_test_support::sandbox::Sandbox;

use crate::spelling::{done, run, with_vault};
use crate::support::{noise, tree};

/// The calls by which something stays on the disk, or gets its name.
const CALLS: [&str; 3] = ["fsync", "linkat", "rename"];

/// Runs the program and kills it when one of its threads makes this call for the `n`th time; gives whether it came so far.
fn killed(sandbox: &Sandbox, call: &str, n: usize, line: &str) -> bool {
    let plain = sandbox.command(line.split(' '));
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={call}:signal=KILL:when={n}")]).arg(plain.get_program());
    command.args(plain.get_args()).env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.current_dir(sandbox.work()).output().unwrap();
    let is_killed = output.status.signal() == Some(9) || output.status.code() == Some(137);
    assert!(is_killed || output.status.code() == Some(0), "{call} {n}: {output:?}");
    is_killed
}

fn comes_back(sandbox: &Sandbox, host: &str, what: &str) {
    let work = sandbox.work();
    let to = work.join("restored");
    let restored = run(sandbox, &format!("-q -i key.txt restore latest --host {host} --to restored"));
    assert_eq!(restored.code, Some(0), "{what}: {restored:?}");
    assert_eq!(tree(&to), tree(&work.join("s")), "{what}");
    fs::remove_dir_all(to).unwrap();
    let verified = run(sandbox, "-q -i key.txt verify --deep");
    assert_eq!(verified.code, Some(0), "{what}: {verified:?}");
}

fn fill(work: &Path, round: u64) {
    fs::create_dir_all(work.join("s/folder")).unwrap();
    fs::write(work.join("s/folder/file"), noise(round, 20_000)).unwrap();
    fs::write(work.join(format!("s/{round}")), round.to_string()).unwrap();
    let _ = fs::remove_file(work.join(format!("s/{}", round.saturating_sub(2))));
}

fn new_home(sandbox: &Sandbox) {
    fs::remove_dir_all(sandbox.home()).unwrap();
    fs::create_dir(sandbox.home()).unwrap();
}

#[test]
fn a_vault_that_was_being_made_is_made() {
    tgvault_test_support::needs_programs!("strace");
    let (secret, recipient) = tgvault::crypt::keys::generate();
    for call in CALLS {
        for n in 1.. {
            let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
            let work = sandbox.work();
            fs::write(work.join("key.txt"), tgvault::crypt::keys::expose(&secret)).unwrap();
            sandbox.env([("TGVAULT_REPO", work.join("v").display().to_string())]);
            let was_killed = killed(&sandbox, call, n, &format!("-q init -r {recipient}"));
            let what = format!("init killed at {call} {n}");
            let again = run(&sandbox, &format!("-q init -r {recipient}"));
            // It is made, or was made already.
            assert!(again.code == Some(0) || again.stderr.contains("already"), "{what}: {again:?}");
            fill(&work, 1);
            done(&sandbox, "-q -i key.txt backup s --host one");
            comes_back(&sandbox, "one", &what);
            if !was_killed {
                break;
            }
        }
    }
}

#[test]
fn a_backup_goes_on_wherever_it_was_killed() {
    tgvault_test_support::needs_programs!("strace");
    let sandbox = with_vault();
    let work = sandbox.work();
    let mut round = 0;
    for call in CALLS {
        for n in 1.. {
            round += 1;
            fill(&work, round);
            let was_killed = killed(&sandbox, call, n, "-q backup s --host one");
            let what = format!("backup killed at {call} {n}");
            let again = run(&sandbox, "-q backup s --host one");
            assert_eq!(again.code, Some(0), "{what}: {again:?}");
            comes_back(&sandbox, "one", &what);
            if !was_killed {
                break;
            }
        }
    }
}

#[test]
fn a_machine_that_was_being_authorised_is_authorised() {
    tgvault_test_support::needs_programs!("strace");
    let sandbox = with_vault();
    let work = sandbox.work();
    let mut round = 0;
    for call in CALLS {
        // The first of them: what follows is a backup as above.
        for n in 1..12 {
            round += 1;
            fill(&work, round);
            new_home(&sandbox);
            let host = format!("{call}{n}");
            killed(&sandbox, call, n, &format!("-q -i key.txt backup s --host {host}"));
            let again = run(&sandbox, &format!("-q -i key.txt backup s --host {host}"));
            assert_eq!(again.code, Some(0), "authorising killed at {call} {n}: {again:?}");
            comes_back(&sandbox, &host, &host);
        }
    }
}
