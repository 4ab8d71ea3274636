//! What seals the logins of the built program: the system's keyring, a passphrase by command, a key file.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tgvault_test_support::telegram::Options;

use crate::export::{assert_all_of, readable};
use crate::program::Program;

fn small() -> Options {
    Options { messages: 200, chats: 6, files: 4, media_bytes: 400_000, gallery: false, ..Options::default() }
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A session bus with a keyring on it that is unlocked, both of the test's own.
fn keyring(program: &Program) -> (String, [Ends; 2]) {
    let own = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(name);
        command.args(arguments).env_clear().env("HOME", program.sandbox.home()).env("XDG_RUNTIME_DIR", program.file("tmp"));
        command.env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    };
    let mut bus = own("dbus-daemon", &["--session", "--nofork", "--print-address"]).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim().to_owned();
    let bus = Ends(bus);
    let mut keyring = own("gnome-keyring-daemon", &["--foreground", "--unlock", "--components=secrets"]);
    let mut keyring = keyring.env("DBUS_SESSION_BUS_ADDRESS", &address).spawn().unwrap();
    // It reads the password of its only keyring to the end of its input.
    keyring.stdin.take().unwrap().write_all(b"test").unwrap();
    // What it prints says that it is there.
    let mut line = String::new();
    BufReader::new(keyring.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (address, [bus, Ends(keyring)])
}

fn log_in(program: &Program, more: &[&str]) {
    let phone = program.server.options().phone.clone();
    let run = program.with_input(&[&["login", "--phone", &phone], more].concat(), "22222\n");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn a_login_sealed_by_the_keyring_opens_with_it_and_not_without() {
    tgvault_test_support::needs_programs!("dbus-daemon", "gnome-keyring-daemon");
    let mut program = Program::bare(small());
    let (address, _running) = keyring(&program);
    let folder = program.sandbox.home().join(".config/tgvault");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("default.toml"), "machine-key = \"keyring\"\n").unwrap();
    program.sandbox.env([("DBUS_SESSION_BUS_ADDRESS", address)]);
    program.unlocked(&["init"]);
    log_in(&program, &[]);
    program.backup(&["--takeout", "never"], 0);
    program.backup(&["--takeout", "never"], 0);
    assert_all_of(&program.server, &program.restored());
    assert!(!program.file("state/machine.key").exists(), "the key lies in a file all the same");
    // Another session, without that keyring.
    program.sandbox.env([("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")]);
    let without = program.run(&["backup", "telegram", "--takeout", "never"]);
    assert_eq!(without.code, Some(12), "{}", without.stderr);
    assert!(without.stderr.contains("cannot read this machine's key from the system keyring"), "{}", without.stderr);
    assert!(without.stderr.contains("hint: unlock the keyring"), "{}", without.stderr);
}

#[test]
fn a_login_sealed_with_a_passphrase_by_command_backs_up_with_it_and_not_without() {
    let program = Program::new(small());
    let given = ["--session-passphrase-command", "echo another seven purple otters beside quartz zebras"];
    log_in(&program, &[&["--session-passphrase"], &given[..]].concat());
    let backup = ["backup", "telegram", "--no-account-data", "--takeout", "never"];
    for _ in 0..2 {
        let run = program.run(&[&backup[..], &given].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(!format!("{}{}", run.stdout, run.stderr).contains("otters"));
    }
    assert_all_of(&program.server, &program.restored());
    let requests = program.server.requests().len();
    let without = program.run(&backup);
    assert_eq!(without.code, Some(12), "{}", without.stderr);
    assert!(without.stderr.contains("--session-passphrase-file"), "{}", without.stderr);
    let wrong = program.run(&[&backup[..], &["--session-passphrase-command", "echo wrong"]].concat());
    assert_eq!(wrong.code, Some(12), "{}", wrong.stderr);
    let failing = program.run(&[&backup[..], &["--session-passphrase-command", "exit 3"]].concat());
    assert!(failing.code != Some(0) && failing.stderr.contains("command failed"), "{}", failing.stderr);
    assert_eq!(program.server.requests().len(), requests, "Telegram was asked without the login");
}

#[test]
fn a_login_sealed_with_the_key_file_needs_that_file() {
    let program = Program::new(small());
    log_in(&program, &[]);
    let key = program.file("state/machine.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    program.backup(&["--takeout", "never", "--chat", &crate::harness::peer(readable(&program.server)[0].peer).to_string()], 0);
    // A thief of the session file alone, and a machine that lost its key.
    std::fs::rename(&key, program.file("key elsewhere")).unwrap();
    let without = program.run(&["chats"]);
    assert_eq!(without.code, Some(12), "{}", without.stderr);
    assert!(without.stderr.contains("tgvault login"), "{}", without.stderr);
    std::fs::rename(program.file("key elsewhere"), &key).unwrap();
    assert_eq!(program.run(&["chats"]).code, Some(0));
}
