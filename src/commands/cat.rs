//! `tgvault cat`: one file of a snapshot, to standard output.

use std::ffi::OsString;
use std::io::BufWriter;

use super::cli::{Select, entry_path, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use crate::operations::cat::cat;

const EXAMPLES: &str = "\
Examples:
  tgvault cat latest result.json | jq .personal_information
  tgvault cat latest 'chats/chat_1/photos/photo_1@04-05-2024_08-15-40.jpg' > photo.jpg";

/// Options of `cat`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `latest`, or the first digits of a snapshot's id
    #[arg(value_parser = parse_snapshot)]
    pub snapshot: String,

    /// The file's path in the snapshot
    pub path: OsString,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

/// Bytes that go to standard output at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// Writes the file.
///
/// # Errors
/// When there is no such file, no key fits, or its content is not what was stored.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let path = entry_path(&args.path)?;
    let session = context.session(Keys::Needed).await?;
    let stdout = BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout());
    cat(&session, &args.select.choose(&args.snapshot), path, stdout).await?;
    Ok(Exit::Done)
}
