//! `tgvault alert`: try whether alerts arrive, and tell of a unit that failed.
//!
//! [`send`] is what `run` and `status` use, too.

pub mod send;

use std::sync::Arc;

use serde::Serialize;

use super::context::Context;
use super::error::CommandError;
use super::exit::{Exit, meaning_of};
use crate::alerts::document::{Document, Event, Outcome};
use send::Told;

const EXAMPLES: &str = "\
Examples:
  tgvault alert test                     # every way that the profile names
  tgvault alert failed --unit NAME       # what OnFailure= of a systemd unit runs";

/// Options of `alert`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to tell.
    #[command(subcommand)]
    pub action: Action,
}

/// What to tell.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Action {
    /// Send a test by every way that the profile names, hooks included (except `before` and `after`)
    Test,
    /// Tell that a unit has failed, unless the run in it has told so itself
    Failed {
        /// The unit's name; systemd's own words about it come from the environment
        #[arg(long, value_name = "NAME")]
        unit: Option<String>,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    by: &'a str,
    sent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The file, beside the runs' locks, with the name of the last start of a unit whose failure was told.
const TOLD: &str = "told.age";

/// Tells it.
///
/// # Errors
/// When the profile names nobody, or standard output cannot be written.
pub async fn run(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let document = match &args.action {
        Action::Test => send::document(Event::Test, 0, Vec::new(), context),
        Action::Failed { unit } => {
            if was_told(context) {
                context.output.say("the run told of its failure itself");
                return Ok(Exit::Done);
            }
            of_unit(unit.clone(), context)
        }
    };
    let mut told = send::send(&document, context).await;
    told.extend(send::hooks(&document, context).await);
    if told.is_empty() {
        return Err(CommandError::usage(
            "there is no one to alert: the profile has neither [alerts] nor [hooks]",
            "add `ping`, `webhook`, `mail-to` or a hook, as in docs/guide/automatic.md",
        ));
    }
    let mut exit = Exit::Done;
    for (by, sent) in &told {
        let problem = sent.as_ref().err().map(CommandError::one_line);
        exit = if problem.is_some() { Exit::Failed } else { exit };
        if context.output.is_json() {
            context.output.json(&Line { message_type: "alert", by, sent: problem.is_none(), problem })?;
        } else {
            context.output.line(&format!("{by}: {}", problem.as_deref().unwrap_or("sent")))?;
        }
    }
    Ok(exit)
}

/// What systemd says of a unit that failed, in the variables that `OnFailure=` units get.
fn of_unit(unit: Option<String>, context: &Context) -> Document {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let code = variable("MONITOR_EXIT_STATUS").and_then(|code| code.parse().ok()).unwrap_or(Exit::Failed.code());
    let result = variable("MONITOR_SERVICE_RESULT");
    let notes = result.map(|result| format!("systemd says: {result}")).into_iter().collect();
    Document {
        // Whatever the code: systemd gave up on it.
        outcome: Outcome::Failure,
        unit: unit.or_else(|| variable("MONITOR_UNIT")),
        notes,
        meaning: meaning_of(code).to_owned(),
        ..send::document(Event::Failed, code, Vec::new(), context)
    }
}

/// Warns of what could not be told.
pub fn warn_of(told: &[Told], context: &Context) {
    for (by, sent) in told {
        if let Err(error) = sent {
            context.output.warn(&format!("{by}: {}", error.one_line()));
        }
    }
}

/// Remembers that the failure of this start of a unit was told, so that it is not told twice.
pub fn note_told(context: &Context) {
    let Ok(start) = std::env::var("INVOCATION_ID") else { return };
    let noted = context.state().and_then(|state| Ok(state.sealed("run")?.write_json(TOLD, &start)?));
    if let Err(error) = noted {
        // Told twice is better than not at all.
        tracing::warn!(error = error.one_line(), "it is not remembered that the failure was told");
    }
}

fn was_told(context: &Context) -> bool {
    let Ok(start) = std::env::var("MONITOR_INVOCATION_ID") else { return false };
    let read = context.state().and_then(|state| Ok(state.sealed("run")?.read_json::<String>(TOLD)?));
    read.is_ok_and(|told| told == Some(start))
}
