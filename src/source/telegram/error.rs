//! Why something with an account did not work, in words for people.

use std::io;

use crate::crypt::CryptError;
use crate::source::telegram::wire::{CallError, RpcError};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelegramError {
    /// Nobody is logged in, or Telegram ended the session.
    #[error("account '{account}' is not logged in ({why})")]
    LoginNeeded {
        /// The account's name.
        account: String,
        /// Telegram's word, or ours.
        why: String,
    },
    /// Telegram asks for patience.
    #[error("Telegram requires a wait of {} before {what}", in_words(*seconds))]
    TryLater {
        /// What has to wait.
        what: String,
        /// For how long.
        seconds: u64,
    },
    /// The login did not go through.
    #[error("login failed: {0}")]
    Login(String),
    /// A request failed.
    #[error("{what}")]
    Call {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: CallError,
    },
    /// Whoever answers is not the server that it should be.
    #[error("{what}: the server did not prove itself")]
    WrongServer {
        /// What was being done.
        what: String,
        /// What was wrong with it.
        source: CallError,
    },
    /// The local files of the account cannot be used.
    #[error("cannot use {path}")]
    Local {
        /// The file.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// A local file of the account is sealed with another machine's key.
    #[error("cannot use {path}")]
    OtherKey {
        /// The file.
        path: String,
        /// What opening it said.
        source: io::Error,
    },
    /// A chat that was asked for is not there.
    #[error("this account has no chat '{chat}'")]
    NoSuchChat {
        /// As it was typed.
        chat: String,
    },
    /// A folder that was asked for is not there.
    #[error("Telegram has no folder called '{folder}' in this account")]
    NoSuchFolder {
        /// As it was typed.
        folder: String,
        /// Those that there are: number and name.
        known: Vec<(i32, String)>,
    },
    /// The name of an account, a chat or an option cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The run was stopped by whoever takes its items.
    #[error("the run was stopped")]
    Stopped,
}

impl TelegramError {
    /// Why a local file cannot be used.
    pub(super) fn local(path: String, source: io::Error) -> Self {
        // Whoever keeps files gives bytes, so the cipher's error comes inside the reader's.
        match source.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(CryptError::WrongKey) => Self::OtherKey { path, source },
            _ => Self::Local { path, source },
        }
    }
}

/// A span of time as people say it.
pub(super) fn in_words(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Whether Telegram says that this session is over.
pub(super) fn ends_session(error: &CallError) -> bool {
    const OVER: [&str; 9] = [
        "AUTH_KEY_UNREGISTERED",
        "AUTH_KEY_INVALID",
        "AUTH_KEY_DUPLICATED",
        "AUTH_KEY_PERM_EMPTY",
        "SESSION_REVOKED",
        "SESSION_EXPIRED",
        "USER_DEACTIVATED",
        "USER_DEACTIVATED_BAN",
        "ACCESS_TOKEN_EXPIRED",
    ];
    error.is_any(&OVER) || matches!(error, CallError::Status(404))
}

impl TelegramError {
    /// Says what a failed request means for the account.
    pub(super) fn from_call(account: &str, what: impl Into<String>, error: CallError) -> Self {
        if ends_session(&error) {
            let why = error.rpc().map_or_else(|| "Telegram does not know its key".to_owned(), ToString::to_string);
            return Self::LoginNeeded { account: account.to_owned(), why };
        }
        if error.is_wrong_server() {
            return Self::WrongServer { what: what.into(), source: error };
        }
        match error.rpc().and_then(RpcError::wait) {
            Some(wait) => Self::TryLater { what: what.into(), seconds: wait.as_secs() },
            None => Self::Call { what: what.into(), source: error },
        }
    }
}

/// Why a part of a run stopped: Telegram's answer, which costs that part, or the run's own end.
pub(super) enum Trouble {
    Call(CallError),
    Run(TelegramError),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<TelegramError> for Trouble {
    fn from(error: TelegramError) -> Self {
        Self::Run(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_and_ended_sessions_are_told_in_words() {
        let rpc = |code, name: &str, value| CallError::Rpc(RpcError { code, name: name.into(), value });
        let wait = TelegramError::from_call("main", "logging in", rpc(420, "FLOOD_WAIT", Some(11_520)));
        assert_eq!(wait.to_string(), "Telegram requires a wait of 3 h 12 min before logging in");
        let over = TelegramError::from_call("main", "reading", rpc(401, "SESSION_REVOKED", None));
        assert_eq!(over.to_string(), "account 'main' is not logged in (SESSION_REVOKED (401))");
    }
}
