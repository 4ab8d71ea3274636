//! Which archives stand for those that a record replaced. Snapshots are never rewritten: whoever reads one puts the new archives in the
//! place of the old, by these rules, in its list and in its sums.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::format::record::{Reason, Replaced};
use super::format::snapshot::{ArchiveRecord, Snapshot, StandIn};
use super::format::sums::SumsLine;
use crate::model::digest::Id;

/// An archive as a snapshot names it, or its sums.
pub trait Named: Clone {
    /// The object.
    fn object(&self) -> &str;
    /// The same for an archive that a record names.
    fn of(record: &ArchiveRecord) -> Self;
}

impl Named for ArchiveRecord {
    fn object(&self) -> &str {
        &self.object
    }
    fn of(record: &ArchiveRecord) -> Self {
        record.clone()
    }
}

impl Named for SumsLine {
    fn object(&self) -> &str {
        &self.name
    }
    fn of(record: &ArchiveRecord) -> Self {
        Self { name: record.object.clone(), length: Some(record.length), sha256: record.sha256 }
    }
}

/// What records say of replaced archives. Where two say different things of one, the older record counts.
#[derive(Debug, Default)]
pub struct Standing {
    said: Vec<Replaced>,
    /// Which of them replace a run of archives that begins with this one.
    first: HashMap<String, Vec<usize>>,
    /// Which of them replace this one.
    any: HashMap<String, Vec<usize>>,
}

/// A list of archives, with the new ones in the place of the old.
#[derive(Debug)]
pub struct Stood<T> {
    /// The archives that count.
    pub archives: Vec<T>,
    /// How many of the first are as they were.
    pub same: usize,
    /// The archives that were replaced, each with the number of what was said.
    replaced: Vec<(T, usize)>,
}

impl Standing {
    /// What `said` says, the oldest first.
    pub fn of(said: Vec<Replaced>) -> Self {
        let mut this = Self::default();
        for (number, replaced) in said.iter().enumerate() {
            let Some(first) = replaced.archives.first() else { continue };
            this.first.entry(first.clone()).or_default().push(number);
            for object in &replaced.archives {
                this.any.entry(object.clone()).or_default().push(number);
            }
        }
        Self { said, ..this }
    }

    /// Whether nothing was replaced.
    pub fn is_empty(&self) -> bool {
        self.any.is_empty()
    }

    /// Whether an archive was replaced, wherever a snapshot lists it with those before and behind it.
    pub fn is_replaced(&self, object: &str) -> bool {
        self.any.contains_key(object)
    }

    /// The new archives of all that was said.
    pub fn all(&self) -> impl Iterator<Item = &ArchiveRecord> {
        self.said.iter().flat_map(|said| &said.by)
    }

    /// The number of what was said of the first of these archives together with those that follow it.
    fn replacing<T: Named>(&self, archives: &[T]) -> Option<usize> {
        let fits = |number: &&usize| {
            self.said.get(**number).is_some_and(|said| {
                said.archives.len() <= archives.len() && said.archives.iter().zip(archives).all(|(old, own)| old == own.object())
            })
        };
        self.first.get(archives.first()?.object())?.iter().find(fits).copied()
    }

    /// Whether something was taken out of what one of these archives says, for good.
    pub fn takes_out_of(&self, archives: &[ArchiveRecord]) -> bool {
        let is_rewritten = |number: &usize| self.said.get(*number).is_some_and(|said| said.reason == Reason::Rewritten);
        self.stand(archives.to_vec()).replaced.iter().any(|(_, number)| is_rewritten(number))
    }

    /// Puts the new archives into a list, in the place of the old.
    pub fn stand<T: Named>(&self, archives: Vec<T>) -> Stood<T> {
        let mut stood = Stood { same: archives.len(), archives, replaced: Vec::new() };
        // What stands for something may have been replaced itself.
        for _ in 0..=self.said.len() {
            let (mut next, mut at, mut is_done) = (Vec::with_capacity(stood.archives.len()), 0, true);
            while let Some(rest) = stood.archives.get(at..).filter(|rest| !rest.is_empty()) {
                let said = self.replacing(rest).and_then(|number| Some((number, self.said.get(number)?)));
                if let Some((number, said)) = said {
                    is_done = false;
                    stood.same = stood.same.min(next.len());
                    stood.replaced.extend(rest.iter().take(said.archives.len()).map(|old| (old.clone(), number)));
                    next.extend(said.by.iter().map(T::of));
                    at += said.archives.len();
                } else {
                    next.extend(rest.first().cloned());
                    at += 1;
                }
            }
            stood.archives = next;
            if is_done {
                break;
            }
        }
        stood
    }

