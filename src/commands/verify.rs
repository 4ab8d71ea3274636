//! `tgvault verify`: is everything there, and is it what was stored?

use std::sync::Arc;

use serde::Serialize;

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::progress::{Reporter, seconds};
use super::units;
use crate::model::entry::EntryPath;
use crate::operations::reading_lanes;
use crate::operations::status::ledger::{Ledger, Verified};
use crate::operations::verify::{VerifyOptions, VerifyReport, verify};

const EXAMPLES: &str = "\
Examples:
  tgvault verify                 # every byte against its checksum; needs no key
  tgvault verify --quick         # existence and length only
  tgvault verify --sample 5%     # 5% of the archives, chosen at random
  tgvault verify --deep          # decrypt and check every file; needs the key";

/// Options of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only these snapshots: `latest`, or the first digits of an ID
    #[arg(value_name = "SNAPSHOT", value_parser = parse_snapshot)]
    pub snapshots: Vec<String>,

    /// Check existence and length only; read nothing
    #[arg(long, conflicts_with_all = ["sample", "deep"])]
    pub quick: bool,

    /// Check only this share of the archives, chosen at random
    #[arg(long, value_name = "PERCENT", value_parser = units::parse_percent)]
    pub sample: Option<f64>,

    /// Also decrypt every archive and check every file
    #[arg(long)]
    pub deep: bool,

    /// Number of parallel reads from the vault (default: two per core, at most 6)
    #[arg(long, value_name = "NUMBER", hide = true, env = "TGVAULT_LANES")]
    pub lanes: Option<usize>,

    /// Which snapshots are meant; needs the key.
    #[command(flatten)]
    pub select: Select,
}

#[derive(Serialize)]
struct Lost<'a> {
    message_type: &'static str,
    snapshot: String,
    path: &'a EntryPath,
}

#[derive(Serialize)]
struct LostUnknown<'a> {
    message_type: &'static str,
    snapshot: String,
    archive: &'a str,
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
    sound: bool,
    root_key: &'a str,
    root_key_is_vouched_for: bool,
    snapshots: u64,
    objects: u64,
    bytes: u64,
    unnamed_archives: u64,
    wrong: Vec<Wrong<'a>>,
    lost: u64,
    lost_unknown: u64,
    unfinished_uploads: u64,
    seconds: f64,
}

/// Verifies every vault that is meant. What is wrong with one does not keep the others from being checked.
///
/// # Errors
/// As [`run`], of the only vault or of the last that fails.
pub async fn all(args: &Args, contexts: &[Arc<Context>]) -> Result<Exit, CommandError> {
    if let [only] = contexts {
        return run(args, only).await;
    }
    let mut worst = Exit::Done;
    for context in contexts {
        context.output.say(&format!("vault {}", context.vault_label().unwrap_or_default()));
        let exit = match run(args, context).await {
            Ok(exit) => exit,
            Err(error) => {
                context.output.fail(&error);
                error.exit()
            }
        };
        worst = worst.worse(exit);
        if exit == Exit::Interrupted {
            break;
        }
    }
    Ok(worst)
}

/// Runs the verification.
///
/// # Errors
/// When the vault cannot be opened, `--deep` has no key, or the run is interrupted.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let needs_key = args.deep || args.select.narrows();
    let session = context.session(if needs_key { Keys::Needed } else { Keys::IfGiven }).await?;
    let options = VerifyOptions {
        quick: args.quick,
        sample_percent: args.sample,
        deep: args.deep,
        snapshots: args.snapshots.clone(),
        among: args.select.selection(),
        lanes: args.lanes.unwrap_or_else(reading_lanes),
    };
    let began = jiff::Timestamp::now();
    let reporter = Arc::new(Reporter::new(&context.output, "checked", "object"));
    let ended = verify(&session, options, reporter.clone(), context.heeded.stop_soon()).await;
    reporter.finish();
    let report = ended?;
    if args.snapshots.is_empty() && !args.select.narrows() {
        remember(&report, began, args, context);
    }
    conclude(&report, args, context)
}

