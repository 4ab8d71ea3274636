//! `tgvault snapshots`: which there are.

use std::time::Duration;

use serde::Serialize;

use super::arguments::Select;
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::units;
use crate::operations::look::{self, Row};
use crate::repository::snapshots::CLOCKS_DIFFER;

const EXAMPLES: &str = "\
Examples:
  tgvault snapshots
  tgvault snapshots --tag monthly --json
  tgvault snapshots --source telegram:main --max-age 2d   # 16 if none in 2 days";

/// Options of `snapshots`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Also list checkpoints of interrupted backups
    #[arg(long)]
    pub partial: bool,

    /// Exit with code 16 if the newest is older than this, such as 36h, 2d or 1w, or if there is none
    #[arg(long, value_name = "SPAN", value_parser = units::parse_span)]
    pub max_age: Option<Duration>,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    id: String,
    time: jiff::Timestamp,
    host: &'a str,
    source_kind: &'a str,
    source: &'a str,
    tags: &'a [String],
    options: &'a [String],
    complete: bool,
    writer: String,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    program: &'a str,
    entries: u64,
    bytes: u64,
    new_entries: u64,
    new_bytes: u64,
    stored_bytes: u64,
    removed: u64,
    problems: u64,
    archives: u64,
}

/// Lists the snapshots.
///
/// # Errors
/// When no key fits, or the store fails.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let found = look::snapshots(&session, &args.select.selection(), args.partial).await?;
    let output = &context.output;
    if output.is_json() {
        for row in &found.snapshots {
            output.json(&line(row))?;
        }
    } else {
        output.text(&table(&found.snapshots))?;
        output.say(&units::counted(found.snapshots.len() as u64, "snapshot"));
    }
    let now = jiff::Timestamp::now();
    for (snapshot, (_, was_ahead)) in found.snapshots.iter().map(|row| &row.snapshot).zip(&found.times) {
        let (id, host) = (snapshot.id.to_string(), units::printable(&snapshot.host));
        if is_ahead(snapshot.time, now) {
            output.warn(&format!("snapshot {} has a time in the future: the clock of {host} was ahead", units::short_id(&id)));
        } else if *was_ahead {
            output.warn(&format!(
                "snapshot {} has a later time than its copy in the store: the clock of {host} was ahead",
                units::short_id(&id)
            ));
        }
    }
    for broken in &found.broken {
        output.warn(broken);
    }
    if !found.broken.is_empty() {
        return Ok(Exit::Integrity);
    }
    match args.max_age.and_then(|most| too_old(&found.times, most, jiff::Timestamp::now())) {
        Some(what) => {
            output.warn(&what);
            Ok(Exit::TooOld)
        }
        None => Ok(Exit::Done),
    }
}

/// Says so when the newest snapshot is older than `most`, or when there is none.
fn too_old(times: &[(jiff::Timestamp, bool)], most: Duration, now: jiff::Timestamp) -> Option<String> {
    // What a clock that was ahead has made says nothing about its age.
    let Some(newest) = times.iter().map(|(time, _)| *time).filter(|time| !is_ahead(*time, now)).max() else {
        let which = if times.is_empty() { "no snapshot" } else { "no snapshot with a believable time" };
        return Some(format!("{which} found; expected one from the last {}", units::duration(most)));
    };
    let age = Duration::try_from(now.duration_since(newest)).unwrap_or_default();
    (age > most)
        .then(|| format!("the newest snapshot is {} old; expected one from the last {}", units::duration(age), units::duration(most)))
}

/// Whether the clock of whoever made a snapshot was ahead by more than clocks differ.
fn is_ahead(time: jiff::Timestamp, now: jiff::Timestamp) -> bool {
    time.duration_since(now) > CLOCKS_DIFFER
}

fn line(row: &Row) -> Line<'_> {
    let snapshot = &row.snapshot;
    let counts = &snapshot.counts;
    Line {
        message_type: "snapshot",
        id: snapshot.id.to_string(),
        time: snapshot.time,
        host: &snapshot.host,
        source_kind: &snapshot.source.kind,
        source: &snapshot.source.name,
        tags: &snapshot.tags,
        options: &snapshot.options,
        complete: snapshot.complete,
        writer: snapshot.writer.to_string(),
        sequence: snapshot.sequence,
        parent: snapshot.parent.map(|id| id.to_string()),
        program: &snapshot.program,
        entries: counts.entries,
        bytes: counts.bytes,
        new_entries: counts.new_entries,
        new_bytes: counts.new_bytes,
        stored_bytes: counts.stored_bytes,
        removed: counts.removed,
        problems: counts.problems,
        archives: row.archives,
    }
}

/// The snapshots in columns, as wide as they have to be.
fn table(snapshots: &[Row]) -> String {
    let head = ["ID", "TIME", "HOST", "SIZE", "STORED", "TAGS", "SOURCE"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(snapshots.iter().map(|Row { snapshot, .. }| {
        let id = snapshot.id.to_string();
        let source = format!("{}{}", snapshot.source, if snapshot.complete { "" } else { "  (checkpoint)" });
        [
            units::short_id(&id).to_owned(),
            units::time(snapshot.time),
            units::printable(&snapshot.host),
            units::bytes(snapshot.counts.bytes),
            units::bytes(snapshot.counts.stored_bytes),
            units::printable(&snapshot.tags.join(",")),
            units::printable(&source),
        ]
    }));
    units::columns(&rows, &[3, 4])
}
