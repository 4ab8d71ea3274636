//! Once a day, how long there is room in each vault that can become full: `status` warns before it is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::forecast::room;
use crate::operations::forecast::forecast;
use crate::operations::status::ledger::{Ledger, Room};

/// A run a day looks each time, also one that begins a little earlier than the last.
const EVERY: Duration = Duration::from_hours(23);

/// Looks at each vault whose turn it is. What fails is said and changes nothing: it is a help and no backup.
pub async fn note(contexts: &[Arc<Context>]) {
    for context in contexts {
        if let Err(error) = in_vault(context).await {
            context.output.say(&format!("how long there is room is not known: {}", error.one_line()));
        }
    }
}

async fn in_vault(context: &Context) -> Result<(), CommandError> {
    let Some(address) = context.address() else { return Ok(()) };
    let (ledger, now) = (Ledger::open(&context.state()?)?, Timestamp::now());
    let is_recent = |room: &Room| Duration::try_from(now.duration_since(room.at)).is_ok_and(|passed| passed < EVERY);
    if ledger.read()?.rooms.iter().any(|room| room.address == address && is_recent(room)) {
        return Ok(());
    }
    let session = context.session(Keys::None).await?;
    // A bucket without a quota never becomes full.
    if context.settings.quota.is_none() && !session.storage.is_local() {
        return Ok(());
    }
    let forecast = forecast(&session).await?;
    let Some((left_bytes, what)) = room(&forecast, context.settings.quota) else { return Ok(()) };
    let full_in_days = forecast.days_until(left_bytes);
    Ok(ledger.note_room(&Room { address, at: now, left_bytes, what: what.to_owned(), full_in_days })?)
}
