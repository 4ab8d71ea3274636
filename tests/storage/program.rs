//! The built program, from `init` to `restore`, on each server: the main job, a line that fails, two machines at once, and what
//! it says when bucket or credentials are wrong.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tgvault::crypt::keys;
use tgvault_test_support::gate::{Action, Gate, Seen};
use tgvault_test_support::sandbox::{Run, Sandbox};
use tgvault_test_support::stores::gcs::Gcs;
use tgvault_test_support::stores::s3s::S3s;
use tgvault_test_support::stores::{Bucket, azurite};
use tgvault_test_support::tree::tree;

use crate::stores::{self, content};

/// More than two parts of 8 MiB.
const LARGE: usize = 21 * 1024 * 1024;

/// A request with so much content carries a part of an archive.
const PART_AT_LEAST: u64 = 1024 * 1024;

/// The program in a home of its own, with a folder to back up.
pub struct Machine {
    pub sandbox: Sandbox,
    url: String,
    bucket: Bucket,
}

/// Who can read the vault.
pub struct Reader {
    _folder: tempfile::TempDir,
    file: PathBuf,
    recipient: String,
}

impl Reader {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("identity");
        let (secret, recipient) = keys::generate();
        let mut written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).unwrap();
        std::io::Write::write_all(&mut written, keys::expose(&secret).as_bytes()).unwrap();
        Self { _folder: folder, file, recipient }
    }

    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    pub fn option(&self) -> [&str; 2] {
        ["-i", self.file.to_str().unwrap()]
    }
}

impl Machine {
    pub fn new(bucket: &Bucket, prefix: &str) -> Self {
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        let url = format!("{}/{prefix}", bucket.url);
        Self { sandbox, url, bucket: bucket.clone() }
    }

    /// A machine with a new vault below `prefix`.
    pub fn with_vault(bucket: &Bucket, prefix: &str, reader: &Reader) -> Self {
        let this = Self::new(bucket, prefix);
        let made = this.run(&["init", "-r", &reader.recipient]);
        assert!(made.stdout.contains(&reader.recipient), "{made:?}");
        this
    }

    fn source(&self) -> PathBuf {
        self.sandbox.work().join("source")
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn fill(&self, seed: u64) {
        self.write("video/large.mp4", &content(LARGE, seed));
        self.write("result.json", &b"{\"id\": 1, \"text\": \"words\"},\n".repeat(5_000));
        self.write("empty", b"");
        for number in 0..10 {
            self.write(&format!("photos/{number}.jpg"), &content(1000 + 3000 * number, seed + 1 + number as u64));
        }
        symlink("../result.json", self.source().join("photos/link")).unwrap();
    }

    fn start(&self, bucket: &Bucket, arguments: &[&str]) -> Child {
        let mut command = self.sandbox.command(["--repo", &self.url]);
        command.args(arguments).envs(bucket.env.iter().map(|(name, value)| (name, value)));
        command.spawn().unwrap()
    }

    pub fn ended(&self, bucket: &Bucket, arguments: &[&str]) -> Run {
        self.start(bucket, arguments).wait_with_output().unwrap().into()
    }

    /// A run that must succeed.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let run = self.ended(&self.bucket, arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        run
    }

    /// A backup that must succeed; gives its summary.
    fn backup(&self) -> serde_json::Value {
        summary(&self.run(&["backup", "source", "--json"]))
    }

    /// Restores into a new folder and compares with the source.
    fn restores(&self, reader: &Reader, more: &[&str]) {
        let to = tempfile::tempdir_in(self.sandbox.folder()).unwrap();
        let out = to.path().join("out");
        self.run(&[&["restore", "latest", "--to", out.to_str().unwrap()], &reader.option()[..], more].concat());
        assert_eq!(tree(&out).unwrap(), tree(&self.source()).unwrap());
    }

    fn verifies(&self, reader: &Reader) {
        self.run(&["verify"]);
        self.run(&[&["verify", "--deep"], &reader.option()[..]].concat());
    }
}

/// The last line of a run with `--json`.
fn summary(run: &Run) -> serde_json::Value {
    let line = run.stdout.lines().last().unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    assert_eq!(value["message_type"], "summary", "{run:?}");
    value
}

