//! What is started, and how it may use the machine.

use std::path::PathBuf;

use super::ScheduleError;
use super::when::{Time, When};

/// All that is installed for one profile: the backup, a monthly check, and a watch for backups that stay away.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What tells several profiles apart in names of files: letters, digits, `-` and `_`.
    pub name: String,
    /// The program, with its whole path.
    pub program: PathBuf,
    /// What stands before the command: the profile, the state folder.
    pub options: Vec<String>,
    /// When backups are made.
    pub when: When,
    /// At which time of day.
    pub at: Time,
    /// Seconds by which the start may be later, so that not all machines come at once.
    pub jitter_seconds: u32,
    /// The share of archives that the monthly check reads, in percent.
    pub verify_percent: u8,
    /// How old a backup may be before the watch complains, as in `26h`.
    pub max_age: String,
    /// Whether it runs for the whole system rather than for one user.
    pub is_system: bool,
    /// The user that a service of the system runs as; root without one.
    pub run_as: Option<String>,
    /// Whether it is kept away from what it does not need.
    pub is_sandboxed: bool,
    /// Folders that are written to: this machine's state, vaults on disks.
    pub writes: Vec<PathBuf>,
}

/// One thing that is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// The backup.
    Run,
    /// The check of a sample of the vault.
    Verify,
    /// The watch for backups that stay away.
    Watch,
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Run, Self::Verify, Self::Watch];

    /// A word for names of files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Verify => "verify",
            Self::Watch => "watch",
        }
    }

    /// What it does, for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::Run => "tgvault backup",
            Self::Verify => "tgvault check of a sample of the vault",
            Self::Watch => "tgvault watch for backups that stay away",
        }
    }
}

impl Plan {
    /// Refuses what no file can carry.
    ///
    /// # Errors
    /// When a path or an option has a control character.
    pub fn check(&self) -> Result<(), ScheduleError> {
        let has_control = |text: &str| text.chars().any(char::is_control);
        if has_control(&self.program.to_string_lossy()) {
            return Err(ScheduleError::Unwritable { what: "the path of the program" });
        }
        if self.options.iter().any(|option| has_control(option)) || has_control(&self.max_age) {
            return Err(ScheduleError::Unwritable { what: "an option" });
        }
        if self.run_as.as_deref().is_some_and(|user| has_control(user) || user.is_empty()) {
            return Err(ScheduleError::Unwritable { what: "the name of the user" });
        }
        if self.writes.iter().any(|path| has_control(&path.to_string_lossy())) {
            return Err(ScheduleError::Unwritable { what: "the path of a folder" });
        }
        Ok(())
    }

    /// The name of a job's files, without what comes behind the dot.
    pub fn stem(&self, job: Job) -> String {
        format!("tgvault-{}-{}", self.name, job.word())
    }

    /// The words of the command that tells that `unit` failed.
    pub fn alert_words(&self, unit: &str) -> Vec<String> {
        let mut words = vec![self.program.to_string_lossy().into_owned()];
        words.extend(self.options.iter().cloned());
        words.extend(["alert", "failed", "--unit", unit].map(str::to_owned));
        words
    }

    /// The words of a job's command, the program first.
    pub fn words(&self, job: Job) -> Vec<String> {
        let mut words = vec![self.program.to_string_lossy().into_owned()];
        words.extend(self.options.iter().cloned());
        words.extend(match job {
            Job::Run => vec!["--no-progress".to_owned(), "run".to_owned()],
            Job::Verify => {
                vec![
                    "--quiet".to_owned(),
                    "--no-progress".to_owned(),
                    "verify".to_owned(),
                    "--sample".to_owned(),
                    format!("{}%", self.verify_percent),
                ]
            }
            Job::Watch => {
                vec!["--quiet".to_owned(), "status".to_owned(), "--alert".to_owned(), "--max-age".to_owned(), self.max_age.clone()]
            }
        });
        words
    }
}
