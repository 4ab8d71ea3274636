//! Profiles: TOML files with settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::alerts::{AlertsProfile, HooksProfile};
use super::error::ConfigError;
use super::prices::Prices;
use super::retention::RetentionProfile;
use super::sources::{self, SourceProfile, VaultProfile};
pub use super::values::{Hidden, Size};
use crate::commands::units;
use crate::model::kinds::KindChoice;
use crate::source::telegram::{ChatClass, Detail, Pace, TakeoutUse};

/// The profile that is read, if it is there, when none is named.
pub const DEFAULT: &str = "default";

/// The longest profile that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a profile may hold; every key may be left out, and an unknown one is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// Where the vault is.
    pub repo: Option<String>,
    /// The identity file that unlocks it.
    pub identity: Option<PathBuf>,
    /// The file whose first line is the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// The shell command whose first line of output is the passphrase.
    pub passphrase_command: Option<String>,
    /// Whether the system keyring is asked for the passphrase.
    pub keyring: Option<bool>,
    /// The root key that the vault must be signed with.
    pub root_key: Option<String>,
    /// Where this machine's state is kept.
    pub state_dir: Option<PathBuf>,
    /// What the state is sealed with.
    pub machine_key: Option<MachineKey>,
    /// Bytes a second that go out at most, as in `"10M"`.
    pub limit_upload: Option<Size>,
    /// Bytes a second that come in at most.
    pub limit_download: Option<Size>,
    /// A file of certificates that the store's servers are trusted by, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether the bucket's owner gets full control of every object that is stored.
    pub bucket_owner_full_control: Option<bool>,
    /// The address of the store's server.
    pub endpoint: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// A file of variables with the store's credentials.
    pub env_file: Option<PathBuf>,
    /// A systemd credential with such variables.
    pub credential: Option<String>,
    /// A profile of the AWS command line with the store's credentials.
    pub aws_profile: Option<String>,
    /// The vaults, in place of one.
    #[serde(default, rename = "vault")]
    pub vaults: Vec<VaultProfile>,
    /// What `run` backs up, in order.
    #[serde(default, rename = "source")]
    pub sources: Vec<SourceProfile>,
    /// What `run` keeps in every vault.
    pub retention: Option<RetentionProfile>,
    /// What the store charges.
    pub prices: Option<Prices>,
    /// Bytes that the store lets a vault take.
    pub quota: Option<Size>,
    /// Whom to tell, and how.
    #[serde(default)]
    pub alerts: AlertsProfile,
    /// Commands that are run when something happens.
    #[serde(default)]
    pub hooks: HooksProfile,
    /// What `backup` does unless told otherwise.
    #[serde(default)]
    pub backup: BackupProfile,
    /// Accounts and what is exported of them.
    #[serde(default)]
    pub telegram: TelegramProfile,
}

impl Profile {
    /// The profile for the vault that somebody means: by its name or its address; with no word about it, the first.
    pub fn for_wanted(self, wanted: Option<&str>) -> Self {
        let chosen = match wanted {
            None => self.vaults.first(),
            Some(wanted) => self.vaults.iter().find(|vault| vault.name.as_deref() == Some(wanted) || vault.repo == wanted),
        };
        match chosen.cloned() {
            Some(vault) => self.for_vault(vault),
            None => self,
        }
    }

    /// The profile for one of its vaults: what that says goes before what is said for all.
    pub fn for_vault(mut self, vault: VaultProfile) -> Self {
        // A way to unlock that a vault names is the only one it has.
        if vault.identity.is_some() || vault.passphrase_file.is_some() || vault.passphrase_command.is_some() {
            (self.identity, self.passphrase_file, self.passphrase_command) = (None, None, None);
        }
        if vault.env_file.is_some() || vault.credential.is_some() || vault.aws_profile.is_some() {
            (self.env_file, self.credential, self.aws_profile) = (None, None, None);
        }
        Self {
            repo: Some(vault.repo),
            identity: vault.identity.or(self.identity),
            passphrase_file: vault.passphrase_file.or(self.passphrase_file),
            passphrase_command: vault.passphrase_command.or(self.passphrase_command),
            keyring: vault.keyring.or(self.keyring),
            root_key: vault.root_key.or(self.root_key),
            limit_upload: vault.limit_upload.or(self.limit_upload),
            limit_download: vault.limit_download.or(self.limit_download),
            ca_file: vault.ca_file.or(self.ca_file),
            bucket_owner_full_control: vault.bucket_owner_full_control.or(self.bucket_owner_full_control),
            endpoint: vault.endpoint.or(self.endpoint),
            region: vault.region.or(self.region),
            env_file: vault.env_file.or(self.env_file),
            credential: vault.credential.or(self.credential),
            aws_profile: vault.aws_profile.or(self.aws_profile),
            retention: vault.retention.or(self.retention),
            prices: vault.prices.or(self.prices),
            quota: vault.quota.or(self.quota),
            ..self
        }
    }
}

