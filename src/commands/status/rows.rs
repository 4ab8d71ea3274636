//! One line of `status`: a source in a vault, as the profile wants it and as this machine remembers it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::commands::backup::remembered;
use crate::commands::config::sources::SourceProfile;
use crate::commands::context::Context;
use crate::commands::exit::{Exit, meaning_of};
use crate::commands::units;
use crate::operations::status::ledger::{Record, Remembered, Saved, Subject, Verified};
use crate::repository::snapshots::CLOCKS_DIFFER;

/// A source in a vault.
pub struct Row {
    /// What messages call the source.
    pub source: String,
    /// What messages call the vault.
    pub vault: String,
    /// How old the profile says that its last backup may be.
    pub max_age: Option<Duration>,
    /// Whether it has no age: an export is imported once.
    pub is_import: bool,
    /// What is remembered of it.
    pub record: Option<Record>,
    /// The last check of the vault.
    pub verified: Option<Verified>,
}

/// How complete the last backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that could be read, and of an account everything that Telegram served.
    Complete,
    /// Something is missing, for a reason that is known.
    Incomplete,
    /// There is no backup.
    Never,
}

/// All rows: what the profile wants, in its order, then what else this machine has backed up into these vaults.
pub fn rows(contexts: &[Arc<Context>], remembered: &Remembered) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut shown: Vec<Subject> = Vec::new();
    let vaults: Vec<(String, String)> = contexts.iter().filter_map(|context| Some((context.vault_label()?, context.address()?))).collect();
    for source in contexts.first().map(|context| context.settings.sources.as_slice()).unwrap_or_default() {
        for (vault, address) in vaults.iter().filter(|(vault, _)| source.goes_into(vault)) {
            let subject = subject_of(source, address);
            rows.push(Row {
                source: source.label(),
                vault: vault.clone(),
                max_age: source.max_age().map(|span| span.0),
                is_import: matches!(source, SourceProfile::DesktopExport(_)),
                record: remembered.of(&subject).cloned(),
                verified: remembered.verified_at(address).cloned(),
            });
            shown.push(subject);
        }
    }
    let is_meant = |address: &str| vaults.is_empty() || vaults.iter().any(|(_, known)| known == address);
    for record in remembered.records.iter().filter(|record| is_meant(&record.subject.address) && !shown.contains(&record.subject)) {
        let Subject { address, kind, source } = &record.subject;
        let vault = vaults.iter().find(|(_, known)| known == address).map_or(address, |(vault, _)| vault);
        rows.push(Row {
            source: if kind == "telegram" { format!("telegram:{source}") } else { source.clone() },
            vault: vault.clone(),
            max_age: None,
            is_import: kind == "desktop-export",
            record: Some(record.clone()),
            verified: remembered.verified_at(address).cloned(),
        });
    }
    rows
}

/// What a source of the profile is remembered as.
fn subject_of(source: &SourceProfile, address: &str) -> Subject {
    let (kind, source) = match source {
        SourceProfile::Folder(entry) => ("folder", remembered::folder(&entry.path)),
        SourceProfile::DesktopExport(entry) => ("desktop-export", remembered::folder(&entry.path)),
        SourceProfile::Telegram(entry) => ("telegram", entry.account.clone()),
    };
    Subject { address: address.to_owned(), kind: kind.to_owned(), source }
}

impl Row {
    /// The last backup that was made.
    pub fn saved(&self) -> Option<&Saved> {
        self.record.as_ref().and_then(|record| record.saved.as_ref())
    }

    /// How complete the last backup is.
    pub fn verdict(&self) -> Verdict {
        match self.saved() {
            None => Verdict::Never,
            Some(saved) => {
                let is_covered = saved.coverage.is_none_or(|coverage| coverage.incomplete == 0);
                if saved.exit == Exit::Done.code() && saved.problems == 0 && is_covered { Verdict::Complete } else { Verdict::Incomplete }
            }
        }
    }

    /// The verdict in words.
    pub fn state(&self) -> String {
        let Some(saved) = self.saved() else { return "no backup".to_owned() };
        let mut missing = Vec::new();
        if saved.problems > 0 {
            missing.push(format!("{} not read", units::counted(saved.problems, "entry")));
        }
        if let Some(coverage) = saved.coverage.filter(|coverage| coverage.incomplete > 0) {
            missing.push(format!("{} incomplete", units::counted(coverage.incomplete, "chat")));
        }
        match (self.verdict(), missing.is_empty()) {
            (Verdict::Incomplete, true) => format!("incomplete (exit code {})", saved.exit),
            (Verdict::Incomplete, false) => missing.join(", "),
            _ => "complete".to_owned(),
        }
    }

    /// Why the last run failed; `None` when it made a backup.
    pub fn last_error(&self) -> Option<String> {
        let last = self.record.as_ref().filter(|record| record.failing_since.is_some()).map(|record| &record.last)?;
        Some(last.why.clone().unwrap_or_else(|| meaning_of(last.exit).to_owned()))
    }

    /// How the last run ended, in words.
    pub fn last_run(&self) -> String {
        let Some(record) = &self.record else { return "never".to_owned() };
        match (self.last_error(), record.failing_since) {
            (Some(why), Some(since)) => format!("failing since {}: {why} (exit code {})", units::time(since), record.last.exit),
            _ => "ok".to_owned(),
        }
    }

    /// What is to be said of the age of its last backup: since when there is none, and why.
    pub fn complaint(&self, max_age: Option<Duration>, now: Timestamp) -> Option<String> {
        let most = self.max_age.or(if self.is_import { None } else { max_age })?;
        let what = match self.saved() {
            None => "there is no backup".to_owned(),
            // What a clock that was ahead has made says nothing about its age.
            Some(saved) if saved.at.duration_since(now) > CLOCKS_DIFFER => {
                format!("the last backup has a time in the future, {}: this machine's clock was or is wrong", units::time(saved.at))
            }
            Some(saved) => {
                let age = Duration::try_from(now.duration_since(saved.at)).unwrap_or_default();
                if age <= most {
                    return None;
                }
                format!("the last backup is {} old, from {}", units::duration(age), units::time(saved.at))
            }
        };
        let why = match (self.last_error(), self.record.as_ref().and_then(|record| record.failing_since)) {
            (Some(why), Some(since)) => format!("runs have failed since {}: {}", units::time(since), units::printable(&why)),
            _ => "no run has been started since then".to_owned(),
        };
        let (source, vault) = (units::printable(&self.source), units::printable(&self.vault));
        Some(format!("{source} → {vault}: {what}; expected one from the last {}; {why}", units::duration(most)))
    }
}
