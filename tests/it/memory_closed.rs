//! What is in the memory of a run is closed to other processes of its user.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use tgvault_test_support::sandbox::Sandbox;

/// The superuser may read everything: as such, the test and its processes give up what lets them.
const GIVEN_UP: [&str; 3] = ["setpriv", "--bounding-set", "-sys_ptrace,-sys_admin,-perfmon"];

/// A command with no more powers than an ordinary user has over other processes of its own.
fn powerless(program: &str) -> Vec<&str> {
    let given_up: &[&str] = if rustix::process::geteuid().is_root() { &GIVEN_UP } else { &[] };
    given_up.iter().copied().chain([program]).collect()
}

/// Whether another process of the same user may read what only the process itself should.
fn is_readable(process: u32) -> bool {
    let (file, reader) = (format!("/proc/{process}/environ"), powerless("cat"));
    let mut command = Command::new(reader[0]);
    command.args(&reader[1..]).arg(file).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn another_process_of_the_same_user_cannot_read_the_memory_of_a_run() {
    tgvault_test_support::needs_programs!("setpriv", "cat", "mkfifo");
    let program = powerless(env!("CARGO_BIN_EXE_tgvault"));
    let sandbox = Sandbox::new(program[0]).unwrap();
    let line = |words: &[&'static str]| program[1..].iter().copied().chain(words.iter().copied()).collect::<Vec<_>>();
    let (_, recipient) = tgvault::crypt::keys::generate();
    let made = sandbox.command(line(&["--repo", "vault", "init", "-r"])).arg(recipient).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert!(Command::new("mkfifo").arg("answer").current_dir(sandbox.work()).status().unwrap().success());
    // The run waits for a passphrase: its command says that it has begun, and then that the answer is there.
    let words = ["--repo", "vault", "--passphrase-command", "touch begun; cat answer", "snapshots"];
    let mut child = sandbox.command(line(&words)).spawn().unwrap();
    while !sandbox.work().join("begun").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let closed = !is_readable(child.id());
    // One that has not closed itself, for comparison: it has begun once it has read a line.
    let reader = powerless("cat");
    let mut other = Command::new(reader[0]).args(&reader[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (other.stdin.take().unwrap(), other.stdout.take().unwrap());
    input.write_all(b"x").unwrap();
    output.read_exact(&mut [0]).unwrap();
    let open = is_readable(other.id());
    other.kill().unwrap();
    other.wait().unwrap();
    std::fs::write(sandbox.work().join("answer"), "a passphrase that opens nothing\n").unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(12));
    assert!(closed, "its memory is open");
    assert!(open, "this test could not read any process");
}