/// `init`, two backups with changes between them, `restore`, `verify`.
fn main_job(bucket: &Bucket) {
    let reader = Reader::new();
    let machine = Machine::with_vault(bucket, "main/job", &reader);
    machine.fill(1);
    let first = machine.backup();
    assert!(first["stored_bytes"].as_u64().unwrap() > LARGE as u64, "{first}");

    machine.write("photos/3.jpg", b"another picture");
    machine.write("new/file", b"new");
    fs::remove_file(machine.source().join("photos/4.jpg")).unwrap();
    fs::rename(machine.source().join("video/large.mp4"), machine.source().join("moved.mp4")).unwrap();
    let second = machine.backup();
    // What was only moved is not sent again.
    assert_eq!(second["new_bytes"], "another picture".len() + "new".len(), "{second}");
    assert!(second["stored_bytes"].as_u64().unwrap() < 100_000, "{second}");

    machine.restores(&reader, &[]);
    machine.verifies(&reader);
    let listed = machine.run(&[&["snapshots", "--json"], &reader.option()[..]].concat());
    assert_eq!(listed.stdout.lines().filter(|line| line.contains("\"message_type\":\"snapshot\"")).count(), 2, "{listed:?}");
}

/// How the line before a server behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Each fifth request is cut, or its answer is lost.
    Flaky,
    /// Dead from the second part of an archive on.
    Dies,
    /// The server refuses every part but the first.
    Refuses,
}

fn is_part(seen: &Seen) -> bool {
    seen.header("content-length").and_then(|length| length.parse().ok()).is_some_and(|length: u64| length >= PART_AT_LEAST)
}

fn gate(bucket: &Bucket, line: Line) -> (Gate, Arc<AtomicUsize>) {
    let (parts, cut) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&cut);
    let gate = Gate::start(Some(bucket.address), move |seen| {
        let part = if is_part(seen) { parts.fetch_add(1, Ordering::SeqCst) + 1 } else { parts.load(Ordering::SeqCst) };
        let action = match line {
            Line::Flaky if seen.number % 10 == 4 => Action::HangUp,
            Line::Flaky if seen.number % 10 == 9 => Action::ForwardThenHangUp,
            Line::Dies if part >= 2 => Action::HangUp,
            Line::Refuses if part >= 2 && is_part(seen) => {
                Action::Answer(403, vec![], "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>")
            }
            _ => return Action::Forward,
        };
        count.fetch_add(1, Ordering::SeqCst);
        action
    });
    (gate.unwrap(), cut)
}

/// Ends a run as an impatient user does.
fn interrupt(mut child: Child) -> Run {
    let pid = Pid::from_child(&child);
    while child.try_wait().unwrap().is_none() {
        kill_process(pid, Signal::INT).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    child.wait_with_output().unwrap().into()
}

/// A line that fails in different ways: whatever happened, running the command again completes the backup.
fn bad_line(bucket: &Bucket, open_uploads: impl Fn() -> usize) {
    let reader = Reader::new();
    let machine = Machine::with_vault(bucket, "bad/line", &reader);
    machine.fill(7);
    let backup = ["backup", "source"];

    let (refusing, refused) = gate(bucket, Line::Refuses);
    let failed = machine.ended(&bucket.clone().through(&refusing.url()), &backup);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.contains("not allowed to write") && failed.stderr.contains("hint: "), "{failed:?}");
    assert!(refused.load(Ordering::SeqCst) > 0);
    assert_eq!(open_uploads(), 0, "a failed run leaves nothing to pay for");

    let (dying, cut) = gate(bucket, Line::Dies);
    let child = machine.start(&bucket.clone().through(&dying.url()), &backup);
    let started = Instant::now();
    // Several attempts, of several parts.
    while cut.load(Ordering::SeqCst) < 8 {
        assert!(started.elapsed() < Duration::from_secs(120), "no part was ever sent, or none again");
        std::thread::sleep(Duration::from_millis(10));
    }
    let ended = interrupt(child);
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert_eq!(ended.stderr.matches("does not answer").count(), 1, "an outage is one line: {ended:?}");

    let (flaky, disturbed) = gate(bucket, Line::Flaky);
    let completed = machine.ended(&bucket.clone().through(&flaky.url()), &backup);
    assert_eq!(completed.code, Some(0), "{completed:?}");
    assert!(disturbed.load(Ordering::SeqCst) > 1);
    machine.restores(&reader, &[]);
    machine.verifies(&reader);
}

