//! What the vault itself shows of its backups.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::units;
use crate::operations::status::vault::{self, Chain, Newest};
use crate::repository::snapshots::CLOCKS_DIFFER;

#[derive(Serialize)]
struct MachineLine<'a> {
    message_type: &'static str,
    vault: &'a str,
    host: &'a str,
    source: String,
    time: Timestamp,
    snapshot: String,
    snapshots: u64,
    entries: u64,
    bytes: u64,
    problems: u64,
    too_old: bool,
}

#[derive(Serialize)]
struct ChainLine<'a> {
    message_type: &'static str,
    vault: &'a str,
    chain: String,
    writer: String,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    too_old: bool,
}

/// The last complete snapshot of every source on every machine.
///
/// # Errors
/// When no key fits, or the store fails.
pub async fn machines(max_age: Option<Duration>, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let (found, broken) = vault::machines(&session).await?;
    let (vault, output, now) = (context.vault_label().unwrap_or_default(), &context.output, Timestamp::now());
    let mut rows = vec![["HOST", "SOURCE", "LAST BACKUP", "AGE", "STATE", "SIZE", "SNAPSHOTS"].map(str::to_owned)];
    let mut late = Vec::new();
    for Newest { snapshot, count } in &found {
        let (host, source) = (units::printable(&snapshot.host), units::printable(&snapshot.source.to_string()));
        let complaint = too_old(Some(snapshot.time), max_age, now).map(|what| format!("{source} on {host}: {what}"));
        if output.is_json() {
            output.json(&MachineLine {
                message_type: "status_machine",
                vault: &vault,
                host: &snapshot.host,
                source: snapshot.source.to_string(),
                time: snapshot.time,
                snapshot: snapshot.id.to_string(),
                snapshots: *count,
                entries: snapshot.counts.entries,
                bytes: snapshot.counts.bytes,
                problems: snapshot.counts.problems,
                too_old: complaint.is_some(),
            })?;
        } else {
            let problems = snapshot.counts.problems;
            rows.push([
                host,
                source,
                units::time(snapshot.time),
                age(snapshot.time, now),
                if problems == 0 { "complete".to_owned() } else { format!("{} not read", units::counted(problems, "entry")) },
                units::bytes(snapshot.counts.bytes),
                units::count(*count),
            ]);
        }
        late.extend(complaint);
    }
    if !output.is_json() {
        output.text(&units::columns(&rows, &[5, 6]))?;
    }
    conclude(found.is_empty(), &broken, late, max_age, context)
}

/// The last number of every chain: all that can be seen without a key.
///
/// # Errors
/// When there is no vault, or the store fails.
pub async fn chains(max_age: Option<Duration>, context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::None).await?;
    let (found, broken) = vault::chains(&session).await?;
    let (vault, output, now) = (context.vault_label().unwrap_or_default(), &context.output, Timestamp::now());
    let mut rows = vec![["CHAIN", "WRITER", "SNAPSHOTS", "LAST", "AGE"].map(str::to_owned)];
    let mut late = Vec::new();
    for Chain { chain, writer, sequence, at } in &found {
        let (chain, writer) = (chain.to_string(), writer.to_string());
        let complaint = too_old(*at, max_age, now).map(|what| format!("chain {}: {what}", units::short_id(&chain)));
        if output.is_json() {
            output.json(&ChainLine {
                message_type: "status_chain",
                vault: &vault,
                chain,
                writer,
                sequence: *sequence,
                time: *at,
                too_old: complaint.is_some(),
            })?;
        } else {
            let time = at.map_or_else(|| "?".to_owned(), units::time);
            let age = at.map_or_else(|| "?".to_owned(), |at| age(at, now));
            rows.push([units::short_id(&chain).to_owned(), units::short_id(&writer).to_owned(), units::count(*sequence), time, age]);
        }
        late.extend(complaint);
    }
    if !output.is_json() && !found.is_empty() {
        output.text(&units::columns(&rows, &[2]))?;
    }
    conclude(found.is_empty(), &broken, late, max_age, context)
}

fn conclude(
    is_empty: bool,
    broken: &[String],
    mut late: Vec<String>,
    max_age: Option<Duration>,
    context: &Context,
) -> Result<Exit, CommandError> {
    if is_empty {
        match max_age {
            Some(most) => late.push(format!("there is no snapshot; expected one from the last {}", units::duration(most))),
            None => context.output.say("the vault has no snapshots yet"),
        }
    }
    for text in broken.iter().chain(&late) {
        context.output.warn(text);
    }
    Ok(match (broken.is_empty(), late.is_empty()) {
        (false, _) => Exit::Integrity,
        (true, false) => Exit::TooOld,
        (true, true) => Exit::Done,
    })
}

fn age(at: Timestamp, now: Timestamp) -> String {
    units::duration(Duration::try_from(now.duration_since(at)).unwrap_or_default())
}

fn too_old(at: Option<Timestamp>, max_age: Option<Duration>, now: Timestamp) -> Option<String> {
    let most = max_age?;
    let expected = format!("expected one from the last {}", units::duration(most));
    let Some(at) = at.filter(|at| at.duration_since(now) <= CLOCKS_DIFFER) else {
        return Some(format!("the last snapshot has no believable time; {expected}"));
    };
    let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    (age > most).then(|| format!("the last snapshot is {} old, from {}; {expected}", units::duration(age), units::time(at)))
}