/// The `[backup]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BackupProfile {
    /// The machine's name in snapshots.
    pub host: Option<String>,
    /// Tags of new snapshots.
    pub tags: Option<Vec<String>>,
    /// Patterns that are left out.
    pub exclude: Option<Vec<String>>,
    /// Files with such patterns.
    pub exclude_file: Option<Vec<PathBuf>>,
    /// Leaves out the content of folders with a `CACHEDIR.TAG`.
    pub exclude_caches: Option<bool>,
    /// Leaves out larger files, as in `"4G"`.
    pub exclude_larger_than: Option<Size>,
    /// Stays on the file system of the folder.
    pub one_file_system: Option<bool>,
    /// Tells changed files without their inode numbers.
    pub ignore_inode: Option<bool>,
    /// Tells changed files without the time of their inode's last change.
    pub ignore_ctime: Option<bool>,
}

/// The `[telegram]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TelegramProfile {
    /// The account that is meant where none is named.
    pub account: Option<String>,
    /// The application's number from my.telegram.org.
    pub api_id: Option<i32>,
    /// The application's secret.
    pub api_hash: Option<Hidden>,
    /// The file whose first line is the application's secret.
    pub api_hash_file: Option<PathBuf>,
    /// A server of one's own, `HOST:PORT`.
    pub server: Option<String>,
    /// The PEM file with that server's public RSA key.
    pub server_key: Option<PathBuf>,
    /// The number of its data centre.
    pub server_dc: Option<i32>,
    /// The proxy to Telegram: `socks5://…`, `http://…` or a `tg://proxy` link. It may have a password in it.
    pub proxy: Option<Hidden>,
    /// The file whose first line is the proxy's password.
    pub proxy_password_file: Option<PathBuf>,
    /// The shell command whose first line of output is that password.
    pub proxy_password_command: Option<String>,
    /// How hard Telegram's servers may be worked: `gentle`, `normal`, `fast`.
    pub pace: Option<Pace>,
    /// The file whose first line is the passphrase of the logins.
    pub session_passphrase_file: Option<PathBuf>,
    /// The shell command whose first line of output is that passphrase.
    pub session_passphrase_command: Option<String>,
    /// Types of chats, as `--chats` has them.
    pub chats: Option<Vec<ChatClass>>,
    /// Chats that are left out.
    pub exclude_chat: Option<Vec<String>>,
    /// Folders of Telegram whose chats are taken.
    pub folder: Option<Vec<String>>,
    /// Takes only the account's own messages from groups and channels.
    pub only_my_messages: Option<bool>,
    /// Kinds of media, as `--media` has them.
    pub media: Option<Vec<KindChoice>>,
    /// Leaves out larger files, as in `"100M"`.
    pub max_file_size: Option<Size>,
    /// What else is saved, as `--details` has it.
    pub details: Option<Vec<Detail>>,
    /// When to use a takeout: `always`, `auto`, `never`.
    pub takeout: Option<TakeoutUse>,
    /// How far back edits and deletions are looked for, as in `"30d"`.
    pub recheck: Option<String>,
    /// Requests per run for old messages.
    pub recheck_budget: Option<u32>,
}

/// What this machine's state is sealed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineKey {
    /// A file with mode 0600 beside the state.
    #[default]
    File,
    /// The system keyring.
    Keyring,
}

impl std::fmt::Display for MachineKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Keyring => "keyring",
        })
    }
}

/// What of the environment says where profiles are.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
}

impl Places {
    /// Reads the environment of this process. XDG says that relative paths there do not count.
    pub fn of_process() -> Self {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self { home: absolute("HOME"), config_home: absolute("XDG_CONFIG_HOME"), state_home: absolute("XDG_STATE_HOME") }
    }

    /// Where a new profile with this name belongs, the default one without a name.
    pub fn new_profile(&self, name: Option<&str>) -> Option<PathBuf> {
        self.profiles(name.unwrap_or(DEFAULT)).into_iter().next()
    }

