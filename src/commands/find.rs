//! `tgvault find`: files by name, in one or all snapshots.

use super::cli::{Select, parse_snapshot};

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

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}
