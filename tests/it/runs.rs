//! Profiles with several sources and vaults, `run` and `status`, through the built program.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tgvault::state::Lock;
use tgvault_test_support::sandbox::{Run, Sandbox};

use crate::spelling::run;

/// A machine with the profile `default`, two vaults in it that exist, and the folders `a` and `b`.
pub struct Machine {
    pub sandbox: Sandbox,
    pub recipient: String,
}

/// Two sources into two vaults.
const PROFILE: &str = "\
[[vault]]
name = 'disk'
repo = '~/disk'

[[vault]]
name = 'other'
repo = '~/other'

[[source]]
kind = 'folder'
name = 'letters'
path = '~/a'
tags = ['daily']

[[source]]
kind = 'folder'
path = '~/b'
exclude = ['*.tmp']
";

impl Machine {
    pub fn new() -> Self {
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        let (secret, recipient) = tgvault::crypt::keys::generate();
        fs::write(sandbox.work().join("key.txt"), tgvault::crypt::keys::expose(&secret)).unwrap();
        let this = Self { sandbox, recipient };
        for (folder, file) in [("a", "letter"), ("b", "bill"), ("b", "x.tmp")] {
            fs::create_dir_all(this.home(folder)).unwrap();
            fs::write(this.home(folder).join(file), file).unwrap();
        }
        this.profile(PROFILE);
        for vault in ["disk", "other"] {
            this.done(&format!("-q --repo {vault} init -r {}", this.recipient));
        }
        this
    }

    pub fn home(&self, name: &str) -> std::path::PathBuf {
        self.sandbox.home().join(name)
    }

    /// Replaces the profile.
    pub fn profile(&self, text: &str) {
        let folder = self.home(".config/tgvault");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("default.toml"), text).unwrap();
    }

    /// Runs a line that must end with `code`.
    pub fn ends(&self, line: &str, code: i32) -> Run {
        let run = run(&self.sandbox, line);
        assert_eq!(run.code, Some(code), "{line}: {}{}", run.stdout, run.stderr);
        run
    }

    pub fn done(&self, line: &str) -> String {
        self.ends(line, 0).stdout
    }

    /// The names that the last snapshot of a source in a vault has.
    fn listed(&self, vault: &str, source: &Path) -> String {
        self.done(&format!("-q -i key.txt --repo {vault} ls latest --source {}", source.display()))
    }
}

/// The JSON lines of a run of one type.
pub fn lines(run: &Run, wanted: &str) -> Vec<Value> {
    let lines = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message_type"] == wanted).collect()
}

#[test]
fn every_source_goes_into_every_vault() {
    let machine = Machine::new();
    let run = machine.ends("run --json", 0);
    let steps: Vec<(Value, Value)> =
        lines(&run, "run_step").into_iter().map(|step| (step["source"].clone(), step["vault"].clone())).collect();
    let b = machine.home("b").display().to_string();
    let wanted = [("letters", "disk"), ("letters", "other"), (b.as_str(), "disk"), (b.as_str(), "other")];
    assert_eq!(steps, wanted.map(|(source, vault)| (source.into(), vault.into())));
    let last: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["command"], &last["done"], &last["failed"]), (&"run".into(), &4.into(), &0.into()));
    for vault in ["disk", "other"] {
        assert_eq!(machine.listed(vault, &machine.home("b")), "bill\n", "{vault}");
        let tagged = machine.done(&format!("-i key.txt --repo {vault} snapshots --json --tag daily"));
        assert_eq!(tagged.lines().filter(|line| line.contains("\"snapshot\"")).count(), 1, "{tagged}");
    }
    // One source, one vault; what would be stored is only shown.
    let one = machine.ends("run letters --repo other --json", 0);
    assert_eq!(lines(&one, "run_step").len(), 1);
    fs::write(machine.home("a/new"), "new").unwrap();
    machine.done("run --dry-run");
    assert_eq!(machine.listed("disk", &machine.home("a")), "letter\n");
    assert!(machine.ends("run nobody", 2).stderr.contains("it has letters"));
}

#[test]
fn a_source_that_fails_has_a_line_and_a_code_of_its_own_and_stops_no_other() {
    let machine = Machine::new();
    machine.done("-q run");
    fs::rename(machine.home("a"), machine.home("away")).unwrap();
    let run = machine.ends("run --json", 1);
    let codes: Vec<Value> = lines(&run, "run_step").into_iter().map(|step| step["exit_code"].clone()).collect();
    assert_eq!(codes, [1, 1, 0, 0].map(Value::from));
    assert_eq!(run.stderr.lines().filter(|line| line.contains("\"error\"")).count(), 2, "{}", run.stderr);
    let told = machine.ends("run", 1);
    assert!(told.stderr.contains("letters → disk: failed (exit code 1)"), "{}", told.stderr);
    assert!(told.stdout.ends_with("run: 2 of 4 backups done, 2 failed\n"), "{}", told.stdout);
    // A disk that is not mounted looks like an empty folder.
    fs::create_dir(machine.home("a")).unwrap();
    assert!(machine.ends("-q run", 17).stderr.contains("letters → disk: most files are gone"));
}

