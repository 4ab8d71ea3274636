//! What happened, as a document for hooks and webhooks and in words for people.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

/// What a document is about; also the name of the hook that gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A run begins.
    Before,
    /// A run has ended, however.
    After,
    /// A run, or a part of it, has failed.
    Failed,
    /// Telegram wants a login.
    SessionLost,
    /// Most of what a source had is gone.
    SourceEmpty,
    /// Many messages of a chat were deleted at once, or all.
    ManyDeleted,
    /// A backup is older than it may be.
    TooOld,
    /// A restore should be tried, and the machine that says so cannot read backups.
    DrillDue,
    /// Somebody wants to see whether alerts arrive.
    Test,
}

/// What a run came to, for those who only want to know that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything was backed up, or everything that could be read.
    Success,
    /// It goes on later: Telegram asked for patience, another run is in progress, or somebody interrupted it.
    Later,
    /// Somebody has to look.
    Failure,
}

impl Outcome {
    /// What an exit code means to a watcher.
    pub fn of(exit_code: u8) -> Self {
        match exit_code {
            0 | 3 => Self::Success,
            11 | 14 | 130 => Self::Later,
            _ => Self::Failure,
        }
    }
}

/// How one source in one vault fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What the profile calls the source.
    pub source: String,
    /// What the profile calls the vault.
    pub vault: String,
    /// The exit code.
    pub exit_code: u8,
    /// What that means.
    pub meaning: String,
    /// The snapshot that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Entries in its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Bytes in its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes that were stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// Entries that could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problems: Option<u64>,
    /// Chats that lost many messages at once, or all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chats_affected: Option<u64>,
    /// Messages that these chats lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_deleted: Option<u64>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document {
    /// What it is about.
    pub event: Event,
    /// What it came to.
    pub outcome: Outcome,
    /// When it is told.
    pub time: Timestamp,
    /// This machine.
    pub host: String,
    /// The profile's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The unit that failed, where systemd told us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The exit code of the whole.
    pub exit_code: u8,
    /// What that means.
    pub meaning: String,
    /// Each source in each vault.
    pub steps: Vec<Step>,
    /// What else is to be said, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Document {
    /// Whether chats lost many messages at once, or all.
    pub fn has_many_deletions(&self) -> bool {
        self.steps.iter().any(|step| step.chats_affected.is_some())
    }

    /// One line for people.
    pub fn title(&self) -> String {
        let what = match self.event {
            Event::Before => "backup starts",
            Event::TooOld => "a backup is too old",
            Event::DrillDue => "a restore drill is due",
            Event::Test => "this is a test",
            Event::SessionLost => "Telegram login needed",
            Event::SourceEmpty => "most files of a source are gone",
            Event::ManyDeleted => "many messages were deleted in Telegram",
            Event::After | Event::Failed => match (self.outcome, self.exit_code) {
                (Outcome::Success, _) if self.has_many_deletions() => "backup done; many messages were deleted in Telegram",
                (Outcome::Success, 0) => "backup done",
                (Outcome::Success, _) => "backup done, with gaps",
                (Outcome::Later, _) => "backup continues later",
                (Outcome::Failure, _) => "backup failed",
            },
        };
        format!("tgvault on {}: {what}", self.host)
    }

    /// All of it for people, line by line.
    pub fn text(&self) -> String {
        let mut text = format!("{} (exit code {})\n", self.meaning, self.exit_code);
        for step in &self.steps {
            // Writing to a string does not fail.
            let _ = write!(text, "{} -> {}: {} (exit code {})", step.source, step.vault, step.meaning, step.exit_code);
            if let (Some(entries), Some(bytes)) = (step.entries, step.bytes) {
                let _ = write!(text, "; {entries} entries, {bytes} bytes");
            }
            if let Some(problems) = step.problems.filter(|problems| *problems > 0) {
                let _ = write!(text, "; {problems} not read");
            }
            if let (Some(chats), Some(messages)) = (step.chats_affected, step.messages_deleted) {
                let _ = write!(text, "; {messages} messages deleted in Telegram in {chats} chats, kept in the vault");
            }
            text.push('\n');
        }
        for line in self.unit.iter().map(|unit| format!("unit: {unit}")).chain(self.notes.iter().cloned()) {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_a_success_and_waiting_is_no_failure() {
        for (code, outcome) in [
            (0, Outcome::Success),
            (3, Outcome::Success),
            (11, Outcome::Later),
            (14, Outcome::Later),
            (130, Outcome::Later),
            (1, Outcome::Failure),
            (13, Outcome::Failure),
            (17, Outcome::Failure),
        ] {
            assert_eq!(Outcome::of(code), outcome, "{code}");
        }
    }
}
