//! `tgvault find`: files by name, in one or all snapshots.

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::ls;
use crate::model::filter::PathFilter;
use crate::operations::look;

const EXAMPLES: &str = "\
Examples:
  tgvault find '*.jpg'                            in all snapshots
  tgvault find --snapshot latest 'photo_1*' result.json";

/// Options of `find`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Patterns as in `backup --exclude`: `*.jpg` anywhere, `/chats` at the top
    #[arg(value_name = "PATTERN", required = true)]
    pub patterns: Vec<String>,

    /// Only in this snapshot: `latest`, or the first digits of an id
    #[arg(long, value_name = "SNAPSHOT", value_parser = parse_snapshot)]
    pub snapshot: Option<String>,

    /// Print mode, owner, size and time too
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
            let each = look::find(&session, &among, &filter, |snapshot, path, entry| {
                found += 1;
                ls::print(&mut lines, Some(snapshot.id.to_string()), path, entry, args.long)
            });
            each.await
        }
    };
    lines.finish()?;
    ended?;
    if found == 0 {
        context.output.say("nothing matches");
    }
    Ok(Exit::Done)
}
