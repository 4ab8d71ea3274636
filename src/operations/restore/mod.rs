//! Restore: a snapshot's state, or a part of it, comes back into a folder.
//!
//! Folders, links and attributes are made here, contents by `writing`; `names` brings the names of one file together, `folding`
//! notices names that the target takes for the same. What holds chats comes back in another form, by `render`.

mod folding;
mod names;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::chats::OpenChats;
use super::events::{Event, Events};
use super::render::{RenderOptions, RenderSummary, render_opened};
use super::report::{Report, TICK};
use super::session::Session;
use super::snapshot::choice::{SnapshotChoice, holds_chats};
use super::snapshot::{OpenSnapshot, meant};
use super::stop::Stop;
pub use super::writing::RestoreSummary;
use super::writing::{Plan, finish, summary, work};
use super::{OperationError, reading_lanes};
use crate::model::entry::{EntryPath, Kind};
use crate::model::filter::PathFilter;
use crate::model::harmless::printable;
use crate::repository::tree::TreeEntry;
use crate::target::{FileAt, Overwrite, TargetError, TargetFolder, TargetOptions};
use folding::Folding;
use names::{Group, Names};

/// The end of the names of files that are not proven to be what the snapshot should have.
const UNPROVEN: &str = ".unproven";

/// How to restore.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The folder to restore into.
    pub to: PathBuf,
    /// Which entries.
    pub filter: PathFilter,
    /// If not empty: only these, and what is below them.
    pub paths: Vec<EntryPath>,
    /// What to do with what exists already.
    pub overwrite: Overwrite,
    /// Writes also what a lost index may have changed or removed, each under a name with a mark.
    pub unproven: bool,
    /// Only says what would be restored.
    pub dry_run: bool,
    /// Units that are worked on side by side.
    pub lanes: usize,
}

impl RestoreOptions {
    /// Everything, into the folder `to`, over whatever is there.
    pub fn into(to: PathBuf) -> Self {
        let (filter, overwrite) = (PathFilter::everything(), Overwrite::Always);
        Self { to, filter, paths: Vec::new(), overwrite, unproven: false, dry_run: false, lanes: reading_lanes() }
    }
}

/// Restores a snapshot or a part of it.
///
/// # Errors
/// When no key fits, the snapshot or an index cannot be read, the target is full or cannot be used, or the run is stopped.
/// What fails entry by entry is reported and counted instead.
pub async fn restore(
    session: &Session,
    choice: &SnapshotChoice,
    options: RestoreOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<RestoreSummary, OperationError> {
    let opened = OpenSnapshot::open(session, choice).await?;
    let options = RestoreOptions { paths: meant(opened.snapshot(), opened.tree(), &options.paths), ..options };
    restore_opened(session, opened, options, events, stop).await
}

/// What a restore made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Made {
    /// Files as they are stored.
    Files(RestoreSummary),
    /// Another form of them.
    Rendered(RenderSummary),
}

