//! Restore: a snapshot's state, or a part of it, comes back into a folder.
//!
//! Folders, links and attributes are made here, contents by `writing`. What holds chats comes back in another form, by `render`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::chats::OpenChats;
use super::events::{Event, Events};
use super::render::{RenderOptions, RenderSummary, render_opened};
use super::report::{Report, TICK};
use super::session::Session;
use super::snapshot::OpenSnapshot;
use super::snapshot::choice::{SnapshotChoice, holds_chats};
use super::stop::Stop;
pub use super::writing::RestoreSummary;
use super::writing::{Plan, finish, summary, work};
use super::{OperationError, reading_lanes};
use crate::model::entry::{EntryPath, Kind};
use crate::model::filter::PathFilter;
use crate::target::{Overwrite, TargetError, TargetFolder, TargetOptions};

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
    /// Only says what would be restored.
    pub dry_run: bool,
    /// Units that are worked on side by side.
    pub lanes: usize,
}

impl RestoreOptions {
    /// Everything, into the folder `to`, over whatever is there.
    pub fn into(to: PathBuf) -> Self {
        let (filter, overwrite) = (PathFilter::everything(), Overwrite::Always);
        Self { to, filter, paths: Vec::new(), overwrite, dry_run: false, lanes: reading_lanes() }
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
    restore_opened(session, OpenSnapshot::open(session, choice).await?, options, events, stop).await
}

/// What a restore made.
#[derive(Clone, Debug)]
pub enum Made {
    /// Files as they are stored.
    Files(RestoreSummary),
    /// Another form of them.
    Rendered(RenderSummary),
}

/// Restores a snapshot in the form that fits: one of a Telegram account or export as `rendered` says, any other as `files` says.
///
/// # Errors
/// As [`render`](super::render::render) and [`restore`].
pub async fn restore_fitting(
    session: &Session,
    choice: &SnapshotChoice,
    files: RestoreOptions,
    rendered: RenderOptions,
    events: Arc<dyn Events>,
    stop: Stop,
) -> Result<Made, OperationError> {
    let opened = OpenSnapshot::open(session, choice).await?;
    if holds_chats(opened.snapshot()) {
        Ok(Made::Rendered(render_opened(session, OpenChats::of(opened), rendered, events, stop).await?))
    } else {
        Ok(Made::Files(restore_opened(session, opened, files, events, stop).await?))
    }
}

/// As [`restore`], of a snapshot that is open already.
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
    let downloaded = || session.storage.traffic().downloaded_bytes;
    let job = Job { opened: opened.clone(), options, report: Arc::clone(&report) };
    let mut working = tokio::task::spawn_blocking(move || job.run());
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut working => {
                done??;
                break;
            }
            _ = tick.tick() => report.progress(downloaded()),
        }
    }
    report.progress(downloaded());
    if report.stop.is_wanted() {
        return Err(OperationError::Interrupted);
    }
    Ok(summary(opened.snapshot(), &report, began))
}

/// A hard link to make: its path, and the first name of its file.
type Link<'a> = (&'a EntryPath, &'a EntryPath);

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
            if tree.get(path).is_none() && tree.below(path).next().is_none() {
                self.report.problem(path, "it is not in the snapshot");
            }
        }
        if self.options.dry_run {
            return self.plan_only();
        }
        let target = TargetFolder::open(&self.options.to, self.options.overwrite, TargetOptions::default())?;
        let (plan, links) = self.prepare(&target)?;
        work(self.opened.contents(), self.opened.tree(), &target, &plan, self.options.lanes, &self.report)?;
        if self.report.stop.is_wanted() {
            return Ok(());
        }
        for (path, first) in links {
            self.link(&target, path, first)?;
        }
        finish(target, &self.report)
    }

    fn plan_only(&self) -> Result<(), OperationError> {
        for (path, entry) in self.opened.tree().iter().filter(|(path, _)| self.is_wanted(path)) {
            self.report.restored(entry.size);
            self.report.events.event(&Event::Planned { path, bytes: entry.size });
        }
        Ok(())
    }

    /// Makes folders and symbolic links, and plans the contents; gives the hard links that are left.
    fn prepare(&self, target: &TargetFolder) -> Result<(Plan<'_>, Vec<Link<'_>>), OperationError> {
        let mut plan = Plan::default();
        let mut links = Vec::new();
        // A file of which only a further name is wanted is restored under that name.
        let mut stand_ins: HashMap<&EntryPath, &EntryPath> = HashMap::new();
        let mut folders: Vec<&EntryPath> = Vec::new();
        for (path, entry) in self.opened.tree().iter() {
            if self.report.stop.is_wanted() {
                break;
            }
            if !self.is_wanted(path) {
                if entry.kind == Kind::Dir {
                    folders.push(path);
                }
                continue;
            }
            self.make_folders_above(target, path, &mut folders)?;
            self.report.total_entries.fetch_add(1, Ordering::Relaxed);
            self.report.total_bytes.fetch_add(entry.size, Ordering::Relaxed);
            match target.wants(path, &entry.kind, entry.stored_size(), entry.mtime()) {
                Ok(true) => {}
                Ok(false) => {
                    self.report.kept.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Err(error) => {
                    self.report.refused(path, error)?;
                    continue;
                }
            }
            match &entry.kind {
                Kind::Dir => self.made(path, target.dir(path, &entry.meta()))?,
                Kind::Symlink { target: to } => self.made(path, target.symlink(path, to, &entry.meta()))?,
                Kind::File => plan.add(path, entry),
                Kind::Hardlink { target: first } => match self.opened.tree().get(first) {
                    Some(_) if self.is_wanted(first) => links.push((path, first)),
                    Some(file) if file.kind == Kind::File => match stand_ins.get(first) {
                        Some(other) => links.push((path, other)),
                        None => {
                            stand_ins.insert(first, path);
                            plan.add(path, file);
                        }
                    },
                    _ => self.report.problem(path, &format!("it is a hard link to '{first}', which is not in the snapshot")),
                },
            }
        }
        Ok((plan, links))
    }

    /// Makes the folders that lead to a wanted path with the attributes that the snapshot has of them.
    fn make_folders_above<'a>(
        &'a self,
        target: &TargetFolder,
        path: &EntryPath,
        folders: &mut Vec<&'a EntryPath>,
    ) -> Result<(), OperationError> {
        let leads = |folder: &EntryPath| path.is_below(folder);
        folders.retain(|folder| leads(folder));
        for folder in folders.drain(..) {
            if let Some(entry) = self.opened.tree().get(folder)
                && let Err(error) = target.dir(folder, &entry.meta())
            {
                self.report.refused(folder, error)?;
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

    fn link(&self, target: &TargetFolder, path: &EntryPath, first: &EntryPath) -> Result<(), OperationError> {
        self.made(path, target.hardlink(path, first))
    }
}
