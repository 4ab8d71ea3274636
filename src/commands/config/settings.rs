//! What was typed, laid over the environment and the profile.

use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::alerts::{AlertsProfile, HooksProfile};
use super::error::ConfigError;
use super::origin::{Origin, Setting};
use super::prices::Prices;
use super::profile::{self, BackupProfile, MachineKey, Places, Profile, Size, TelegramProfile};
use super::retention::RetentionProfile;
use super::sources::SourceProfile;
use super::store::StoreSettings;
use crate::commands::arguments::Global;
use crate::commands::secrets::{SecretError, SecretSource};
use crate::crypt::signature::VerifyingKey;

/// All settings that hold for this run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The profile that was read.
    pub profile: Option<PathBuf>,
    /// Where the vault is.
    pub repo: Option<Setting<String>>,
    /// What the profile calls the vault.
    pub vault: Option<String>,
    /// The vault of which the profile says that this one is a mirror.
    pub mirror_of: Option<String>,
    /// The names of all vaults of the profile.
    pub vaults: Vec<String>,
    /// How the profile says that the vault's store is reached.
    pub store: StoreSettings,
    /// What of the environment says where files are.
    pub places: Places,
    /// What `run` backs up.
    pub sources: Vec<SourceProfile>,
    /// What unlocks it, if that was said.
    pub secret: Option<Setting<SecretSource>>,
    /// Whether the system keyring is asked.
    pub keyring: Setting<bool>,
    /// The root key that the vault must be signed with.
    pub root_key: Option<Setting<VerifyingKey>>,
    /// Where this machine's state is kept; `None` when there is no home.
    pub state_dir: Option<Setting<PathBuf>>,
    /// What the state is sealed with.
    pub machine_key: Setting<MachineKey>,
    /// Bytes a second that go out at most.
    pub limit_upload: Option<Setting<u64>>,
    /// A file of certificates that the store's servers are trusted by, beside the system's.
    pub ca_file: Option<Setting<PathBuf>>,
    /// Whether the bucket's owner gets full control of every object that is stored.
    pub bucket_owner_full_control: Setting<bool>,
    /// Bytes a second that come in at most.
    pub limit_download: Option<Setting<u64>>,
    /// What `run` keeps in the vault.
    pub retention: Option<RetentionProfile>,
    /// What the store charges.
    pub prices: Option<Prices>,
    /// Bytes that the store lets the vault take.
    pub quota: Option<u64>,
    /// Whom to tell, and how.
    pub alerts: AlertsProfile,
    /// Commands that are run when something happens.
    pub hooks: HooksProfile,
    /// What the profile says about backups; the options of `backup` go before.
    pub backup: BackupProfile,
    /// What the profile says about Telegram accounts; options and variables go before.
    pub telegram: TelegramProfile,
}

/// Takes the value from where it ranks highest.
struct Layers<'a> {
    matches: &'a ArgMatches,
    profile: Option<&'a PathBuf>,
}

impl Layers<'_> {
    fn typed(&self, id: &str) -> Option<Origin> {
        match self.matches.value_source(id) {
            Some(ValueSource::CommandLine) => Some(Origin::Flag),
            Some(ValueSource::EnvVariable) => Some(Origin::Environment),
            _ => None,
        }
    }

    fn pick<T>(&self, id: &str, typed: Option<T>, profile: Option<T>) -> Option<Setting<T>> {
        match (typed, self.typed(id)) {
            (Some(value), Some(origin)) => Some(Setting { value, origin }),
            _ => {
                let origin = Origin::Profile(self.profile?.clone());
                profile.map(|value| Setting { value, origin })
            }
        }
    }
}

