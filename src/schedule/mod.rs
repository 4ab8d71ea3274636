//! Files that make a system start tgvault by itself: pure text out of a [`Plan`].
//!
//! - [`when`]: how often; [`plan`]: what is started.
//! - [`systemd`], [`cron`], [`launchd`], [`windows`]: what each of them reads.

pub mod cron;
pub mod launchd;
pub mod plan;
pub mod systemd;
pub mod when;
pub mod windows;

/// A file for the system that starts programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without a folder.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Why there is no such file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScheduleError {
    /// A word or an expression is no time.
    #[error("'{text}' is not a time to run at: {why}")]
    When {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A calendar expression of systemd, for something else.
    #[error("{what} does not understand calendar expressions of systemd")]
    Calendar {
        /// What would have to.
        what: &'static str,
    },
    /// A path or name that cannot stand in such a file.
    #[error("{what} holds a line break or another control character")]
    Unwritable {
        /// What it is.
        what: &'static str,
    },
}
