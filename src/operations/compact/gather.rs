//! What the snapshots of a vault name and show.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{CompactOptions, Excluded, UpTo};
use crate::crypt::keys::Identities;
use crate::model::digest::Id;
use crate::model::entry::{EntryPath, Kind};
use crate::operations::OperationError;
use crate::operations::session::Opened;
use crate::operations::stop::Stop;
use crate::repository::format::snapshot::{ArchiveRecord, Snapshot};
use crate::repository::keys::Identity;
use crate::repository::snapshots::{SnapshotRef, gaps};
use crate::repository::tree::{Lines, Place, Tree};
use crate::repository::{Repository, RepositoryError};

/// An archive.
pub(super) struct Archive {
    pub record: ArchiveRecord,
    /// Whether a state is laid together from it; otherwise it is only borrowed.
    pub is_laid: bool,
    /// Bytes of content that it holds.
    pub content_bytes: u64,
    /// Whether it speaks of a path that is to be taken out.
    pub speaks: bool,
    /// What of its content a snapshot shows, by its place.
    pub used: BTreeMap<u64, Place>,
}

impl Archive {
    pub fn used_bytes(&self) -> u64 {
        self.used.values().map(|place| place.length).sum()
    }
}

/// A snapshot, whose archives are numbers.
pub(super) struct Kept {
    /// Without its archives.
    said: Snapshot,
    pub archives: Vec<u32>,
    /// A hash of so many of its archives, in order, as its number is.
    pub hashes: Vec<u64>,
    /// The hash of all, with those that it borrows.
    pub hash: u64,
}

/// Archives that follow each other in exactly the same snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The first of these snapshots.
    pub snapshot: usize,
    /// The place of the first archive in it, and that behind the last.
    pub from: usize,
    pub to: usize,
    /// The place up to which these snapshots name the same: what their state is there is shown.
    pub shown: usize,
}

/// What there is.
pub(super) struct Gathered {
    pub archives: Vec<Archive>,
    /// By chain and number.
    pub snapshots: Vec<Kept>,
    pub up_to: UpTo,
    /// In how many snapshots something is to be taken out, and how many entries there are to take out of these.
    pub excluded: (u64, u64),
}

impl Gathered {
    /// Archives that no state is laid together from, which others borrow from, and which speak of what is to be taken out.
    pub fn only_borrowed(&self) -> impl Iterator<Item = &Archive> {
        self.archives.iter().filter(|archive| archive.speaks && !archive.is_laid)
    }
}

fn unsafe_because(why: String) -> OperationError {
    RepositoryError::Unsafe { why }.into()
}

impl Gathered {
    /// Reads all snapshots, what they show, and the index of each archive.
    ///
    /// # Errors
    /// [`RepositoryError::Unsafe`] inside when a snapshot is missing or cannot be read: what it shows is not known.
    pub async fn read(opened: &Opened, identity: &Identity, options: &CompactOptions, stop: &Stop) -> Result<Self, OperationError> {
        let mut this = Self { archives: Vec::new(), snapshots: Vec::new(), up_to: UpTo::new(), excluded: (0, 0) };
        let (mut numbers, mut found) = (HashMap::new(), Vec::new());
        let each = |reference: SnapshotRef, mut snapshot: Snapshot| {
            let last = this.up_to.entry(snapshot.chain).or_default();
            *last = snapshot.sequence.max(*last);
            let laid = std::mem::take(&mut snapshot.archives);
            this.take(&mut numbers, snapshot, laid);
            found.push(SnapshotRef { sums: Vec::new(), ..reference });
        };
        let listed = opened.repository.each_snapshot(&identity.identities, each).await?;
        if let Some(error) = listed.broken.iter().find(|error| !matches!(error, RepositoryError::Untrusted { .. })) {
            return Err(unsafe_because(format!("a snapshot cannot be read, so what it needs is not known ({error})")));
        }
        let records = opened.repository.records().await?;
        if let Some((chain, missing)) = gaps(&found, &records).first() {
            let missing: Vec<String> = missing.iter().map(u64::to_string).collect();
            let missing = missing.join(", ");
            return Err(unsafe_because(format!(
                "snapshots {missing} of chain {chain} are missing, and no record says that they were forgotten"
            )));
        }
        if let Some(gone) = opened.compare(&listed.stems, &found).await?.first() {
            return Err(unsafe_because(gone.to_string()));
        }
        this.snapshots.sort_by_key(|kept| (kept.said.chain, kept.said.sequence));
        this.read_states(&opened.repository, &identity.identities, options.exclude.as_ref(), stop, &numbers).await?;
        this.read_indexes(&opened.repository, &identity.identities, options.exclude.as_ref(), &numbers).await?;
        Ok(this)
    }

