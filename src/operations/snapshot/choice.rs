//! Picking a snapshot: `latest` or the beginning of its name, narrowed by host, tag and source.

use std::collections::{BTreeMap, BTreeSet};

use futures::{FutureExt, StreamExt};

use crate::model::digest::Id;
use crate::operations::OperationError;
use crate::operations::session::Opened;
use crate::repository::format::snapshot::Snapshot;
use crate::repository::keys::Identity;
use crate::repository::snapshots::SnapshotRef;
use crate::repository::{Repository, RepositoryError};

/// Which snapshots are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Made on this machine.
    pub host: Option<String>,
    /// With all of these tags.
    pub tags: Vec<String>,
    /// Of this source: its kind, its name, or both as `kind:name`.
    pub source: Option<String>,
}

/// One snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotChoice {
    /// `latest`, or the first digits of its name.
    pub wanted: String,
    /// Among these.
    pub among: Selection,
}

impl std::fmt::Display for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tags = self.tags.iter().map(|tag| format!("--tag {tag}"));
        let host = self.host.iter().map(|host| format!("--host {host}"));
        let source = self.source.iter().map(|source| format!("--source {source}"));
        f.write_str(&host.chain(tags).chain(source).collect::<Vec<_>>().join(" "))
    }
}

impl Selection {
    /// Whether anything is left out.
    pub fn narrows(&self) -> bool {
        self.host.is_some() || !self.tags.is_empty() || self.source.is_some()
    }

    /// Whether a snapshot is meant.
    pub fn takes(&self, snapshot: &Snapshot) -> bool {
        let source = &snapshot.source;
        self.host.as_ref().is_none_or(|host| *host == snapshot.host)
            && self.tags.iter().all(|tag| snapshot.tags.contains(tag))
            && self.source.as_ref().is_none_or(|wanted| source.is_called(wanted))
    }
}

impl SnapshotChoice {
    /// The newest complete snapshot of all.
    pub fn latest() -> Self {
        Self { wanted: "latest".into(), among: Selection::default() }
    }

