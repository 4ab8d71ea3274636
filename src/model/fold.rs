//! What a chat is like after all the lines of its log: which version of each message counts, and what became of it.
//!
//! The version of a message that counts is the one with the latest edit, then the one observed last, then the one of the later
//! run, then the later line. A message is deleted when a deletion (or the clearing of the chat) was observed after that version
//! was: seeing a message again revives it. All versions stay known, for histories.
//!
//! A chat of a million messages does not fit in memory, so [`Fold`] keeps 48 bytes for each line and none of its content: the
//! caller passes over the log once with [`Head`]s, then fetches lines by [`Location`] in the order that
//! [`Fold::finish`] gives.

use std::collections::HashMap;

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
    /// written by then (or the earliest known one), without deletions that were found later.
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
                    edited: head.edited.unwrap_or(i64::MIN),
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

    /// The messages, ascending by id.
    pub fn finish(self, as_of: AsOf) -> FoldedMessages {
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
            versions.retain(|version| version.date <= time);
            cleared.retain(|&(_, observed)| observed <= time);
        }
        versions.sort_unstable_by_key(|v| (v.id, v.edited, v.observed, v.run, v.at.batch, v.at.offset));
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
        let versions = rest.get(..count)?;
        self.next += count;
        let known = match self.as_of {
            AsOf::Now => count,
            // Versions ascend by edit time: those not edited come first and count from the message's own date on.
            AsOf::At(time) => versions.iter().take_while(|version| version.edited <= time).count().max(1),
        };
        let (current, earlier) = versions.get(..known)?.split_last()?;
        let date = Some(current.date).filter(|&date| date > i64::MIN);
        let until = match self.as_of {
            AsOf::Now => i64::MAX,
            AsOf::At(time) => time,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(lines: &[&str], as_of: AsOf) -> Vec<Folded> {
        let mut fold = Fold::new();
        for (index, line) in lines.iter().enumerate() {
            let line = format!(r#"{{"v":1,"peer":"user1",{line}}}"#);
            let at = Location { batch: 0, offset: u32::try_from(index).unwrap(), len: 1 };
            fold.add(&Head::from_line(line.as_bytes()).unwrap(), at);
        }
        fold.finish(as_of).collect()
    }

    fn offsets(folded: &[Folded]) -> Vec<(i64, u32, Option<i64>)> {
        folded.iter().map(|f| (f.id, f.current.offset, f.deleted)).collect()
    }

    #[test]
    fn the_latest_edit_counts_then_the_latest_look_then_the_later_run() {
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
