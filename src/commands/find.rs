//! `tgvault find`: files by name, in one or all snapshots.

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::ls;
use crate::model::entry::EntryPath;
use crate::model::filter::PathFilter;
use crate::operations::chats::OpenChats;
use crate::operations::messages::files::{self, KnownFiles};
use crate::operations::session::Opened;
use crate::operations::snapshot::OpenSnapshot;
use crate::operations::snapshot::choice::{Selection, SnapshotChoice, chat_sources};
use crate::operations::{OperationError, find, look};

const EXAMPLES: &str = "\
Examples:
  tgvault find '*.jpg'                        # in all snapshots
  tgvault find --snapshot latest 'photo_1*' result.json

Files of chats are found by their own names, too, and shown with chat, time
and sender.";

/// Options of `find`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Patterns as for `backup --exclude`: `*.jpg` anywhere, `/chats` at the top
    #[arg(value_name = "PATTERN", required = true)]
    pub patterns: Vec<String>,

    /// Search only this snapshot: `latest`, or the first digits of its ID
    #[arg(long, value_name = "SNAPSHOT", value_parser = parse_snapshot)]
    pub snapshot: Option<String>,

    /// Also show mode, owner, size and time
    #[arg(short = 'l', long)]
    pub long: bool,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

/// Finds the entries. Files of chats are found by the names that they were sent with, or had in an export, as well.
///
/// # Errors
/// When a pattern is malformed, no key fits, or a snapshot cannot be read.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let filter = PathFilter::new(&args.patterns, &[])?;
    let opened = context.session(Keys::Needed).await?.open().await?;
    let known = known_files(args, &opened, &filter, context).await?;
    let mut lines = context.output.lines();
    let mut found = 0_u64;
    let named = |path: &EntryPath| known.files.contains_key(path);
    let ended = match &args.snapshot {
        Some(wanted) => {
            let choice = args.select.choose(wanted);
            let takes = |path: &EntryPath| filter.takes(path) || named(path);
            let each = look::ls_in(&opened, &choice, &[], &takes, |path, entry| {
                found += 1;
                ls::print(&mut lines, None, path, entry, args.long, known.files.get(path))
            });
            each.await.map(drop)
        }
        None => {
            let among = args.select.selection();
            let looked_for = find::Wanted { filter: &filter, named: &named };
            let each = find::find_in(&opened, &among, &looked_for, |snapshot, path, entry| {
                found += 1;
                ls::print(&mut lines, Some(snapshot.id.to_string()), path, entry, args.long, known.files.get(path))
            });
            each.await
        }
    };
    for (path, size) in &known.apart {
        found += 1;
        ls::print_imported(&mut lines, path, *size).map_err(CommandError::Output)?;
    }
    lines.finish()?;
    ended?;
    if found == 0 {
        context.output.say("no file matches");
    }
    Ok(Exit::Done)
}

/// What people know of the files of chats that match, in the latest state of each account that is meant.
async fn known_files(args: &Args, opened: &Opened, filter: &PathFilter, context: &Context) -> Result<KnownFiles, CommandError> {
    let choices = match &args.snapshot {
        Some(wanted) => vec![args.select.choose(wanted)],
        None => {
            let sources = chat_sources(opened, &args.select.selection()).await?;
            let latest = |source| {
                let among = Selection { source: Some(source), ..args.select.selection() };
                SnapshotChoice { wanted: "latest".to_owned(), among }
            };
            sources.into_iter().map(latest).collect()
        }
    };
    let mut known = KnownFiles::default();
    for choice in choices {
        let chats = OpenChats::of(OpenSnapshot::open_in(opened, &choice).await?);
        if !chats.is_telegram() {
            continue;
        }
        let (filter, stop) = (filter.clone(), context.heeded.stop_soon());
        let mut bad = Vec::new();
        let looked = tokio::task::spawn_blocking(move || {
            let all = chats.chats(&mut |path, error| bad.push(format!("cannot read '{path}': {error}")))?;
            Ok::<_, OperationError>((files::known_files(&chats, &all, &filter, &stop)?, bad))
        });
        let (found, bad) = looked.await.map_err(OperationError::from)??;
        // What is there stands in the indexes; only its names are less well known.
        let unknown = bad.iter().chain(&found.unreadable.told);
        unknown.for_each(|what| context.output.say(&format!("some names of files are not known: {what}")));
        known.files.extend(found.files);
        known.apart.extend(found.apart);
    }
    Ok(known)
}
