//! The built program and the server: every way in without a terminal, and out again.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tgvault::model::entry::EntryPath;
use tgvault_test_support::sandbox::{Run, Sandbox};
use tgvault_test_support::telegram::{Effect, Fault, Options, TelegramServer, When};

use crate::harness::Vault;

/// A server, a machine that knows it, and a vault.
pub struct Program {
    pub server: TelegramServer,
    pub sandbox: Sandbox,
}

const PASSPHRASE: &str = "seven purple otters juggle forgotten lanterns beside quartz zebras";

/// From its nth request on the server answers nothing, so that a run which is to be killed before does not end by itself, however
/// late the kill comes on a busy machine.
pub fn fall_silent_after(program: &Program, requests: u64) {
    program.server.add_fault(Fault { when: When { from: requests, ..When::default() }, then: Effect::Silent });
}

impl Program {
    pub fn new(options: Options) -> Self {
        let program = Self::bare(options);
        program.unlocked(&["init"]);
        program
    }

    /// The same without a vault.
    pub fn bare(options: Options) -> Self {
        let server = TelegramServer::start(options).unwrap();
        let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        let file = |name: &str| sandbox.folder().join(name).to_string_lossy().into_owned();
        std::fs::write(file("key.pem"), server.key().public_pem()).unwrap();
        std::fs::write(file("passphrase"), PASSPHRASE).unwrap();
        std::fs::set_permissions(file("passphrase"), PermissionsExt::from_mode(0o600)).unwrap();
        let variables = [
            ("TGVAULT_REPO", file("vault")),
            ("TGVAULT_STATE_DIR", file("state")),
            ("TGVAULT_API_ID", "12345".to_owned()),
            ("TGVAULT_API_HASH", "0123456789abcdef0123456789abcdef".to_owned()),
            ("TGVAULT_TELEGRAM_SERVER", server.address().to_string()),
            ("TGVAULT_TELEGRAM_SERVER_KEY", file("key.pem")),
            ("TGVAULT_PACE", "fast".to_owned()),
            ("TGVAULT_LANES", "1".to_owned()),
        ];
        sandbox.env(variables);
        Self { server, sandbox }
    }

    /// A new account, logged in as `main`.
    pub fn logged_in(options: Options) -> Self {
        let program = Self::new(options);
        let phone = program.server.options().phone.clone();
        let code = format!("{}\n", program.server.options().code);
        let run = program.with_input(&["login", "--phone", &phone], &code);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        program
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.sandbox.run(arguments).unwrap()
    }

    /// Runs with the vault's passphrase; must succeed.
    pub fn unlocked(&self, arguments: &[&str]) -> Run {
        let passphrase = self.sandbox.folder().join("passphrase").to_string_lossy().into_owned();
        let run = self.run(&[&["--passphrase-file", passphrase.as_str()], arguments].concat());
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.stderr);
        run
    }

    pub fn with_input(&self, arguments: &[&str], input: &str) -> Run {
        let mut child = self.sandbox.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(input.as_bytes()).unwrap();
        drop(pipe);
        Run::from(child.wait_with_output().unwrap())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.sandbox.command(arguments)
    }

    /// A backup of the account without what changes by itself, which must end with `code`.
    pub fn backup(&self, more: &[&str], code: i32) -> Run {
        let run = self.run(&[&["backup", "telegram", "--no-account-data", "--recheck-budget", "0"], more].concat());
        assert_eq!(run.code, Some(code), "{}{}", run.stdout, run.stderr);
        run
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.sandbox.folder().join(name)
    }

    /// What the last snapshot holds, as it is on the disk after a restore.
    pub fn restored(&self) -> Vault {
        let to = tempfile::tempdir_in(self.sandbox.folder()).unwrap();
        let path = to.path().join("restored");
        self.unlocked(&["restore", "latest", "--as", "files", "--to", &path.to_string_lossy()]);
        let mut vault = Vault::default();
        collect(&path, &path, &mut vault);
        vault
    }

    /// What this machine remembers of its accounts beside their logins: each file with its content.
    pub fn remembered(&self) -> BTreeMap<String, Vec<u8>> {
        let mut vault = Vault::default();
        collect(&self.file("state/telegram"), &self.file("state/telegram"), &mut vault);
        let files = vault.files.into_iter().map(|(path, content)| (path.to_string(), content));
        files.filter(|(name, _)| !name.ends_with(".session")).collect()
    }

    /// Stored archives.
    pub fn archives(&self) -> usize {
        count(&self.file("vault/archives"))
    }
}

