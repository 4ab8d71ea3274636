//! `tgvault find`: files by name, in one or all snapshots.

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::ls;
use crate::model::filter::PathFilter;
use crate::operations::{find, look};

const EXAMPLES: &str = "\
Examples:
  tgvault find '*.jpg'                                 # in all snapshots
  tgvault find --snapshot latest 'photo_1*' result.json";

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

/// Finds the entries.
///
/// # Errors
/// When a pattern is malformed, no key fits, or a snapshot cannot be read.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let filter = PathFilter::new(&args.patterns, &[])?;
    let session = context.session(Keys::Needed).await?;
    let mut lines = context.output.lines();
    let mut found = 0_u64;
    let ended = match &args.snapshot {
        Some(wanted) => {
            let choice = args.select.choose(wanted);
            let each = look::ls(&session, &choice, &[], &filter, |path, entry| {
                found += 1;
                ls::print(&mut lines, None, path, entry, args.long)
            });
            each.await.map(drop)
        }
        None => {
            let among = args.select.selection();
            let each = find::find(&session, &among, &filter, |snapshot, path, entry| {
                found += 1;
                ls::print(&mut lines, Some(snapshot.id.to_string()), path, entry, args.long)
            });
            each.await
        }
    };
    lines.finish()?;
    ended?;
    if found == 0 {
        context.output.say("no file matches");
    }
    Ok(Exit::Done)
}
