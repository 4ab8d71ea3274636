//! `tgvault diff`: what differs between two snapshots.

use serde::Serialize;

use super::cli::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::units;
use crate::model::entry::EntryPath;
use crate::operations::look::{self, Change};

const EXAMPLES: &str = "\
Examples:
  tgvault diff 3f9a latest                        + new, - gone, M other content, U metadata only";

/// Options of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The older: `latest`, or the first digits of a snapshot's id
    #[arg(value_parser = parse_snapshot)]
    pub from: String,

    /// The newer
    #[arg(value_parser = parse_snapshot)]
    pub to: String,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    change: &'static str,
    path: &'a EntryPath,
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    added: u64,
    removed: u64,
    modified: u64,
    metadata: u64,
    added_bytes: u64,
    removed_bytes: u64,
}

/// Compares the two.
///
/// # Errors
/// When no key fits, or a snapshot cannot be read.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let output = &context.output;
    let mut lines = output.lines();
    let (from, to) = (args.select.choose(&args.from), args.select.choose(&args.to));
    let compared = look::diff(&session, &from, &to, |change, path| {
        let (word, sign) = match change {
            Change::Added => ("added", '+'),
            Change::Removed => ("removed", '-'),
            Change::Modified => ("modified", 'M'),
            Change::Metadata => ("metadata", 'U'),
        };
        if lines.is_json() {
            lines.json(&Line { message_type: "change", change: word, path })
        } else {
            lines.line(&format!("{sign}  {path}"))
        }
    });
    let compared = compared.await;
    lines.finish()?;
    let summary = compared?;
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "diff",
            added: summary.added,
            removed: summary.removed,
            modified: summary.modified,
            metadata: summary.metadata,
            added_bytes: summary.added_bytes,
            removed_bytes: summary.removed_bytes,
        })?;
    } else {
        output.say(&format!(
            "added {} ({}), removed {} ({}), modified {}, metadata of {}",
            units::count(summary.added),
            units::bytes(summary.added_bytes),
            units::count(summary.removed),
            units::bytes(summary.removed_bytes),
            units::count(summary.modified),
            units::count(summary.metadata)
        ));
    }
    Ok(Exit::Done)
}
