//! `tgvault restore`: a snapshot, or a part of it, back into a folder.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;

use super::cli::{Select, parse_snapshot};
use crate::target::Overwrite;

const EXAMPLES: &str = "\
Examples:
  tgvault restore latest --to restored
  tgvault restore latest --to restored chats/chat_1/photos result.json
  tgvault restore 3f9a --to / --overwrite if-changed --include '*.jpg' --dry-run";

/// Options of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `latest`, or the first digits of a snapshot's id
    #[arg(value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Only these files and folders of the snapshot
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// The folder to restore into; made if it is missing
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,

    /// Restore only what matches, in the patterns of `backup --exclude`
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<String>,

    /// Leave out what matches
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// What to do with files that exist already
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::IfChanged, env = "TGVAULT_OVERWRITE")]
    pub overwrite: When,

    /// List what would be restored, and restore nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

/// When existing files are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Replace them all
    Always,
    /// Replace those whose size or time differs
    IfChanged,
    /// Keep them
    Never,
}

impl From<When> for Overwrite {
    fn from(when: When) -> Self {
        match when {
            When::Always => Self::Always,
            When::IfChanged => Self::IfChanged,
            When::Never => Self::Never,
        }
    }
}
