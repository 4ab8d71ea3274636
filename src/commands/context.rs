//! What every command starts from: the settings, the ways to speak and to stop, the vault and its keys.

use std::io;

use secrecy::SecretString;

use super::config::origin::{Origin, Setting};
use super::config::profile::MachineKey as MachineKeyPlace;
use super::config::settings::Settings;
use super::error::CommandError;
use super::interrupt::Heeded;
use super::keyring;
use super::outage;
use super::output::Output;
use super::passphrase;
use super::secrets::{self, SecretError, SecretSource};
use crate::operations::{OperationError, Session};
use crate::repository::RepositoryError;
use crate::repository::keys::Unlock;
use crate::state::{CacheUse, MachineKey, StateFolder};
use crate::storage::{Storage, StorageOptions};

/// What every command starts from.
pub struct Context {
    /// The settings that hold.
    pub settings: Settings,
    /// How to speak.
    pub output: Output,
    /// How the user's Ctrl-C reaches an operation.
    pub heeded: Heeded,
    /// Whether nothing of a vault is kept on this machine.
    pub no_cache: bool,
    /// Whether stage timings are wanted.
    pub timings: bool,
}

/// What a command needs to open of the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Nothing: what is plain is enough.
    None,
    /// Whatever is given, without asking anybody.
    IfGiven,
    /// The secrets; the user is asked if nothing is given.
    Needed,
}

impl Context {
    /// The same run with other settings.
    pub fn clone_with(&self, settings: Settings) -> Self {
        let Self { output, heeded, no_cache, timings, .. } = self;
        Self { settings, output: output.clone(), heeded: heeded.clone(), no_cache: *no_cache, timings: *timings }
    }

    /// Opens the store.
    ///
    /// # Errors
    /// When none is named, or its address or settings cannot be understood.
    pub fn storage(&self) -> Result<Storage, CommandError> {
        secrets::refuse_plain_variable()?;
        self.storage_with(self.settings.require_repo()?, self.variables()?)
    }

    /// What the store of the vault is opened with: the environment, and what the profile says for it.
    ///
    /// # Errors
    /// When no vault is named, or the credentials that the profile names cannot be read.
    pub fn variables(&self) -> Result<Vec<(String, String)>, CommandError> {
        let (settings, address) = (&self.settings, self.settings.require_repo()?);
        let is_of_profile =
            settings.vault.is_some() || settings.repo.as_ref().is_some_and(|repo| matches!(repo.origin, Origin::Profile(_)));
        let store = if is_of_profile { settings.store.clone() } else { settings.store.for_typed(address) };
        Ok(store.variables(address, environment(), &settings.places, &mut |text| self.output.warn(&text))?)
    }

    /// The vault's address without secrets, as it is known by; nothing is asked of the store.
    pub fn address(&self) -> Option<String> {
        let typed = self.settings.require_repo().ok()?;
        Some(Storage::known_as(typed).unwrap_or_else(|_| typed.to_owned()))
    }

    /// What messages call the vault, if there is one: its name in the profile, or its address.
    pub fn vault_label(&self) -> Option<String> {
        self.settings.vault.clone().or_else(|| self.settings.require_repo().ok().map(str::to_owned))
    }

