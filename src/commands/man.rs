//! `tgvault man`: manual pages, made from the same definition as `--help`.

use std::path::PathBuf;

use clap_mangen::Man;

use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  tgvault man | man -l -
  tgvault man ~/.local/share/man/man1             then: man tgvault-backup";

/// Options of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Write the pages of all commands into this folder instead of printing the main one
    pub dir: Option<PathBuf>,
}

/// Prints or writes the pages of what `parser` reads.
///
/// # Errors
/// When they cannot be written.
pub fn run(args: &Args, parser: clap::Command, output: &Output) -> Result<Exit, CommandError> {
    match &args.dir {
        None => {
            let mut page = Vec::new();
            Man::new(parser).render(&mut page).map_err(CommandError::Output)?;
            output.text(&String::from_utf8_lossy(&page))?;
        }
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(|source| CommandError::file("write", dir, source))?;
            clap_mangen::generate_to(parser, dir).map_err(|source| CommandError::file("write", dir, source))?;
            output.say(&format!("wrote the manual pages into {}", dir.display()));
        }
    }
    Ok(Exit::Done)
}
