//! What every command starts from: the settings, the ways to speak and to stop, the vault and its keys.

use std::io;

use secrecy::SecretString;

use super::config::origin::Setting;
use super::config::profile::MachineKey as MachineKeyPlace;
use super::config::settings::Settings;
use super::error::CommandError;
use super::interrupt::Heeded;
use super::keyring;
use super::output::Output;
use super::secrets::{self, SecretError, SecretSource};
use crate::operations::Session;
use crate::repository;
use crate::repository::keys::Unlock;
use crate::state::{MachineKey, StateFolder};
use crate::storage::{Storage, StorageOptions};

/// What every command starts from.
pub struct Context {
    /// The settings that hold.
    pub settings: Settings,
    /// How to speak.
    pub output: Output,
    /// How the user's Ctrl-C reaches an operation.
    pub heeded: Heeded,
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
    /// Opens the store.
    ///
    /// # Errors
    /// When none is named, or its address or settings cannot be understood.
    pub fn storage(&self) -> Result<Storage, CommandError> {
        secrets::refuse_plain_variable()?;
        self.storage_at(self.settings.require_repo()?)
    }

    /// Opens the store at an address of the program's own choice.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn storage_at(&self, address: &str) -> Result<Storage, CommandError> {
        let limit = |limit: &Option<Setting<u64>>| limit.as_ref().map(|limit| limit.value);
        let options = StorageOptions {
            limit_upload_bytes_per_s: limit(&self.settings.limit_upload),
            limit_download_bytes_per_s: limit(&self.settings.limit_download),
            ca_file: self.settings.ca_file.as_ref().map(|file| file.value.clone()),
            bucket_owner_full_control: self.settings.bucket_owner_full_control.value,
            ..StorageOptions::default()
        };
        // What is not UTF-8 is nothing that a cloud's client reads.
        let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Storage::open(address, env, options)?)
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
        Ok(StateFolder::open(self.settings.require_state_dir()?, key)?)
    }

    /// Opens the vault as far as a command needs it.
    ///
    /// # Errors
    /// When the store or the state cannot be opened, or a key is needed and cannot be had.
    pub async fn session(&self, keys: Keys) -> Result<Session, CommandError> {
        let storage = self.storage()?;
        let state = self.state()?;
        let root_key = self.settings.root_key.as_ref().map(|key| key.value.clone());
        let unlock = match keys {
            Keys::None => None,
            Keys::IfGiven => self.given(&storage)?,
            Keys::Needed => match self.given(&storage)? {
                Some(unlock) => Some(unlock),
                None => {
                    // Nobody types a passphrase for a vault that is not there.
                    repository::find(&storage).await?;
                    Some(self.ask(&storage)?)
                }
            },
        };
        Ok(Session { unlock, root_key, ..Session::new(storage, state) })
    }

    /// Asks for the vault's passphrase.
    ///
    /// # Errors
    /// When there is no terminal, or the user interrupts.
    pub fn ask(&self, storage: &Storage) -> Result<Unlock, CommandError> {
        let prompt = format!("Passphrase of {}: ", super::units::printable(storage.address()));
        Ok(Unlock::Passphrase(secrets::ask(&prompt)?))
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
                Ok(None) => self.output.say("the system keyring has no passphrase for this vault"),
                // The keyring is a convenience: without it there are still the other ways.
                Err(why) => self.output.warn(&format!("the system keyring cannot be asked: {why}")),
            }
        }
        Ok(None)
    }
}

/// This machine's name, as snapshots carry it.
///
/// # Errors
/// When the system's name is no text.
pub fn host_name() -> Result<String, CommandError> {
    let name = rustix::system::uname();
    let text = name.nodename().to_str().map_err(|error| CommandError::System {
        what: "this machine's name is no text; give --host NAME",
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })?;
    Ok(text.to_owned())
}
