//! What the tests of whole operations share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tgvault::Vault;
use tgvault::crypt::keys::{expose, generate};
use tgvault::model::entry::EntryPath;
use tgvault::operations::backup::{BackupOptions, BackupSummary};
use tgvault::operations::events::{Event, Events};
use tgvault::operations::init::{InitOptions, InitReport};
use tgvault::operations::restore::{RestoreOptions, RestoreSummary};
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::operations::verify::{VerifyOptions, VerifyReport};
use tgvault::operations::{OperationError, Session};
use tgvault::repository::Machine;
use tgvault::repository::keys::Unlock;
use tgvault::source::Source;
use tgvault::source::folder::{FolderOptions, FolderSource};
use tgvault::state::StateFolder;
use tgvault::storage::{Storage, StorageOptions};

/// A machine, a store and a folder to back up, all below one temporary folder.
pub struct World {
    pub root: tempfile::TempDir,
    pub secret: SecretString,
    pub storage: Storage,
    pub report: InitReport,
    pub machine: Machine,
    /// How many archives a backup builds side by side.
    pub lanes: usize,
}

/// Keeps every event as text.
#[derive(Default)]
pub struct Log(pub Mutex<Vec<String>>);

impl Events for Log {
    fn event(&self, event: &Event<'_>) {
        if !matches!(event, Event::Progress(_)) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }
}

/// A folder in memory where there is one: what these tests ask is not whether the disk keeps what it was given, and thousands of
/// syncs take long.
pub fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn options() -> StorageOptions {
    StorageOptions {
        retry_budget: std::time::Duration::from_millis(50),
        retry_first_delay: std::time::Duration::from_millis(1),
        ..Default::default()
    }
}

impl World {
    pub async fn new() -> Self {
        let root = tempdir();
        let storage = Storage::open(root.path().join("vault").to_str().unwrap(), [], options()).unwrap();
        Self::with(root, storage).await
    }

    pub async fn with(root: tempfile::TempDir, storage: Storage) -> Self {
        Self::on(root, storage, Machine::default()).await
    }

    /// A world of which the same seed makes the same names and times again.
    pub async fn seeded(seed: u64) -> Self {
        let storage = Storage::open("memory://", [], options()).unwrap();
        // Of two lanes either can be the first to take a file.
        Self { lanes: 1, ..Self::on(tempdir(), storage, Machine::seeded(seed)).await }
    }

    async fn on(root: tempfile::TempDir, storage: Storage, machine: Machine) -> Self {
        let (secret, recipient) = generate();
        fs::create_dir(root.path().join("source")).unwrap();
        let state = StateFolder::open(root.path().join("state"), None).unwrap();
        let vault = Vault::new(storage.clone(), state).on(machine.clone());
        let report = vault.init(&InitOptions { passphrase: None, recipients: vec![recipient] }).await.unwrap();
        Self { root, secret, storage, report, machine, lanes: 2 }
    }

    pub fn source(&self) -> PathBuf {
        self.root.path().join("source")
    }

    pub fn unlock(&self) -> Unlock {
        Unlock::IdentityFile(SecretString::from(expose(&self.secret)))
    }

    pub fn session(&self, storage: &Storage, unlock: Option<Unlock>) -> Session {
        let state = StateFolder::open(self.root.path().join("state"), None).unwrap();
        Session { unlock, machine: self.machine.clone(), ..Session::new(storage.clone(), state) }
    }

    /// The vault as a machine sees it that has no key.
    pub fn locked(&self, storage: &Storage) -> Vault {
        self.session(storage, None).into()
    }

    /// The vault as a machine sees it that has the key.
    pub fn vault(&self, storage: &Storage) -> Vault {
        self.session(storage, Some(self.unlock())).into()
    }

    pub async fn backup_to(&self, storage: &Storage) -> Result<BackupSummary, OperationError> {
        let source = FolderSource::open(&self.source(), FolderOptions::default()).unwrap();
        self.backup_with(&self.locked(storage), Arc::new(source), Arc::new(Log::default())).await
    }

    async fn backup_with(&self, vault: &Vault, source: Arc<dyn Source>, log: Arc<Log>) -> Result<BackupSummary, OperationError> {
        let options = |options: &mut BackupOptions| (options.host, options.lanes) = ("host".into(), self.lanes);
        vault.backup(source).with(options).events(log).await
    }

    pub async fn backup(&self) -> BackupSummary {
        self.backup_to(&self.storage).await.unwrap()
    }

    pub async fn restore_from(&self, storage: &Storage, to: &Path, log: Arc<Log>) -> Result<RestoreSummary, OperationError> {
        self.vault(storage).restore(SnapshotChoice::latest(), to).with(|options| options.lanes = 2).events(log).await
    }

    /// How many objects there are by now in a vault that somebody writes into.
    pub fn appeared(&self) -> usize {
        count(&self.root.path().join("vault"), |name| !name.starts_with('.') && !name.contains("tmp"))
    }

