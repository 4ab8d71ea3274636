//! What all commands that act for a Telegram account share: [`connection`] opens it, [`prompts`] answers a login's questions,
//! [`observer`] tells what it does, [`proxy`] says through what, [`words`] reads options.

pub mod connection;
pub mod observer;
pub mod prompts;
mod proxy;
pub mod words;

use super::error::CommandError;

/// Runs work with an account, which waits for the network in its own way, on a thread of its own.
///
/// # Errors
/// What the work ends with.
pub async fn apart<T: Send + 'static, E: Into<CommandError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, CommandError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(ended) => ended.map_err(Into::into),
        Err(error) => Err(CommandError::System { what: "the work with the account broke down", source: std::io::Error::other(error) }),
    }
}
