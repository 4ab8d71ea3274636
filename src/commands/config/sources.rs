//! What `tgvault run` backs up and where to: the `[[source]]` and `[[vault]]` tables of a profile.
//!
//! Every source goes into every vault, unless it names some.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::prices::Prices;
use super::retention::RetentionProfile;
use super::values::{Size, Span};
use crate::commands::units::printable;
use crate::model::kinds::KindChoice;
use crate::source::telegram::{ChatClass, TakeoutUse};

/// One `[[vault]]` table: where it is, how its store is reached, what unlocks it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VaultProfile {
    /// What `--repo` and messages call it.
    pub name: Option<String>,
    /// Its address.
    pub repo: String,
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
    /// Bytes a second that go out at most.
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
    /// The vault that this is a mirror of, by its name or address: `run` copies that one here, and backs nothing up into it.
    pub mirror_of: Option<String>,
    /// What `run` keeps in it.
    pub retention: Option<RetentionProfile>,
    /// What its store charges.
    pub prices: Option<Prices>,
    /// Bytes that its store lets it take.
    pub quota: Option<Size>,
    /// A profile of `~/.aws/credentials` and `~/.aws/config`.
    pub aws_profile: Option<String>,
}

impl VaultProfile {
    /// What messages call it.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.repo)
    }

    /// The paths of files in it.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.identity, &mut self.passphrase_file, &mut self.ca_file, &mut self.env_file].into_iter().flatten()
    }
}

/// One `[[source]]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SourceProfile {
    /// A folder.
    Folder(FolderEntry),
    /// A Telegram account.
    Telegram(AccountEntry),
    /// Exports of Telegram Desktop.
    DesktopExport(ExportEntry),
}

/// A folder, with what `backup folder` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FolderEntry {
    /// What messages call it.
    pub name: Option<String>,
    /// The vaults that it goes into; all when there are none.
    #[serde(default)]
    pub vaults: Vec<String>,
    /// How old its last backup may be for `status`.
    pub max_age: Option<Span>,
    /// Tags of its snapshots.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The folder.
    pub path: PathBuf,
    /// Patterns that are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Files with such patterns.
    #[serde(default)]
    pub exclude_file: Vec<PathBuf>,
    /// Leaves out the content of folders with a `CACHEDIR.TAG`.
    #[serde(default)]
    pub exclude_caches: bool,
    /// Leaves out larger files.
    pub exclude_larger_than: Option<Size>,
    /// Stays on the file system of the folder.
    #[serde(default)]
    pub one_file_system: bool,
    /// Tells changed files without their inode numbers.
    #[serde(default)]
    pub ignore_inode: bool,
    /// Tells changed files without the time of their inode's last change.
    #[serde(default)]
    pub ignore_ctime: bool,
    /// Stores an export of Telegram Desktop as files.
    #[serde(default)]
    pub plain: bool,
    /// The share of its files, in percent, that may be gone.
    pub max_removed: Option<u8>,
}

/// A Telegram account, with what `backup telegram` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccountEntry {
    /// What messages call it.
    pub name: Option<String>,
    /// The vaults that it goes into; all when there are none.
    #[serde(default)]
    pub vaults: Vec<String>,
    /// How old its last backup may be for `status`.
    pub max_age: Option<Span>,
    /// Tags of its snapshots.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The account's name on this machine.
    pub account: String,
    /// Types of chats.
    #[serde(default)]
    pub chats: Vec<ChatClass>,
    /// Single chats.
    #[serde(default)]
    pub chat: Vec<String>,
    /// Chats that are left out.
    #[serde(default)]
    pub exclude_chat: Vec<String>,
    /// Folders of Telegram whose chats are taken.
    #[serde(default)]
    pub folder: Vec<String>,
    /// Takes only the account's own messages from groups and channels.
    #[serde(default)]
    pub only_my_messages: bool,
    /// Kinds of media.
    #[serde(default)]
    pub media: Vec<KindChoice>,
    /// Leaves out larger files.
    pub max_file_size: Option<Size>,
    /// When to use a takeout.
    pub takeout: Option<TakeoutUse>,
}

