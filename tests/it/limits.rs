//! What the system grants may be little: memory, threads, open files, the length of a file. Too little is an error with its code, and
//! never an end by a signal, a panic, or none at all.

use std::fs;
use std::path::Path;

use tgvault_test_support::sandbox::Run;
use tgvault_test_support::tree::tree;

use crate::bad_input::Ordinary;
use crate::support::noise;

/// Codes by which a shell says that a program was ended, or Rust that it panicked.
fn is_an_end(run: &Run) -> bool {
    run.code.is_none_or(|code| code == 101 || code > 125 && code != 130)
}

/// Runs the program under a shell's limits, for half a minute at most: a run that hangs would end by a signal.
fn limited(machine: &Ordinary, limits: &str, arguments: &str) -> Run {
    machine.run_by_shell(&format!("{limits}; exec timeout 60 \"$0\" {arguments}"))
}

/// Asserts that a run did what it should, or said why not, and gives whether it did.
fn did(run: &Run, what: &str) -> bool {
    assert!(!is_an_end(run) && run.code != Some(124), "{what}: {run:?}");
    assert!(run.code == Some(0) || run.stderr.contains("error: ") || run.stderr.contains("problem: "), "{what}: {run:?}");
    run.code == Some(0)
}

fn machine() -> Ordinary {
    let machine = Ordinary::new();
    fs::create_dir(machine.at("s")).unwrap();
    (0..4).for_each(|number| fs::write(machine.at(&format!("s/{number}")), noise(number, 300_000)).unwrap());
    fs::write(machine.at("pass"), "nine unrelated words make this passphrase long enough today").unwrap();
    machine
}

fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn too_little_memory_is_said() {
    let machine = machine();
    let open = "--repo v --passphrase-file pass";
    let (mut failed, mut done) = (0, 0);
    // From what the program does not even begin with to more than scrypt's 256 MiB beside everything else.
    for mebibytes in [80, 100, 120, 200, 250, 300, 400, 450, 500, 550, 600, 800, 1200, 2400] {
        let limits = format!("ulimit -v {}", mebibytes * 1024);
        remove(&machine.at("v"));
        let init = limited(&machine, &limits, &format!("{open} init"));
        // What the loader says is not the program's word.
        if init.code == Some(127) {
            continue;
        }
        let what = format!("{mebibytes} MiB");
        if did(&init, &what) {
            done += 1;
            for arguments in ["backup s", "verify --deep", "restore latest --to r"] {
                did(&limited(&machine, &limits, &format!("{open} {arguments}")), &format!("{what}, {arguments}"));
            }
            remove(&machine.at("r"));
        } else {
            failed += 1;
            assert!(init.stderr.contains("hint: raise the limit"), "{init:?}");
        }
    }
    assert!(failed >= 4 && done >= 1, "{failed} {done}");
}

