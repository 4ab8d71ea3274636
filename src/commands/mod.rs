//! The command line: the only place that reads the terminal, the environment and the user's home.
//!
//! - [`cli`]: what can be typed; [`config`]: what holds, out of command line, environment and profile.
//! - [`secrets`], [`keyring`], [`passphrase`]: how keys come in; [`sheet`]: the recovery sheet.
//! - [`output`], [`progress`], [`logging`], [`units`]: how a run speaks; [`error`], [`exit`]: how it ends.
//! - one file a command: its options, the operation it calls, what it prints.

pub mod cli;
pub mod config;
pub mod context;
pub mod error;
pub mod exit;
pub mod keyring;
pub mod logging;
pub mod output;
pub mod passphrase;
pub mod progress;
pub mod secrets;
pub mod sheet;
pub mod units;

pub mod backup;
pub mod cat;
pub mod completions;
pub mod demo;
pub mod diff;
pub mod find;
pub mod init;
pub mod ls;
pub mod man;
pub mod restore;
pub mod snapshots;
pub mod stats;
pub mod verify;