    /// The same of archives that are not laid over anything: each stands alone.
    pub fn stand_alone<T: Named>(&self, archives: Vec<T>) -> Stood<T> {
        let mut stood = Stood { same: archives.len(), archives: Vec::new(), replaced: Vec::new() };
        let (mut met, mut left): (HashSet<String>, Vec<T>) = (HashSet::new(), archives);
        left.reverse();
        while let Some(archive) = left.pop() {
            if !met.insert(archive.object().to_owned()) {
                continue;
            }
            match self
                .any
                .get(archive.object())
                .and_then(|numbers| numbers.first())
                .and_then(|number| Some((*number, self.said.get(*number)?)))
            {
                Some((number, said)) => {
                    left.extend(said.by.iter().rev().map(T::of));
                    stood.replaced.push((archive, number));
                }
                None => stood.archives.push(archive),
            }
        }
        stood
    }

    /// Whether all that a snapshot shows of a replaced archive is in the new ones. Several may have said the same, the later of more snapshots.
    fn is_covered(&self, old: &str, number: usize, (chain, sequence): (Id, u64)) -> bool {
        let by = self.said.get(number).map(|said| &said.by);
        let all = self.any.get(old).into_iter().flatten().filter_map(|number| self.said.get(*number));
        all.filter(|said| Some(&said.by) == by).any(|said| said.covers(chain, sequence))
    }

    /// The same of one snapshot: what was said without knowing it does not count.
    pub fn covering(&self, chain: Id, sequence: u64) -> Self {
        Self::of(self.said.iter().filter(|said| said.covers(chain, sequence)).cloned().collect())
    }

    /// The names of all archives that were replaced.
    pub fn old_ids(&self) -> HashSet<Id> {
        let id = |object: &String| object.rsplit('/').next()?.split('.').next()?.parse().ok();
        self.any.keys().filter_map(id).collect()
    }

    /// The archives that a snapshot needs, by the lines of its sums: those that its state is laid together from in their order, and those that
    /// it borrows. Where a record did not know of the snapshot yet, or `is_whole` says that a new archive is not as it should be, that is the
    /// old ones too.
    pub fn needed(
        &self,
        (chain, sequence): (Id, u64),
        (archives, borrowed): (Vec<SumsLine>, Vec<SumsLine>),
        is_whole: impl Fn(&ArchiveRecord) -> bool,
    ) -> Vec<SumsLine> {
        let (laid, alone) = (self.stand(archives), self.stand_alone(borrowed));
        let mut needed = laid.archives;
        needed.extend(alone.archives);
        for (old, number) in laid.replaced.into_iter().chain(alone.replaced) {
            let object = old.object().to_owned();
            let is_there = |record: &ArchiveRecord| self.is_replaced(&record.object) || is_whole(record);
            let are_there = self.said.get(number).is_some_and(|said| said.by.iter().all(is_there));
            if !are_there || !self.is_covered(&object, number, (chain, sequence)) {
                needed.push(old);
            }
        }
        needed
    }

    /// Puts the new archives into a snapshot, in the place of the old.
    pub fn apply(&self, snapshot: &mut Snapshot) {
        if self.is_empty() {
            return;
        }
        let laid = self.stand(std::mem::take(&mut snapshot.archives));
        let alone = self.stand_alone(std::mem::take(&mut snapshot.borrowed));
        let ids = |number: usize| self.said.get(number).map(|said| said.by.iter().map(|record| record.id).collect()).unwrap_or_default();
        let mut by: BTreeMap<Id, Vec<Id>> = snapshot.stand_ins.drain(..).map(|stand_in| (stand_in.old, stand_in.by)).collect();
        let mut borrowed = alone.archives;
        for (old, number) in laid.replaced.into_iter().chain(alone.replaced) {
            if self.is_covered(&old.object, number, (snapshot.chain, snapshot.sequence)) {
                by.insert(old.id, ids(number));
            } else {
                // Some of its content may be in none of the new ones.
                borrowed.push(old);
            }
        }
        snapshot.stand_ins = by.keys().map(|old| StandIn { old: *old, by: followed(&by, *old) }).collect();
        snapshot.archives = laid.archives;
        let own: HashSet<&str> = snapshot.archives.iter().map(|record| record.object.as_str()).collect();
        snapshot.borrowed = borrowed.into_iter().filter(|record| !own.contains(record.object.as_str())).collect();
        // Lists and packs are of the archives that there were.
        let mut covered = 0;
        let mut fits = |archives: usize| {
            covered += archives;
            covered <= laid.same
        };
        let lists = snapshot.lists.iter().take_while(|list| fits(list.archives)).count();
        snapshot.lists.truncate(lists);
        let mut covered = 0;
        let mut fits = |archives: usize| {
            covered += archives;
            covered <= laid.same
        };
        let packs = snapshot.packs.iter().take_while(|pack| fits(pack.archives)).count();
        snapshot.packs.truncate(packs);
    }
}

