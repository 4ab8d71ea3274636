//! `tgvault stats`: how much a snapshot holds, and what it takes in the store.

use serde::Serialize;

use super::cli::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::units;
use crate::operations::look;

const EXAMPLES: &str = "\
Examples:
  tgvault stats
  tgvault stats 3f9a --json";

/// Options of `stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `latest`, or the first digits of a snapshot's id
    #[arg(default_value = "latest", value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    snapshot: String,
    files: u64,
    dirs: u64,
    symlinks: u64,
    hardlinks: u64,
    bytes: u64,
    archives: u64,
    stored_bytes: u64,
}

/// Counts.
///
/// # Errors
/// When no key fits, or the snapshot cannot be read.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let stats = look::stats(&session, &args.select.choose(&args.snapshot)).await?;
    let output = &context.output;
    let id = stats.snapshot.to_string();
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "stats",
            snapshot: id,
            files: stats.files,
            dirs: stats.dirs,
            symlinks: stats.symlinks,
            hardlinks: stats.hardlinks,
            bytes: stats.bytes,
            archives: stats.archives,
            stored_bytes: stats.stored_bytes,
        })?;
    } else {
        let rows = [
            ["snapshot".to_owned(), super::short_id(&id).to_owned()],
            ["files".to_owned(), units::count(stats.files)],
            ["folders".to_owned(), units::count(stats.dirs)],
            ["symbolic links".to_owned(), units::count(stats.symlinks)],
            ["hard links".to_owned(), units::count(stats.hardlinks)],
            ["content".to_owned(), units::bytes(stats.bytes)],
            ["archives".to_owned(), units::count(stats.archives)],
            ["stored".to_owned(), units::bytes(stats.stored_bytes)],
        ];
        output.text(&units::columns(&rows, &[1]))?;
    }
    Ok(Exit::Done)
}
