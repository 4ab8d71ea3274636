//! What the program says where it cannot do what it was asked: a clear error, a hint, and the documented code.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tgvault_test_support::sandbox::{DEFAULT_SIGNALS, Run, Sandbox};

use crate::support::noise;

/// A sandbox whose program is run by somebody who is not root.
pub struct Ordinary {
    sandbox: Sandbox,
    program: PathBuf,
    /// Where these tests run as root: a user that nobody else is, because some limits count all that a user runs.
    user: Option<u32>,
}

/// A user and group id that no other sandbox of this run has, nor one of another run beside it, between those of people and `nobody`.
fn somebody() -> u32 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    20_000 + std::process::id().wrapping_mul(64).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % 40_000
}

impl Ordinary {
    pub fn new() -> Self {
        let built = Path::new(env!("CARGO_BIN_EXE_tgvault"));
        let sandbox = Sandbox::new(built).unwrap();
        // Where it was built, others may not look.
        let program = sandbox.folder().join("tgvault");
        // By a process of its own: while this one held the copy open for writing, a fork of another test would hold it, too, and
        // what is held open for writing cannot be run.
        let copied = Command::new("cp").args([built, &program]).status().unwrap();
        assert!(copied.success(), "cp: {copied}");
        let user = rustix::process::geteuid().is_root().then(somebody);
        for path in [sandbox.folder().to_owned(), sandbox.home(), sandbox.work(), sandbox.folder().join("tmp")] {
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            chown(&path, user, user).unwrap();
        }
        Self { sandbox, program, user }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.sandbox.work().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.run_program(&self.program, arguments)
    }

    /// Runs a line by a shell, whose `$0` is the program.
    pub fn run_by_shell(&self, line: &str) -> Run {
        self.run_program(Path::new("bash"), &["-c", line, &self.program.display().to_string()])
    }

    fn run_program(&self, program: &Path, arguments: &[&str]) -> Run {
        let plain = self.sandbox.command(arguments);
        let mut command = Command::new("env");
        command.arg(DEFAULT_SIGNALS);
        if let Some(user) = self.user.map(|user| user.to_string()) {
            command.args(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
        }
        command.arg(program).args(arguments).env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.sandbox.work()).stdin(std::process::Stdio::null()).output().unwrap().into()
    }

    /// A run that must succeed.
    pub fn done(&self, arguments: &[&str]) {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
    }

    /// Changes the mode of a folder and all folders below it.
    fn close(&self, folder: &Path, mode: u32) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                self.close(&entry.path(), mode);
            }
        }
        fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
    }
}

/// Asserts that a run failed with `code`, saying `says` and hinting at `hints`.
fn assert_fails(run: &Run, code: i32, says: &str, hints: &str) {
    assert_eq!(run.code, Some(code), "{run:?}");
    let error = run.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("no error: {run:?}"));
    assert!(error.contains(says), "{run:?}");
    let hint = run.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or_else(|| panic!("no hint: {run:?}"));
    assert!(hint.contains(hints), "{run:?}");
}

#[test]
fn a_target_that_may_not_be_written_is_said_and_can_still_be_read() {
    let machine = Ordinary::new();
    for folder in ["export", "closed"] {
        fs::create_dir(machine.at(folder)).unwrap();
    }
    fs::write(machine.at("export/file"), noise(1, 100_000)).unwrap();
    fs::set_permissions(machine.at("closed"), Permissions::from_mode(0o555)).unwrap();
    let (identity, recipient) = tgvault::crypt::keys::generate();
    fs::write(machine.at("identity"), tgvault::crypt::keys::expose(&identity)).unwrap();
    fs::set_permissions(machine.at("identity"), Permissions::from_mode(0o444)).unwrap();

    for place in ["closed", "closed/vault"] {
        let run = machine.run(&["--repo", place, "init", "-r", &recipient]);
        assert_fails(&run, 1, "not allowed to write", "owner and mode");
        assert!(run.stderr.contains("closed"), "{run:?}");
    }
    machine.done(&["--repo", "vault", "init", "-r", &recipient]);
    machine.done(&["--repo", "vault", "backup", "export"]);
    fs::write(machine.at("export/more"), noise(2, 100_000)).unwrap();
    machine.close(&machine.at("vault"), 0o555);
    let run = machine.run(&["--repo", "vault", "backup", "export"]);
    assert_fails(&run, 1, "not allowed to write", "owner and mode");
    // What is there is read as before.
    machine.done(&["--repo", "vault", "verify"]);
    machine.done(&["--repo", "vault", "-i", "identity", "restore", "latest", "--to", "restored"]);
    assert_eq!(fs::read(machine.at("restored/file")).unwrap(), noise(1, 100_000));
    machine.close(&machine.at("vault"), 0o755);
    machine.done(&["--repo", "vault", "backup", "export"]);
    for folder in ["vault", "closed"] {
        machine.close(&machine.at(folder), 0o755);
    }
}

#[test]
fn a_file_in_the_place_of_the_vault_is_named() {
    let machine = Ordinary::new();
    let (_, recipient) = tgvault::crypt::keys::generate();
    fs::write(machine.at("file"), b"no folder").unwrap();
    fs::create_dir(machine.at("export")).unwrap();
    for (place, file) in [("/dev/null/x", "'/dev/null'"), ("/dev/null", "'/dev/null'"), ("file", "file'"), ("file/a/b", "file'")] {
        for arguments in [&["init", "-r", &recipient][..], &["verify"], &["backup", "export"]] {
            let run = machine.run(&[&["--repo", place], arguments].concat());
            assert_fails(&run, 10, "cannot be a folder", "name a folder");
            assert!(run.stderr.contains(file), "{run:?}");
        }
    }
    assert_eq!(fs::read(machine.at("file")).unwrap(), b"no folder");
}

/// Without any variable of a cloud, and without a service of this machine that would give a key.
#[test]
fn no_credentials_are_said_with_the_names_of_the_variables_that_are_missing() {
    let machine = Ordinary::new();
    let (_, recipient) = tgvault::crypt::keys::generate();
    fs::create_dir(machine.at("export")).unwrap();
    for (address, variable) in [
        ("s3://bucket/vault", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket/vault", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://container/vault", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("abfss://container@account.dfs.core.windows.net/vault", "AZURE_STORAGE_ACCOUNT_KEY"),
    ] {
        for arguments in [&["init", "-r", &recipient][..], &["verify"], &["backup", "export"]] {
            let run = machine.run(&[&["--repo", address], arguments].concat());
            assert_fails(&run, 1, &format!("no credentials found for '{address}'"), variable);
        }
    }
}
