//! `tgvault backup`: save a folder.

use std::ffi::OsString;
use std::path::PathBuf;

use super::units;

const EXAMPLES: &str = "\
Examples:
  tgvault backup ~/Downloads/Telegram\\ Desktop          with TGVAULT_REPO set
  tgvault --repo /mnt/disk/vault backup folder ~/export --tag monthly
  tgvault backup ~/export --exclude '*.tmp' --exclude /cache --dry-run";

/// Options of `backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "tgvault backup [OPTIONS] [folder] <PATH>")]
pub struct Args {
    /// The folder to back up; the word `folder` may stand before it
    #[arg(required = true, num_args = 1..=2, value_name = "PATH")]
    pub words: Vec<OsString>,

    /// The machine's name in the snapshot instead of the system's
    #[arg(long, value_name = "NAME", env = "TGVAULT_HOST")]
    pub host: Option<String>,

    /// Give the snapshot this tag; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,

    /// Leave out what matches: `*.tmp` anywhere, `/cache` at the top, `a/**/b`; `!keep.tmp` takes back
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// Leave out what matches the patterns in this file, one a line
    #[arg(long = "exclude-file", value_name = "FILE")]
    pub exclude_files: Vec<PathBuf>,

    /// Of folders with a CACHEDIR.TAG file, keep only that
    #[arg(long)]
    pub exclude_caches: bool,

    /// Leave out files larger than this, as in 4G
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub exclude_larger_than: Option<u64>,

    /// Stay on the file system of the folder
    #[arg(long, short = 'x')]
    pub one_file_system: bool,

    /// Read all files again, also those that look unchanged
    #[arg(long)]
    pub force_rehash: bool,

    /// List what would be stored, and how much it is, and store nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Build this many archives at a time instead of one per core (at most 3)
    #[arg(long, value_name = "NUMBER", hide = true, env = "TGVAULT_LANES")]
    pub lanes: Option<usize>,
}
