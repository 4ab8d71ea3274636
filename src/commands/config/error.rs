//! Why settings cannot be used.

use std::path::PathBuf;

use super::origin::Origin;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A profile was named and there is none.
    #[error("profile '{name}' not found; looked for {}", looked.join(", "))]
    NoProfile {
        /// Its name.
        name: String,
        /// The paths that were tried.
        looked: Vec<String>,
    },
    /// A profile cannot be read.
    #[error("cannot read the profile '{}'", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A profile has an unknown key, a value of the wrong kind, or is no TOML.
    #[error("profile '{}' is not valid: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's word: line, column and key.
        why: String,
    },
    /// A value is not usable.
    #[error("{name} ({origin}): {why}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Where it comes from.
        origin: Origin,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody said where the home folder is.
    #[error("no place to keep this machine's state: neither XDG_STATE_HOME nor HOME is set")]
    NoHome,
    /// A command that needs a vault was called without one.
    #[error("no vault was given")]
    NoRepo,
}

impl ConfigError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoHome => "use --state-dir DIR",
            Self::NoRepo => "use --repo URL, set TGVAULT_REPO, or put `repo = \"…\"` into ~/.config/tgvault/default.toml",
            Self::Malformed { .. } => "the keys are listed in docs/guide/settings.md",
            _ => return None,
        })
    }
}
