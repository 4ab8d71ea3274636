//! What can be said about a chat's completeness: `coverage.json`.

use std::collections::BTreeMap;

use super::{Chat, Findings, UNLISTED};
use crate::model::coverage::{Coverage, CoveredRange, IdRange, MediaCoverage, Notes, PartCoverage, ReasonCount, Verdict};
use crate::model::part::Part;
use crate::model::paths;
use crate::model::peer::PeerKind;
use crate::model::reason::Reason;
use crate::model::record::VERSION;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::events::Event;
use crate::source::telegram::export::run::path;
use crate::source::telegram::stored::{ChatState, Effect, PartState, Seen, Unfinished};

impl Chat {
    /// Says in the coverage that all messages were read again in this run, though nothing else was looked for here.
    pub(crate) async fn account_for_reread(&self) -> Result<(), TelegramError> {
        self.findings().reread = Some(self.run.observed);
        self.account_for().await.map(|_| ())
    }

    /// When the oldest of the reactions that are held were read.
    pub(super) fn reactions_read(&self) -> Option<i64> {
        let first_time = self.before.ranges.is_empty().then_some(self.run.observed);
        self.findings().reread.or(self.before.reread).or(first_time)
    }

    /// Writes `coverage.json` when it changed, and gives the mark of what is written: once in a run, when all files of the chat are read
    /// to their end. The order of two versions from one run would be anybody's.
    pub(crate) async fn account_for(&self) -> Result<Option<u64>, TelegramError> {
        let run = &self.run;
        run.fetcher.all_read(Some(self.peer())).await;
        if !run.state.read().mistaken(self.peer()).is_empty() {
            // Boxed, because it is rare and many chats wait here.
            Box::pin(run.correct(self.peer())).await?;
        }
        let (coverage, went) = self.coverage();
        if let Some(note) = went {
            run.tell(Event::Note(format!("{}: {note}", self.peer())));
        }
        let what = (&coverage.ranges, &coverage.not_returned, &coverage.media, &coverage.notes, &coverage.verdict, &coverage.parts);
        let steady = (what, coverage.only_my_messages, coverage.reactions_read);
        let digest = run.prints.of_bytes(&serde_json::to_vec(&steady).unwrap_or_default());
        if self.before.coverage == Some(digest) {
            self.weigh(&coverage.verdict, None);
            return Ok(None);
        }
        let mark = run
            .describe(
                path(paths::coverage(self.peer()))?,
                &coverage,
                Effect::Coverage { peer: self.peer(), digest, verdict: (&coverage.verdict).into() },
            )
            .await?;
        self.weigh(&coverage.verdict, Some(mark));
        Ok(Some(mark))
    }

    /// Says of a chat that Telegram lists no more that it does not, and remembers that this was said.
    pub(crate) async fn tell_unlisted(&self) -> Result<(), TelegramError> {
        self.note(Reason::NotListed);
        self.findings().own_only = self.before.only_my;
        let mark = self.account_for().await?;
        let (peer, gone) = (self.peer(), Some(UNLISTED.to_owned()));
        self.run.state.when_all(mark.as_slice(), Effect::Looked { peer, pts: None, server_count: None, gone, again: false });
        Ok(())
    }

    /// Messages that went while the chat was read, before they were.
    fn went(&self, covered: &[CoveredRange], before: Option<u64>) -> u64 {
        let ([only], Some(before)) = (covered, before) else { return 0 };
        if only.server_after.is_some_and(|after| after < before) { before.saturating_sub(only.ours) } else { 0 }
    }

    /// By how many messages the server counts fewer than it served, where all were read in this run; else what was told before, unless
    /// the count of this run is high enough for the `held` ones.
    fn counted_fewer(&self, findings: &Findings, held: u64) -> Option<u64> {
        // Where the account's ranges of messages are asked one by one, each has a count of its own.
        let is_one = || self.in_ranges(IdRange { first: 1, last: i64::MAX }).len() == 1;
        // Where only the account's own messages were held, these alone were counted when they were read again.
        let (served, counted) = if findings.reread_in_doubt && !self.before.only_my {
            (held, findings.server_after)
        } else if self.before.ranges.is_empty() && is_one() {
            // What went or came meanwhile is in one of the two.
            (findings.ranges.iter().map(|range| range.ours).sum(), findings.server_before.max(findings.server_after))
        } else {
            let is_refuted = findings.server_after.is_some_and(|count| count >= held);
            return self.before.doubt.map(|doubt| doubt.fewer).filter(|fewer| *fewer > 0 && !is_refuted);
        };
        served.checked_sub(counted?).filter(|count| *count > 0)
    }