    fn take(&mut self, numbers: &mut HashMap<Id, u32>, said: Snapshot, laid: Vec<ArchiveRecord>) {
        let mut number = |archives: &mut Vec<Archive>, record: &ArchiveRecord, is_laid: bool| {
            let number = *numbers.entry(record.id).or_insert_with(|| {
                let record = record.clone();
                archives.push(Archive { record, is_laid, content_bytes: 0, speaks: false, used: BTreeMap::new() });
                archives.len() as u32 - 1
            });
            if let Some(archive) = archives.get_mut(number as usize) {
                archive.is_laid |= is_laid;
            }
            number
        };
        let archives: Vec<u32> = laid.iter().map(|record| number(&mut self.archives, record, true)).collect();
        let mut hasher = DefaultHasher::new();
        let mut hashes = vec![hasher.finish()];
        for archive in &archives {
            archive.hash(&mut hasher);
            hashes.push(hasher.finish());
        }
        for record in &said.borrowed {
            number(&mut self.archives, record, false).hash(&mut hasher);
        }
        self.snapshots.push(Kept { said, archives, hashes, hash: hasher.finish() });
    }

    /// A snapshot with the first `archives` of its archives.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn snapshot(&self, at: usize, archives: usize) -> Result<Snapshot, OperationError> {
        let kept = self.snapshots.get(at).ok_or_else(|| OperationError::Internal(format!("there is no snapshot {at}")))?;
        let record = |number: &u32| self.archives.get(*number as usize).map(|archive| archive.record.clone());
        let archives = kept.archives.iter().take(archives).filter_map(record).collect();
        Ok(Snapshot { archives, ..kept.said.clone() })
    }

    /// The archives of a run.
    pub fn archives_in(&self, run: &Chosen) -> impl Iterator<Item = &Archive> {
        let numbers = self.snapshots.get(run.snapshot).and_then(|kept| kept.archives.get(run.from..run.to)).unwrap_or_default();
        numbers.iter().filter_map(|number| self.archives.get(*number as usize))
    }

    /// Lays together what each snapshot shows.
    async fn read_states(
        &mut self,
        repository: &Repository,
        identities: &Arc<Identities>,
        exclude: Option<&Excluded>,
        stop: &Stop,
        numbers: &HashMap<Id, u32>,
    ) -> Result<(), OperationError> {
        let mut before: Option<(Tree, Snapshot)> = None;
        for at in 0..self.snapshots.len() {
            if stop.is_wanted() {
                return Err(OperationError::Interrupted);
            }
            let snapshot = self.snapshot(at, usize::MAX)?;
            let tree = match before.take() {
                Some((_, last)) if last.archives == snapshot.archives && last.borrowed == snapshot.borrowed => None,
                Some((tree, last)) => match added(&last, &snapshot) {
                    Some(more) => repository.lay_over(tree, more, &snapshot, identities).await?,
                    None => None,
                },
                None => None,
            };
            let tree = match tree {
                Some(tree) => tree,
                None => repository.tree(&snapshot, identities, None).await?,
            };
            let mut taken_out = 0;
            for (path, entry) in tree.iter() {
                if exclude.is_some_and(|exclude| exclude(&path)) {
                    taken_out += 1;
                    continue;
                }
                // The content of a hard link stands where it points.
                if let Kind::Hardlink { target } = &entry.kind
                    && exclude.is_some_and(|exclude| exclude(target))
                {
                    let (path, target) = (path.to_string(), target.to_string());
                    return Err(OperationError::LinkedTo { path, target });
                }
                for place in entry.all_places() {
                    let archive = tree.archives.get(place.archive as usize).and_then(|record| numbers.get(&record.id));
                    if let Some(archive) = archive.and_then(|number| self.archives.get_mut(*number as usize)) {
                        archive.used.insert(place.offset, *place);
                    }
                }
            }
            if taken_out > 0 {
                self.excluded = (self.excluded.0 + 1, self.excluded.1 + taken_out);
            }
            before = Some((tree, snapshot));
        }
        Ok(())
    }

    /// Reads the index of each archive.
    async fn read_indexes(
        &mut self,
        repository: &Repository,
        identities: &Arc<Identities>,
        exclude: Option<&Excluded>,
        numbers: &HashMap<Id, u32>,
    ) -> Result<(), OperationError> {
        let is_wanted = |archive: &&Archive| archive.is_laid || exclude.is_some();
        let records = self.archives.iter().filter(is_wanted).map(|archive| archive.record.clone()).collect();
        let archives = &mut self.archives;
        let speaks = |path: &EntryPath| exclude.is_some_and(|exclude| exclude(path));
        let mut each = |record: &ArchiveRecord, lines: &Lines, remove: &[EntryPath]| {
            let Some(archive) = numbers.get(&record.id).and_then(|number| archives.get_mut(*number as usize)) else { return };
            archive.speaks |= remove.iter().any(speaks);
            for line in lines.iter() {
                archive.speaks |= speaks(&line.path);
                if let Some(located) = line.content
                    && located.archive.is_none_or(|of| of == record.id)
                {
                    archive.content_bytes += located.length;
                }
            }
        };
        Ok(repository.each_index(records, identities, &mut each).await?)
    }
}

/// The archives that a snapshot adds to those of another, where it begins with them and none is one to begin reading with.
fn added<'a>(last: &Snapshot, snapshot: &'a Snapshot) -> Option<&'a [ArchiveRecord]> {
    let (same, more) = snapshot.archives.split_at_checked(last.archives.len())?;
    (same == last.archives && !more.iter().any(|record| record.merged)).then_some(more)
}