/// Three processes of three machines at once, two of them new here.
fn three_at_once(bucket: &Bucket) {
    let reader = Reader::new();
    let first = Machine::with_vault(bucket, "three", &reader);
    let second = Machine::new(bucket, "three");
    let third = Machine::new(bucket, "three");
    first.fill(11);
    second.fill(12);
    third.fill(13);
    let arguments = |host| [&["backup", "source", "--host", host][..], &reader.option()].concat();
    let machines = [(&first, "first"), (&second, "second"), (&third, "third")];
    let children = machines.map(|(machine, host)| (machine, host, machine.start(bucket, &arguments(host))));
    for (_, host, child) in children {
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(0), "{host}: {run:?}");
    }
    for (machine, host) in machines {
        machine.restores(&reader, &["--host", host]);
    }
    first.verifies(&reader);
}

/// Sixteen new machines at once: whatever the server makes of conditions, the vault is sound, and all of them may write.
pub fn sixteen_at_once(bucket: &Bucket) {
    let reader = Reader::new();
    let owner = Machine::with_vault(bucket, "sixteen", &reader);
    let machines: Vec<(Machine, String)> = (0..16).map(|number| (Machine::new(bucket, "sixteen"), format!("host{number}"))).collect();
    let children: Vec<Child> = machines
        .iter()
        .map(|(machine, host)| {
            machine.write("file", host.as_bytes());
            machine.start(bucket, &[&["backup", "source", "--host", host][..], &reader.option()].concat())
        })
        .collect();
    for ((_, host), child) in machines.iter().zip(children) {
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(0), "{host}: {run:?}");
    }
    owner.verifies(&reader);
    let listed = owner.run(&[&["snapshots", "--json"], &reader.option()[..]].concat());
    assert_eq!(listed.stdout.lines().filter(|line| line.contains("\"message_type\":\"snapshot\"")).count(), 16, "{listed:?}");
    // All of them go on without a key, and without a word.
    for (machine, host) in machines.iter().step_by(5) {
        machine.write("more", b"more");
        let run = machine.ended(bucket, &["backup", "source", "--host", host]);
        assert_eq!(run.code, Some(0), "{run:?}");
        machine.restores(&reader, &["--host", host]);
    }
    let merged = owner.run(&[&["repair", "--json"], &reader.option()[..]].concat());
    assert_eq!(summary(&merged)["writers"], 17, "{merged:?}");
    owner.verifies(&reader);
}

/// A server that takes "only if it does not exist yet" for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_new_machines_where_conditions_are_ignored() {
    let bucket = stores::moto().await.bucket().await.unwrap();
    blocking(move || {
        let gate = Gate::start(Some(bucket.address), |_| Action::ForwardWithout("if-none-match")).unwrap();
        sixteen_at_once(&bucket.clone().through(&gate.url()));
    })
    .await;
}

/// A server that answers 501 to it.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_new_machines_where_conditions_are_refused() {
    let bucket = stores::moto().await.bucket().await.unwrap();
    blocking(move || {
        let gate = Gate::start(Some(bucket.address), |seen| match seen.header("if-none-match") {
            Some(_) => Action::Answer(501, vec![], "<?xml version='1.0'?><Error><Code>NotImplemented</Code></Error>"),
            None => Action::Forward,
        })
        .unwrap();
        sixteen_at_once(&bucket.clone().through(&gate.url()));
    })
    .await;
}

/// A server of which several win.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_new_machines_where_several_win() {
    blocking(|| {
        let server = S3s::start().unwrap();
        sixteen_at_once(&server.bucket().unwrap());
    })
    .await;
}

