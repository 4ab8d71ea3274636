//! What a client needs of the login that it acts for.

use std::io;

use grammers_tl_types::types;

use super::centres::{AuthorizationKey, DataCentre};

/// A login, wherever it is kept. A change is kept before the call returns: the client relies on it at once.
pub trait Session: Send + Sync {
    /// The data centre that holds the account.
    fn home(&self) -> i32;

    /// Whether somebody is logged in.
    fn is_logged_in(&self) -> bool;

    /// What is known of a data centre.
    fn centre(&self, dc: i32) -> Option<DataCentre>;

    /// Takes note that another data centre holds the account.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn move_home(&self, dc: i32) -> io::Result<()>;

    /// Takes note of the key agreed on with a data centre, or that it is not valid any more.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn set_key(&self, dc: i32, key: Option<AuthorizationKey>) -> io::Result<()>;

    /// Takes over what the server says about its data centres.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn learn(&self, config: &types::Config) -> io::Result<()>;
}
