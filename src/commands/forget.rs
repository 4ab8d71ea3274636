//! `tgvault forget`: which snapshots are no longer wanted.

use std::collections::BTreeMap;

use clap::ValueEnum;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::arguments::{Select, parse_id};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::keep::Keep;
use super::output::Output;
use super::prune;
use super::units::{self, printable};
use crate::operations::Session;
use crate::operations::forget::policy::Policy;
use crate::operations::forget::{ForgetOptions, ForgetReport, Judged, forget};
use crate::operations::snapshot::choice::Selection;

const EXAMPLES: &str = "\
Examples:
  tgvault forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
  tgvault forget --keep-within 30d --keep-yearly 10 --prune
  tgvault forget 3f9a 71c0                 # these two, whatever they are";

/// Options of `forget`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Forget these snapshots, by the first digits of their IDs
    #[arg(value_name = "ID", value_parser = parse_id)]
    pub named: Vec<String>,

    /// Give up snapshots that are missing without a record, so that `verify` and `prune` no longer stop at them
    #[arg(long, conflicts_with = "named")]
    pub lost: bool,

    /// What counts together: source, host, both, or none
    #[arg(long, value_name = "BY", value_delimiter = ',', default_value = "source,host")]
    pub group_by: Vec<GroupBy>,

    /// Show which snapshots would be kept, and why, without forgetting anything
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Run `tgvault prune` afterwards
    #[arg(long, conflicts_with = "dry_run")]
    pub prune: bool,

    /// What to keep.
    #[command(flatten)]
    pub keep: Keep,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

/// What makes a group of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    /// What was backed up
    Source,
    /// The machine
    Host,
    /// Nothing: all snapshots are one group
    None,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    id: String,
    time: jiff::Timestamp,
    host: &'a str,
    source: &'a str,
    tags: &'a [String],
    kept: bool,
    reasons: &'a [String],
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    dry_run: bool,
    kept: usize,
    forgotten: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
}

/// Forgets snapshots.
///
/// # Errors
/// When neither snapshots nor a policy are given, or both; when no key fits, or the store fails.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let policy = args.keep.policy();
    match (args.named.is_empty() && !args.lost, policy.is_empty()) {
        (true, true) => {
            let hint = "for example `tgvault forget --keep-daily 7 --keep-weekly 5 --dry-run`, or the IDs of snapshots";
            return Err(CommandError::usage("there is nothing that says which snapshots to keep", hint));
        }
        (false, false) => {
            return Err(CommandError::usage("snapshots were named, and a policy was given too", "give either IDs or --keep-… options"));
        }
        _ => {}
    }
    let session = context.session(Keys::Needed).await?;
    let is_by = |by: GroupBy| args.group_by.contains(&by);
    let options = ForgetOptions {
        named: args.named.clone(),
        lost: args.lost,
        policy,
        among: args.select.selection(),
        by_source: is_by(GroupBy::Source),
        by_host: is_by(GroupBy::Host),
        zone: TimeZone::system(),
        dry_run: args.dry_run,
    };
    let report = forget(&session, &options).await?;
    tell(&report, args.dry_run, &context.output)?;
    let mut exit = if report.broken.is_empty() { Exit::Done } else { Exit::Integrity };
    if args.prune {
        exit = exit.worse(prune::run_in(&prune::Args::default(), &session, context).await?);
    }
    Ok(exit)
}

/// Forgets what a policy does not keep among some snapshots, by source and machine, and says how many.
///
/// # Errors
/// As [`run`].
pub async fn by_policy(policy: Policy, among: Selection, session: &Session, context: &Context) -> Result<Exit, CommandError> {
    let options = ForgetOptions { policy, among, zone: TimeZone::system(), ..ForgetOptions::default() };
    let report = forget(session, &options).await?;
    conclude(&report, false, &context.output)?;
    Ok(if report.broken.is_empty() { Exit::Done } else { Exit::Integrity })
}

/// Each snapshot with what becomes of it, then how many.
fn tell(report: &ForgetReport, dry_run: bool, output: &Output) -> Result<(), CommandError> {
    if output.is_json() {
        report.judged.iter().try_for_each(|judged| output.json(&line(judged)))?;
    } else {
        output.text(&table(report, dry_run))?;
    }
    conclude(report, dry_run, output)?;
    if !output.is_json() && !dry_run && report.forgotten().next().is_some() {
        output.say("  `tgvault prune` frees the space that only they used");
    }
    Ok(())
}

/// How many snapshots were kept and forgotten, and what is odd about that.
fn conclude(report: &ForgetReport, dry_run: bool, output: &Output) -> Result<(), CommandError> {
    let forgotten = report.forgotten().count();
    let kept = report.judged.len() - forgotten;
    if output.is_json() {
        let (message_type, command, record) = ("summary", "forget", report.record.as_deref());
        output.json(&Summary { message_type, command, dry_run, kept, forgotten, record })?;
    } else {
        let does = if dry_run { "would forget" } else { "forgot" };
        let kept = units::counted(kept as u64, "snapshot");
        output.summary(&format!("{does} {}, kept {kept}", units::counted(forgotten as u64, "snapshot")))?;
    }
    for id in &report.last_of_source {
        output.warn(&format!("snapshot {} was the last one of its source", units::short_id(&id.to_string())));
    }
    for broken in &report.broken {
        output.warn(&format!("a snapshot was left alone: {broken}"));
    }
    Ok(())
}

fn line(judged: &Judged) -> Line<'_> {
    Line {
        message_type: "snapshot",
        id: judged.id.to_string(),
        time: judged.time,
        host: &judged.host,
        source: &judged.source,
        tags: &judged.tags,
        kept: !judged.kept_because.is_empty(),
        reasons: &judged.kept_because,
    }
}

/// The snapshots by source and machine, each with what becomes of it.
fn table(report: &ForgetReport, dry_run: bool) -> String {
    let mut groups: BTreeMap<(&str, &str), Vec<&Judged>> = BTreeMap::new();
    for judged in &report.judged {
        groups.entry((&judged.source, &judged.host)).or_default().push(judged);
    }
    let mut text = String::new();
    for ((source, host), judged) in groups {
        if !source.is_empty() {
            text += &format!("{} on {}\n", printable(source), printable(host));
        }
        let rows: Vec<[String; 4]> = judged
            .iter()
            .map(|judged| {
                let id = judged.id.to_string();
                let what = match (judged.kept_because.is_empty(), dry_run) {
                    (false, _) => "keep",
                    (true, true) => "forget",
                    (true, false) => "forgot",
                };
                [
                    format!("  {what}"),
                    units::short_id(&id).to_owned(),
                    units::time(judged.time),
                    printable(&judged.kept_because.join(", ")).to_string(),
                ]
            })
            .collect();
        text += &units::columns(&rows, &[]);
    }
    text
}
