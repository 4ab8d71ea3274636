//! The Telegram accounts of this machine: their logins below the state folder, sealed like everything there.

use std::sync::Arc;

use crate::source::telegram::Accounts;
use crate::state::{MachineKey, ProtectedKey, StateFolder};

/// The folder below the state.
const FOLDER: &str = "telegram";

/// The accounts, sealed with the machine's key, or with `key` where the logins have one of their own.
pub fn accounts(state: &StateFolder, key: Option<MachineKey>) -> Accounts {
    Accounts::new(Arc::new(state.kept(FOLDER, key)))
}

/// The key that the logins have of their own, where the user protects them with a passphrase.
pub fn login_key(state: &StateFolder) -> ProtectedKey {
    state.protected_key(FOLDER)
}
