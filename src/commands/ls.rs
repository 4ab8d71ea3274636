//! `tgvault ls`: what a snapshot holds.

use std::ffi::OsString;

use super::cli::{Select, parse_snapshot};

const EXAMPLES: &str = "\
Examples:
  tgvault ls latest
  tgvault ls -l latest chats/chat_1";

/// Options of `ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `latest`, or the first digits of a snapshot's id
    #[arg(value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Only what is at and below these paths
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// Print mode, owner, size and time too
    #[arg(short = 'l', long)]
    pub long: bool,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}
