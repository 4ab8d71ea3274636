//! `key test`: the worst day, rehearsed: does this key still open the vault, and read what was stored last?

use serde::Serialize;

use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::units::{self, printable, short_id};
use crate::operations::keys::try_out;

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
}

/// Tries the key that is given or typed.
///
/// # Errors
/// When it does not open the vault, or what was stored last cannot be read.
pub async fn run(context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let tried = try_out(&session).await?;
    let output = &context.output;
    let key = tried.slot.map(|slot| slot.to_string());
    if output.is_json() {
        let snapshot = tried.newest.as_ref().map(|snapshot| snapshot.id.to_string());
        output.json(&Summary { message_type: "summary", command: "key test", key, snapshot })?;
        return Ok(Exit::Done);
    }
    match &key {
        Some(key) => output.say(&format!("this key opens the vault (key {})", short_id(key))),
        None => output.say("this is the vault's own identity: it opens the vault without any key slot"),
    }
    match &tried.newest {
        Some(snapshot) => output.say(&format!(
            "it reads the newest snapshot: {} of {} from {}, {}",
            short_id(&snapshot.id.to_string()),
            printable(&snapshot.source.to_string()),
            printable(&snapshot.host),
            units::time(snapshot.time)
        )),
        None => output.say("there is no snapshot yet to read with it"),
    }
    Ok(Exit::Done)
}
