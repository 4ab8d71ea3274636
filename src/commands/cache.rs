//! `tgvault cache`: what this machine keeps of vaults in buckets.

use serde::Serialize;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::units;

const EXAMPLES: &str = "\
Examples:
  tgvault cache          # what is kept, and where
  tgvault cache clean    # delete it; the next commands read more from the bucket";

/// Options of `cache`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do; without it, show what is kept.
    #[command(subcommand)]
    pub action: Option<Action>,
}

/// What to do with the cache.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Action {
    /// Delete what is kept of all vaults
    Clean,
}

#[derive(Serialize)]
struct Line {
    message_type: &'static str,
    repository: String,
    folder: String,
    objects: u64,
    bytes: u64,
    deleted: bool,
}

/// Shows or deletes what is kept. No store is asked.
///
/// # Errors
/// When this machine's state cannot be opened, or a file cannot be deleted.
pub fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let (state, output) = (context.state()?, &context.output);
    let deleted = args.action.is_some();
    let mut rows = vec![["VAULT", "OBJECTS", "SIZE", "FOLDER"].map(str::to_owned)];
    for (id, cache) in state.caches()? {
        let failed = |source| CommandError::System { what: "the cache cannot be deleted", source };
        let size = if deleted { cache.clean().map_err(failed)? } else { cache.size() };
        let (repository, folder) = (id.to_string(), cache.path().display().to_string());
        if output.is_json() {
            output.json(&Line { message_type: "cache", repository, folder, objects: size.pieces, bytes: size.bytes, deleted })?;
        } else {
            rows.push([
                units::short_id(&repository).to_owned(),
                size.pieces.to_string(),
                units::bytes(size.bytes),
                units::printable(&folder),
            ]);
        }
    }
    if !output.is_json() && rows.len() > 1 {
        output.text(&units::columns(&rows, &[1, 2]))?;
    }
    if rows.len() > 1 && deleted {
        output.say("deleted");
    } else if rows.len() == 1 && !output.is_json() {
        output.say("nothing is kept: only vaults in buckets have a cache");
    }
    Ok(Exit::Done)
}
