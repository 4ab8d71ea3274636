//! `tgvault status`: how old the backups are, one line each.
//!
//! - [`rows`]: what this machine remembers of each source in each vault, beside what the profile wants.
//! - [`seen`]: what the vault itself shows, of all machines with a key, or of bare chains without one.

pub mod rows;
pub mod seen;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::alert::{self, send};
use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::schedule::installed::Installed;
use super::schedule::{Method, Place, plan};
use super::units;
use crate::alerts::document::{Document, Event, Outcome};
use crate::model::causes::with_causes;
use crate::operations::status::ledger::{Coverage, Ledger, Remembered, Room};
use rows::{Row, Verdict};

const EXAMPLES: &str = "\
Examples:
  tgvault status                     # what this machine remembers; asks no store
  tgvault status --max-age 26h       # 16 if a source has no backup that new
  tgvault status --all -i key.txt    # every machine, by the vault itself
  tgvault status --json";

/// Options of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Exit with code 16 if the last backup of a source is older than this, such as 26h or 2d, or if there is none
    ///
    /// A source of the profile may have a `max-age` of its own, which goes before.
    #[arg(long, value_name = "SPAN", value_parser = units::parse_span)]
    pub max_age: Option<Duration>,

    /// Tell those whom the profile names when a backup is too old, by [alerts] and the hook `failed`
    #[arg(long, conflicts_with_all = ["all", "chains"])]
    pub alert: bool,

    /// Read the snapshots of all machines from the vault; needs the key
    #[arg(long)]
    pub all: bool,

    /// Read what the vault shows without any key: the last number and time of each chain of snapshots
    #[arg(long, conflicts_with = "all")]
    pub chains: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    source: &'a str,
    vault: &'a str,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    too_old: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<Coverage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_how: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_sound: Option<bool>,
}

#[derive(Serialize)]
struct RoomLine<'a> {
    message_type: &'static str,
    vault: &'a str,
    left_bytes: u64,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_in_days: Option<u64>,
    time: Timestamp,
}

#[derive(Serialize)]
struct NextLine<'a> {
    message_type: &'static str,
    next: &'a str,
}

/// Warn when less time than this is left.
const WARN_DAYS: u64 = 60;

/// Tells how the backups stand.
///
/// # Errors
/// When this machine's state cannot be read, or with `--all` or `--chains` the vault.
pub async fn run(args: &Args, contexts: &[Arc<Context>]) -> Result<Exit, CommandError> {
    let Some(first) = contexts.first() else { return Ok(Exit::Done) };
    if args.all || args.chains {
        let mut worst = Exit::Done;
        for context in contexts {
            let exit = if args.all { seen::machines(args.max_age, context).await } else { seen::chains(args.max_age, context).await };
            worst = worst.worse(exit?);
        }
        return Ok(worst);
    }
    let remembered = Ledger::open(&first.state()?)?.read()?;
    let rows = rows::rows(contexts, &remembered);
    if rows.is_empty() && first.settings.repo.is_some() {
        first.output.say("this machine has made no backup yet; this is what the vault shows to everybody:");
        return seen::chains(args.max_age, first).await;
    }
    let (exit, complaints) = tell(&rows, &remembered, args, &first.output)?;
    tell_next(first).await?;
    if args.alert && exit != Exit::Done {
        let document =
            Document { outcome: Outcome::Failure, notes: complaints, ..send::document(Event::TooOld, exit.code(), Vec::new(), first) };
        let mut told = send::send(&document, first).await;
        told.extend(send::hooks(&document, first).await);
        alert::warn_of(&told, first);
    }
    Ok(exit)
}

/// Tells when the system starts the next backup, where it is known.
async fn tell_next(context: &Context) -> Result<(), CommandError> {
    let Ok(name) = plan::name(context) else { return Ok(()) };
    for system in [false, true] {
        let place = Place { system, method: None };
        let Ok(installed) = Installed::of(&name, Method::Systemd, &place, context) else { continue };
        let Some(next) = installed.next().await else { continue };
        if context.output.is_json() {
            context.output.json(&NextLine { message_type: "status_schedule", next: &next })?;
        } else {
            context.output.say(&format!("next backup: {next}"));
        }
    }
    Ok(())
}