impl Settings {
    /// Reads the profile and lays the settings over each other.
    ///
    /// # Errors
    /// What is wrong with the profile or a value.
    pub fn resolve(global: &Global, matches: &ArgMatches, places: &Places) -> Result<Self, SettingsError> {
        let (path, profile) = profile::load(global.profile.as_deref(), places)?.unzip();
        let profile = profile.unwrap_or_default().for_wanted(global.repo.as_deref());
        Self::laid(global, matches, places, path, profile)
    }

    /// As [`Self::resolve`], once for each vault that is meant: the one that was typed, or all of the profile.
    ///
    /// # Errors
    /// As there.
    pub fn resolve_all(global: &Global, matches: &ArgMatches, places: &Places) -> Result<Vec<Self>, SettingsError> {
        let (path, profile) = profile::load(global.profile.as_deref(), places)?.unzip();
        let profile = profile.unwrap_or_default();
        if global.repo.is_some() || profile.vaults.is_empty() {
            let profile = profile.for_wanted(global.repo.as_deref());
            return Ok(vec![Self::laid(global, matches, places, path, profile)?]);
        }
        let each = profile.vaults.iter().map(|vault| {
            let profile = profile.clone().for_vault(vault.clone());
            Self::laid(global, matches, places, path.clone(), profile)
        });
        each.collect()
    }

    /// As [`Self::resolve`], for the place that a vault is copied to: its name in the profile, or its address. What was typed to unlock
    /// the vault that is read says nothing about it.
    ///
    /// # Errors
    /// As there.
    pub fn resolve_target(
        global: &Global,
        matches: &ArgMatches,
        places: &Places,
        to: &str,
        secret: Option<SecretSource>,
    ) -> Result<Self, SettingsError> {
        let (path, profile) = profile::load(global.profile.as_deref(), places)?.unzip();
        let profile = profile.unwrap_or_default();
        let vault = profile.vaults.iter().find(|vault| vault.name.as_deref() == Some(to) || vault.repo == to);
        let address = vault.map_or_else(|| to.to_owned(), |vault| vault.repo.clone());
        let global = Global {
            repo: None,
            identity: None,
            passphrase_file: None,
            passphrase_command: None,
            passphrase_fd: None,
            root_key: None,
            ..global.clone()
        };
        let mut this = Self::laid(&global, matches, places, path, profile.for_wanted(Some(to)))?;
        this.repo = Some(Setting { value: address, origin: Origin::Flag });
        if let Some(value) = secret {
            this.secret = Some(Setting { value, origin: Origin::Flag });
        }
        Ok(this)
    }

