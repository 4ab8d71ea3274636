//! `tgvault diff`: what differs between two snapshots.

use super::cli::{Select, parse_snapshot};

const EXAMPLES: &str = "\
Examples:
  tgvault diff 3f9a latest                        + new, - gone, M content, U metadata only, T kind";

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
