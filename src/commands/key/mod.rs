//! `tgvault key`: who can read the vault, and which machines may write to it.

mod add;
mod list;
mod revoke;
mod rotate;
mod test;
mod writer;

use std::path::PathBuf;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  tgvault key list
  tgvault key add -r age1…          # somebody else's age recipient
  tgvault key passwd                # change the passphrase
  tgvault key rotate --remove 3f2c  # who had that key cannot read later backups
  tgvault key test                  # does this key still open the vault?
  tgvault key export-writer --to writer.toml   # for a machine that only backs up";

/// Options of `key`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with keys.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// List the keys that open the vault and the machines that may write to it
    List,
    /// Let another passphrase or age recipient open the vault
    Add(AddArgs),
    /// Remove a key; this takes back nothing that its owner has copied (see `rotate`)
    Remove {
        /// The beginning of a key's ID, or its recipient
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Change the passphrase
    Passwd(NewPassphrase),
    /// Give the vault a new identity for everything that is stored from now on
    ///
    /// All keys still open the vault and still read what was stored before. Whoever copied the old identity cannot read what is stored
    /// from now on. After a leak, also copy the vault into a new one: see docs/guide/keys.md.
    Rotate {
        /// Leave this key out: the beginning of its ID, or its recipient; may be repeated
        #[arg(long = "remove", value_name = "KEY")]
        without: Vec<String>,
    },
    /// Check that a key opens the vault and reads the newest snapshot
    Test,
    /// Stop accepting backups from a machine, such as a stolen one
    Revoke {
        /// The beginning of the machine's ID
        #[arg(value_name = "WRITER")]
        writer: String,
        /// Refuse its snapshots after this number of each chain, too (default: accept all that exist now)
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
    },
    /// Authorise another machine to write to the vault without being able to read it
    ExportWriter {
        /// Write what that machine needs to this new file (mode 0600)
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Set up this machine from a file that `key export-writer` wrote
    ImportWriter {
        /// The file
        #[arg(value_name = "FILE")]
        from: PathBuf,
    },
}

/// Options of `key add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Let this age recipient (age1…) open the vault; may be repeated
    #[arg(short = 'r', long = "recipient", value_name = "RECIPIENT")]
    pub recipients: Vec<String>,

    /// Let the age recipients in this file open the vault, one per line; `-` reads standard input
    #[arg(short = 'R', long = "recipients-file", value_name = "FILE")]
    pub recipients_files: Vec<PathBuf>,

    /// A passphrase; without it and without recipients, the terminal asks for one.
    #[command(flatten)]
    pub passphrase: NewPassphrase,
}

/// Where a new passphrase comes from.
#[derive(Debug, clap::Args)]
pub struct NewPassphrase {
    /// Generate a ten-word passphrase without asking; it is printed on the recovery sheet
    #[arg(long, conflicts_with = "new_passphrase_file")]
    pub generate_passphrase: bool,

    /// Read the new passphrase from this file
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,

    /// Accept a passphrase that is easy to guess
    #[arg(long)]
    pub force_weak_passphrase: bool,

    /// Write the new recovery sheet to this new file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
}

/// Does it.
///
/// # Errors
/// When the vault cannot be unlocked, what is named is not there, or the store fails.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    match &args.action {
        Action::List => list::run(context).await,
        Action::Add(args) => add::add(args, context).await,
        Action::Remove { key } => add::remove(key, context).await,
        Action::Passwd(args) => add::passwd(args, context).await,
        Action::Rotate { without } => rotate::run(without, context).await,
        Action::Test => test::run(context).await,
        Action::Revoke { writer, after } => revoke::run(writer, *after, context).await,
        Action::ExportWriter { to } => writer::export(to, context).await,
        Action::ImportWriter { from } => writer::import(from, context).await,
    }
}