    pub async fn archive_bytes(&self) -> u64 {
        self.objects().await.iter().filter(|(name, _)| name.starts_with("archives/")).map(|(_, bytes)| bytes).sum()
    }

    /// Restores the newest snapshot into a new folder and gives what is in it.
    pub async fn restored(&self) -> BTreeMap<String, String> {
        let to = tempfile::tempdir_in(self.root.path()).unwrap();
        let log = Arc::new(Log::default());
        let summary = self.restore_from(&self.storage, to.path(), Arc::clone(&log)).await.unwrap();
        assert_eq!(summary.problems, 0, "{:?}", log.0.lock().unwrap());
        tree(to.path())
    }

    pub async fn verify(&self, deep: bool) -> VerifyReport {
        self.vault(&self.storage).verify().options(verify_options(deep)).await.unwrap()
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A world whose store is in memory: fast, and its objects can be changed.
    pub async fn in_memory() -> Self {
        let storage = Storage::open("memory://", [], options()).unwrap();
        Self::with(tempdir(), storage).await
    }

    /// A session of a machine that was never here before.
    pub fn newcomer(&self, storage: &Storage, unlock: Option<Unlock>) -> Session {
        let state = StateFolder::open(self.root.path().join("newcomer"), None).unwrap();
        Session { unlock, machine: self.machine.clone(), ..Session::new(storage.clone(), state) }
    }

    pub async fn backup_in(&self, session: &Session, source: Arc<dyn Source>) -> Result<(BackupSummary, Vec<String>), OperationError> {
        let log = Arc::new(Log::default());
        let summary = self.backup_with(&session.clone().into(), source, Arc::clone(&log)).await?;
        let said = log.0.lock().unwrap().clone();
        Ok((summary, said))
    }

    pub async fn restore_in(&self, session: &Session, to: &Path, paths: &[&str], log: Arc<Log>) -> Result<RestoreSummary, OperationError> {
        let paths = paths.iter().map(|path| EntryPath::new(*path).unwrap()).collect();
        let vault = Vault::from(session.clone());
        vault.restore(SnapshotChoice::latest(), to).options(restore_options(to, paths)).events(log).await
    }

    pub async fn verify_in(&self, session: &Session, deep: bool) -> Result<VerifyReport, OperationError> {
        Vault::from(session.clone()).verify().options(verify_options(deep)).await
    }

    /// Name and length of every object.
    pub async fn objects(&self) -> BTreeMap<String, u64> {
        let found = self.storage.list("").await.unwrap();
        found.into_iter().map(|object| (object.name, object.size_bytes)).collect()
    }

    pub async fn object(&self, name: &str) -> Vec<u8> {
        self.storage.get(name, 1 << 30).await.unwrap().unwrap().to_vec()
    }

    /// Puts other bytes under a name.
    pub async fn replace(&self, name: &str, bytes: &[u8]) {
        self.storage.delete(name).await.unwrap();
        self.storage.put_new(name, bytes.to_vec().into()).await.unwrap();
    }

    /// Forgets what this machine knows of its chains, and keeps its pins and its key.
    pub fn forget_chains(&self) {
        let folder = self.root.path().join("state").join(self.report.repository.to_string());
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_dir()) {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }

    /// The archives in the local store.
    pub fn archives(&self) -> Vec<String> {
        tree(&self.root.path().join("vault")).into_keys().filter(|name| name.starts_with("archives/") && name.ends_with(".age")).collect()
    }
}

pub fn restore_options(to: &Path, paths: Vec<EntryPath>) -> RestoreOptions {
    RestoreOptions { paths, lanes: 2, ..RestoreOptions::into(to.to_owned()) }
}

pub fn verify_options(deep: bool) -> VerifyOptions {
    VerifyOptions { deep, lanes: 2, ..VerifyOptions::default() }
}

/// What is wrong with a repository, as text, without the random parts of names.
pub fn wrong(report: &VerifyReport) -> Vec<String> {
    report.wrong.iter().map(|finding| format!("{}: {}", finding.object, finding.what)).collect()
}

/// Everything below a folder: path to kind, mode, time, an attribute, content.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let attribute = |path: &Path| {
        let mut value = [0_u8; 64];
        let length = rustix::fs::lgetxattr(path, "user.test", &mut value).map_or(0, |length| length);
        value[..length].escape_ascii().to_string()
    };
    tgvault_test_support::tree::tree_with(root, attribute).unwrap()
}

/// Files below a folder in which somebody is at work.
pub fn count(folder: &Path, of: impl Fn(&str) -> bool + Copy) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.path().is_dir() { count(&entry.path(), of) } else { usize::from(of(&entry.file_name().to_string_lossy())) })
        .sum()
}

/// Bytes that do not compress.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
