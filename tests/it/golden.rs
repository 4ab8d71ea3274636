//! Repositories that earlier programs wrote, below `tests/data/format/`: every later program must read them.
//!
//! - `v1-draft/`, `v3-draft/`: one for each form that the format had.
//!   - `good/`: a vault in a folder, `identity.txt` (a key of this test's own), `expected.txt` (what each snapshot restores to).
//!   - `damaged/*.txt`: what is done to a copy of it (`do:`), and the exact report of `verify --deep` (`expect:`).
//! - `account-of-words/`, `account-of-reasons/`: a Telegram account of which parts are missing. The first, of version 0.1.0, says why in
//!   sentences, the second as data. With the passphrase, and what `coverage --json` says of it.
//!
//! They are never changed. When the format gets another form, a new folder is written:
//! `cargo test --test it golden::write -- --ignored`.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use tgvault::Vault;
use tgvault::crypt::keys::expose;
use tgvault::operations::OperationError;
use tgvault::operations::session::Session;
use tgvault::operations::snapshot::choice::{Selection, SnapshotChoice};
use tgvault::repository::keys::Unlock;
use tgvault::state::StateFolder;
use tgvault::storage::Storage;
use tgvault_test_support::sandbox::Sandbox;

use crate::support::{World, noise, options, tempdir, tree, verify_options, wrong};

/// The forms that the format had, the newest last.
const FORMS: [&str; 2] = ["v1-draft", "v3-draft"];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format").join(name)
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            let _ = fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A copy of the good vault, and a session with its key on a machine that was never here.
struct Copy {
    folder: tempfile::TempDir,
    session: Session,
}

impl Copy {
    fn of(form: &str) -> Self {
        let good = data(form).join("good");
        let folder = tempdir();
        let vault = folder.path().join("vault");
        copy_folder(&good.join("vault"), &vault);
        let storage = Storage::open(vault.to_str().unwrap(), [], options()).unwrap();
        let identity = SecretString::from(fs::read_to_string(good.join("identity.txt")).unwrap());
        let state = StateFolder::open(folder.path().join("state"), None).unwrap();
        Self { folder, session: Session { unlock: Some(Unlock::IdentityFile(identity)), ..Session::new(storage, state) } }
    }

    /// What each snapshot restores to.
    async fn trees(&self) -> String {
        let opened = self.session.open().await.unwrap();
        let mut text = String::new();
        for stem in opened.repository.snapshot_stems().await.unwrap() {
            let to = tempdir();
            let choice = SnapshotChoice { wanted: stem.clone(), among: Selection::default() };
            let summary = Vault::from(self.session.clone()).restore(choice, to.path()).await.unwrap();
            assert_eq!((summary.problems, summary.damaged), (0, 0));
            writeln!(text, "snapshot {stem}").unwrap();
            for (name, said) in tree(to.path()) {
                writeln!(text, "  {name}: {said}").unwrap();
            }
        }
        text
    }

