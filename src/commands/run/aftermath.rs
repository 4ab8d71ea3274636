//! Who hears how a run went: hooks, alerts, and the file for Prometheus.

use std::sync::Arc;

use super::Ended;
use super::plan::Step;
use crate::alerts::document::{self, Event, Outcome};
use crate::alerts::metrics::{self, Sample};
use crate::commands::alert::{self, send};
use crate::commands::backup::common::Finished;
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::status::rows::{self, Row};
use crate::operations::status::ledger::Ledger;

/// How a step ended, for documents.
pub fn step(step: &Step, exit: Exit, finished: Option<&Finished>) -> document::Step {
    step_of(&step.source, &step.vault, exit, finished)
}

/// The same of a source and a vault that the profile calls so.
pub fn step_of(source: &str, vault: &str, exit: Exit, finished: Option<&Finished>) -> document::Step {
    let made = finished.and_then(|finished| finished.made);
    let deletions = finished.and_then(|finished| finished.deletions);
    document::Step {
        source: source.to_owned(),
        vault: vault.to_owned(),
        exit_code: exit.code(),
        meaning: exit.meaning().to_owned(),
        snapshot: made.map(|(id, _)| id.to_string()),
        entries: made.map(|(_, counts)| counts.entries),
        bytes: made.map(|(_, counts)| counts.bytes),
        stored_bytes: made.map(|(_, counts)| counts.stored_bytes),
        problems: made.map(|(_, counts)| counts.problems),
        chats_affected: deletions.map(|deletions| deletions.chats),
        messages_deleted: deletions.map(|deletions| deletions.messages),
    }
}

/// Tells that a run begins.
///
/// # Errors
/// When the hook `before` fails: what it prepares, such as a mount, is not there.
pub async fn before(context: &Context) -> Result<(), CommandError> {
    let document = send::document(Event::Before, 0, Vec::new(), context);
    alert::warn_of(&send::send(&document, context).await, context);
    send::hooks(&document, context).await.into_iter().try_for_each(|(_, ran)| ran)
}

/// Tells how a run ended. What cannot be told is warned of; the backup is what it is.
pub async fn after(ended: Result<&Ended, &CommandError>, contexts: &[Arc<Context>]) {
    let Some(context) = contexts.first() else { return };
    let (code, steps) = match ended {
        Ok(ended) => (ended.worst.code(), ended.steps.clone()),
        Err(error) => (error.exit().code(), Vec::new()),
    };
    let document = send::document(Event::After, code, steps, context);
    let mut told = send::send(&document, context).await;
    told.extend(send::hooks(&document, context).await);
    alert::warn_of(&told, context);
    let somebody_heard = told.iter().any(|(by, sent)| *by != "after" && sent.is_ok());
    if document.outcome == Outcome::Failure && somebody_heard {
        alert::note_told(context);
    }
    if let Some(path) = &context.settings.alerts.metrics_file
        && let Err(error) = samples(contexts).and_then(|samples| Ok(metrics::write(path, &metrics::text(&samples))?))
    {
        context.output.warn(&format!("the file for Prometheus is not up to date: {}", error.one_line()));
    }
}

/// The figures of everything that this machine remembers.
fn samples(contexts: &[Arc<Context>]) -> Result<Vec<Sample>, CommandError> {
    let Some(first) = contexts.first() else { return Ok(Vec::new()) };
    let rows = rows::rows(contexts, &Ledger::open(&first.state()?)?.read()?);
    let mut samples: Vec<Sample> = rows.iter().flat_map(of_row).collect();
    for row in &rows {
        let Some(verified) = &row.verified else { continue };
        let labels = vec![("vault", row.vault.clone())];
        if samples.iter().any(|sample| sample.name.starts_with("tgvault_last_verify") && sample.labels == labels) {
            continue;
        }
        let seconds = verified.at.as_second() as f64;
        samples.push(Sample { name: "tgvault_last_verify_timestamp_seconds", labels: labels.clone(), value: seconds });
        samples.push(Sample { name: "tgvault_last_verify_sound", labels, value: f64::from(u8::from(verified.is_sound)) });
    }
    Ok(samples)
}

fn of_row(row: &Row) -> Vec<Sample> {
    let labels = || vec![("source", row.source.clone()), ("vault", row.vault.clone())];
    let sample = |name: &'static str, value: f64| Sample { name, labels: labels(), value };
    let mut samples = Vec::new();
    if let Some(record) = &row.record {
        samples.push(sample("tgvault_last_run_timestamp_seconds", record.last.at.as_second() as f64));
        samples.push(sample("tgvault_last_run_exit_code", f64::from(record.last.exit)));
    }
    if let Some(saved) = row.saved() {
        samples.push(sample("tgvault_last_backup_timestamp_seconds", saved.at.as_second() as f64));
        samples.push(sample("tgvault_last_backup_bytes", saved.bytes as f64));
        samples.push(sample("tgvault_last_backup_entries", saved.entries as f64));
        samples.push(sample("tgvault_last_backup_problems", saved.problems as f64));
    }
    samples
}