    fn profiles(&self, name: &str) -> Vec<PathBuf> {
        if name.contains('/') {
            return vec![PathBuf::from(name)];
        }
        let user = self.config_home.clone().or_else(|| self.home.as_ref().map(|home| home.join(".config")));
        let folders = user.map(|folder| folder.join("tgvault")).into_iter().chain([PathBuf::from("/etc/tgvault")]);
        let mut file = OsString::from(name);
        file.push(".toml");
        folders.map(|folder| folder.join(&file)).collect()
    }
}

/// Reads the profile with this name; with no name, the default one if there is one.
///
/// # Errors
/// When it cannot be read, is not right, or was named and is missing.
pub fn load(name: Option<&str>, places: &Places) -> Result<Option<(PathBuf, Profile)>, ConfigError> {
    let candidates = places.profiles(name.unwrap_or(DEFAULT));
    for path in &candidates {
        match std::fs::File::open(path) {
            Ok(file) => {
                let unreadable = |source| ConfigError::Unreadable { path: path.clone(), source };
                let mut text = String::new();
                std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_BYTES), &mut text).map_err(unreadable)?;
                return Ok(Some((path.clone(), parse(path, &text, places)?)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(ConfigError::Unreadable { path: path.clone(), source }),
        }
    }
    match name {
        Some(name) => {
            let looked = candidates.iter().map(|path| path.display().to_string()).collect();
            Err(ConfigError::NoProfile { name: units::printable(name), looked })
        }
        None => Ok(None),
    }
}

fn parse(path: &Path, text: &str, places: &Places) -> Result<Profile, ConfigError> {
    let mut profile: Profile = toml::from_str(text).map_err(|error| {
        // The parser's own form repeats the whole line, and a line may hold a secret command.
        let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        let place = line.map_or_else(String::new, |line| format!("line {line}: "));
        ConfigError::Malformed { path: path.to_owned(), why: format!("{place}{}", error.message()) }
    })?;
    // A profile means the same wherever the program is started.
    let base = path.parent().unwrap_or(Path::new("/"));
    let settle = |value: &mut PathBuf| {
        *value = match (value.strip_prefix("~"), &places.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => base.join(&*value),
        };
    };
    let files = [&mut profile.identity, &mut profile.passphrase_file, &mut profile.state_dir, &mut profile.ca_file, &mut profile.env_file];
    files.into_iter().flatten().for_each(settle);
    profile.vaults.iter_mut().flat_map(VaultProfile::paths).for_each(settle);
    profile.sources.iter_mut().flat_map(SourceProfile::paths).for_each(settle);
    profile.alerts.paths().for_each(settle);
    let telegram = &mut profile.telegram;
    let files =
        [&mut telegram.api_hash_file, &mut telegram.server_key, &mut telegram.session_passphrase_file, &mut telegram.proxy_password_file];
    files.into_iter().flatten().for_each(settle);
    profile.backup.exclude_file.iter_mut().flatten().for_each(settle);
    let addresses = profile.repo.iter_mut().chain(profile.vaults.iter_mut().map(|vault| &mut vault.repo));
    for repo in addresses.filter(|repo| !repo.contains(':')) {
        let mut folder = PathBuf::from(&*repo);
        settle(&mut folder);
        *repo = folder.to_string_lossy().into_owned();
    }
    let wrong = |why: String| ConfigError::Malformed { path: path.to_owned(), why };
    if profile.repo.is_some() && !profile.vaults.is_empty() {
        return Err(wrong("it has both `repo` and [[vault]] tables: put the address into a [[vault]] of its own".to_owned()));
    }
    sources::check(&profile.vaults, &profile.sources).map_err(wrong)?;
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Profile, ConfigError> {
        let places = Places { home: Some("/home/u".into()), ..Places::default() };
        parse(Path::new("/home/u/.config/tgvault/default.toml"), text, &places)
    }

    #[test]
    fn paths_are_settled_against_home_and_the_profile() {
        let profile = read(
            "repo = '~/vault'\nidentity = 'id.txt'\npassphrase-file = '/run/p'\nlimit-upload = '10M'\nlimit-download = 5\n\
             machine-key = 'keyring'\n[backup]\nexclude = ['*.tmp']\ntags = ['daily']\nexclude-file = ['~/x']",
        )
        .unwrap();
        assert_eq!(profile.repo.as_deref(), Some("/home/u/vault"));
        assert_eq!(profile.identity, Some("/home/u/.config/tgvault/id.txt".into()));
        assert_eq!(profile.passphrase_file, Some("/run/p".into()));
        assert_eq!(profile.limit_upload, Some(Size(10 << 20)));
        assert_eq!(profile.limit_download, Some(Size(5)));
        assert_eq!(profile.machine_key, Some(MachineKey::Keyring));
        assert_eq!(profile.backup.exclude_file, Some(vec!["/home/u/x".into()]));
        assert_eq!(read("repo = 's3://b/p'").unwrap().repo.as_deref(), Some("s3://b/p"));
        let media = |text: &str| read(text).unwrap().telegram.media;
        assert_eq!(media("[telegram]\nmedia = ['music', 'none']"), Some(vec![KindChoice::Music, KindChoice::None]));
    }

    #[test]
    fn what_is_not_right_is_named_with_its_line_and_without_its_value() {
        for (text, named) in [
            ("repo = 'x'\nrepos = 'y'", "line 2: unknown field `repos`"),
            ("[backup]\nexcludes = []", "line 2: unknown field `excludes`"),
            ("limit-upload = '10X'", "line 1: '10X' is not a size"),
            ("machine-key = 'tpm'", "line 1: unknown variant `tpm`"),
            ("[telegram]\nmedia = ['smell']", "line 2: 'smell' is none of photos, videos"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let error = read("passphrase-command = 'echo hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn sources_and_vaults_are_tables_of_their_own() {
        let profile = read(
            "identity = 'id'\nregion = 'r'\n[[vault]]\nname = 'disk'\nrepo = '~/v'\n[[vault]]\nrepo = 's3://b/p'\nenv-file = 'b.env'\n\
             passphrase-file = 'p'\n[[source]]\nkind = 'telegram'\naccount = 'main'\nvaults = ['disk']\nmax-age = '26h'\n\
             [[source]]\nkind = 'folder'\npath = '~/photos'\nname = 'photos'\nexclude-file = ['x']",
        )
        .unwrap();
        let labels = |profile: &Profile| profile.sources.iter().map(SourceProfile::label).collect::<Vec<_>>();
        assert_eq!(labels(&profile), ["telegram:main", "photos"]);
        assert!(
            profile.sources[0].goes_into("disk") && !profile.sources[0].goes_into("s3://b/p") && profile.sources[1].goes_into("s3://b/p")
        );
        let SourceProfile::Folder(folder) = &profile.sources[1] else { panic!() };
        assert_eq!((folder.path.to_str(), folder.exclude_file[0].to_str()), (Some("/home/u/photos"), Some("/home/u/.config/tgvault/x")));
        // The first is meant unless another one is named; what a vault says goes before what is said for all.
        let first = profile.clone().for_wanted(None);
        assert_eq!((first.repo.as_deref(), first.identity.is_some(), first.region.as_deref()), (Some("/home/u/v"), true, Some("r")));
        let second = profile.clone().for_wanted(Some("s3://b/p"));
        assert_eq!((second.identity, second.passphrase_file), (None, Some("/home/u/.config/tgvault/p".into())));
        assert_eq!(second.env_file, Some("/home/u/.config/tgvault/b.env".into()));
        assert_eq!(profile.clone().for_wanted(Some("s3://else")), profile);
    }

    #[test]
    fn tables_that_cannot_be_meant_are_refused() {
        let source = "[[source]]\nkind = 'folder'\npath = '/a'\n";
        let vault = "[[vault]]\nrepo = '/v'\n";
        for (text, named) in [
            (format!("repo = 'x'\n{vault}"), "both `repo` and [[vault]]"),
            (vault.repeat(2), "two [[vault]] tables are called '/v'"),
            (source.repeat(2), "two [[source]] tables are called '/a'"),
            (format!("{source}vaults = ['nas']\n{vault}"), "'nas', but no [[vault]]"),
            (format!("{source}acount = 'x'"), "unknown field `acount`"),
            ("[[source]]\nkind = 'tape'".to_owned(), "unknown variant `tape`"),
            ("[[source]]\nkind = 'telegram'".to_owned(), "missing field `account`"),
            (format!("{source}max-age = 'soon'"), "'soon' is not a time span"),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn a_named_profile_must_exist_and_the_default_need_not() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { config_home: Some(folder.path().into()), ..Places::default() };
        let error = load(Some("nas"), &places).unwrap_err().to_string();
        assert!(error.contains("nas.toml") && error.contains("/etc/tgvault"), "{error}");
        std::fs::create_dir(folder.path().join("tgvault")).unwrap();
        std::fs::write(folder.path().join("tgvault/nas.toml"), "repo = '/nas'").unwrap();
        assert_eq!(load(Some("nas"), &places).unwrap().unwrap().1.repo.as_deref(), Some("/nas"));
    }
}