    fn laid(
        global: &Global,
        matches: &ArgMatches,
        places: &Places,
        path: Option<PathBuf>,
        profile: Profile,
    ) -> Result<Self, SettingsError> {
        let vaults: Vec<String> = profile.vaults.iter().map(|vault| vault.label().to_owned()).collect();
        let vault = profile.vaults.iter().find(|vault| Some(&vault.repo) == profile.repo.as_ref());
        // The name of a vault in the profile stands for its address.
        let typed_repo = global.repo.clone().map(|typed| match vault {
            Some(vault) if vault.name.as_deref() == Some(typed.as_str()) => vault.repo.clone(),
            _ => typed,
        });
        let mirror_of = vault.and_then(|vault| vault.mirror_of.clone());
        let vault = vault.map(|vault| vault.label().to_owned());
        let layers = Layers { matches, profile: path.as_ref() };

        let root_key = layers.pick("root_key", global.root_key.clone(), profile.root_key.clone());
        let root_key = root_key.map(|text| parse_root_key(&text)).transpose()?;
        let state_dir = layers.pick("state_dir", global.state_dir.clone(), profile.state_dir.clone()).or_else(|| {
            let base = places.state_home.clone().or_else(|| places.home.as_ref().map(|home| home.join(".local/state")));
            base.map(|base| Setting::unset(base.join("tgvault")))
        });
        let rate = |name: &'static str, id, typed, size: Option<Size>| match layers.pick(id, typed, size.map(|size| size.0)) {
            Some(Setting { value: 0, origin }) => {
                Err(ConfigError::Value { name, origin, why: "a limit of 0 bytes per second would never finish".to_owned() })
            }
            rate => Ok(rate),
        };
        Ok(Self {
            repo: layers.pick("repo", typed_repo, profile.repo.clone()),
            vault,
            mirror_of,
            vaults,
            store: StoreSettings {
                endpoint: profile.endpoint.clone(),
                region: profile.region.clone(),
                env_file: profile.env_file.clone(),
                credential: profile.credential.clone(),
                aws_profile: profile.aws_profile.clone(),
            },
            places: places.clone(),
            sources: profile.sources.clone(),
            secret: secret(global, &profile, &layers)?,
            keyring: layers
                .pick("keyring", global.keyring.then_some(true).or(layers.typed("keyring").map(|_| false)), profile.keyring)
                .unwrap_or(Setting::unset(false)),
            root_key,
            state_dir,
            machine_key: match (profile.machine_key, &path) {
                (Some(value), Some(path)) => Setting { value, origin: Origin::Profile(path.clone()) },
                _ => Setting::unset(MachineKey::File),
            },
            limit_upload: rate("limit-upload", "limit_upload", global.limit_upload, profile.limit_upload)?,
            limit_download: rate("limit-download", "limit_download", global.limit_download, profile.limit_download)?,
            ca_file: layers.pick("ca_file", global.ca_file.clone(), profile.ca_file.clone()),
            bucket_owner_full_control: layers
                .pick(
                    "bucket_owner_full_control",
                    global.bucket_owner_full_control.then_some(true).or(layers.typed("bucket_owner_full_control").map(|_| false)),
                    profile.bucket_owner_full_control,
                )
                .unwrap_or(Setting::unset(false)),
            retention: profile.retention,
            prices: profile.prices,
            quota: profile.quota.map(|size| size.0),
            alerts: profile.alerts,
            hooks: profile.hooks,
            backup: profile.backup,
            telegram: profile.telegram,
            profile: path,
        })
    }

    /// Where the vault is.
    ///
    /// # Errors
    /// [`ConfigError::NoRepo`] when nobody said.
    pub fn require_repo(&self) -> Result<&str, ConfigError> {
        self.repo.as_ref().map(|repo| repo.value.as_str()).ok_or(ConfigError::NoRepo)
    }

    /// Where this machine's state is kept.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`] when there is no place for it.
    pub fn require_state_dir(&self) -> Result<PathBuf, ConfigError> {
        self.state_dir.as_ref().map(|folder| folder.value.clone()).ok_or(ConfigError::NoHome)
    }
}

/// Why the settings cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The profile, or a value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The ways to unlock.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

fn parse_root_key(text: &Setting<String>) -> Result<Setting<VerifyingKey>, ConfigError> {
    let value = VerifyingKey::parse(&text.value).map_err(|_| ConfigError::Value {
        name: "root-key",
        origin: text.origin.clone(),
        why: "this is not a root key; use the line that starts with RW on the recovery sheet".to_owned(),
    })?;
    Ok(Setting { value, origin: text.origin.clone() })
}

/// The way to unlock of the highest rank; two of one rank leave it open which is meant.
fn secret(global: &Global, profile: &Profile, layers: &Layers<'_>) -> Result<Option<Setting<SecretSource>>, SecretError> {
    let all = [
        layers.pick("identity", global.identity.clone(), profile.identity.clone()).map(|found| wrap(found, SecretSource::IdentityFile)),
        layers
            .pick("passphrase_file", global.passphrase_file.clone(), profile.passphrase_file.clone())
            .map(|found| wrap(found, SecretSource::PassphraseFile)),
        layers
            .pick("passphrase_command", global.passphrase_command.clone(), profile.passphrase_command.clone().map(Into::into))
            .map(|found| wrap(found, SecretSource::PassphraseCommand)),
        layers.pick("passphrase_fd", global.passphrase_fd, None).map(|found| wrap(found, SecretSource::PassphraseFd)),
    ];
    let rank = |origin: &Origin| match origin {
        Origin::Flag => 3,
        Origin::Environment => 2,
        Origin::Profile(_) => 1,
        Origin::Default => 0,
    };
    let mut best: Option<Setting<SecretSource>> = None;
    for found in all.into_iter().flatten() {
        match &best {
            Some(other) if rank(&other.origin) == rank(&found.origin) => {
                return Err(SecretError::TwoSources { first: other.value.name(), second: found.value.name() });
            }
            Some(other) if rank(&other.origin) > rank(&found.origin) => {}
            _ => best = Some(found),
        }
    }
    Ok(best)
}

