//! `tgvault snapshots`: which there are.

use super::cli::Select;

const EXAMPLES: &str = "\
Examples:
  tgvault snapshots
  tgvault snapshots --tag monthly --json";

/// Options of `snapshots`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}
