//! Whom to tell, and how: the `[alerts]` and `[hooks]` tables of a profile.

use std::path::PathBuf;

use serde::Deserialize;

use super::values::Hidden;
use crate::alerts::webhook::Kind;

/// The `[alerts]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AlertsProfile {
    /// When webhook and mail are used.
    pub on: Option<On>,
    /// An address in the manner of Healthchecks; who knows it can ping, so it is not shown.
    pub ping: Option<Hidden>,
    /// A file whose first line is that address.
    pub ping_file: Option<PathBuf>,
    /// Whether a run also reports its start.
    pub ping_start: Option<bool>,
    /// The address of a service that shows messages.
    pub webhook: Option<Hidden>,
    /// The form that it wants.
    pub webhook_kind: Option<Kind>,
    /// ntfy's topic.
    pub webhook_topic: Option<Hidden>,
    /// A file whose first line is a token for it.
    pub webhook_token_file: Option<PathBuf>,
    /// Who gets mail.
    pub mail_to: Option<String>,
    /// Who it is from.
    pub mail_from: Option<String>,
    /// The program that sends it.
    pub sendmail: Option<PathBuf>,
    /// A file for Prometheus, whose name ends with `.prom`.
    pub metrics_file: Option<PathBuf>,
}

/// When webhook and mail are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// When somebody has to look.
    #[default]
    Failure,
    /// After every run.
    Always,
}

impl AlertsProfile {
    /// The paths of files in it.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.ping_file, &mut self.webhook_token_file, &mut self.sendmail, &mut self.metrics_file].into_iter().flatten()
    }
}

/// The `[hooks]` table: commands for a shell, which get a JSON document on standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HooksProfile {
    /// Before a run; if it fails, nothing is backed up.
    pub before: Option<String>,
    /// After a run, however it ended.
    pub after: Option<String>,
    /// When something failed.
    pub failed: Option<String>,
    /// When Telegram wants a login.
    pub session_lost: Option<String>,
    /// When most of what a source had is gone.
    pub source_empty: Option<String>,
    /// When many messages of a chat were deleted at once, or all.
    pub many_deleted: Option<String>,
}
