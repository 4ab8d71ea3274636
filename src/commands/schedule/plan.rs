//! What is to be started, out of options and profile.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Install, Method, Place};
use crate::commands::config::origin::Origin;
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::commands::units;
use crate::schedule::plan::Plan;
use crate::schedule::when::{Time, When};

/// The plan for a profile.
///
/// # Errors
/// When the profile has no source, or an option cannot be used.
pub fn plan(install: &Install, when: When, at: Time, contexts: &[Arc<Context>]) -> Result<Plan, CommandError> {
    let Some(first) = contexts.first() else { return Err(no_source()) };
    let settings = &first.settings;
    let Some(profile) = settings.profile.as_ref().filter(|_| !settings.sources.is_empty()) else { return Err(no_source()) };
    let max_age = match (&install.max_age, &when) {
        (Some(span), _) => {
            units::parse_span(span).map_err(|what| CommandError::usage(what, "use a form such as 26h or 8d"))?;
            span.clone()
        }
        (None, When::Daily) => "26h".to_owned(),
        (None, When::Weekly) => "8d".to_owned(),
        (None, When::Monthly) => "33d".to_owned(),
        (None, When::Quarterly) => "94d".to_owned(),
        (None, When::Calendar(_)) => {
            return Err(CommandError::usage(
                "a calendar expression does not say how old a backup may be",
                "add --max-age SPAN: how old the last backup may be before an alert is sent",
            ));
        }
    };
    if install.run_as.is_some() && !install.place.system {
        return Err(CommandError::usage(
            "--run-as is for services of the system",
            "add --system, or leave it out: a user's timers run as that user",
        ));
    }
    let absolute = std::path::absolute(profile).unwrap_or_else(|_| profile.clone());
    let mut options = vec!["-P".to_owned(), absolute.to_string_lossy().into_owned()];
    let mut writes: Vec<PathBuf> = Vec::new();
    if let Some(state) = &settings.state_dir {
        let is_typed = matches!(state.origin, Origin::Flag | Origin::Environment);
        if is_typed {
            options.extend(["--state-dir".to_owned(), state.value.to_string_lossy().into_owned()]);
        }
        // A service of the system has a folder of its own, unless another was named.
        if is_typed || !install.place.system || matches!(state.origin, Origin::Profile(_)) {
            writes.push(state.value.clone());
        }
    }
    writes.extend(contexts.iter().filter_map(|context| context.address()).filter(|address| address.starts_with('/')).map(PathBuf::from));
    writes.extend(settings.alerts.metrics_file.as_ref().and_then(|file| file.parent()).map(PathBuf::from));
    let program = std::env::current_exe().map_err(|source| CommandError::System { what: "cannot find this program's own path", source })?;
    let plan = Plan {
        name: name(first)?,
        program,
        options,
        when,
        at,
        jitter_seconds: u32::try_from(install.jitter.as_secs()).unwrap_or(u32::MAX),
        verify_percent: install.verify,
        max_age,
        is_system: install.place.system,
        run_as: install.run_as.clone(),
        is_sandboxed: !install.no_sandbox,
        writes,
    };
    plan.check()?;
    Ok(plan)
}

fn no_source() -> CommandError {
    CommandError::usage(
        "there is nothing to start: the profile has no [[source]] table",
        "write one first, as in docs/guide/automatic.md; `tgvault config check` checks it",
    )
}

/// What tells the schedules of several profiles apart: the profile's name, as names of units may have it.
///
/// # Errors
/// When there is no profile.
pub fn name(context: &Context) -> Result<String, CommandError> {
    let Some(profile) = &context.settings.profile else { return Err(no_source()) };
    let stem = profile.file_stem().unwrap_or_default().to_string_lossy();
    // systemd would escape anything else; a hyphen stands for a slash only in names of paths.
    let name: String =
        stem.chars().map(|character| if character.is_ascii_alphanumeric() || character == '_' { character } else { '_' }).collect();
    Ok(if name.is_empty() { "default".to_owned() } else { name })
}

/// Says what the system needs beside the files.
pub fn advise(place: &Place, method: Method, context: &Context) {
    let output = &context.output;
    match (method, place.system) {
        (Method::Systemd, false) => {
            output.say("a user's timers run only while the user is logged in; to run them always: loginctl enable-linger");
        }
        (Method::Systemd, true) => {
            output.say("the service keeps its state in /var/lib/tgvault; authorise it once: tgvault --state-dir /var/lib/tgvault run");
        }
        (Method::Cron, _) => output.say("cron mails what is printed, or loses it where there is no mail: set up [alerts]"),
        (Method::Launchd | Method::Windows, _) => {}
    }
    if context.settings.alerts == Default::default() && context.settings.hooks == Default::default() {
        output.warn("the profile has neither [alerts] nor [hooks]: you will not hear when backups stop (docs/guide/automatic.md)");
    }
}
