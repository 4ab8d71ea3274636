//! The system keyring (Secret Service), asked only when the user wants it.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::state::MachineKey;

/// The service name of our entries.
const SERVICE: &str = "tgvault";

/// How long the keyring may take; it may be asking the user to unlock it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user name of this machine's own key.
const MACHINE_KEY: &str = "machine-key";

/// The passphrase that the keyring keeps for the vault at `address`; `Ok(None)` when it has none.
///
/// # Errors
/// Why the keyring cannot be asked, in words: no session bus, no answer, refused.
pub fn passphrase(address: &str) -> Result<Option<SecretString>, String> {
    let user = address.to_owned();
    patiently(move || read(&user))
}

/// Keeps the passphrase of the vault at `address` in the keyring.
///
/// # Errors
/// As [`passphrase`].
pub fn keep_passphrase(address: &str, passphrase: &SecretString) -> Result<(), String> {
    let (user, passphrase) = (address.to_owned(), passphrase.clone());
    patiently(move || write(&user, &passphrase))
}

/// This machine's key, made and kept in the keyring on first use.
///
/// # Errors
/// As [`passphrase`].
pub fn machine_key() -> Result<SecretString, String> {
    patiently(|| {
        if let Some(key) = read(MACHINE_KEY)? {
            return Ok(key);
        }
        let key = MachineKey::generate();
        write(MACHINE_KEY, &key)?;
        // Another process may have been first: what the keyring has then counts.
        read(MACHINE_KEY)?.ok_or_else(|| "it did not keep the machine's key".to_owned())
    })
}

/// A keyring that hangs must not hang the program: the thread is then left behind.
fn patiently<T: Send + 'static>(ask: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    if !has_session_bus() {
        return Err("there is no session bus (D-Bus) here".to_owned());
    }
    let (send, receive) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("keyring".to_owned())
        .spawn(move || {
            let _ = send.send(ask());
        })
        .map_err(|error| error.to_string())?;
    receive.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())))
}

fn read(user: &str) -> Result<Option<SecretString>, String> {
    match keyring::Entry::new(SERVICE, user).and_then(|entry| entry.get_password()) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            Ok(Some(SecretString::from(text.as_str())))
        }
        Err(keyring::Error::NoEntry) => Ok(None),
        Err(error) => Err(why(&error)),
    }
}

fn write(user: &str, secret: &SecretString) -> Result<(), String> {
    keyring::Entry::new(SERVICE, user).and_then(|entry| entry.set_password(secret.expose_secret())).map_err(|error| why(&error))
}

/// Some errors carry what was stored; only the kind of failure is passed on.
fn why(error: &keyring::Error) -> String {
    match error {
        keyring::Error::NoStorageAccess(_) => "it is locked, or access was refused",
        keyring::Error::PlatformFailure(_) | keyring::Error::NoDefaultStore => "no Secret Service answers",
        _ => "its entry is not usable",
    }
    .to_owned()
}

/// Where libraries look for the bus: without one, some wait and others try to start it.
fn has_session_bus() -> bool {
    let named = std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty());
    named || std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).join("bus").exists())
}