    /// The report of a deep verification, sorted.
    async fn report(&self) -> Vec<String> {
        match Vault::from(self.session.clone()).verify().options(verify_options(true)).await {
            Ok(report) => {
                let mut lines = wrong(&report);
                lines.extend(report.lost.iter().map(|(snapshot, path)| format!("lost from {snapshot}: {path}")));
                lines.sort();
                lines
            }
            Err(OperationError::Repository(error)) => vec![format!("refused: {error}")],
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Does one line of damage.
    fn damage(&self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let path = self.folder.path().join("vault").join(words[1]);
        let mut bytes = fs::read(&path).unwrap();
        match (words[0], words.get(2).map(|number| number.parse::<usize>().unwrap())) {
            ("delete", None) => return fs::remove_file(path).unwrap(),
            ("flip", Some(position)) => bytes[position] ^= 1,
            ("cut", Some(length)) => bytes.truncate(length),
            _ => panic!("{line}"),
        }
        fs::write(path, bytes).unwrap();
    }
}

fn cases(form: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(data(form).join("damaged")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn golden_repositories_are_read_as_they_always_were() {
    for form in FORMS {
        let copy = Copy::of(form);
        assert_eq!(copy.report().await, Vec::<String>::new(), "{form}");
        assert_eq!(copy.trees().await, fs::read_to_string(data(form).join("good/expected.txt")).unwrap(), "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_golden_repositories_are_reported_as_they_always_were() {
    let cases: Vec<(&str, PathBuf)> = FORMS.into_iter().flat_map(|form| cases(form).into_iter().map(move |case| (form, case))).collect();
    assert!(cases.len() >= 8 * FORMS.len(), "{cases:?}");
    for (form, case) in cases {
        let text = fs::read_to_string(&case).unwrap();
        let lines = |prefix: &str| text.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect::<Vec<_>>();
        let copy = Copy::of(form);
        lines("do: ").iter().for_each(|line| copy.damage(line));
        assert_eq!(copy.report().await, lines("expect: "), "{}", case.display());
        assert!(!lines("expect: ").is_empty(), "{}", case.display());
    }
}

/// What `coverage --json` says of a golden account, with its passphrase.
fn coverage_of(name: &str) -> String {
    let machine = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    // A copy: a reader makes nothing in a vault, and this shows it.
    let vault = machine.folder().join("vault");
    copy_folder(&data(name).join("vault"), &vault);
    let passphrase = machine.folder().join("passphrase");
    fs::copy(data(name).join("passphrase"), &passphrase).unwrap();
    fs::set_permissions(&passphrase, PermissionsExt::from_mode(0o600)).unwrap();
    let (vault, passphrase) = (vault.to_string_lossy(), passphrase.to_string_lossy());
    let run = machine.run(["--json", "--repo", &vault, "--passphrase-file", &passphrase, "coverage"]).unwrap();
    assert_eq!(run.code, Some(0), "{name}: {}{}", run.stdout, run.stderr);
    run.stdout
}

#[test]
fn why_something_is_missing_is_read_in_sentences_and_as_data() {
    for name in ["account-of-words", "account-of-reasons"] {
        assert_eq!(coverage_of(name), fs::read_to_string(data(name).join("coverage.jsonl")).unwrap(), "{name}");
    }
    let reasons = fs::read_to_string(data("account-of-reasons").join("coverage.jsonl")).unwrap();
    assert!(reasons.contains(r#""reason":"files_not_fetched""#) && reasons.contains(r#""reason":"history_not_read""#), "{reasons}");
}

fn set_time(path: &Path, seconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 5 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn set_times(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            set_times(&entry.path());
        }
        set_time(&entry.path(), 1_700_000_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes a new folder of tests/data/format: by hand, when the format has another form"]
async fn write_golden_repositories() {
    use std::os::unix::ffi::OsStrExt;
    let form = FORMS[FORMS.len() - 1];
    assert!(!data(form).exists(), "{form} is written, and never changes: add a name to FORMS");
    let world = World::new().await;
    let source = world.source();
    world.write("a.txt", b"some words");
    world.write("photos/1.jpg", &noise(1, 20_000));
    world.write("photos/2.jpg", &noise(2, 5_000));
    world.write("chats/result.json", &b"{\"id\": 1, \"text\": \"words\"},\n".repeat(200));
    world.write("empty", b"");
    world.write("turns", b"a file that becomes a folder");
    fs::write(source.join(std::ffi::OsStr::from_bytes(b"not \xff utf8\n")), b"strange name").unwrap();
    fs::write(source.join("n".repeat(200)), b"long name").unwrap();
    std::os::unix::fs::symlink("../a.txt", source.join("photos/link")).unwrap();
    fs::hard_link(source.join("a.txt"), source.join("photos/hard")).unwrap();
    set_times(&source);
    world.backup().await;
    fs::remove_file(source.join("turns")).unwrap();
    world.write("turns/into/folder", b"deep");
    fs::rename(source.join("photos/1.jpg"), source.join("moved.jpg")).unwrap();
    fs::remove_file(source.join("photos/2.jpg")).unwrap();
    set_times(&source);
    set_time(&source.join("empty"), -1_000_000);
    world.backup().await;
    world.write("a.txt", b"other words");
    set_times(&source);
    world.backup().await;

    let good = data(form).join("good");
    copy_folder(&world.root.path().join("vault"), &good.join("vault"));
    fs::write(good.join("identity.txt"), format!("# a key for tests, which opens nothing else\n{}\n", expose(&world.secret))).unwrap();
    fs::write(good.join("expected.txt"), Copy::of(form).trees().await).unwrap();

    let objects: Vec<String> = world.objects().await.into_keys().collect();
    let first = |prefix: &str, ending: &str| objects.iter().find(|name| name.starts_with(prefix) && name.ends_with(ending)).unwrap();
    let last = |prefix: &str, ending: &str| objects.iter().rfind(|name| name.starts_with(prefix) && name.ends_with(ending)).unwrap();
    let largest =
        world.objects().await.into_iter().filter(|(name, _)| name.starts_with("archives/")).max_by_key(|(_, bytes)| *bytes).unwrap().0;
    let snapshot = last("snapshots/", ".json.zst.age");
    let sums = last("snapshots/", ".sums");
    let root = first("root/", ".json");
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("archive-body-flipped", vec![format!("flip {largest} 9000")]),
        ("archive-header-flipped", vec![format!("flip {largest} 60")]),
        ("archive-cut", vec![format!("cut {largest} 9000")]),
        ("archive-missing", vec![format!("delete {largest}")]),
        ("snapshot-one-copy-flipped", vec![format!("flip {snapshot} 300")]),
        ("snapshot-both-copies-flipped", vec![format!("flip {snapshot} 300"), format!("flip mirror/{snapshot} 300")]),
        ("snapshot-second-copy-missing", vec![format!("delete mirror/{snapshot}")]),
        ("sums-both-copies-flipped", vec![format!("flip {sums} 20"), format!("flip mirror/{sums} 20")]),
        ("signature-one-copy-flipped", vec![format!("flip {} 80", last("snapshots/", ".minisig"))]),
        ("root-flipped", vec![format!("flip {root} 100"), format!("flip mirror/{root} 100")]),
        ("root-one-copy-flipped", vec![format!("flip {root} 100")]),
        ("key-slot-missing-one-copy", vec![format!("delete {}", first("keys/", ".age"))]),
        ("descriptor-cut", vec!["cut tgvault.json 20".to_owned()]),
        (
            "sequence-number-missing",
            objects
                .iter()
                .filter(|name| {
                    name.contains(
                        objects
                            .iter()
                            .filter(|name| name.starts_with("snapshots/") && name.ends_with(".sums"))
                            .nth(1)
                            .unwrap()
                            .split('.')
                            .next()
                            .unwrap(),
                    )
                })
                .map(|name| format!("delete {name}"))
                .collect(),
        ),
    ];
    fs::create_dir(data(form).join("damaged")).unwrap();
    for (name, damages) in cases {
        let copy = Copy::of(form);
        let mut text = String::new();
        for line in &damages {
            copy.damage(line);
            writeln!(text, "do: {line}").unwrap();
        }
        for line in copy.report().await {
            writeln!(text, "expect: {line}").unwrap();
        }
        fs::write(data(form).join("damaged").join(format!("{name}.txt")), text).unwrap();
    }
}