/// The archives that stand for one in the end.
fn followed(by: &BTreeMap<Id, Vec<Id>>, old: Id) -> Vec<Id> {
    let (mut found, mut left, mut met) = (Vec::new(), vec![old], HashSet::new());
    while let Some(id) = left.pop() {
        if !met.insert(id) {
            continue;
        }
        match by.get(&id) {
            Some(next) => left.extend(next.iter().rev()),
            None => found.push(id),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    fn record(name: &str) -> ArchiveRecord {
        let id = Id([name.as_bytes()[0]; 16]);
        let (sha256, header_sha256) = (Digest([0; 32]), Digest([0; 32]));
        ArchiveRecord { id, object: name.to_owned(), length: 1, sha256, header_sha256, merged: false, own: None }
    }

    fn said(old: &str, new: &str, up_to: Option<u64>) -> Replaced {
        let names = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let by = names(new).iter().map(|name| record(name)).collect();
        Replaced { reason: Reason::Compacted, up_to: up_to.map(|last| vec![(Id([1; 16]), last)]), archives: names(old), by }
    }

    fn stood(standing: &Standing, list: &str) -> (String, usize) {
        let stood = standing.stand(list.chars().map(|name| record(&name.to_string())).collect());
        (stood.archives.iter().map(|record| record.object.as_str()).collect(), stood.same)
    }

    fn needed(standing: &Standing, list: &str, sequence: u64, lost: &str) -> String {
        let lines = |text: &str| text.chars().map(|name| SumsLine::of(&record(&name.to_string()))).collect();
        let needed = standing.needed((Id([1; 16]), sequence), (lines(list), Vec::new()), |record| !lost.contains(&record.object));
        needed.iter().map(|line| line.name.as_str()).collect()
    }

    #[test]
    fn new_archives_stand_where_the_old_ones_are_listed_without_a_gap() {
        let standing = Standing::of(vec![said("abc", "N", None), said("Ne", "O", None), said("x", "", None)]);
        assert_eq!(stood(&standing, "abcd"), ("Nd".into(), 0));
        assert_eq!(stood(&standing, "zabcefx"), ("zOf".into(), 1));
        assert_eq!(stood(&standing, "zacb"), ("zacb".into(), 4));
        assert_eq!(stood(&standing, "ab"), ("ab".into(), 2));
        assert_eq!(stood(&standing, ""), (String::new(), 0));
        let alone = standing.stand_alone(vec![record("b"), record("z"), record("a")]);
        assert_eq!(alone.archives.iter().map(|record| record.object.as_str()).collect::<String>(), "Oz");
    }

    #[test]
    fn what_was_rewritten_before_it_was_compacted_is_known() {
        let rewritten = Replaced { reason: Reason::Rewritten, ..said("ab", "N", Some(4)) };
        let standing = Standing::of(vec![rewritten, said("Nc", "O", Some(6))]);
        let takes_out = |list: &str| standing.takes_out_of(&list.chars().map(|name| record(&name.to_string())).collect::<Vec<_>>());
        assert_eq!(["abcd", "zab", "Nc", "O", "bc", ""].map(takes_out), [true, true, false, false, false, false]);
    }

    #[test]
    fn the_old_ones_are_needed_where_the_record_did_not_know_the_snapshot_or_the_new_ones_are_not_whole() {
        let standing = Standing::of(vec![said("ab", "N", Some(4)), said("Nc", "O", Some(6))]);
        assert_eq!(needed(&standing, "abz", 4, ""), "Nz");
        assert_eq!(needed(&standing, "abcz", 4, ""), "Oz");
        assert_eq!(needed(&standing, "abcz", 5, ""), "Ozab");
        assert_eq!(needed(&standing, "abcz", 7, ""), "OzabNc");
        assert_eq!(needed(&standing, "abcz", 4, "O"), "OzNc");
    }

    #[test]
    fn a_snapshot_says_where_the_contents_of_replaced_archives_are() {
        let by = BTreeMap::from([(Id([1; 16]), vec![Id([2; 16]), Id([3; 16])]), (Id([2; 16]), vec![Id([4; 16])])]);
        assert_eq!(followed(&by, Id([1; 16])), [Id([4; 16]), Id([3; 16])]);
    }
}
