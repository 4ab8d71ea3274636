//! `tgvault copy`: a second copy of a vault.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::progress::{Reporter, seconds};
use super::secrets::SecretSource;
use super::units;
use crate::operations::copy::{CopyOptions, CopyReport, MirrorOptions, MirrorReport, copy, mirror};
use crate::operations::default_lanes;
use crate::repository::inventory::Broken;

const EXAMPLES: &str = "\
Examples:
  tgvault --repo /mnt/disk/vault copy --mirror --to s3://bucket/vault
  tgvault --repo /mnt/disk/vault copy --to /mnt/other/vault --to-identity other.txt
  tgvault copy latest --source /home/me/photos --to far";

/// Options of `copy`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The place to copy to: an address, or the name of a vault in the profile
    #[arg(long, value_name = "URL", env = "TGVAULT_TO", value_parser = NonEmptyStringValueParser::new())]
    pub to: String,

    /// Only these snapshots: `latest`, or the first digits of an ID; all complete ones otherwise
    #[arg(value_name = "SNAPSHOT", value_parser = parse_snapshot, conflicts_with = "mirror")]
    pub snapshots: Vec<String>,

    /// Copy every object as it is: the copy is the same vault, with the same keys. Needs no key
    #[arg(long)]
    pub mirror: bool,

    /// With --mirror: delete from the mirror what was forgotten in the vault, and what nothing in it needs any more
    #[arg(long, requires = "mirror")]
    pub delete: bool,

    /// What unlocks the target.
    #[command(flatten)]
    pub unlock: TargetUnlock,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

/// What unlocks the vault that is copied to.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Unlocking the target")]
pub struct TargetUnlock {
    /// Unlock the target with the age identity in this file
    #[arg(long, value_name = "FILE", env = "TGVAULT_TO_IDENTITY")]
    pub to_identity: Option<PathBuf>,

    /// Unlock the target with the passphrase in the first line of this file
    #[arg(long, value_name = "FILE", env = "TGVAULT_TO_PASSPHRASE_FILE", conflicts_with = "to_identity")]
    pub to_passphrase_file: Option<PathBuf>,

    /// Unlock the target with the passphrase printed by this shell command (first line)
    #[arg(long, value_name = "COMMAND", env = "TGVAULT_TO_PASSPHRASE_COMMAND", conflicts_with_all = ["to_identity", "to_passphrase_file"])]
    pub to_passphrase_command: Option<OsString>,
}

impl TargetUnlock {
    /// Where the secret comes from, if that was said.
    pub fn source(&self) -> Option<SecretSource> {
        let identity = self.to_identity.clone().map(SecretSource::IdentityFile);
        let file = || self.to_passphrase_file.clone().map(SecretSource::PassphraseFile);
        let command = || self.to_passphrase_command.clone().map(SecretSource::PassphraseCommand);
        identity.or_else(file).or_else(command)
    }
}

#[derive(Serialize)]
struct Wrong<'a> {
    object: &'a str,
    what: &'a str,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    mirror: bool,
    repository: String,
    root_key: &'a str,
    root_key_is_vouched_for: bool,
    snapshots: u64,
    new_snapshots: u64,
    objects: u64,
    bytes: u64,
    wrong: Vec<Wrong<'a>>,
    only_in_mirror: &'a [String],
    deleted: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct CopySummary<'a> {
    message_type: &'static str,
    command: &'static str,
    mirror: bool,
    from: String,
    to: String,
    snapshots: u64,
    new_snapshots: u64,
    archives: u64,
    bytes: u64,
    wrong: Vec<Wrong<'a>>,
    seconds: f64,
}

/// Runs the copy.
///
/// # Errors
/// When one of the two places cannot be opened, a store fails for good, or the run is interrupted.
pub async fn run(args: &Args, context: &Context, target: &Context) -> Result<Exit, CommandError> {
    if args.mirror && args.unlock.source().is_some() {
        return Err(CommandError::usage(
            "a mirror has the keys of the vault, and copying to it needs none",
            "leave out --to-identity and --to-passphrase-…",
        ));
    }
    if args.mirror {
        if args.select.narrows() {
            return Err(CommandError::usage("a mirror has all snapshots", "leave out --host, --tag and --source, or --mirror"));
        }
        return mirror_to(context, target, args.delete).await;
    }
    let from = context.session(Keys::Needed).await?;
    let to = target.session(Keys::IfGiven).await?;
    let options = CopyOptions { snapshots: args.snapshots.clone(), among: args.select.selection(), lanes: default_lanes() };
    let reporter = Arc::new(Reporter::new(&context.output, "copied", "archive"));
    let ended = copy(&from, &to, &options, reporter.clone(), context.heeded.stop_soon()).await;
    reporter.finish();
    conclude_copy(&ended?, to.storage.address(), context)
}

