//! What a chat is like after all the lines of its log: which version of each message counts, and what became of it.
//!
//! The version of a message that counts is the one that was seen last, then the one of the later run, then the later line. A version
//! that an import saw again was seen then ([`Sighting`]). A version whose message had been edited later was not seen after that
//! edit, whatever it says: files get new times when they are copied. Pages do not tell of edits, so of them only the time counts.
//! A message is deleted when a deletion (or the clearing of the chat) was observed after that version
//! was: seeing a message again revives it. All versions stay known, for histories.
//!
//! A chat of a million messages does not fit in memory, so [`Fold`] keeps some ten bytes for each line and none of its content: the
//! caller passes over the log once with [`Head`]s, then fetches lines by [`Location`] in the order that
//! [`Fold::finish`] gives.

mod versions;

use std::collections::HashMap;

use self::versions::{Merged, Version, Versions};
use super::ids::IdList;
use super::record::{ChatEvent, Head, RecordType};

/// Where a line lies: which batch, and at which byte of it. Batches are numbered by the caller, in the order of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The batch.
    pub batch: u32,
    /// The line's first byte in it.
    pub offset: u32,
    /// The line's length in bytes, its end not included.
    pub len: u32,
}

/// As of when a chat is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AsOf {
    /// As it was found last.
    #[default]
    Now,
    /// As it was at this time, Unix seconds, as far as it is known: messages sent until then, in the last version that had been
    /// seen or written by then (or the earliest known one), without deletions that were found later.
    At(i64),
}

/// One message after folding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The message's id.
    pub id: i64,
    /// The version that counts.
    pub current: Location,
    /// The other versions, earliest first.
    pub earlier: Vec<Location>,
    /// When it was sent, Unix seconds; `None` where the source does not tell.
    pub date: Option<i64>,
    /// When its deletion was observed, if it counts, Unix seconds.
    pub deleted: Option<i64>,
}

/// That an import found messages again as another run had stored them, so that nothing was stored of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The run that had stored them.
    pub run: String,
    /// When they were seen again, Unix seconds.
    pub observed: i64,
    /// Which.
    pub ids: IdList,
}

/// In the place of an edit's time: the message was not edited.
const NOT_EDITED: i64 = i64::MIN + 1;

/// In the place of an edit's time: the form that the version has tells no edits.
const EDIT_NOT_TOLD: i64 = i64::MIN;

/// In the place of an edit's time: this is no version, but an earlier one was seen again. Its line is the number of the sighting.
const SEEN_AGAIN: i64 = i64::MIN + 2;

/// Collects the heads of a chat's log. See the module's page.
#[derive(Default)]
pub struct Fold {
    versions: Versions,
    deletions: HashMap<i64, i64>,
    cleared: Vec<(i64, i64)>,
    runs: Vec<String>,
}

impl Fold {
    /// An empty fold.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one line.
    pub fn add(&mut self, head: &Head<'_>, at: Location) {
        match (head.record, head.id) {
            (RecordType::Message, Some(id)) => {
                let run = self.run_number(&head.run);
                self.versions.push(Version {
                    id,
                    edited: head.edited.unwrap_or(if head.is_page { EDIT_NOT_TOLD } else { NOT_EDITED }),
                    observed: head.observed,
                    date: head.date.unwrap_or(i64::MIN),
                    run,
                    at,
                });
            }
            (RecordType::Deletion, Some(id)) => {
                let last = self.deletions.entry(id).or_insert(i64::MIN);
                *last = (*last).max(head.observed);
            }
            (RecordType::Event, _) => {
                if let Some(ChatEvent::Cleared { up_to }) = head.event {
                    self.cleared.push((up_to.unwrap_or(i64::MAX), head.observed));
                }
            }
            // `Head::from_line` refuses these.
            (RecordType::Message | RecordType::Deletion, None) => {}
        }
    }