/// Asserts how a run fails: its code, and what its hint says.
fn fails(machine: &Machine, bucket: &Bucket, code: i32, says: &str) {
    machine.write("file", b"file");
    for arguments in [&["backup", "source"][..], &["verify"]] {
        let run = machine.ended(bucket, arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        let hint = run.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or_else(|| panic!("no hint: {run:?}"));
        assert!(hint.contains(says), "{run:?}");
        assert!(run.stdout.is_empty(), "{run:?}");
    }
}

/// A bucket without a vault.
fn no_vault(bucket: &Bucket) {
    fails(&Machine::new(bucket, "empty"), bucket, 10, "create a vault there with `tgvault init`");
}

/// A bucket that is not there. (s3s-fs has no such thing: it makes buckets as they are named.)
pub fn no_bucket(bucket: &Bucket) {
    let missing = Machine::new(&Bucket { url: bucket.url.replace("bucket-", "missing-"), ..bucket.clone() }, "vault");
    fails(&missing, bucket, 10, "create the bucket");
    let reader = Reader::new();
    let run = missing.ended(bucket, &["init", "-r", &reader.recipient]);
    assert_eq!(run.code, Some(10), "{run:?}");
    assert!(run.stderr.contains("missing-") && run.stderr.contains("hint: "), "{run:?}");
}

/// What every server must see the program through.
pub fn every_job(bucket: &Bucket, open_uploads: impl Fn() -> usize) {
    main_job(bucket);
    bad_line(bucket, &open_uploads);
    killed_in_an_upload(bucket, &open_uploads);
    three_at_once(bucket);
    no_vault(bucket);
}

fn without(bucket: &Bucket, names: &[&str]) -> Bucket {
    let env = bucket.env.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect();
    Bucket { env, ..bucket.clone() }
}

/// Runs what blocks, and takes long, beside the other tests.
async fn blocking(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_program_on_moto() {
    tgvault_test_support::needs_servers!("moto");
    let server = stores::moto().await;
    let bucket = server.bucket().await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    blocking(move || {
        every_job(&bucket, || runtime.block_on(server.open_uploads(&bucket)).unwrap());
        no_bucket(&bucket);
        fails(&Machine::new(&bucket, "x"), &without(&bucket, &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]), 1, "AWS_ACCESS_KEY_ID");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_program_on_s3s() {
    blocking(|| {
        // A server of its own: it counts unfinished uploads over all buckets.
        let server = S3s::start().unwrap();
        let bucket = server.bucket().unwrap();
        every_job(&bucket, || server.open_uploads().unwrap());
        fails(&Machine::new(&bucket, "x"), &bucket.clone().with_env("AWS_SECRET_ACCESS_KEY", "another"), 1, "check the key");
        fails(&Machine::new(&bucket, "x"), &bucket.clone().with_env("AWS_ACCESS_KEY_ID", "nobody"), 1, "check the key");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_program_on_azurite() {
    tgvault_test_support::needs_servers!("azurite");
    let server = stores::azurite().await;
    let bucket = server.bucket().await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    blocking(move || {
        every_job(&bucket, || runtime.block_on(server.open_uploads(&bucket)).unwrap());
        no_bucket(&bucket);
        let other = "c2VjcmV0LXRoYXQtbXVzdC1ub3Qtc2hvdw==";
        assert_ne!(other, azurite::KEY);
        fails(&Machine::new(&bucket, "x"), &bucket.clone().with_env("AZURE_STORAGE_ACCOUNT_KEY", other), 1, "check the key");
        fails(&Machine::new(&bucket, "x"), &without(&bucket, &["AZURE_STORAGE_ACCOUNT_KEY"]), 1, "AZURE_STORAGE_ACCOUNT_KEY");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_program_on_our_server_for_google() {
    blocking(|| {
        let server = Gcs::start().unwrap();
        let bucket = server.bucket();
        every_job(&bucket, || server.open_uploads());
        no_bucket(&bucket);
        fails(&Machine::new(&bucket, "x"), &without(&bucket, &["GOOGLE_SERVICE_ACCOUNT_KEY"]), 1, "GOOGLE_APPLICATION_CREDENTIALS");
    })
    .await;
}

/// A run that is killed in the middle of an upload leaves parts that nobody sees and somebody pays for: this machine knows of them,
/// says so, and its next run removes them.
fn killed_in_an_upload(bucket: &Bucket, open_uploads: impl Fn() -> usize) {
    let reader = Reader::new();
    // Where the answer to the beginning of an upload was lost, nobody knows of it: a bad line may have left such before.
    let before = open_uploads();
    let machine = Machine::with_vault(bucket, "killed", &reader);
    machine.fill(23);
    let (parts, stuck) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&stuck);
    let gate = Gate::start(Some(bucket.address), move |seen| {
        if !is_part(seen) || parts.fetch_add(1, Ordering::SeqCst) < 1 {
            return Action::Forward;
        }
        count.fetch_add(1, Ordering::SeqCst);
        Action::Silent
    })
    .unwrap();
    let mut child = machine.start(&bucket.clone().through(&gate.url()), &["backup", "source"]);
    let started = Instant::now();
    while stuck.load(Ordering::SeqCst) == 0 || open_uploads() == before {
        assert!(started.elapsed() < Duration::from_secs(120), "no part was ever sent");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    assert!(open_uploads() > before, "the server must show an unfinished upload for this test to mean anything");
    let verified = machine.run(&["verify", "--json"]);
    assert!(summary(&verified)["unfinished_uploads"].as_u64().unwrap() > 0, "{verified:?}");
    assert!(machine.run(&["verify"]).stderr.contains("unfinished"));
    machine.backup();
    assert_eq!(open_uploads(), before, "the next run removes them");
    assert_eq!(summary(&machine.run(&["verify", "--json"]))["unfinished_uploads"], 0);
    let stats = machine.run(&[&["stats", "--json"], &reader.option()[..]].concat());
    assert!(stats.stdout.contains("\"unfinished_uploads\":0"), "{stats:?}");
    machine.restores(&reader, &[]);
    machine.verifies(&reader);
}

/// A run that is killed before it hears that an upload has begun: nobody was told its id. It is counted, and found by the object's name.
pub fn killed_before_the_answer(bucket: &Bucket, open_uploads: impl Fn() -> usize) {
    let reader = Reader::new();
    let before = open_uploads();
    let machine = Machine::with_vault(bucket, "unanswered", &reader);
    machine.fill(29);
    let stuck = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&stuck);
    let gate = Gate::start(Some(bucket.address), move |seen| {
        let begins = seen.method == "POST" && seen.target.contains("uploads") && !seen.target.contains("uploadId");
        match count.fetch_add(usize::from(begins), Ordering::SeqCst) {
            0 if begins => Action::ForwardThenHangUp,
            0 => Action::Forward,
            _ => Action::Silent,
        }
    })
    .unwrap();
    let mut child = machine.start(&bucket.clone().through(&gate.url()), &["backup", "source"]);
    let started = Instant::now();
    while stuck.load(Ordering::SeqCst) < 2 {
        assert!(started.elapsed() < Duration::from_secs(120), "no upload was ever begun");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    assert!(open_uploads() > before, "the server must show an unfinished upload for this test to mean anything");
    let verified = machine.run(&["verify", "--json"]);
    assert!(summary(&verified)["unfinished_uploads"].as_u64().unwrap() > 0, "{verified:?}");
    machine.backup();
    assert_eq!(open_uploads(), before, "the next run finds and removes them");
    assert_eq!(summary(&machine.run(&["verify", "--json"]))["unfinished_uploads"], 0);
    machine.restores(&reader, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_whose_beginning_was_not_answered_are_found_on_moto() {
    tgvault_test_support::needs_servers!("moto");
    let server = stores::moto().await;
    let bucket = server.bucket().await.unwrap();
    let runtime = tokio::runtime::Handle::current();
    blocking(move || killed_before_the_answer(&bucket, || runtime.block_on(server.open_uploads(&bucket)).unwrap())).await;
}

/// What the server made of conditions is noted in the vault: no later run of any machine asks for what is answered with 501.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_condition_is_sent_once() {
    tgvault_test_support::needs_servers!("moto");
    let bucket = stores::moto().await.bucket().await.unwrap();
    blocking(move || {
        let reader = Reader::new();
        let gate = Gate::start(Some(bucket.address), |seen| match seen.header("if-none-match") {
            Some(_) => Action::Answer(501, vec![], "<?xml version='1.0'?><Error><Code>NotImplemented</Code></Error>"),
            None => Action::Forward,
        })
        .unwrap();
        let bucket = bucket.through(&gate.url());
        let conditions = || gate.seen().iter().filter(|seen| seen.header("if-none-match").is_some()).count();
        let machine = Machine::with_vault(&bucket, "refused", &reader);
        assert_eq!(conditions(), 1, "init finds out");
        machine.fill(31);
        machine.backup();
        machine.write("more", b"more");
        machine.backup();
        machine.restores(&reader, &[]);
        let other = Machine::new(&bucket, "refused");
        other.write("file", b"file");
        let run = other.ended(&bucket, &[&["backup", "source", "--host", "other"][..], &reader.option()].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(conditions(), 1, "and nobody asks again");
        machine.verifies(&reader);
    })
    .await;
}
