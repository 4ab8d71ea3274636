//! `tgvault demo`: the whole way once, on sample data, asking nothing.

use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  cargo run --release -- demo                     from the source tree, which ships the sample export
  tgvault demo --from ~/export --dir try          with data of your own";

/// Options of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The new folder for vault, state and passphrase
    #[arg(long, value_name = "DIR", default_value = "tgvault-demo")]
    pub dir: PathBuf,

    /// Back up this folder instead of the sample export
    #[arg(long, value_name = "PATH")]
    pub from: Option<PathBuf>,
}
