//! What is told to the outside: how a run ended, and that a backup is too old. No title, no text and no file name is in any of it.
//!
//! - [`document`]: what happened, as one JSON document.
//! - [`ping`], [`webhook`]: over HTTP, by [`post`]; [`mail`]: through the system's sendmail; [`command`]: to a command of the user's.
//! - [`metrics`]: figures in Prometheus's text form.

pub mod command;
pub mod document;
pub mod mail;
pub mod metrics;
pub mod ping;
pub mod post;
pub mod webhook;

/// Why something could not be told.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// A server did not take it. Its address may hold a secret and is not repeated.
    #[error("the server does not accept it: {0}")]
    Http(String),
    /// An address cannot be used.
    #[error("this is not an address that can be sent to: {0}")]
    Address(String),
    /// A program could not be run, or failed.
    #[error("{program} failed: {why}")]
    Program {
        /// What was run.
        program: String,
        /// The system's word, or how it ended.
        why: String,
    },
    /// A file could not be written.
    #[error("cannot write '{path}'")]
    File {
        /// The file.
        path: String,
        /// The system's word.
        source: std::io::Error,
    },
}
