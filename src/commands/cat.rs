//! `tgvault cat`: one file of a snapshot, to standard output.

use std::ffi::OsString;

use super::cli::{Select, parse_snapshot};

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