    /// What can be said, and a word on messages that went meanwhile.
    fn coverage(&self) -> (Coverage, Option<Reason>) {
        let run = &self.run;
        let reactions_read = self.reactions_read();
        let findings = self.findings();
        // What earlier runs stored for good, and what this one has on its way.
        let pending = run.state.after_pending(self.peer());
        let mut ranges: Vec<CoveredRange> = Vec::new();
        let read = if findings.own_only {
            let mut read = pending.ranges.clone();
            read.merge(&pending.own_ranges);
            read
        } else {
            pending.ranges.clone()
        };
        for ids in read.iter() {
            let first = i32::try_from(ids.first).unwrap_or(i32::MAX);
            let last = i32::try_from(ids.last).unwrap_or(i32::MAX);
            let ours = pending.messages.ids(first, last).count() as u64;
            let inside = findings.ranges.iter().filter(|range| range.ids.first >= ids.first && range.ids.last <= ids.last);
            let pages = inside.map(|range| range.pages).sum();
            ranges.push(CoveredRange { ids, pages, joined: true, server_before: None, server_after: None, ours });
        }
        if let [only] = ranges.as_mut_slice() {
            only.server_before = findings.server_before.or(pending.server_count);
            only.server_after = findings.server_after.or(findings.server_before).or(pending.server_count);
        }
        let mut because = findings.missing.clone();
        let top = i64::from(self.dialog.top.unwrap_or_default());
        let dated = run.options.from.is_some() || run.options.till.is_some();
        if !dated && findings.missing.is_empty() {
            let gaps = read.gaps(1, top);
            if !gaps.is_empty() {
                because.push(Reason::Gaps { count: gaps.len() as u64 });
            }
        }
        if dated {
            because.push(Reason::PeriodOnly);
        }
        let others = |ids: IdRange| !pending.ranges.gaps(ids.first, ids.last).is_empty();
        if findings.own_only && (pending.ranges.is_empty() || pending.own_ranges.iter().any(others)) {
            because.push(Reason::OwnOnly);
        }
        if let Some(id) = findings.withheld {
            because.push(Reason::NewestNotServed { id: id.into() });
        }
        if let Some(difference) = ranges.first().filter(|_| ranges.len() == 1 && !dated).and_then(CoveredRange::difference)
            && let Ok(count @ 1..) = u64::try_from(difference)
        {
            because.push(Reason::NotReturned { count });
        }
        let held = ranges.iter().map(|range| range.ours).sum();
        if let Some(count) = self.counted_fewer(&findings, held).filter(|_| !dated && !findings.own_only) {
            because.push(Reason::CountedFewer { count });
        }
        let went = self.went(&ranges, findings.server_before.filter(|_| !dated && !findings.own_only));
        let went = (went > 0).then_some(Reason::DeletedMeanwhile { count: went });
        let in_part = pending.unfinished.values().filter(|unfinished| **unfinished == Unfinished::InPart).count();
        if in_part > 0 {
            because.push(Reason::InPart { count: in_part as u64 });
        }
        let unsupported = pending.unfinished.len().saturating_sub(in_part) as u64;
        let unsupported = (unsupported > 0).then_some(Reason::UnsupportedMedia { count: unsupported });
        let people = run.ledger.unread_people(self.peer());
        let notes = Notes(findings.notes.iter().chain(&went).chain(&unsupported).chain(&people).cloned().collect());
        let mut failed: BTreeMap<String, u64> = BTreeMap::new();
        let mut late = 0_u64;
        for missing in run.state.read().missing.values() {
            let Some(reason) = &missing.reason else { continue };
            let shown = missing.shown_in(self.peer()).len() as u64;
            if shown == 0 {
                continue;
            }
            // The account's coverage tells of custom emoji.
            if matches!(missing.seen, Seen::Message(..)) {
                *failed.entry(reason.clone()).or_default() += 1;
            }
            late += if missing.late { shown } else { 0 };
        }
        for (reason, count) in &failed {
            because.push(Reason::FilesNotFetched { count: *count, error: reason.clone() });
        }
        let not_returned = if self.peer().kind == PeerKind::Channel && !findings.own_only { not_returned(&pending) } else { vec![] };
        let verdict = match (because.is_empty(), read.is_empty()) {
            (true, true) if top > 0 => Verdict::Unknown,
            (true, _) => Verdict::Complete,
            (false, _) => Verdict::Incomplete(because),
        };
        let coverage = Coverage {
            v: VERSION,
            peer: self.peer(),
            observed: run.observed,
            run: run.id.clone(),
            ranges,
            not_returned,
            only_my_messages: findings.own_only,
            media: MediaCoverage {
                wanted: pending.media.wanted,
                stored: pending.media.stored.saturating_sub(late),
                skipped: skipped(&pending),
                failed: failed.into_iter().map(|(reason, count)| ReasonCount { reason, count }).collect(),
            },
            reactions_read,
            parts: parts(&self.before, &findings.parts),
            notes,
            verdict,
        };
        (coverage, went)
    }
}

/// What is held of what the chat has beside messages: as earlier runs found it, and as this one did.
fn parts(before: &ChatState, found: &BTreeMap<Part, PartState>) -> Vec<PartCoverage> {
    let mut all = before.parts.clone();
    all.extend(found.iter().map(|(part, state)| (*part, state.clone())));
    let has_something = |state: &PartState| state.held > 0 || state.counted.is_some_and(|count| count > 0) || state.because.is_some();
    let told = all.into_iter().filter(|(_, state)| has_something(state));
    told.map(|(part, PartState { held, counted, because, .. })| PartCoverage { part: part.key().to_owned(), held, counted, because })
        .collect()
}

/// Files that were left out on purpose, by reason.
fn skipped(state: &ChatState) -> Vec<ReasonCount> {
    let mut counts = state.media.skipped.clone();
    counts.extend(state.left_out.counts().into_iter().map(|(reason, count)| (reason.word(), count)));
    counts.into_iter().map(|(reason, count)| ReasonCount { reason, count }).collect()
}

/// Ids inside the ranges that no message has.
fn not_returned(state: &ChatState) -> Vec<IdRange> {
    let mut missing = Vec::new();
    for range in state.ranges.iter() {
        let (Ok(first), Ok(last)) = (i32::try_from(range.first), i32::try_from(range.last)) else { continue };
        let mut next = range.first;
        for id in state.messages.ids(first, last) {
            if i64::from(id) > next {
                missing.push(IdRange { first: next, last: i64::from(id) - 1 });
            }
            next = i64::from(id) + 1;
        }
        if next <= range.last {
            missing.push(IdRange { first: next, last: range.last });
        }
    }
    missing
}
