//! `tgvault stats`: how much is stored.

use super::cli::Select;

const EXAMPLES: &str = "\
Examples:
  tgvault stats
  tgvault stats --host laptop --json";

/// Options of `stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}
