//! Healing a vault from a good copy of it: what is missing is put back under its name, what is damaged gets a sound second copy. Nothing is
//! overwritten and nothing deleted, and no key is needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::places;
use super::transfer::{Moved, Wanted, transfer};
use crate::model::digest::Id;
use crate::operations::OperationError;
use crate::operations::events::{Event, Events};
use crate::operations::session::Session;
use crate::operations::stop::Stop;
use crate::operations::uploads::Uploads;
use crate::operations::verify::{VerifyOptions, VerifyReport, verify};
use crate::repository::format::names;
use crate::repository::format::sums::{self, SumsLine};
use crate::repository::inventory::Broken;
use crate::repository::pieces::Pieces;
use crate::repository::standing::Named;
use crate::repository::{self, Repository};
use crate::storage::{Storage, StorageError};

/// What was found and done.
#[derive(Clone, Debug)]
pub struct HealReport {
    /// The vault.
    pub repository: Id,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes that were read of the vault.
    pub bytes: u64,
    /// Objects that were missing or damaged, and of which a sound copy is there now.
    pub healed: Vec<String>,
    /// What is wrong still, and why it could not be healed.
    pub wrong: Vec<Broken>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Checks the session's vault, and heals what is wrong from a good copy in `from`.
///
/// # Errors
/// When the vault cannot be opened or trusted, `from` is no copy of it, a store fails for good, or the run is stopped.
pub async fn heal(
    session: &Session,
    from: &Storage,
    options: VerifyOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<HealReport, OperationError> {
    let began = Instant::now();
    places::check_apart(from, &session.storage)?;
    let opened = session.open().await?;
    let id = opened.repository.id;
    if repository::find(from).await? != id {
        let (from, to) = (from.address().to_owned(), session.storage.address().to_owned());
        return Err(OperationError::NoCopy { from, to, why: "another vault is there".to_owned() });
    }
    let _lock = opened.folder.lock("heal.lock")?;
    // What lost one of two copies has the other here.
    let completed = opened.repository.complete_copies().await?;
    tracing::debug!(completed, "second copies put back");
    let report = verify(session, options, Arc::clone(&events), stop.clone()).await?;
    let folder = opened.folder.folder("copy-healing")?;
    let target = Uploads::resume(&folder, &opened.repository.storage.without_listing()).await?;
    let good = Repository::trusted(from.clone(), id, opened.repository.trust.clone(), &opened.repository.machine);
    let mut run = Run { good, target, events, stop, healed: Vec::new(), wrong: Vec::new() };
    run.all(&opened.repository.clone().with_pieces(Pieces::default()), &report).await?;
    let Run { healed, wrong, .. } = run;
    // The next backup of this machine stores again what nobody could heal.
    let damaged = opened.damaged_archives()?.into_iter().filter(|object| !healed.contains(object));
    opened.note_damaged(damaged, true);
    Ok(HealReport { repository: id, objects: report.objects, bytes: report.bytes, healed, wrong, elapsed: began.elapsed() })
}

struct Run {
    /// The copy, by what the vault is trusted for.
    good: Repository,
    target: Storage,
    events: Arc<dyn Events>,
    stop: Stop,
    healed: Vec<String>,
    wrong: Vec<Broken>,
}

impl Run {
    async fn all(&mut self, repository: &Repository, report: &VerifyReport) -> Result<(), OperationError> {
        let there: HashMap<String, u64> = places::list(&self.good.storage).await?.into_iter().collect();
        let here: HashMap<String, u64> = places::list(&self.target).await?.into_iter().collect();
        let mut wanted: BTreeMap<&str, Vec<&Broken>> = BTreeMap::new();
        for broken in &report.wrong {
            wanted.entry(&broken.object).or_default().push(broken);
        }
        let lines =
            if wanted.keys().any(|name| name.starts_with(names::ARCHIVES)) { self.lines(repository).await? } else { HashMap::new() };
        let lost = self.snapshots(repository, &here, &there).await?;
        for (object, broken) in wanted {
            // A snapshot that is back fills the gap that it left.
            if lost.iter().any(|stem| object == names::snapshot(stem)) || (object.starts_with("chain ") && !lost.is_empty()) {
                continue;
            }
            if self.healed.iter().any(|healed| healed == object) {
                continue;
            }
            if self.stop.is_wanted() {
                return Err(OperationError::Interrupted);
            }
            let what = broken.first().map_or("", |broken| broken.what.as_str());
            let unhealed = match (object.starts_with(names::ARCHIVES), lines.get(object)) {
                (true, Some(line)) => self.archive(line, &here, &there).await?,
                (true, None) => Some("no snapshot that can be read says what it should be".to_owned()),
                (false, _) => self.small(object, &here).await?,
            };
            match unhealed {
                None => {
                    self.events.event(&Event::Note(&format!("healed: {object}")));
                    self.healed.push(object.to_owned());
                }
                Some(why) => self.wrong.push(Broken { object: object.to_owned(), what: format!("{what}; {why}") }),
            }
        }
        Ok(())
    }

    /// Puts back the snapshots that only the copy has, and that nobody has forgotten: what they need first, what commits them last.
    async fn snapshots(
        &mut self,
        repository: &Repository,
        here: &HashMap<String, u64>,
        there: &HashMap<String, u64>,
    ) -> Result<Vec<String>, OperationError> {
        let (records, mut back) = (repository.records().await?, Vec::new());
        for (stem, found) in self.good.snapshot_refs().await? {
            let name = names::snapshot(&stem);
            let is_here = here.contains_key(&name) || here.contains_key(&names::mirror(&name));
            let Ok(found) = found else { continue };
            if is_here || records.is_forgotten(&stem) {
                continue;
            }
            let mut archives: Vec<SumsLine> = found.sums.iter().filter(|line| line.name.starts_with(names::ARCHIVES)).cloned().collect();
            let mut small = Vec::new();
            for (list, lengths) in sums::lists(&found.sums) {
                small.extend([list.name.clone()].into_iter().chain(lengths.map(|lengths| lengths.name.clone())));
                archives.extend(self.good.list(list, lengths).await.unwrap_or_default());
            }
            for line in archives.iter().filter(|line| !here.contains_key(&line.name)) {
                // One that the copy has lost too is named by the next check.
                if !self.healed.contains(&line.name) && self.archive(line, here, there).await?.is_none() {
                    self.healed.push(line.name.clone());
                }
            }
            let sums = names::sums(&stem);
            small.extend([sums.clone(), names::signature(&sums), name.clone()]);
            let mut wrong = None;
            for object in small {
                let is_whole = here.contains_key(&object) && here.contains_key(&names::mirror(&object));
                if !is_whole && wrong.is_none() {
                    wrong = self.small(&object, here).await?;
                }
            }
            match wrong {
                None => {
                    self.healed.push(name);
                    back.push(stem);
                }
                Some(what) => self.wrong.push(Broken { object: name, what }),
            }
        }
        Ok(back)
    }

    /// What every archive should be, by the vault or by its copy.
    async fn lines(&self, repository: &Repository) -> Result<HashMap<String, SumsLine>, OperationError> {
        let mut found = HashMap::new();
        for repository in [repository, &self.good] {
            let records = repository.records().await?;
            found.extend(records.standing.all().map(|record| (record.object.clone(), SumsLine::of(record))));
            for snapshot in repository.snapshot_refs().await?.into_iter().filter_map(|(_, found)| found.ok()) {
                for (list, lengths) in sums::lists(&snapshot.sums) {
                    if let Ok(listed) = repository.list(list, lengths).await {
                        found.extend(listed.into_iter().map(|line| (line.name.clone(), line)));
                    }
                }
                found.extend(snapshot.sums.into_iter().map(|line| (line.name.clone(), line)));
            }
        }
        Ok(found)
    }

    /// Heals an archive; gives why not.
    async fn archive(
        &self,
        line: &SumsLine,
        here: &HashMap<String, u64>,
        there: &HashMap<String, u64>,
    ) -> Result<Option<String>, OperationError> {
        let second = names::mirror(&line.name);
        let to = if here.contains_key(&line.name) { second.clone() } else { line.name.clone() };
        if here.contains_key(&to) {
            return Ok(Some("its second copy is damaged too, and is not overwritten".to_owned()));
        }
        let mut why = "the copy does not have it".to_owned();
        for name in [line.name.clone(), second] {
            let Some(&length) = there.get(&name).filter(|&&length| line.fits(length)) else { continue };
            let wanted = Wanted { name, to: Some(to.clone()), length, sha256: Some(line.sha256) };
            let bytes = AtomicU64::new(0);
            let moved = transfer(&self.good.storage, &self.target, &wanted, &self.stop, &bytes).await?;
            tracing::debug!(bytes = bytes.load(Ordering::Relaxed), object = line.name, "read from the copy");
            match moved {
                Moved::Done => return Ok(None),
                Moved::Wrong(what) => why = format!("the copy's is no better: {what}"),
            }
        }
        Ok(Some(why))
    }

    /// Heals an object that is written twice; gives why not.
    async fn small(&self, object: &str, here: &HashMap<String, u64>) -> Result<Option<String>, OperationError> {
        let name = object.strip_prefix(names::MIRROR).unwrap_or(object);
        let second = names::mirror(name);
        let missing: Vec<&str> = [second.as_str(), name].into_iter().filter(|copy| !here.contains_key(*copy)).collect();
        if missing.is_empty() {
            return Ok(Some("it is not overwritten; a sound second copy counts".to_owned()));
        }
        let bytes = match self.good.sound_copy(name, |_| true).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Some("nothing vouches for it".to_owned())),
            Err(error) if error.is_integrity() => return Ok(Some("the copy does not have it either".to_owned())),
            Err(error) => return Err(error.into()),
        };
        for copy in missing {
            match self.target.put_new(copy, bytes.clone()).await {
                Ok(()) => {}
                Err(StorageError::Exists { .. }) => return Ok(Some("somebody else has written it meanwhile".to_owned())),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}
