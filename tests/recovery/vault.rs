//! A vault on which the shell lines of the page are run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use tgvault::crypt::digest::HashReader;
use tgvault::crypt::keys::expose;

use crate::support::{Log, World};

/// The block of the page whose fence is followed by `language name`.
pub fn block(language: &str, name: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recovery.md")).unwrap();
    let fence = format!("```{language} {name}\n");
    let (_, rest) = page.split_once(&fence).unwrap_or_else(|| panic!("docs/recovery.md has no block {name}"));
    rest.split_once("\n```").unwrap().0.to_owned() + "\n"
}

/// Runs a block of the page as the script that it is.
pub fn run(world: &World, name: &str, arguments: &[&OsStr]) -> Output {
    let script = world.root.path().join(format!("{name}.sh"));
    fs::write(&script, block("bash", name)).unwrap();
    Command::new("bash").arg(&script).args(arguments).current_dir(world.root.path()).stdin(Stdio::null()).output().unwrap()
}

pub fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Everything below a folder: path to kind, mode, owner, time and content, but for the times of folders.
pub fn look(root: &Path) -> BTreeMap<OsString, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let owner = format!("{}:{} {:o}", meta.uid(), meta.gid(), meta.permissions().mode() & 0o7777);
            let time = format!("{}.{:09}", meta.mtime(), meta.mtime_nsec());
            let said = if meta.is_symlink() {
                format!("link to {:?} {time}", fs::read_link(&path).unwrap())
            } else if meta.is_dir() {
                folders.push(path.clone());
                format!("folder {owner}")
            } else {
                let mut content = HashReader::new(fs::File::open(&path).unwrap());
                std::io::copy(&mut content, &mut std::io::sink()).unwrap();
                let (sha256, length) = content.finish();
                format!("file {owner} {time} {length} {sha256} names {}", meta.nlink())
            };
            found.insert(path.strip_prefix(root).unwrap().as_os_str().to_owned(), said);
        }
    }
    found
}

/// A vault, its user's key in a file, and its opened identity.
pub struct Vault {
    pub world: World,
    pub vault: PathBuf,
    pub identity: PathBuf,
}

impl Vault {
    pub async fn new() -> Self {
        Self::of(World::new().await)
    }

    pub fn of(world: World) -> Self {
        let (vault, key, identity) = (world.root.path().join("vault"), world.root.path().join("key"), world.root.path().join("identity"));
        fs::write(&key, expose(&world.secret)).unwrap();
        let opened = run(&world, "open", &[vault.as_os_str(), key.as_os_str(), identity.as_os_str()]);
        assert!(opened.status.success(), "{}", words(&opened));
        Self { world, vault, identity }
    }

    /// The stems of all snapshots, as the page lists them.
    pub fn stems(&self) -> Vec<String> {
        let listed = run(&self.world, "list", &[self.vault.as_os_str(), self.identity.as_os_str()]);
        assert!(listed.status.success(), "{}", words(&listed));
        let text = String::from_utf8(listed.stdout).unwrap();
        text.lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).collect()
    }

    /// Recovers the newest snapshot into a new folder.
    pub fn recover(&self) -> (PathBuf, Output) {
        let stem = self.stems().pop().unwrap();
        let to = tempfile::tempdir_in(self.world.root.path()).unwrap().keep().join("recovered");
        let output = run(&self.world, "recover", &[self.vault.as_os_str(), self.identity.as_os_str(), stem.as_ref(), to.as_os_str()]);
        assert!(!to.with_extension("recovery").exists(), "it left its work behind");
        (to, output)
    }

    pub async fn restore(&self) -> BTreeMap<OsString, String> {
        let to = tempfile::tempdir_in(self.world.root.path()).unwrap();
        let log = Arc::new(Log::default());
        let summary = self.world.restore_from(&self.world.storage, to.path(), Arc::clone(&log)).await.unwrap();
        assert_eq!(summary.problems, 0, "{:?}", log.0.lock().unwrap());
        look(to.path())
    }

    /// Recovers, and compares with what `restore` makes.
    pub async fn both(&self) -> BTreeMap<OsString, String> {
        let (to, output) = self.recover();
        assert!(output.status.success(), "{}", words(&output));
        let recovered = look(&to);
        assert_eq!(recovered, self.restore().await);
        recovered
    }

    pub fn verify(&self) -> Output {
        let root_key = self.world.report.root_key.as_str();
        run(&self.world, "verify", &[self.vault.as_os_str(), root_key.as_ref()])
    }

    pub fn stored(&self, folder: &str) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = fs::read_dir(self.vault.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }
}
