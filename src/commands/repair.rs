//! `tgvault repair`: a way back when statements of trust are damaged.

use serde::Serialize;

use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::units::{counted, printable};
use crate::operations::repair::repair;

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    repository: String,
    lost: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<&'a str>,
    writers: usize,
    ended_recipients: &'a [String],
    copies: u64,
}

/// Runs the repair.
///
/// # Errors
/// When the vault cannot be unlocked, or no statement of trust can be read.
pub async fn run(context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let report = repair(&session).await?;
    let output = &context.output;
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "repair",
            repository: report.repository.to_string(),
            lost: &report.lost,
            statement: report.statement.as_deref(),
            writers: report.writers,
            ended_recipients: &report.ended_recipients,
            copies: report.copies,
        })?;
        return Ok(Exit::Done);
    }
    for lost in &report.lost {
        output.line(&format!("no longer needed: {}", printable(lost)))?;
    }
    for recipient in &report.ended_recipients {
        output.line(&format!("new archives are no longer encrypted for {recipient}: the key that you gave does not read them"))?;
    }
    match &report.statement {
        Some(name) => output.line(&format!("wrote '{name}': {} may write", counted(report.writers as u64, "machine")))?,
        None => output.line("the statements of trust are sound: nothing to repair there")?,
    }
    if report.copies > 0 {
        output.line(&format!("wrote {} that were missing", counted(report.copies, "second copy")))?;
    }
    if !report.lost.is_empty() {
        output.warn("what a damaged statement alone said is lost: run a backup with the key on machines that may no longer write, and check that no writer that you revoked may write again");
    }
    Ok(Exit::Done)
}