#[test]
fn a_vault_that_cannot_be_used_is_asked_once() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.home("disk")).unwrap();
    let run = machine.ends("run --json", 10);
    let told: Vec<(Value, bool)> =
        lines(&run, "run_step").into_iter().map(|step| (step["exit_code"].clone(), step.get("skipped_because").is_some())).collect();
    assert_eq!(told, [(10.into(), false), (0.into(), false), (10.into(), true), (0.into(), false)]);
    assert_eq!(machine.listed("other", &machine.home("b")), "bill\n");
}

#[test]
fn verify_checks_every_vault_and_goes_on_past_one_that_is_damaged() {
    let machine = Machine::new();
    machine.done("-q run");
    let both = machine.ends("verify --json", 0);
    assert_eq!(lines(&both, "summary").len(), 2);
    assert_eq!(lines(&machine.ends("verify --json --repo other", 0), "summary").len(), 1);
    fs::remove_dir_all(machine.home("disk/archives")).unwrap();
    let damaged = lines(&machine.ends("verify --json", 15), "summary");
    assert_eq!(damaged.iter().map(|line| line["sound"] == true).collect::<Vec<_>>(), [false, true]);
    assert!(machine.ends("status", 15).stderr.contains("found problems"));
}

#[test]
fn two_runs_of_one_profile_do_not_overlap() {
    let machine = Machine::new();
    machine.done("-q run");
    let folder = machine.home(".local/state/tgvault/run");
    let lock = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let held = Lock::take(&lock).unwrap();
    machine.ends("-q run", 11);
    drop(held);
    machine.done("-q run");
}