    /// The number of a run; the last one is looked at first, for lines of a run come together.
    fn run_number(&mut self, run: &str) -> u32 {
        let found = self.runs.iter().rposition(|known| known == run);
        let index = found.unwrap_or_else(|| {
            self.runs.push(run.to_owned());
            self.runs.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// The messages, ascending by id. `seen` says what imports saw again.
    pub fn finish(self, as_of: AsOf, seen: &[Sighting]) -> FoldedMessages {
        let Self { mut versions, deletions, mut cleared, runs } = self;
        let mut by_name: Vec<u32> = (0..u32::try_from(runs.len()).unwrap_or(u32::MAX)).collect();
        by_name.sort_by_key(|&run| runs.get(run as usize));
        let mut rank = vec![0u32; runs.len()];
        for (position, &run) in by_name.iter().enumerate() {
            if let Some(slot) = rank.get_mut(run as usize) {
                *slot = u32::try_from(position).unwrap_or(u32::MAX);
            }
        }
        if let AsOf::At(time) = as_of {
            cleared.retain(|&(_, observed)| observed <= time);
        }
        let (until, lines) = (until(as_of), versions.len());
        for (number, sighting) in (0..).zip(seen).filter(|(_, seen)| seen.observed <= until) {
            let Some(run) = (0..).zip(&runs).find_map(|(run, name)| (*name == sighting.run).then_some(run)) else { continue };
            let at = Location { offset: number, ..Location::default() };
            // Nobody saw more messages again than there are, whatever a list claims.
            for id in sighting.ids.iter().take(lines) {
                versions.push(Version { id, edited: SEEN_AGAIN, observed: sighting.observed, date: i64::MIN, run, at });
            }
        }
        FoldedMessages { versions: versions.merge(), rank, deletions, cleared, as_of }
    }
}

fn until(as_of: AsOf) -> i64 {
    if let AsOf::At(time) = as_of { time } else { i64::MAX }
}

/// The messages of a folded chat, ascending by id.
pub struct FoldedMessages {
    versions: Merged,
    /// The place of each run in the order of their names.
    rank: Vec<u32>,
    deletions: HashMap<i64, i64>,
    cleared: Vec<(i64, i64)>,
    as_of: AsOf,
}

impl Iterator for FoldedMessages {
    type Item = Folded;

    fn next(&mut self) -> Option<Folded> {
        loop {
            let lines = self.versions.group()?;
            if let Some(folded) = self.message(lines) {
                return Some(folded);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.versions.left()))
    }
}

impl FoldedMessages {
    /// The message of these lines; `None` where there was none yet at the time that is wanted.
    fn message(&self, lines: Vec<Version>) -> Option<Folded> {
        let until = until(self.as_of);
        let (mut seen, mut versions): (Vec<Version>, Vec<Version>) = lines.into_iter().partition(|line| line.edited == SEEN_AGAIN);
        let id = versions.first()?.id;
        seen.sort_by_key(|seen| seen.at.offset);
        for sighting in seen {
            for version in versions.iter_mut().filter(|version| version.run == sighting.run) {
                // As of some time, what was stored later may have been seen before.
                let is_later = version.observed > until;
                version.observed = if is_later { sighting.observed } else { version.observed.max(sighting.observed) };
            }
        }
        for version in &mut versions {
            version.run = self.rank.get(version.run as usize).copied().unwrap_or(u32::MAX);
        }
        let versions = in_order(versions);
        let known = match self.as_of {
            AsOf::Now => versions.len(),
            AsOf::At(time) => {
                let is_known = |version: &Version| version.observed <= time || (SEEN_AGAIN + 1..=time).contains(&version.edited);
                versions.iter().rposition(is_known).map_or(1, |last| last + 1)
            }
        };
        // What pages tell of times is a guess for some messages; anything else is exact.
        let dated =
            |is_exact: bool| versions.iter().rev().find(|version| version.date > i64::MIN && (version.edited != EDIT_NOT_TOLD) == is_exact);
        let date = dated(true).or_else(|| dated(false)).map(|version| version.date);
        // Before it was sent there was no message; where that is not known, before it was seen.
        if date.or_else(|| versions.iter().map(|version| version.observed).min()).is_some_and(|date| date > until) {
            return None;
        }
        let (current, earlier) = versions.get(..known)?.split_last()?;
        let cleared = self.cleared.iter().filter(|(up_to, _)| id <= *up_to).map(|(_, observed)| *observed);
        let last_seen = versions.iter().filter(|v| v.observed <= until).map(|v| v.observed).max();
        let deleted = cleared
            .chain(self.deletions.get(&id).copied())
            .filter(|&observed| observed <= until && observed > last_seen.unwrap_or(i64::MIN))
            .max();
        Some(Folded { id, current: current.at, earlier: earlier.iter().map(|version| version.at).collect(), date, deleted })
    }
}

/// The versions of one message in the order in which they were true.
fn in_order(mut versions: Vec<Version>) -> Vec<Version> {
    if versions.len() == 1 {
        return versions;
    }
    let edits: Vec<i64> = versions.iter().map(|version| version.edited).collect();
    for version in versions.iter_mut().filter(|version| version.edited != EDIT_NOT_TOLD) {
        let later = edits.iter().copied().filter(|edited| *edited > version.edited.max(NOT_EDITED)).min();
        version.observed = version.observed.min(later.map_or(i64::MAX, |later| later - 1));
    }
    versions.sort_by_key(|version| (version.observed, version.edited, version.run, version.at.batch, version.at.offset));
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(lines: &[&str], as_of: AsOf) -> Vec<Folded> {
        fold_seen(lines, as_of, &[])
    }

    fn fold_seen(lines: &[&str], as_of: AsOf, seen: &[Sighting]) -> Vec<Folded> {
        let mut fold = Fold::new();
        for (index, line) in lines.iter().enumerate() {
            let line = format!(r#"{{"v":1,"peer":"user1",{line}}}"#);
            let at = Location { batch: 0, offset: u32::try_from(index).unwrap(), len: 1 };
            fold.add(&Head::from_line(line.as_bytes()).unwrap(), at);
        }
        fold.finish(as_of, seen).collect()
    }

    fn offsets(folded: &[Folded]) -> Vec<(i64, u32, Option<i64>)> {
        folded.iter().map(|f| (f.id, f.current.offset, f.deleted)).collect()
    }

    #[test]
    fn the_latest_look_counts_and_none_after_a_later_edit() {
        let lines = [
            r#""record":"message","id":2,"observed":50,"run":"b","date":10,"edited":30"#,
            r#""record":"message","id":1,"observed":50,"run":"b","date":10"#,
            r#""record":"message","id":2,"observed":90,"run":"c","date":10,"edited":20"#,
            r#""record":"message","id":1,"observed":50,"run":"a","date":10"#,
            r#""record":"message","id":3,"observed":5,"run":"a","date":10"#,
            r#""record":"message","id":3,"observed":6,"run":"a","date":10"#,
        ];
        let folded = fold(&lines, AsOf::Now);
        assert_eq!(offsets(&folded), [(1, 1, None), (2, 0, None), (3, 5, None)]);
        assert_eq!(folded[0].earlier.iter().map(|at| at.offset).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn what_is_seen_again_counts_from_then_and_pages_count_by_their_time() {
        let lines = [
            r#""record":"message","id":1,"observed":16,"run":"a","date":10"#,
            r#""record":"message","id":1,"observed":17,"run":"b","date":10"#,
            r#""record":"message","id":2,"observed":16,"run":"a","date":10,"edited":12"#,
            r#""record":"message","id":2,"observed":17,"run":"b","date":11,"raw":{"html":"x"}"#,
            r#""record":"message","id":3,"observed":16,"run":"a","date":10"#,
            r#""record":"deletion","id":3,"observed":17,"run":"c""#,
        ];
        let mut ids = IdList::default();
        [1, 3].into_iter().for_each(|id| ids.push(id));
        let seen = [Sighting { run: "a".into(), observed: 18, ids }];
        assert_eq!(offsets(&fold(&lines, AsOf::Now)), [(1, 1, None), (2, 3, None), (3, 4, Some(17))]);
        assert_eq!(offsets(&fold_seen(&lines, AsOf::Now, &seen)), [(1, 0, None), (2, 3, None), (3, 4, None)]);
        assert_eq!(offsets(&fold_seen(&lines, AsOf::At(17), &seen)), [(1, 1, None), (2, 3, None), (3, 4, Some(17))]);
        assert_eq!(fold(&lines, AsOf::Now)[1].date, Some(10), "what a page tells of times is a guess");
    }

    #[test]
    fn deletions_count_until_the_message_is_seen_again() {
        let lines = [
            r#""record":"message","id":1,"observed":50,"run":"a""#,
            r#""record":"deletion","id":1,"observed":60,"run":"b""#,
            r#""record":"message","id":2,"observed":50,"run":"a""#,
            r#""record":"deletion","id":2,"observed":60,"run":"b""#,
            r#""record":"message","id":2,"observed":70,"run":"c""#,
            r#""record":"message","id":9,"observed":50,"run":"a""#,
            r#""record":"event","observed":80,"run":"d","event":{"name":"cleared","up_to":8}"#,
            r#""record":"message","id":3,"observed":80,"run":"d""#,
        ];
        let folded = fold(&lines, AsOf::Now);
        assert_eq!(offsets(&folded), [(1, 0, Some(80)), (2, 4, Some(80)), (3, 7, None), (9, 5, None)]);
    }

    #[test]
    fn a_chat_is_seen_as_it_was() {
        let lines = [
            r#""record":"message","id":1,"observed":50,"run":"a","date":10"#,
            r#""record":"message","id":1,"observed":90,"run":"b","date":10,"edited":80"#,
            r#""record":"message","id":2,"observed":90,"run":"b","date":70"#,
            r#""record":"deletion","id":1,"observed":95,"run":"c""#,
            r#""record":"message","id":3,"observed":90,"run":"b","date":40,"edited":85"#,
        ];
        assert_eq!(offsets(&fold(&lines, AsOf::At(60))), [(1, 0, None), (3, 4, None)]);
        assert_eq!(offsets(&fold(&lines, AsOf::At(92))), [(1, 1, None), (2, 2, None), (3, 4, None)]);
        assert_eq!(offsets(&fold(&lines, AsOf::Now)), [(1, 1, Some(95)), (2, 2, None), (3, 4, None)]);
    }
}