    /// This snapshot and no other.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self { wanted: snapshot.id.to_string(), among: Selection::default() }
    }

    /// Where `latest` is wanted of whatever source: the same of the one source of Telegram chats that the vault has; `None` where it
    /// has none or several.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of_chats(&self, opened: &Opened) -> Result<Option<Self>, OperationError> {
        if self.wanted != "latest" || self.among.source.is_some() {
            return Ok(None);
        }
        let sources = chat_sources(opened, &self.among).await?;
        let mut sources = sources.into_iter();
        let (Some(source), None) = (sources.next(), sources.next()) else { return Ok(None) };
        Ok(Some(Self { wanted: self.wanted.clone(), among: Selection { source: Some(source), ..self.among.clone() } }))
    }

    /// Finds the snapshot.
    ///
    /// # Errors
    /// When none or several fit; [`RepositoryError::Untrusted`] inside when the one that fits is not signed by an accepted
    /// writer; [`RepositoryError::Gone`] inside when the latest is wanted and a later one was seen before.
    pub async fn find(&self, opened: &Opened) -> Result<(SnapshotRef, Snapshot), OperationError> {
        let mut passed_over = Vec::new();
        let found = self.find_past(opened, &mut passed_over).await?;
        // An older state must not be taken for the latest; who wants it can name it.
        match passed_over.into_iter().find(|error| matches!(error, RepositoryError::Gone { .. })) {
            Some(error) => Err(error.into()),
            None => Ok(found),
        }
    }

    /// As [`Self::find`]; `passed_over` takes what is wrong with later snapshots, one of which may be what was meant.
    ///
    /// # Errors
    /// As [`Self::find`]; what is gone is an error only when nothing else fits.
    pub async fn find_past(
        &self,
        opened: &Opened,
        passed_over: &mut Vec<RepositoryError>,
    ) -> Result<(SnapshotRef, Snapshot), OperationError> {
        let identity = opened.identity()?;
        let found = if self.wanted == "latest" {
            self.find_latest(opened, &identity, passed_over).await?
        } else {
            self.find_by_name(&opened.repository, &identity).await?
        };
        found.ok_or_else(|| {
            let gone = passed_over.iter().position(|error| matches!(error, RepositoryError::Gone { .. }));
            let none = || RepositoryError::NoSnapshot { wanted: self.wanted.clone() };
            gone.map_or_else(none, |at| passed_over.swap_remove(at)).into()
        })
    }

    async fn find_latest(
        &self,
        opened: &Opened,
        identity: &Identity,
        passed_over: &mut Vec<RepositoryError>,
    ) -> Result<Option<(SnapshotRef, Snapshot)>, OperationError> {
        let repository = &opened.repository;
        let stems = repository.snapshot_stems().await?;
        let mut others = Vec::new();
        let latest = self.latest_of(repository, identity, &stems, &mut others, passed_over).await?;
        passed_over.extend(opened.compare(&stems, others.iter().chain(latest.iter().map(|(found, _)| found))).await?);
        Ok(latest)
    }

    /// The newest snapshot that fits, the checkpoints last; `others` takes those that do not.
    async fn latest_of(
        &self,
        repository: &Repository,
        identity: &Identity,
        stems: &[String],
        others: &mut Vec<SnapshotRef>,
        passed_over: &mut Vec<RepositoryError>,
    ) -> Result<Option<(SnapshotRef, Snapshot)>, RepositoryError> {
        let mut partial = None;
        let mut read = std::pin::pin!(repository.read_newest_first(&identity.identities, stems));
        while let Some((stem, found)) = read.next().await {
            // What is not signed by an accepted writer is never `latest`; a later check reports it.
            let (found, snapshot) = match found {
                Ok(pair) => pair,
                Err(error) if error.is_integrity() => {
                    tracing::warn!(stem, %error, "a snapshot is passed over");
                    passed_over.push(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.among.takes(&snapshot) && snapshot.complete {
                return Ok(Some((found, snapshot)));
            }
            others.push(found.clone());
            if self.among.takes(&snapshot) {
                partial.get_or_insert((found, snapshot));
            }
        }
        // An interrupted first backup is better than nothing.
        Ok(partial)
    }

    /// Where `latest` is wanted of an account: the last snapshots of other chains of it, those of other machines or of a state that was
    /// lost, oldest first. What the account is like is what all of them hold; `passed_over` takes what is wrong with one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn beside(
        &self,
        opened: &Opened,
        (latest, snapshot): (&SnapshotRef, &Snapshot),
        passed_over: &mut Vec<RepositoryError>,
    ) -> Result<Vec<Snapshot>, OperationError> {
        if self.wanted != "latest" || !holds_chats(snapshot) {
            return Ok(Vec::new());
        }
        /// How many sums are read at a time.
        const PARALLEL: usize = 16;
        let (identity, repository) = (opened.identity()?, &opened.repository);
        let stems = repository.snapshot_stems().await?;
        let mut heads = BTreeMap::from([(latest.signed.chain, latest.signed.sequence)]);
        let mut found: BTreeMap<Id, Snapshot> = BTreeMap::new();
        let records = repository.records().await?;
        // Numbers of a chain begin with 1: when those that nobody forgot make up all snapshots there are, there is no further chain.
        let left = |(chain, last): (&Id, &u64)| last.saturating_sub(records.forgotten_up_to(*chain, *last));
        let are_all = |heads: &BTreeMap<Id, u64>| heads.iter().map(left).fold(0, u64::saturating_add) == stems.len() as u64;
        if !are_all(&heads) {
            repository.fetch_packed_snapshots(&stems).await;
        }
        let references =
            futures::stream::iter(stems.clone().into_iter().rev()).map(|stem| async move { repository.snapshot_ref(&stem).await }.boxed());
        let mut references = references.buffered(PARALLEL);
        while !(are_all(&heads) && found.values().all(|head| head.complete))
            && let Some(reference) = references.next().await
        {
            let reference = match reference {
                Ok(reference) => reference,
                Err(error) if error.is_integrity() => continue,
                Err(error) => return Err(error.into()),
            };
            let chain = reference.signed.chain;
            let is_head = !heads.contains_key(&chain);
            let last = heads.entry(chain).or_default();
            *last = reference.signed.sequence.max(*last);
            let is_better = found.get(&chain).is_some_and(|head| !head.complete);
            if chain == latest.signed.chain || !(is_head || is_better) {
                continue;
            }
            match repository.snapshot(&reference, &identity.identities).await {
                Ok(head) if head.source == snapshot.source && self.among.takes(&head) && (is_head || head.complete) => {
                    found.insert(chain, head);
                }
                Ok(_) => {}
                Err(error) if error.is_integrity() => passed_over.push(error),
                Err(error) => return Err(error.into()),
            }
        }
        let mut found: Vec<Snapshot> = found.into_values().collect();
        found.sort_by_key(|head| head.time);
        Ok(found)
    }

    async fn find_by_name(&self, repository: &Repository, identity: &Identity) -> Result<Option<(SnapshotRef, Snapshot)>, RepositoryError> {
        let fits = |stem: &&String| stem.split_once('-').is_some_and(|(_, id)| id.starts_with(&self.wanted)) || **stem == self.wanted;
        let stems = repository.snapshot_stems().await?;
        let fitting: Vec<&String> = stems.iter().filter(fits).collect();
        match fitting.as_slice() {
            [] => Ok(None),
            [stem] => read(repository, identity, stem).await.map(Some),
            several => Err(RepositoryError::Ambiguous { wanted: self.wanted.clone(), count: several.len() }),
        }
    }
}

/// The sources of Telegram chats among the snapshots of a selection, by their names.
///
/// # Errors
/// When no key fits, or the store fails.
pub async fn chat_sources(opened: &Opened, among: &Selection) -> Result<BTreeSet<String>, OperationError> {
    let mut sources = BTreeSet::new();
    let each = |_, snapshot: Snapshot| {
        if among.takes(&snapshot) && holds_chats(&snapshot) {
            sources.insert(snapshot.source.to_string());
        }
    };
    opened.repository.each_snapshot(&opened.identity()?.identities, each).await?;
    Ok(sources)
}

/// Whether a snapshot was made from a Telegram account or export.
pub fn holds_chats(snapshot: &Snapshot) -> bool {
    matches!(snapshot.source.kind.as_str(), "telegram" | "desktop-export")
}

async fn read(repository: &Repository, identity: &Identity, stem: &str) -> Result<(SnapshotRef, Snapshot), RepositoryError> {
    repository.read_snapshot(stem, &identity.identities).await
}
