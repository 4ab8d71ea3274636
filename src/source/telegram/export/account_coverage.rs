//! What of the account beside the history of its chats could not be had: `account/coverage.json`.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::run::{Run, path};
use crate::model::account::Section;
use crate::model::coverage::{AccountCoverage, CUSTOM_EMOJI, MissingPart};
use crate::model::entry::EntryPath;
use crate::model::paths;
use crate::model::record::VERSION;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::stored::{Effect, Seen};

/// Why a part is missing that only a takeout tells.
pub(super) const TAKEOUT_ENDED: &str = "Telegram ended the takeout, without which it does not give it";

/// Says that files are missing.
pub(super) fn not_fetched(count: u64, reason: &str) -> String {
    let files = if count == 1 { "file" } else { "files" };
    format!("{count} {files} could not be fetched ({reason})")
}

impl Run {
    /// Takes note that a part of the account was served.
    pub(super) fn served(&self, part: &'static str) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, None);
    }

    /// Takes note that a part of the account, which would lie at `place`, was not served, and tells it.
    pub(super) async fn unserved(&self, part: &'static str, place: EntryPath, because: String) -> Result<(), TelegramError> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, Some(because.clone()));
        self.outbox.problem(place, because).await
    }

    /// Whether parts that only a takeout tells were to be had when there was none any more.
    pub(super) fn missed_takeout(&self) -> bool {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.values().any(|because| because.as_deref() == Some(TAKEOUT_ENDED))
    }

    /// Writes the account's coverage when it changed. What was not asked for in this run is as it was.
    pub(super) async fn account_for_parts(&self) -> Result<(), TelegramError> {
        let before = self.state.read().unserved.clone();
        let mut unserved = before.clone();
        {
            let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            for (part, because) in parts.iter() {
                match because {
                    Some(because) => unserved.insert((*part).to_owned(), because.clone()),
                    None => unserved.remove(*part),
                };
            }
            let (files, asked) = (self.files_of_parts(), |part: &str| matches!(parts.get(part), Some(Some(_))));
            for (part, because) in files {
                match because {
                    Some(because) if !asked(part) => unserved.insert(part.to_owned(), because),
                    None if part == CUSTOM_EMOJI => unserved.remove(part),
                    _ => None,
                };
            }
        }
        if unserved == before {
            return Ok(());
        }
        let missing = unserved.iter().map(|(part, because)| MissingPart { part: part.clone(), because: because.clone() });
        let coverage = AccountCoverage { v: VERSION, observed: self.observed, run: self.id.clone(), missing: missing.collect() };
        self.describe(path(paths::account_coverage())?, &coverage, Effect::AccountCoverage(unserved)).await?;
        Ok(())
    }

    /// What is said of the files of the account's own things: of each kind the first reason, and how many there are.
    fn files_of_parts(&self) -> Vec<(&'static str, Option<String>)> {
        let mut failed: BTreeMap<&'static str, (u64, String)> = BTreeMap::new();
        let state = self.state.read();
        for (seen, reason) in state.missing.values().filter_map(|missing| Some((&missing.seen, missing.reason.as_ref()?))) {
            let part = match seen {
                Seen::Story(_) => Section::Stories.key(),
                Seen::Userpic(_) => Section::ProfilePictures.key(),
                Seen::Emoji(_) => CUSTOM_EMOJI,
                Seen::Message(..) => continue,
            };
            failed.entry(part).or_insert_with(|| (0, reason.clone())).0 += 1;
        }
        let parts = [Section::Stories.key(), Section::ProfilePictures.key(), CUSTOM_EMOJI];
        let words = |(count, reason): &(u64, String)| not_fetched(*count, reason);
        parts.into_iter().map(|part| (part, failed.get(part).map(words))).collect()
    }
}