/// Exports of Telegram Desktop, with what `backup desktop-export` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExportEntry {
    /// What messages call it.
    pub name: Option<String>,
    /// The vaults that it goes into; all when there are none.
    #[serde(default)]
    pub vaults: Vec<String>,
    /// How old its last import may be for `status`; without it, an export is imported once and never too old.
    pub max_age: Option<Span>,
    /// Tags of its snapshots.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The export, or a folder of exports.
    pub path: PathBuf,
    /// The account whose chats these are.
    pub account: Option<String>,
    /// The time zone of the computer that made it.
    pub time_zone: Option<String>,
}

impl SourceProfile {
    /// What messages call it: its name, or what is backed up.
    pub fn label(&self) -> String {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        match self {
            Self::Folder(FolderEntry { name: Some(name), .. })
            | Self::Telegram(AccountEntry { name: Some(name), .. })
            | Self::DesktopExport(ExportEntry { name: Some(name), .. }) => name.clone(),
            Self::Folder(entry) => path(&entry.path),
            Self::Telegram(entry) => format!("telegram:{}", entry.account),
            Self::DesktopExport(entry) => path(&entry.path),
        }
    }

    /// The vaults that it goes into; all when there are none.
    pub fn vaults(&self) -> &[String] {
        match self {
            Self::Folder(entry) => &entry.vaults,
            Self::Telegram(entry) => &entry.vaults,
            Self::DesktopExport(entry) => &entry.vaults,
        }
    }

    /// How old its last backup may be.
    pub fn max_age(&self) -> Option<Span> {
        match self {
            Self::Folder(entry) => entry.max_age,
            Self::Telegram(entry) => entry.max_age,
            Self::DesktopExport(entry) => entry.max_age,
        }
    }

    /// Whether it goes into the vault that is called so.
    pub fn goes_into(&self, vault: &str) -> bool {
        self.vaults().is_empty() || self.vaults().iter().any(|named| named == vault)
    }

    /// The paths of files and folders in it.
    pub fn paths(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Folder(entry) => entry.exclude_file.iter_mut().chain([&mut entry.path]).collect(),
            Self::Telegram(_) => Vec::new(),
            Self::DesktopExport(entry) => vec![&mut entry.path],
        }
    }
}

/// Finds what parsing alone cannot: two of one name, and a source that goes into a vault which is not there.
///
/// # Errors
/// What is wrong, in words.
pub fn check(vaults: &[VaultProfile], sources: &[SourceProfile]) -> Result<(), String> {
    if let Some(label) = twice(vaults.iter().map(|vault| vault.label().to_owned())) {
        return Err(format!("two [[vault]] tables are called '{}': give each a `name` of its own", printable(&label)));
    }
    if let Some(label) = twice(sources.iter().map(SourceProfile::label)) {
        return Err(format!("two [[source]] tables are called '{}': give each a `name` of its own", printable(&label)));
    }
    for vault in vaults {
        let Some(of) = &vault.mirror_of else { continue };
        let label = printable(vault.label());
        if vault.retention.is_some() {
            return Err(format!("vault '{label}' is a mirror and has a retention of its own: it keeps what the vault it mirrors keeps"));
        }
        match vaults.iter().find(|vault| vault.label() == of || vault.repo == *of) {
            None => return Err(format!("vault '{label}' is a mirror of '{}', but no [[vault]] has that name", printable(of))),
            Some(found) if found.mirror_of.is_some() => {
                return Err(format!(
                    "vault '{label}' is a mirror of '{}', which is a mirror itself: name the vault that is written",
                    printable(of)
                ));
            }
            Some(_) => {}
        }
    }
    for source in sources {
        for wanted in source.vaults() {
            if vaults.iter().any(|vault| vault.label() == wanted && vault.mirror_of.is_some()) {
                let label = source.label();
                return Err(format!("source '{}' goes into '{}', which is a mirror", printable(&label), printable(wanted)));
            }
            if !vaults.iter().any(|vault| vault.label() == wanted) {
                let label = source.label();
                return Err(format!("source '{}' goes into '{}', but no [[vault]] has that name", printable(&label), printable(wanted)));
            }
        }
    }
    Ok(())
}

fn twice(labels: impl Iterator<Item = String>) -> Option<String> {
    let mut seen = std::collections::BTreeSet::new();
    labels.into_iter().find(|label| !seen.insert(label.clone()))
}