#[test]
fn a_passphrase_without_memory_for_it_is_not_called_wrong() {
    let machine = machine();
    let (secret, recipient) = tgvault::crypt::keys::generate();
    fs::write(machine.at("key"), tgvault::crypt::keys::expose(&secret)).unwrap();
    fs::set_permissions(machine.at("key"), std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
    machine.done(&["--repo", "v", "--passphrase-file", "pass", "init", "-r", &recipient]);
    machine.done(&["--repo", "v", "backup", "s"]);
    // Which of the two runs out first hangs on the moment.
    let run = limited(&machine, "ulimit -v 327680", "--repo v --passphrase-file pass snapshots");
    assert!(run.code == Some(1) && run.stderr.contains("hint: raise the limit"), "{run:?}");
    let run = limited(&machine, "ulimit -v 819200", "--repo v -i key snapshots");
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn too_few_threads_are_said() {
    // The limit counts all that a user runs: only somebody who runs nothing else can be limited.
    if !tgvault_test_support::needs::root("run the program as a user of its own") {
        return;
    }
    let machine = machine();
    let (mut failed, mut done) = (0, 0);
    for threads in [1, 3, 6, 10, 12, 14, 16, 20, 40, 200] {
        let limits = format!("ulimit -u {threads}");
        remove(&machine.at("v"));
        let what = format!("{threads} threads");
        // `timeout` is one, and may be the one that is not let start.
        let init = limited(&machine, &limits, "--repo v --passphrase-file pass init");
        if init.stderr.starts_with("timeout: ") || init.stderr.contains("fork") {
            continue;
        }
        if did(&init, &what) {
            done += 1;
            for arguments in ["backup s", "--passphrase-file pass restore latest --to r", "verify"] {
                did(&limited(&machine, &limits, &format!("--repo v {arguments}")), &format!("{what}, {arguments}"));
            }
            remove(&machine.at("r"));
        } else {
            failed += 1;
            assert!(init.stderr.contains("threads") && init.stderr.contains("hint: "), "{init:?}");
        }
    }
    assert!(failed >= 3 && done >= 1, "{failed} {done}");
}

#[test]
fn few_open_files_are_enough() {
    let machine = machine();
    let deep = machine.at("s").join(vec!["d"; 300].join("/"));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
    let limits = "ulimit -n 64";
    for arguments in ["--passphrase-file pass init", "backup s", "verify", "--passphrase-file pass restore latest --to r"] {
        let run = limited(&machine, limits, &format!("--repo v {arguments}"));
        assert_eq!(run.code, Some(0), "{arguments}: {run:?}");
    }
    assert_eq!(fs::read(machine.at("r/3")).unwrap(), noise(3, 300_000));
    assert_eq!(fs::read_to_string(machine.at("r").join(vec!["d"; 300].join("/")).join("file")).unwrap(), "deep");
    for files in [3, 6, 9, 12, 16] {
        let limits = format!("ulimit -n {files}");
        remove(&machine.at("r"));
        let run = limited(&machine, &limits, "--repo v --passphrase-file pass restore latest --to r");
        // Below that, the loader finds no library.
        assert!(run.code == Some(127) || did(&run, &limits) || !run.stderr.is_empty(), "{run:?}");
    }
}

#[test]
fn few_open_files_are_enough_for_many_folders_and_threads() {
    let machine = machine();
    for folder in 0..60 {
        let inner = machine.at(&format!("s/d{folder}/x"));
        fs::create_dir_all(&inner).unwrap();
        (0..40).for_each(|file| fs::write(inner.join(file.to_string()), noise(folder * 40 + file, 100)).unwrap());
        fs::hard_link(machine.at("s/1"), inner.join("link")).unwrap();
    }
    machine.done(&["--repo", "v", "--passphrase-file", "pass", "init"]);
    for arguments in
        ["backup s --lanes 16", "verify --deep --passphrase-file pass", "--passphrase-file pass restore latest --to r --lanes 16"]
    {
        let run = limited(&machine, "ulimit -n 64", &format!("--repo v {arguments}"));
        assert_eq!(run.code, Some(0), "{arguments}: {run:?}");
    }
    assert_eq!(tree(&machine.at("r")).unwrap(), tree(&machine.at("s")).unwrap());
}

#[test]
fn a_file_that_may_not_be_so_long_is_said_and_the_rest_is_done() {
    let machine = machine();
    fs::write(machine.at("s/long"), noise(9, 3_000_000)).unwrap();
    machine.done(&["--repo", "v", "--passphrase-file", "pass", "init"]);
    machine.done(&["--repo", "v", "backup", "s"]);
    // Blocks of 512 or 1,024 bytes, as the shell has it.
    let run = limited(&machine, "ulimit -f 1500", "--repo v --passphrase-file pass restore latest --to r");
    assert!(run.code == Some(3) && run.stderr.contains("long"), "{run:?}");
    assert!(!machine.at("r/long").exists());
    assert_eq!(fs::read(machine.at("r/2")).unwrap(), noise(2, 300_000));
    fs::write(machine.at("s/new"), noise(10, 2_000_000)).unwrap();
    let run = limited(&machine, "ulimit -f 100", "--repo v backup s");
    assert!(!is_an_end(&run) && run.code != Some(0) && run.stderr.contains("error: "), "{run:?}");
    machine.done(&["--repo", "v", "backup", "s"]);
    machine.done(&["--repo", "v", "verify"]);
}
