//! What a chat is like after all the lines of its log: which version of each message counts, and what became of it.
//!
//! The version of a message that counts is the one that was seen last, then the one of the later run, then the later line. A version
//! that an import saw again was seen then ([`Sighting`]). A version whose message had been edited later was not seen after that
//! edit, whatever it says: files get new times when they are copied. Pages do not tell of edits, so of them only the time counts.
//! A message is deleted when a deletion (or the clearing of the chat) was observed after that version
//! was: seeing a message again revives it. All versions stay known, for histories.
//!
//! A chat of a million messages does not fit in memory, so [`Fold`] keeps 48 bytes for each line and none of its content: the
//! caller passes over the log once with [`Head`]s, then fetches lines by [`Location`] in the order that
//! [`Fold::finish`] gives.

use std::collections::HashMap;

use super::ids::IdList;
use super::record::{ChatEvent, Head, RecordType};

/// Where a line lies: which batch, and at which byte of it. Batches are numbered by the caller, in the order of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

#[derive(Clone, Copy)]
struct Version {
    id: i64,
    edited: i64,
    observed: i64,
    date: i64,
    run: u32,
    at: Location,
}

/// Collects the heads of a chat's log. See the module's page.
#[derive(Default)]
pub struct Fold {
    versions: Vec<Version>,
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
        for version in &mut versions {
            version.run = rank.get(version.run as usize).copied().unwrap_or(u32::MAX);
        }
        if let AsOf::At(time) = as_of {
            cleared.retain(|&(_, observed)| observed <= time);
        }
        versions.sort_unstable_by_key(|v| (v.id, v.run, v.at.batch, v.at.offset));
        let until = if let AsOf::At(time) = as_of { time } else { i64::MAX };
        let is_told_apart = versions.windows(2).any(|pair| matches!(pair, [one, next] if one.id == next.id));
        // What is seen again matters to messages of several versions, and to those that were deleted.
        for sighting in seen.iter().filter(|seen| seen.observed <= until && (is_told_apart || !deletions.is_empty() || !cleared.is_empty()))
        {
            let Some(run) = runs.iter().position(|run| *run == sighting.run).and_then(|run| rank.get(run)) else { continue };
            for id in sighting.ids.iter() {
                let from = versions.partition_point(|version| (version.id, version.run) < (id, *run));
                let again = versions.iter_mut().skip(from).take_while(|version| (version.id, version.run) == (id, *run));
                again.for_each(|version| {
                    // As of some time, what was stored later may have been seen before.
                    let is_later = version.observed > until;
                    version.observed = if is_later { sighting.observed } else { version.observed.max(sighting.observed) };
                });
            }
        }
        FoldedMessages { versions, next: 0, deletions, cleared, as_of }
    }
}

/// The messages of a folded chat, ascending by id.
pub struct FoldedMessages {
    versions: Vec<Version>,
    next: usize,
    deletions: HashMap<i64, i64>,
    cleared: Vec<(i64, i64)>,
    as_of: AsOf,
}

impl Iterator for FoldedMessages {
    type Item = Folded;

    fn next(&mut self) -> Option<Folded> {
        let rest = self.versions.get(self.next..)?;
        let id = rest.first()?.id;
        let count = rest.iter().take_while(|version| version.id == id).count();
        let versions = in_order(rest.get(..count)?);
        self.next += count;
        let until = match self.as_of {
            AsOf::Now => i64::MAX,
            AsOf::At(time) => time,
        };
        let known = match self.as_of {
            AsOf::Now => count,
            AsOf::At(time) => {
                let is_known = |version: &Version| version.observed <= time || (NOT_EDITED + 1..=time).contains(&version.edited);
                versions.iter().rposition(is_known).map_or(1, |last| last + 1)
            }
        };
        // What pages tell of times is a guess for some messages; anything else is exact.
        let dated =
            |is_exact: bool| versions.iter().rev().find(|version| version.date > i64::MIN && (version.edited != EDIT_NOT_TOLD) == is_exact);
        let date = dated(true).or_else(|| dated(false)).map(|version| version.date);
        // Before it was sent there was no message; where that is not known, before it was seen.
        if date.or_else(|| versions.iter().map(|version| version.observed).min()).is_some_and(|date| date > until) {
            return self.next();
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

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = self.versions.len().saturating_sub(self.next);
        (usize::from(rest > 0), Some(rest))
    }
}

/// The versions of one message in the order in which they were true.
fn in_order(versions: &[Version]) -> Vec<Version> {
    let mut ordered = versions.to_vec();
    if let [_] = versions {
        return ordered;
    }
    for version in ordered.iter_mut().filter(|version| version.edited != EDIT_NOT_TOLD) {
        let later = versions.iter().map(|other| other.edited).filter(|edited| *edited > version.edited.max(NOT_EDITED)).min();
        version.observed = version.observed.min(later.map_or(i64::MAX, |later| later - 1));
    }
    ordered.sort_by_key(|version| (version.observed, version.edited, version.run, version.at.batch, version.at.offset));
    ordered
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
