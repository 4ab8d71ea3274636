//! What the profile keeps: after the backups, old snapshots of this machine are forgotten, and the space that only they used is freed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Args;
use crate::commands::config::retention::RetentionProfile;
use crate::commands::context::{Context, Keys, host_name};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::{forget, prune, units};
use crate::crypt::digest::sha256;
use crate::operations::snapshot::choice::Selection;
use crate::state::SealedFolder;

/// The folder of this machine's state that remembers when it was done.
const FOLDER: &str = "retention";

/// A run that begins a little earlier than the last one still has its turn: timers have a jitter.
const JITTER: Duration = Duration::from_hours(1);

#[derive(Serialize, Deserialize)]
struct Done {
    /// The vault's address.
    address: String,
    at: Timestamp,
}

/// Applies what the profile keeps to each vault whose turn it is; gives the worst end.
pub async fn apply(args: &Args, contexts: &[Arc<Context>]) -> Exit {
    let mut worst = Exit::Done;
    for context in contexts {
        let Some(retention) = &context.settings.retention else { continue };
        if context.settings.mirror_of.is_some() {
            continue;
        }
        let exit = in_vault(args, retention, context).await.unwrap_or_else(|error| {
            context.output.fail(&error);
            error.exit()
        });
        worst = worst.worse(exit);
        if exit == Exit::Interrupted {
            break;
        }
    }
    worst
}

async fn in_vault(args: &Args, retention: &RetentionProfile, context: &Context) -> Result<Exit, CommandError> {
    let Some(address) = context.address() else { return Ok(Exit::Done) };
    let (folder, now) = (context.state()?.sealed(FOLDER)?, Timestamp::now());
    if !is_due(&folder, &address, retention, now) {
        return Ok(Exit::Done);
    }
    let label = context.vault_label().unwrap_or_default();
    context.output.say(&format!("retention: {}", units::printable(&label)));
    let host = match args.host.clone().or_else(|| context.settings.backup.host.clone()) {
        Some(host) => host,
        None => host_name()?,
    };
    let session = context.session(Keys::Needed).await?;
    // What other machines keep is theirs to say.
    let among = Selection { host: Some(host), ..Selection::default() };
    let mut exit = forget::by_policy(retention.keep.policy(), among, &session, context).await?;
    if retention.prune {
        exit = exit.worse(prune::run_in(&prune::Args::default(), &session, context).await?);
    }
    folder.write_json(&file_of(&address), &Done { address, at: now })?;
    Ok(exit)
}

fn is_due(folder: &SealedFolder, address: &str, retention: &RetentionProfile, now: Timestamp) -> bool {
    // What cannot be read is no reason to wait; neither is a time that this clock has not reached.
    let Ok(Some(done)) = folder.read_json::<Done>(&file_of(address)) else { return true };
    let every = retention.every.0;
    let wait = every.saturating_sub(JITTER.min(every / 4));
    Duration::try_from(now.duration_since(done.at)).map_or(true, |passed| passed >= wait)
}

fn file_of(address: &str) -> String {
    format!("{}.age", sha256(address.as_bytes()))
}
