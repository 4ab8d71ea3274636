//! `tgvault completions`: what a shell needs to complete our command lines.

use clap_complete::Shell;

use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  tgvault completions bash > ~/.local/share/bash-completion/completions/tgvault
  tgvault completions fish > ~/.config/fish/completions/tgvault.fish
  tgvault completions zsh > ~/.zfunc/_tgvault     # with ~/.zfunc in $fpath";

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

/// Prints the completions for what `parser` reads.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &Args, mut parser: clap::Command, output: &Output) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut parser, "tgvault", &mut script);
    output.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
