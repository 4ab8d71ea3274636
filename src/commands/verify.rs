//! `tgvault verify`: is everything there, and is it what was stored?

use super::cli::parse_snapshot;
use super::units;

const EXAMPLES: &str = "\
Examples:
  tgvault verify                                  every stored byte against its checksum; needs no key
  tgvault verify --quick                          existence and length only
  tgvault verify --sample 5%                      a random twentieth of the archives
  tgvault verify --deep                           decrypt and read everything to its end; needs the key";

/// Options of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only these snapshots: `latest`, or the first digits of ids
    #[arg(value_name = "SNAPSHOT", value_parser = parse_snapshot)]
    pub snapshots: Vec<String>,

    /// Check existence and length, and read nothing
    #[arg(long, conflicts_with_all = ["sample", "deep"])]
    pub quick: bool,

    /// Read only this share of the archives, chosen at random
    #[arg(long, value_name = "PERCENT", value_parser = units::parse_percent)]
    pub sample: Option<f64>,

    /// Also decrypt and decompress, read every archive to its end, and check every file
    #[arg(long)]
    pub deep: bool,
}