/// Notes the check of a whole vault, for `status`. What cannot be noted was checked all the same.
fn remember(report: &VerifyReport, at: jiff::Timestamp, args: &Args, context: &Context) {
    let Some(address) = context.address() else { return };
    let how = match args {
        Args { quick: true, .. } => "quick",
        Args { sample: Some(_), .. } => "sample",
        Args { deep: true, .. } => "deep",
        _ => "checksums",
    };
    let verified = Verified { address, at, how: how.to_owned(), is_sound: report.wrong.is_empty() };
    let noted = context.state().and_then(|state| Ok(Ledger::open(&state)?.note_verified(&verified)?));
    if let Err(error) = noted {
        context.output.warn(&format!("cannot note this check for `tgvault status`: {}", error.one_line()));
    }
}

fn conclude(report: &VerifyReport, args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let output = &context.output;
    let is_sound = report.wrong.is_empty();
    if output.is_json() {
        for (snapshot, path) in &report.lost {
            output.json(&Lost { message_type: "lost", snapshot: snapshot.to_string(), path })?;
        }
        for (snapshot, archive) in &report.lost_unknown {
            output.json(&LostUnknown { message_type: "lost_unknown", snapshot: snapshot.to_string(), archive })?;
        }
        // The summary is the last line.
        warn_of_limits(report, output);
        output.json(&Summary {
            message_type: "summary",
            command: "verify",
            sound: is_sound,
            root_key: report.root_key.as_str(),
            root_key_is_vouched_for: report.is_anchored,
            snapshots: report.snapshots,
            objects: report.objects,
            bytes: report.bytes,
            unnamed_archives: report.unnamed_archives,
            wrong: report.wrong.iter().map(|wrong| Wrong { object: &wrong.object, what: &wrong.what }).collect(),
            lost: report.lost.len() as u64,
            lost_unknown: report.lost_unknown.len() as u64,
            unfinished_uploads: report.unfinished_uploads,
            seconds: seconds(report.elapsed),
        })?;
    } else {
        for finding in &report.wrong {
            output.line(&format!("problem: {}: {}", units::printable(&finding.object), units::printable(&finding.what)))?;
        }
        for (snapshot, path) in &report.lost {
            output.line(&format!("lost: snapshot {}: '{path}'", units::short_id(&snapshot.to_string())))?;
        }
        for (snapshot, archive) in &report.lost_unknown {
            output.line(&format!(
                "lost: snapshot {}: files stored only in '{}'; their paths are unknown because its index is lost too",
                units::short_id(&snapshot.to_string()),
                units::printable(archive)
            ))?;
        }
        let how = match (args.quick, args.deep) {
            (true, _) => "existence and length",
            (_, true) => "every checksum, signature and content",
            _ => "checksums and signatures",
        };
        output.summary(&format!(
            "checked {how} of {} in {}: {}, {} in {}",
            units::counted(report.objects, "object"),
            units::counted(report.snapshots, "snapshot"),
            if is_sound { "no problems found".to_owned() } else { units::counted(report.wrong.len() as u64, "problem") },
            units::bytes(report.bytes),
            units::duration(report.elapsed)
        ))?;
        if report.unfinished_uploads > 0 {
            output.say(&unfinished(report.unfinished_uploads));
        }
        if report.unnamed_archives > 0 {
            output.say(&format!(
                "  {} not in any snapshot yet (from running or interrupted backups)",
                units::counted(report.unnamed_archives, "archive")
            ));
        }
        warn_of_limits(report, output);
    }
    Ok(if is_sound { Exit::Done } else { Exit::Integrity })
}

/// Says what the result does not prove.
fn warn_of_limits(report: &VerifyReport, output: &Output) {
    if report.snapshots == 0 && report.wrong.is_empty() {
        output.warn("the vault has no snapshots yet");
    }
    if !report.is_anchored {
        output.warn(&format!(
            "the signatures are valid for root key {}, which comes from the vault itself: compare it with your recovery sheet, or use --root-key",
            report.root_key.as_str()
        ));
    }
}

/// What is said of unfinished uploads.
pub(super) fn unfinished(number: u64) -> String {
    format!("  {} of this machine unfinished: the next backup removes what interrupted runs left", units::counted(number, "upload"))
}