    /// Opens the store at an address of the program's own choice.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn storage_at(&self, address: &str) -> Result<Storage, CommandError> {
        self.storage_with(address, environment().collect())
    }

    fn storage_with(&self, address: &str, variables: Vec<(String, String)>) -> Result<Storage, CommandError> {
        let limit = |limit: &Option<Setting<u64>>| limit.as_ref().map(|limit| limit.value);
        let options = StorageOptions {
            limit_upload_bytes_per_s: limit(&self.settings.limit_upload),
            limit_download_bytes_per_s: limit(&self.settings.limit_download),
            ca_file: self.settings.ca_file.as_ref().map(|file| file.value.clone()),
            bucket_owner_full_control: self.settings.bucket_owner_full_control.value,
            on_wait: Some(outage::on_wait(&self.output, address)),
            ..StorageOptions::default()
        };
        Ok(Storage::open(address, variables, options)?)
    }

    /// Opens this machine's state.
    ///
    /// # Errors
    /// When there is no place for it, it cannot be made, or the keyring does not give the key.
    pub fn state(&self) -> Result<StateFolder, CommandError> {
        let key = match self.settings.machine_key.value {
            MachineKeyPlace::File => None,
            MachineKeyPlace::Keyring => Some(MachineKey::parse(&keyring::machine_key().map_err(SecretError::MachineKey)?)?),
        };
        let state = StateFolder::open(self.settings.require_state_dir()?, key)?;
        Ok(if self.no_cache { state.with_cache(CacheUse::Never) } else { state })
    }

    /// Opens the vault as far as a command needs it.
    ///
    /// # Errors
    /// When the store or the state cannot be opened, or a key is needed and cannot be had.
    pub async fn session(&self, keys: Keys) -> Result<Session, CommandError> {
        let storage = self.storage()?;
        let state = self.state()?;
        let root_key = self.settings.root_key.as_ref().map(|key| key.value.clone());
        let is_mirror = self.settings.mirror_of.is_some();
        let session = Session { root_key, is_mirror, ..Session::new(storage, state) };
        let unlock = match keys {
            Keys::None => None,
            Keys::IfGiven => self.given(&session.storage)?,
            Keys::Needed => {
                let given = self.given(&session.storage)?;
                // Nobody types a passphrase for a vault that is not there.
                let session = session.look().await?;
                let unlock = match given {
                    Some(unlock) => self.try_given(&session, unlock).await?,
                    None => self.ask(&session).await?,
                };
                return Ok(Session { unlock: Some(unlock), ..session });
            }
        };
        Ok(Session { unlock, ..session })
    }

    /// Asks for the vault's passphrase until it opens the vault, three times at most.
    ///
    /// # Errors
    /// When there is no terminal or no vault, the user interrupts, or none of the passphrases opens it.
    pub async fn ask(&self, session: &Session) -> Result<Unlock, CommandError> {
        /// Passphrases that somebody may type.
        const TRIES: u32 = 3;
        let prompt = format!("Passphrase for {}: ", super::units::printable(session.storage.address()));
        let mut tries = 0;
        loop {
            let passphrase = secrets::ask(&prompt)?;
            let typo = passphrase::typo(&passphrase);
            match session.secrets(&Unlock::Passphrase(passphrase)).await {
                Ok(identity) => return Ok(Unlock::Opened(identity)),
                Err(error @ OperationError::Repository(RepositoryError::WrongKey { .. })) => {
                    tries += 1;
                    if let Some(typo) = typo {
                        self.output.warn(&typo.to_string());
                    }
                    if tries == TRIES {
                        return Err(error.into());
                    }
                    self.output.warn("this passphrase does not unlock the vault; try again");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Unlocks the vault with what was given, once for all that the command does.
    async fn try_given(&self, session: &Session, unlock: Unlock) -> Result<Unlock, CommandError> {
        match (session.secrets(&unlock).await, &unlock) {
            (Ok(identity), _) => Ok(Unlock::Opened(identity)),
            (Err(error @ OperationError::Repository(RepositoryError::WrongKey { .. })), Unlock::Passphrase(passphrase)) => {
                // Where it goes may be a log: the place of the word is enough, and the word stays unsaid.
                if let Some(typo) = passphrase::typo(passphrase) {
                    self.output.warn(&typo.without_words());
                }
                Err(error.into())
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// The passphrase that a file, a command or a descriptor gives, if one of them was named.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn given_passphrase(&self) -> Result<Option<SecretString>, CommandError> {
        let Some(secret) = &self.settings.secret else { return Ok(None) };
        Ok(match &secret.value {
            SecretSource::IdentityFile(_) => None,
            SecretSource::PassphraseFile(path) => Some(secrets::passphrase_file(path, &mut |text| self.output.warn(&text))?),
            SecretSource::PassphraseCommand(command) => Some(secrets::passphrase_command(command)?),
            SecretSource::PassphraseFd(number) => Some(secrets::passphrase_fd(*number)?),
        })
    }

    /// The key that was given, in whatever way.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn given(&self, storage: &Storage) -> Result<Option<Unlock>, CommandError> {
        if let Some(Setting { value: SecretSource::IdentityFile(path), .. }) = &self.settings.secret {
            return Ok(Some(Unlock::IdentityFile(secrets::identity_file(path, &mut |text| self.output.warn(&text))?)));
        }
        if let Some(passphrase) = self.given_passphrase()? {
            return Ok(Some(Unlock::Passphrase(passphrase)));
        }
        if let Some(passphrase) = secrets::systemd_credential()? {
            return Ok(Some(Unlock::Passphrase(passphrase)));
        }
        if self.settings.keyring.value {
            match keyring::passphrase(storage.address()) {
                Ok(Some(passphrase)) => return Ok(Some(Unlock::Passphrase(passphrase))),
                Ok(None) => self.output.say("there is no passphrase for this vault in the system keyring"),
                // The keyring is a convenience: without it there are still the other ways.
                Err(why) => self.output.warn(&format!("cannot read the system keyring: {why}")),
            }
        }
        Ok(None)
    }
}

/// The variables of this process; what is not UTF-8 is nothing that a cloud's client reads.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// This machine's name, as snapshots carry it.
///
/// # Errors
/// When the system's name is no text.
pub fn host_name() -> Result<String, CommandError> {
    let name = rustix::system::uname();
    let text = name.nodename().to_str().map_err(|error| CommandError::System {
        what: "the name of this machine is not valid text; use --host NAME",
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })?;
    Ok(text.to_owned())
}
