//! What of the account beside the history of its chats could not be had: `account/coverage.json`.

use std::collections::BTreeMap;

use super::run::{Run, path};
use crate::model::account::Section;
use crate::model::coverage::{AccountCoverage, CUSTOM_EMOJI, MissingPart};
use crate::model::entry::EntryPath;
use crate::model::paths;
use crate::model::reason::Reason;
use crate::model::record::VERSION;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::stored::{Effect, Seen};

impl Run {
    /// Takes note that a part of the account, which would lie at `place`, was not served, and tells it.
    pub(super) async fn unserved(&self, part: &'static str, place: EntryPath, because: Reason) -> Result<(), TelegramError> {
        let words = because.to_string();
        self.ledger.part(part, Some(because));
        self.outbox.problem(place, words).await
    }

    /// Whether parts that only a takeout tells were to be had when there was none any more.
    pub(super) fn missed_takeout(&self) -> bool {
        self.ledger.parts().values().any(|because| because.as_ref() == Some(&Reason::TakeoutEnded))
    }

    /// Writes the account's coverage when it changed. What was not asked for in this run is as it was.
    pub(super) async fn account_for_parts(&self) -> Result<(), TelegramError> {
        let before = self.state.read().unserved.clone();
        let mut unserved = before.clone();
        let parts = self.ledger.parts();
        for (part, because) in &parts {
            match because {
                Some(because) => unserved.insert((*part).to_owned(), because.clone()),
                None => unserved.remove(*part),
            };
        }
        for (part, because) in self.files_of_parts() {
            let was_refused = matches!(parts.get(part), Some(Some(_)));
            match because {
                Some(because) if !was_refused => unserved.insert(part.to_owned(), because),
                None if part == CUSTOM_EMOJI => unserved.remove(part),
                _ => None,
            };
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
    fn files_of_parts(&self) -> Vec<(&'static str, Option<Reason>)> {
        let mut failed: BTreeMap<&'static str, (u64, String)> = BTreeMap::new();
        let state = self.state.read();
        for (seen, reason) in state.missing.values().filter_map(|missing| Some((&missing.seen, missing.reason.as_ref()?))) {
            let part = match seen {
                Seen::Section(section, _) => section.key(),
                Seen::Story(_) => Section::Stories.key(),
                Seen::Userpic(_) => Section::ProfilePictures.key(),
                Seen::Emoji(_) => CUSTOM_EMOJI,
                Seen::Message(..) | Seen::Part(..) => continue,
            };
            failed.entry(part).or_insert_with(|| (0, reason.clone())).0 += 1;
        }
        let parts = [Section::Stories, Section::ProfilePictures, Section::ProfileMusic, Section::Gifts, Section::QuickReplies];
        let parts = parts.map(Section::key).into_iter().chain([CUSTOM_EMOJI]);
        let mut reason = |part| {
            let (count, error) = failed.remove(part)?;
            Some(Reason::FilesNotFetched { count, error })
        };
        parts.map(|part| (part, reason(part))).collect()
    }
}
