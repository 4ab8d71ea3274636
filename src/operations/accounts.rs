//! The Telegram accounts of this machine: their logins below the state folder, sealed like everything there.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::source::telegram::{Accounts, Sealer};
use crate::state::{MachineKey, ProtectedKey, StateFolder};

/// The folder below the state.
const FOLDER: &str = "telegram";

/// Seals with a key of this machine.
struct KeySealer(Arc<MachineKey>);

impl Sealer for KeySealer {
    fn seal(&self, out: &mut dyn Write, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut payload = self.0.seal(out).map_err(io::Error::other)?;
        fill(&mut payload)?;
        payload.finish().map(drop)
    }

    fn open(&self, sealed: File) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(self.0.open(sealed).map_err(io::Error::other)?))
    }
}

/// The accounts, sealed with the machine's key, or with `key` where the logins have one of their own.
pub fn accounts(state: &StateFolder, key: Option<MachineKey>) -> Accounts {
    let key = key.map_or_else(|| state.key(), Arc::new);
    Accounts::new(state.path().join(FOLDER), Arc::new(KeySealer(key)))
}

/// The key that the logins have of their own, where the user protects them with a passphrase.
pub fn login_key(state: &StateFolder) -> ProtectedKey {
    state.protected_key(FOLDER)
}
