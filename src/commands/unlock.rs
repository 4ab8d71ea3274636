//! `tgvault unlock`: remove locks that a killed run left.

use serde::Serialize;

use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use crate::operations::prune::unlock;

const EXAMPLES: &str = "\
Examples:
  tgvault unlock           # locks that have expired
  tgvault unlock --all     # after a prune was killed, and none is in progress";

/// Options of `unlock`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Also remove locks that have not expired; make sure that no prune is in progress anywhere
    #[arg(long)]
    pub all: bool,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    removed: &'a [String],
    left: &'a [String],
}

/// Removes the locks.
///
/// # Errors
/// When there is no vault, or the store fails.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::None).await?;
    let (removed, left) = unlock(&session, args.all).await?;
    let output = &context.output;
    if output.is_json() {
        output.json(&Summary { message_type: "summary", command: "unlock", removed: &removed, left: &left })?;
    } else {
        removed.iter().try_for_each(|holder| output.line(&format!("removed the lock of {holder}")))?;
        left.iter().try_for_each(|holder| output.line(&format!("left the lock of {holder}: it has not expired")))?;
        if removed.is_empty() && left.is_empty() {
            output.summary("there are no locks")?;
        }
    }
    Ok(if left.is_empty() { Exit::Done } else { Exit::Locked })
}
