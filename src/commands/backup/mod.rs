//! `tgvault backup`: save what a source has: a [`folder`], a [`telegram`] account, or a [`desktop_export`].
//!
//! Every kind of source is a command of its own below `backup`, in a file of its own here; `backup PATH` is short for
//! `backup folder PATH`. What they share stands in [`common`]; how they ended is kept by [`remembered`].

pub mod common;
pub mod desktop_export;
pub mod folder;
mod patterns;
pub mod remembered;
pub mod telegram;

use std::sync::Arc;

use jiff::Timestamp;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use common::{Common, Finished};

const EXAMPLES: &str = "\
Examples:
  tgvault backup telegram                        # after `tgvault login`
  tgvault backup ~/DataExport_2026-11-22         # import a Telegram Desktop export
  tgvault backup ~/photos --tag monthly
  tgvault backup ~/photos --exclude '*.tmp' --exclude /cache --dry-run";

/// Options of `backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "tgvault backup [OPTIONS] <PATH>\n       tgvault backup <COMMAND> [OPTIONS]",
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    subcommand_help_heading = "Sources"
)]
pub struct Args {
    /// The kind of source; without one, a folder.
    #[command(subcommand)]
    pub kind: Option<Kind>,
    /// What all kinds understand.
    #[command(flatten)]
    pub common: Common,
    /// A folder, named without its kind.
    #[command(flatten)]
    pub folder: folder::Args,
}

/// The kinds of source.
#[derive(Debug, clap::Subcommand)]
pub enum Kind {
    /// Back up a folder (same as `backup PATH`)
    Folder(folder::Args),
    /// Import a Telegram Desktop export into an account's chat history
    DesktopExport(desktop_export::Args),
    /// Back up a Telegram account
    Telegram(Box<telegram::Args>),
}

/// What is to be backed up.
#[derive(Clone, Copy)]
pub enum Task<'a> {
    /// A folder.
    Folder(&'a folder::Args),
    /// Exports of Telegram Desktop.
    DesktopExport(&'a desktop_export::Args),
    /// An account.
    Telegram(&'a telegram::Args),
}

/// Runs the backup.
///
/// # Errors
/// When vault, source, state or store cannot be used, or the run is interrupted.
pub async fn run(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let task = match &args.kind {
        None => Task::Folder(&args.folder),
        Some(kind) => {
            args.folder.refuse()?;
            match kind {
                Kind::Folder(args) => Task::Folder(args),
                Kind::DesktopExport(args) => Task::DesktopExport(args),
                Kind::Telegram(args) => Task::Telegram(args),
            }
        }
    };
    save(task, &args.common, context).await.map(|finished| finished.exit)
}

/// Backs up one thing, and remembers how that ended.
///
/// # Errors
/// As [`run`].
pub async fn save(task: Task<'_>, common: &Common, context: &Arc<Context>) -> Result<Finished, CommandError> {
    let began = Timestamp::now();
    let ended = match task {
        Task::Folder(args) => folder::run(args, common, context).await,
        Task::DesktopExport(args) => desktop_export::run(args, common, context).await,
        Task::Telegram(args) => telegram::run(args, common, context).await,
    };
    let only_looks = common.dry_run || matches!(task, Task::Telegram(args) if args.estimate);
    if !only_looks {
        remembered::note(task, began, &ended, context);
    }
    ended
}
