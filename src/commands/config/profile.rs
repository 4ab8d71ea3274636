//! Profiles: TOML files with settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroize;

use super::error::ConfigError;
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
    /// What `backup` does unless told otherwise.
    #[serde(default)]
    pub backup: BackupProfile,
    /// Accounts and what is exported of them.
    #[serde(default)]
    pub telegram: TelegramProfile,
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

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.zeroize();
    }
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

/// A size in bytes: a number, or text as in `"10M"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a size: a number of bytes, or text as in \"10M\"")]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => units::parse_size(&text).map(Self).map_err(serde::de::Error::custom),
        }
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
    for value in [&mut profile.identity, &mut profile.passphrase_file, &mut profile.state_dir, &mut profile.ca_file].into_iter().flatten() {
        settle(value);
    }
    let telegram = &mut profile.telegram;
    for value in [&mut telegram.api_hash_file, &mut telegram.server_key, &mut telegram.session_passphrase_file].into_iter().flatten() {
        settle(value);
    }
    profile.backup.exclude_file.iter_mut().flatten().for_each(settle);
    if let Some(repo) = profile.repo.as_mut().filter(|repo| !repo.contains(':')) {
        let mut folder = PathBuf::from(&*repo);
        settle(&mut folder);
        *repo = folder.to_string_lossy().into_owned();
    }
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
