//! `tgvault mount`: snapshots as folders of this machine.

#[cfg(target_os = "linux")]
mod on_linux;

use std::path::PathBuf;

#[cfg(target_os = "linux")]
pub use on_linux::run;

use super::arguments::Select;

const EXAMPLES: &str = "\
Examples:
  mkdir ~/vault && tgvault mount ~/vault     # until Ctrl-C
  tgvault mount --source telegram:main ~/vault

In the folder:
  latest/                       the latest snapshot
  snapshots/TIME_ID/            each snapshot
    chats/CHAT/2024-05/…        of an account: the files of its chats, by month
    stored/…                    and everything as it is stored

Read-only. Only you can look into it, and nothing of it is written to disk.
Ctrl-C or `fusermount3 -u DIR` unmounts it.";

/// Options of `mount`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An empty folder
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

/// Shows the snapshots in the folder until Ctrl-C, or until somebody unmounts it.
///
/// # Errors
/// When no key fits, the folder cannot be used, or there is no FUSE.
#[cfg(not(target_os = "linux"))]
pub async fn run(_: &Args, _: &super::context::Context) -> Result<super::exit::Exit, super::error::CommandError> {
    Err(super::error::CommandError::NoFuse { why: "this program mounts on Linux only".to_owned(), source: None })
}