fn conclude_copy(report: &CopyReport, address: &str, context: &Context) -> Result<Exit, CommandError> {
    let output = &context.output;
    if output.is_json() {
        output.json(&CopySummary {
            message_type: "summary",
            command: "copy",
            mirror: false,
            from: report.from.to_string(),
            to: report.to.to_string(),
            snapshots: report.snapshots,
            new_snapshots: report.new_snapshots,
            archives: report.archives,
            bytes: report.bytes,
            wrong: report.wrong.iter().map(|wrong| Wrong { object: &wrong.object, what: &wrong.what }).collect(),
            seconds: seconds(report.elapsed),
        })?;
    } else {
        tell_wrong(&report.wrong, context)?;
        output.summary(&format!(
            "copied {} of {} to {}: {}, {} in {}{}",
            report.new_snapshots,
            units::counted(report.snapshots, "snapshot"),
            units::printable(address),
            units::counted(report.archives, "archive"),
            units::bytes(report.bytes),
            units::duration(report.elapsed),
            problems(&report.wrong),
        ))?;
    }
    Ok(if report.wrong.is_empty() { Exit::Done } else { Exit::Integrity })
}

fn tell_wrong(wrong: &[Broken], context: &Context) -> Result<(), CommandError> {
    for finding in wrong {
        context.output.line(&format!("problem: {}: {}", units::printable(&finding.object), units::printable(&finding.what)))?;
    }
    Ok(())
}

/// How a summary ends where something is wrong.
fn problems(wrong: &[Broken]) -> String {
    if wrong.is_empty() { String::new() } else { format!("; {}", units::counted(wrong.len() as u64, "problem")) }
}

/// Brings the mirror in `target` up to date with the vault of `context`.
///
/// # Errors
/// As [`run`].
pub async fn mirror_to(context: &Context, target: &Context, delete: bool) -> Result<Exit, CommandError> {
    let session = context.session(Keys::None).await?;
    let storage = target.storage()?;
    let reporter = Arc::new(Reporter::new(&context.output, "copied", "object"));
    let ended =
        mirror(&session, &storage, &MirrorOptions { delete, ..MirrorOptions::default() }, reporter.clone(), context.heeded.stop_soon())
            .await;
    reporter.finish();
    conclude(&ended?, storage.address(), context)
}

fn conclude(report: &MirrorReport, address: &str, context: &Context) -> Result<Exit, CommandError> {
    let output = &context.output;
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "copy",
            mirror: true,
            repository: report.repository.to_string(),
            root_key: report.root_key.as_str(),
            root_key_is_vouched_for: report.is_anchored,
            snapshots: report.snapshots,
            new_snapshots: report.new_snapshots,
            objects: report.objects,
            bytes: report.bytes,
            wrong: report.wrong.iter().map(|wrong| Wrong { object: &wrong.object, what: &wrong.what }).collect(),
            only_in_mirror: &report.only_there,
            deleted: report.deleted,
            seconds: seconds(report.elapsed),
        })?;
    } else {
        tell_wrong(&report.wrong, context)?;
        output.summary(&format!(
            "mirrored {} to {}: {} new, {} copied, {} in {}{}{}",
            units::counted(report.snapshots, "snapshot"),
            units::printable(address),
            report.new_snapshots,
            units::counted(report.objects, "object"),
            units::bytes(report.bytes),
            units::duration(report.elapsed),
            if report.deleted > 0 { format!("; {} deleted", units::counted(report.deleted, "object")) } else { String::new() },
            problems(&report.wrong),
        ))?;
    }
    if !report.only_there.is_empty() {
        let count = report.only_there.len() as u64;
        output.warn(&format!("{} in the mirror only: the vault no longer has them", units::counted(count, "snapshot")));
    }
    Ok(if report.wrong.is_empty() { Exit::Done } else { Exit::Integrity })
}