/// Restores a snapshot in the form that fits: one of a Telegram account or export as `rendered` says, any other as `files` says; and so
/// one of an account, where paths are wanted that are those of stored files.
///
/// # Errors
/// As [`render`](super::render::render) and [`restore`].
pub async fn restore_fitting(
    session: &Session,
    choice: &SnapshotChoice,
    mut files: RestoreOptions,
    rendered: RenderOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<Made, OperationError> {
    let opened = OpenSnapshot::open(session, choice).await?;
    files.paths = meant(opened.snapshot(), opened.tree(), &files.paths);
    let is_stored = |path: &EntryPath| opened.tree().get(path).is_some() || opened.tree().has_below(path);
    let are_stored = !files.paths.is_empty() && files.paths.iter().all(is_stored);
    if holds_chats(opened.snapshot()) && !are_stored {
        Ok(Made::Rendered(render_opened(session, OpenChats::of(opened), rendered, events, stop).await?))
    } else {
        Ok(Made::Files(restore_opened(session, opened, files, events, stop).await?))
    }
}

/// As [`restore`], of a snapshot that is open already, and of paths as they are in it.
///
/// # Errors
/// As [`restore`].
async fn restore_opened(
    session: &Session,
    opened: OpenSnapshot,
    options: RestoreOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<RestoreSummary, OperationError> {
    let began = Instant::now();
    let report = Arc::new(Report::new(events, stop));
    // An older state is no damage to what is restored, but it may not be the state that was meant.
    for what in opened.lost() {
        report.lost(what);
    }
    for id in &opened.tree().losses().copied {
        report.events.event(&Event::Note(&format!("archive {id} is missing or damaged; the second copy of its index says what it held")));
    }
    let downloaded = || session.storage.traffic().downloaded_bytes;
    let job = Job { opened: opened.clone(), options, report: Arc::clone(&report) };
    let mut working = tokio::task::spawn_blocking(move || job.run());
    let mut tick = tokio::time::interval(TICK);
    let ended = loop {
        tokio::select! {
            done = &mut working => {
                break done;
            }
            _ = tick.tick() => report.progress(downloaded()),
        }
    };
    report.progress(downloaded());
    let summary = summary(opened.snapshot(), &report, began);
    let ended = match ended {
        Ok(Ok(())) if report.stop.is_wanted() => Err(OperationError::Interrupted),
        Ok(ended) => ended,
        Err(error) => Err(error.into()),
    };
    // Whatever ended it, what was restored until then is said.
    if ended.is_err() {
        let RestoreSummary { entries, bytes, kept, problems, damaged, .. } = summary;
        let snapshot = summary.snapshot.to_string();
        report.events.event(&Event::RestoreEnded { snapshot: &snapshot, entries, bytes, kept, problems, damaged });
    }
    ended.map(|()| summary)
}

/// A hard link to make: its path, and the first name of its file.
type Link = (EntryPath, EntryPath);

/// One restore, on ordinary threads.
struct Job {
    opened: OpenSnapshot,
    options: RestoreOptions,
    report: Arc<Report>,
}

impl Job {
    fn is_wanted(&self, path: &EntryPath) -> bool {
        (self.options.paths.is_empty() || self.options.paths.iter().any(|top| path.is_at_or_below(top))) && self.options.filter.takes(path)
    }

    fn run(&self) -> Result<(), OperationError> {
        for path in &self.options.paths {
            // Folders of an account are no entries of their own.
            let tree = self.opened.tree();
            if tree.get(path).is_none() && !tree.has_below(path) {
                self.report.problem(path, "it is not in the snapshot");
            }
        }
        if self.options.dry_run {
            return self.plan_only();
        }
        let target = TargetFolder::open(&self.options.to, self.options.overwrite, TargetOptions::default())?;
        self.top(&target);
        let marked = self.marked();
        let (plan, links) = self.prepare(&target, &marked)?;
        work(self.opened.contents(), self.opened.tree(), &target, plan, self.options.lanes, &self.report)?;
        if self.report.stop.is_wanted() {
            return Ok(());
        }
        for (path, first) in links {
            if self.report.has_failed(&first) {
                self.report.problem(&path, &format!("it is another name of '{first}', which could not be restored"));
            } else {
                self.made(&path, target.hardlink(&path, &first))?;
            }
        }
        for pattern in self.options.filter.unmatched() {
            self.report.events.event(&Event::Note(&format!("nothing matches the pattern '{}'", printable(pattern))));
        }
        finish(target, &self.report)
    }

    /// Lets the target look as the folder did that was backed up, if all of it is restored into a place that holds nothing else.
    fn top(&self, target: &TargetFolder) {
        let Some(meta) = &self.opened.snapshot().top else { return };
        let is_whole = self.options.paths.is_empty() && self.options.filter.is_everything();
        if !is_whole {
            return;
        }
        let is_known = |name: &Vec<u8>| EntryPath::new(name.as_slice()).is_ok_and(|path| self.opened.tree().get(&path).is_some());
        let (names, existed) = (target.names(), !target.is_new());
        if existed && self.options.overwrite == Overwrite::Never {
            return;
        }
        if names.iter().all(is_known) {
            target.top(meta);
        } else {
            self.report.events.event(&Event::Note("the target keeps its own mode, owner and time: it holds other things as well"));
        }
    }

    fn plan_only(&self) -> Result<(), OperationError> {
        for (path, entry) in self.opened.tree().iter().filter(|(path, _)| self.is_wanted(path)) {
            if self.opened.tree().is_unproven_entry(&entry) {
                self.report.damaged(&path, "an index is lost that may have changed or deleted it: it would not be restored");
                continue;
            }
            self.report.restored(entry.size);
            self.report.events.event(&Event::Planned { path: &path, bytes: entry.size });
        }
        Ok(())
    }

    /// The paths under which what is not proven is written: none of them is one that the snapshot has.
    fn marked(&self) -> BTreeMap<EntryPath, EntryPath> {
        let tree = self.opened.tree();
        if !self.options.unproven || tree.losses().lost.is_empty() {
            return BTreeMap::new();
        }
        let unproven = tree.iter().filter(|(path, entry)| entry.kind != Kind::Dir && tree.is_unproven_entry(entry) && self.is_wanted(path));
        let mark = |path: &EntryPath| {
            let named = |number: u32| match number {
                0 => EntryPath::new([path.as_bytes(), UNPROVEN.as_bytes()].concat()).ok(),
                _ => EntryPath::new([path.as_bytes(), format!("{UNPROVEN}-{number}").as_bytes()].concat()).ok(),
            };
            (0..u32::MAX).map_while(named).find(|marked| tree.get(marked).is_none())
        };
        unproven.filter_map(|(path, _)| mark(&path).map(|marked| (path, marked))).collect()
    }

    /// Reports an entry that a lost index may have changed or removed, and plans it under its mark, if it is wanted so.
    fn unproven(
        &self,
        target: &TargetFolder,
        plan: &mut Plan,
        (number, path, entry): (u32, &EntryPath, &TreeEntry),
        marked: &BTreeMap<EntryPath, EntryPath>,
    ) -> Result<(), OperationError> {
        let tree = self.opened.tree();
        let lost = tree.losses().lost.first().map_or("", |record| record.object.as_str());
        let why = format!("the index of {lost} is lost, which may have changed or deleted it");
        let Some(mark) = marked.get(path) else {
            self.report.damaged(path, &format!("{why}: not restored (--unproven writes it under another name)"));
            return Ok(());
        };
        self.report.damaged(path, &format!("{why}: written as '{mark}'"));
        match &entry.kind {
            Kind::Symlink { target: to } => self.made(mark, target.symlink(mark, to, &entry.meta())),
            Kind::File => {
                plan.add_at(mark.clone(), (number, entry));
                Ok(())
            }
            Kind::Hardlink { target: first } => {
                if let Some((number, file)) = tree.find(first).filter(|(_, file)| file.kind == Kind::File) {
                    plan.add_at(mark.clone(), (number, &file));
                }
                Ok(())
            }
            Kind::Dir => Ok(()),
        }
    }

    /// Makes folders and symbolic links, and plans the contents; gives the hard links that are left.
    fn prepare(&self, target: &TargetFolder, marked: &BTreeMap<EntryPath, EntryPath>) -> Result<(Plan, Vec<Link>), OperationError> {
        let tree = self.opened.tree();
        let mut plan = Plan::default();
        let mut folders: Vec<EntryPath> = Vec::new();
        let mut names = Names::of(tree);
        let mut folding = Folding::of(target);
        for (number, path, entry) in tree.numbered() {
            if self.report.stop.is_wanted() {
                return Ok((plan, Vec::new()));
            }
            if !self.is_wanted(&path) {
                if entry.kind == Kind::Dir {
                    folders.push(path);
                }
                continue;
            }
            self.report.total_entries.fetch_add(1, Ordering::Relaxed);
            self.report.total_bytes.fetch_add(entry.size, Ordering::Relaxed);
            if tree.is_unproven_entry(&entry) {
                self.unproven(target, &mut plan, (number, &path, &entry), marked)?;
                continue;
            }
            self.make_folders_above(target, &path, &mut folders)?;
            if let Some(other) = folding.falls_on(target, &path, entry.kind == Kind::Dir) {
                self.report.problem(&path, &format!("this file system takes it for the same name as '{other}'; it was not restored"));
                continue;
            }
            // Names of one file are looked at together.
            if names.take(&path, &entry.kind) {
                continue;
            }
            match target.wants(&path, &entry.kind, entry.stored_size(), entry.mtime()) {
                Ok(true) => {}
                Ok(false) => {
                    self.keep(target, &path, &entry.kind, &entry)?;
                    continue;
                }
                Err(error) => {
                    self.report.refused(&path, error)?;
                    continue;
                }
            }
            match &entry.kind {
                Kind::Dir => self.made(&path, target.dir(&path, &entry.meta()))?,
                Kind::Symlink { target: to } => self.made(&path, target.symlink(&path, to, &entry.meta()))?,
                Kind::File => plan.add(number, &entry),
                Kind::Hardlink { .. } => {}
            }
        }
        let mut links = Vec::new();
        for group in names.groups() {
            self.group(target, &mut plan, &mut links, group)?;
        }
        Ok((plan, links))
    }

    /// Takes note of an entry whose content is as it should be, and lets the rest of it be so too.
    fn keep(&self, target: &TargetFolder, path: &EntryPath, kind: &Kind, entry: &TreeEntry) -> Result<(), OperationError> {
        self.report.kept.fetch_add(1, Ordering::Relaxed);
        match self.options.overwrite {
            Overwrite::IfChanged => target.attributes(path, kind, &entry.meta()).or_else(|error| self.report.refused(path, error)),
            Overwrite::Always | Overwrite::Never => Ok(()),
        }
    }

    /// Plans one file with all of its names: whichever of them are wanted, it is right under all that are there.
    fn group(&self, target: &TargetFolder, plan: &mut Plan, links: &mut Vec<Link>, group: Group) -> Result<(), OperationError> {
        let Group { first, names, mut wanted } = group;
        let Some((number, file)) = self.opened.tree().find(&first).filter(|(_, file)| file.kind == Kind::File) else {
            for path in wanted {
                self.report.problem(&path, &format!("it is a hard link to '{first}', which is not in the snapshot"));
            }
            return Ok(());
        };
        let mut found: HashMap<&EntryPath, FileAt> = HashMap::new();
        for path in &names {
            match target.file_at(path, file.stored_size(), file.mtime()) {
                Ok(at) => found.extend(at.map(|at| (path, at))),
                Err(error) => {
                    if wanted.contains(path) {
                        wanted.retain(|other| other != path);
                        self.report.refused(path, error)?;
                    }
                }
            }
        }
        let never = self.options.overwrite == Overwrite::Never;
        if never {
            let (make, keep): (Vec<_>, Vec<_>) =
                wanted.into_iter().partition(|path| target.wants(path, &Kind::File, file.stored_size(), file.mtime()).unwrap_or(false));
            self.report.kept.fetch_add(keep.len() as u64, Ordering::Relaxed);
            wanted = make;
        }
        let fits = |path: &&EntryPath| self.options.overwrite != Overwrite::Always && found.get(*path).is_some_and(|at| at.fits);
        let good = wanted.iter().find(fits).or_else(|| names.iter().find(fits));
        let Some(anchor) = good.or_else(|| wanted.first()) else { return Ok(()) };
        if wanted.is_empty() {
            return Ok(());
        }
        let good_id = good.and_then(|path| found.get(path)).map(|at| at.id);
        let mut replaced: HashSet<(u64, u64)> = HashSet::new();
        for path in &wanted {
            let at = found.get(path).map(|at| at.id);
            if good_id.is_some() && at == good_id {
                self.report.kept.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            replaced.extend(at);
            match path == anchor {
                true => plan.add_at(anchor.clone(), (number, &file)),
                false => links.push((path.clone(), anchor.clone())),
            }
        }
        if good_id.is_some()
            && !never
            && let Err(error) = target.attributes(anchor, &Kind::File, &file.meta())
        {
            self.report.refused(anchor, error)?;
        }
        // Names that nobody asked for, of the file that is replaced.
        for path in names.iter().filter(|path| *path != anchor && !wanted.contains(path)) {
            if found.get(path).is_some_and(|at| replaced.contains(&at.id)) && !never {
                self.report.total_entries.fetch_add(1, Ordering::Relaxed);
                links.push((path.clone(), anchor.clone()));
            }
        }
        Ok(())
    }

    /// Makes the folders that lead to a wanted path with the attributes that the snapshot has of them.
    fn make_folders_above(&self, target: &TargetFolder, path: &EntryPath, folders: &mut Vec<EntryPath>) -> Result<(), OperationError> {
        let leads = |folder: &EntryPath| path.is_below(folder);
        folders.retain(|folder| leads(folder));
        for folder in folders.drain(..) {
            if let Some(entry) = self.opened.tree().get(&folder)
                && let Err(error) = target.dir(&folder, &entry.meta())
            {
                self.report.refused(&folder, error)?;
            }
        }
        Ok(())
    }

    fn made(&self, path: &EntryPath, made: Result<(), TargetError>) -> Result<(), OperationError> {
        match made {
            Ok(()) => {
                self.report.restored(0);
                Ok(())
            }
            Err(error) => self.report.refused(path, error),
        }
    }
}
