//! `tgvault recovery-sheet`: the sheet of a vault that exists, for paper that was lost or keys that changed.

use std::path::PathBuf;

use serde::Serialize;

use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::sheet::{self, Sheet};
use crate::operations::keys;

const EXAMPLES: &str = "\
Examples:
  tgvault recovery-sheet             # print it; write the passphrase on it
  tgvault recovery-sheet --to sheet.txt";

/// Options of `recovery-sheet`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Write it to this new file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    repository: String,
    root_key: &'a str,
    sheet: String,
}

/// Prints the sheet.
///
/// # Errors
/// When the vault cannot be unlocked, or the file exists or cannot be written.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let report = keys::sheet(&session).await?;
    let variables = context.variables()?;
    let text = Sheet { address: session.storage.address(), report: &report, generated: None, variables: &variables }.text();
    if let Some(path) = &args.to {
        let mut file = sheet::create(path)?;
        sheet::write_all(&mut file, path, text.as_bytes())?;
        context.output.say(&format!("recovery sheet: {} (print it and keep it somewhere else)", path.display()));
        return Ok(Exit::Done);
    }
    if context.output.is_json() {
        let (repository, root_key) = (report.repository.to_string(), report.root_key.as_str());
        context.output.json(&Summary {
            message_type: "summary",
            command: "recovery-sheet",
            repository,
            root_key,
            sheet: text.to_string(),
        })?;
    } else {
        context.output.text(&text)?;
    }
    Ok(Exit::Done)
}
