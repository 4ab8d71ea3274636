//! `tgvault repair`: heals statements of trust and second copies, and with `--from` everything that a good copy of the vault has.

use std::sync::Arc;

use serde::Serialize;

use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::progress::{Reporter, seconds};
use super::units::{counted, printable, short_id};
use crate::model::entry::EntryPath;
use crate::operations::Session;
use crate::operations::copy::heal;
use crate::operations::repair::repair;
use crate::operations::verify::{Broken, VerifyOptions, VerifyReport, verify};
use crate::repository::format::names;

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    repository: String,
    #[serde(rename = "lost")]
    lost_statements: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<&'a str>,
    writers: usize,
    ended_recipients: &'a [String],
    copies: u64,
    damaged_archives: u64,
    #[serde(rename = "lost_files")]
    lost: u64,
}

const EXAMPLES: &str = "\
Examples:
  tgvault repair                   # statements and second copies (with the key)
  tgvault repair --from /mnt/copy  # everything, from a mirror (without a key)";

/// Options of `repair`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Check every object, and heal what is missing or damaged from this copy of the vault: an address, or a name in the profile
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,

    /// With --from: look for what is missing or has another length, and read nothing
    #[arg(long, requires = "from")]
    pub quick: bool,
}

#[derive(Serialize)]
struct Wrong<'a> {
    object: &'a str,
    what: &'a str,
}

#[derive(Serialize)]
struct Healing<'a> {
    message_type: &'static str,
    command: &'static str,
    repository: String,
    objects: u64,
    bytes: u64,
    healed: &'a [String],
    wrong: Vec<Wrong<'a>>,
    seconds: f64,
}

/// Heals the vault from a good copy of it.
///
/// # Errors
/// When either cannot be opened, or a store fails.
pub async fn from_copy(args: &Args, context: &Context, copy: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::IfGiven).await?;
    let storage = copy.storage()?;
    let options = VerifyOptions { quick: args.quick, ..VerifyOptions::default() };
    let reporter = Arc::new(Reporter::new(&context.output, "checked", "object"));
    let ended = heal(&session, &storage, options, reporter.clone(), context.heeded.stop_soon()).await;
    reporter.finish();
    let report = ended?;
    let output = &context.output;
    if output.is_json() {
        output.json(&Healing {
            message_type: "summary",
            command: "repair",
            repository: report.repository.to_string(),
            objects: report.objects,
            bytes: report.bytes,
            healed: &report.healed,
            wrong: report.wrong.iter().map(|wrong| Wrong { object: &wrong.object, what: &wrong.what }).collect(),
            seconds: seconds(report.elapsed),
        })?;
    } else {
        for object in &report.healed {
            output.line(&format!("healed: {}", printable(object)))?;
        }
        for finding in &report.wrong {
            output.line(&format!("problem: {}: {}", printable(&finding.object), printable(&finding.what)))?;
        }
        output.summary(&format!(
            "checked {}: {} healed from {}, {} left",
            counted(report.objects, "object"),
            report.healed.len(),
            printable(storage.address()),
            counted(report.wrong.len() as u64, "problem"),
        ))?;
    }
    if report.wrong.iter().any(|broken| broken.object.starts_with(names::ARCHIVES)) {
        output.say("  the next backup on this machine stores again what its sources still have");
    }
    Ok(if report.wrong.is_empty() { Exit::Done } else { Exit::Integrity })
}

/// Says which archives are gone or cut, and what of which snapshot is lost with them.
fn tell_lost(checked: &VerifyReport, damaged: &[&Broken], context: &Context) -> Result<(), CommandError> {
    let output = &context.output;
    if output.is_json() {
        for (snapshot, path) in &checked.lost {
            output.json(&LostFile { message_type: "lost", snapshot: snapshot.to_string(), path })?;
        }
        return Ok(());
    }
    for broken in damaged {
        output.line(&format!("problem: {}: {}", printable(&broken.object), printable(&broken.what)))?;
    }
    for (snapshot, path) in &checked.lost {
        output.line(&format!("lost: snapshot {}: '{path}'", short_id(&snapshot.to_string())))?;
    }
    for (snapshot, archive) in &checked.lost_unknown {
        let what = "files stored only there; their paths are unknown because its index is lost too";
        output.line(&format!("lost: snapshot {}: '{}': {what}", short_id(&snapshot.to_string()), printable(archive)))?;
    }
    if !damaged.is_empty() {
        output.say(
            "  the next backup on this machine stores again what its sources still have; `tgvault repair --from URL` heals from a mirror",
        );
    }
    Ok(())
}

#[derive(Serialize)]
struct LostFile<'a> {
    message_type: &'static str,
    snapshot: String,
    path: &'a EntryPath,
}

/// Runs the repair.
///
/// # Errors
/// When the vault cannot be unlocked, or no statement of trust can be read.
pub async fn run(context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let report = repair(&session).await?;
    let output = &context.output;
    // What is gone for good, as far as names and lengths tell; this is noted, and the next backup stores it again.
    let reporter = Arc::new(Reporter::new(output, "checked", "object"));
    let quick = VerifyOptions { quick: true, ..VerifyOptions::default() };
    // The statements are new: what was listed before says nothing of them.
    let session = Session { found: None, ..session };
    let checked = verify(&session, quick, reporter.clone(), context.heeded.stop_soon()).await;
    reporter.finish();
    let checked = checked?;
    let damaged: Vec<&Broken> = checked.wrong.iter().filter(|broken| broken.object.starts_with(names::ARCHIVES)).collect();
    tell_lost(&checked, &damaged, context)?;
    let exit = if damaged.is_empty() { Exit::Done } else { Exit::Integrity };
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "repair",
            repository: report.repository.to_string(),
            lost_statements: &report.lost,
            statement: report.statement.as_deref(),
            writers: report.writers,
            ended_recipients: &report.ended_recipients,
            copies: report.copies,
            damaged_archives: damaged.len() as u64,
            lost: checked.lost.len() as u64,
        })?;
        return Ok(exit);
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
    Ok(exit)
}