fn wrap<T>(setting: Setting<T>, kind: impl FnOnce(T) -> SecretSource) -> Setting<SecretSource> {
    Setting { value: kind(setting.value), origin: setting.origin }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::commands::cli;

    fn resolve(line: &str, profile: &str) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        std::fs::write(&path, profile).unwrap();
        let line = format!("tgvault snapshots --profile {} {line}", path.display());
        let (cli, matches) = cli::parse(line.split_whitespace().map(OsString::from)).unwrap();
        Settings::resolve(&cli.global, &matches, &Places { home: Some("/home/u".into()), ..Places::default() })
    }

    #[test]
    fn the_command_line_goes_before_the_profile_and_both_before_the_default() {
        let settings = resolve("--repo /flag", "repo = '/profile'\nlimit-upload = '1K'").unwrap();
        assert_eq!(settings.repo, Some(Setting { value: "/flag".into(), origin: Origin::Flag }));
        assert!(matches!(settings.limit_upload, Some(Setting { value: 1024, origin: Origin::Profile(_) })));
        assert_eq!(settings.state_dir, Some(Setting::unset("/home/u/.local/state/tgvault".into())));
        assert!(matches!(resolve("", "").unwrap().require_repo(), Err(ConfigError::NoRepo)));
    }

    #[test]
    fn one_way_to_unlock_holds_per_rank() {
        let settings = resolve("-i /flag", "passphrase-file = '/profile'").unwrap();
        assert_eq!(settings.secret.unwrap().value, SecretSource::IdentityFile("/flag".into()));
        assert!(matches!(resolve("-i /a --passphrase-fd 3", ""), Err(SettingsError::Secret(SecretError::TwoSources { .. }))));
    }

    #[test]
    fn a_vault_is_meant_by_its_name_and_brings_its_own_settings() {
        const PROFILE: &str = "identity = '/all'\n[[vault]]\nname = 'disk'\nrepo = '/disk'\n[[vault]]\nname = 'far'\nrepo = 's3://b'\n\
                               region = 'r'\npassphrase-file = '/p'";
        let far = resolve("--repo far", PROFILE).unwrap();
        assert_eq!(far.repo, Some(Setting { value: "s3://b".into(), origin: Origin::Flag }));
        assert_eq!((far.vault.as_deref(), far.store.region.as_deref()), (Some("far"), Some("r")));
        assert_eq!(far.secret.unwrap().value, SecretSource::PassphraseFile("/p".into()));
        let first = resolve("", PROFILE).unwrap();
        assert_eq!((first.require_repo().ok(), first.vaults.len()), (Some("/disk"), 2));
        let other = resolve("--repo /elsewhere", PROFILE).unwrap();
        assert_eq!((other.require_repo().ok(), &other.vault, &other.store.region), (Some("/elsewhere"), &None, &None));
    }

    #[test]
    fn bad_values_say_where_they_come_from() {
        let error = resolve("", "root-key = 'RWno'").unwrap_err().to_string();
        assert!(error.starts_with("root-key (profile "), "{error}");
        assert!(resolve("", "limit-download = 0").is_err());
    }
}
