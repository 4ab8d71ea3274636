//! `key revoke`: the end of a machine's permission to write.

use serde::Serialize;

use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::units::{counted, short_id};
use crate::operations::keys::revoke;

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    writer: String,
    accepted: u64,
    refused: u64,
}

/// Revokes a writer.
///
/// # Errors
/// When the vault cannot be unlocked, there is no such writer, or the store fails.
pub async fn run(writer: &str, after: Option<u64>, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let revoked = revoke(&session, writer, after).await?;
    let (id, output) = (revoked.writer.to_string(), &context.output);
    if output.is_json() {
        let (accepted, refused) = (revoked.accepted, revoked.refused);
        output.json(&Summary { message_type: "summary", command: "key revoke", writer: id, accepted, refused })?;
        return Ok(Exit::Done);
    }
    output.say(&format!("revoked writer {}; still accepted: {}", short_id(&id), counted(revoked.accepted, "snapshot")));
    if revoked.refused > 0 {
        let refused = counted(revoked.refused, "snapshot");
        output.warn(&format!("no longer accepted: {refused}; every command that reads the vault reports this"));
    }
    Ok(Exit::Done)
}