#[test]
fn a_profile_is_checked_and_shown_without_its_secrets() {
    let machine = Machine::new();
    machine.done("config check");
    let env = "AWS_ACCESS_KEY_ID=k\nAWS_SECRET_ACCESS_KEY=hunter2\n";
    fs::write(machine.home("b.env"), env).unwrap();
    let vault = "[[vault]]\nrepo = 's3://bucket/v'\nendpoint = 'https://127.0.0.1:9'\nregion = 'r'\nenv-file = '~/b.env'\n";
    machine.profile(&format!("{vault}passphrase-command = 'echo hunter2'\n[[source]]\nkind = 'folder'\npath = '~/gone'"));
    let checked = machine.ends("config check", 2).stdout;
    assert!(checked.contains("vault s3://bucket/v: ok") && checked.contains("gone' is not a folder"), "{checked}");
    let shown = machine.done("config show");
    for word in ["endpoint", "https://127.0.0.1:9", "b.env", "s3://bucket/v", "gone"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert!(!shown.contains("hunter2") && !checked.contains("hunter2"), "{shown}{checked}");
    // A file that is gone is found before it is needed.
    fs::remove_file(machine.home("b.env")).unwrap();
    assert!(machine.ends("config check", 2).stdout.contains("cannot read the variables"));
    machine.profile("[[source]]\nkind = 'folder'\npath = '~/a'");
    assert!(machine.ends("config check", 2).stdout.contains("add `repo` or a [[vault]] table"));
    machine.profile("[[source]]\nkind = 'tape'");
    assert!(machine.ends("config check", 2).stderr.contains("unknown variant `tape`"));
    // Profiles of before there were tables.
    machine.profile("repo = '~/disk'\n[backup]\ntags = ['old']");
    machine.done("config check");
    machine.done("-q backup .");
}

#[test]
fn a_run_keeps_what_the_profile_says_and_brings_the_mirror_up_to_date() {
    let machine = Machine::new();
    let recipient = &machine.recipient;
    machine.done(&format!("-q --repo far init -r {recipient}"));
    let profile = |vault: &str| {
        format!(
            "identity = '{}'\n{PROFILE}vaults = ['disk']\n[[vault]]\nname = 'copy'\nrepo = '~/copy'\nmirror-of = 'disk'\n{vault}",
            machine.sandbox.work().join("key.txt").display()
        )
    };
    let count = |vault: &str, more: &str| {
        let listed = machine.done(format!("snapshots --json --repo {vault} {more}").trim_end());
        listed.lines().filter(|line| line.contains("\"snapshot\"")).count()
    };
    machine.profile(&profile(""));
    for host in ["here", "here", "there"] {
        machine.done(&format!("-q run --host {host}"));
    }
    let letters = machine.home("a").display().to_string();
    assert_eq!([count("disk", ""), count("copy", ""), count("other", "")], [6, 6, 3]);
    // Only snapshots of this machine go, only in vaults that keep something, and the mirror follows.
    machine.profile(&profile("[retention]\nkeep-last = 1\n").replace("name = 'other'", "name = 'other'\nretention = { keep-last = 9 }"));
    let run = machine.ends("run --host here --json", 0);
    let forgot: Vec<u64> = lines(&run, "summary").iter().filter_map(|line| line["forgotten"].as_u64()).collect();
    assert_eq!(forgot, [4, 0], "{}", run.stdout);
    assert_eq!(lines(&run, "summary").iter().filter(|line| line["command"] == "prune").count(), 2);
    assert_eq!([count("disk", "--host here"), count("disk", "--host there"), count("other", "")], [2, 2, 4]);
    assert_eq!(count("copy", &format!("--source {letters}")), 2);
    machine.done("-q verify --repo disk");
    machine.done("-q verify --repo copy");
    // Once a day is enough, and not when somebody asks for one source.
    assert!(!machine.done("run --host here").contains("forgot"));
    assert_eq!(count("disk", "--host here"), 4);
    machine.profile(&profile("[retention]\nkeep-last = 1\nevery = '0'\nprune = false\n"));
    assert!(!machine.done("run letters --host here").contains("forgot"));
    assert!(machine.done("run --host here").contains("forgot 5 snapshots, kept 2"));
    // Without a key, nothing is forgotten and it is reported.
    machine.profile(&profile("[retention]\nkeep-last = 1\n").replacen("identity", "#", 1));
    assert!(machine.ends("config check", 2).stdout.contains("needs a key that reads the vault"));
    machine.profile(&profile("retention = { keep-last = 1 }"));
    assert!(machine.ends("config check", 2).stderr.contains("is a mirror and has a retention of its own"));
}

#[test]
fn status_tells_the_age_of_each_backup_without_a_key_and_without_the_vault() {
    let machine = Machine::new();
    let never = machine.ends("status --max-age 26h", 16);
    assert_eq!(never.stderr.matches("there is no backup; expected one from the last 1 d 2 h").count(), 4, "{}", never.stderr);
    machine.done("-q run");
    machine.done("-q --repo other verify");
    // No store is asked.
    fs::rename(machine.home("disk"), machine.home("unplugged")).unwrap();
    let told = machine.done("status --max-age 26h");
    assert_eq!(told.lines().count(), 5, "{told}");
    assert!(told.contains("complete") && told.contains("(checksums)") && told.contains("never"), "{told}");
    let found = lines(&machine.ends("status --json", 0), "status_source");
    assert_eq!((&found[0]["source"], &found[0]["verdict"], &found[0]["entries"]), (&"letters".into(), &"complete".into(), &1.into()));
    assert_eq!(found[1]["verified_sound"], true);
    assert!(found[0].get("verified").is_none() && found[0]["age_seconds"].is_number());
    // Everything is older than nothing; and it says why there is nothing newer.
    let late = machine.ends("status --max-age 0", 16);
    assert!(late.stderr.contains("no run has been started since then"), "{}", late.stderr);
    machine.ends("-q run", 10);
    let failing = machine.ends("status --max-age 0", 16);
    assert!(failing.stderr.contains("letters → disk") && failing.stderr.contains("does not exist"), "{}", failing.stderr);
    let json = lines(&machine.ends("status --json", 0), "status_source");
    assert_eq!((&json[0]["last_exit_code"], &json[0]["verdict"]), (&10.into(), &"complete".into()));
    assert!(json[0]["failing_since"].is_string());
    // A limit of the source's own goes before the one that is typed.
    machine.profile(&PROFILE.replace("tags = ['daily']", "tags = ['daily']\nmax-age = '9000w'"));
    assert!(!machine.ends("status --max-age 0", 16).stderr.contains("letters"));
}

#[test]
fn the_vault_itself_tells_of_all_machines_with_a_key_and_of_chains_without() {
    let machine = Machine::new();
    machine.done("-q run --host here");
    machine.done("-q run --host there letters");
    let all = machine.done("-i key.txt status --all --repo disk --max-age 1h");
    let count = |word: &str| all.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("here "), count("there ")), (2, 1), "{all}");
    assert_eq!(machine.ends("-i key.txt status --all --json --max-age 0", 16).stdout.matches("\"too_old\":true").count(), 6);
    // A machine that knows nothing and has no key.
    fs::remove_dir_all(machine.home(".local")).unwrap();
    let chains = lines(&machine.ends("status --chains --json --repo disk", 0), "status_chain");
    let numbers: Vec<u64> = chains.iter().filter_map(|chain| chain["sequence"].as_u64()).collect();
    assert_eq!(numbers.iter().sum::<u64>(), 3, "{chains:?}");
    assert!(chains.iter().all(|chain| chain["time"].is_string()));
    machine.profile("repo = '~/disk'");
    let shown = machine.ends("status", 0);
    assert!(shown.stderr.contains("no backup yet") && shown.stdout.contains("CHAIN"), "{shown:?}");
    machine.ends("status --chains --max-age 0", 16);
}