/// Tells of each row; gives the exit code and what there is to complain of.
fn tell(rows: &[Row], remembered: &Remembered, args: &Args, output: &Output) -> Result<(Exit, Vec<String>), CommandError> {
    let now = Timestamp::now();
    let mut table = vec![["SOURCE", "VAULT", "LAST BACKUP", "AGE", "STATE", "SIZE", "VERIFIED", "LAST RUN"].map(str::to_owned)];
    let mut complaints = Vec::new();
    for row in rows {
        let complaint = row.complaint(args.max_age, now);
        if output.is_json() {
            output.json(&line(row, now, complaint.is_some()))?;
        } else {
            table.push(cells(row, now));
        }
        complaints.extend(complaint);
    }
    // A watch that finds nothing says nothing, so that cron mails nothing.
    let is_silent = args.alert && output.is_quiet();
    if !output.is_json() && !rows.is_empty() && !is_silent {
        output.text(&units::columns(&table, &[5]))?;
    }
    if rows.is_empty() {
        output.say("there is nothing to tell: no backup was made on this machine, and the profile names no source");
    }
    for error in &remembered.broken {
        output.warn(&with_causes(error));
    }
    for complaint in &complaints {
        output.warn(complaint);
    }
    for room in &remembered.rooms {
        let days = room.days_left(now);
        if output.is_json() {
            let Room { address, at, left_bytes, what, .. } = room;
            let (vault, full_in_days) = (address.as_str(), days);
            output.json(&RoomLine { message_type: "status_room", vault, left_bytes: *left_bytes, what, full_in_days, time: *at })?;
        } else if let Some(days) = days.filter(|days| *days < WARN_DAYS) {
            let (what, vault) = (if room.what == "quota" { "quota" } else { "disk" }, units::printable(&room.address));
            output.warn(&format!("the {what} of {vault} will be full in about {}", units::counted(days, "day")));
        }
    }
    let has_unsound = rows.iter().any(|row| row.verified.as_ref().is_some_and(|verified| !verified.is_sound));
    if has_unsound {
        output.warn("the last verification of a vault found problems; run `tgvault verify` for what is affected");
    }
    let exit = match (complaints.is_empty(), has_unsound) {
        (false, _) => Exit::TooOld,
        (true, true) => Exit::Integrity,
        (true, false) if remembered.broken.is_empty() => Exit::Done,
        (true, false) => Exit::Failed,
    };
    Ok((exit, complaints))
}

fn cells(row: &Row, now: Timestamp) -> [String; 8] {
    let saved = row.saved();
    let verified = row.verified.as_ref().map_or_else(
        || "never".to_owned(),
        |verified| format!("{} ago ({}{})", age(verified.at, now), verified.how, if verified.is_sound { "" } else { ", problems" }),
    );
    [
        units::printable(&row.source),
        units::printable(&row.vault),
        saved.map_or_else(|| "never".to_owned(), |saved| units::time(saved.at)),
        saved.map_or_else(|| "-".to_owned(), |saved| age(saved.at, now)),
        row.state(),
        saved.map_or_else(|| "-".to_owned(), |saved| units::bytes(saved.bytes)),
        verified,
        units::printable(&row.last_run()),
    ]
}

/// How long ago something was, in words.
fn age(at: Timestamp, now: Timestamp) -> String {
    units::duration(Duration::try_from(now.duration_since(at)).unwrap_or_default())
}

fn line(row: &Row, now: Timestamp, too_old: bool) -> Line<'_> {
    let (saved, record, verified) = (row.saved(), row.record.as_ref(), row.verified.as_ref());
    Line {
        message_type: "status_source",
        source: &row.source,
        vault: &row.vault,
        verdict: row.verdict(),
        time: saved.map(|saved| saved.at),
        age_seconds: saved.map(|saved| u64::try_from(now.duration_since(saved.at).as_secs()).unwrap_or(0)),
        too_old,
        snapshot: saved.map(|saved| saved.snapshot.as_str()),
        entries: saved.map(|saved| saved.entries),
        bytes: saved.map(|saved| saved.bytes),
        problems: saved.map(|saved| saved.problems),
        coverage: saved.and_then(|saved| saved.coverage),
        last_run: record.map(|record| record.last.at),
        last_exit_code: record.map(|record| record.last.exit),
        last_error: row.last_error(),
        failing_since: record.and_then(|record| record.failing_since),
        verified: verified.map(|verified| verified.at),
        verified_how: verified.map(|verified| verified.how.as_str()),
        verified_sound: verified.map(|verified| verified.is_sound),
    }
}