/// Puts all files below a folder into a vault.
pub fn collect(root: &Path, folder: &Path, vault: &mut Vault) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, vault);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            vault.files.insert(EntryPath::new(name.into_bytes()).unwrap(), std::fs::read(&path).unwrap());
        }
    }
}

fn count(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

fn modes(folder: &Path) -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut modes: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o777)).collect();
    modes.sort();
    modes
}

#[test]
fn login_by_lines_on_standard_input_with_mistakes_and_a_second_password() {
    let program = Program::new(Options { password: Some("correct horse".into()), ..Options::empty() });
    let phone = program.server.options().phone.clone();
    let run = program.with_input(&["login", "--phone", &phone], "00000\n22222\nwrong\ncorrect horse\n");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.starts_with("logged in: account 'main' is user "), "{}", run.stdout);
    for said in ["That code is wrong.", "That password is wrong.", "anyone who gets this machine"] {
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    let all = format!("{}{}", run.stdout, run.stderr);
    assert!(!all.contains("correct horse") && !all.contains("22222"), "{all}");
    // Sealed, and nobody else's to read.
    let folder = program.file("state/telegram");
    assert_eq!(modes(&folder), [("main.session".to_owned(), 0o600)]);
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let sealed = std::fs::read(folder.join("main.session")).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1\n") && !sealed.windows(7).any(|window| window == b"home_dc"));
    let accounts = program.run(&["accounts", "--json"]);
    assert!(accounts.stdout.contains(r#""account":"main""#) && accounts.stdout.contains(r#""bot":false"#), "{}", accounts.stdout);
}

#[test]
fn login_by_commands_and_files_asks_each_once() {
    let program = Program::new(Options { password: Some("correct horse".into()), ..Options::empty() });
    let phone = program.server.options().phone.clone();
    let login = ["login", "--phone", &phone, "--code-command", "echo 22222"];
    let wrong = program.run(&[&login[..], &["--password-command", "echo nonsense"]].concat());
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(
        wrong.stderr.contains("the password is wrong, and no other was given") && !wrong.stderr.contains("nonsense"),
        "{}",
        wrong.stderr
    );
    assert_eq!(program.server.methods()["auth.checkPassword"], 1);
    let file = program.file("password");
    std::fs::write(&file, "correct horse\n").unwrap();
    let run = program.run(&[&login[..], &["--password-file", &file.to_string_lossy(), "--account", "work"]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("'work'"), "{}", run.stdout);
}

#[test]
fn login_as_a_bot_and_by_qr_code() {
    let program = Program::new(Options { accept_login_tokens: true, ..Options::empty() });
    let token = program.server.options().bot_token.clone();
    let bot = program.with_input(&["login", "--bot", "--account", "robot"], &format!("{token}\n"));
    assert_eq!(bot.code, Some(0), "{}", bot.stderr);
    assert!(!format!("{}{}", bot.stdout, bot.stderr).contains(&token));
    let qr = program.run(&["login", "--qr"]);
    assert_eq!(qr.code, Some(0), "{}", qr.stderr);
    assert!(qr.stderr.contains('▀') && qr.stderr.contains("Link Desktop Device"), "{}", qr.stderr);
    let json = program.run(&["--json", "login", "--qr", "--account", "third"]);
    assert!(json.stdout.contains(r#"{"message_type":"login_qr","link":"tg://login?token="#), "{}", json.stdout);
    // Which of them is meant has to be said.
    let unclear = program.run(&["chats"]);
    assert_eq!(unclear.code, Some(2), "{}", unclear.stderr);
    assert!(unclear.stderr.contains("main, robot, third"), "{}", unclear.stderr);
}

#[test]
fn logout_ends_the_session_at_telegram_and_here() {
    let program = Program::logged_in(Options::empty());
    program.backup(&["--takeout", "never"], 0);
    let run = program.run(&["logout"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(program.server.methods()["auth.logOut"], 1);
    assert_eq!(modes(&program.file("state/telegram")), []);
    let backup = program.run(&["backup", "telegram"]);
    assert_eq!(backup.code, Some(13), "{}", backup.stderr);
    assert!(backup.stderr.contains("tgvault login"), "{}", backup.stderr);
}

#[test]
fn what_a_login_needs_is_told() {
    let mut program = Program::new(Options::empty());
    program.sandbox.env([("TGVAULT_API_HASH", "")]);
    let run = program.run(&["login", "--phone", "+1"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("https://my.telegram.org"), "{}", run.stderr);
    program.sandbox.env([("TGVAULT_API_HASH", "0")]);
    let nobody = program.run(&["login"]);
    assert_eq!(nobody.code, Some(2), "{}", nobody.stderr);
    program.server.add_fault(Fault { when: When::method("auth.sendCode"), then: Effect::rpc(420, "FLOOD_WAIT_11520") });
    let flood = program.run(&["login", "--phone", "+1"]);
    assert_eq!(flood.code, Some(14), "{}", flood.stderr);
    assert!(flood.stderr.contains("Telegram requires a wait of 3 h 12 min before asking for a code"), "{}", flood.stderr);
}

#[test]
fn logins_can_have_a_passphrase_of_their_own() {
    let program = Program::new(Options::empty());
    let file = program.file("login-passphrase");
    std::fs::write(&file, "another seven purple otters beside quartz zebras\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let file = file.to_string_lossy().into_owned();
    let phone = program.server.options().phone.clone();
    let given = ["--session-passphrase-file", file.as_str()];
    let run = program.with_input(&[&["login", "--phone", &phone, "--session-passphrase"], &given[..]].concat(), "22222\n");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("encrypted with a passphrase"), "{}", run.stderr);
    assert_eq!(program.run(&[&["chats"], &given[..]].concat()).code, Some(0));
    let without = program.run(&["chats"]);
    assert_eq!(without.code, Some(12), "{}", without.stderr);
    std::fs::write(program.file("login-passphrase"), "wrong\n").unwrap();
    let wrong = program.run(&[&["chats"], &given[..]].concat());
    assert_eq!(wrong.code, Some(12), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("the login passphrase is wrong"), "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("state folder"), "{}", wrong.stderr);
}

#[test]
fn what_telegram_says_to_a_login_is_told_in_words() {
    let program = Program::new(Options::empty());
    let phone = program.server.options().phone.clone();
    for (code, error, words) in
        [(400, "PHONE_NUMBER_FLOOD", "too many attempts"), (406, "UPDATE_APP_TO_LOGIN", "--qr"), (400, "PHONE_NUMBER_BANNED", "banned")]
    {
        program.server.add_fault(Fault { when: When::method("auth.sendCode"), then: Effect::rpc(code, error) });
        let run = program.run(&["login", "--phone", &phone]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(run.stderr.contains(words) && !run.stderr.contains(error), "{}", run.stderr);
        program.server.clear_faults();
    }
    let once = When { times: Some(1), ..When::method("auth.sendCode") };
    program.server.add_fault(Fault { when: once, then: Effect::rpc(500, "AUTH_RESTART") });
    let run = program.with_input(&["login", "--phone", &phone], "22222\n");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}
