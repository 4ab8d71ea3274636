//! What a run does: each source of the profile into each of its vaults, with the options that its table has.

use std::sync::Arc;

use super::Args;
use crate::commands::backup::common::Common;
use crate::commands::backup::{Task, desktop_export, folder, telegram};
use crate::commands::config::sources::{AccountEntry, ExportEntry, FolderEntry, SourceProfile};
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::commands::telegram::connection::Connection;
use crate::commands::units::printable;

/// One source into one vault.
pub struct Step {
    /// What messages call the source.
    pub source: String,
    /// What messages call the vault.
    pub vault: String,
    /// What the profile says of the source.
    pub profile: SourceProfile,
    /// The vault, with its settings.
    pub context: Arc<Context>,
}

/// All steps, in the order of the profile: source by source, each into its vaults.
///
/// # Errors
/// When there is nothing to do, or a source that was named is not in the profile.
pub fn steps(args: &Args, contexts: &[Arc<Context>]) -> Result<Vec<Step>, CommandError> {
    let sources = contexts.first().map(|context| context.settings.sources.as_slice()).unwrap_or_default();
    if sources.is_empty() {
        return Err(CommandError::usage(
            "there is nothing to run: the profile has no [[source]] table",
            "add one, as in docs/guide/automatic.md, or use `tgvault backup`",
        ));
    }
    if let Some(unknown) = args.only.iter().find(|wanted| !sources.iter().any(|source| source.label() == **wanted)) {
        let known: Vec<String> = sources.iter().map(|source| printable(&source.label())).collect();
        return Err(CommandError::usage(
            format!("the profile has no source called '{}'", printable(unknown)),
            format!("it has {}", known.join(", ")),
        ));
    }
    let mut steps = Vec::new();
    for profile in sources.iter().filter(|source| args.only.is_empty() || args.only.contains(&source.label())) {
        for context in contexts.iter().filter(|context| context.settings.mirror_of.is_none()) {
            // A vault that was typed and is not in the profile takes whatever goes everywhere.
            let vault = match context.vault_label() {
                Some(vault) => vault,
                None => return Err(context.settings.require_repo().err().map_or_else(nothing, Into::into)),
            };
            if profile.goes_into(&vault) {
                steps.push(Step { source: profile.label(), vault, profile: profile.clone(), context: Arc::clone(context) });
            }
        }
    }
    if steps.is_empty() { Err(nothing()) } else { Ok(steps) }
}

fn nothing() -> CommandError {
    CommandError::usage("there is nothing to run: none of these sources goes into this vault", "see `vaults` in the profile's [[source]]")
}

/// A source as somebody would have typed it.
pub struct Typed {
    common: Common,
    what: What,
}

enum What {
    Folder(folder::Args),
    DesktopExport(desktop_export::Args),
    Telegram(Box<telegram::Args>),
}

impl Typed {
    /// What `backup` would be given for a step.
    ///
    /// # Errors
    /// When an option of the profile has a value that cannot be.
    pub fn of(step: &Step, args: &Args) -> Result<Self, CommandError> {
        let (tags, max_removed, what) = match &step.profile {
            SourceProfile::Folder(entry) => (&entry.tags, entry.max_removed, What::Folder(of_folder(entry, args))),
            SourceProfile::DesktopExport(entry) => (&entry.tags, None, What::DesktopExport(of_export(entry)?)),
            SourceProfile::Telegram(entry) => (&entry.tags, None, What::Telegram(Box::new(of_account(entry, args)))),
        };
        let common = Common {
            host: args.host.clone(),
            tags: tags.clone(),
            force_rehash: false,
            allow_empty: false,
            max_removed,
            dry_run: args.dry_run,
            lanes: None,
        };
        Ok(Self { common, what })
    }

    /// What is backed up.
    pub fn task(&self) -> Task<'_> {
        match &self.what {
            What::Folder(args) => Task::Folder(args),
            What::DesktopExport(args) => Task::DesktopExport(args),
            What::Telegram(args) => Task::Telegram(args),
        }
    }

    /// What all kinds of source have.
    pub fn common(&self) -> &Common {
        &self.common
    }
}

fn of_folder(entry: &FolderEntry, args: &Args) -> folder::Args {
    folder::Args {
        path: Some(entry.path.clone()),
        exclude: entry.exclude.clone(),
        exclude_files: entry.exclude_file.clone(),
        exclude_caches: entry.exclude_caches,
        exclude_larger_than: entry.exclude_larger_than.map(|size| size.0),
        one_file_system: entry.one_file_system,
        ignore_inode: entry.ignore_inode,
        ignore_ctime: entry.ignore_ctime,
        plain: entry.plain,
        account: args.connection.account.clone(),
    }
}

fn of_export(entry: &ExportEntry) -> Result<desktop_export::Args, CommandError> {
    let zone = entry.time_zone.as_deref().map(desktop_export::parse_zone).transpose();
    let time_zone =
        zone.map_err(|what| CommandError::usage(format!("time-zone in the profile: {what}"), "use a name such as Europe/Lisbon"))?;
    Ok(desktop_export::Args { paths: vec![entry.path.clone()], account: entry.account.clone(), made: None, time_zone, chat: None })
}

fn of_account(entry: &AccountEntry, args: &Args) -> telegram::Args {
    telegram::Args {
        chats: entry.chats.clone(),
        chat: entry.chat.clone(),
        exclude_chat: entry.exclude_chat.clone(),
        folder: entry.folder.clone(),
        only_my_messages: entry.only_my_messages,
        media: entry.media.clone(),
        max_file_size: entry.max_file_size.map(|size| size.0),
        takeout: entry.takeout,
        connection: Connection { account: Some(entry.account.clone()), ..args.connection.clone() },
        ..telegram::Args::default()
    }
}
