//! `tgvault schedule`: have the system start backups by itself.
//!
//! - [`plan`]: what is to be started, out of options and profile.
//! - [`installed`]: putting files and lines where the system reads them, and taking them away again.

pub mod installed;
pub mod plan;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::units;
use crate::schedule::when::{Time, When};
use installed::Installed;

const EXAMPLES: &str = "\
Examples:
  tgvault schedule install               # every night at 3, a check each month
  tgvault schedule install weekly --at 22:30
  tgvault schedule install 'Mon,Thu 03:30' --max-age 5d
  tgvault schedule install --system            # as root, for the whole system
  tgvault schedule install --method launchd --write ~/Library/LaunchAgents
  tgvault schedule show";

/// Options of `schedule`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the schedule.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Action {
    /// Start `tgvault run`, a monthly check and a daily watch by themselves
    Install(Box<Install>),
    /// Take the schedule away again
    Remove(Place),
    /// Show what is installed, and when it runs next
    Show(Place),
    /// Start the scheduled backup now
    RunNow(Place),
}

/// Which schedule.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Place {
    /// For the whole system (as root) instead of for this user
    #[arg(long)]
    pub system: bool,

    /// Who starts it: systemd or cron; launchd and windows only write files [default: systemd where it runs, else cron]
    #[arg(long, value_name = "METHOD", value_enum)]
    pub method: Option<Method>,
}

/// Who starts backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// systemd's timers.
    Systemd,
    /// The user's table of cron.
    Cron,
    /// launchd on macOS.
    Launchd,
    /// The Windows Task Scheduler, by WSL.
    Windows,
}

/// Options of `schedule install`.
#[derive(Clone, Debug, clap::Args)]
pub struct Install {
    /// daily, weekly, monthly, quarterly, or a calendar expression of systemd
    #[arg(value_name = "WHEN", default_value = "daily")]
    pub when: String,

    /// Time of day
    #[arg(long, value_name = "HH:MM", default_value = "03:00")]
    pub at: String,

    /// Start up to this much later, so that many machines do not all come at once
    #[arg(long, value_name = "SPAN", value_parser = units::parse_span, default_value = "1h")]
    pub jitter: Duration,

    /// Share of the archives that the monthly check reads
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub verify: u8,

    /// Alert when the last backup is older than this [default: 26h, 8d, 33d or 94d, after WHEN]
    #[arg(long, value_name = "SPAN")]
    pub max_age: Option<String>,

    /// With --system: run as this user instead of root
    #[arg(long, value_name = "USER")]
    pub run_as: Option<String>,

    /// Do not keep the backup away from what it does not need (for hooks that need more)
    #[arg(long)]
    pub no_sandbox: bool,

    /// Write the files into this folder instead of installing them
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,

    /// Which schedule.
    #[command(flatten)]
    pub place: Place,
}

impl Install {
    /// What `schedule install WHEN` means without further options.
    pub fn usual(when: &str) -> Self {
        Self {
            when: when.to_owned(),
            at: "03:00".to_owned(),
            jitter: Duration::from_secs(60 * 60),
            verify: 5,
            max_age: None,
            run_as: None,
            no_sandbox: false,
            write: None,
            place: Place::default(),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    method: &'static str,
    files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

/// Does it.
///
/// # Errors
/// When the profile names no source, a time cannot be understood, or the system does not take the schedule.
pub async fn run(args: &Args, contexts: &[Arc<Context>]) -> Result<Exit, CommandError> {
    let Some(first) = contexts.first() else { return Ok(Exit::Done) };
    match &args.action {
        Action::Install(install) => {
            let when: When = install.when.parse()?;
            let at: Time = install.at.parse()?;
            let plan = plan::plan(install, when, at, contexts)?;
            let method = method(&install.place);
            let files = match &install.write {
                Some(folder) => installed::write(&plan, method, folder)?,
                None => Installed::of(&plan.name, method, &install.place, first)?.install(&plan).await?,
            };
            let shown = files.iter().map(|file| file.display().to_string()).collect();
            tell(method, shown, None, first)?;
            if install.write.is_none() {
                plan::advise(&install.place, method, first);
            }
        }
        Action::Remove(place) => {
            let installed = Installed::of(&plan::name(first)?, method(place), place, first)?;
            let gone = installed.remove().await?;
            tell(method(place), gone.iter().map(|file| file.display().to_string()).collect(), None, first)?;
            first.output.say(if gone.is_empty() { "nothing was installed" } else { "removed" });
        }
        Action::Show(place) => {
            let installed = Installed::of(&plan::name(first)?, method(place), place, first)?;
            let files: Vec<String> = installed.found().await?.iter().map(|file| file.display().to_string()).collect();
            if files.is_empty() {
                first.output.say("nothing is installed; see `tgvault schedule install --help`");
            }
            let next = installed.next().await;
            tell(method(place), files, next.as_deref(), first)?;
        }
        Action::RunNow(place) => Installed::of(&plan::name(first)?, method(place), place, first)?.start().await?,
    }
    Ok(Exit::Done)
}

/// Who starts it, where that was not said.
pub fn method(place: &Place) -> Method {
    // systemd's own sign that it runs this machine.
    let usual = || if std::path::Path::new("/run/systemd/system").is_dir() { Method::Systemd } else { Method::Cron };
    place.method.unwrap_or_else(usual)
}

fn tell(method: Method, files: Vec<String>, next: Option<&str>, context: &Context) -> Result<(), CommandError> {
    let output = &context.output;
    if output.is_json() {
        let method = match method {
            Method::Systemd => "systemd",
            Method::Cron => "cron",
            Method::Launchd => "launchd",
            Method::Windows => "windows",
        };
        return output.json(&Line { message_type: "schedule", method, files, next });
    }
    for file in &files {
        output.summary(&units::printable(file))?;
    }
    match next {
        Some(next) => output.line(&format!("next backup: {}", units::printable(next))),
        None => Ok(()),
    }
}
