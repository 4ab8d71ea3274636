//! Telling those whom the profile names: hooks, a ping, a webhook, a mail.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::alerts::document::{Document, Event, Outcome, Step};
use crate::alerts::{AlertError, command, mail, ping, post, webhook};
use crate::commands::config::alerts::{AlertsProfile, On};
use crate::commands::context::{Context, host_name};
use crate::commands::error::CommandError;
use crate::commands::exit::meaning_of;
use crate::commands::secrets;

/// Where `sendmail` is on nearly every system that has one.
const SENDMAIL: &str = "/usr/sbin/sendmail";

/// How one way of telling went.
pub type Told = (&'static str, Result<(), CommandError>);

/// A document about this machine and profile.
pub fn document(event: Event, exit_code: u8, steps: Vec<Step>, context: &Context) -> Document {
    // One that failed decides, whatever larger number another ended with.
    let outcome = steps.iter().map(|step| Outcome::of(step.exit_code)).max().unwrap_or_else(|| Outcome::of(exit_code));
    Document {
        event,
        outcome,
        time: Timestamp::now(),
        host: host_name().unwrap_or_else(|_| "this machine".to_owned()),
        profile: context.settings.profile.as_ref().map(|path| path.display().to_string()),
        unit: None,
        exit_code,
        meaning: meaning_of(exit_code).to_owned(),
        steps,
        notes: Vec::new(),
    }
}

/// Sends a document by every way that the profile has for it: the ping always, the others when somebody has to look, or always.
pub async fn send(document: &Document, context: &Context) -> Vec<Told> {
    let profile = &context.settings.alerts;
    let mut told: Vec<Told> = Vec::new();
    let is_for_ping = match document.event {
        Event::Before => profile.ping_start == Some(true),
        // It says nothing about whether backups are made.
        Event::ManyDeleted => false,
        _ => true,
    };
    if is_for_ping {
        match address_of_ping(profile, context) {
            Ok(None) => {}
            Ok(Some(address)) => told.push(("ping", sent(ping::message(&address, document)).await)),
            Err(error) => told.push(("ping", Err(error))),
        }
    }
    let is_wanted = match document.event {
        Event::Before => false,
        Event::Test | Event::TooOld | Event::DrillDue | Event::ManyDeleted => true,
        _ => document.outcome == Outcome::Failure || document.has_many_deletions() || profile.on == Some(On::Always),
    };
    if is_wanted && let Some(address) = &profile.webhook {
        told.push(("webhook", to_webhook(&address.0, profile, document, context).await));
    }
    if is_wanted && let Some(to) = &profile.mail_to {
        let sendmail = profile.sendmail.clone().unwrap_or_else(|| PathBuf::from(SENDMAIL));
        told.push(("mail", mail::send(&sendmail, to, profile.mail_from.as_deref(), document).await.map_err(Into::into)));
    }
    told
}

async fn sent(message: Result<post::Message, AlertError>) -> Result<(), CommandError> {
    Ok(post::send(&message?).await?)
}

async fn to_webhook(address: &str, profile: &AlertsProfile, document: &Document, context: &Context) -> Result<(), CommandError> {
    let token = profile.webhook_token_file.as_deref().map(|file| first_line("token", file, context)).transpose()?;
    let topic = profile.webhook_topic.as_ref().map(|topic| topic.0.as_str());
    let kind = profile.webhook_kind.unwrap_or_default();
    Ok(post::send(&webhook::message(kind, address, topic, token.as_deref(), document)).await?)
}

fn address_of_ping(profile: &AlertsProfile, context: &Context) -> Result<Option<String>, CommandError> {
    match (&profile.ping_file, &profile.ping) {
        (Some(file), _) => first_line("ping address", file, context).map(Some),
        (None, address) => Ok(address.as_ref().map(|address| address.0.clone())),
    }
}

fn first_line(what: &'static str, file: &Path, context: &Context) -> Result<String, CommandError> {
    use secrecy::ExposeSecret;
    let line = secrets::file_line(what, file, &mut |text| context.output.warn(&text))?;
    Ok(line.expose_secret().to_owned())
}

/// The hooks that a document is for, with their names.
fn hooks_for<'a>(document: &Document, context: &'a Context) -> Vec<(&'static str, &'a str)> {
    let hooks = &context.settings.hooks;
    let has = |code: u8| document.steps.iter().any(|step| step.exit_code == code) || document.exit_code == code;
    let is_over = matches!(document.event, Event::After | Event::Failed);
    let is_test = document.event == Event::Test;
    let all = [
        ("before", &hooks.before, document.event == Event::Before),
        ("after", &hooks.after, document.event == Event::After),
        (
            "failed",
            &hooks.failed,
            is_test || matches!(document.event, Event::TooOld | Event::DrillDue) || (is_over && document.outcome == Outcome::Failure),
        ),
        ("session-lost", &hooks.session_lost, is_test || (is_over && has(13))),
        ("source-empty", &hooks.source_empty, is_test || (is_over && has(17))),
        (
            "many-deleted",
            &hooks.many_deleted,
            is_test || document.event == Event::ManyDeleted || (is_over && document.has_many_deletions()),
        ),
    ];
    all.into_iter().filter_map(|(name, hook, is_meant)| Some((name, hook.as_deref().filter(|_| is_meant)?))).collect()
}

/// Runs the hooks that a document is for.
pub async fn hooks(document: &Document, context: &Context) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    for (name, line) in hooks_for(document, context) {
        let event = match name {
            "session-lost" if document.event != Event::Test => Event::SessionLost,
            "source-empty" if document.event != Event::Test => Event::SourceEmpty,
            "many-deleted" if document.event != Event::Test => Event::ManyDeleted,
            "failed" if document.event == Event::After => Event::Failed,
            _ => document.event,
        };
        let json = serde_json::to_string(&Document { event, ..document.clone() }).unwrap_or_default();
        let ran = command::run(&format!("the hook '{name}'"), OsStr::new("sh"), &["-c", line], &json).await;
        told.push((name, ran.map_err(Into::into)));
    }
    told
}
